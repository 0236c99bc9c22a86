//! Exports spans by OTLP over HTTP. Only the trace ID is ours, because it is the object's UID; everything else is left
//! to the OpenTelemetry SDK and its environment variables.
//!
//! The SDK has no way to set the trace ID of a root span but its ID generator, so the ID is handed to that in a
//! thread-local variable. A made-up remote parent would work as well, but every span would then refer to a parent that
//! does not exist.

use std::cell::Cell;
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{Span as _, SpanKind, Status, TraceId, Tracer as _, TracerProvider as _};
use opentelemetry::{KeyValue, SpanId};
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator, SdkTracer, SdkTracerProvider};

use super::traces::{Span, Tracer, TracingSetupError};

/// The longest time for exporting the last spans at shutdown.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Exports spans in batches, from a thread of the SDK.
pub(crate) struct Otlp {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

impl Otlp {
    /// Exports to `endpoint`; if `None`, to where the environment variables say.
    pub(crate) fn new(endpoint: Option<&str>) -> Result<Self, TracingSetupError> {
        let mut exporter = SpanExporter::builder().with_http();
        if let Some(endpoint) = endpoint {
            exporter = exporter.with_endpoint(endpoint);
        }
        let exporter = exporter.build().map_err(|error| TracingSetupError(error.to_string()))?;
        let mut resource =
            Resource::builder().with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
        if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
            resource = resource.with_service_name("rescind");
        }
        let provider = SdkTracerProvider::builder()
            .with_resource(resource.build())
            .with_id_generator(ByObject::default())
            .with_batch_exporter(exporter)
            .build();
        let tracer = provider.tracer("rescind");
        Ok(Self { provider, tracer })
    }

    /// Exports what is left. Blocks.
    pub(crate) fn flush(&self) {
        if let Err(error) = self.provider.shutdown_with_timeout(FLUSH_TIMEOUT) {
            tracing::warn!("the last spans were not exported: {error}");
        }
    }
}

impl Tracer for Otlp {
    fn ended(&self, span: Span) {
        let now = SystemTime::now();
        NEXT_TRACE_ID.set(u128::from_str_radix(&span.uid.replace('-', ""), 16).unwrap_or_default());
        let mut attributes: Vec<_> =
            span.attributes.into_iter().map(|(key, value)| KeyValue::new(key, value)).collect();
        attributes.extend(span.failure.map(|failure| KeyValue::new("error.type", failure)));
        let builder = self
            .tracer
            .span_builder(span.name)
            .with_kind(if span.is_call { SpanKind::Client } else { SpanKind::Internal })
            .with_start_time(now.checked_sub(span.took).unwrap_or(now))
            .with_attributes(attributes);
        let mut exported = self.tracer.build(builder);
        if let Some(failure) = span.failure {
            exported.set_status(Status::error(failure));
        }
        exported.end_with_timestamp(now);
    }
}

thread_local! {
    /// The trace ID of the next span that is built on this thread; 0 for a random one.
    static NEXT_TRACE_ID: Cell<u128> = const { Cell::new(0) };
}

/// Takes trace IDs from [`NEXT_TRACE_ID`]. The SDK asks for an ID while it builds a span, so on the same thread.
#[derive(Debug, Default)]
struct ByObject(RandomIdGenerator);

impl IdGenerator for ByObject {
    fn new_trace_id(&self) -> TraceId {
        match NEXT_TRACE_ID.take() {
            0 => self.0.new_trace_id(),
            id => TraceId::from_bytes(id.to_be_bytes()),
        }
    }

    fn new_span_id(&self) -> SpanId {
        self.0.new_span_id()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    const UID: &str = "0f8fad5b-d9cb-469f-a165-70867728950e";

    /// A collector that takes one request; its thread returns the request line and the body.
    fn collector() -> (String, std::thread::JoinHandle<(String, Vec<u8>)>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1/traces", listener.local_addr().unwrap());
        let taken = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut piece = [0; 4096];
            loop {
                let read = stream.read(&mut piece).unwrap();
                request.extend_from_slice(&piece[..read]);
                let Some(end) = request.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
                let head = String::from_utf8(request[..end].to_vec()).unwrap();
                let length = head.lines().find_map(|line| {
                    line.to_ascii_lowercase().strip_prefix("content-length: ").map(|n| n.parse::<usize>().unwrap())
                });
                if request.len() >= end + 4 + length.unwrap() {
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
                    return (head.lines().next().unwrap().to_owned(), request[end + 4..].to_vec());
                }
            }
        });
        (url, taken)
    }

    #[test]
    fn a_span_arrives_in_the_trace_of_its_object() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (url, taken) = collector();
        let otlp = Otlp::new(Some(&url)).unwrap();
        otlp.ended(Span {
            uid: UID.to_owned(),
            name: "DELETE /api/v2/users/{id}/roles".to_owned(),
            is_call: true,
            took: Duration::from_millis(60),
            failure: Some("rate_limited"),
            attributes: vec![("rescind.correlation_id", "rescind-1".to_owned())],
        });
        otlp.flush();
        let (path, body) = taken.join().unwrap();
        assert_eq!(path, "POST /v1/traces HTTP/1.1");
        let trace_id = u128::from_str_radix(&UID.replace('-', ""), 16).unwrap().to_be_bytes();
        let words: [&[u8]; 5] =
            [&trace_id, b"DELETE /api/v2/users/{id}/roles", b"rate_limited", b"rescind-1", b"service.version"];
        for word in words {
            assert!(body.windows(word.len()).any(|bytes| bytes == word), "no {word:?} in {body:?}");
        }
    }
}
