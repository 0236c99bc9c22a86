//! Where it happens: the control plane with the CRDs, a tenant, and a fake Auth0 with everything there is to remove.

use std::sync::mpsc;

use fake_auth0::{Bucket, FakeAuth0, Group};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use rescind::api::UserRoleRevocation;
use serde_json::{Value, json};
use stack::ControlPlane;

use crate::handover::HANDOVERS;

/// The namespace the operator watches.
pub const NAMESPACE: &str = "bench";
/// Objects here are for raw PATCHes; no operator sees them.
pub const RAW: &str = "bench-raw";

const ROLE: &str = "rol_bN1a2b3c4d5e6f7g";

pub struct World<'a> {
    pub plane: &'a ControlPlane,
    pub client: Client,
    pub fake: FakeAuth0,
    objects: usize,
    /// How many objects there are in [`NAMESPACE`]: the next one gets this number.
    pub used: usize,
    /// The same for [`RAW`].
    pub used_raw: usize,
    /// The status of a finished object, as the operator wrote it.
    pub status: Value,
}

impl<'a> World<'a> {
    /// On a control plane with the CRDs. Nothing is connected yet.
    pub async fn new(plane: &'a ControlPlane, objects: usize) -> Self {
        plane.run(&["wait", "--for=condition=Established", "crd", "--all"]).expect("the CRDs are established");
        let fake = fake(objects + HANDOVERS + 1);
        let config = kube::config::Kubeconfig::from_yaml(&plane.kubeconfig()).unwrap();
        let config = kube::Config::from_custom_kubeconfig(config, &Default::default()).await.unwrap();
        let client = Client::try_from(config).unwrap();
        for namespace in [NAMESPACE, RAW] {
            plane.run(&["create", "namespace", namespace]).expect("a namespace");
        }
        Self { plane, client, fake, objects, used: 0, used_raw: 0, status: Value::Null }
    }

    /// Applies Secret, tenant, and a first removal.
    pub fn connect(&self, first: &Value) {
        let token = self.fake.token(&self.fake.all_scopes());
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "stringData": {"token": token},
            "metadata": {
                "name": "auth0-management", "namespace": NAMESPACE, "labels": {"rescind.dev/credentials": "true"},
            },
        });
        let tenant = json!({
            "apiVersion": "rescind.dev/v1alpha1", "kind": "Auth0Tenant",
            "metadata": {"name": "default", "namespace": NAMESPACE},
            "spec": {
                "domain": self.fake.domain(),
                "caBundle": self.fake.ca_base64(),
                "credentials": {"tokenSecretRef": {"name": "auth0-management"}},
                "rateLimit": {"maxRequestsPerSecond": 5000, "reservePercent": 0},
                "verification": "After",
            },
        });
        let documents: String = [&secret, &tenant, first].map(|manifest| format!("---\n{manifest}\n")).concat();
        self.plane.apply(&documents).expect("good manifests");
    }

    /// The numbers of objects that are not among those to be counted, up to [`HANDOVERS`].
    pub const fn spare(&self, number: usize) -> usize {
        self.objects + number
    }

    pub fn api(&self, namespace: &str) -> Api<UserRoleRevocation> {
        Api::namespaced(self.client.clone(), namespace)
    }
}

/// The manifest of the object with this number; each names a user of its own.
pub fn manifest(namespace: &str, number: usize) -> Value {
    json!({
        "apiVersion": "rescind.dev/v1alpha1",
        "kind": "UserRoleRevocation",
        "metadata": {"name": name(number), "namespace": namespace},
        "spec": {"userId": user(number), "roles": [ROLE]},
    })
}

pub fn name(number: usize) -> String {
    format!("leaver-{number:06}")
}

fn user(number: usize) -> String {
    format!("auth0|5f7c8ec7c33c6c00{number:08}")
}

/// Applies an object and returns its uid.
pub async fn apply(api: &Api<UserRoleRevocation>, namespace: &str, number: usize) -> String {
    let params = PatchParams::apply("bench").force();
    let applied = api.patch(&name(number), &params, &Patch::Apply(manifest(namespace, number))).await;
    applied.expect("a good manifest").metadata.uid.unwrap()
}

/// A fake without limits, on a thread of its own, in which users `0..objects` hold the role.
fn fake(objects: usize) -> FakeAuth0 {
    let (started, start) = mpsc::channel();
    let serve = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let _ = started.send(FakeAuth0::start().await);
            std::future::pending::<()>().await;
        });
    };
    std::thread::Builder::new().name(crate::counters::FAKE_THREAD.to_owned()).spawn(serve).unwrap();
    let fake = start.recv().expect("a fake Auth0");
    // No limit that is ever reached, but reported: where nothing is reported, the operator starts gently.
    fake.limit(Group::Global, Bucket::new(100_000, 100_000.0));
    fake.edit(|tenant| {
        for number in 0..objects {
            tenant.user(user(number)).role(ROLE);
        }
    });
    fake
}
