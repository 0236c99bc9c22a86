//! The guards that count a part of the items: the share of an organization's members, and the last holders of a role.
//! Both need to know something of Auth0, and refuse while they do not. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::item_id::{Group, ItemId};

/// From this many members on the share of an organization counts.
const SHARE_FROM: usize = 10;
/// How old a list of holders may be when somebody is to lose the role.
pub const HOLDERS_TTL: Duration = Duration::from_secs(60);
/// After this time it is found out again who holds a role of which nobody may be removed, and how many members an
/// organization has of which too many would be.
const LOOK_AGAIN: Duration = Duration::from_secs(600);

/// What the owner of a tenant says of groups.
#[derive(Clone, Debug)]
pub struct GroupRules {
    /// The share of an organization that may be removed within the window, in percent.
    pub share: usize,
    /// How many holders each of these roles must keep.
    pub keep: BTreeMap<Group, usize>,
}

impl Default for GroupRules {
    /// Allows everything.
    fn default() -> Self {
        Self { share: 100, keep: BTreeMap::new() }
    }
}

/// A guard of a group refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupRefusal {
    /// Too large a share of the organization would be removed. `is_known`: it is known how many members it has.
    Share {
        /// Whether it is known how many members the organization has.
        is_known: bool,
    },
    /// Too few would keep the role.
    Holders {
        /// How many must.
        at_least: usize,
        /// Whether it is known who holds it.
        is_known: bool,
    },
}

/// The most people who may be removed from an organization within the window, with `share` percent of its members at
/// most; `members`: how many it has, if that is known. None: as many as there are.
pub fn share_limit(share: usize, members: Option<usize>) -> Option<usize> {
    match members {
        _ if share >= 100 => None,
        Some(members) if members < SHARE_FROM => None,
        Some(members) => Some((members.saturating_mul(share) / 100).max(1)),
        None => Some(1),
    }
}

/// What is known of the groups of a tenant.
#[derive(Debug, Default)]
pub(super) struct Groups {
    rules: GroupRules,
    lengths: BTreeMap<Group, Length>,
    /// Who holds roles, as far as that can be known, and when that was read.
    holders: BTreeMap<Group, (Option<BTreeSet<ItemId>>, Instant)>,
    /// Who is about to be removed from organizations, by the namespace that asks.
    members: BTreeMap<(Arc<str>, Group), BTreeSet<ItemId>>,
    /// Who is about to lose roles that must be kept.
    leaving: BTreeMap<Group, BTreeSet<ItemId>>,
    /// The groups of which nothing is removed now: of an organization by the namespace that asks.
    shares: BTreeMap<(Arc<str>, Group), bool>,
    /// Those of them of which it is found out again how many members they have, so their objects are not stopped.
    looking: BTreeSet<(Arc<str>, Group)>,
    kept: BTreeMap<Group, bool>,
}

/// How many members an organization has.
#[derive(Clone, Copy, Debug)]
struct Length {
    /// None: that cannot be known.
    members: Option<usize>,
    /// When the first answer that counts was given.
    learned_at: Instant,
    /// When an object last said so.
    told_at: Instant,
}

impl Groups {
    /// Takes note of how many members an organization has; none: that cannot be known. Of the answers of a window the
    /// largest counts.
    pub(super) fn know_length(
        &mut self,
        group: Group,
        members: Option<usize>,
        learned_at: Instant,
        window: Duration,
        now: Instant,
    ) {
        let new = Length { members, learned_at, told_at: now };
        let known = self.lengths.entry(group).or_insert(new);
        if learned_at.saturating_duration_since(known.learned_at) >= window {
            *known = new;
        }
        (known.members, known.told_at) = (known.members.max(members), now);
    }

    /// Takes note of who holds a role; none: that cannot be known.
    pub(super) fn know_holders(&mut self, group: Group, holders: Option<BTreeSet<ItemId>>, read_at: Instant) {
        if self.holders.get(&group).is_none_or(|(_, before)| *before < read_at) {
            self.holders.insert(group, (holders, read_at));
        }
    }

    /// Forgets organizations and roles of which nothing was sent within the window, or asked for.
    pub(super) fn retain(&mut self, is_used: impl Fn(Group) -> bool) {
        self.lengths.retain(|group, _| is_used(*group));
        self.holders.retain(|group, _| is_used(*group));
    }

    /// The most people who may be removed from an organization within the window. None: as many as there are.
    fn limit(&self, group: Group) -> Option<usize> {
        share_limit(self.rules.share, self.lengths.get(&group).and_then(|length| length.members))
    }

    /// Decides which groups are shut. `asked` are the items that are asked for and were not sent, by namespace; `sent`
    /// counts those of a group that a namespace has sent within the window, and `is_leaving` says of a holder whether
    /// somebody else takes the role away, or has just done so.
    pub(super) fn decide(
        &mut self,
        rules: &GroupRules,
        asked: &BTreeMap<Arc<str>, BTreeSet<ItemId>>,
        sent: impl Fn(&str, Group) -> usize,
        is_leaving: impl Fn(&ItemId) -> bool,
        now: Instant,
    ) {
        self.rules = rules.clone();
        self.members.clear();
        self.leaving.clear();
        for (namespace, items) in asked {
            for item in items {
                match item.group {
                    Group::Organization(_) => {
                        self.members.entry((namespace.clone(), item.group)).or_default().insert(*item);
                    }
                    Group::Role(_) if self.is_kept(item.group) => {
                        self.leaving.entry(item.group).or_default().insert(*item);
                    }
                    Group::Role(_) | Group::None => {}
                }
            }
        }
        self.decide_shares(sent, now);
        self.decide_holders(is_leaving, now);
    }

