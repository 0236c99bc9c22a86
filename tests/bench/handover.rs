//! How long nobody works when the leader is told to end, as in every upgrade: until the other replica has the lease, and
//! until what was applied in that moment is Ready.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::DeleteParams;
use kube::runtime::wait::await_condition;

use crate::latency::milliseconds;
use crate::load::Finished;
use crate::operator;
use crate::progress;
use crate::world::{NAMESPACE, World, apply, name};

/// How often.
pub const HANDOVERS: usize = 50;

/// Sorted, in milliseconds since the signal.
pub struct Handover {
    pub lease: Vec<f64>,
    pub ready: Vec<f64>,
}

struct Replica {
    child: tokio::process::Child,
    probe: SocketAddr,
}

impl Replica {
    fn start(world: &World<'_>) -> Self {
        let probe = operator::free_address();
        let mut command = operator::command(world.plane, world.fake.domain(), NAMESPACE, probe);
        let log = std::fs::File::options().create(true).append(true).open(world.plane.dir().join("replicas.log"));
        command.env("RESCIND_LEADER_ELECT", "true").env("RESCIND_NAMESPACE", NAMESPACE);
        command.stderr(log.expect("a log"));
        let child = tokio::process::Command::from(command).kill_on_drop(true).spawn().expect("rescind starts");
        Self { child, probe }
    }

    /// Waits until it says this of itself.
    async fn is(&self, role: &str) {
        let began = Instant::now();
        let says = async || reqwest::get(format!("http://{}/readyz", self.probe)).await?.text().await;
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

/// On a connected world; it leaves no object and no call.
pub async fn measure(world: &World<'_>) -> Handover {
    progress(&format!("{HANDOVERS} hand-overs between two replicas"));
    let (api, leases) = (world.api(NAMESPACE), Api::<Lease>::namespaced(world.client.clone(), NAMESPACE));
    let holder = |lease: &Lease| lease.spec.as_ref()?.holder_identity.clone().filter(|holder| !holder.is_empty());
    let mut handover = Handover { lease: vec![], ready: vec![] };
    let mut finished = Finished::count(api.clone()).await;
    let mut leader = Replica::start(world);
    leader.is("leader\n").await;
    for round in 0..HANDOVERS {
        let standby = Replica::start(world);
        standby.is("standby, the leader").await;
        let before = holder(&leases.get(rescind::runtime::LEASE).await.expect("a lease"));
        let began = Instant::now();
        leader.terminate();
        let applied = apply(&api, NAMESPACE, world.spare(round));
        let taken = await_condition(leases.clone(), rescind::runtime::LEASE, |lease: Option<&Lease>| {
            lease.and_then(holder).is_some_and(|holder| Some(holder) != before)
        });
        let taken = async {
            taken.await.expect("a lease that can be watched");
            milliseconds(began.elapsed())
        };
        let (_, lease) = tokio::join!(applied, taken);
        handover.lease.push(lease);
        handover.ready.push(milliseconds(finished.wait(round + 1).await - began));
        assert!(leader.child.wait().await.expect("it ends").success());
        leader = standby;
    }
    for round in 0..HANDOVERS {
        api.delete(&name(world.spare(round)), &DeleteParams::default()).await.expect("there is one");
    }
    world.fake.reset_calls();
    handover.lease.sort_by(f64::total_cmp);
    handover.ready.sort_by(f64::total_cmp);
    handover
}
