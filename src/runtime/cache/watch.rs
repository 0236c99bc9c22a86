//! One watch: a stream with a backoff of its own, which fills a cache and never ends.
//!
//! kube's `Controller` merges the streams of all its watches behind one backoff, so that an error of any pauses all of
//! them, and resets the backoff at every event, also at the one that begins a list. Here each watch retries by itself,
//! its errors go to [`Readiness`] and no further, and its backoff is reset only after a quiet minute. Objects that
//! cannot be read are left out, one by one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};
use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope};
use kube::runtime::reflector::{self, Store};
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::watch::{Receiver, Sender};
use tracing::{debug, warn};

use crate::api::{CREDENTIALS_LABEL, GROUP, RECONCILE_ANNOTATION, RELEASE_BRAKE_ANNOTATION, REQUESTED_BY_ANNOTATION};
use crate::kube_error::explain;
use crate::telemetry::readiness::Readiness;
use crate::tenant::Listing;

use super::freshness::Freshness;
use super::readable::Readable;
use super::resync::{Resync, is_expired};
use super::store_writer::{Change, Settle, StoreWriter, Uncached};

/// How long a watch lives, and how often its cache is listed again.
#[derive(Clone, Copy, Debug)]
pub struct WatchTiming {
    /// The API server ends a watch request after this many seconds, and the next one continues it. Below the 240 s
    /// after which load balancers drop idle connections. A dead connection is noticed five seconds later.
    pub seconds: u32,
    /// The interval of the resync: a complete list finds what a watch has missed. Ten thousand objects cost twenty
    /// requests to the API server and none to Auth0.
    pub list_every: Duration,
}

impl Default for WatchTiming {
    fn default() -> Self {
        Self { seconds: 220, list_every: Duration::from_secs(3600) }
    }
}

/// The backoff doubles up to this: short enough to notice soon that the API server is back.
const MAX_BACKOFF: Duration = Duration::from_secs(10);
/// After this long without an error the backoff starts again from its shortest pause.
const BACKOFF_RESET: Duration = Duration::from_secs(60);

/// A cache and the state of its watch.
pub(crate) struct Cache<K: Resource<DynamicType = ()> + Clone + 'static> {
    /// The objects that are not settled.
    pub(crate) store: Store<K>,
    /// The settled and the unreadable ones.
    pub(crate) uncached: Uncached,
    /// Whether a list was complete since the start.
    pub(crate) listing: Receiver<Listing>,
    fresh: Arc<Freshness>,
    health: WatchHealth,
}

impl<K: Resource<DynamicType = ()> + Clone + 'static> Cache<K> {
    /// A function that returns whether the cache is up to date ([`Freshness::is_fresh`]).
    pub(crate) fn is_fresh(&self) -> Arc<dyn Fn() -> bool + Send + Sync> {
        let fresh = self.fresh.clone();
        Arc::new(move || fresh.is_fresh())
    }

    /// A function that returns whether the list was complete once and the watch has had no problem since, or is over it.
    pub(crate) fn is_working(&self) -> impl Fn() -> bool + Send + Sync + 'static + use<K> {
        let (listing, health) = (self.listing.clone(), self.health.clone());
        move || *listing.borrow() == Listing::Complete && !health.readiness.has_problem(&health.name)
    }
}

/// What to watch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Selection<'a> {
    /// The namespace; all if `None`.
    pub(crate) namespace: Option<&'a str>,
    /// A label selector.
    pub(crate) labels: Option<&'a str>,
    pub(crate) timing: WatchTiming,
}

/// Watches `K`, which the operator needs. The stream yields each change after the cache has taken it; the cache fills
/// only while it is polled.
pub(crate) fn watch_kind<K>(
    client: &Client,
    selection: Selection<'_>,
    settle: Settle<K>,
    readiness: &Readiness,
) -> (Cache<K>, impl Stream<Item = Change<K>> + Send + 'static + use<K>)
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    K: Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let kind = format!("the list of {}", K::plural(&()));
    let name = match selection.namespace {
        Some(namespace) => format!("{kind} in namespace {namespace}"),
        None => format!("{kind} in all namespaces"),
    };
    readiness.expect(&name, &kind);
    let api = match selection.namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    let config = watcher::Config { label_selector: selection.labels.map(str::to_owned), ..Default::default() };
    watch_api(api, name, config, selection.timing, settle, readiness)
}

