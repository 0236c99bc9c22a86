//! Traces: which work becomes a span, for whoever sends it (`otlp.rs`, if that was built in).
//!
//! All spans of one object have its UID as the number of their trace, so a trace is found without a search. They hang side
//! by side: a reconcile never waits for Auth0, so no span contains another. A call that was shared by several objects is
//! in the trace of each. No ids of people stand in a span; its attributes are named by OpenTelemetry's conventions.

use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;
use thiserror::Error;

use crate::dispatch::RequestFinished;

use super::failure::{Failure, call_outcome};

/// More traces than this do not get a shared call. As many objects as a call has items is usual.
const MAX_TRACES: usize = 50;

/// Work that ended just now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The UID of the object it was done for.
    pub uid: String,
    /// What was done, without ids.
    pub name: String,
    /// Whether it was a call to somebody else.
    pub is_call: bool,
    /// How long it took.
    pub took: Duration,
    /// The word for how it failed.
    pub failure: Option<&'static str>,
    /// More about it.
    pub attributes: Vec<(&'static str, String)>,
}

/// Sends spans. Told in the middle of the work, so it must not wait for anything.
pub trait Tracer: Send + Sync + 'static {
    /// This ended.
    fn ended(&self, span: Span);
}

/// Where spans go, if anywhere.
#[derive(Clone, Default)]
pub struct Traces(Option<Arc<dyn Tracer>>);

impl std::fmt::Debug for Traces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Traces(on)" } else { "Traces(off)" })
    }
}

impl Traces {
    /// To this one.
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

/// Traces are asked for and cannot be sent. What to do: correct the variables that begin with `OTEL_`.
#[derive(Debug, Error)]
#[error("traces cannot be sent, see the variables that begin with OTEL_: {0}")]
pub struct TracingSetupError(pub(crate) String);
