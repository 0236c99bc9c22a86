//! What the operator reports about itself: logs, audit log, events, metrics, traces, readiness, and the endpoints that
//! serve them.
//!
//! Belongs here: everything that observes. Does not belong here: decisions about objects or calls.
//!
//! What happens reaches this room in four ways: the dispatcher reports its calls (`AuditRecorder`), a changed reason
//! becomes a metric and an event (`ReasonChange`), the guard around each reconcile reports how it ended (`Failure`),
//! and watches and election report their state (`Readiness`).
//!
//! - `logs.rs`: the log on standard error.
//! - `audit.rs`: what goes into the audit log. `audit_codes.rs`: the codes of its lines. `audit_log.rs` writes them, and
//!   `audit_chain.rs` says how they are chained and verified.
//! - `metrics/`: what `/metrics` serves; docs/metrics.md lists it.
//! - `events.rs`: the event recorder.
//! - `traces.rs`: which work becomes a span. `trace_export.rs`, `otlp.rs`: whether and how spans are exported.
//! - `failure.rs`: how reconciles and calls end, in the words of metrics and traces.
//! - `readiness.rs`: what the operator waits for. `http.rs`: the probes, and the server for them and for metrics.

pub(crate) mod audit;
mod audit_chain;
mod audit_codes;
pub(crate) mod audit_log;
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

#[cfg(feature = "cli")]
pub(crate) use audit_chain::TARGET as AUDIT_TARGET;
pub use audit_chain::{AuditLog, ChainFault, verify_audit_log};
pub use audit_codes::Code;
pub use http::BindAddress;
pub use logs::{LogFormat, log_panics, subscriber};
