//! The log: structured, on standard error, never with a credential (promise 6).

use tracing::level_filters::LevelFilter;
use tracing::subscriber::Subscriber;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry};

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// Text for people.
    Text,
}

/// A subscriber that writes lines up to `level` to `writer`. Audit lines are written at every level but `off`.
pub fn subscriber<W>(level: LevelFilter, format: LogFormat, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let audit = if level == LevelFilter::OFF { level } else { level.max(LevelFilter::INFO) };
    let targets = Targets::new()
        .with_default(level)
        .with_target(super::audit::TARGET, audit)
        // kube logs the whole body of an answer that it cannot parse, and that may be a Secret. Its errors are returned
        // to us as well, and we log what they mean.
        .with_target("kube_client", LevelFilter::OFF)
        .with_target("kube_runtime::watcher", LevelFilter::OFF)
        .with_target("kube_runtime", level.min(LevelFilter::WARN))
        // It logs every batch, and its settings may contain the key of a collector.
        .with_target("opentelemetry", level.min(LevelFilter::WARN));
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    let lines = match format {
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
        LogFormat::Text => lines.with_ansi(false).boxed(),
    };
    Registry::default().with(lines.with_filter(targets))
}
