//! The tenant of the dispatcher's benchmark: its limits, its people, and the objects in the cluster that take them out.

use std::sync::mpsc;
use std::time::Duration;

use fake_auth0::{Bucket, FakeAuth0, Fault, Group, Kind, Lag};
use futures::StreamExt;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use rescind::api::OrgMembershipRemoval;
use serde_json::{Value, json};
use stack::ControlPlane;

/// Size and refill a second of each bucket.
pub const BURST: f64 = 50.0;
pub const REFILL: f64 = 50.0;
/// Two teams on one Auth0 tenant.
pub const TEAM: &str = "team-a";
pub const OTHER_TEAM: &str = "team-b";
/// How long an answer takes.
const LATENCY: Duration = Duration::from_millis(60);
const LAG: Duration = Duration::from_secs(7);

pub struct Tenant<'a> {
    pub plane: &'a ControlPlane,
    pub client: Client,
    pub fake: FakeAuth0,
}

impl<'a> Tenant<'a> {
    pub async fn new(plane: &'a ControlPlane, objects: usize) -> Self {
        let crds: String = rescind::api::crds().iter().map(|crd| format!("---\n{}", crd.yaml().unwrap())).collect();
        plane.apply(&crds).expect("the CRDs install");
        plane.run(&["wait", "--for=condition=Established", "crd", "--all"]).expect("the CRDs are established");
        let config = kube::config::Kubeconfig::from_yaml(&plane.kubeconfig()).unwrap();
        let config = kube::Config::from_custom_kubeconfig(config, &Default::default()).await.unwrap();
        let tenant = Self { plane, client: Client::try_from(config).unwrap(), fake: fake(objects) };
        tenant.refill();
        tenant.reserve(0);
        tenant
    }

    /// Full buckets, as after a quiet minute.
    pub fn refill(&self) {
        for group in [Group::MembersWrite, Group::MembersRead, Group::UserOrgsRead] {
            self.fake.limit(group, Bucket::new(BURST as u32, REFILL));
        }
    }

    /// Both teams' tenant objects, with this `reservePercent`. They have the same credential.
    pub fn reserve(&self, percent: u32) {
        let token = self.fake.token(&self.fake.all_scopes());
        let documents = [TEAM, OTHER_TEAM].map(|namespace| {
            let labels = json!({"rescind.dev/credentials": "true"});
            let secret = json!({
                "apiVersion": "v1", "kind": "Secret", "stringData": {"token": token},
                "metadata": {"name": "auth0-management", "namespace": namespace, "labels": labels},
            });
            let tenant = json!({
                "apiVersion": "rescind.dev/v1alpha1", "kind": "Auth0Tenant",
                "metadata": {"name": "default", "namespace": namespace},
                "spec": {
                    "domain": self.fake.domain(),
                    "caBundle": self.fake.ca_base64(),
                    "credentials": {"tokenSecretRef": {"name": "auth0-management"}},
                    "rateLimit": {"maxRequestsPerSecond": 5000, "reservePercent": percent},
                    "verification": "After",
                },
            });
            let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
            format!("---\n{namespace}\n---\n{secret}\n---\n{tenant}\n")
        });
        self.plane.apply(&documents.concat()).expect("namespaces, Secrets and tenants");
    }

    pub fn api(&self, namespace: &str) -> Api<OrgMembershipRemoval> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// One object for each of these members of the organization.
    pub async fn apply(&self, namespace: &str, organization: &str, members: impl Iterator<Item = String>) {
        let api = self.api(namespace);
        let put = |(n, member): (usize, String)| {
            let (api, organization) = (api.clone(), organization.to_owned());
            async move {
                let name = format!("{}-{n:06}", organization.to_ascii_lowercase().replace('_', "-"));
                let manifest = manifest(&name, &organization, &member);
                api.patch(&name, &PatchParams::apply("bench").force(), &Patch::Apply(manifest)).await.expect("applied");
            }
        };
        futures::stream::iter(members.enumerate().map(put)).buffer_unordered(16).collect::<Vec<()>>().await;
    }
}

fn manifest(name: &str, organization: &str, member: &str) -> Value {
    json!({
        "apiVersion": "rescind.dev/v1alpha1", "kind": "OrgMembershipRemoval", "metadata": {"name": name},
        "spec": {"organizationId": organization, "members": [member]},
    })
}

/// The organizations; ids as Auth0 makes them.
pub const LEAVING: &str = "org_aaaaaaaaaaaaaaaa";
pub const OTHER: &str = "org_bbbbbbbbbbbbbbbb";
pub const SHARED: &str = "org_cccccccccccccccc";
pub const NAIVE: &str = "org_dddddddddddddddd";

pub fn member(organization: &str, number: usize) -> String {
    format!("auth0|{}{number:023}", &organization[4..5])
}

fn fake(objects: usize) -> FakeAuth0 {
    let (started, start) = mpsc::channel();
    let serve = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let _ = started.send(FakeAuth0::start().await);
            std::future::pending::<()>().await;
        });
    };
    std::thread::Builder::new().name("fake-auth0".to_owned()).spawn(serve).unwrap();
    let fake = start.recv().expect("a fake Auth0");
    fake.edit(|tenant| {
        for (organization, members) in
            [(LEAVING, objects + objects / 20), (OTHER, 1), (SHARED, objects / 4), (NAIVE, objects / 5)]
        {
            let members: Vec<String> = (0..members).map(|n| member(organization, n)).collect();
            tenant.users(members.iter().cloned());
            tenant.organization(organization).members(&members);
        }
    });
    fake.fault(Fault::delay(LATENCY));
    fake.lag(Kind::GetMembers, Lag::For(LAG));
    fake
}
