//! The brake of one tenant object: the counts of its namespaces, and the record of them in its status. Pure.
//!
//! Items are drawn from allotments. An allotment is written into the status before the first item of it is sent, with
//! the version of the object that the decision was made from. So a leader that comes later counts at least what was
//! sent, and of two that act at once each counts the allotment of the other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::api::{BrakeStatus, NamespaceBrake};

use super::counts::{ALLOTMENT, Counts, Demand, Draw, Grant, Rules};
use super::engagement::{Engagement, Load, judge, release};
use super::groups::{GroupRefusal, Groups};
use super::item_id::{Group, ItemId};
use super::plan::{Facts, Gate, Plan, changes, engaged, new_words};
use super::record::{cut, engagement_of, ids, number, size};

/// The brake of one tenant object.
#[derive(Debug, Default)]
pub(super) struct TenantBrake {
    pub(super) namespaces: BTreeMap<Arc<str>, Counts>,
    total: Gate,
    pub(super) groups: Groups,
    /// The items of roles that its objects asked for last.
    roles_asked: BTreeSet<ItemId>,
    /// The record as this process wrote it or took it over last; none before that.
    record: Option<Option<BrakeStatus>>,
    /// When the record of another process was taken over last, and how many items it counts for namespaces of which it
    /// does not give the names.
    adopted_at: Option<Instant>,
    others: usize,
    pub(super) window: Duration,
}

impl TenantBrake {
    /// Whether the record of earlier leaders was taken over.
    pub(super) const fn is_adopted(&self) -> bool {
        self.record.is_some()
    }

    /// The record that this process knows to be the latest.
    pub(super) fn record(&self) -> Option<&BrakeStatus> {
        self.record.as_ref()?.as_ref()
    }

    /// Takes over the record of another process. `name` is that of the namespace if there is only one.
    pub(super) fn adopt(
        &mut self,
        record: Option<&BrakeStatus>,
        name: Option<&Arc<str>>,
        window: Duration,
        now: Instant,
    ) {
        self.window = window;
        let empty = BrakeStatus::default();
        let BrakeStatus { id, used, allotted, released, namespaces, .. } = record.unwrap_or(&empty);
        if let Some(name) = name {
            let entry = NamespaceBrake {
                name: name.to_string(),
                id: id.clone(),
                used: *used,
                allotted: *allotted,
                released: *released,
            };
            self.adopt_one(name.clone(), &entry, window, now);
        } else {
            let gate = engagement_of(id.as_deref());
            self.total = Gate { released: size(*released).saturating_sub(size(*allotted)), engagement: gate };
            let (others, listed): (Vec<_>, Vec<_>) =
                namespaces.iter().partition(|entry| entry.name == BrakeStatus::OTHERS);
            self.others = others.iter().map(|entry| size(entry.used) + size(entry.allotted)).sum();
            let names: BTreeSet<&str> = listed.iter().map(|entry| entry.name.as_str()).collect();
            let unlisted = self.namespaces.iter_mut().filter(|(name, _)| !names.contains(&***name));
            unlisted.for_each(|(_, counts)| counts.carry_unlisted(self.others, window, now));
            for entry in listed {
                self.adopt_one(entry.name.as_str().into(), entry, window, now);
            }
        }
        (self.record, self.adopted_at) = (Some(record.cloned()), Some(now));
    }

    fn adopt_one(&mut self, name: Arc<str>, entry: &NamespaceBrake, window: Duration, now: Instant) {
        let counts = self.namespaces.entry(name).or_default();
        let (used, allotted) = (size(entry.used), size(entry.allotted));
        counts.carry(used + allotted, window, now);
        counts.resume(size(entry.released).saturating_sub(allotted), engagement_of(entry.id.as_deref()));
    }

    /// What an earlier leader may have sent in namespaces of which its record does not give the names.
    fn others(&self, now: Instant) -> usize {
        if self.adopted_at.is_none_or(|at| now.saturating_duration_since(at) >= self.window.saturating_add(ALLOTMENT)) {
            return 0;
        }
        self.others
    }

    /// The counts of a namespace. If the record of an earlier leader does not name it, any of what that counts without
    /// names may have been sent there.
    pub(super) fn counts_of(&mut self, namespace: &Arc<str>, now: Instant) -> &mut Counts {
        let (others, window) = (self.others(now), self.window);
        self.namespaces.entry(namespace.clone()).or_insert_with(|| {
            let mut counts = Counts::default();
            counts.carry_unlisted(others, window, now);
            counts
        })
    }

