//! The guards of groups against a world in which everything happens: two tenant objects of one domain, several
//! namespaces, crashes, lengths that are unknown or known late, and lists of holders that are old when they arrive.
//! Whatever happens, no larger share of an organization is removed than is allowed, and a role keeps its last holders.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;

const WINDOW: Duration = Duration::from_secs(600);
const AT_LEAST: usize = 3;
const SHARE: usize = 25;
/// How many members the organizations have.
const LENGTHS: [usize; 3] = [8, 12, 40];
const ROLES: u64 = 2;

/// One tenant object, and the process that leads.
#[derive(Default)]
struct Tenant {
    brake: TenantBrake,
    stored: Option<BrakeStatus>,
    objects: BTreeMap<(Arc<str>, u64), Vec<ItemId>>,
    drawn: Vec<(Arc<str>, Vec<ItemId>)>,
    /// When each item was sent, as the status of its object says.
    sent: BTreeMap<(Arc<str>, ItemId), Instant>,
    /// The organizations of which the length was told.
    told: BTreeSet<Group>,
}

struct World {
    rng: fastrand::Rng,
    now: Instant,
    tenants: [Tenant; 2],
    /// Who holds the roles.
    holders: BTreeSet<ItemId>,
    /// Lists of holders that are on their way: the tenant that asked, the role, who held it, and when that was read.
    lists: Vec<(usize, Group, Option<BTreeSet<ItemId>>, Instant)>,
    removed: usize,
    refused: usize,
}

fn group(number: u64) -> Group {
    if number < ROLES { Group::Role(number) } else { Group::Organization(number - ROLES) }
}

