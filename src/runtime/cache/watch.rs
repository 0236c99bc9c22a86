//! One watch: a stream with a backoff of its own that fills a cache and never ends.
//!
//! Its errors are told to [`Readiness`] and hidden from the controllers: the stream's items are always `Ok`, which would
//! otherwise pause every stream for one (rust-toolbox.md section 7, trap 4). Objects that cannot be read are left out, one
//! by one.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{Stream, StreamExt, TryStreamExt};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::{self, Store};
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tracing::{debug, warn};

use crate::runtime::kube_error::explain;
use crate::telemetry::readiness::Readiness;

use super::freshness::Freshness;
use super::resync::{Resync, is_gone};
use super::store_writer::StoreWriter;

/// How long watches live.
#[derive(Clone, Copy, Debug)]
pub struct WatchTiming {
    /// A watch ends and goes on with another request after this many seconds. Below the 240 s after which balancers drop
    /// idle links; a dead connection is noticed five seconds later (reliability.md B4).
    pub seconds: u32,
    /// After this long everything is listed anew, to find what a watch was never told (reliability.md B5). Thousands of
    /// objects cost a few requests then, and nothing at Auth0.
    pub list_every: Duration,
}

impl Default for WatchTiming {
    fn default() -> Self {
        Self { seconds: 220, list_every: Duration::from_secs(3600) }
    }
}

/// Pauses after errors: doubling up to this, so that whatever comes back is noticed soon and nobody is flooded.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Without an error for this long, pauses begin anew.
const CALM: Duration = Duration::from_secs(60);

/// A cache and what is known of its watch.
pub(crate) struct Cache<K: Resource<DynamicType = ()> + Clone + 'static> {
    pub(crate) store: Store<K>,
    fresh: Arc<Freshness>,
    /// True once everything was listed. The store's own `wait_until_ready` wakes only the last of several waiters.
    pub(crate) listed: tokio::sync::watch::Receiver<bool>,
}

impl<K: Resource<DynamicType = ()> + Clone + 'static> Cache<K> {
    /// Tells, whenever it is asked, whether the cache has heard from the API server a moment ago.
    pub(crate) fn is_fresh(&self) -> Arc<dyn Fn() -> bool + Send + Sync> {
        let fresh = self.fresh.clone();
        Arc::new(move || fresh.is_fresh())
    }
}

/// Starts watching `K` in `namespace` (all if none). The stream yields the events after the cache took them; it must be
/// polled for the cache to fill.
pub(crate) fn watch_kind<K>(
    client: &Client,
    namespace: Option<&str>,
    labels: Option<&str>,
    timing: WatchTiming,
    readiness: &Readiness,
) -> (Cache<K>, impl Stream<Item = watcher::Result<Event<K>>> + Send + 'static + use<K>)
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    K::Scope: Namespaced<K>,
{
    let api = K::Scope::api(client.clone(), namespace);
    let name = match namespace {
        Some(namespace) => format!("the list of {} in namespace {namespace}", K::plural(&())),
        None => format!("the list of {} in all namespaces", K::plural(&())),
    };
    readiness.expect(&name);
    let mut config = watcher::Config::default().timeout(timing.seconds);
    if let Some(labels) = labels {
        config = config.labels(labels);
    }
    let (store, writer) = reflector::store::<K>();
    let fresh = Arc::new(Freshness::default());
    let (tell_listed, listed) = tokio::sync::watch::channel(false);
    let (board, readiness, shown) = (readiness.clone(), readiness.clone(), name.clone());
    let begin = move || watch(api.clone(), config.clone()).boxed();
    let mut events = Resync::new(timing.list_every, begin).backoff(Pauses::default()).boxed();
    let (pulse, pulsed) = (readiness.clone(), name.clone());
    // An idle watch yields nothing for hours, but it is polled at its every timeout.
    let events = futures::stream::poll_fn(move |cx| {
        pulse.pulse(&pulsed);
        events.poll_next_unpin(cx)
    });
    let mut store_writer = StoreWriter::new(writer, fresh.clone());
    let stream = events
        .filter_map(move |event| std::future::ready(usable(event, &shown, &board)))
        .modify(prune)
        .map_ok(move |event| {
            let complete = matches!(event, Event::InitDone);
            let told = store_writer.take(event);
            if complete {
                readiness.ready(&name);
                tell_listed.send_replace(true);
            }
            futures::stream::iter(told.into_iter().map(Ok))
        })
        .try_flatten();
    (Cache { store, fresh, listed }, stream)
}

/// kube's own begins anew with every try to list, so it never gets longer while there is nothing to list.
#[derive(Debug, Default)]
struct Pauses {
    errors: u32,
    last: Option<Instant>,
}

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        if self.last.is_none_or(|last| last.elapsed() > CALM) {
            self.errors = 0;
        }
        self.last = Some(Instant::now());
        let pause = Duration::from_millis(500).saturating_mul(1 << self.errors.min(8));
        self.errors = self.errors.saturating_add(1);
        Some(pause.min(LONGEST_PAUSE).mul_f64(1.0 + 0.2 * fastrand::f64()))
    }
}

