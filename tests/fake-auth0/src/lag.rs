//! Eventual consistency: what was removed and is still shown by some lists for a while.
//!
//! Holds only ghosts, the removed items that a list goes on showing. The state itself is always current.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use crate::endpoints::Kind;

/// How long a list goes on showing what was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lag {
    /// For a time.
    For(Duration),
    /// For the next walks through that list: a walk begins with a first page, its further pages belong to it.
    /// A test that counts needs no sleeping.
    Reads(u32),
}

#[derive(Clone, Copy, Debug)]
enum Left {
    Until(Instant),
    Walks(u32),
}

/// The ghosts of one tenant.
#[derive(Debug, Default)]
pub(crate) struct Ghosts {
    lags: BTreeMap<Kind, Lag>,
    /// (list kind, key of the list) -> item -> how long it is still seen.
    lists: BTreeMap<(Kind, String), BTreeMap<String, Left>>,
}

impl Ghosts {
    pub(crate) fn set(&mut self, list: Kind, lag: Option<Lag>) {
        match lag {
            Some(lag) => self.lags.insert(list, lag),
            None => self.lags.remove(&list),
        };
    }

    pub(crate) fn clear(&mut self) {
        self.lists.clear();
    }

    /// Notes that `item` was just removed from a list.
    pub(crate) fn add(&mut self, list: Kind, key: &str, item: &str, now: Instant) {
        let left = match self.lags.get(&list) {
            None | Some(Lag::Reads(0)) => return,
            Some(Lag::For(time)) => Left::Until(now + *time),
            Some(Lag::Reads(reads)) => Left::Walks(*reads),
        };
        self.lists.entry((list, key.to_owned())).or_default().insert(item.to_owned(), left);
    }

    /// What a read of this list shows beyond the state. `begins` says whether the read begins a walk.
    pub(crate) fn visible(&mut self, list: Kind, key: &str, begins: bool, now: Instant) -> BTreeSet<String> {
        if self.lists.is_empty() {
            return BTreeSet::new();
        }
        let place = (list, key.to_owned());
        let Some(items) = self.lists.get_mut(&place) else { return BTreeSet::new() };
        items.retain(|_, left| match left {
            Left::Until(end) => now < *end,
            Left::Walks(0) => !begins,
            Left::Walks(walks) => {
                *walks -= u32::from(begins);
                true
            }
        });
        let seen: BTreeSet<String> = items.keys().cloned().collect();
        if seen.is_empty() {
            self.lists.remove(&place);
        }
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counted_ghost_is_seen_for_whole_walks() {
        let mut ghosts = Ghosts::default();
        let now = Instant::now();
        ghosts.set(Kind::GetMembers, Some(Lag::Reads(2)));
        ghosts.add(Kind::GetMembers, "org", "jane", now);
        let mut seen = |begins| !ghosts.visible(Kind::GetMembers, "org", begins, now).is_empty();
        assert_eq!([seen(true), seen(false), seen(true), seen(false), seen(true)], [true, true, true, true, false]);
    }

    #[test]
    fn a_timed_ghost_goes_with_time_and_only_lagging_lists_have_ghosts() {
        let mut ghosts = Ghosts::default();
        let now = Instant::now();
        ghosts.set(Kind::GetMembers, Some(Lag::For(Duration::from_secs(5))));
        ghosts.add(Kind::GetMembers, "org", "jane", now);
        ghosts.add(Kind::GetUserOrganizations, "jane", "org", now);
        assert!(ghosts.visible(Kind::GetMembers, "org", true, now + Duration::from_secs(4)).contains("jane"));
        assert!(ghosts.visible(Kind::GetMembers, "org", true, now + Duration::from_secs(5)).is_empty());
        assert!(ghosts.visible(Kind::GetUserOrganizations, "jane", true, now).is_empty());
    }
}
