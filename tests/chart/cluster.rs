//! Control planes, clients, and helpers that wait. Nothing here sleeps: the helpers watch for what they wait for.

use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Patch, PatchParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use stack::ControlPlane;
use tokio::task::JoinHandle;

/// The longest wait for anything; a test that reaches it has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The control plane shared by the tests that stay within their own namespaces, with the CRDs of `crds/` and those of
/// the Prometheus operator.
pub fn shared() -> &'static ControlPlane {
    static PLANE: std::sync::OnceLock<ControlPlane> = std::sync::OnceLock::new();
    PLANE.get_or_init(|| {
        let plane = start();
        let crds: String = rescind::api::crds().iter().map(|crd| format!("---\n{}", crd.yaml().unwrap())).collect();
        plane.apply(&crds).expect("the CRDs install");
        let prometheus = stack::binaries::source("prometheus-operator").expect("the Prometheus operator's CRDs");
        for kind in ["podmonitors", "prometheusrules", "servicemonitors"] {
            let file = format!("example/prometheus-operator-crd/monitoring.coreos.com_{kind}.yaml");
            plane
                .run(&["apply", "--server-side", "-f", prometheus.join(file).to_str().unwrap()])
                .expect("they install");
        }
        plane.run(&["wait", "--for=condition=Established", "crd", "--all"]).expect("the CRDs are established");
        plane
    })
}

/// Starts an empty control plane.
pub fn start() -> ControlPlane {
    let _ = rustls::crypto::ring::default_provider().install_default();
    ControlPlane::start().expect("a control plane")
}

pub fn namespace(plane: &ControlPlane, name: &str) {
    plane.run(&["create", "namespace", name]).expect("a namespace");
}

/// A client with the rights of the administrator.
pub async fn client(plane: &ControlPlane) -> Client {
    Client::try_from(crate::fixtures::admin(plane).await).unwrap()
}

/// Panics instead of waiting for ever.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what}: not within the test's patience"))
}

/// Polls `kubectl auth can-i`, because roles take effect a moment after they are written, which cannot be watched.
pub fn wait_until_allowed(plane: &ControlPlane, account: &str, verb: &str, resource: &str, namespace: &[&str]) {
    let started = Instant::now();
    let who = format!("--as={account}");
    let mut args = vec!["auth", "can-i", verb, resource, &who];
    args.extend(namespace);
    while !plane.kubectl(&args).unwrap().status.success() {
        assert!(started.elapsed() < PATIENCE, "{account} may not {verb} {resource}");
    }
}

/// Stands in for the deployment controller: marks every Deployment as rolled out as soon as it is written. Ends when
/// dropped.
pub struct Controller(JoinHandle<()>);

impl Controller {
    pub fn start(client: Client) -> Self {
        Self(tokio::spawn(async move {
            let all: Api<Deployment> = Api::all(client.clone());
            let mut written = watcher(all, watcher::Config::default()).default_backoff().applied_objects().boxed();
            while let Some(deployment) = written.try_next().await.transpose() {
                let Ok(deployment) = deployment else { continue };
                let observed = deployment.status.as_ref().and_then(|status| status.observed_generation);
                if observed == deployment.metadata.generation {
                    continue;
                }
                let replicas = deployment.spec.as_ref().and_then(|spec| spec.replicas);
                let api: Api<Deployment> = Api::namespaced(client.clone(), &deployment.namespace().unwrap());
                let condition = |type_: &str, reason: &str| {
                    json!({
                        "type": type_, "status": "True", "reason": reason, "message": "",
                    })
                };
                let status = json!({"status": {
                    "observedGeneration": deployment.metadata.generation,
                    "replicas": replicas, "updatedReplicas": replicas,
                    "readyReplicas": replicas, "availableReplicas": replicas,
                    "conditions": [
                        condition("Available", "MinimumReplicasAvailable"),
                        condition("Progressing", "NewReplicaSetAvailable"),
                    ],
                }});
                // It may have been deleted meanwhile.
                let _ = api.patch_status(&deployment.name_any(), &PatchParams::default(), &Patch::Merge(status)).await;
            }
        }))
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        self.0.abort();
    }
}
