//! Whether traces are sent, and where to: OpenTelemetry's own variables decide.

#[cfg(feature = "otlp")]
use std::sync::Arc;

use super::traces::{Traces, TracingSetupError};

/// Where OpenTelemetry's own variables say, or nowhere: `OTEL_EXPORTER_OTLP_ENDPOINT` turns traces on. To be called outside
/// of any async runtime.
pub fn from_environment() -> Result<(Traces, Flush), TracingSetupError> {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let endpoint = set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT").or_else(|| set("OTEL_EXPORTER_OTLP_ENDPOINT"));
    let off = set("OTEL_TRACES_EXPORTER").is_some_and(|exporter| exporter == "none")
        || set("OTEL_SDK_DISABLED").is_some_and(|disabled| disabled.eq_ignore_ascii_case("true"));
    if endpoint.is_none() || off {
        return Ok((Traces::default(), Flush::default()));
    }
    begin()
}

#[cfg(feature = "otlp")]
fn begin() -> Result<(Traces, Flush), TracingSetupError> {
    let otlp = Arc::new(super::otlp::Otlp::new(None)?);
    let last = otlp.clone();
    Ok((Traces::to(otlp), Flush(Some(Box::new(move || last.end())))))
}

#[cfg(not(feature = "otlp"))]
fn begin() -> Result<(Traces, Flush), TracingSetupError> {
    tracing::warn!(
        "OTEL_EXPORTER_OTLP_ENDPOINT is set, but this program cannot send traces: build it with --features otlp"
    );
    Ok((Traces::default(), Flush::default()))
}

/// Sends what is left when it is dropped; outside of any async runtime.
#[derive(Default)]
pub struct Flush(Option<Box<dyn FnOnce()>>);

impl Drop for Flush {
    fn drop(&mut self) {
        if let Some(send) = self.0.take() {
            send();
        }
    }
}