fn length(group: Group) -> usize {
    if let Group::Organization(number) = group { LENGTHS[usize::try_from(number).unwrap()] } else { 0 }
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let holders = (0..ROLES).flat_map(|role| (0..12).map(move |user| ItemId::test(user, Group::Role(role))));
        let holders = holders.filter(|_| rng.u8(..3) > 0).collect();
        let now = Instant::now() + Duration::from_secs(1_000_000);
        Self { rng, now, tenants: Default::default(), holders, lists: Vec::new(), removed: 0, refused: 0 }
    }

    fn elsewhere(&self, of: usize) -> BTreeSet<ItemId> {
        self.tenants[1 - of].brake.roles().collect()
    }

    /// A new process leads. It knows what the statuses say.
    fn crash(&mut self, of: usize) {
        let tenant = &mut self.tenants[of];
        (tenant.brake, tenant.drawn) = (TenantBrake::default(), Vec::new());
        tenant.told.clear();
        for ((namespace, item), at) in &tenant.sent {
            tenant.brake.counts_of(namespace, self.now).absorb(&[*item], *at);
        }
        self.lists.retain(|(asker, ..)| *asker != of);
        self.decide(of);
    }

    fn decide(&mut self, of: usize) {
        let elsewhere = self.elsewhere(of);
        let tenant = &mut self.tenants[of];
        let mut demand: BTreeMap<Arc<str>, Demand> = BTreeMap::new();
        for ((namespace, _), items) in &tenant.objects {
            demand.entry(namespace.clone()).or_default().ready.extend(items);
        }
        let keep = (0..ROLES).map(|role| (group(role), AT_LEAST)).collect();
        let groups = GroupRules { share: SHARE, keep };
        let (max, per_minute) = (1_000_000, 1000);
        let facts = Facts { max, max_total: Some(max), window: WINDOW, per_minute, demand, groups, ..Facts::default() };
        if !tenant.brake.is_adopted() {
            tenant.brake.adopt(tenant.stored.as_ref(), None, WINDOW, self.now);
        }
        let plan = tenant.brake.decide(&facts, &elsewhere, Timestamp::UNIX_EPOCH, &mut String::new, self.now);
        tenant.stored.clone_from(&plan.record);
        tenant.brake.apply(&plan, self.now);
    }

    /// A namespace asks for some items of a group.
    fn ask(&mut self, of: usize) {
        let group = group(self.rng.u64(..ROLES + 3));
        let users = if matches!(group, Group::Role(_)) { 12 } else { length(group) as u64 };
        let namespace: Arc<str> = ["a", "b"][self.rng.usize(..2)].into();
        for _ in 0..self.rng.usize(1..4) {
            let items: BTreeSet<ItemId> =
                (0..self.rng.usize(1..3)).map(|_| ItemId::test(self.rng.u64(..users), group)).collect();
            self.tenants[of].objects.insert((namespace.clone(), self.rng.u64(..20)), items.into_iter().collect());
        }
    }

    /// An object is told the length of an organization, or that it cannot be known.
    fn tell(&mut self, of: usize) {
        let group = group(ROLES + self.rng.u64(..3));
        let is_known = self.rng.u8(..3) > 0;
        let members = is_known.then(|| length(group));
        let tenant = &mut self.tenants[of];
        tenant.brake.know_length(group, members, self.now, self.now);
        if is_known {
            tenant.told.insert(group);
        }
    }

    fn read(&mut self, of: usize) {
        let group = group(self.rng.u64(..ROLES));
        let holders = self.holders.iter().filter(|holder| holder.group == group).copied().collect();
        self.lists.push((of, group, (self.rng.u8(..8) > 0).then_some(holders), self.now));
    }

    fn draw(&mut self, of: usize) {
        let elsewhere = self.elsewhere(of);
        let tenant = &mut self.tenants[of];
        if tenant.objects.is_empty() {
            return;
        }
        let n = self.rng.usize(..tenant.objects.len());
        let ((namespace, _), items) = tenant.objects.iter().nth(n).unwrap();
        match tenant.brake.draw(namespace, items, &elsewhere, 0, self.now) {
            Draw::Granted => tenant.drawn.push((namespace.clone(), items.clone())),
            Draw::Refused => self.refused += 1,
            Draw::Wanted => {}
        }
    }

    fn send(&mut self, of: usize) -> Result<(), String> {
        let tenant = &mut self.tenants[of];
        let Some((namespace, items)) = tenant.drawn.pop() else { return Ok(()) };
        if !tenant.brake.send(&namespace, &items, self.now) {
            return Ok(());
        }
        // Not every call arrives, but each may have.
        let arrives = self.rng.u8(..4) > 0;
        for item in items {
            let before = tenant.sent.insert((namespace.clone(), item), self.now);
            let is_new = before.is_none_or(|at| self.now - at >= WINDOW);
            self.removed += usize::from(arrives && self.holders.remove(&item));
            let is_counted = |(name, other): &(Arc<str>, ItemId)| *name == namespace && other.group == item.group;
            let recent = tenant.sent.iter().filter(|(key, at)| is_counted(key) && self.now - **at < WINDOW).count();
            let left = self.holders.iter().filter(|holder| holder.group == item.group).count();
            match item.group {
                Group::Role(_) if arrives && left < AT_LEAST => return Err(format!("{left} holders are left")),
                Group::Organization(_) if is_new && recent > allowed(item.group, tenant.told.contains(&item.group)) => {
                    return Err(format!("{recent} members of {}", length(item.group)));
                }
                Group::Organization(_) | Group::Role(_) | Group::None => {}
            }
        }
        Ok(())
    }

    fn step(&mut self) -> Result<(), String> {
        let of = self.rng.usize(..2);
        match self.rng.u8(..40) {
            0..=2 => self.ask(of),
            3 => self.tenants[of].objects.retain(|_, _| self.rng.bool()),
            4 => self.now += Duration::from_secs(self.rng.u64(..60)),
            5 if self.rng.bool() => self.now += Duration::from_secs(self.rng.u64(..700)),
            6 if self.rng.u8(..4) == 0 => self.crash(of),
            // Somebody else gives a role away.
            7 => self.holders.extend([ItemId::test(self.rng.u64(..12), group(self.rng.u64(..ROLES)))]),
            8..=9 => self.tell(of),
            10..=12 => self.read(of),
            13..=15 if !self.lists.is_empty() => {
                let (asker, group, holders, at) = self.lists.swap_remove(self.rng.usize(..self.lists.len()));
                self.tenants[asker].brake.groups.know_holders(group, holders, at);
            }
            16..=21 => self.decide(of),
            22..=32 => self.draw(of),
            _ => self.send(of)?,
        }
        Ok(())
    }
}

/// How many members of an organization may be removed within a window.
fn allowed(group: Group, is_told: bool) -> usize {
    match length(group) {
        _ if !is_told => 1,
        length if length < 10 => length,
        length => length * SHARE / 100,
    }
}

proptest! {
    #[test]
    fn no_group_loses_more_than_is_allowed(seed: u64) {
        let mut world = World::new(seed);
        for step in 0..400 {
            prop_assert_eq!(world.step(), Ok(()), "step {}", step);
        }
    }
}

/// Holders are removed in these worlds, and something is refused.
#[test]
fn the_worlds_of_groups_are_not_idle() {
    let (mut removed, mut sent, mut refused) = (0, 0, 0);
    for seed in 0..50 {
        let mut world = World::new(seed);
        (0..400).for_each(|_| world.step().unwrap());
        removed += world.removed;
        sent += world.tenants.iter().map(|tenant| tenant.sent.len()).sum::<usize>();
        refused += world.refused;
    }
    assert!(removed > 20 && sent > 200 && refused > 200, "{removed} {sent} {refused}");
}
