//! Logs: structured, on standard error, never with a credential.

use tracing::level_filters::LevelFilter;
use tracing::subscriber::Subscriber;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry};

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// A subscriber that writes lines of at most `level` to `writer`.
pub fn subscriber<W>(level: LevelFilter, format: LogFormat, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    // kube's client warns with the whole body of an answer it cannot read, and an answer may be a Secret (promise 6).
    // Its errors come back to us, and we say what they mean.
    // kube's runtime wraps every line of ours in a span that says the same again.
    let audit = if level == LevelFilter::OFF { level } else { level.max(LevelFilter::INFO) };
    let targets = Targets::new()
        .with_default(level)
        // Whoever wants fewer words about the work still wants to know what was taken from whom.
        .with_target(super::audit::TARGET, audit)
        .with_target("kube_client", LevelFilter::OFF)
        .with_target("kube_runtime::watcher", LevelFilter::OFF)
        .with_target("kube_runtime", level.min(LevelFilter::WARN))
        // It tells of every batch, and its variables may hold the key of a collector.
        .with_target("opentelemetry", level.min(LevelFilter::WARN));
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    let lines = match format {
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
        LogFormat::Text => lines.with_ansi(false).boxed(),
    };
    Registry::default().with(lines.with_filter(targets))
}
