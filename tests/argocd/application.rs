//! An Application and its status.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams};
use kube::runtime::wait::await_condition;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::processes::{ArgoCd, NAMESPACE};
use crate::repository::Repository;

/// The longest wait for anything; Argo CD needs some seconds for most things.
const PATIENCE: Duration = Duration::from_secs(150);

const REFRESH: &str = "argocd.argoproj.io/refresh";

/// An Application with automated sync, prune and self-heal. Records every health it had.
pub struct Application {
    pub name: String,
    argocd: &'static ArgoCd,
    api: Api<DynamicObject>,
    healths: Arc<Mutex<Vec<String>>>,
    watch: JoinHandle<()>,
}

impl Application {
    pub async fn new(argocd: &'static ArgoCd, client: &Client, repository: &Repository, namespace: &str) -> Self {
        let object = json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
            "metadata": {"name": namespace, "namespace": NAMESPACE},
            "spec": {
                "project": "default",
                "source": {"repoURL": repository.url(), "targetRevision": "main", "path": "."},
                "destination": {"server": "https://kubernetes.default.svc", "namespace": namespace},
                "syncPolicy": {
                    "automated": {"prune": true, "selfHeal": true},
                    // No garbage collector would finish a foreground deletion.
                    "syncOptions": ["PrunePropagationPolicy=background"],
                    // The default is five retries, which take minutes.
                    "retry": {"limit": 1, "backoff": {"duration": "1s"}},
                },
            },
        });
        let api = Self::api(client);
        api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
        Self::watch(argocd, client, namespace)
    }

    fn api(client: &Client) -> Api<DynamicObject> {
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("argoproj.io", "v1alpha1", "Application"));
        Api::namespaced_with(client.clone(), NAMESPACE, &kind)
    }

    /// One that exists or will soon.
    pub fn watch(argocd: &'static ArgoCd, client: &Client, name: &str) -> Self {
        let api = Self::api(client);
        let healths = Arc::<Mutex<Vec<String>>>::default();
        let noted = healths.clone();
        let name = name.to_owned();
        let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
        let mut seen = watcher(api.clone(), config).default_backoff().applied_objects().boxed();
        let watch = tokio::spawn(async move {
            while let Some(seen) = seen.try_next().await.transpose() {
                let Some(health) =
                    seen.ok().and_then(|o| o.data["status"]["health"]["status"].as_str().map(str::to_owned))
                else {
                    continue;
                };
                let mut healths = noted.lock().unwrap();
                if healths.last() != Some(&health) {
                    healths.push(health);
                }
            }
        });
        Self { name, argocd, api, healths, watch }
    }

    /// Every health so far, in order, without repetitions.
    pub fn healths(&self) -> Vec<String> {
        self.healths.lock().unwrap().clone()
    }

    /// Waits until its status satisfies `condition`.
    pub async fn wait(&self, what: &str, condition: impl Fn(&Value) -> bool) -> Value {
        let last = Mutex::new(Value::Null);
        let met = |object: Option<&DynamicObject>| {
            let status = object.map(|object| object.data["status"].clone()).unwrap_or_default();
            let met = condition(&status);
            *last.lock().unwrap() = status;
            met
        };
        let waited = tokio::time::timeout(PATIENCE, await_condition(self.api.clone(), &self.name, met)).await;
        let last = last.into_inner().unwrap();
        assert!(waited.is_ok_and(|waited| waited.is_ok()), "not {what}: {last:#}\n{}", self.argocd.logs());
        last
    }

    /// Waits until it is synced and has this health.
    pub async fn settled(&self, health: &str) -> Value {
        self.wait(health, |status| {
            status["health"]["status"] == health
                && status["sync"]["status"] == "Synced"
                && status["operationState"]["phase"] == "Succeeded"
        })
        .await
    }

    /// Makes it read Git now instead of every three minutes, and waits until it has.
    pub async fn refresh(&self) {
        let patch = json!({"metadata": {"annotations": {REFRESH: "normal"}}});
        self.api.patch(&self.name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
        let done = |object: Option<&DynamicObject>| object.is_some_and(|o| !o.annotations().contains_key(REFRESH));
        let waited = tokio::time::timeout(PATIENCE, await_condition(self.api.clone(), &self.name, done)).await;
        assert!(waited.is_ok_and(|waited| waited.is_ok()), "not refreshed\n{}", self.argocd.logs());
    }
}

/// The entry of one object in its status.
pub fn resource(status: &Value, name: &str) -> Value {
    let resources = status["resources"].as_array().cloned().unwrap_or_default();
    resources.into_iter().find(|resource| resource["name"] == name).unwrap_or_default()
}

impl Drop for Application {
    fn drop(&mut self) {
        self.watch.abort();
    }
}
