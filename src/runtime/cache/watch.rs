//! One watch: a stream with a backoff of its own that fills a cache and never ends.
//!
//! Its errors are told to [`Readiness`] and go no further. Objects that cannot be read are left out, one by one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{Stream, StreamExt};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};
use kube::runtime::reflector::{self, Store};
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::watch::{Receiver, Sender};
use tracing::{debug, warn};

use crate::api::{CREDENTIALS_LABEL, RECONCILE_ANNOTATION};
use crate::runtime::kube_error::explain;
use crate::telemetry::readiness::Readiness;
use crate::tenant::Listing;

use super::freshness::Freshness;
use super::readable::Readable;
use super::resync::{Resync, is_gone};
use super::store_writer::{Beside, Change, Settle, StoreWriter};

/// How long watches live.
#[derive(Clone, Copy, Debug)]
pub struct WatchTiming {
    /// A watch ends and goes on with another request after this many seconds. Below the 240 s after which balancers drop
    /// idle links; a dead connection is noticed five seconds later.
    pub seconds: u32,
    /// After this long everything is listed anew, to find what a watch was never told. Thousands of
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
    /// The objects that are not settled.
    pub(crate) store: Store<K>,
    /// What else there is.
    pub(crate) beside: Beside,
    /// Whether everything was listed.
    pub(crate) listing: Receiver<Listing>,
    fresh: Arc<Freshness>,
}

impl<K: Resource<DynamicType = ()> + Clone + 'static> Cache<K> {
    /// Tells, whenever it is asked, whether the cache has heard from the API server a moment ago.
    pub(crate) fn is_fresh(&self) -> Arc<dyn Fn() -> bool + Send + Sync> {
        let fresh = self.fresh.clone();
        Arc::new(move || fresh.is_fresh())
    }
}

/// What to watch, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Selection<'a> {
    /// Of this namespace; of all if none.
    pub(crate) namespace: Option<&'a str>,
    /// Only what carries these labels.
    pub(crate) labels: Option<&'a str>,
    pub(crate) timing: WatchTiming,
}

/// Starts watching `K`. The stream yields what changed after the cache took it; it must be polled for the cache to fill.
pub(crate) fn watch_kind<K>(
    client: &Client,
    selection: Selection<'_>,
    settle: Settle<K>,
    readiness: &Readiness,
) -> (Cache<K>, impl Stream<Item = Change<K>> + Send + 'static + use<K>)
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    K::Scope: Namespaced<K>,
{
    let Selection { namespace, labels, timing } = selection;
    let api = K::Scope::api(client.clone(), namespace);
    let kind = format!("the list of {}", K::plural(&()));
    let name = match namespace {
        Some(namespace) => format!("{kind} in namespace {namespace}"),
        None => format!("{kind} in all namespaces"),
    };
    readiness.expect(&name, &kind);
    let mut config = watcher::Config::default().timeout(timing.seconds);
    if let Some(labels) = labels {
        config = config.labels(labels);
    }
    let (store, writer) = reflector::store::<K>();
    let fresh = Arc::new(Freshness::default());
    let (tell_listing, listing) = tokio::sync::watch::channel(Listing::NotYet);
    let begin = move || watch(api.clone(), config.clone()).boxed();
    let mut events = Resync::new(timing.list_every, begin).backoff(Pauses::default()).boxed();
    let mut writer = StoreWriter::new(writer, fresh.clone(), settle);
    let cache = Cache { store, beside: writer.beside(), listing, fresh };
    let told = Told { name, readiness: readiness.clone(), listing: tell_listing };
    let heartbeat = told.clone();
    // An idle watch yields nothing for hours, but it is polled at its every timeout.
    let events = futures::stream::poll_fn(move |cx| {
        heartbeat.readiness.heartbeat(&heartbeat.name);
        events.poll_next_unpin(cx)
    });
    let changes = events.flat_map(move |event| {
        let changes = match event {
            Ok(event) => {
                told.unreadable(&event);
                let complete = matches!(event, Event::InitDone);
                let changes = writer.take(event.modify(prune));
                if complete {
                    told.complete();
                }
                changes
            }
            Err(error) => {
                told.failed(&error);
                Vec::new()
            }
        };
        futures::stream::iter(changes)
    });
    (cache, changes)
}

/// Who is told how a watch fares.
#[derive(Clone)]
struct Told {
    name: String,
    readiness: Readiness,
    listing: Sender<Listing>,
}

impl Told {
    fn complete(&self) {
        self.readiness.ready(&self.name);
        self.listing.send_replace(Listing::Complete);
    }

    fn failed(&self, error: &watcher::Error) {
        // A watch that ran out is ordinary.
        if is_gone(error) {
            debug!(watch = self.name, "its place is gone; listing anew");
            return;
        }
        let why = words(error);
        debug!(watch = self.name, "trying again: {why}");
        self.readiness.problem(&self.name, &why);
        self.listing.send_if_modified(|listing| {
            // What was complete once stays so: the cache holds on to it.
            let news = !matches!(listing, Listing::Complete) && *listing != Listing::Failing(why.clone());
            if news {
                *listing = Listing::Failing(why);
            }
            news
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
    fn api(client: Client, namespace: Option<&str>) -> Api<Readable<K>>;
}

impl<K> Namespaced<K> for k8s_openapi::NamespaceResourceScope
where
    K: Resource<DynamicType = (), Scope = Self>,
{
    fn api(client: Client, namespace: Option<&str>) -> Api<Readable<K>> {
        match namespace {
            Some(namespace) => Api::namespaced(client, namespace),
            None => Api::all(client),
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

/// Keeps what is read, which is a small part of an object. The last-applied annotation of a Secret is a copy of it. Of the
/// managed fields the names of the managers are left, for the audit, but not those who wrote only the status.
pub(super) fn prune<K: Resource>(object: &mut Readable<K>) {
    let Ok(object) = &mut object.0 else { return };
    let meta = std::mem::take(object.meta_mut());
    let only = |map: Option<BTreeMap<String, String>>, key: &str| {
        let value = map?.remove(key)?;
        Some(BTreeMap::from([(key.to_owned(), value)]))
    };
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
        labels: only(meta.labels, CREDENTIALS_LABEL),
        annotations: only(meta.annotations, RECONCILE_ANNOTATION),
        managed_fields: Some(managers.collect()),
        ..ObjectMeta::default()
    };
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