    /// Takes note of how many members an organization has; none: that cannot be known.
    pub(super) fn know_length(&mut self, group: Group, members: Option<usize>, learned_at: Instant, now: Instant) {
        self.groups.know_length(group, members, learned_at, self.window, now);
    }

    /// Asks to send these items of a namespace now.
    pub(super) fn draw(
        &mut self,
        namespace: &Arc<str>,
        items: &[ItemId],
        elsewhere: &BTreeSet<ItemId>,
        generation: i64,
        now: Instant,
    ) -> Draw {
        self.counts_of(namespace, now);
        let new = self.namespaces[namespace].new_of(items, self.window, now);
        // Whether a role keeps enough holders is asked at every attempt: the rule may be newer than the first one.
        let is_asked = |item: &&ItemId| new.contains(item) || self.groups.is_kept(item.group);
        let asked: Vec<ItemId> = items.iter().filter(is_asked).copied().collect();
        let sent = |group| self.namespaces[namespace].sent_of(group);
        let is_leaving = |holder: &ItemId| elsewhere.contains(holder) || self.has_sent(holder, now);
        let is_sent =
            |item: &ItemId| self.namespaces[namespace].has_drawn(std::slice::from_ref(item), self.window, now);
        if !self.groups.allow((namespace, &asked), sent, is_sent, is_leaving, now) {
            return Draw::Refused;
        }
        if self.total.is_shut(new.len()) {
            return Draw::Refused;
        }
        let window = self.window;
        let counts = self.counts_of(namespace, now);
        let before = counts.drawn();
        let draw = counts.draw(items, generation, window, now);
        let drawn = counts.drawn() - before;
        self.total.released = self.total.released.saturating_sub(drawn);
        draw
    }

    fn has_sent(&self, item: &ItemId, now: Instant) -> bool {
        self.namespaces.values().any(|counts| counts.has_drawn(std::slice::from_ref(item), self.window, now))
    }

    /// The items of roles that were sent within the window, or are asked for.
    pub(super) fn roles(&self) -> impl Iterator<Item = ItemId> {
        self.namespaces.values().flat_map(Counts::roles_sent).chain(self.roles_asked.iter().copied())
    }

    /// The guard of a group that keeps these items from being sent, if one does.
    pub(super) fn group_refusal(&self, namespace: &str, items: &[ItemId], now: Instant) -> Option<GroupRefusal> {
        let counts = self.namespaces.get(namespace);
        let new = counts.map_or_else(|| items.to_vec(), |counts| counts.new_of(items, self.window, now));
        new.iter().find_map(|item| self.groups.refusal(namespace, item))
    }

    /// Whether anything is kept from being sent.
    pub(super) fn is_restraining(&self) -> bool {
        !self.engagements().is_empty() || !self.groups.shut().is_empty()
    }

    /// Whether the brake keeps these items from being sent.
    pub(super) fn refuses(&self, namespace: &str, items: &[ItemId], now: Instant) -> bool {
        let counts = self.namespaces.get(namespace);
        let new = || counts.map_or(items.len(), |counts| counts.new_of(items, self.window, now).len());
        self.total.is_shut(new()) || counts.is_some_and(|counts| counts.refuses(items, self.window, now))
    }

    /// The engagements in force: the namespaces, of which an empty name stands for all of them, and their words.
    pub(super) fn shut(&self) -> Vec<(Arc<str>, String)> {
        let shut = self.engagements().into_iter().filter(|(_, engagement)| engagement.is_now());
        shut.map(|(name, engagement)| (name, engagement.id.word)).collect()
    }

    /// These items of a namespace are sent now. Returns false if they may not be, because they were not drawn.
    pub(super) fn send(&mut self, namespace: &str, items: &[ItemId], now: Instant) -> bool {
        let window = self.window;
        self.namespaces.get_mut(namespace).is_some_and(|counts| counts.send(items, window, now))
    }

    /// Forgets what is older than the window. Returns whether anything is left.
    pub(super) fn expire(&mut self, window: Duration, now: Instant) -> bool {
        self.window = window;
        self.namespaces.retain(|_, counts| counts.expire(window, now));
        !self.namespaces.is_empty()
    }

    /// Whether an allotment is asked for.
    pub(super) fn is_wanting(&self) -> bool {
        self.namespaces.values().any(Counts::is_wanting)
    }

