//! What the brake has counted for one namespace of a tenant, and what it allows there. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::api::BrakeId;

use super::engagement::{Engagement, Load, judge, release};
use super::item_id::{Group, ItemId};

/// An allotment is valid for this long.
pub(super) const ALLOTMENT: Duration = Duration::from_secs(60);
/// An allotment is larger than what is ready by this part of the limit, and by no more than [`MAX_SPARE`], so that a few
/// more removals need no write of their own. A crash counts it as used.
const SPARE_PART: usize = 20;
const MAX_SPARE: usize = 50;
/// An allotment that was used up before its time ran out is followed by one this many times as large.
const GROWTH: usize = 4;

/// What the objects of a namespace want to have removed.
#[derive(Clone, Debug, Default)]
pub struct Demand {
    /// Items that are ready to be sent.
    pub ready: BTreeSet<ItemId>,
    /// Items that become ready later, and when.
    pub coming: Vec<(Timestamp, ItemId)>,
    /// The organizations from which members are to be removed.
    pub organizations: BTreeMap<Group, Arc<str>>,
}

/// What the brake allows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// The most items within the window.
    pub(super) max: usize,
    /// The time over which they are counted.
    pub(super) window: Duration,
    /// The most items that can be sent in a minute.
    pub(super) per_minute: usize,
}

/// How a request to send items ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Draw {
    /// They may be sent.
    Granted,
    /// They have to wait for the next allotment.
    Wanted,
    /// The brake is engaged.
    Refused,
}

/// The items of one namespace.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// When each item was last sent, or was about to be.
    sent: BTreeMap<ItemId, Instant>,
    /// How many of them there are of each group.
    sent_of: BTreeMap<Group, usize>,
    /// How many items an earlier leader may have sent of which it is not known which ones they are.
    carried: Vec<(usize, Instant)>,
    /// How many of those are counted for other namespaces as well, because it did not give the names of all.
    unlisted: usize,
    allotment: Allotment,
    /// How many items were drawn so far.
    drawn: usize,
    /// Items for which an allotment is asked.
    wanted: BTreeSet<ItemId>,
    /// Items of released engagements that are still to be sent, and how many more there are of which an earlier leader
    /// knew which ones they are.
    released: BTreeSet<ItemId>,
    unnamed_released: usize,
    engagement: Option<Engagement>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Allotment {
    left: usize,
    size: usize,
    until: Option<Instant>,
    /// The generation of the tenant for which it was made.
    generation: i64,
}

impl Allotment {
    fn left_at(&self, now: Instant) -> usize {
        if self.until.is_some_and(|until| now < until) { self.left } else { 0 }
    }
}

/// What a namespace is allowed from the next write of the status on.
#[derive(Clone, Debug, Default)]
pub(super) struct Grant {
    /// How many items are allotted. None: the present allotment stays.
    pub(super) allot: Option<usize>,
    pub(super) released: BTreeSet<ItemId>,
    pub(super) engagement: Option<Engagement>,
    /// The items for which an allotment was asked.
    pub(super) wanted: Vec<ItemId>,
    /// [`Counts::drawn`] when this was decided.
    drawn: usize,
}

impl Counts {
    /// How many items were drawn since this process began.
    pub(super) const fn drawn(&self) -> usize {
        self.drawn
    }

    fn is_sent(&self, item: ItemId, window: Duration, now: Instant) -> bool {
        self.sent.get(&item).is_some_and(|at| is_within(*at, window, now))
    }

    /// Whether all of these were drawn within the window.
    pub(super) fn has_drawn(&self, items: &[ItemId], window: Duration, now: Instant) -> bool {
        items.iter().all(|item| self.is_sent(*item, window, now))
    }

    /// These items are sent now, if all of them were drawn.
    pub(super) fn send(&mut self, items: &[ItemId], window: Duration, now: Instant) -> bool {
        let has_drawn = self.has_drawn(items, window, now);
        if has_drawn {
            self.sent.extend(items.iter().map(|item| (*item, now)));
        }
        has_drawn
    }

    /// Asks to send these items soon. Those that were drawn within the window cost nothing.
    pub(super) fn draw(&mut self, items: &[ItemId], generation: i64, window: Duration, now: Instant) -> Draw {
        let new = self.new_of(items, window, now);
        if !new.is_empty() {
            if self.is_engaged() && !new.iter().all(|item| self.released.contains(item)) {
                return Draw::Refused;
            }
            if self.allotment.left_at(now) < new.len() || self.allotment.generation < generation {
                self.wanted.extend(new);
                return Draw::Wanted;
            }
            self.allotment.left -= new.len();
            self.drawn += new.len();
            self.released.retain(|item| !new.contains(item));
            for item in new {
                self.sent.insert(item, now);
                *self.sent_of.entry(item.group).or_default() += 1;
            }
        }
        Draw::Granted
    }

