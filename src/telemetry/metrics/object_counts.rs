//! Gauges that are computed at each scrape: objects by reason, the queues of the dispatcher, and whether this replica
//! leads.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock};

use jiff::{SignedDuration, Timestamp};
use kube::Resource;
use kube::runtime::reflector::Store;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use crate::api::{
    Auth0TenantStatus, BrakeReason, ConditionType, DriftedReason, Reason, RemovalStatus, State, TenantObject,
};
use crate::clock;
use crate::dispatch::{Dispatcher, QueueStats};
use crate::revocation::Revocation;
use crate::sync::lock;
use crate::telemetry::readiness::{Readiness, Role};
use crate::tenant::Tenants;

use super::domains::DomainLabels;
use super::families::gauges;

/// The label value for an object without a reason for its generation.
const NO_REASON: &str = "None";
/// The label value for a reason that this version does not know.
const UNKNOWN: &str = "Unknown";
/// For how long it counts that what was removed came back.
const DRIFTED_FOR: SignedDuration = SignedDuration::from_hours(24);

/// The collector. Clones share the sources.
#[derive(Clone)]
pub(crate) struct ObjectCounts(Arc<Sources>);

struct Sources {
    readiness: Readiness,
    dispatcher: OnceLock<Arc<Dispatcher>>,
    counters: Mutex<Vec<CountFn>>,
}

/// Adds the objects of one cache.
type CountFn = Box<dyn Fn(&mut Counts) + Send + Sync>;

