//! Who is next: removals before proofs, namespaces in turn wherever their work is, in each of them who came first. Pure.
//!
//! The bounds (promise 10), in calls, among what may be sent at all:
//! - with `n` namespaces waiting, at most `n - 1` calls of others leave between two of one namespace, whether they wait at
//!   one endpoint or at many;
//! - at most [`REMOVALS_IN_A_ROW`] removals leave while a proof could, then a proof leaves;
//! - with `k` namespaces waiting, none of them begins a call while it holds `1/k` of [`SHARED`] places, rounded up: what
//!   hangs or is slow to be checked in one namespace leaves [`MAX_IN_FLIGHT`] - [`SHARED`] places to the others at once.
//!
//! A call costs the logarithm of what waits, and the number of kinds of call that wait; not that of namespaces, items or
//! connections.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use foldhash::{HashMap, HashMapExt};
use slab::Slab;

use super::connection::ConnectionKey;
use super::limiter::CallName;

/// So many removals in a row may leave before a proof that could leave, too.
pub const REMOVALS_IN_A_ROW: u32 = 8;
/// Calls of one domain on their way at once: with answers after 150 ms, more than 250 a second.
pub const MAX_IN_FLIGHT: usize = 64;
/// So many of these places are shared out among those that wait.
pub const SHARED: usize = 48;

/// What comes first. The order of the variants is the order of service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Rank {
    /// Takes access away, or has to be known for that.
    Removal,
    /// Shows that access is gone.
    Proof,
}

/// A namespace, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Ns(pub(super) u32);

/// What counts as equal when calls are held back: the same kind of call with the same connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Class {
    pub(super) rank: Rank,
    pub(super) call: CallName,
    pub(super) connection: ConnectionKey,
}

/// Where a unit of work stands: in its namespace's queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) class: Class,
    pub(super) ns: Ns,
    /// Lower ones are served first within a namespace.
    pub(super) arrival: u64,
}

/// The places of one unit of work, one for each namespace that waits for it, while it is ready.
#[derive(Debug, Default)]
pub(super) struct Places {
    pub(super) ready: bool,
    pub(super) taken: HashMap<Ns, (Rank, u64)>,
}

/// What of a group of calls may leave.
pub(super) trait Gate {
    /// Whether calls of this class, and all of the same kind and settings, may leave as far as the domain is concerned.
    fn passes(&self, class: &Class) -> bool;
    /// Whether this connection's own settings let a call leave.
    fn admits(&self, connection: ConnectionKey) -> bool;
}

#[derive(Debug)]
struct Namespace {
    name: Arc<str>,
    jobs: usize,
    places: usize,
    in_flight: usize,
    served: u64,
    /// The classes in which it waits: a few.
    classes: Vec<Class>,
    /// It holds its share of calls on their way.
    full: bool,
}

/// Classes of one key are held back together.
type GroupKey = (Rank, CallName, u8);

#[derive(Debug)]
struct Lane<W> {
    group: GroupKey,
    /// The namespaces that wait here, least recently served first.
    turns: BTreeSet<(u64, Ns)>,
    waiting: HashMap<Ns, BTreeSet<(u64, W)>>,
    /// Under which turn it stands in its group.
    listed: Option<(u64, Ns)>,
}

/// Units of work that could send a call.
#[derive(Debug)]
pub(super) struct FairQueue<W> {
    namespaces: Slab<Namespace>,
    by_name: HashMap<Arc<str>, Ns>,
    lanes: HashMap<Class, Lane<W>>,
    /// The lanes of each group that are not held back, by the turn of their first namespace.
    groups: BTreeMap<GroupKey, BTreeSet<(u64, Ns, Class)>>,
    /// The classes of each connection that waits, and whether its own settings hold it back.
    connections: HashMap<ConnectionKey, (Vec<Class>, bool)>,
    full: Vec<Ns>,
    /// Namespaces with places.
    waiting: usize,
    /// Counts the calls served and the namespaces that came.
    turn: u64,
    in_a_row: u32,
    proof_passed: bool,
}

impl<W> Default for FairQueue<W> {
    fn default() -> Self {
        Self {
            namespaces: Slab::new(),
            by_name: HashMap::new(),
            lanes: HashMap::new(),
            groups: BTreeMap::new(),
            connections: HashMap::new(),
            full: Vec::new(),
            waiting: 0,
            turn: 0,
            in_a_row: 0,
            proof_passed: false,
        }
    }
}