/// Watches the cluster-scoped kind `K`, or only its object of this name, without which the operator goes on.
pub(crate) fn watch_cluster<K>(
    client: &Client,
    only: Option<&str>,
    timing: WatchTiming,
    readiness: &Readiness,
) -> (Cache<K>, impl Stream<Item = Change<K>> + Send + 'static + use<K>)
where
    K: Resource<DynamicType = (), Scope = ClusterResourceScope>,
    K: Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let name = format!("the list of {}", K::plural(&()));
    readiness.expect_optional(&name);
    let config =
        watcher::Config { field_selector: only.map(|only| format!("metadata.name={only}")), ..Default::default() };
    watch_api(Api::all(client.clone()), name, config, timing, |_| None, readiness)
}

/// Watches what `api` serves, as the part `name` of the readiness.
fn watch_api<K>(
    api: Api<Readable<K>>,
    name: String,
    config: watcher::Config,
    timing: WatchTiming,
    settle: Settle<K>,
    readiness: &Readiness,
) -> (Cache<K>, impl Stream<Item = Change<K>> + Send + 'static + use<K>)
where
    K: Resource<DynamicType = ()>,
    K: Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let (store, writer) = reflector::store::<K>();
    let fresh = Arc::new(Freshness::default());
    let (set_listing, listing) = tokio::sync::watch::channel(Listing::NotYet);
    let start = watcher_of(api, config.timeout(timing.seconds));
    let mut events = Resync::new(timing.list_every, start).backoff(WatchBackoff::default()).boxed();
    let mut writer = StoreWriter::new(writer, fresh.clone(), settle);
    let health = WatchHealth { name, readiness: readiness.clone(), listing: set_listing };
    let cache = Cache { store, uncached: writer.uncached(), listing, fresh, health: health.clone() };
    let heartbeat = health.clone();
    // An idle watch yields nothing for hours, but it is polled at each of its timeouts.
    let events = futures::stream::poll_fn(move |cx| {
        heartbeat.readiness.heartbeat(&heartbeat.name);
        events.poll_next_unpin(cx)
    });
    let changes = events.flat_map(move |event| {
        let changes = match event {
            Ok(event) => {
                health.unreadable(&event);
                let complete = matches!(event, Event::InitDone);
                let changes = writer.take(event.modify(prune));
                if complete {
                    health.complete();
                }
                changes
            }
            Err(error) => {
                health.failed(&error, &K::group(&()));
                Vec::new()
            }
        };
        futures::stream::iter(changes)
    });
    (cache, changes)
}

/// A function that starts such a watcher, which begins with a list.
fn watcher_of<K>(
    api: Api<Readable<K>>,
    config: watcher::Config,
) -> impl Fn() -> BoxStream<'static, watcher::Result<Event<Readable<K>>>> + Send + 'static + use<K>
where
    K: Resource<DynamicType = ()>,
    K: Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    move || watch(api.clone(), config.clone()).boxed()
}

/// Reports the state of one watch to the probes and to those who wait for its first list.
#[derive(Clone)]
struct WatchHealth {
    name: String,
    readiness: Readiness,
    listing: Sender<Listing>,
}

impl WatchHealth {
    fn complete(&self) {
        self.readiness.ready(&self.name);
        self.listing.send_replace(Listing::Complete);
    }

    fn failed(&self, error: &watcher::Error, group: &str) {
        // The API server keeps a few minutes of history, so this is ordinary.
        if is_expired(error) {
            debug!(watch = self.name, "the resource version has expired; listing again");
            return;
        }
        let why = describe(error, group);
        debug!(watch = self.name, "retrying: {why}");
        self.readiness.problem(&self.name, &why);
        self.listing.send_if_modified(|listing| {
            // What was complete once stays so, because the cache keeps its objects.
            let is_news = !matches!(listing, Listing::Complete) && *listing != Listing::Failing(why.clone());
            if is_news {
                *listing = Listing::Failing(why);
            }
            is_news
        });
    }

    fn unreadable<K: Resource>(&self, event: &Event<Readable<K>>) {
        if let Event::Apply(Readable(Err(meta))) | Event::InitApply(Readable(Err(meta))) = event {
            let (namespace, object) = (meta.namespace.as_deref(), meta.name.as_deref());
            warn!(
                watch = self.name,
                namespace, object, "an object cannot be read and is left out; was it stored by an older CRD?"
            );
        }
    }
}

/// kube's own backoff is reset by the event that begins each attempt to list, so it never grows while lists fail. This
/// one ignores that reset.
#[derive(Debug, Default)]
struct WatchBackoff {
    errors: u32,
    last: Option<Instant>,
}

