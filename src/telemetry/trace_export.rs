//! Whether spans are exported, and where to, by OpenTelemetry's own environment variables.

#[cfg(feature = "otlp")]
use std::sync::Arc;

use super::traces::{Traces, TracingSetupError};

/// Where spans go, by OpenTelemetry's variables: `OTEL_EXPORTER_OTLP_ENDPOINT` or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`
/// turns the export on. To be called outside of any async runtime, because the exporter has a blocking client.
pub fn from_environment() -> Result<(Traces, Flush), TracingSetupError> {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let endpoint = set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT").or_else(|| set("OTEL_EXPORTER_OTLP_ENDPOINT"));
    let off = set("OTEL_TRACES_EXPORTER").is_some_and(|exporter| exporter == "none")
        || set("OTEL_SDK_DISABLED").is_some_and(|disabled| disabled.eq_ignore_ascii_case("true"));
    if endpoint.is_none() || off {
        return Ok((Traces::default(), Flush::default()));
    }
    start()
}

#[cfg(feature = "otlp")]
fn start() -> Result<(Traces, Flush), TracingSetupError> {
    let otlp = Arc::new(super::otlp::Otlp::new(None)?);
    let flushed = otlp.clone();
    Ok((Traces::to(otlp), Flush(Some(Box::new(move || flushed.flush())))))
}

#[cfg(not(feature = "otlp"))]
fn start() -> Result<(Traces, Flush), TracingSetupError> {
    tracing::warn!(
        "OTEL_EXPORTER_OTLP_ENDPOINT is set, but this build cannot export traces: build it with --features otlp"
    );
    Ok((Traces::default(), Flush::default()))
}

/// Exports the last spans when it is dropped, which must be outside of any async runtime.
#[derive(Default)]
pub struct Flush(Option<Box<dyn FnOnce()>>);

impl Drop for Flush {
    fn drop(&mut self) {
        if let Some(flush) = self.0.take() {
            flush();
        }
    }
}
