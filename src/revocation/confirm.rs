//! Asks the API server whether what the caches hold still stands, for the preflight check. The caches of tenants and
//! namespaces answer by themselves while they are fresh.

use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::PartialObjectMeta;
use kube::{Api, Client};
use serde::de::DeserializeOwned;
use tracing::debug;

use crate::api::{Auth0Tenant, ClusterAuth0Tenant};
use crate::clock;
use crate::dispatch::{Refusal, Removal};
use crate::sync::lock;
use crate::tenant::{Applicant, ItemId, TenantKey, TenantState, Tenants};

/// For how long a confirmation by the API server serves other calls, too.
const CONFIRMED_FOR: Duration = Duration::from_secs(1);

/// Whether the watch of a cache heard from the API server within the last second.
pub type IsFresh = Arc<dyn Fn() -> bool + Send + Sync>;

/// The caches of cluster-scoped tenants and of namespaces.
#[derive(Clone)]
pub struct ClusterIsFresh {
    /// Of `ClusterAuth0Tenant`.
    pub tenants: IsFresh,
    /// Of namespaces.
    pub namespaces: IsFresh,
}

/// The part of the check that is about the tenants of a scope.
pub struct TenantCheck {
    tenants: Arc<Tenants>,
    is_fresh: IsFresh,
    /// None: cluster-scoped tenants are not served.
    cluster_is_fresh: Option<ClusterIsFresh>,
    confirmed_tenants: Confirmed<TenantKey>,
    confirmed_namespaces: Confirmed<String>,
}

/// When the API server confirmed what; older than [`CONFIRMED_FOR`] are dropped. Calls that are checked at the same time
/// wait for one request.
struct Confirmed<K>(Mutex<HashMap<K, Arc<tokio::sync::Mutex<Option<Instant>>>>>);

impl<K: Clone + Eq + Hash> Confirmed<K> {
    fn is_recent(at: Instant) -> bool {
        clock::steady().saturating_duration_since(at) < CONFIRMED_FOR
    }

    /// Confirms `key`, unless that was done a moment ago.
    async fn confirm(&self, key: &K, request: impl Future<Output = Result<(), Refusal>>) -> Result<(), Refusal> {
        let began = clock::steady();
        let entry = {
            let mut confirmed = lock(&self.0);
            // An entry that only this map holds is not being confirmed.
            let is_used = |at: &Arc<tokio::sync::Mutex<Option<Instant>>>| {
                Arc::strong_count(at) > 1 || at.try_lock().is_ok_and(|at| at.is_some_and(Self::is_recent))
            };
            if !confirmed.contains_key(key) {
                confirmed.retain(|_, at| is_used(at));
            }
            confirmed.entry(key.clone()).or_default().clone()
        };
        let mut confirmed_at = entry.lock().await;
        // The answer may have taken long, but it was asked for late enough.
        if !confirmed_at.is_some_and(|at| began.saturating_duration_since(at) < CONFIRMED_FOR) {
            let requested_at = clock::steady();
            request.await?;
            *confirmed_at = Some(requested_at);
        }
        Ok(())
    }
}

impl TenantCheck {
    /// A check of the tenants in `tenants`; `is_fresh` is about the cache of `Auth0Tenant`.
    pub fn new(tenants: Arc<Tenants>, is_fresh: IsFresh, cluster_is_fresh: Option<ClusterIsFresh>) -> Arc<Self> {
        let (confirmed_tenants, confirmed_namespaces) = (Confirmed(Mutex::default()), Confirmed(Mutex::default()));
        Arc::new(Self { tenants, is_fresh, cluster_is_fresh, confirmed_tenants, confirmed_namespaces })
    }

    /// Waits for the access token of a tenant that has none at the moment.
    pub(super) async fn await_token(&self, key: &TenantKey) -> Result<(), Refusal> {
        if self.tenants.wait_for_token(key).await { Ok(()) } else { Err(Refusal::TenantNotReady) }
    }

    /// Draws the items of a removal from the allotment of its tenant's brake; waits for one if there is none.
    pub(super) async fn draw(&self, key: &TenantKey, namespace: &Arc<str>, removal: &Removal) -> Result<(), Refusal> {
        let generation = self.tenants.get(key).and_then(|tenant| tenant.metadata().generation);
        let generation = generation.ok_or(Refusal::TenantNotReady)?;
        self.tenants.brakes().draw(key, namespace, &ItemId::of(removal), generation).await
    }