impl Backoff for Pauses {
    fn reset(&mut self) {}
}

/// The right `Api` for namespaced kinds.
pub(crate) trait Namespaced<K: Resource> {
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
    readiness: &Readiness,
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
        // A watch that ran out is ordinary.
        Err(error) if is_gone(&error) => {
            debug!(watch = name, "its place is gone; listing anew");
            None
        }
        Err(error) => {
            let why = words(&error);
            debug!(watch = name, "trying again: {why}");
            readiness.problem(name, &why);
            None
        }
    }
}

/// What is wrong with a watch, and what to do.
fn words(error: &watcher::Error) -> String {
    use watcher::Error::{InitialListFailed, WatchFailed, WatchStartFailed};
    match error {
        InitialListFailed(kube::Error::Api(status)) | WatchStartFailed(kube::Error::Api(status))
            // Without the group there is not even a status, only the code.
            if status.code == 404 =>
        {
            "the kind is not installed; install the CRDs: rescind crds | kubectl apply --server-side -f -".to_owned()
        }
        InitialListFailed(kube::Error::Api(status)) | WatchStartFailed(kube::Error::Api(status))
            if status.code == 403 =>
        {
            "not allowed to list or watch: check the operator's RBAC".to_owned()
        }
        InitialListFailed(error) | WatchStartFailed(error) | WatchFailed(error) => explain(error),
        error => error.to_string().chars().take(160).collect(),
    }
}

/// Nobody reads these, and they are most of an object's size; the last-applied annotation of a Secret is a copy of it. Of
/// the managed fields the names of the managers are left, for the audit, but not those who wrote only the status.
fn prune<K: Resource>(object: &mut K) {
    if let Some(entries) = &mut object.meta_mut().managed_fields {
        entries.retain(|entry| entry.subresource.as_deref().unwrap_or_default().is_empty());
        for entry in entries.iter_mut() {
            *entry = ManagedFieldsEntry { manager: entry.manager.take(), ..ManagedFieldsEntry::default() };
        }
        entries.shrink_to_fit();
    }
    object.annotations_mut().remove("kubectl.kubernetes.io/last-applied-configuration");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Broken on purpose by a reset that resets: it failed.
    #[test]
    fn pauses_grow_although_every_try_begins_well() {
        let mut pauses = Pauses::default();
        let mut next = || {
            pauses.reset();
            pauses.next().unwrap()
        };
        let first = next();
        assert!(first < Duration::from_millis(601));
        let later = (0..60).map(|_| next()).last().unwrap();
        assert!(later >= LONGEST_PAUSE && later <= LONGEST_PAUSE * 2);
        pauses.last = Instant::now().checked_sub(CALM * 2);
        assert!(pauses.next().unwrap() < Duration::from_millis(601));
    }
}
