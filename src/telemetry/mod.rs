//! What is told: logs, the audit, events, metrics, traces, readiness, and the endpoints that serve them.
//!
//! Belongs here: everything that observes. Does not belong here: decisions.

pub(crate) mod audit;
pub(crate) mod events;
pub(crate) mod failure;
pub(crate) mod http;
mod logs;
pub(crate) mod metrics;
#[cfg(feature = "otlp")]
mod otlp;
pub(crate) mod readiness;
pub mod trace_export;
pub mod traces;

pub use logs::{LogFormat, subscriber};
pub use readiness::{Readiness, Role};