    /// The items of a removal are sent now. Returns false if they may not be, because they were not drawn.
    pub(super) fn send(&self, key: &TenantKey, namespace: &str, removal: &Removal) -> bool {
        self.tenants.brakes().send(key, namespace, &ItemId::of(removal))
    }

    /// What the removal needs to know of its tenant, by the caches.
    pub(super) fn state(&self, key: &TenantKey, applicant: &Applicant<'_>) -> TenantState {
        self.tenants.state(key, applicant)
    }

    /// Confirms with the API server that the tenant object is what the cache holds, unless the cache is fresh or
    /// another call has just done so.
    pub(super) async fn confirm(&self, client: &Client, key: &TenantKey) -> Result<(), Refusal> {
        let is_fresh = match &key.namespace {
            Some(_) => &self.is_fresh,
            None => &self.cluster_is_fresh.as_ref().ok_or(Refusal::TenantNotReady)?.tenants,
        };
        if is_fresh() {
            return Ok(());
        }
        self.confirmed_tenants.confirm(key, self.request_tenant(client, key)).await
    }

    async fn request_tenant(&self, client: &Client, key: &TenantKey) -> Result<(), Refusal> {
        let cached = self.tenants.get(key).ok_or(Refusal::TenantNotReady)?;
        let ObjectMeta { uid, generation, .. } = cached.metadata();
        let (uid, is_edited) = (uid.as_deref(), |meta: &ObjectMeta| meta.generation != *generation);
        let comparison = match &key.namespace {
            Some(namespace) => {
                let api: Api<Auth0Tenant> = Api::namespaced(client.clone(), namespace);
                compare(&api, &key.name, uid, is_edited).await
            }
            None => {
                let api: Api<ClusterAuth0Tenant> = Api::all(client.clone());
                compare(&api, &key.name, uid, is_edited).await
            }
        };
        match comparison {
            Comparison::Same => Ok(()),
            Comparison::Gone => Err(Refusal::TenantNotReady),
            // The cache will hear of the edit.
            Comparison::Edited | Comparison::Unknown => Err(Refusal::Unconfirmed),
        }
    }

    /// Confirms with the API server that the namespace has the labels that the cache holds, by which a cluster-scoped
    /// tenant admits it. Other tenants do not depend on them.
    pub(super) async fn confirm_namespace(
        &self,
        client: &Client,
        tenant: &TenantKey,
        name: &str,
    ) -> Result<(), Refusal> {
        if tenant.namespace.is_some() {
            return Ok(());
        }
        let is_fresh = &self.cluster_is_fresh.as_ref().ok_or(Refusal::TenantNotReady)?.namespaces;
        if is_fresh() {
            return Ok(());
        }
        self.confirmed_namespaces.confirm(&name.to_owned(), self.request_namespace(client, name)).await
    }

    async fn request_namespace(&self, client: &Client, name: &str) -> Result<(), Refusal> {
        let cached = self.tenants.namespace(name).ok_or(Refusal::TenantNotReady)?;
        let api: Api<Namespace> = Api::all(client.clone());
        let has_other_labels = |meta: &ObjectMeta| meta.labels != cached.metadata.labels;
        match compare(&api, name, cached.metadata.uid.as_deref(), has_other_labels).await {
            Comparison::Same => Ok(()),
            // A namespace that is being deleted deletes its objects, too.
            Comparison::Gone => Err(Refusal::Gone),
            // The cache will hear of the labels.
            Comparison::Edited | Comparison::Unknown => Err(Refusal::Unconfirmed),
        }
    }
}

/// An object in the API server, compared with what a cache holds of it.
pub(super) enum Comparison {
    Same,
    /// What counts of it has changed.
    Edited,
    /// It is gone, about to be deleted, or another object of the same name.
    Gone,
    /// The API server gave no usable answer.
    Unknown,
}

