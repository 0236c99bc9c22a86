//! What is looked up at each scrape: how many objects stand where, the lanes, what this replica does.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use kube::ResourceExt;
use kube::runtime::reflector::Store;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, EncodeLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use crate::api::{Auth0Tenant, ConditionType, Reason, State};
use crate::dispatch::{Lanes, Standing};
use crate::revocation::Revocation;

use crate::telemetry::readiness::{Readiness, Role};

use super::Domain;

/// An object that carries no reason yet.
const NOT_LOOKED_AT: &str = "None";

/// Knows where to look.
#[derive(Clone)]
pub(crate) struct ObjectCounts(Arc<Places>);

struct Places {
    readiness: Readiness,
    lanes: OnceLock<Arc<Lanes>>,
    counters: Mutex<Vec<Counter>>,
}

type Counter = Box<dyn Fn(&mut Numbers) + Send + Sync>;

#[derive(Default)]
struct Numbers {
    removals: BTreeMap<Removals, usize>,
    tenants: BTreeMap<Tenants, usize>,
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

impl ObjectCounts {
    pub(crate) fn new(readiness: Readiness) -> Self {
        Self(Arc::new(Places { readiness, lanes: OnceLock::new(), counters: Mutex::default() }))
    }

    /// These are the lanes.
    pub(crate) fn lanes(&self, lanes: Arc<Lanes>) {
        // There is one set of lanes in the life of a process.
        let _ = self.0.lanes.set(lanes);
    }

    /// Removals of `K` are in this cache.
    pub(crate) fn removals<K: Revocation>(&self, store: Store<K>) {
        self.add(move |numbers| {
            for object in store.state() {
                let current = |generation| object.status().and_then(|status| status.reason_at(generation));
                let (reason, state) = words(object.meta().generation.and_then(current));
                *numbers.removals.entry(Removals { kind: K::KIND, reason, state }).or_default() += 1;
            }
        });
    }

    /// Tenant objects are in this cache.
    pub(crate) fn tenants(&self, store: Store<Auth0Tenant>) {
        self.add(move |numbers| {
            for tenant in store.state() {
                let status = tenant.status.as_ref();
                let current = status.filter(|status| status.observed_generation == tenant.metadata.generation);
                let ready = current.and_then(|status| status.condition(ConditionType::Ready));
                let (reason, state) = words(ready.and_then(|ready| Reason::parse(&ready.reason)));
                let tenant_namespace = tenant.namespace().unwrap_or_default();
                *numbers.tenants.entry(Tenants { tenant_namespace, reason, state }).or_default() += 1;
            }
        });
    }

    fn add(&self, counter: impl Fn(&mut Numbers) + Send + Sync + 'static) {
        self.0.counters.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(counter));
    }
}

fn words(reason: Option<Reason>) -> (&'static str, &'static str) {
    let Some(reason) = reason else { return (NOT_LOOKED_AT, "new") };
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
        let mut numbers = Numbers::default();
        for count in self.0.counters.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            count(&mut numbers);
        }
        let works = matches!(self.0.readiness.what(), Role::Leader | Role::Alone);
        let help = "1 on the replica that does the work";
        encoder.encode_descriptor("leader", help, None, MetricType::Gauge)?.encode_gauge(&u32::from(works))?;
        let help = "Removal objects by the reason they carry; None: not looked at yet";
        gauges(&mut encoder, "removals", help, None, numbers.removals)?;
        let help = "Tenant objects by the reason they carry; None: not looked at yet";
        gauges(&mut encoder, "tenants", help, None, numbers.tenants)?;
        let lanes = self.0.lanes.get().map(|lanes| lanes.standing()).unwrap_or_default();
        encode_lanes(&mut encoder, &lanes)
    }
}

fn encode_lanes(encoder: &mut DescriptorEncoder<'_>, lanes: &[Standing]) -> fmt::Result {
    fn each<V>(lanes: &[Standing], value: impl Fn(&Standing) -> V) -> impl Iterator<Item = (Domain, V)> {
        lanes.iter().map(move |lane| (Domain { domain: lane.domain.to_string() }, value(lane)))
    }
    let seconds = Some(&Unit::Seconds);
    let help = "Removals that wait for Auth0 or are at work there";
    gauges(encoder, "lane_jobs", help, None, each(lanes, |lane| lane.jobs))?;
    let help = "Calls on their way to Auth0";
    gauges(encoder, "lane_calls_in_flight", help, None, each(lanes, |lane| lane.in_flight))?;
    let help = "Age of the oldest removal among rescind_lane_jobs";
    gauges(encoder, "lane_oldest_job_age", help, seconds, each(lanes, |lane| lane.oldest.as_secs_f64()))?;
    let help = "How long nothing will be sent, as Auth0 asked with a 429; 0: open";
    gauges(encoder, "lane_closed", help, seconds, each(lanes, |lane| lane.closed_for.as_secs_f64()))
}

fn gauges<L: EncodeLabelSet, V: EncodeGaugeValue>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    values: impl IntoIterator<Item = (L, V)>,
) -> fmt::Result {
    let mut values = values.into_iter().peekable();
    // A name without a value would only be noise.
    if values.peek().is_none() {
        return Ok(());
    }
    let mut metric = encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?;
    values.try_for_each(|(labels, value)| metric.encode_family(&labels)?.encode_gauge(&value))
}
