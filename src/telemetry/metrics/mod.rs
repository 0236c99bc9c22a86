//! What can be counted and measured, in OpenMetrics text. docs/metrics.md lists it; a test holds the two together.
//!
//! No label holds the id of a person or the name of an object: kinds, reasons, endpoints, domains of tenants and
//! namespaces of tenant objects are all there is. None is called as what Prometheus adds to a target (`namespace`,
//! `endpoint`, `pod` and the like): it would rename ours. `object_counts` is what is looked up at each scrape, `process` the process.

mod object_counts;
mod process;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::auth0::CallError;
use crate::dispatch::Called;
use crate::revocation::Announce;

use crate::telemetry::failure::{Failure, call_outcome};
use crate::telemetry::readiness::Readiness;

use object_counts::ObjectCounts;

/// Upper bounds of the buckets, in seconds.
const RECONCILE_BUCKETS: [f64; 8] = [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0];
const CALL_BUCKETS: [f64; 8] = [0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];
/// A read right after, then the looks at 2, 7, 17, 37 and 77 s (revocation/outcome.rs), then each minute.
const PROOF_BUCKETS: [f64; 10] = [0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 600.0];

/// Everything that is counted; clones count the same.
#[derive(Clone)]
pub(crate) struct Metrics {
    registry: Arc<Registry>,
    counts: Counts,
    pub(crate) object_counts: ObjectCounts,
}

#[derive(Clone)]
struct Counts {
    changes: Family<KindReason, Counter>,
    proofs: Family<Kind, Histogram, fn() -> Histogram>,
    calls: Family<CallOutcome, Counter>,
    durations: Family<Call, Histogram, fn() -> Histogram>,
    limited: Family<Domain, Counter>,
    tokens: Family<DomainCall, Gauge>,
    sizes: Family<DomainCall, Gauge>,
    reconciles: Family<Kind, Histogram, fn() -> Histogram>,
    errors: Family<KindCause, Counter>,
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
struct Domain {
    domain: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Call {
    method: &'static str,
    path: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DomainCall {
    domain: String,
    method: &'static str,
    path: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallOutcome {
    domain: String,
    method: &'static str,
    path: &'static str,
    outcome: &'static str,
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
            proofs: histograms(|| Histogram::new(PROOF_BUCKETS)),
            calls: Family::default(),
            durations: histograms(|| Histogram::new(CALL_BUCKETS)),
            limited: Family::default(),
            tokens: Family::default(),
            sizes: Family::default(),
            reconciles: histograms(|| Histogram::new(RECONCILE_BUCKETS)),
            errors: Family::default(),
        };
        let seconds = || Unit::Seconds;
        let help = "Removal objects that came to this reason, once it was written";
        registry.register("removal_reason_changes", help, counts.changes.clone());
        let help = "From Auth0 accepting a removal to a complete read that proves it";
        registry.register_with_unit("proof_lag", help, seconds(), counts.proofs.clone());
        registry.register("auth0_calls", "Calls to Auth0 that ended", counts.calls.clone());
        let help = "Duration of calls to Auth0";
        registry.register_with_unit("auth0_call_duration", help, seconds(), counts.durations.clone());
        let help = "Answers that said the rate limit is reached (429)";
        registry.register("auth0_rate_limited", help, counts.limited.clone());
        let help = "Calls that Auth0's last answer said are left in the bucket";
        registry.register("auth0_tokens", help, counts.tokens.clone());
        let help = "Size of the bucket that Auth0's last answer spoke of";
        registry.register("auth0_tokens_limit", help, counts.sizes.clone());
        let help = "Duration of one reconcile of an object, without waiting for Auth0";
        registry.register_with_unit("reconcile_duration", help, seconds(), counts.reconciles.clone());
        registry.register("reconcile_errors", "Reconciles that failed and are tried again", counts.errors.clone());
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
        let object_counts = ObjectCounts::new(readiness);
        registry.register_collector(Box::new(object_counts.clone()));
        root.register_collector(Box::new(process::Process::started_now()));
        Self { registry: Arc::new(root), counts, object_counts }
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

    /// A removal object came to a reason, and it was written.
    pub(crate) fn announced(&self, news: &Announce) {
        let kind = news.object.kind.clone().unwrap_or_default();
        if let Some(after) = news.proved_after {
            self.counts.proofs.get_or_create(&Kind { kind: kind.clone() }).observe(after.as_secs_f64());
        }
        self.counts.changes.get_or_create(&KindReason { kind, reason: news.reason.as_str() }).inc();
    }

    /// A call ended.
    pub(crate) fn called(&self, call: &Called<'_>) {
        let counts = &self.counts;
        let Called { method, endpoint: path, took, answer, .. } = *call;
        let domain = call.domain.to_string();
        counts.durations.get_or_create(&Call { method, path }).observe(took.as_secs_f64());
        let outcome = call_outcome(answer.outcome.as_ref().err());
        counts.calls.get_or_create(&CallOutcome { domain: domain.clone(), method, path, outcome }).inc();
        // Created by the first call, so that the first 429 is an increase.
        let limited = counts.limited.get_or_create_owned(&Domain { domain: domain.clone() });
        if matches!(answer.outcome, Err(CallError::RateLimited(_))) {
            limited.inc();
        }
        let known = DomainCall { domain, method, path };
        for (family, number) in [(&counts.tokens, answer.limits.remaining), (&counts.sizes, answer.limits.limit)] {
            if let Some(number) = number.and_then(|number| i64::try_from(number).ok()) {
                family.get_or_create(&known).set(number);
            }
        }
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