/// Compares the object of this name with one that has this uid; `is_edited` looks at what counts of its metadata.
pub(super) async fn compare<K>(
    api: &Api<K>,
    name: &str,
    uid: Option<&str>,
    is_edited: impl Fn(&ObjectMeta) -> bool,
) -> Comparison
where
    K: kube::Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    match api.get_metadata(name).await {
        Ok(PartialObjectMeta { metadata, .. }) => match () {
            () if metadata.uid.as_deref() != uid || metadata.deletion_timestamp.is_some() => Comparison::Gone,
            () if is_edited(&metadata) => Comparison::Edited,
            () => Comparison::Same,
        },
        Err(kube::Error::Api(response)) if response.is_not_found() => Comparison::Gone,
        Err(error) => {
            debug!(kind = %K::kind(&()), name, "the API server did not confirm the object: {error}");
            Comparison::Unknown
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{Request, Response};
    use kube::client::Body;
    use serde_json::{Value, json};

    use super::*;

    /// Compares what the API server answers with an object of uid `u` in generation 1.
    async fn compared(status: u16, metadata: Value) -> &'static str {
        let reason = if status == 404 { "NotFound" } else { "Forbidden" };
        let body = json!({
            "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": metadata,
            "code": status, "status": "Failure", "reason": reason, "message": "",
        });
        let service = tower::service_fn(move |_: Request<Body>| {
            let answer = Response::builder().status(status).body(Body::from(body.to_string().into_bytes()));
            std::future::ready(Ok::<_, std::convert::Infallible>(answer.unwrap()))
        });
        let api: Api<Auth0Tenant> = Api::namespaced(kube::Client::new(service, "n"), "n");
        match compare(&api, "t", Some("u"), |meta| meta.generation != Some(1)).await {
            Comparison::Same => "same",
            Comparison::Edited => "edited",
            Comparison::Gone => "gone",
            Comparison::Unknown => "unknown",
        }
    }

    /// An answer that takes longer than it counts still serves those who waited for it.
    #[tokio::test(start_paused = true)]
    async fn a_slow_answer_confirms_all() {
        let (confirmed, requests) = (&Confirmed(Mutex::default()), &Mutex::new(0));
        let confirm = || {
            confirmed.confirm(&"t", async {
                *lock(requests) += 1;
                tokio::time::sleep(CONFIRMED_FOR * 2).await;
                Ok(())
            })
        };
        assert_eq!(futures::future::join_all((0..9).map(|_| confirm())).await, vec![Ok(()); 9]);
        assert_eq!(*lock(requests), 1);
    }

    /// Calls that are checked together cause one request; one that failed confirms nothing.
    #[tokio::test(start_paused = true)]
    async fn what_is_confirmed_together_is_asked_once() {
        let (confirmed, requests) = (&Confirmed(Mutex::default()), &Mutex::new(0));
        let confirm = |answer: Result<(), Refusal>| {
            confirmed.confirm(&"t", async move {
                *lock(requests) += 1;
                tokio::time::sleep(Duration::from_millis(20)).await;
                answer
            })
        };
        let refused = confirm(Err(Refusal::Unconfirmed)).await;
        assert_eq!((refused, *lock(requests)), (Err(Refusal::Unconfirmed), 1));
        for expected in [2, 3] {
            let all = futures::future::join_all((0..9).map(|_| confirm(Ok(())))).await;
            assert_eq!((all, *lock(requests)), (vec![Ok(()); 9], expected));
            tokio::time::advance(CONFIRMED_FOR).await;
        }
        confirmed.confirm(&"other", async { Ok(()) }).await.unwrap();
        assert_eq!(lock(&confirmed.0).len(), 1, "what was confirmed long ago is dropped");
    }

    #[tokio::test]
    async fn what_is_being_deleted_is_gone() {
        let deleted = "2026-11-21T02:44:00Z";
        for (status, metadata, expected) in [
            (200, json!({"name": "t", "uid": "u", "generation": 1}), "same"),
            (200, json!({"name": "t", "uid": "u", "generation": 2}), "edited"),
            (200, json!({"name": "t", "uid": "v", "generation": 1}), "gone"),
            (200, json!({"name": "t", "uid": "u", "generation": 1, "deletionTimestamp": deleted}), "gone"),
            (404, json!({}), "gone"),
            (403, json!({}), "unknown"),
            (500, json!({}), "unknown"),
        ] {
            assert_eq!(compared(status, metadata.clone()).await, expected, "{status} {metadata}");
        }
    }
}