    /// Asks for an allotment for these items.
    pub(super) fn want(&mut self, items: &[ItemId]) {
        self.wanted.extend(items);
    }

    /// Takes note that these items were sent at that time, by whatever process.
    pub(super) fn absorb(&mut self, items: &[ItemId], at: Instant) {
        for item in items {
            let sent_of = &mut self.sent_of;
            let known = self.sent.entry(*item).or_insert_with(|| {
                *sent_of.entry(item.group).or_default() += 1;
                at
            });
            *known = (*known).max(at);
        }
    }

    /// Counts what an earlier leader may have sent: `total` items in all, of which some are known by the statuses of
    /// their objects.
    pub(super) fn carry(&mut self, total: usize, window: Duration, now: Instant) {
        let known = self.sent.values().filter(|at| is_within(**at, window, now)).count();
        let unknown = total.saturating_sub(known);
        // It may use its last allotment for as long as that is valid.
        self.carried = if unknown > 0 { vec![(unknown, now + ALLOTMENT)] } else { Vec::new() };
        self.unlisted = 0;
    }

    /// The same of a namespace that the earlier leader did not name.
    pub(super) fn carry_unlisted(&mut self, others: usize, window: Duration, now: Instant) {
        let before = self.used();
        if before < others {
            self.carry(others, window, now);
            self.unlisted = self.used().saturating_sub(before);
        }
    }

    /// How many of [`Self::used`] are counted for other namespaces as well.
    pub(super) fn unlisted(&self) -> usize {
        self.unlisted
    }

    /// Forgets what is older than the window. Returns whether anything is left.
    pub(super) fn expire(&mut self, window: Duration, now: Instant) -> bool {
        self.sent.retain(|_, at| is_within(*at, window, now));
        self.sent_of.clear();
        for item in self.sent.keys() {
            *self.sent_of.entry(item.group).or_default() += 1;
        }
        self.carried.retain(|(_, at)| is_within(*at, window, now));
        if self.carried.is_empty() {
            self.unlisted = 0;
        }
        let is_idle = self.sent.is_empty() && self.carried.is_empty() && self.wanted.is_empty();
        !is_idle || self.released() > 0 || self.engagement.is_some()
    }

    /// Takes over what an earlier leader knew.
    pub(super) fn resume(&mut self, released: usize, engagement: Option<Engagement>) {
        (self.unnamed_released, self.engagement) = (released, engagement);
        self.released.clear();
        self.revoke();
    }

    /// How many items of released engagements are still to be sent.
    pub(super) fn released(&self) -> usize {
        self.released.len() + self.unnamed_released
    }

    /// The engagement of the brake.
    pub(super) const fn engagement(&self) -> Option<&Engagement> {
        self.engagement.as_ref()
    }

    fn is_engaged(&self) -> bool {
        self.engagement().is_some_and(Engagement::is_now)
    }

    /// How many items of a group were sent within the window, or more.
    pub(super) fn sent_of(&self, group: Group) -> usize {
        self.sent_of.get(&group).copied().unwrap_or_default()
    }

    /// The items of roles that were sent within the window.
    pub(super) fn roles_sent(&self) -> impl Iterator<Item = ItemId> {
        self.sent.keys().filter(|item| matches!(item.group, Group::Role(_))).copied()
    }

    /// The items that are asked for and were not sent.
    pub(super) fn asked(&self, demand: &Demand) -> BTreeSet<ItemId> {
        demand.ready.union(&self.wanted).filter(|item| !self.sent.contains_key(item)).copied().collect()
    }

    /// Whether these items are new to the window.
    pub(super) fn new_of(&self, items: &[ItemId], window: Duration, now: Instant) -> Vec<ItemId> {
        items.iter().filter(|item| !self.is_sent(**item, window, now)).copied().collect()
    }

    /// Whether the brake keeps these items from being sent.
    pub(super) fn refuses(&self, items: &[ItemId], window: Duration, now: Instant) -> bool {
        let may = |item: &ItemId| self.released.contains(item) || self.is_sent(*item, window, now);
        self.is_engaged() && !items.iter().all(may)
    }

    /// Whether an allotment is asked for that there is not.
    pub(super) fn is_wanting(&self) -> bool {
        !self.wanted.is_empty()
    }

    /// The items sent within the window.
    pub(super) fn used(&self) -> usize {
        self.sent.len() + self.carried.iter().map(|(count, _)| count).sum::<usize>()
    }

