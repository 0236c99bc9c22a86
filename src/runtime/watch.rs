//! One watch: a stream with a backoff of its own that fills a cache and never ends.
//!
//! Its errors are shown here and hidden from the controllers: the stream's items are always `Ok`, which would otherwise pause every stream for one
//! (rust-toolbox.md section 7, trap 4). Objects that cannot be read are left out, one by one.

use std::fmt::Debug;
use std::sync::Arc;

use futures::{Stream, StreamExt};
use kube::core::DeserializeGuard;
use kube::runtime::reflector::{self, Store};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tracing::{debug, warn};

use crate::revocation::Freshness;

use super::Readiness;

/// A watch ends and starts anew after this many seconds, below the 240 s after which balancers drop idle links; a dead
/// connection is noticed five seconds later (reliability.md B4).
const WATCH_SECONDS: u32 = 220;

/// A cache and what is known of its watch.
pub(super) struct Cache<K: Resource<DynamicType = ()> + Clone + 'static> {
    pub(super) store: Store<K>,
    pub(super) fresh: Arc<Freshness>,
    /// True once everything was listed. The store's own `wait_until_ready` wakes only the last of several waiters.
    pub(super) listed: tokio::sync::watch::Receiver<bool>,
}

/// Starts watching `K` in `namespace` (all if none). The stream yields the events after the cache took them; it must be
/// polled for the cache to fill.
pub(super) fn watch_kind<K>(
    client: &Client,
    namespace: Option<&str>,
    labels: Option<&str>,
    readiness: &Readiness,
) -> (Cache<K>, impl Stream<Item = watcher::Result<Event<K>>> + Send + 'static + use<K>)
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    K::Scope: Namespaced<K>,
{
    let api = K::Scope::api(client.clone(), namespace);
    let name = match namespace {
        Some(namespace) => format!("{} in namespace {namespace}", K::plural(&())),
        None => format!("{} in all namespaces", K::plural(&())),
    };
    readiness.expect(&name);
    let mut config = watcher::Config::default().timeout(WATCH_SECONDS);
    if let Some(labels) = labels {
        config = config.labels(labels);
    }
    let (store, writer) = reflector::store::<K>();
    let fresh = Arc::new(Freshness::default());
    let (tell_listed, listed) = tokio::sync::watch::channel(false);
    let (heard, readiness, shown) = (fresh.clone(), readiness.clone(), name.clone());
    let stream = watch(api, config)
        .default_backoff()
        .filter_map(move |event| std::future::ready(usable(event, &shown)))
        .modify(prune)
        .reflect(writer)
        .inspect(move |event| {
            heard.heard();
            if matches!(event, Ok(Event::InitDone)) {
                readiness.ready(&name);
                tell_listed.send_replace(true);
            }
        });
    (Cache { store, fresh, listed }, stream)
}

/// The right `Api` for namespaced kinds.
pub(super) trait Namespaced<K: Resource> {
    fn api(client: Client, namespace: Option<&str>) -> Api<DeserializeGuard<K>>;
}

impl<K> Namespaced<K> for k8s_openapi::NamespaceResourceScope
where
    K: Resource<DynamicType = (), Scope = Self>,
{
    fn api(client: Client, namespace: Option<&str>) -> Api<DeserializeGuard<K>> {
        match namespace {
            Some(namespace) => Api::namespaced(client, namespace),
            None => Api::all(client),
        }
    }
}

fn usable<K: Resource<DynamicType = ()>>(
    event: Result<Event<DeserializeGuard<K>>, watcher::Error>,
    name: &str,
) -> Option<watcher::Result<Event<K>>> {
    let readable = |guard: DeserializeGuard<K>| {
        guard
            .0
            .map_err(|invalid| {
                let meta = &invalid.metadata;
                let (namespace, object) = (meta.namespace.as_deref(), meta.name.as_deref());
                // The library's words may quote the object, and a Secret is an object.
                warn!(
                    watch = name,
                    namespace, object, "an object cannot be read and is left out; was it stored by an older CRD?"
                );
            })
            .ok()
    };
    match event {
        Ok(Event::Apply(guard)) => readable(guard).map(Event::Apply).map(Ok),
        Ok(Event::InitApply(guard)) => readable(guard).map(Event::InitApply).map(Ok),
        Ok(Event::Delete(guard)) => readable(guard).map(Event::Delete).map(Ok),
        Ok(Event::Init) => Some(Ok(Event::Init)),
        Ok(Event::InitDone) => Some(Ok(Event::InitDone)),
        Err(error) => {
            match &error {
                watcher::Error::InitialListFailed(kube::Error::Api(s)) if s.is_not_found() => {
                    warn!(watch = name, "the kind is not installed: apply the CRDs; trying again");
                }
                watcher::Error::InitialListFailed(kube::Error::Api(s)) if s.is_forbidden() => {
                    warn!(watch = name, "not allowed to list: check the operator's RBAC; trying again");
                }
                // A watch that ran out is ordinary.
                watcher::Error::WatchError(status) if status.code == 410 => debug!(watch = name, "listing anew"),
                _ => {
                    let error: String = error.to_string().chars().take(160).collect();
                    warn!(watch = name, "the watch failed and is started again: {error}");
                }
            }
            None
        }
    }
}

/// Nobody reads these, and they are most of an object's size; the last-applied annotation of a Secret is a copy of it.
fn prune<K: Resource>(object: &mut K) {
    object.meta_mut().managed_fields = None;
    object.annotations_mut().remove("kubectl.kubernetes.io/last-applied-configuration");
}
