//! When the members of one organization joined, which is the order in which Auth0 lists them.
//!
//! An index beside the memberships themselves, which are in `state.rs`.

use std::{collections::BTreeMap, ops::Bound};

/// Milliseconds since the beginning of 2026, unique within a tenant.
pub(crate) type Joined = u64;

/// The members by the time they joined.
#[derive(Clone, Debug, Default)]
pub(crate) struct Joining {
    times: BTreeMap<String, Joined>,
    order: BTreeMap<Joined, String>,
}

impl Joining {
    /// Records that a user joined; a member keeps the earlier time.
    pub(crate) fn join(&mut self, user: &str, at: Joined) {
        if !self.times.contains_key(user) {
            self.times.insert(user.to_owned(), at);
            self.order.insert(at, user.to_owned());
        }
    }

    pub(crate) fn leave(&mut self, user: &str) {
        if let Some(at) = self.times.remove(user) {
            self.order.remove(&at);
        }
    }

    pub(crate) fn time_of(&self, user: &str) -> Option<Joined> {
        self.times.get(user).copied()
    }

    /// Everybody who joined after a time, in that order.
    pub(crate) fn after(&self, time: Option<Joined>) -> impl Iterator<Item = (Joined, &str)> {
        let from = time.map_or(Bound::Unbounded, Bound::Excluded);
        self.order.range((from, Bound::Unbounded)).map(|(at, user)| (*at, user.as_str()))
    }
}
