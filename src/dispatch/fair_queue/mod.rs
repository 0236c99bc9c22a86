//! A fair queue: decides which call is sent next. Removals go before proofs and proofs before observations, namespaces
//! take turns wherever their work is, and within a namespace the first to arrive is served first. Pure.
//!
//! What waits here is a work source: the items of an endpoint, or a list that has to be read. It has one position for
//! each namespace that waits for it. Positions of one traffic class form a queue; classes that the domain's limits
//! admit or hold back together form a group.
//!
//! The bounds (docs/design.md, promise 10; docs/rate-limits.md, "Who waits for whom"), in calls that may be sent:
//! - with `n` namespaces waiting, at most `n - 1` calls of others are sent between two calls of one namespace, whether
//!   they wait at one endpoint or at many;
//! - at most [`MAX_CONSECUTIVE_REMOVALS`] removals are sent while a proof could be sent, then a proof is;
//! - at most [`MAX_WITHOUT_OBSERVATION`] other calls are sent while an observation could be sent, then one is;
//! - with `k` namespaces waiting, none of them starts a call while it has `1/k` of [`SHARED_IN_FLIGHT`] calls in
//!   flight, rounded up. If the calls of one namespace hang, or are slow to be checked, [`MAX_IN_FLIGHT`] -
//!   [`SHARED_IN_FLIGHT`] are left to the others at once.
//!
//! The cost of a call is logarithmic in what waits and linear in the number of groups. It does not depend on the number
//! of namespaces, items or connections otherwise.

mod class;
mod namespaces;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use foldhash::{HashMap, HashMapExt};

use super::connection::ConnectionKey;
use super::limiter::Route;

pub(super) use class::{Admission, Position, Positions, Priority, TrafficClass};
pub(super) use namespaces::NamespaceId;

use namespaces::{Namespace, Namespaces};

/// The most removals that are sent in a row while a proof could be sent.
pub(super) const MAX_CONSECUTIVE_REMOVALS: u32 = 8;
/// The most other calls that are sent in a row while an observation could be sent. Observations are in nobody's way, but
/// they do not wait for ever.
pub(super) const MAX_WITHOUT_OBSERVATION: u32 = 50;
/// The most calls of one domain in flight at once. With answers after 150 ms, that is more than 400 calls a second.
pub const MAX_IN_FLIGHT: usize = 64;
/// How many of them the waiting namespaces share equally.
pub(super) const SHARED_IN_FLIGHT: usize = 48;

/// The limit profile stands for all settings of a connection that [`Admission::admits_class`] depends on.
type GroupKey = (Priority, Route, u8);

/// The positions of one traffic class.
#[derive(Debug)]
struct ClassQueue<W> {
    group: GroupKey,
    /// The namespaces that wait here and are below their limit, least recently served first.
    rotation: BTreeSet<(u64, NamespaceId)>,
    waiting: HashMap<NamespaceId, BTreeSet<(u64, W)>>,
    /// The head of `rotation` under which the group knows this queue; `None` if the group does not.
    listed: Option<(u64, NamespaceId)>,
}

/// The fair queue of one domain. `W` is a work source.
#[derive(Debug)]
pub(super) struct FairQueue<W> {
    namespaces: Namespaces<TrafficClass>,
    queues: HashMap<TrafficClass, ClassQueue<W>>,
    /// The queues of each group that are not paused, in the order of the heads of their rotations.
    groups: BTreeMap<GroupKey, BTreeSet<(u64, NamespaceId, TrafficClass)>>,
    /// The classes of each connection that waits, and whether the connection is paused.
    connections: HashMap<ConnectionKey, (Vec<TrafficClass>, bool)>,
    /// The namespaces at their limit.
    at_limit: Vec<NamespaceId>,
    /// The number of namespaces with at least one position.
    waiting: usize,
    /// Numbers the calls that were started and the namespaces that began to wait.
    sequence: u64,
    consecutive_removals: u32,
    /// Whether a proof could have been sent when the last call was chosen.
    proof_was_ready: bool,
    /// The same of observations.
    without_observation: u32,
    observation_was_ready: bool,
}

