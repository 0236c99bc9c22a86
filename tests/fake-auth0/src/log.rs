//! The log of calls: what came, when, with which token, and how it was answered.
//!
//! A call is in the log from the moment its body was read; its answer is added later, so calls in flight are visible.
//! The log never holds a credential: tokens are fingerprints, secrets in the token request are blanked.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant, SystemTime},
};

use http::{Method, Version};
use serde_json::Value;
use tokio::sync::Notify;

use crate::kinds::{Group, Kind};

/// Calls, oldest first.
pub type Calls = Vec<Arc<Call>>;

/// One call.
#[derive(Debug)]
pub struct Call {
    /// The number of the call at this tenant, from 0.
    pub seq: u64,
    /// When it had arrived completely.
    pub at: Instant,
    /// The same by the system clock.
    pub wall: SystemTime,
    /// The HTTP method.
    pub method: Method,
    /// The path as it was on the wire, without the query.
    pub path: String,
    /// Which endpoint it went to.
    pub kind: Kind,
    /// The limit it draws from.
    pub group: Group,
    /// The user named in the path, percent-decoded once.
    pub user: Option<String>,
    /// The id or the name of the organization in the path, percent-decoded once.
    pub organization: Option<String>,
    /// The role named in the path, percent-decoded once.
    pub role: Option<String>,
    /// The API named in the path, percent-decoded once.
    pub resource_server: Option<String>,
    /// Which page of a walk through a list it asks for, from 0; `None` for anything but lists. A checkpoint that never
    /// was handed out counts as the first page.
    pub page: Option<u64>,
    /// The query, decoded, in order.
    pub query: Vec<(String, String)>,
    /// The body, if it was JSON (or the form of a token request).
    pub body: Option<Value>,
    /// The length of the body in bytes.
    pub body_length: usize,
    /// The header `Content-Type`.
    pub content_type: Option<String>,
    /// The header `X-Correlation-ID`.
    pub correlation_id: Option<String>,
    /// The header `User-Agent`.
    pub user_agent: Option<String>,
    /// [`crate::fingerprint`] of the bearer token.
    pub token: Option<String>,
    /// The HTTP version.
    pub version: Version,
    /// Number of the connection it came over, from 1.
    pub connection: u64,
    pub(crate) answer: OnceLock<Answered>,
}

/// The answer to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The status.
    pub status: u16,
    /// When.
    pub at: Instant,
    /// The number of relations that it removed, even if the answer does not say so.
    pub removed: usize,
}

impl Call {
    /// The answer; `None` while the call is in flight or if it was never answered.
    #[must_use]
    pub fn answer(&self) -> Option<Answered> {
        self.answer.get().copied()
    }

    /// The status of the answer, if there is one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.answer().map(|answer| answer.status)
    }

    /// Whether the body contains this text as a value: a user id, a role id, the name of a permission.
    #[must_use]
    pub fn names(&self, text: &str) -> bool {
        fn holds(value: &Value, text: &str) -> bool {
            match value {
                Value::String(found) => found == text,
                Value::Array(values) => values.iter().any(|value| holds(value, text)),
                Value::Object(values) => values.values().any(|value| holds(value, text)),
                _ => false,
            }
        }
        self.body.as_ref().is_some_and(|body| holds(body, text))
    }

    /// The value of a query parameter.
    #[must_use]
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{} {} {}", self.seq, self.method, self.path)?;
        for (index, (key, value)) in self.query.iter().enumerate() {
            write!(f, "{}{key}={value}", if index == 0 { '?' } else { '&' })?;
        }
        if let Some(body) = &self.body {
            write!(f, " {body}")?;
        }
        match self.status() {
            Some(status) => write!(f, " -> {status}"),
            None => f.write_str(" -> no answer"),
        }
    }
}

/// [`crate::FakeAuth0::wait_for`] timed out.
#[derive(Debug, thiserror::Error)]
#[error("not so within {waited:?}; the last of {} calls:\n{}", calls.len(), tail(calls))]
pub struct WaitTimeout {
    /// How long it waited.
    pub waited: Duration,
    /// All calls at that time.
    pub calls: Calls,
}

fn tail(calls: &Calls) -> String {
    let shown = calls.iter().rev().take(20).rev();
    shown.map(|call| format!("  {call}")).collect::<Vec<_>>().join("\n")
}

#[derive(Debug, Default)]
pub(crate) struct Log {
    calls: Mutex<Calls>,
    forbidden: Mutex<Calls>,
    counts_only: AtomicBool,
    seq: AtomicU64,
    counts: [AtomicU64; Kind::ALL.len()],
    in_flight: AtomicUsize,
    max_in_flight: AtomicUsize,
    changed: Notify,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Log {
    pub(crate) fn next_seq(&self) -> u64 {
        self.seq.fetch_add(1, Relaxed)
    }

    /// Adds a call, which counts as in flight until the returned value is dropped.
    pub(crate) fn arrive(self: &Arc<Self>, call: &Arc<Call>, forbidden: bool) -> Flight {
        let now = self.in_flight.fetch_add(1, Relaxed) + 1;
        self.max_in_flight.fetch_max(now, Relaxed);
        if !self.counts_only.load(Relaxed) {
            lock(&self.calls).push(Arc::clone(call));
        }
        if forbidden {
            lock(&self.forbidden).push(Arc::clone(call));
        }
        self.counts[call.kind as usize].fetch_add(1, Relaxed);
        self.changed.notify_waiters();
        Flight { log: Arc::clone(self), call: Arc::clone(call) }
    }

    pub(crate) fn calls(&self) -> Calls {
        lock(&self.calls).clone()
    }

    pub(crate) fn forbidden(&self) -> Calls {
        lock(&self.forbidden).clone()
    }

    pub(crate) fn count(&self, kind: Kind) -> u64 {
        self.counts[kind as usize].load(Relaxed)
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Relaxed)
    }

    pub(crate) fn max_in_flight(&self) -> usize {
        self.max_in_flight.load(Relaxed)
    }

    pub(crate) fn counts_only(&self, on: bool) {
        self.counts_only.store(on, Relaxed);
    }

    pub(crate) fn reset(&self) {
        lock(&self.calls).clear();
        self.counts.iter().for_each(|count| count.store(0, Relaxed));
        self.max_in_flight.store(self.in_flight(), Relaxed);
    }

    /// Waits until `enough` is satisfied; it is checked at once and after every arrival and answer.
    pub(crate) async fn wait_until(
        &self,
        enough: impl Fn(&Self) -> bool,
        limit: Duration,
    ) -> Result<Calls, WaitTimeout> {
        let watch = async {
            loop {
                let mut changed = std::pin::pin!(self.changed.notified());
                // Registered before the check, so that nothing in between is missed.
                changed.as_mut().enable();
                if enough(self) {
                    return self.calls();
                }
                changed.await;
            }
        };
        let outcome = tokio::time::timeout(limit, watch).await;
        outcome.map_err(|_| WaitTimeout { waited: limit, calls: self.calls() })
    }
}

/// A call in flight.
pub(crate) struct Flight {
    log: Arc<Log>,
    call: Arc<Call>,
}

impl Flight {
    pub(crate) fn answered(&self, status: u16, removed: usize) {
        // Only the first answer counts; there is no second.
        let _ = self.call.answer.set(Answered { status, at: Instant::now(), removed });
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.log.in_flight.fetch_sub(1, Relaxed);
        self.log.changed.notify_waiters();
    }
}
