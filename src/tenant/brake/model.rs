//! The brake against a world in which everything happens: several namespaces, crashes, two leaders at once, clocks that
//! are set, herds that become ready at the same time, and a tenant whose mode and limits change. Whatever happens, no
//! more is sent than is allowed, by a count of its own.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::api::BrakeId;

const WINDOW: Duration = Duration::from_secs(600);
const ITEMS: u64 = 40;

/// A process that leads, or believes that it does.
struct Process {
    brake: TenantBrake,
    /// Its cache of the tenant object, and the version that it wrote last.
    cached: (Option<BrakeStatus>, u64),
    wrote: u64,
    /// Objects whose items it has drawn and not sent yet.
    drawn: Vec<(Arc<str>, Vec<ItemId>)>,
}

/// What one namespace, or all of them, may send: the items of the last window, and what is left of releases.
#[derive(Default)]
struct Allowance {
    sent: BTreeMap<(Arc<str>, ItemId), Instant>,
    released: usize,
}

impl Allowance {
    /// Counts an item that is sent now.
    fn send(&mut self, item: (Arc<str>, ItemId), max: usize, now: Instant) -> Result<(), String> {
        self.sent.retain(|_, at| now.saturating_duration_since(*at) < WINDOW);
        if !self.sent.contains_key(&item) {
            match () {
                () if self.sent.len() < max => {}
                () if self.released > 0 => self.released -= 1,
                () => return Err(format!("{} items and one more, of {max}", self.sent.len())),
            }
        }
        self.sent.insert(item, now);
        Ok(())
    }
}

fn item(number: u64) -> ItemId {
    ItemId::test(number, Group::None)
}