    /// Decides what is allowed. What restrains applies at once; [`Self::apply`] does the rest.
    pub(super) fn decide(
        &mut self,
        facts: &Facts,
        elsewhere: &BTreeSet<ItemId>,
        wall: Timestamp,
        word: &mut dyn FnMut() -> String,
        now: Instant,
    ) -> Plan {
        self.expire(facts.window, now);
        for name in facts.demand.keys() {
            self.counts_of(name, now);
        }
        let none = Demand::default();
        let rules = Rules { max: facts.max, window: facts.window, per_minute: facts.per_minute };
        let before = self.engagements();
        let word: &mut dyn FnMut() -> String = &mut new_words(&before, &facts.releases, word);
        let (mut grants, mut loads) = (BTreeMap::new(), BTreeMap::new());
        let asked: BTreeMap<Arc<str>, BTreeSet<ItemId>> = self
            .namespaces
            .iter()
            .map(|(name, counts)| (name.clone(), counts.asked(facts.demand.get(name).unwrap_or(&none))))
            .collect();
        let groups_changed = self.decide_groups(facts, &asked, elsewhere, now);
        for (name, counts) in &mut self.namespaces {
            let demand = (facts.demand.get(name).unwrap_or(&none), &asked[name]);
            let is_shut = |item: &ItemId| self.groups.is_shut(name, item);
            let (grant, load) = counts.decide(demand, &is_shut, rules, &facts.releases, word, (now, wall));
            grants.insert(name.clone(), grant);
            loads.insert(name.clone(), load);
        }
        let total = self.decide_total(facts, &loads, &mut grants, word, (now, wall));
        let mut plan = Plan {
            record: None,
            is_urgent: false,
            engaged: engaged(&grants, &total, &loads, facts),
            begun: Vec::new(),
            organizations: self.shut_organizations(facts),
            groups_changed,
            ended: Vec::new(),
            generation: facts.generation,
            namespaces: grants,
            total,
        };
        let (begun, ended) = changes(&before, &plan.engaged);
        let allots = plan.namespaces.values().any(|grant| grant.allot.is_some());
        plan.is_urgent = allots || !begun.is_empty() || !ended.is_empty();
        (plan.begun, plan.ended) = (begun, ended);
        let record = self.to_record(&plan, facts.max_total.is_some(), wall, now);
        let has_other_ids = ids(record.as_ref()) != ids(self.record());
        plan.record = if record.is_none() || plan.is_urgent || has_other_ids { record } else { self.record().cloned() };
        plan
    }

    fn shut_organizations(&self, facts: &Facts) -> Vec<(Arc<str>, Arc<str>)> {
        let id_of = |(name, group): (Arc<str>, Group)| {
            let organization = facts.demand.get(&name)?.organizations.get(&group)?.clone();
            Some((name, organization))
        };
        self.groups.shut_organizations().filter_map(id_of).collect()
    }

    /// Decides which groups are shut. Returns whether that has changed.
    fn decide_groups(
        &mut self,
        facts: &Facts,
        asked: &BTreeMap<Arc<str>, BTreeSet<ItemId>>,
        elsewhere: &BTreeSet<ItemId>,
        now: Instant,
    ) -> bool {
        self.roles_asked =
            asked.values().flatten().filter(|item| matches!(item.group, Group::Role(_))).copied().collect();
        let used: BTreeSet<Group> = asked.values().flatten().map(|item| item.group).collect();
        let mut groups = std::mem::take(&mut self.groups);
        let before = groups.shut();
        groups
            .retain(|group| used.contains(&group) || self.namespaces.values().any(|counts| counts.sent_of(group) > 0));
        let sent = |name: &str, group| self.namespaces.get(name).map_or(0, |counts| counts.sent_of(group));
        let is_leaving = |holder: &ItemId| elsewhere.contains(holder) || self.has_sent(holder, now);
        groups.decide(&facts.groups, asked, sent, is_leaving, now);
        self.groups = groups;
        self.groups.shut() != before
    }

    fn engagements(&self) -> Vec<(Arc<str>, Engagement)> {
        let own =
            self.namespaces.iter().filter_map(|(name, counts)| Some((name.clone(), counts.engagement()?.clone())));
        let total = self.total.engagement.iter().map(|engagement| (Arc::from(""), engagement.clone()));
        own.chain(total).collect()
    }