impl<W: Copy + Ord> FairQueue<W> {
    /// A job of this namespace came. Its number is good until as many have left.
    pub(super) fn enter(&mut self, name: &Arc<str>) -> Ns {
        let namespaces = &mut self.namespaces;
        let ns = *self.by_name.entry(name.clone()).or_insert_with(|| {
            let new = Namespace {
                name: name.clone(),
                jobs: 0,
                places: 0,
                in_flight: 0,
                served: 0,
                classes: Vec::new(),
                full: false,
            };
            Ns(u32::try_from(namespaces.insert(new)).unwrap_or(u32::MAX))
        });
        self.at(ns).jobs += 1;
        ns
    }

    /// Something else keeps the number of this namespace.
    pub(super) fn keep(&mut self, ns: Ns) {
        self.at(ns).jobs += 1;
    }

    /// A job of this namespace ended, or what kept its number.
    pub(super) fn leave(&mut self, ns: Ns) {
        self.at(ns).jobs -= 1;
        self.tidy(ns);
    }

    fn at(&mut self, ns: Ns) -> &mut Namespace {
        &mut self.namespaces[ns.0 as usize]
    }

    fn tidy(&mut self, ns: Ns) {
        let namespace = &self.namespaces[ns.0 as usize];
        if namespace.jobs == 0 && namespace.places == 0 && namespace.in_flight == 0 {
            let gone = self.namespaces.remove(ns.0 as usize);
            self.by_name.remove(&gone.name);
        }
    }

    /// Brings the places of `work` up to date: one for each namespace that `front` says waits for it, if it is `ready`.
    /// `changed` are the namespaces of which that may have changed since; all that wait, if it became ready.
    pub(super) fn refresh(
        &mut self,
        work: W,
        places: &mut Places,
        ready: bool,
        changed: impl IntoIterator<Item = Ns>,
        (call, connection, flavor): (CallName, ConnectionKey, u8),
        front: impl Fn(Ns) -> Option<(Rank, u64)>,
    ) {
        let class = |rank| Class { rank, call, connection };
        places.ready = ready;
        if !ready {
            for (ns, (rank, arrival)) in places.taken.drain() {
                self.remove(Place { class: class(rank), ns, arrival }, work);
            }
            return;
        }
        for ns in changed {
            let (before, now) = (places.taken.get(&ns).copied(), front(ns));
            if before == now {
                continue;
            }
            if let Some((rank, arrival)) = now {
                places.taken.insert(ns, (rank, arrival));
                self.insert(Place { class: class(rank), ns, arrival }, flavor, work);
            } else {
                places.taken.remove(&ns);
            }
            if let Some((rank, arrival)) = before {
                self.remove(Place { class: class(rank), ns, arrival }, work);
            }
        }
    }

    fn insert(&mut self, Place { class, ns, arrival }: Place, flavor: u8, work: W) {
        let came = self.at(ns).places == 0;
        if came {
            // Who was away does not go before those who stayed.
            self.turn += 1;
            self.waiting += 1;
            let turn = self.turn;
            self.at(ns).served = turn;
        }
        let namespace = self.at(ns);
        namespace.places += 1;
        let (served, full) = (namespace.served, namespace.full);
        if !self.lanes.contains_key(&class) {
            let group = (class.rank, class.call, flavor);
            self.connections.entry(class.connection).or_default().0.push(class);
            self.lanes.insert(class, Lane { group, turns: BTreeSet::new(), waiting: HashMap::new(), listed: None });
        }
        let Some(lane) = self.lanes.get_mut(&class) else { return };
        let waiting = lane.waiting.entry(ns).or_default();
        if waiting.is_empty() {
            self.namespaces[ns.0 as usize].classes.push(class);
            if !full {
                lane.turns.insert((served, ns));
            }
        }
        waiting.insert((arrival, work));
        self.list(class);
    }

    fn remove(&mut self, Place { class, ns, arrival }: Place, work: W) {
        let Some(lane) = self.lanes.get_mut(&class) else { return };
        let Some(waiting) = lane.waiting.get_mut(&ns) else { return };
        if !waiting.remove(&(arrival, work)) {
            return;
        }
        let namespace = &mut self.namespaces[ns.0 as usize];
        namespace.places -= 1;
        if waiting.is_empty() {
            lane.waiting.remove(&ns);
            lane.turns.remove(&(namespace.served, ns));
            namespace.classes.retain(|other| *other != class);
            self.list(class);
        }
        if self.namespaces[ns.0 as usize].places == 0 {
            self.waiting -= 1;
            self.tidy(ns);
        }
    }

