//! What the suites and the benchmark with an API server share: ids, and what connects a namespace to a fake tenant.

use fake_auth0::FakeAuth0;
use serde_json::{Value, json};
use stack::ControlPlane;

pub const USER: &str = "auth0|5f7c8ec7c33c6c004bbafe82";
pub const ROLE: &str = "rol_bN1a2b3c4d5e6f7g";
pub const ORG: &str = "org_9ybsU1dN2dKfDkBi";
pub const API: &str = "https://api.example.com/";

/// The name of the Secret with the token.
pub const SECRET: &str = "auth0-management";

/// The configuration of a client with the rights of the administrator.
pub async fn admin(plane: &ControlPlane) -> kube::Config {
    let kubeconfig = kube::config::Kubeconfig::from_yaml(&plane.kubeconfig()).unwrap();
    kube::Config::from_custom_kubeconfig(kubeconfig, &Default::default()).await.unwrap()
}

/// The label by which the owner of a Secret allows the operator to read it.
pub fn consent() -> Value {
    json!({"rescind.dev/credentials": "true"})
}

/// The Secret in `namespace`, with a token of all scopes.
pub fn secret(namespace: &str, fake: &FakeAuth0) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "stringData": {"token": fake.token(&fake.all_scopes())},
        "metadata": {"name": SECRET, "namespace": namespace, "labels": consent()},
    })
}

/// The spec of a tenant object that is connected to `fake` by that Secret.
pub fn tenant_spec(fake: &FakeAuth0) -> Value {
    json!({
        "domain": fake.domain(),
        "caBundle": fake.ca_base64(),
        "credentials": {"tokenSecretRef": {"name": SECRET}},
        "rateLimit": {"maxRequestsPerSecond": 1000},
        // Tests of the guards have brakes of their own.
        "brake": {"maxRemovals": 1_000_000, "maxShareOfOrganization": 100},
    })
}