impl Iterator for WatchBackoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        if self.last.is_none_or(|last| last.elapsed() > BACKOFF_RESET) {
            self.errors = 0;
        }
        self.last = Some(Instant::now());
        let pause = Duration::from_millis(500).saturating_mul(1 << self.errors.min(8));
        self.errors = self.errors.saturating_add(1);
        Some(pause.min(MAX_BACKOFF).mul_f64(1.0 + 0.2 * fastrand::f64()))
    }
}

impl Backoff for WatchBackoff {
    fn reset(&mut self) {}
}

/// What is wrong with a watch of a kind of this group, and what to do, for logs, probes and status.
#[allow(clippy::wildcard_enum_match_arm, reason = "the enum is of another crate")]
fn describe(error: &watcher::Error, group: &str) -> String {
    use watcher::Error::{InitialListFailed, WatchFailed, WatchStartFailed};
    match error {
        InitialListFailed(kube::Error::Api(status)) | WatchStartFailed(kube::Error::Api(status))
            // Only the code: while the API group is unknown the answer is not a Status object.
            if status.code == 404 && group != GROUP =>
        {
            format!("the API server does not serve this kind of {group} in v1")
        }
        InitialListFailed(kube::Error::Api(status)) | WatchStartFailed(kube::Error::Api(status))
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

/// Keeps the part of the metadata that the operator reads. The rest costs memory, and the last-applied annotation of a
/// Secret is a copy of it. Of the managed fields only the names of the managers are kept, for the audit log, without
/// those that wrote only the status. Of what is watched for its metadata alone, the labels are what counts.
pub(super) fn prune<K: Resource>(object: &mut Readable<K>) {
    let Ok(object) = &mut object.0 else { return };
    let meta = std::mem::take(object.meta_mut());
    let only = |map: Option<BTreeMap<String, String>>, keys: &[&str]| {
        let kept: BTreeMap<String, String> = map?.into_iter().filter(|(key, _)| keys.contains(&&**key)).collect();
        (!kept.is_empty()).then_some(kept)
    };
    let labels = if K::metadata_api() { meta.labels } else { only(meta.labels, &[CREDENTIALS_LABEL]) };
    let writes_spec = |entry: &ManagedFieldsEntry| entry.subresource.as_deref().unwrap_or_default().is_empty();
    let entries = meta.managed_fields.unwrap_or_default().into_iter().filter(writes_spec);
    let managers: BTreeSet<String> = entries.filter_map(|entry| entry.manager).collect();
    let managers = managers.into_iter().map(|name| ManagedFieldsEntry { manager: Some(name), ..Default::default() });
    *object.meta_mut() = ObjectMeta {
        name: meta.name,
        namespace: meta.namespace,
        uid: meta.uid,
        resource_version: meta.resource_version,
        generation: meta.generation,
        creation_timestamp: meta.creation_timestamp,
        deletion_timestamp: meta.deletion_timestamp,
        labels,
        annotations: only(meta.annotations, &[RECONCILE_ANNOTATION, RELEASE_BRAKE_ANNOTATION, REQUESTED_BY_ANNOTATION]),
        managed_fields: Some(managers.collect()),
        ..ObjectMeta::default()
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_grows_although_every_attempt_begins_well() {
        let mut backoff = WatchBackoff::default();
        let mut next = || {
            backoff.reset();
            backoff.next().unwrap()
        };
        let first = next();
        assert!(first < Duration::from_millis(601));
        let later = (0..60).map(|_| next()).last().unwrap();
        assert!(later >= MAX_BACKOFF && later <= MAX_BACKOFF * 2);
        backoff.last = Instant::now().checked_sub(BACKOFF_RESET * 2);
        assert!(backoff.next().unwrap() < Duration::from_millis(601));
    }

    /// Other programs' kinds are not installed with our CRDs.
    #[test]
    fn a_kind_that_is_not_served_is_explained() {
        let missing = || {
            let status = kube::core::Status::failure("404 page not found", "NotFound").with_code(404);
            watcher::Error::InitialListFailed(kube::Error::Api(Box::new(status)))
        };
        assert!(describe(&missing(), GROUP).contains("install the CRDs"));
        let other = describe(&missing(), "admissionregistration.k8s.io");
        assert_eq!(other, "the API server does not serve this kind of admissionregistration.k8s.io in v1");
    }
}