    /// What all namespaces together are allowed. Cuts the allotments of `grants`.
    fn decide_total(
        &mut self,
        facts: &Facts,
        loads: &BTreeMap<Arc<str>, Load>,
        grants: &mut BTreeMap<Arc<str>, Grant>,
        word: &mut dyn FnMut() -> String,
        (now, wall): (Instant, Timestamp),
    ) -> Gate {
        let Some(max) = facts.max_total else { return Gate::default() };
        let all = self.load_of_all(max, loads, grants, now);
        let is_release = release(self.total.engagement.as_ref(), all.used, &facts.releases);
        let all = all.with_released(is_release.unwrap_or(0).max(self.total.released));
        let before = self.total.engagement.as_ref().filter(|_| is_release.is_none());
        let engagement = judge(before, &all, facts.window, word, wall);
        let released = all.released + all.coming.iter().filter(|(_, is_released)| *is_released).count();
        let gate = Gate { released, engagement };
        let is_engaged = gate.engagement.as_ref().is_some_and(Engagement::is_now);
        if is_release.is_none() {
            if is_engaged && !self.total.engagement.as_ref().is_some_and(Engagement::is_now) {
                self.namespaces.values_mut().for_each(Counts::revoke);
            }
            self.total = gate.clone();
        }
        let allowed = all.allowed(is_engaged);
        let outstanding: usize = self
            .namespaces
            .iter()
            .filter(|(name, _)| grants[*name].allot.is_none())
            .map(|(_, counts)| counts.allotted(now))
            .sum();
        let mut left = allowed.saturating_sub(outstanding);
        for grant in grants.values_mut() {
            grant.allot = grant.allot.map(|size| size.min(left)).filter(|size| *size > 0);
            left -= grant.allot.unwrap_or(0);
        }
        gate
    }

    fn load_of_all(
        &self,
        max: usize,
        loads: &BTreeMap<Arc<str>, Load>,
        grants: &BTreeMap<Arc<str>, Grant>,
        now: Instant,
    ) -> Load {
        let mut all = Load { max, used: self.others(now), ..Load::default() };
        for (name, load) in loads {
            let is_engaged = grants[name].engagement.as_ref().is_some_and(Engagement::is_now);
            // What has no name counts once.
            all.used += load.used - self.namespaces[name].unlisted();
            // What its own brake keeps back does not stop the others.
            all.ready += if is_engaged { load.released } else { load.ready };
            all.coming.extend(load.coming.iter().map(|(at, _)| (*at, false)));
        }
        all.coming.sort_unstable();
        all
    }

    fn to_record(&self, plan: &Plan, has_total: bool, wall: Timestamp, now: Instant) -> Option<BrakeStatus> {
        let entry = |(name, counts): (&Arc<str>, &Counts)| {
            let grant = &plan.namespaces[name];
            NamespaceBrake {
                name: name.to_string(),
                id: grant.engagement.as_ref().map(|engagement| engagement.id.to_string()),
                used: number(counts.used() - if grant.engagement.is_none() { counts.unlisted() } else { 0 }),
                allotted: number(grant.allot.unwrap_or_else(|| counts.allotted(now))),
                released: number(grant.released.len()),
            }
        };
        let mut namespaces: Vec<NamespaceBrake> = self.namespaces.iter().map(entry).collect();
        namespaces.retain(|one| NamespaceBrake { name: String::new(), ..one.clone() } != NamespaceBrake::default());
        if has_total {
            let is_unlisted = |one: &NamespaceBrake| self.namespaces[&*one.name].unlisted() > 0;
            namespaces = cut(namespaces, is_unlisted, self.others(now));
        }
        let (used, allotted) = namespaces.iter().fold((0_i32, 0_i32), |(used, allotted), one| {
            (used.saturating_add(one.used), allotted.saturating_add(one.allotted))
        });
        let until = (allotted > 0).then(|| crate::api::time(wall + ALLOTMENT));
        let mut record = BrakeStatus { used, allotted, until, ..BrakeStatus::default() };
        if has_total {
            record.id = plan.total.engagement.as_ref().map(|engagement| engagement.id.to_string());
            record.released = number(plan.total.released);
            record.namespaces = namespaces;
        } else if let Some(one) = namespaces.pop() {
            (record.id, record.released) = (one.id, one.released);
        }
        Some(record).filter(|record| *record != BrakeStatus::default())
    }

    /// The record of the plan is written.
    pub(super) fn apply(&mut self, plan: &Plan, now: Instant) {
        let mut drawn = 0;
        for (name, grant) in &plan.namespaces {
            if let Some(counts) = self.namespaces.get_mut(name) {
                drawn += counts.apply(grant, plan.generation, now);
            }
        }
        self.total = plan.total.clone();
        self.total.released = self.total.released.saturating_sub(drawn);
        self.record = Some(plan.record.clone());
    }
}
