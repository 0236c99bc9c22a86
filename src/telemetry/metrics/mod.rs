//! Metrics in OpenMetrics text. docs/metrics.md lists all of them, and a test compares it with what is served.
//!
//! No label value is the ID of a person or the name of an object: kinds, reasons, endpoints, domains of tenants and
//! namespaces of tenant objects are all there is. No label has a name that Prometheus itself adds to a target
//! (`namespace`, `endpoint`, `pod` and the like), because it would rename ours.
//!
//! - This file: counters and histograms that are updated as things happen.
//! - `object_counts.rs`: gauges that are computed at each scrape, from the caches and the dispatcher.
//! - `domains.rs`: counters by Auth0 domain, which are dropped with the last tenant of the domain (promise 14).
//! - `process.rs`: the standard metrics of a process. `families.rs`: helpers for collectors.

mod domains;
mod families;
mod object_counts;
mod process;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::auth0::Domain;
use crate::dispatch::{Refusal, RequestFinished};
use crate::revocation::ReasonChange;

use crate::telemetry::failure::Failure;
use crate::telemetry::readiness::Readiness;

use domains::Domains;
use object_counts::ObjectCounts;

// Upper bounds of the histograms' buckets, in seconds.

const RECONCILE_BUCKETS: [f64; 8] = [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0];
const CALL_BUCKETS: [f64; 8] = [0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];
/// A removal is verified right after it was accepted, then after 2, 8, 11, 21, 41 and 81 s, then every minute.
const PROOF_BUCKETS: [f64; 10] = [0.25, 0.5, 1.0, 2.5, 10.0, 15.0, 30.0, 60.0, 120.0, 600.0];
/// From moments to a day: thousands of removals under Auth0's lowest rate limit take hours.
const AGE_BUCKETS: [f64; 12] = [0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0, 28_800.0, 86_400.0];

/// All metrics of the process. Clones share them.
#[derive(Clone)]
pub(crate) struct Metrics {
    registry: Arc<Registry>,
    counts: Counts,
    domains: Domains,
    pub(crate) object_counts: ObjectCounts,
}