impl<W> Default for FairQueue<W> {
    fn default() -> Self {
        Self {
            namespaces: Namespaces::new(),
            queues: HashMap::new(),
            groups: BTreeMap::new(),
            connections: HashMap::new(),
            at_limit: Vec::new(),
            waiting: 0,
            sequence: 0,
            consecutive_removals: 0,
            proof_was_ready: false,
            without_observation: 0,
            observation_was_ready: false,
        }
    }
}

impl<W: Copy + Ord> FairQueue<W> {
    /// The number of a namespace. It stays valid until [`Self::release`] was called as often as this and
    /// [`Self::retain`].
    pub(super) fn register(&mut self, name: &Arc<str>) -> NamespaceId {
        self.namespaces.register(name)
    }

    /// Keeps the number of a namespace valid.
    pub(super) fn retain(&mut self, ns: NamespaceId) {
        self.namespaces.retain(ns);
    }

    /// Undoes one [`Self::register`] or [`Self::retain`].
    pub(super) fn release(&mut self, ns: NamespaceId) {
        self.namespaces.release(ns);
    }

    /// Updates the positions of a work source. It needs one for each namespace for which `front` returns a priority and
    /// an arrival, or none at all unless it is `ready`. Only the namespaces in `changed` are looked at, so they must be
    /// all that may have changed since the last update; all that wait if the source has become ready.
    #[allow(clippy::disallowed_methods, clippy::iter_over_hash_type, reason = "each position is removed by itself")]
    pub(super) fn update(
        &mut self,
        work: W,
        positions: &mut Positions,
        ready: bool,
        changed: impl IntoIterator<Item = NamespaceId>,
        (route, connection, limit_profile): (Route, ConnectionKey, u8),
        front: impl Fn(NamespaceId) -> Option<(Priority, u64)>,
    ) {
        let class = |priority| TrafficClass { priority, route, connection };
        positions.ready = ready;
        if !ready {
            for (ns, (priority, arrival)) in positions.by_namespace.drain() {
                self.remove(Position { class: class(priority), ns, arrival }, work);
            }
            return;
        }
        for ns in changed {
            let (before, now) = (positions.by_namespace.get(&ns).copied(), front(ns));
            if before == now {
                continue;
            }
            if let Some((priority, arrival)) = now {
                positions.by_namespace.insert(ns, (priority, arrival));
                self.insert(Position { class: class(priority), ns, arrival }, limit_profile, work);
            } else {
                positions.by_namespace.remove(&ns);
            }
            if let Some((priority, arrival)) = before {
                self.remove(Position { class: class(priority), ns, arrival }, work);
            }
        }
    }

    fn insert(&mut self, Position { class, ns, arrival }: Position, limit_profile: u8, work: W) {
        if self.namespaces[ns].positions == 0 {
            // A namespace that begins to wait must not overtake those that already wait.
            self.sequence += 1;
            self.waiting += 1;
            self.namespaces[ns].last_served = self.sequence;
        }
        let namespace = &mut self.namespaces[ns];
        namespace.positions += 1;
        if !self.queues.contains_key(&class) {
            let group = (class.priority, class.route, limit_profile);
            self.connections.entry(class.connection).or_default().0.push(class);
            let (rotation, waiting) = (BTreeSet::new(), HashMap::new());
            self.queues.insert(class, ClassQueue { group, rotation, waiting, listed: None });
        }
        let Some(queue) = self.queues.get_mut(&class) else { return };
        let waiting = queue.waiting.entry(ns).or_default();
        if waiting.is_empty() {
            namespace.classes.push(class);
            if !namespace.at_limit {
                queue.rotation.insert((namespace.last_served, ns));
            }
        }
        waiting.insert((arrival, work));
        self.relist(class);
    }

    fn remove(&mut self, Position { class, ns, arrival }: Position, work: W) {
        let Some(queue) = self.queues.get_mut(&class) else { return };
        let Some(waiting) = queue.waiting.get_mut(&ns) else { return };
        if !waiting.remove(&(arrival, work)) {
            return;
        }
        let namespace = &mut self.namespaces[ns];
        namespace.positions -= 1;
        if waiting.is_empty() {
            queue.waiting.remove(&ns);
            queue.rotation.remove(&(namespace.last_served, ns));
            namespace.classes.retain(|other| *other != class);
            self.relist(class);
        }
        if self.namespaces[ns].positions == 0 {
            self.waiting -= 1;
            self.namespaces.forget_unused(ns);
        }
    }