    /// Brings a lane's place in its group up to date.
    fn list(&mut self, class: Class) {
        let Some(lane) = self.lanes.get_mut(&class) else { return };
        let (classes, held) = self.connections.entry(class.connection).or_default();
        let first = lane.turns.first().copied().filter(|_| !*held);
        if lane.listed != first {
            let order = self.groups.entry(lane.group).or_default();
            if let Some((served, ns)) = lane.listed {
                order.remove(&(served, ns, class));
            }
            order.extend(first.map(|(served, ns)| (served, ns, class)));
            if order.is_empty() {
                self.groups.remove(&lane.group);
            }
            lane.listed = first;
        }
        if lane.waiting.is_empty() {
            self.lanes.remove(&class);
            classes.retain(|other| *other != class);
            if classes.is_empty() {
                self.connections.remove(&class.connection);
            }
        }
    }

    /// What holds this connection's calls back is another flavor from now on.
    pub(super) fn regroup(&mut self, connection: ConnectionKey, flavor: u8) {
        self.hold(connection, true);
        for class in self.classes(connection) {
            if let Some(lane) = self.lanes.get_mut(&class) {
                lane.group = (class.rank, class.call, flavor);
            }
        }
        self.hold(connection, false);
    }

    fn classes(&self, connection: ConnectionKey) -> Vec<Class> {
        self.connections.get(&connection).map(|(classes, _)| classes.clone()).unwrap_or_default()
    }

    /// The next one that the gate lets pass: its place, and what it is; [`Self::begun`] if a call comes of it. Connections
    /// that turn out to be held back stand `aside` from then on.
    pub(super) fn next(&mut self, gate: &impl Gate, aside: &mut Vec<ConnectionKey>) -> Option<(Place, W)> {
        let (removal, proof) = (self.first(Rank::Removal, gate, aside), self.first(Rank::Proof, gate, aside));
        self.proof_passed = proof.is_some();
        let (class, ns) = match (removal, proof) {
            (Some(_), Some(proof)) if self.in_a_row >= REMOVALS_IN_A_ROW => proof,
            (Some(removal), _) => removal,
            (None, proof) => proof?,
        };
        let (arrival, work) = *self.lanes.get(&class)?.waiting.get(&ns)?.first()?;
        Some((Place { class, ns, arrival }, work))
    }

    /// A call begins where [`Self::next`] said: its namespace has had its turn, and holds a place of those on their way until
    /// [`Self::ended`].
    pub(super) fn begun(&mut self, rank: Rank, ns: Ns) {
        self.in_a_row = if rank == Rank::Removal && self.proof_passed { self.in_a_row + 1 } else { 0 };
        self.turn += 1;
        let turn = self.turn;
        self.at(ns).in_flight += 1;
        self.move_turns(ns, |namespace| namespace.served = turn);
    }

    /// Who is first in this rank. What turns out to be held back on its own account stands aside until it is let back.
    fn first(&mut self, rank: Rank, gate: &impl Gate, aside: &mut Vec<ConnectionKey>) -> Option<(Class, Ns)> {
        loop {
            let of_rank = self.groups.iter().filter(|((of, ..), _)| *of == rank);
            let firsts = of_rank.filter_map(|(_, order)| order.first());
            let (_, ns, class) = *firsts.filter(|(.., class)| gate.passes(class)).min()?;
            if !gate.admits(class.connection) {
                self.hold(class.connection, true);
                aside.push(class.connection);
                continue;
            }
            let most = SHARED.div_ceil(self.waiting.max(1));
            if self.at(ns).in_flight < most {
                return Some((class, ns));
            }
            self.full.push(ns);
            self.move_turns(ns, |namespace| namespace.full = true);
        }
    }

    /// Whether a connection stands aside. It is let back when it is said to stand aside no more.
    pub(super) fn hold(&mut self, connection: ConnectionKey, aside: bool) {
        let Some((_, held)) = self.connections.get_mut(&connection) else { return };
        if std::mem::replace(held, aside) != aside {
            self.classes(connection).into_iter().for_each(|class| self.list(class));
        }
    }

    /// A call of this namespace ended.
    pub(super) fn ended(&mut self, ns: Ns) {
        self.at(ns).in_flight -= 1;
        // Each of them holds a place, so they are few.
        for full in std::mem::take(&mut self.full) {
            if self.namespaces.contains(full.0 as usize) {
                self.move_turns(full, |namespace| namespace.full = false);
            }
        }
        self.tidy(ns);
    }

