//! The credentials that Auth0 rejected, so that one call finds it out for all. They are kept by connection: with
//! another domain or token, calls are made at once.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use crate::dispatch::ConnectionKey;

/// A rejected credential is retried after this long, because the rejection may have been Auth0's mistake.
const RETRY_AFTER: Duration = Duration::from_secs(600);

/// Why and when each connection's credential was last rejected.
#[derive(Debug, Default)]
pub(super) struct RejectedCredentials(HashMap<ConnectionKey, (String, Instant)>);

impl RejectedCredentials {
    /// Records that Auth0 rejected the credential. Returns whether no such rejection was in force before.
    pub(super) fn record(&mut self, key: ConnectionKey, why: String, now: Instant) -> bool {
        let before = self.0.insert(key, (why, now));
        before.is_none_or(|(_, since)| is_over(since, now))
    }

    /// Why the credential was rejected, as long as it is not to be retried.
    pub(super) fn in_force(&self, key: ConnectionKey, now: Instant) -> Option<&str> {
        self.0.get(&key).filter(|(_, since)| !is_over(*since, now)).map(|(why, _)| why.as_str())
    }

    /// Forgets the connections that no tenant has any more.
    pub(super) fn retain(&mut self, alive: &HashSet<ConnectionKey>) {
        self.0.retain(|key, _| alive.contains(key));
    }
}

fn is_over(since: Instant, now: Instant) -> bool {
    now.saturating_duration_since(since) >= RETRY_AFTER
}
