//! Which work becomes a span, for the exporter (`otlp.rs`, with the feature `otlp`).
//!
//! The trace ID of all spans of an object is its UID, so a trace is found without a search. All are root spans: a
//! reconcile never waits for Auth0, so no span contains another. A call that several objects shared is in the trace of
//! each. No span contains the ID of a person. Attributes are named by OpenTelemetry's semantic conventions where those
//! have a name.

use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;
use thiserror::Error;

use crate::dispatch::RequestFinished;

use super::failure::{Failure, call_outcome};

/// A shared call gets a span in at most this many traces. A call has at most 50 items, mostly of one object each.
const MAX_TRACES: usize = 50;

/// Work that has just ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The UID of the object it was done for.
    pub uid: String,
    /// What was done, without IDs.
    pub name: String,
    /// Whether it was a call to Auth0.
    pub is_call: bool,
    /// How long it took.
    pub took: Duration,
    /// How it failed, as `failure.rs` names it; `None` if it did not.
    pub failure: Option<&'static str>,
    /// Attributes, by name.
    pub attributes: Vec<(&'static str, String)>,
}

/// Exports spans. It is called in the middle of the work, so it must not wait for anything.
pub trait Tracer: Send + Sync + 'static {
    /// The work of this span has just ended.
    fn ended(&self, span: Span);
}

/// Where spans go; nowhere by default.
#[derive(Clone, Default)]
pub struct Traces(Option<Arc<dyn Tracer>>);

impl std::fmt::Debug for Traces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Traces(on)" } else { "Traces(off)" })
    }
}

impl Traces {
    /// Sends spans to `tracer`.
    pub fn to(tracer: Arc<dyn Tracer>) -> Self {
        Self(Some(tracer))
    }

    /// A reconcile of an object of `kind` ended.
    pub(crate) fn reconciled(&self, kind: &str, object: &impl ResourceExt, took: Duration, failure: Option<Failure>) {
        let Some(tracer) = &self.0 else { return };
        let attributes = vec![
            ("k8s.namespace.name", object.namespace().unwrap_or_default()),
            ("rescind.kind", kind.to_owned()),
            ("rescind.name", object.name_any()),
            ("rescind.generation", object.meta().generation.unwrap_or_default().to_string()),
        ];
        let failure = failure.map(Failure::as_str);
        let uid = object.uid().unwrap_or_default();
        tracer.ended(Span { uid, name: format!("reconcile {kind}"), is_call: false, took, failure, attributes });
    }

    /// A call to Auth0 ended.
    pub(crate) fn request_finished(&self, call: &RequestFinished<'_>) {
        let Some(tracer) = &self.0 else { return };
        let RequestFinished { domain, method, endpoint, owners, correlation, took, answer, .. } = *call;
        let outcome = call_outcome(answer.outcome.as_ref().err());
        for owner in owners.iter().take(MAX_TRACES) {
            let mut attributes = vec![
                ("http.request.method", method.to_owned()),
                ("url.template", endpoint.to_owned()),
                ("server.address", domain.to_string()),
                ("k8s.namespace.name", owner.namespace.to_string()),
                ("rescind.kind", owner.kind.to_owned()),
                ("rescind.name", owner.name.to_string()),
                ("rescind.objects", owners.len().to_string()),
            ];
            attributes.extend(correlation.map(|id| ("rescind.correlation_id", id.to_owned())));
            tracer.ended(Span {
                uid: owner.uid.to_string(),
                name: format!("{method} {endpoint}"),
                is_call: true,
                took,
                failure: answer.outcome.is_err().then_some(outcome),
                attributes,
            });
        }
    }
}

/// The export of traces cannot be set up. What to do: correct the environment variables that begin with `OTEL_`.
#[derive(Debug, Error)]
#[error("traces cannot be exported, see the variables that begin with OTEL_: {0}")]
pub struct TracingSetupError(pub(crate) String);