#[derive(Clone)]
struct Counts {
    changes: Family<ReasonLabels, Counter>,
    verdicts: Family<KindLabels, Histogram, fn() -> Histogram>,
    proofs: Family<KindLabels, Histogram, fn() -> Histogram>,
    lags: Family<KindLabels, Histogram, fn() -> Histogram>,
    durations: Family<EndpointLabels, Histogram, fn() -> Histogram>,
    reconciles: Family<KindLabels, Histogram, fn() -> Histogram>,
    errors: Family<ErrorLabels, Counter>,
    refusals: Family<CauseLabels, Counter>,
    restarts: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    kind: String,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ErrorLabels {
    kind: &'static str,
    cause: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CauseLabels {
    cause: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndpointLabels {
    method: &'static str,
    path: &'static str,
}

fn histograms<L>(constructor: fn() -> Histogram) -> Family<L, Histogram, fn() -> Histogram>
where
    L: Clone + std::hash::Hash + Eq,
{
    Family::new_with_constructor(constructor)
}

impl Counts {
    fn register(registry: &mut Registry) -> Self {
        let counts = Self {
            changes: Family::default(),
            verdicts: histograms(|| Histogram::new(AGE_BUCKETS)),
            proofs: histograms(|| Histogram::new(AGE_BUCKETS)),
            lags: histograms(|| Histogram::new(PROOF_BUCKETS)),
            durations: histograms(|| Histogram::new(CALL_BUCKETS)),
            reconciles: histograms(|| Histogram::new(RECONCILE_BUCKETS)),
            errors: Family::default(),
            refusals: Family::default(),
            restarts: Counter::default(),
        };
        let seconds = || Unit::Seconds;
        let help = "Removals that changed to this reason";
        registry.register("removal_reason_changes", help, counts.changes.clone());
        let help = "Time from the creation of a removal to its verdict (done or stalled)";
        registry.register_with_unit("removal_verdict", help, seconds(), counts.verdicts.clone());
        let help = "Time from the creation of a removal to its verification";
        registry.register_with_unit("removal_proof", help, seconds(), counts.proofs.clone());
        let help = "Time from Auth0 accepting a removal to a complete read that verifies it";
        registry.register_with_unit("proof_lag", help, seconds(), counts.lags.clone());
        let help = "Duration of calls to Auth0";
        registry.register_with_unit("auth0_call_duration", help, seconds(), counts.durations.clone());
        let help = "Duration of reconciles, which do not wait for Auth0";
        registry.register_with_unit("reconcile_duration", help, seconds(), counts.reconciles.clone());
        registry.register("reconcile_errors", "Reconciles that failed and are retried", counts.errors.clone());
        let help = "Calls that the preflight check refused";
        registry.register("preflight_refusals", help, counts.refusals.clone());
        let help = "Dispatcher tasks that panicked and were restarted, which is a bug";
        registry.register("dispatcher_restarts", help, counts.restarts.clone());
        // It exists from the start, so that Prometheus sees the first one as an increase.
        drop(counts.refusals.get_or_create(&CauseLabels { cause: refusal(Refusal::Unconfirmed) }));
        counts
    }
}

impl Metrics {
    /// `readiness` knows whether this replica leads.
    pub(crate) fn new(readiness: Readiness) -> Self {
        let mut root = Registry::default();
        let registry = root.sub_registry_with_prefix("rescind");
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        registry.register("build", "Version of the operator", Info::new(version.to_vec()));
        let counts = Counts::register(registry);
        let (object_counts, domains) = (ObjectCounts::new(readiness), Domains::default());
        registry.register_collector(Box::new(object_counts.clone()));
        registry.register_collector(Box::new(domains.clone()));
        root.register_collector(Box::new(process::Process::started_now()));
        Self { registry: Arc::new(root), counts, domains, object_counts }
    }

    /// The route of `/metrics`.
    pub(crate) fn routes(&self) -> Router {
        let metrics = self.clone();
        let answer = move || {
            let text = metrics.text();
            std::future::ready(([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text))
        };
        Router::new().route("/metrics", get(answer))
    }

    /// All metrics, as they are served.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    /// A removal changed to another reason.
    pub(crate) fn reason_changed(&self, change: &ReasonChange) {
        let (kind, counts) = (KindLabels { kind: change.object.kind.clone().unwrap_or_default() }, &self.counts);
        if let Some(after) = change.verdict_after {
            counts.verdicts.get_or_create(&kind).observe(after.as_secs_f64());
        }
        if let Some(proof) = change.proof {
            counts.proofs.get_or_create(&kind).observe(proof.since_created.as_secs_f64());
            counts.lags.get_or_create(&kind).observe(proof.since_accepted.as_secs_f64());
        }
        counts.changes.get_or_create(&ReasonLabels { kind: kind.kind, reason: change.reason.as_str() }).inc();
    }

    /// A call ended.
    pub(crate) fn request_finished(&self, call: &RequestFinished<'_>) {
        let RequestFinished { method, endpoint: path, took, .. } = *call;
        self.counts.durations.get_or_create(&EndpointLabels { method, path }).observe(took.as_secs_f64());
        self.domains.request_finished(call);
    }

    /// The preflight check refused a call.
    pub(crate) fn refused(&self, why: Refusal) {
        self.counts.refusals.get_or_create(&CauseLabels { cause: refusal(why) }).inc();
    }

    /// A task of the dispatcher was restarted.
    pub(crate) fn task_restarted(&self) {
        self.counts.restarts.inc();
    }

    /// Forgets all domains but these, which are those that tenant objects name.
    pub(crate) fn retain(&self, domains: &HashSet<Domain>) {
        self.domains.retain(domains);
    }

    /// The counters of the reconciles of `kind`.
    pub(crate) fn reconciles(&self, kind: &'static str) -> Reconciles {
        let counter = |cause: Failure| {
            let cause = cause.as_str();
            self.counts.errors.get_or_create_owned(&ErrorLabels { kind, cause })
        };
        Reconciles {
            durations: self.counts.reconciles.get_or_create_owned(&KindLabels { kind: kind.to_owned() }),
            errors: Failure::ALL.map(|failure| (failure, counter(failure))),
        }
    }
}

/// The label value `cause` of a refusal; docs/metrics.md explains the values.
const fn refusal(why: Refusal) -> &'static str {
    match why {
        Refusal::NotLeading => "not_leading",
        Refusal::Gone => "object_gone",
        Refusal::Changed => "object_changed",
        Refusal::Restrained => "restrained",
        Refusal::TenantNotReady => "tenant_not_ready",
        Refusal::NotAllowed => "not_allowed",
        Refusal::OtherConnection => "other_connection",
        Refusal::Unconfirmed => "unconfirmed",
        Refusal::Withdrawn => "withdrawn",
    }
}

/// Counts the reconciles of one kind. Every cause of failure has a counter from the start, so that Prometheus sees the
/// first failure as an increase.
#[derive(Clone)]
pub(crate) struct Reconciles {
    durations: Histogram,
    errors: [(Failure, Counter); 3],
}

impl Reconciles {
    /// A reconcile ended after this time, and failed like this if it failed.
    pub(crate) fn ended(&self, took: Duration, failure: Option<Failure>) {
        self.durations.observe(took.as_secs_f64());
        for (_, counter) in self.errors.iter().filter(|(cause, _)| Some(*cause) == failure) {
            counter.inc();
        }
    }
}
