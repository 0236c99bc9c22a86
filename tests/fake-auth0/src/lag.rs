//! Eventual consistency: lists that still show what was removed, and do not show yet what was given.
//!
//! This keeps only the differences of the lists; the state itself is always current.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use crate::{cursor::Key, kinds::Kind};

/// How late a list shows removals and additions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lag {
    /// For a time.
    For(Duration),
    /// For a random time between these two, drawn for each change.
    Between(Duration, Duration),
    /// For this many walks through the list. A walk begins with a first page and includes its further pages. So a test
    /// can count instead of sleeping.
    Reads(u32),
    /// During this many walks, for every other one, beginning with the next: as if two servers answered in turn, of
    /// which one is late.
    Flicker(u32),
}

impl Lag {
    /// What Auth0 documents for the end of a membership.
    pub const DOCUMENTED: Self = Self::Between(Duration::from_secs(5), Duration::from_secs(10));
}

/// The direction of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Given,
    Taken,
}

#[derive(Clone, Copy, Debug)]
enum Left {
    Until(Instant),
    Walks { left: u32, flicker: bool, late: bool },
}

impl Left {
    /// Whether the list is late at this read; `None` once it has caught up.
    fn late(&mut self, begins: bool, now: Instant) -> Option<bool> {
        match self {
            Self::Until(end) => (now < *end).then_some(true),
            Self::Walks { left: 0, .. } if begins => None,
            Self::Walks { left, flicker, late } => {
                if begins {
                    *left -= 1;
                    *late = !*flicker || !*late;
                }
                Some(*late)
            }
        }
    }
}

/// How a list differs from the state.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Overlay {
    /// Removed but still shown.
    pub ghosts: BTreeSet<Key>,
    /// Given but not shown yet.
    pub hidden: BTreeSet<Key>,
}

/// (list kind, key of the list) -> item and way of the change -> how long the list is late about it.
type Late = BTreeMap<(Kind, String), BTreeMap<(Key, bool), Left>>;

/// The lags of the lists of one tenant.
#[derive(Debug)]
pub(crate) struct Lags {
    lags: BTreeMap<Kind, Option<Lag>>,
    late: Late,
    rng: fastrand::Rng,
}

impl Default for Lags {
    fn default() -> Self {
        let lags = BTreeMap::from([(Kind::GetMembers, Some(Lag::DOCUMENTED))]);
        Self { lags, late: Late::default(), rng: fastrand::Rng::with_seed(0) }
    }
}

impl Lags {
    pub(crate) fn set(&mut self, list: Kind, lag: Option<Lag>) {
        self.lags.insert(list, lag);
    }

    /// Turns lag off and brings all lists up to date.
    pub(crate) fn none(&mut self) {
        self.lags.clear();
        self.catch_up();
    }

    pub(crate) fn catch_up(&mut self) {
        self.late.clear();
    }

    /// Records that `item` of a list was just given or taken. With `as_members`, a list of memberships without a lag of
    /// its own has the lag of the members.
    pub(crate) fn note(&mut self, change: Change, (list, key): (Kind, &str), item: Key, as_members: bool) {
        let lag = match (self.lags.get(&list), as_members) {
            (None, true) => self.lags.get(&Kind::GetMembers),
            (lag, _) => lag,
        };
        let walks = |left, flicker| Left::Walks { left, flicker, late: false };
        let left = match lag.copied().flatten() {
            None | Some(Lag::Reads(0) | Lag::Flicker(0)) => return,
            Some(Lag::For(time)) => Left::Until(Instant::now() + time),
            Some(Lag::Between(least, most)) => {
                let spread = u64::try_from(most.saturating_sub(least).as_millis()).unwrap_or(u64::MAX);
                Left::Until(Instant::now() + least + Duration::from_millis(self.rng.u64(..=spread)))
            }
            Some(Lag::Reads(reads)) => walks(reads, false),
            Some(Lag::Flicker(reads)) => walks(reads, true),
        };
        let late = self.late.entry((list, key.to_owned())).or_default();
        late.insert((item, change == Change::Given), left);
    }

    /// How a read of this list differs from the state. `begins` says whether the read begins a walk.
    pub(crate) fn overlay(&mut self, list: Kind, key: &str, begins: bool, now: Instant) -> Overlay {
        let mut overlay = Overlay::default();
        if self.late.is_empty() {
            return overlay;
        }
        let place = (list, key.to_owned());
        let Some(items) = self.late.get_mut(&place) else { return overlay };
        items.retain(|(item, given), left| {
            let late = left.late(begins, now);
            if late == Some(true) {
                let shown = if *given { &mut overlay.hidden } else { &mut overlay.ghosts };
                shown.insert(item.clone());
            }
            late.is_some()
        });
        if items.is_empty() {
            self.late.remove(&place);
        }
        overlay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMBERS: (Kind, &str) = (Kind::GetMembers, "org");

    fn jane() -> Key {
        (1, "jane".to_owned())
    }

    fn walks(lag: Lag, change: Change) -> Vec<bool> {
        let mut lags = Lags::default();
        let now = Instant::now();
        lags.set(Kind::GetMembers, Some(lag));
        lags.note(change, MEMBERS, jane(), false);
        let mut walk = |begins| lags.overlay(MEMBERS.0, MEMBERS.1, begins, now) != Overlay::default();
        [true, false, true, false, true, true, true].into_iter().map(&mut walk).collect()
    }

    #[test]
    fn a_counted_change_is_late_for_whole_walks_in_both_directions() {
        for change in [Change::Given, Change::Taken] {
            assert_eq!(walks(Lag::Reads(2), change), [true, true, true, true, false, false, false]);
            assert_eq!(walks(Lag::Flicker(3), change), [true, true, false, false, true, false, false]);
            assert_eq!(walks(Lag::Reads(0), change), [false; 7]);
        }
    }

    #[test]
    fn a_timed_change_is_late_for_a_time_and_only_in_lagging_lists() {
        let mut lags = Lags::default();
        let now = Instant::now();
        lags.note(Change::Taken, MEMBERS, jane(), false);
        lags.note(Change::Taken, (Kind::GetUserOrganizations, "jane"), jane(), false);
        let seconds = Duration::from_secs;
        assert!(lags.overlay(MEMBERS.0, MEMBERS.1, true, now + seconds(4)).ghosts.contains(&jane()));
        assert_eq!(lags.overlay(MEMBERS.0, MEMBERS.1, true, now + seconds(11)), Overlay::default());
        assert_eq!(lags.overlay(Kind::GetUserOrganizations, "jane", true, now), Overlay::default());
    }

    #[test]
    fn lists_of_memberships_may_lag_like_the_members_unless_told_otherwise() {
        let mut lags = Lags::default();
        let list = (Kind::GetUserOrganizations, "jane");
        lags.note(Change::Given, list, jane(), true);
        assert!(lags.overlay(list.0, list.1, true, Instant::now()).hidden.contains(&jane()));
        lags.catch_up();
        lags.set(list.0, None);
        lags.note(Change::Given, list, jane(), true);
        assert_eq!(lags.overlay(list.0, list.1, true, Instant::now()), Overlay::default());
    }
}
