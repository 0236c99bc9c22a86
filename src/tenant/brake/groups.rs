//! The guards that count a part of the items: the share of an organization's members, and the last holders of a role.
//! Both need to know something of Auth0, and refuse while they do not. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
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
#[derive(Clone, Debug, Default)]
pub struct GroupRules {
    /// The share of an organization that may be removed within the window, in percent.
    pub share: usize,
    /// How many holders each of these roles must keep.
    pub keep: BTreeMap<Group, usize>,
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

/// What is known of the groups of a tenant.
#[derive(Debug, Default)]
pub(super) struct Groups {
    rules: GroupRules,
    lengths: HashMap<Group, Length>,
    /// Who holds roles, as far as that can be known, and when that was read.
    holders: HashMap<Group, (Option<HashSet<ItemId>>, Instant)>,
    /// Who is about to be removed from organizations, by the namespace that asks.
    members: HashMap<(Arc<str>, Group), HashSet<ItemId>>,
    /// Who is about to lose roles that must be kept.
    leaving: HashMap<Group, HashSet<ItemId>>,
    /// The groups of which nothing is removed now: of an organization by the namespace that asks.
    shares: HashMap<(Arc<str>, Group), bool>,
    /// Those of them of which it is found out again how many members they have, so their objects are not stopped.
    looking: HashSet<(Arc<str>, Group)>,
    kept: HashMap<Group, bool>,
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
    pub(super) fn know_holders(&mut self, group: Group, holders: Option<HashSet<ItemId>>, read_at: Instant) {
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
        let share = self.rules.share;
        match self.lengths.get(&group).and_then(|length| length.members) {
            _ if share >= 100 => None,
            Some(length) if length < SHARE_FROM => None,
            Some(length) => Some((length.saturating_mul(share) / 100).max(1)),
            None => Some(1),
        }
    }

