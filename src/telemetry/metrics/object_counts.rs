//! What is looked up at each scrape: how many objects carry which reason, the queues, what this replica does.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use kube::ResourceExt;
use kube::runtime::reflector::Store;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use crate::api::{Auth0Tenant, Auth0TenantStatus, Reason, State};
use crate::dispatch::{Dispatcher, QueueStats};
use crate::revocation::Revocation;
use crate::telemetry::readiness::{Readiness, Role};

use super::domains::OfDomain;
use super::families::gauges;

/// An object that carries no reason yet.
const NOT_LOOKED_AT: &str = "None";
/// A reason of another version.
const UNKNOWN: &str = "Unknown";

/// Knows where to look.
#[derive(Clone)]
pub(crate) struct ObjectCounts(Arc<Sources>);

struct Sources {
    readiness: Readiness,
    dispatcher: OnceLock<Arc<Dispatcher>>,
    counters: Mutex<Vec<Counter>>,
}

type Counter = Box<dyn Fn(&mut Counts) + Send + Sync>;

/// How many objects there are.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    removals: BTreeMap<Removals, usize>,
    tenants: BTreeMap<Tenants, usize>,
    unreadable: BTreeMap<Unreadable, usize>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct Removals {
    kind: &'static str,
    reason: &'static str,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct Tenants {
    tenant_namespace: String,
    reason: &'static str,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct Unreadable {
    kind: String,
}

impl Counts {
    /// So many finished objects of `kind` carry this reason; of another version, if none.
    pub(crate) fn finished(&mut self, kind: &'static str, reason: Option<Reason>, count: usize) {
        let (reason, state) = reason.map_or((UNKNOWN, "done"), words);
        *self.removals.entry(Removals { kind, reason, state }).or_default() += count;
    }

    /// So many objects of `kind` cannot be read.
    pub(crate) fn unreadable(&mut self, kind: &str, count: usize) {
        *self.unreadable.entry(Unreadable { kind: kind.to_owned() }).or_default() += count;
    }
}

impl ObjectCounts {
    pub(crate) fn new(readiness: Readiness) -> Self {
        Self(Arc::new(Sources { readiness, dispatcher: OnceLock::new(), counters: Mutex::default() }))
    }

    /// The queues are those of this one.
    pub(crate) fn dispatcher(&self, dispatcher: Arc<Dispatcher>) {
        // There is one in the life of a process.
        let _ = self.0.dispatcher.set(dispatcher);
    }

    /// Unfinished removals of `K` are in this cache.
    pub(crate) fn removals<K: Revocation>(&self, store: Store<K>) {
        self.add(move |counts| {
            for object in store.state() {
                let current = |generation| object.status().and_then(|status| status.reason_at(generation));
                let reason = object.meta().generation.and_then(current);
                let (reason, state) = reason.map_or((NOT_LOOKED_AT, "new"), words);
                *counts.removals.entry(Removals { kind: K::KIND, reason, state }).or_default() += 1;
            }
        });
    }

    /// Tenant objects are in this cache.
    pub(crate) fn tenants(&self, store: Store<Auth0Tenant>) {
        self.add(move |counts| {
            for tenant in store.state() {
                let status = tenant.status.as_ref();
                let current = status.filter(|status| status.observed_generation == tenant.metadata.generation);
                let reason = current.and_then(Auth0TenantStatus::reason_text).and_then(Reason::parse);
                let (reason, state) = reason.map_or((NOT_LOOKED_AT, "new"), words);
                let tenant_namespace = tenant.namespace().unwrap_or_default();
                *counts.tenants.entry(Tenants { tenant_namespace, reason, state }).or_default() += 1;
            }
        });
    }

    /// This is asked at each scrape.
    pub(crate) fn add(&self, counter: impl Fn(&mut Counts) + Send + Sync + 'static) {
        self.0.counters.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(counter));
    }
}

fn words(reason: Reason) -> (&'static str, &'static str) {
    let state = match reason.state() {
        State::Done => "done",
        State::Waiting => "waiting",
        State::Stalled => "stalled",
        State::Held => "held",
    };
    (reason.as_str(), state)
}

impl fmt::Debug for ObjectCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ObjectCounts")
    }
}

impl Collector for ObjectCounts {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let mut counts = Counts::default();
        for count in self.0.counters.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            count(&mut counts);
        }
        let works = matches!(self.0.readiness.what(), Role::Leader | Role::NoElection);
        let help = "1 on the replica that does the work";
        encoder.encode_descriptor("leader", help, None, MetricType::Gauge)?.encode_gauge(&u32::from(works))?;
        let help = "Removal objects by the reason they carry; None: not looked at yet; Unknown: of another version";
        gauges(&mut encoder, "removals", help, None, counts.removals)?;
        let help = "Tenant objects by the reason they carry; None: not looked at yet";
        gauges(&mut encoder, "tenants", help, None, counts.tenants)?;
        let help = "Objects that cannot be read, so that nothing is done for them; the log names them";
        gauges(&mut encoder, "unreadable_objects", help, None, counts.unreadable)?;
        let queues = self.0.dispatcher.get().map(|dispatcher| dispatcher.stats()).unwrap_or_default();
        encode_queues(&mut encoder, &queues)
    }
}

fn encode_queues(encoder: &mut DescriptorEncoder<'_>, queues: &[QueueStats]) -> fmt::Result {
    fn each<V>(queues: &[QueueStats], value: impl Fn(&QueueStats) -> V) -> impl Iterator<Item = (OfDomain, V)> {
        queues.iter().map(move |queue| (OfDomain { domain: queue.domain.to_string() }, value(queue)))
    }
    let seconds = Some(&Unit::Seconds);
    let help = "Removals that wait for Auth0 or are at work there";
    gauges(encoder, "queue_jobs", help, None, each(queues, |queue| queue.jobs))?;
    let help = "Calls on their way to Auth0";
    gauges(encoder, "queue_calls_in_flight", help, None, each(queues, |queue| queue.in_flight))?;
    let help = "Age of the oldest removal among rescind_queue_jobs";
    gauges(encoder, "queue_oldest_job_age", help, seconds, each(queues, |queue| queue.oldest.as_secs_f64()))?;
    let help = "How long nothing will be sent, as Auth0 asked with a 429; 0 while calls flow";
    gauges(encoder, "circuit_breaker_open", help, seconds, each(queues, |queue| queue.open_for.as_secs_f64()))
}