struct World {
    rng: fastrand::Rng,
    now: Instant,
    /// The wall clock, as an offset from the monotonic one.
    wall: SignedDuration,
    epoch: (Instant, Timestamp),
    is_cluster: bool,
    max: usize,
    max_total: usize,
    observes: bool,
    generation: i64,
    releases: Vec<BrakeId>,
    stored: Option<BrakeStatus>,
    version: u64,
    /// The objects: their items, and from when on they are ready.
    objects: BTreeMap<(Arc<str>, u64), (Vec<ItemId>, Timestamp)>,
    /// When each item was sent, as the status of its object says.
    statuses: BTreeMap<(Arc<str>, ItemId), Timestamp>,
    processes: Vec<Process>,
    allowances: BTreeMap<Arc<str>, Allowance>,
    total: Allowance,
    sent: usize,
    /// Nothing fails any more.
    is_quiet: bool,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let is_cluster = rng.bool();
        let max = rng.usize(1..12);
        let now = Instant::now() + Duration::from_secs(1_000_000);
        Self {
            is_cluster,
            max,
            max_total: max * rng.usize(1..3),
            observes: false,
            generation: 1,
            releases: Vec::new(),
            now,
            wall: SignedDuration::ZERO,
            epoch: (now, Timestamp::UNIX_EPOCH + SignedDuration::from_hours(1_000_000 / 3600)),
            stored: None,
            version: 1,
            objects: BTreeMap::new(),
            statuses: BTreeMap::new(),
            processes: Vec::new(),
            allowances: BTreeMap::new(),
            total: Allowance::default(),
            sent: 0,
            is_quiet: false,
            rng,
        }
    }

    fn wall(&self) -> Timestamp {
        self.epoch.1 + self.wall + SignedDuration::try_from(self.now - self.epoch.0).unwrap()
    }

    fn namespace(&mut self) -> Arc<str> {
        let of = if self.is_cluster { 3 } else { 1 };
        ["a", "b", "c"][self.rng.usize(..of)].into()
    }

    fn start(&mut self) {
        let mut brake = TenantBrake::default();
        for ((namespace, item), at) in &self.statuses {
            let age = Duration::try_from(self.wall().duration_since(*at)).unwrap_or_default();
            if let Some(at) = self.now.checked_sub(age).filter(|_| age < MAX_WINDOW) {
                brake.namespaces.entry(namespace.clone()).or_default().absorb(&[*item], at);
            }
        }
        let cached = (self.stored.clone(), self.version);
        self.processes.push(Process { brake, cached, wrote: 0, drawn: Vec::new() });
    }

    fn demand(&self) -> BTreeMap<Arc<str>, Demand> {
        let mut demand: BTreeMap<Arc<str>, Demand> = BTreeMap::new();
        if self.observes {
            return demand;
        }
        for ((namespace, _), (items, from)) in &self.objects {
            let demand = demand.entry(namespace.clone()).or_default();
            if *from <= self.wall() {
                demand.ready.extend(items);
            } else {
                demand.coming.extend(items.iter().map(|item| (*from, *item)));
            }
        }
        demand
    }

    /// One process decides, and writes unless that fails.
    fn decide(&mut self, of: usize) {
        let only = (!self.is_cluster).then(|| Arc::from("a"));
        let facts = Facts {
            generation: self.generation,
            max: self.max,
            max_total: self.is_cluster.then_some(self.max_total),
            window: WINDOW,
            per_minute: 1000,
            releases: self.releases.clone(),
            demand: self.demand(),
            groups: GroupRules { share: 100, keep: BTreeMap::new() },
            domain: String::new(),
        };
        let (wall, now, fails) = (self.wall(), self.now, !self.is_quiet && self.rng.u8(..10) == 0);
        let mut words = self.rng.clone();
        let process = &mut self.processes[of];
        if self.rng.u8(..4) > 0 {
            process.cached = (self.stored.clone(), self.version);
        }
        let (cached, version) = &process.cached;
        if !process.brake.is_adopted() || (*version >= process.wrote && process.brake.record() != cached.as_ref()) {
            process.brake.adopt(cached.as_ref(), only.as_ref(), WINDOW, now);
        }
        let plan = process.brake.decide(&facts, &BTreeSet::new(), wall, &mut || format!("{:04x}", words.u16(..)), now);
        self.rng.u16(..);
        if fails {
            return;
        }
        if *version != self.version && self.stored.as_ref() != process.brake.record() {
            process.brake.adopt(self.stored.as_ref(), only.as_ref(), WINDOW, now);
            return;
        }
        self.version += 1;
        self.stored.clone_from(&plan.record);
        process.wrote = self.version;
        if self.is_quiet || self.rng.u8(..20) > 0 {
            process.brake.apply(&plan, now);
        } else {
            // It crashes after the write and before it knows of it.
            self.processes.remove(of);
        }
    }

    /// One process asks for an object, and may send it some moments later.
    fn draw(&mut self, of: usize) {
        let wall = self.wall();
        let ready: Vec<_> = self.objects.iter().filter(|(_, (_, from))| *from <= wall).collect();
        if ready.is_empty() || self.observes {
            return;
        }
        let ((namespace, _), (items, _)) = ready[self.rng.usize(..ready.len())];
        let (namespace, items): (Arc<str>, Vec<ItemId>) = (namespace.clone(), items.clone());
        let process = &mut self.processes[of];
        if process.brake.draw(&namespace, &items, &BTreeSet::new(), self.generation, self.now) == Draw::Granted {
            process.drawn.push((namespace, items));
        }
    }

    fn send(&mut self, of: usize) -> Result<(), String> {
        let Some((namespace, items)) = self.processes[of].drawn.pop() else { return Ok(()) };
        if !self.processes[of].brake.send(&namespace, &items, self.now) {
            return Ok(());
        }
        for item in items {
            self.sent += 1;
            let (one, all) = ((namespace.clone(), item), (namespace.clone(), item));
            self.allowances.entry(namespace.clone()).or_default().send(one, self.max, self.now)?;
            if self.is_cluster {
                self.total.send(all, self.max_total, self.now)?;
            }
            if self.rng.bool() {
                let wall = self.wall();
                self.statuses.insert((namespace.clone(), item), wall);
            }
        }
        Ok(())
    }

    /// The owner of the tenant releases what its status shows.
    fn release(&mut self) {
        let Some(record) = self.stored.clone() else { return };
        let own = record.namespaces.iter().filter_map(|one| Some((Arc::from(one.name.as_str()), one.id.clone()?)));
        let first = if self.is_cluster { Arc::from("") } else { Arc::from("a") };
        let all: Vec<(Arc<str>, String)> = own.chain(record.id.clone().map(|id| (first, id))).collect();
        if all.is_empty() {
            return;
        }
        let (name, id) = all[self.rng.usize(..all.len())].clone();
        let id = BrakeId::parse(&id).unwrap();
        if self.releases.iter().any(|before| before.word == id.word) {
            return;
        }
        let allowance = if name.is_empty() { &mut self.total } else { self.allowances.entry(name).or_default() };
        allowance.released = allowance.released.max(id.count);
        if self.rng.bool() {
            self.releases.clear();
        }
        self.releases.push(id);
    }

    fn change(&mut self) {
        let namespace = self.namespace();
        match self.rng.u8(..8) {
            0..=3 => {
                // Often many at once, and for the same moment.
                let from = self.wall() + SignedDuration::from_secs([0, 0, 60, 300, 900][self.rng.usize(..5)]);
                for _ in 0..self.rng.usize(1..8) {
                    let items = (0..self.rng.usize(1..3)).map(|_| item(self.rng.u64(..ITEMS)));
                    let items: BTreeSet<ItemId> = items.collect();
                    let name = self.rng.u64(..30);
                    self.objects.insert((namespace.clone(), name), (items.into_iter().collect(), from));
                }
            }
            4 => self.objects.retain(|_, _| self.rng.bool()),
            5 => (self.observes, self.generation) = (!self.observes, self.generation + 1),
            6 => {
                // A limit that falls says nothing about what was sent before.
                self.max += self.rng.usize(..2);
                self.max_total += self.rng.usize(..2);
                self.generation += 1;
            }
            _ => {
                let by = self.rng.i64(-4000..4000);
                self.wall += SignedDuration::from_secs(by);
            }
        }
    }

    fn step(&mut self) -> Result<(), String> {
        if self.processes.is_empty() {
            self.start();
        }
        let of = self.rng.usize(..self.processes.len());
        match self.rng.u8(..32) {
            0..=2 => self.change(),
            3 => self.now += Duration::from_secs(self.rng.u64(..120)),
            4 if self.rng.bool() => self.now += Duration::from_secs(self.rng.u64(..700)),
            5 if self.rng.bool() => drop(self.processes.remove(of)),
            6 if self.processes.len() == 1 => self.start(),
            7 => self.release(),
            8..=14 => self.decide(of),
            15..=23 => (0..3).for_each(|_| self.draw(of)),
            _ => (0..3).try_for_each(|_| self.send(of))?,
        }
        Ok(())
    }

    /// A quiet world: as few objects as are allowed. Each of them is sent.
    fn settle(&mut self) -> Result<(), String> {
        self.is_quiet = true;
        self.now += WINDOW * 3;
        self.processes.truncate(1);
        (self.observes, self.releases) = (false, Vec::new());
        self.objects.clear();
        let (wall, item) = (self.wall(), item(1));
        self.objects.insert((Arc::from("a"), 0), (vec![item], wall));
        let before = self.sent;
        for _ in 0..60 {
            if self.processes.is_empty() {
                self.start();
            }
            self.now += Duration::from_secs(30);
            self.decide(0);
            if !self.processes.is_empty() {
                self.draw(0);
                self.send(0)?;
            }
        }
        if self.sent == before { Err("the last object was never sent".to_owned()) } else { Ok(()) }
    }
}

proptest! {
    #[test]
    fn no_more_is_sent_than_is_allowed(seed: u64) {
        let mut world = World::new(seed);
        for step in 0..400 {
            prop_assert_eq!(world.step(), Ok(()), "step {}", step);
        }
        prop_assert_eq!(world.settle(), Ok(()));
    }
}

/// The worlds send something, and something is kept from being sent.
#[test]
fn the_worlds_are_not_idle() {
    let (mut sent, mut engaged, mut released) = (0, 0, 0);
    for seed in 0..50 {
        let mut world = World::new(seed);
        for _ in 0..400 {
            world.step().unwrap();
            engaged += usize::from(world.processes.iter().any(|process| !process.brake.shut().is_empty()));
        }
        sent += world.sent;
        released += world.releases.len();
    }
    assert!(sent > 1000 && engaged > 1000 && released > 20, "{sent} {engaged} {released}");
}
