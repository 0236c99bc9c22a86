//! The credentials that Auth0 refused: nobody else needs to find that out. What was refused is the connection, so another
//! domain or another token is tried at once.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use crate::dispatch::ConnectionKey;

/// A credential that Auth0 refused is tried again after this long: the refusal may have been Auth0's mistake.
const REFUSED_FOR: Duration = Duration::from_secs(600);

/// What was refused, why, and when.
#[derive(Debug, Default)]
pub(super) struct Refusals(HashMap<ConnectionKey, (String, Instant)>);

impl Refusals {
    /// Auth0 refused this. Returns whether that is news.
    pub(super) fn insert(&mut self, key: ConnectionKey, why: String, now: Instant) -> bool {
        let before = self.0.insert(key, (why, now));
        before.is_none_or(|(_, since)| is_over(since, now))
    }

    /// Why this is not tried now.
    pub(super) fn get(&self, key: ConnectionKey, now: Instant) -> Option<&str> {
        self.0.get(&key).filter(|(_, since)| !is_over(*since, now)).map(|(why, _)| why.as_str())
    }

    /// Forgets what no tenant has any more.
    pub(super) fn retain(&mut self, alive: &HashSet<ConnectionKey>) {
        self.0.retain(|key, _| alive.contains(key));
    }
}

fn is_over(since: Instant, now: Instant) -> bool {
    now.saturating_duration_since(since) >= REFUSED_FOR
}