    /// Decides which groups are shut. `asked` are the items that are asked for and were not sent, by namespace; `sent`
    /// counts those of a group that a namespace has sent within the window, and `is_leaving` says of a holder whether
    /// somebody else takes the role away, or has just done so.
    pub(super) fn decide(
        &mut self,
        rules: &GroupRules,
        asked: &BTreeMap<Arc<str>, HashSet<ItemId>>,
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
    pub(super) fn shut_organizations(&self) -> Vec<(Arc<str>, Group)> {
        let mut shut: Vec<(Arc<str>, Group)> = self.shares.keys().cloned().collect();
        shut.sort_unstable();
        shut
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
                let asked: HashSet<&ItemId> = asked.into_iter().flatten().filter(|item| !is_sent(item)).collect();
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
        let empty = HashSet::new();
        let leaving = self.leaving.get(&group).unwrap_or(&empty);
        let stays = |holder: &&ItemId| !leaving.contains(*holder) && !new.contains(holder) && !is_leaving(holder);
        now.saturating_duration_since(*at) < HOLDERS_TTL && holders.iter().filter(stays).count() >= at_least
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORGANIZATION: Group = Group::Organization(1);
    const ROLE: Group = Group::Role(1);
    const WINDOW: Duration = Duration::from_secs(3600);

    fn ids(group: Group, numbers: std::ops::Range<u64>) -> Vec<ItemId> {
        numbers.map(|number| ItemId::test(number, group)).collect()
    }

    /// Namespace `a` asks for these items of an organization with this many members; some were sent before.
    fn asked(groups: &mut Groups, share: usize, (asked, sent): (u64, usize), now: Instant) {
        let rules = GroupRules { share, keep: [(ROLE, 2)].into() };
        let asked = [("a".into(), ids(ORGANIZATION, 0..asked).into_iter().collect())].into();
        groups.decide(&rules, &asked, |name, _| if name == "a" { sent } else { 0 }, |_| false, now);
    }

    fn refusal(groups: &Groups, namespace: &str) -> Option<GroupRefusal> {
        groups.refusal(namespace, &ItemId::test(0, ORGANIZATION))
    }

    #[test]
    fn the_share_of_an_organization_is_kept() {
        let now = Instant::now();
        // The length, the share, how many are asked for and were sent, and whether they may go.
        let rows: &[(Option<usize>, usize, (u64, usize), bool)] = &[
            (Some(100), 25, (25, 0), true),
            (Some(100), 25, (26, 0), false),
            (Some(100), 25, (1, 25), false),
            (Some(100), 25, (5, 20), true),
            (Some(100), 100, (100, 0), true),
            (Some(9), 25, (9, 0), true),
            (Some(10), 25, (2, 0), true),
            (Some(10), 25, (3, 0), false),
            (Some(10), 1, (1, 0), true),
            (None, 25, (1, 0), true),
            (None, 25, (2, 0), false),
            (None, 25, (1, 1), false),
            (None, 100, (50, 0), true),
            (Some(usize::MAX), 25, (50, 0), true),
        ];
        for (length, share, (count, sent), may) in rows {
            let mut groups = Groups::default();
            groups.know_length(ORGANIZATION, *length, now, WINDOW, now);
            asked(&mut groups, *share, (*count, *sent), now);
            let expected = (!may).then_some(GroupRefusal::Share { is_known: length.is_some() });
            let row = (length, share, count, sent);
            assert_eq!(refusal(&groups, "a"), expected, "{row:?}");
            assert_eq!(refusal(&groups, "b"), None);
            let new = ids(ORGANIZATION, 0..1);
            let allowed = groups.allow((&"a".into(), &new), |_| *sent, |_| false, |_| false, now);
            assert_eq!(allowed, *may, "{row:?}");
        }
    }

    /// What comes between two decisions counts as well.
    #[test]
    fn a_draw_counts_what_was_not_decided_upon() {
        let now = Instant::now();
        let mut groups = Groups::default();
        groups.know_length(ORGANIZATION, Some(20), now, WINDOW, now);
        asked(&mut groups, 25, (4, 0), now);
        let allow =
            |numbers| groups.allow((&"a".into(), &ids(ORGANIZATION, numbers)), |_| 0, |_| false, |_| false, now);
        assert!(allow(0..4) && allow(7..8) && allow(3..5));
        assert!(!allow(7..9));
    }

    /// Nobody asks for the length while the objects are stopped, so they are let go to do so from time to time, but their
    /// items are not sent and do not count.
    #[test]
    fn the_length_of_a_stopped_organization_is_found_out_again() {
        let begin = Instant::now();
        let mut groups = Groups::default();
        groups.know_length(ORGANIZATION, None, begin, WINDOW, begin);
        asked(&mut groups, 25, (2, 0), begin);
        assert!(refusal(&groups, "a").is_some() && groups.shut().len() == 1);
        let later = begin + LOOK_AGAIN;
        asked(&mut groups, 25, (2, 0), later);
        assert_eq!((refusal(&groups, "a"), groups.shut().len()), (None, 0));
        assert!(groups.is_shut(&"a".into(), &ItemId::test(0, ORGANIZATION)));
        assert_eq!(groups.shut_organizations().len(), 1);
        assert!(!groups.allow((&"a".into(), &ids(ORGANIZATION, 0..1)), |_| 0, |_| false, |_| false, later));
        // The answer is as before.
        groups.know_length(ORGANIZATION, None, later, WINDOW, later);
        asked(&mut groups, 25, (2, 0), later);
        assert!(refusal(&groups, "a").is_some());
        groups.know_length(ORGANIZATION, Some(8), later, WINDOW, later);
        asked(&mut groups, 25, (2, 0), later);
        assert_eq!((refusal(&groups, "a"), groups.shut_organizations().len()), (None, 0));
    }

    #[test]
    fn the_largest_length_of_a_window_counts_and_not_for_ever() {
        let begin = Instant::now();
        let mut groups = Groups::default();
        let mut limit = |length, after| {
            groups.know_length(ORGANIZATION, length, begin + after, WINDOW, begin + after);
            asked(&mut groups, 25, (1, 0), begin + after);
            groups.limit(ORGANIZATION)
        };
        assert_eq!(limit(Some(100), Duration::ZERO), Some(25));
        assert_eq!(limit(Some(40), WINDOW / 2), Some(25));
        assert_eq!(limit(None, WINDOW / 2), Some(25));
        assert_eq!(limit(Some(40), WINDOW), Some(10));
        assert_eq!(limit(None, WINDOW * 2), Some(1));
    }

    #[test]
    fn the_last_holders_of_a_role_stay() {
        let begin = Instant::now();
        let (holders, holder) = (ids(ROLE, 0..4), |number| ItemId::test(number, ROLE));
        let rules = GroupRules { share: 25, keep: [(ROLE, 2)].into() };
        // Who is asked for, who is leaving by somebody else, how old the list is, and whether they may go.
        let rows: &[(std::ops::Range<u64>, Option<u64>, u64, bool)] = &[
            (0..2, None, 0, true),
            (0..3, None, 0, false),
            (0..2, Some(3), 0, false),
            (0..2, Some(1), 0, true),
            // Who does not hold the role leaves nobody fewer.
            (7..9, None, 0, true),
            (3..9, None, 0, true),
            (0..2, None, 59, true),
            (0..2, None, 60, false),
        ];
        for (asked, leaving, age, may) in rows {
            let now = begin + Duration::from_secs(*age);
            let is_leaving = |item: &ItemId| leaving.is_some_and(|number| *item == holder(number));
            let mut groups = Groups::default();
            groups.know_holders(ROLE, Some(holders.iter().copied().collect()), begin);
            let wanted = ids(ROLE, asked.clone());
            let by_namespace = [("a".into(), wanted.iter().copied().collect())].into();
            groups.decide(&rules, &by_namespace, |_, _| 0, is_leaving, now);
            let allowed = groups.allow((&"a".into(), &wanted[..1]), |_| 0, |_| false, is_leaving, now);
            assert_eq!(allowed, *may, "{asked:?} {leaving:?} {age}");
            // A list that is too old is read again, so it stops nobody.
            let is_shut = groups.refusal("a", &wanted[0]).is_some();
            assert_eq!(is_shut, !may && *age == 0, "{asked:?} {leaving:?} {age}");
        }
    }

    #[test]
    fn without_a_list_of_holders_nobody_goes() {
        let begin = Instant::now();
        let rules = GroupRules { share: 25, keep: [(ROLE, 1)].into() };
        let asked = |groups: &mut Groups, now| {
            let asked = [("a".into(), ids(ROLE, 0..1).into_iter().collect())].into();
            groups.decide(&rules, &asked, |_, _| 0, |_| false, now);
            let may = groups.allow((&"a".into(), &ids(ROLE, 0..1)), |_| 0, |_| false, |_| false, now);
            (groups.refusal("a", &ItemId::test(0, ROLE)), may)
        };
        let refused = Some(GroupRefusal::Holders { at_least: 1, is_known: false });
        let mut groups = Groups::default();
        assert_eq!(asked(&mut groups, begin), (None, false));
        groups.know_holders(ROLE, None, begin);
        assert_eq!(asked(&mut groups, begin), (refused.clone(), false));
        // An older answer is no news.
        groups.know_holders(ROLE, Some(ids(ROLE, 0..9).into_iter().collect()), begin - Duration::from_secs(1));
        assert_eq!(asked(&mut groups, begin), (refused, false));
        assert_eq!(asked(&mut groups, begin + LOOK_AGAIN), (None, false));
        let later = begin + LOOK_AGAIN;
        groups.know_holders(ROLE, Some(ids(ROLE, 0..9).into_iter().collect()), later);
        assert_eq!(asked(&mut groups, later), (None, true));
    }
}
