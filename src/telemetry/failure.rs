//! How reconciles and calls end, in the words of metrics and traces.

use crate::auth0::CallError;

/// How a reconcile failed: the guard decides it, metrics and traces show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    Error,
    Timeout,
    Panic,
}

impl Failure {
    /// All of them, so that each has a counter from the start.
    pub(crate) const ALL: [Self; 3] = [Self::Error, Self::Timeout, Self::Panic];

    /// The label value `cause`, and `error.type` of a span.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Timeout => "timeout",
            Self::Panic => "panic",
        }
    }
}

/// How a call to Auth0 ended: the label value `outcome`, and `error.type` of a span. docs/metrics.md explains the
/// values.
pub(crate) const fn call_outcome(error: Option<&CallError>) -> &'static str {
    match error {
        None => "ok",
        Some(CallError::Rejected(_)) => "rejected",
        Some(CallError::Unauthorized(_) | CallError::TokenReplaced) => "unauthorized",
        Some(CallError::Denied(_)) => "denied",
        Some(CallError::InsufficientScope(_)) => "insufficient_scope",
        Some(CallError::NotFound(_)) => "not_found",
        Some(CallError::RateLimited(_)) => "rate_limited",
        Some(CallError::Unavailable(_)) => "unavailable",
        Some(CallError::NotSent(_)) => "not_sent",
        Some(CallError::NotProcessed) => "not_processed",
    }
}