    fn decide_shares(&mut self, sent: impl Fn(&str, Group) -> usize, now: Instant) {
        self.shares.clear();
        self.looking.clear();
        for ((namespace, group), people) in &self.members {
            let Some(length) = self.lengths.get(group) else { continue };
            if self.limit(*group).is_some_and(|limit| sent(namespace, *group) + people.len() > limit) {
                self.shares.insert((namespace.clone(), *group), length.members.is_some());
                if now.saturating_duration_since(length.told_at) >= LOOK_AGAIN {
                    self.looking.insert((namespace.clone(), *group));
                }
            }
        }
    }

    fn decide_holders(&mut self, is_leaving: impl Fn(&ItemId) -> bool, now: Instant) {
        self.kept.clear();
        for (group, leaving) in &self.leaving {
            let Some((holders, at)) = self.holders.get(group) else { continue };
            if now.saturating_duration_since(*at) >= LOOK_AGAIN {
                continue;
            }
            let Some(holders) = holders else {
                self.kept.insert(*group, false);
                continue;
            };
            let left = holders.iter().filter(|holder| !leaving.contains(holder) && !is_leaving(holder)).count();
            if left < self.rules.keep[group] {
                self.kept.insert(*group, true);
            }
        }
    }

    /// The organizations that are shut, by the namespace that asks.
    pub(super) fn shut_organizations(&self) -> impl Iterator<Item = (Arc<str>, Group)> {
        self.shares.keys().cloned()
    }

    /// Every group whose objects are stopped.
    pub(super) fn shut(&self) -> BTreeSet<(Arc<str>, Group)> {
        let shares = self.shares.keys().filter(|share| !self.looking.contains(*share));
        shares.cloned().chain(self.kept.keys().map(|group| (Arc::from(""), *group))).collect()
    }

    /// Whether this role must keep some holders.
    pub(super) fn is_kept(&self, group: Group) -> bool {
        self.rules.keep.contains_key(&group)
    }

    /// Whether nothing of the group of this item is removed for a namespace, so that it does not count.
    pub(super) fn is_shut(&self, namespace: &Arc<str>, item: &ItemId) -> bool {
        self.kept.contains_key(&item.group) || self.shares.contains_key(&(namespace.clone(), item.group))
    }

    /// The guard that stops the objects with this item in a namespace, if one does.
    pub(super) fn refusal(&self, namespace: &str, item: &ItemId) -> Option<GroupRefusal> {
        if self.shares.is_empty() && self.kept.is_empty() {
            return None;
        }
        if let Some(is_known) = self.kept.get(&item.group) {
            let at_least = self.rules.keep.get(&item.group).copied().unwrap_or_default();
            return Some(GroupRefusal::Holders { at_least, is_known: *is_known });
        }
        let share = (namespace.into(), item.group);
        let is_known = self.shares.get(&share).filter(|_| !self.looking.contains(&share));
        is_known.map(|is_known| GroupRefusal::Share { is_known: *is_known })
    }

    /// Whether these items, none of which was sent within the window, may be drawn by this namespace. `sent` counts those
    /// of a group that it has sent, `is_sent` says so of one, and `is_leaving` is as in [`Self::decide`].
    pub(super) fn allow(
        &self,
        (namespace, new): (&Arc<str>, &[ItemId]),
        sent: impl Fn(Group) -> usize,
        is_sent: impl Fn(&ItemId) -> bool,
        is_leaving: impl Fn(&ItemId) -> bool,
        now: Instant,
    ) -> bool {
        let groups: BTreeSet<Group> = new.iter().map(|item| item.group).collect();
        groups.into_iter().all(|group| match (group, self.rules.keep.get(&group)) {
            (Group::Role(_), Some(at_least)) => self.keeps(group, *at_least, new, &is_leaving, now),
            (Group::Organization(_), _) => self.limit(group).is_none_or(|limit| {
                let asked = self.members.get(&(namespace.clone(), group));
                let asked: BTreeSet<&ItemId> = asked.into_iter().flatten().filter(|item| !is_sent(item)).collect();
                let new = new.iter().filter(|item| item.group == group && !asked.contains(item)).count();
                sent(group) + asked.len() + new <= limit
            }),
            (Group::Role(_), None) | (Group::None, _) => true,
        })
    }

    fn keeps(
        &self,
        group: Group,
        at_least: usize,
        new: &[ItemId],
        is_leaving: impl Fn(&ItemId) -> bool,
        now: Instant,
    ) -> bool {
        let Some((Some(holders), at)) = self.holders.get(&group) else { return false };
        let empty = BTreeSet::new();
        let leaving = self.leaving.get(&group).unwrap_or(&empty);
        let stays = |holder: &&ItemId| !leaving.contains(*holder) && !new.contains(holder) && !is_leaving(holder);
        now.saturating_duration_since(*at) < HOLDERS_TTL && holders.iter().filter(stays).count() >= at_least
    }
}

#[cfg(test)]
mod tests;
