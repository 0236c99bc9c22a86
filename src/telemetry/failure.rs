//! How reconciles and calls end, in the words of metrics and traces.

use crate::auth0::CallError;

/// How a reconcile failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    Error,
    Timeout,
    Panic,
}

impl Failure {
    pub(crate) const ALL: [Self; 3] = [Self::Error, Self::Timeout, Self::Panic];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Timeout => "timeout",
            Self::Panic => "panic",
        }
    }
}

/// The word for how a call ended.
pub(crate) const fn call_outcome(error: Option<&CallError>) -> &'static str {
    match error {
        None => "ok",
        Some(CallError::Rejected(_)) => "rejected",
        Some(CallError::Unauthorized(_)) => "unauthorized",
        Some(CallError::Denied(_)) => "denied",
        Some(CallError::InsufficientScope(_)) => "insufficient_scope",
        Some(CallError::NotFound(_)) => "not_found",
        Some(CallError::RateLimited(_)) => "rate_limited",
        Some(CallError::Unavailable(_)) => "unavailable",
        Some(CallError::NotSent(_)) => "not_sent",
        Some(CallError::NotProcessed) => "not_processed",
    }
}