    /// Changes what decides a namespace's turns.
    fn move_turns(&mut self, ns: Ns, change: impl FnOnce(&mut Namespace)) {
        let namespace = &mut self.namespaces[ns.0 as usize];
        let before = namespace.served;
        change(namespace);
        let (served, full, classes) = (namespace.served, namespace.full, namespace.classes.clone());
        for class in classes {
            if let Some(lane) = self.lanes.get_mut(&class) {
                lane.turns.remove(&(before, ns));
                if !full {
                    lane.turns.insert((served, ns));
                }
            }
            self.list(class);
        }
    }

    /// One class of each group that waits.
    pub(super) fn groups(&self) -> impl Iterator<Item = &Class> {
        self.groups.values().filter_map(BTreeSet::first).map(|(.., class)| class)
    }

    /// Whether what must hold does.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        let mut places: HashMap<Ns, usize> = HashMap::new();
        for (class, lane) in &self.lanes {
            for (ns, waiting) in &lane.waiting {
                *places.entry(*ns).or_default() += waiting.len();
                let namespace = self.namespaces.get(ns.0 as usize).ok_or("a place of a namespace that is gone")?;
                if lane.turns.contains(&(namespace.served, *ns)) == namespace.full {
                    return Err("a namespace that waits has no turn, or one too many");
                }
            }
            let held = self.connections.get(&class.connection).ok_or("a lane of no connection")?.1;
            let first = lane.turns.first().copied().filter(|_| !held);
            let order = self.groups.get(&lane.group);
            let listed = |(served, ns)| order.is_some_and(|order| order.contains(&(served, ns, *class)));
            if lane.turns.len() > lane.waiting.len() || lane.listed != first || !first.is_none_or(listed) {
                return Err("a lane stands in a wrong place");
            }
        }
        let listed: usize = self.groups.values().map(BTreeSet::len).sum();
        let lanes = self.lanes.values().filter(|lane| lane.listed.is_some()).count();
        let counted = self
            .namespaces
            .iter()
            .all(|(n, namespace)| namespace.places == places.get(&Ns(n as u32)).copied().unwrap_or(0));
        if listed != lanes || !counted || places.len() != self.waiting {
            return Err("the fair queue counts wrong");
        }
        Ok(())
    }

    /// How many namespaces wait.
    pub(super) const fn waiting(&self) -> usize {
        self.waiting
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CALLS: [CallName; 3] = [("DELETE", "a"), ("DELETE", "b"), ("GET", "a")];
    const CONNECTIONS: [ConnectionKey; 2] = [ConnectionKey(1), ConnectionKey(2)];

    /// Some kind of call is held back for all, and some connection on its own account.
    struct Held(Option<CallName>, Option<ConnectionKey>);

    impl Gate for Held {
        fn passes(&self, class: &Class) -> bool {
            self.0 != Some(class.call)
        }

        fn admits(&self, connection: ConnectionKey) -> bool {
            self.1 != Some(connection)
        }
    }

    fn rank(call: usize) -> Rank {
        if call == 2 { Rank::Proof } else { Rank::Removal }
    }

    /// One unit of work of one namespace.
    fn stand(fair: &mut FairQueue<u64>, ns: Ns, call: usize, connection: usize, arrival: u64) -> Places {
        let mut places = Places::default();
        let class = (CALLS[call], CONNECTIONS[connection], 0);
        fair.refresh(arrival, &mut places, true, [ns], class, |_| Some((rank(call), arrival)));
        places
    }

    #[test]
    fn one_of_another_namespace_is_next_but_one_at_the_latest() {
        let mut fair = FairQueue::default();
        let (crowd, other) = (fair.enter(&"crowd".into()), fair.enter(&"other".into()));
        for arrival in 0..10_000 {
            stand(&mut fair, crowd, (arrival % 2) as usize, 0, arrival);
        }
        stand(&mut fair, other, 0, 1, 10_000);
        let mut served = Vec::new();
        for _ in 0..2 {
            let (place, unit) = fair.next(&Held(None, None), &mut Vec::new()).unwrap();
            fair.begun(place.class.rank, place.ns);
            served.push(unit);
        }
        assert!(served.contains(&10_000), "{served:?}");
    }

    /// What hangs in one namespace leaves places to the others.
    #[test]
    fn nobody_holds_all_places() {
        let mut fair = FairQueue::default();
        let (crowd, other) = (fair.enter(&"crowd".into()), fair.enter(&"other".into()));
        (0..200).for_each(|arrival| drop(stand(&mut fair, crowd, 0, 0, arrival)));
        let begin = |fair: &mut FairQueue<u64>| {
            let (place, _) = fair.next(&Held(None, None), &mut Vec::new())?;
            fair.begun(place.class.rank, place.ns);
            Some(place.ns)
        };
        let alone = std::iter::from_fn(|| begin(&mut fair)).count();
        assert_eq!(alone, SHARED);
        (200..400).for_each(|arrival| drop(stand(&mut fair, other, 0, 0, arrival)));
        assert_eq!(std::iter::from_fn(|| begin(&mut fair)).count(), SHARED / 2);
        fair.ended(crowd);
        assert_eq!(begin(&mut fair), None, "it holds more than its share");
        fair.ended(other);
        assert_eq!(begin(&mut fair), Some(other));
    }

    proptest! {
        /// Random comings, goings and servings, with kinds of call and connections that are held back: nobody is lost, the
        /// order within a namespace and a class is that of coming, and the bounds hold (tests/mutants.sh: 10-no-turns).
        #[test]
        fn nobody_starves(
            steps in proptest::collection::vec((0u8..6, 0usize..6, 0usize..3, 0usize..2, 0usize..4, 0usize..4), 1..400),
        ) {
            let mut fair = FairQueue::default();
            let mut here: Vec<(usize, Class, Ns, u64, Places)> = Vec::new();
            let mut passed: HashMap<Ns, usize> = HashMap::new();
            let mut in_a_row = 0;
            let numbers: Vec<Ns> = (0..6).map(|n| fair.enter(&n.to_string().into())).collect();
            for (arrival, (action, n, call, connection, kind, aside)) in steps.into_iter().enumerate() {
                let (ns, arrival) = (numbers[n], arrival as u64);
                match action {
                    0 | 1 => {
                        let places = stand(&mut fair, ns, call, connection, arrival);
                        let class = Class { rank: rank(call), call: CALLS[call], connection: CONNECTIONS[connection] };
                        here.push((n, class, ns, arrival, places));
                    }
                    2 => if let Some(at) = here.iter().position(|(.., other, _, _)| *other == ns) {
                        let (_, class, _, unit, mut places) = here.remove(at);
                        fair.refresh(unit, &mut places, false, [], (class.call, class.connection, 0), |_| None);
                        // Whoever comes back waits anew.
                        if here.iter().all(|(_, _, other, ..)| *other != ns) {
                            passed.remove(&ns);
                        }
                    },
                    _ => {
                        CONNECTIONS.iter().for_each(|connection| fair.hold(*connection, false));
                        let gate = Held(CALLS.get(kind).copied(), CONNECTIONS.get(aside).copied());
                        let could = |class: &Class| gate.passes(class) && gate.admits(class.connection);
                        let proof = here.iter().any(|(_, class, ..)| could(class) && class.rank == Rank::Proof);
                        let Some((place, unit)) = fair.next(&gate, &mut Vec::new()) else {
                            prop_assert!(!here.iter().any(|(_, class, ..)| could(class)));
                            continue;
                        };
                        fair.begun(place.class.rank, place.ns);
                        let same = here.iter().filter(|(_, class, ns, ..)| (*class, *ns) == (place.class, place.ns));
                        prop_assert_eq!(same.map(|(.., unit, _)| *unit).min(), Some(unit), "in order");
                        in_a_row = if proof && place.class.rank == Rank::Removal { in_a_row + 1 } else { 0 };
                        prop_assert!(in_a_row <= REMOVALS_IN_A_ROW);
                        // Only those that could have been served were passed over, and only by their own rank.
                        for other in &numbers {
                            let waits = here.iter().any(|(_, class, ns, ..)| {
                                ns == other && could(class) && class.rank == place.class.rank
                            });
                            let passed = passed.entry(*other).or_default();
                            *passed = if waits && *other != place.ns { *passed + 1 } else { 0 };
                            prop_assert!(*passed < numbers.len(), "waited too long");
                        }
                        let at = here.iter().position(|(.., other, _)| *other == unit).unwrap();
                        let (_, class, ns, _, mut places) = here.remove(at);
                        fair.refresh(unit, &mut places, false, [], (class.call, class.connection, 0), |_| None);
                        fair.ended(ns);
                    }
                }
                prop_assert_eq!(fair.check(), Ok(()));
            }
        }
    }
}