    /// Updates the order of a class's queue in its group, and forgets the queue if it is empty.
    fn relist(&mut self, class: TrafficClass) {
        let Some(queue) = self.queues.get_mut(&class) else { return };
        let (classes, paused) = self.connections.entry(class.connection).or_default();
        let head = queue.rotation.first().copied().filter(|_| !*paused);
        if queue.listed != head {
            let order = self.groups.entry(queue.group).or_default();
            if let Some((last_served, ns)) = queue.listed {
                order.remove(&(last_served, ns, class));
            }
            order.extend(head.map(|(last_served, ns)| (last_served, ns, class)));
            if order.is_empty() {
                self.groups.remove(&queue.group);
            }
            queue.listed = head;
        }
        if queue.waiting.is_empty() {
            self.queues.remove(&class);
            classes.retain(|other| *other != class);
            if classes.is_empty() {
                self.connections.remove(&class.connection);
            }
        }
    }

    /// Moves the queues of a connection to other groups, because its limit profile changed. Also resumes the
    /// connection.
    pub(super) fn regroup(&mut self, connection: ConnectionKey, limit_profile: u8) {
        self.set_paused(connection, true);
        for class in self.classes(connection) {
            if let Some(queue) = self.queues.get_mut(&class) {
                queue.group = (class.priority, class.route, limit_profile);
            }
        }
        self.set_paused(connection, false);
    }

    fn classes(&self, connection: ConnectionKey) -> Vec<TrafficClass> {
        self.connections.get(&connection).map(|(classes, _)| classes.clone()).unwrap_or_default()
    }

    /// Chooses the next call among those that are admitted. The position stays; call [`Self::call_started`] if a call
    /// is made for it. Connections that are not admitted are paused and added to `paused`.
    pub(super) fn next(
        &mut self,
        admission: &impl Admission,
        paused: &mut Vec<ConnectionKey>,
    ) -> Option<(Position, W)> {
        let removal = self.first(Priority::Removal, admission, paused);
        let proof = self.first(Priority::Proof, admission, paused);
        let observation = self.first(Priority::Observation, admission, paused);
        (self.proof_was_ready, self.observation_was_ready) = (proof.is_some(), observation.is_some());
        let (class, ns) = match (removal, proof, observation) {
            (_, _, Some(observation)) if self.without_observation >= MAX_WITHOUT_OBSERVATION => observation,
            (Some(_), Some(proof), _) if self.consecutive_removals >= MAX_CONSECUTIVE_REMOVALS => proof,
            (Some(removal), ..) => removal,
            (None, proof, observation) => proof.or(observation)?,
        };
        let (arrival, work) = *self.queues.get(&class)?.waiting.get(&ns)?.first()?;
        Some((Position { class, ns, arrival }, work))
    }

    /// A call starts at the position that [`Self::next`] returned. It counts as the namespace's turn, and as in flight
    /// until [`Self::call_finished`].
    pub(super) fn call_started(&mut self, priority: Priority, ns: NamespaceId) {
        let passed_proof = priority == Priority::Removal && self.proof_was_ready;
        let passed_observation = priority != Priority::Observation && self.observation_was_ready;
        self.without_observation = if passed_observation { self.without_observation + 1 } else { 0 };
        if priority != Priority::Observation {
            self.consecutive_removals = if passed_proof { self.consecutive_removals + 1 } else { 0 };
        }
        self.sequence += 1;
        let sequence = self.sequence;
        self.namespaces[ns].in_flight += 1;
        self.update_namespace(ns, |namespace| namespace.last_served = sequence);
    }

    /// The first admitted position of this priority. Marks namespaces at their limit and pauses connections on the way.
    fn first(
        &mut self,
        priority: Priority,
        admission: &impl Admission,
        paused: &mut Vec<ConnectionKey>,
    ) -> Option<(TrafficClass, NamespaceId)> {
        loop {
            let groups = self.groups.iter().filter(|((of, ..), _)| *of == priority);
            let heads = groups.filter_map(|(_, order)| order.first());
            let (_, ns, class) = *heads.filter(|(.., class)| admission.admits_class(class)).min()?;
            if !admission.admits_connection(class.connection) {
                self.set_paused(class.connection, true);
                paused.push(class.connection);
                continue;
            }
            let share = SHARED_IN_FLIGHT.div_ceil(self.waiting.max(1));
            if self.namespaces[ns].in_flight < share {
                return Some((class, ns));
            }
            self.at_limit.push(ns);
            self.update_namespace(ns, |namespace| namespace.at_limit = true);
        }
    }

