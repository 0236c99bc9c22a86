//! What can be counted and measured, in OpenMetrics text. docs/metrics.md lists it; a test holds the two together.
//!
//! No label holds the id of a person or the name of an object: kinds, reasons, endpoints, domains of tenants and
//! namespaces of tenant objects are all there is. None is called as what Prometheus adds to a target (`namespace`,
//! `endpoint`, `pod` and the like): it would rename ours. `object_counts` is
//! what is looked up at each scrape, `domains` what was counted for each domain, `process` the process.

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

/// Upper bounds of the buckets, in seconds.
const RECONCILE_BUCKETS: [f64; 8] = [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0];
const CALL_BUCKETS: [f64; 8] = [0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];
/// A read right after, then the looks at 2, 7, 17, 37 and 77 s, then each minute.
const PROOF_BUCKETS: [f64; 10] = [0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 600.0];
/// From moments to days: thousands of removals at Auth0's lowest limit take hours.
const AGE_BUCKETS: [f64; 12] = [0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0, 28_800.0, 86_400.0];

/// Everything that is counted; clones count the same.
#[derive(Clone)]
pub(crate) struct Metrics {
    registry: Arc<Registry>,
    counts: Counts,
    domains: Domains,
    pub(crate) object_counts: ObjectCounts,
}

#[derive(Clone)]
struct Counts {
    changes: Family<KindReason, Counter>,
    verdicts: Family<Kind, Histogram, fn() -> Histogram>,
    proofs: Family<Kind, Histogram, fn() -> Histogram>,
    lags: Family<Kind, Histogram, fn() -> Histogram>,
    durations: Family<Call, Histogram, fn() -> Histogram>,
    reconciles: Family<Kind, Histogram, fn() -> Histogram>,
    errors: Family<KindCause, Counter>,
    refusals: Family<Cause, Counter>,
    restarts: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindReason {
    kind: String,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindCause {
    kind: &'static str,
    cause: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Cause {
    cause: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Call {
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
        let help = "Removal objects that came to this reason";
        registry.register("removal_reason_changes", help, counts.changes.clone());
        let help = "From the creation of a removal object to its verdict (done or stalled)";
        registry.register_with_unit("removal_verdict", help, seconds(), counts.verdicts.clone());
        let help = "From the creation of a removal object to the proof of its removal";
        registry.register_with_unit("removal_proof", help, seconds(), counts.proofs.clone());
        let help = "From Auth0 accepting a removal to a complete read that proves it";
        registry.register_with_unit("proof_lag", help, seconds(), counts.lags.clone());
        let help = "Duration of calls to Auth0";
        registry.register_with_unit("auth0_call_duration", help, seconds(), counts.durations.clone());
        let help = "Duration of one reconcile of an object, without waiting for Auth0";
        registry.register_with_unit("reconcile_duration", help, seconds(), counts.reconciles.clone());
        registry.register("reconcile_errors", "Reconciles that failed and are tried again", counts.errors.clone());
        let help = "Calls that were not made because the check right before said no";
        registry.register("preflight_refusals", help, counts.refusals.clone());
        let help = "Tasks of the dispatcher that panicked and were begun anew, which is a bug";
        registry.register("dispatcher_restarts", help, counts.restarts.clone());
        // There from the start, so that the first one is an increase.
        drop(counts.refusals.get_or_create(&Cause { cause: refusal(Refusal::Unconfirmed) }));
        counts
    }
}

impl Metrics {
    /// `readiness` knows what this replica does.
    pub(crate) fn new(readiness: Readiness) -> Self {
        let mut root = Registry::default();
        let registry = root.sub_registry_with_prefix("rescind");
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        registry.register("build", "The version that runs", Info::new(version.to_vec()));
        let counts = Counts::register(registry);
        let (object_counts, domains) = (ObjectCounts::new(readiness), Domains::default());
        registry.register_collector(Box::new(object_counts.clone()));
        registry.register_collector(Box::new(domains.clone()));
        root.register_collector(Box::new(process::Process::started_now()));
        Self { registry: Arc::new(root), counts, domains, object_counts }
    }

    /// Where `/metrics` is answered.
    pub(crate) fn routes(&self) -> Router {
        let metrics = self.clone();
        let answer = move || {
            let text = metrics.text();
            std::future::ready(([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text))
        };
        Router::new().route("/metrics", get(answer))
    }

    /// Everything, as it is served.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    /// A removal object came to another reason.
    pub(crate) fn reason_changed(&self, news: &ReasonChange) {
        let (kind, counts) = (Kind { kind: news.object.kind.clone().unwrap_or_default() }, &self.counts);
        if let Some(after) = news.verdict_after {
            counts.verdicts.get_or_create(&kind).observe(after.as_secs_f64());
        }
        if let Some(proof) = news.proof {
            counts.proofs.get_or_create(&kind).observe(proof.since_created.as_secs_f64());
            counts.lags.get_or_create(&kind).observe(proof.since_accepted.as_secs_f64());
        }
        counts.changes.get_or_create(&KindReason { kind: kind.kind, reason: news.reason.as_str() }).inc();
    }

    /// A call ended.
    pub(crate) fn request_finished(&self, call: &RequestFinished<'_>) {
        let RequestFinished { method, endpoint: path, took, .. } = *call;
        self.counts.durations.get_or_create(&Call { method, path }).observe(took.as_secs_f64());
        self.domains.request_finished(call);
    }

    /// A call was not made for this reason.
    pub(crate) fn refused(&self, why: Refusal) {
        self.counts.refusals.get_or_create(&Cause { cause: refusal(why) }).inc();
    }

    /// A task of the dispatcher was begun anew.
    pub(crate) fn task_restarted(&self) {
        self.counts.restarts.inc();
    }

    /// Tenant objects name these domains and no others.
    pub(crate) fn retain(&self, domains: &HashSet<Domain>) {
        self.domains.retain(domains);
    }

    /// What counts the reconciles of `kind`.
    pub(crate) fn reconciles(&self, kind: &'static str) -> Reconciles {
        let counter = |cause: Failure| {
            let cause = cause.as_str();
            self.counts.errors.get_or_create_owned(&KindCause { kind, cause })
        };
        Reconciles {
            durations: self.counts.reconciles.get_or_create_owned(&Kind { kind: kind.to_owned() }),
            errors: Failure::ALL.map(|failure| (failure, counter(failure))),
        }
    }
}

/// The word for why a call was not made.
const fn refusal(why: Refusal) -> &'static str {
    match why {
        Refusal::NotLeading => "not_leading",
        Refusal::Gone => "object_gone",
        Refusal::Changed => "object_changed",
        Refusal::TenantNotReady => "tenant_not_ready",
        Refusal::OtherConnection => "other_connection",
        Refusal::Unconfirmed => "unconfirmed",
        Refusal::Withdrawn => "withdrawn",
    }
}

/// Counts the reconciles of one kind. What can fail is there from the start, so that the first time is an increase.
#[derive(Clone)]
pub(crate) struct Reconciles {
    durations: Histogram,
    errors: [(Failure, Counter); 3],
}

impl Reconciles {
    /// One ended after this long, and failed so if it did.
    pub(crate) fn ended(&self, took: Duration, failure: Option<Failure>) {
        self.durations.observe(took.as_secs_f64());
        for (_, counter) in self.errors.iter().filter(|(cause, _)| Some(*cause) == failure) {
            counter.inc();
        }
    }
}