/// The numbers of objects, by label set.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    removals: BTreeMap<RemovalLabels, usize>,
    drifted: BTreeMap<DriftedLabels, usize>,
    tenants: BTreeMap<TenantLabels, usize>,
    brakes: BTreeMap<BrakeLabels, usize>,
    unreadable: BTreeMap<UnreadableLabels, usize>,
    tokens: BTreeMap<TokenLabels, TokenEnd>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct RemovalLabels {
    kind: &'static str,
    reason: &'static str,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct DriftedLabels {
    kind: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct TenantLabels {
    tenant_namespace: String,
    reason: &'static str,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct BrakeLabels {
    tenant_namespace: String,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct UnreadableLabels {
    kind: String,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct TokenLabels {
    tenant_namespace: String,
    domain: String,
    credential: &'static str,
}

/// The token that ends first of those with the same labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct TokenEnd {
    at: i64,
    lifetime: Option<i64>,
}

impl Counts {
    /// Adds finished objects of `kind` with this reason; `None` is a reason that this version does not know.
    pub(crate) fn finished(&mut self, kind: &'static str, reason: Option<Reason>, count: usize) {
        let (reason, state) = reason.map_or((UNKNOWN, "done"), labels);
        *self.removals.entry(RemovalLabels { kind, reason, state }).or_default() += count;
    }

    /// Adds objects of `kind` that cannot be read.
    pub(crate) fn unreadable(&mut self, kind: &str, count: usize) {
        *self.unreadable.entry(UnreadableLabels { kind: kind.to_owned() }).or_default() += count;
    }
}

impl ObjectCounts {
    pub(crate) fn new(readiness: Readiness) -> Self {
        Self(Arc::new(Sources { readiness, dispatcher: OnceLock::new(), counters: Mutex::default() }))
    }

    /// Sets the dispatcher whose queues are shown.
    pub(crate) fn dispatcher(&self, dispatcher: Arc<Dispatcher>) {
        // A process starts one dispatcher at most.
        let _ = self.0.dispatcher.set(dispatcher);
    }

    /// Counts the removals in this cache, which holds those that are not settled. An object of policy Continuous never is.
    pub(crate) fn removals<K: Revocation>(&self, store: Store<K>) {
        self.add(move |counts| {
            let now = clock::wall();
            let mut drifted = [(DriftedReason::CameBack, 0), (DriftedReason::KeepsComingBack, 0)];
            for object in store.state() {
                let back = object.status().filter(|status| came_back_recently(status, now));
                let back = back.and_then(|status| status.condition(ConditionType::Drifted));
                for (reason, count) in &mut drifted {
                    *count += usize::from(back.is_some_and(|back| back.reason == reason.as_str()));
                }
                let current = |generation| object.status().and_then(|status| status.reason_at(generation));
                let reason = object.meta().generation.and_then(current);
                let (reason, state) = reason.map_or((NO_REASON, "new"), labels);
                *counts.removals.entry(RemovalLabels { kind: K::KIND, reason, state }).or_default() += 1;
            }
            for (reason, count) in drifted {
                let labels = DriftedLabels { kind: K::KIND, reason: reason.as_str() };
                *counts.drifted.entry(labels).or_default() += count;
            }
        });
    }

    /// Counts the tenant objects in this cache.
    pub(crate) fn tenants<K>(&self, store: Store<K>)
    where
        K: TenantObject + Resource<DynamicType = ()> + Clone + 'static,
    {
        self.add(move |counts| {
            for tenant in store.state() {
                let meta = tenant.metadata();
                let current = tenant.tenant_status().filter(|status| status.observed_generation == meta.generation);
                let reason = current.and_then(Auth0TenantStatus::reason_text).and_then(Reason::parse);
                let (reason, state) = reason.map_or((NO_REASON, "new"), labels);
                let tenant_namespace = meta.namespace.clone().unwrap_or_default();
                let brake = current.and_then(|status| status.condition(ConditionType::BrakeEngaged));
                for reason in BrakeReason::ALL.map(BrakeReason::as_str) {
                    let labels = BrakeLabels { tenant_namespace: tenant_namespace.clone(), reason };
                    let holds = brake.is_some_and(|brake| brake.reason == reason);
                    *counts.brakes.entry(labels).or_default() += usize::from(holds);
                }
                *counts.tenants.entry(TenantLabels { tenant_namespace, reason, state }).or_default() += 1;
            }
        });
    }

    /// Shows when the tokens of these tenants end.
    pub(crate) fn tokens(&self, tenants: Arc<Tenants>) {
        self.add(move |counts| {
            for (key, connection) in tenants.usable_now() {
                let Some(token) = connection.credential.token() else { continue };
                let Some(end) = token.expires_at() else { continue };
                let tenant_namespace = key.namespace.unwrap_or_default();
                let labels = TokenLabels {
                    tenant_namespace,
                    domain: connection.domain.to_string(),
                    credential: connection.credential.kind().as_str(),
                };
                let lifetime = token.lifetime().map(|lifetime| lifetime.as_secs());
                let end = TokenEnd { at: end.as_second(), lifetime };
                counts.tokens.entry(labels).and_modify(|first| *first = end.min(*first)).or_insert(end);
            }
        });
    }

    /// Calls `counter` at each scrape.
    pub(crate) fn add(&self, counter: impl Fn(&mut Counts) + Send + Sync + 'static) {
        lock(&self.0.counters).push(Box::new(counter));
    }
}

/// Whether what was removed came back within [`DRIFTED_FOR`]. The condition stays until the next check, which an object
/// that is suspended or past its end does not get.
fn came_back_recently(status: &RemovalStatus, now: Timestamp) -> bool {
    let last = status.drift.as_ref().and_then(|drift| drift.times.iter().map(|at| at.0).max());
    last.is_some_and(|last| now.duration_since(last) < DRIFTED_FOR)
}

/// The label values `reason` and `state`.
fn labels(reason: Reason) -> (&'static str, &'static str) {
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
        for count in lock(&self.0.counters).iter() {
            count(&mut counts);
        }
        let is_active = matches!(self.0.readiness.role(), Role::Leader | Role::NoElection);
        let help = "1 on the active replica, else 0";
        encoder.encode_descriptor("leader", help, None, MetricType::Gauge)?.encode_gauge(&u32::from(is_active))?;
        let help = "Removals by reason; None: not reconciled yet; Unknown: set by another version";
        gauges(&mut encoder, "removals", help, None, counts.removals)?;
        let help = "Removals of policy Continuous whose items came back within 24 hours, by reason of Drifted";
        gauges(&mut encoder, "objects_drifted", help, None, counts.drifted)?;
        let help = "Tenant objects by reason; None: not reconciled yet";
        gauges(&mut encoder, "tenants", help, None, counts.tenants)?;
        let help = "Tenant objects whose brake is engaged, or will be, by reason of BrakeEngaged";
        gauges(&mut encoder, "brakes_engaged", help, None, counts.brakes)?;
        let help = "Objects that cannot be read and are left out; the log names them";
        gauges(&mut encoder, "unreadable_objects", help, None, counts.unreadable)?;
        let seconds = Some(&Unit::Seconds);
        let help = "When the token of a tenant expires, in seconds since the Unix epoch; of several the first";
        let ends = counts.tokens.iter().map(|(labels, token)| (labels.clone(), token.at));
        gauges(&mut encoder, "tenant_token_expiry_timestamp", help, seconds, ends)?;
        let help = "Time from the issue of that token to its end";
        let lifetimes = counts.tokens.iter().filter_map(|(labels, token)| Some((labels.clone(), token.lifetime?)));
        gauges(&mut encoder, "tenant_token_lifetime", help, seconds, lifetimes)?;
        let queues = self.0.dispatcher.get().map(|dispatcher| dispatcher.stats()).unwrap_or_default();
        encode_queues(&mut encoder, &queues)
    }
}

fn encode_queues(encoder: &mut DescriptorEncoder<'_>, queues: &[QueueStats]) -> fmt::Result {
    fn each<V>(queues: &[QueueStats], value: impl Fn(&QueueStats) -> V) -> impl Iterator<Item = (DomainLabels, V)> {
        queues.iter().map(move |queue| (DomainLabels { domain: queue.domain.to_string() }, value(queue)))
    }
    let seconds = Some(&Unit::Seconds);
    let help = "Removals that are queued for Auth0 or in progress there";
    gauges(encoder, "queue_jobs", help, None, each(queues, |queue| queue.jobs))?;
    let help = "Calls to Auth0 in flight";
    gauges(encoder, "queue_calls_in_flight", help, None, each(queues, |queue| queue.in_flight))?;
    let help = "Age of the oldest removal in rescind_queue_jobs";
    gauges(encoder, "queue_oldest_job_age", help, seconds, each(queues, |queue| queue.oldest.as_secs_f64()))?;
    let help = "Time until calls may flow again after a 429; 0 while the circuit breaker is closed";
    gauges(encoder, "circuit_breaker_open", help, seconds, each(queues, |queue| queue.open_for.as_secs_f64()))
}

#[cfg(test)]
mod tests {
    use kube::runtime::{reflector, watcher};
    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::Registry;
    use serde_json::json;

    use super::*;
    use crate::api::UserRoleRevocation;

    #[test]
    fn what_came_back_is_counted_by_kind() {
        let (store, mut writer) = reflector::store::<UserRoleRevocation>();
        let (keeps, came) = (vec!["KeepsComingBack"], vec!["CameBack"]);
        let objects =
            [("a", keeps.clone(), 1), ("b", came.clone(), 1), ("c", came, 23), ("d", vec![], 1), ("e", keeps, 24)];
        for (name, conditions, hours) in objects {
            let last = Timestamp::now() - SignedDuration::from_hours(hours);
            let condition = |reason: &&str| {
                json!({"type": "Drifted", "status": "True", "reason": reason, "message": "it came back",
                    "lastTransitionTime": "2026-11-26T00:00:00Z"})
            };
            let object = json!({
                "apiVersion": "rescind.dev/v1alpha1",
                "kind": "UserRoleRevocation",
                "metadata": {"name": name, "namespace": "x"},
                "spec": {"userId": "auth0|a", "roles": ["rol_bN1a2b3c4d5e6f7g"]},
                "status": {
                    "conditions": conditions.iter().map(condition).collect::<Vec<_>>(),
                    "drift": {"count": 1, "times": [last]},
                },
            });
            writer.apply_watcher_event(&watcher::Event::Apply(serde_json::from_value(object).unwrap()));
        }
        let counts = ObjectCounts::new(Readiness::default());
        counts.removals(store);
        let mut registry = Registry::default();
        registry.register_collector(Box::new(counts));
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for (reason, count) in [("CameBack", 2), ("KeepsComingBack", 1)] {
            let line = format!("objects_drifted{{kind=\"UserRoleRevocation\",reason=\"{reason}\"}} {count}\n");
            assert!(text.contains(&line), "{text}");
        }
    }
}
