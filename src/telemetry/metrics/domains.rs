//! Metrics by Auth0 domain. They are dropped when no tenant object names the domain any more.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet};

use crate::auth0::{CallError, Domain};
use crate::dispatch::RequestFinished;
use crate::sync::lock;
use crate::telemetry::failure::call_outcome;

use super::families::{counters, gauges};

#[derive(Clone, Debug, Default)]
pub(super) struct Domains(Arc<Mutex<BTreeMap<Domain, Counts>>>);

#[derive(Debug, Default)]
struct Counts {
    calls: BTreeMap<(Endpoint, &'static str), u64>,
    rate_limited: u64,
    /// What the rate limit headers of the last answer said.
    remaining: BTreeMap<Endpoint, u64>,
    limits: BTreeMap<Endpoint, u64>,
}

/// Method and path.
type Endpoint = (&'static str, &'static str);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub(super) struct DomainLabels {
    pub(super) domain: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndpointLabels {
    domain: String,
    method: &'static str,
    path: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    domain: String,
    method: &'static str,
    path: &'static str,
    outcome: &'static str,
}

impl Domains {
    /// A call ended.
    pub(super) fn request_finished(&self, call: &RequestFinished<'_>) {
        let mut domains = lock(&self.0);
        // The domain exists from its first call on, so that Prometheus sees the first 429 as an increase.
        let counts = domains.entry(call.domain.clone()).or_default();
        let endpoint = (call.method, call.endpoint);
        let error = call.answer.outcome.as_ref().err();
        *counts.calls.entry((endpoint, call_outcome(error))).or_default() += 1;
        if matches!(error, Some(CallError::RateLimited(_))) {
            counts.rate_limited += 1;
        }
        let limits = &call.answer.limits;
        for (known, number) in [(&mut counts.remaining, limits.remaining), (&mut counts.limits, limits.limit)] {
            if let Some(number) = number {
                known.insert(endpoint, number);
            }
        }
    }

    /// Forgets all other domains.
    pub(super) fn retain(&self, domains: &HashSet<Domain>) {
        lock(&self.0).retain(|domain, _| domains.contains(domain));
    }
}

impl Collector for Domains {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let domains = lock(&self.0);
        let counts = || domains.iter().map(|(domain, counts)| (domain.to_string(), counts));
        let calls = counts().flat_map(|(domain, counts)| {
            counts.calls.iter().map(move |(((method, path), outcome), count)| {
                (OutcomeLabels { domain: domain.clone(), method, path, outcome }, *count)
            })
        });
        counters(&mut encoder, "auth0_calls", "Calls to Auth0 that have ended", calls)?;
        let help = "Calls that Auth0 answered with 429";
        let limited = counts().map(|(domain, counts)| (DomainLabels { domain }, counts.rate_limited));
        counters(&mut encoder, "auth0_rate_limited", help, limited)?;
        type Of = fn(&Counts) -> &BTreeMap<Endpoint, u64>;
        let rows: [(&str, &str, Of); 2] = [
            ("ratelimit_remaining", "X-RateLimit-Remaining of the last answer", |counts| &counts.remaining),
            ("ratelimit_limit", "X-RateLimit-Limit of the last answer", |counts| &counts.limits),
        ];
        for (name, help, of) in rows {
            let known = counts().flat_map(|(domain, counts)| {
                of(counts).iter().map(move |((method, path), number)| {
                    (
                        EndpointLabels { domain: domain.clone(), method, path },
                        i64::try_from(*number).unwrap_or(i64::MAX),
                    )
                })
            });
            gauges(&mut encoder, name, help, None, known)?;
        }
        Ok(())
    }
}
