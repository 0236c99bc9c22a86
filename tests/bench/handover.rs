//! How long no replica works when the leader is told to end, as in every upgrade: until the other replica has the
//! lease, and until an object applied at that moment is Ready.

use std::net::SocketAddr;
use std::ops::Range;
use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::ListParams;

use crate::cluster::{Kind, Namespace, Removal};
use crate::common::progress;
use crate::latency::milliseconds;
use crate::operator;
use crate::watching::Watch;

/// The handovers, by the number of the object that each applies.
pub const HANDOVERS: Range<usize> = 1..21;

/// Times since the signal in milliseconds, sorted.
pub struct Handover {
    pub lease: Vec<f64>,
    pub ready: Vec<f64>,
}

struct Replica {
    child: tokio::process::Child,
    probe: SocketAddr,
}

impl Replica {
    fn start(ns: &Namespace<'_>) -> Self {
        let probe = operator::free_address();
        let mut command = operator::rescind(ns, ns.name, probe);
        let log = std::fs::File::options().create(true).append(true).open(ns.cluster.plane.dir().join("replicas.log"));
        command.env("RESCIND_LEADER_ELECT", "true").env("RESCIND_NAMESPACE", ns.name);
        command.stderr(log.expect("a log"));
        let child = tokio::process::Command::from(command).kill_on_drop(true).spawn().expect("rescind starts");
        Self { child, probe }
    }

    /// Waits until the replica reports this role.
    async fn is(&self, http: &reqwest::Client, role: &str) {
        let (began, url) = (Instant::now(), format!("http://{}/readyz", self.probe));
        let says = async || http.get(&url).send().await?.text().await;
        while !says().await.is_ok_and(|text| text.contains(role)) {
            assert!(began.elapsed() < operator::PATIENCE, "no replica that is {role}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn terminate(&self) {
        let pid = self.child.id().expect("it runs").to_string();
        assert!(std::process::Command::new("kill").arg(pid).status().expect("kill").success());
    }
}

/// Measures in a connected namespace.
pub async fn measure(ns: &Namespace<'_>) -> Handover {
    progress(&format!("{} hand-overs between two replicas", HANDOVERS.len()));
    let http = reqwest::Client::new();
    let mut handover = Handover { lease: vec![], ready: vec![] };
    let mut watch = Watch::start(ns.cluster, Kind::UserRoles, ns.name).await;
    let mut leader = Replica::start(ns);
    leader.is(&http, "leader\n").await;
    for (round, number) in HANDOVERS.enumerate() {
        let standby = Replica::start(ns);
        standby.is(&http, "standby, the leader").await;
        let before = holder(ns).await;
        let began = Instant::now();
        leader.terminate();
        let taken = async {
            while holder(ns).await.is_none_or(|holder| Some(holder) == before) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            milliseconds(began.elapsed())
        };
        let ((), lease) = tokio::join!(ns.apply(Removal::Role, number..number + 1), taken);
        handover.lease.push(lease);
        handover.ready.push(milliseconds(watch.wait(round + 1).await - began));
        assert!(leader.child.wait().await.expect("it ends").success());
        leader = standby;
    }
    handover.lease.sort_by(f64::total_cmp);
    handover.ready.sort_by(f64::total_cmp);
    handover
}

/// The holder of the only lease in the namespace.
async fn holder(ns: &Namespace<'_>) -> Option<String> {
    let leases = Api::<Lease>::namespaced(ns.cluster.client.clone(), ns.name);
    let lease = leases.list(&ListParams::default()).await.expect("leases").items.pop()?;
    lease.spec?.holder_identity.filter(|holder| !holder.is_empty())
}