    /// Pauses or resumes a connection. While it is paused, none of its calls is chosen.
    pub(super) fn set_paused(&mut self, connection: ConnectionKey, paused: bool) {
        let Some((_, was_paused)) = self.connections.get_mut(&connection) else { return };
        if std::mem::replace(was_paused, paused) != paused {
            self.classes(connection).into_iter().for_each(|class| self.relist(class));
        }
    }

    /// A call of this namespace has ended.
    pub(super) fn call_finished(&mut self, ns: NamespaceId) {
        self.namespaces[ns].in_flight -= 1;
        // Every namespace at its limit has calls in flight, so there are only a few.
        for other in std::mem::take(&mut self.at_limit) {
            if self.namespaces.get(other).is_some() {
                self.update_namespace(other, |namespace| namespace.at_limit = false);
            }
        }
        self.namespaces.forget_unused(ns);
    }

    /// Changes what decides the place of a namespace in the rotations.
    fn update_namespace(&mut self, ns: NamespaceId, change: impl FnOnce(&mut Namespace<TrafficClass>)) {
        let namespace = &mut self.namespaces[ns];
        let before = namespace.last_served;
        change(namespace);
        let (last_served, at_limit, classes) = (namespace.last_served, namespace.at_limit, namespace.classes.clone());
        for class in classes {
            if let Some(queue) = self.queues.get_mut(&class) {
                queue.rotation.remove(&(before, ns));
                if !at_limit {
                    queue.rotation.insert((last_served, ns));
                }
            }
            self.relist(class);
        }
    }

    /// One class of each group that waits and is not paused. [`Admission::admits_class`] is the same for the whole
    /// group.
    pub(super) fn groups(&self) -> impl Iterator<Item = &TrafficClass> {
        self.groups.values().filter_map(BTreeSet::first).map(|(.., class)| class)
    }

    /// The number of namespaces that wait.
    pub(super) const fn waiting(&self) -> usize {
        self.waiting
    }

    /// How often each namespace is referred to.
    pub(super) fn references(&self) -> impl Iterator<Item = (NamespaceId, usize)> {
        self.namespaces.iter().map(|(ns, namespace)| (ns, namespace.references))
    }

    /// Checks the invariants.
    #[allow(clippy::disallowed_methods, clippy::iter_over_hash_type, reason = "all are checked")]
    pub(super) fn check(&self) -> Result<(), &'static str> {
        let mut positions: HashMap<NamespaceId, usize> = HashMap::new();
        for (class, queue) in &self.queues {
            for (ns, waiting) in &queue.waiting {
                *positions.entry(*ns).or_default() += waiting.len();
                let namespace = self.namespaces.get(*ns).ok_or("a position of a namespace that is gone")?;
                if queue.rotation.contains(&(namespace.last_served, *ns)) == namespace.at_limit {
                    return Err("a waiting namespace is not in the rotation, or is although it is at its limit");
                }
            }
            let paused = self.connections.get(&class.connection).ok_or("a queue of no connection")?.1;
            let head = queue.rotation.first().copied().filter(|_| !paused);
            let order = self.groups.get(&queue.group);
            let listed = |(last_served, ns)| order.is_some_and(|order| order.contains(&(last_served, ns, *class)));
            if queue.rotation.len() > queue.waiting.len() || queue.listed != head || !head.is_none_or(listed) {
                return Err("a queue has the wrong place in its group");
            }
        }
        let listed: usize = self.groups.values().map(BTreeSet::len).sum();
        let queues = self.queues.values().filter(|queue| queue.listed.is_some()).count();
        let counted = |ns| positions.get(&ns).copied().unwrap_or(0);
        let are_counted = self.namespaces.iter().all(|(ns, namespace)| namespace.positions == counted(ns));
        if listed != queues || !are_counted || positions.len() != self.waiting {
            return Err("the counts of the fair queue are wrong");
        }
        Ok(())
    }
}