    /// What is left of the allotment.
    pub(super) fn allotted(&self, now: Instant) -> usize {
        self.allotment.left_at(now)
    }

    /// Nothing more of the allotment may be drawn.
    pub(super) fn revoke(&mut self) {
        self.allotment.left = 0;
    }

    /// Decides what is allowed, after [`Self::expire`]. What restrains applies at once, what permits after the write of
    /// the status.
    pub(super) fn decide(
        &mut self,
        (demand, asked): (&Demand, &BTreeSet<ItemId>),
        is_shut: &dyn Fn(&ItemId) -> bool,
        rules: Rules,
        releases: &[BrakeId],
        word: &mut dyn FnMut() -> String,
        (now, wall): (Instant, Timestamp),
    ) -> (Grant, Load) {
        let is_new = |item: &&ItemId| !self.sent.contains_key(item) && !is_shut(item);
        let ready: BTreeSet<ItemId> = asked.iter().filter(is_new).copied().collect();
        // An item that is named twice becomes ready once, at the earlier time.
        let mut first: BTreeMap<ItemId, Timestamp> = BTreeMap::new();
        for (at, item) in demand.coming.iter().filter(|(_, item)| is_new(&item) && !ready.contains(item)) {
            first.entry(*item).and_modify(|known| *known = (*known).min(*at)).or_insert(*at);
        }
        let is_release = release(self.engagement(), self.used(), releases);
        let released = self.released_of(&ready, &first, is_release);
        let mut coming: Vec<_> = first.into_iter().map(|(item, at)| (at, released.contains(&item))).collect();
        coming.sort_unstable();
        let load = Load {
            used: self.used(),
            ready: ready.len(),
            released: ready.intersection(&released).count(),
            coming,
            max: rules.max,
        };
        let before = self.engagement().filter(|_| is_release.is_none());
        let engagement = judge(before, &load, rules.window, word, wall);
        let is_engaged = engagement.as_ref().is_some_and(Engagement::is_now);
        if is_release.is_none() {
            if is_engaged && !self.is_engaged() {
                self.revoke();
            }
            self.engagement.clone_from(&engagement);
            (self.released, self.unnamed_released) = (released.clone(), 0);
        }
        // A waiting preflight check asks again; that of an object that was deleted since does not.
        let wanted = std::mem::take(&mut self.wanted).into_iter().filter(|item| ready.contains(item));
        let wanted: Vec<ItemId> = wanted.collect();
        let allots = !wanted.is_empty() && load.allowed(is_engaged) > 0;
        let allot = allots.then(|| self.size(wanted.len(), &load, is_engaged, rules, now));
        (Grant { allot, released, engagement, wanted, drawn: self.drawn }, load)
    }

    /// The items that are released: those that were, and after a release as many more as it lets through.
    fn released_of(
        &self,
        ready: &BTreeSet<ItemId>,
        coming: &BTreeMap<ItemId, Timestamp>,
        release: Option<usize>,
    ) -> BTreeSet<ItemId> {
        let open = || ready.iter().chain(coming.keys());
        // What was released and is not wanted any more is no credit for others.
        let mut released: BTreeSet<ItemId> = open().filter(|item| self.released.contains(item)).copied().collect();
        let wanted = release.unwrap_or(0).max(released.len() + self.unnamed_released);
        let more: Vec<ItemId> = open().filter(|item| !released.contains(item)).copied().collect();
        released.extend(more.into_iter().take(wanted - released.len()));
        released
    }

    /// The size of the next allotment.
    fn size(&self, wanted: usize, load: &Load, is_engaged: bool, rules: Rules, now: Instant) -> usize {
        let spare = (rules.max / SPARE_PART).min(MAX_SPARE);
        let is_early = self.allotment.until.is_some_and(|until| now < until);
        let grown =
            if is_early && self.allotment.left < wanted { self.allotment.size.saturating_mul(GROWTH) } else { 0 };
        (load.ready + spare).max(grown).min(load.allowed(is_engaged)).min(rules.per_minute)
    }

    /// The status that says so is written. Returns how many items were drawn since it was decided.
    pub(super) fn apply(&mut self, grant: &Grant, generation: i64, now: Instant) -> usize {
        let since = self.drawn - grant.drawn;
        if let Some(size) = grant.allot {
            let left = size.saturating_sub(since);
            self.allotment = Allotment { left, size, until: Some(now + ALLOTMENT), generation };
        }
        self.released = grant.released.iter().filter(|item| !self.sent.contains_key(item)).copied().collect();
        self.unnamed_released = 0;
        self.engagement.clone_from(&grant.engagement);
        since
    }
}

fn is_within(at: Instant, window: Duration, now: Instant) -> bool {
    now.saturating_duration_since(at) < window
}
