//! The log: structured, on standard error, never with a credential (promise 6), one line for each event whatever texts
//! from outside hold.

use std::io::{self, Write};

use tracing::error;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Subscriber;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry};

use crate::api::escaped;

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
        .with_target(super::audit_chain::TARGET, audit)
        // kube logs the whole body of an answer that it cannot parse, and that may be a Secret. Its errors are returned
        // to us as well, and we log what they mean.
        .with_target("kube_client", LevelFilter::OFF)
        .with_target("kube_runtime::watcher", LevelFilter::OFF)
        .with_target("kube_runtime", level.min(LevelFilter::WARN))
        // It logs every batch, and its settings may contain the key of a collector.
        .with_target("opentelemetry", level.min(LevelFilter::WARN));
    let lines = tracing_subscriber::fmt::layer().with_writer(Lines(writer));
    let lines = match format {
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed(),
        LogFormat::Text => lines.with_ansi(false).boxed(),
    };
    Registry::default().with(lines.with_filter(targets))
}

/// Has panics logged, each with its place and without its message, which may contain anything (promise 6).
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string);
        error!(location, "a panic, which is a bug in rescind; please report it with this line");
    }));
}

/// Makes writers that get a whole line at each write, and escape in it what is not seen.
struct Lines<W>(W);

struct Line<W>(W);

impl<'w, W: MakeWriter<'w>> MakeWriter<'w> for Lines<W> {
    type Writer = Line<W::Writer>;

    fn make_writer(&'w self) -> Self::Writer {
        Line(self.0.make_writer())
    }
}

impl<W: Write> Write for Line<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let (line, end) = text.strip_suffix('\n').map_or((&*text, ""), |line| (line, "\n"));
        self.0.write_all(format!("{}{end}", escaped(line)).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing::subscriber::with_default;

    use super::*;
    use crate::sync::lock;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            lock(&self.0).extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, what: impl FnOnce()) -> String {
        let log = Log::default();
        let writer = log.clone();
        with_default(subscriber(LevelFilter::INFO, format, move || writer.clone()), what);
        String::from_utf8(lock(&log.0).clone()).unwrap()
    }

    #[test]
    fn a_text_from_outside_stays_in_its_line() {
        let outside = "a\nERROR forged \u{1b}[2J \u{202e}drawkcab";
        for format in [LogFormat::Json, LogFormat::Text] {
            let log = logged(format, || tracing::info!(user = outside, "the API server says: {outside}"));
            assert_eq!(log.lines().count(), 1, "{log}");
            assert!(!log.contains(['\u{1b}', '\u{202e}']), "{log}");
        }
        let log = logged(LogFormat::Json, || tracing::info!(user = outside, "x"));
        let line: serde_json::Value = serde_json::from_str(&log).unwrap();
        assert_eq!(line["user"], outside, "nothing is lost in JSON");
    }

    #[test]
    fn a_panic_is_a_line_without_its_words() {
        let before = std::panic::take_hook();
        log_panics();
        let log = logged(LogFormat::Json, || drop(std::panic::catch_unwind(|| panic!("canary"))));
        std::panic::set_hook(before);
        let line: serde_json::Value = serde_json::from_str(&log).unwrap();
        assert!(line["location"].as_str().unwrap().contains("logs.rs") && !log.contains("canary"), "{log}");
    }
}
