//! Who is next: removals before proofs, namespaces in turn, in each of them who came first. Pure.
//!
//! The bounds (promise 10), in calls, among what may be sent at all:
//! - with `n` namespaces waiting, at most `n - 1` calls of others leave between two of one namespace;
//! - at most [`PASSED_OVER`] removals leave while a proof could, then a proof leaves.

use std::collections::BTreeSet;
use std::sync::Arc;

use foldhash::{HashMap, HashMapExt};

use super::pace::CallName;

/// So many removals in a row may leave before a proof that could leave, too.
pub const PASSED_OVER: u32 = 8;

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
pub(super) struct Ns(usize);

/// A place in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) rank: Rank,
    pub(super) call: CallName,
    pub(super) namespace: Ns,
    /// Number of arrival: lower ones are served first within a namespace.
    pub(super) arrival: u64,
}

/// Lines of units that could send a call, one line for each rank and kind of call.
#[derive(Debug)]
pub(super) struct Lines<U> {
    lines: Vec<Line<U>>,
    namespaces: Vec<Namespace>,
    by_name: HashMap<Arc<str>, Ns>,
    /// Counts the calls served and the namespaces that came.
    turn: u64,
    passed_over: u32,
}

#[derive(Debug)]
struct Namespace {
    /// Places taken by units of this namespace.
    places: usize,
    served: u64,
}

#[derive(Debug)]
struct Line<U> {
    rank: Rank,
    call: CallName,
    /// The namespaces that wait here, least recently served first.
    turns: BTreeSet<(u64, Ns)>,
    waiting: HashMap<Ns, BTreeSet<(u64, U)>>,
}

impl<U> Default for Lines<U> {
    fn default() -> Self {
        Self { lines: Vec::new(), namespaces: Vec::new(), by_name: HashMap::new(), turn: 0, passed_over: 0 }
    }
}

impl<U: Copy + Ord> Lines<U> {
    /// The number of this namespace.
    pub(super) fn enter(&mut self, name: &Arc<str>) -> Ns {
        if let Some(ns) = self.by_name.get(name) {
            return *ns;
        }
        let ns = Ns(self.namespaces.len());
        self.namespaces.push(Namespace { places: 0, served: 0 });
        self.by_name.insert(name.clone(), ns);
        ns
    }

    /// `unit` waits here from now on.
    pub(super) fn stand(&mut self, place: Place, unit: U) {
        let namespace = &mut self.namespaces[place.namespace.0];
        if namespace.places == 0 {
            // Who was away does not go before those who stayed.
            self.turn += 1;
            namespace.served = self.turn;
        }
        namespace.places += 1;
        let served = namespace.served;
        let at = self.lines.iter().position(|line| line.rank == place.rank && line.call == place.call);
        let at = at.unwrap_or_else(|| {
            let (rank, call) = (place.rank, place.call);
            self.lines.push(Line { rank, call, turns: BTreeSet::new(), waiting: HashMap::new() });
            self.lines.len() - 1
        });
        let line = &mut self.lines[at];
        line.waiting.entry(place.namespace).or_default().insert((place.arrival, unit));
        line.turns.insert((served, place.namespace));
    }

    /// `unit` no longer waits here.
    pub(super) fn step_out(&mut self, place: Place, unit: U) {
        let line = self.lines.iter_mut().find(|line| line.rank == place.rank && line.call == place.call);
        let Some(line) = line else { return };
        let Some(waiting) = line.waiting.get_mut(&place.namespace) else { return };
        if !waiting.remove(&(place.arrival, unit)) {
            return;
        }
        let namespace = &mut self.namespaces[place.namespace.0];
        namespace.places -= 1;
        if waiting.is_empty() {
            line.waiting.remove(&place.namespace);
            line.turns.remove(&(namespace.served, place.namespace));
        }
    }

    /// The next one among the kinds of call that are `free` to leave: its place, and who it is. Its namespace has had
    /// its turn then; the unit stays where it stands.
    pub(super) fn next(&mut self, free: impl Fn(CallName) -> bool) -> Option<(Place, U)> {
        let first = |rank| {
            let open = self.lines.iter().enumerate().filter(|(_, line)| line.rank == rank && !line.turns.is_empty());
            open.filter(|(_, line)| free(line.call))
                .filter_map(|(at, line)| Some((*line.turns.first()?, at)))
                .min()
                .map(|((_, namespace), at)| (at, namespace))
        };
        let (removal, proof) = (first(Rank::Removal), first(Rank::Proof));
        let (at, ns) = match (removal, proof) {
            (Some(_), Some(proof)) if self.passed_over >= PASSED_OVER => proof,
            (Some(removal), _) => removal,
            (None, proof) => proof?,
        };
        let line = &self.lines[at];
        self.passed_over = match line.rank {
            Rank::Removal if proof.is_some() => self.passed_over + 1,
            _ => 0,
        };
        let (arrival, unit) = *line.waiting.get(&ns)?.first()?;
        let place = Place { rank: line.rank, call: line.call, namespace: ns, arrival };
        self.served(ns);
        Some((place, unit))
    }

    fn served(&mut self, ns: Ns) {
        self.turn += 1;
        let before = std::mem::replace(&mut self.namespaces[ns.0].served, self.turn);
        for line in &mut self.lines {
            if line.turns.remove(&(before, ns)) {
                line.turns.insert((self.turn, ns));
            }
        }
    }

    /// The kinds of call somebody waits to make.
    pub(super) fn waiting_calls(&self) -> impl Iterator<Item = CallName> {
        self.lines.iter().filter(|line| !line.turns.is_empty()).map(|line| line.call)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CALLS: [CallName; 3] = [("DELETE", "a"), ("DELETE", "b"), ("GET", "a")];

    fn place(call: usize, namespace: Ns, arrival: u64) -> Place {
        let rank = if call == 2 { Rank::Proof } else { Rank::Removal };
        Place { rank, call: CALLS[call], namespace, arrival }
    }

    #[test]
    fn one_of_another_namespace_is_next_but_one_at_the_latest() {
        let mut lines = Lines::default();
        let (crowd, other) = ("crowd".into(), "other".into());
        for arrival in 0..10_000 {
            let ns = lines.enter(&crowd);
            lines.stand(place((arrival % 2) as usize, ns, arrival), arrival);
        }
        let ns = lines.enter(&other);
        lines.stand(place(0, ns, 10_000), 10_000);
        let served: Vec<u64> = (0..2).map(|_| lines.next(|_| true).unwrap().1).collect();
        assert!(served.contains(&10_000), "{served:?}");
    }

    proptest! {
        /// Random comings, goings and servings, with kinds of call that are not free: nobody is lost, the order within a
        /// namespace and a line is that of coming, and both bounds hold. Broken on purpose by leaving `served` out of
        /// `next`, and by `PASSED_OVER` ignored: it failed both times.
        #[test]
        fn nobody_starves(steps in proptest::collection::vec((0u8..5, 0usize..6, 0usize..3, 0usize..4), 1..400)) {
            let mut lines = Lines::default();
            let mut here: Vec<(Place, usize, u64)> = Vec::new();
            let mut since: HashMap<usize, usize> = HashMap::new();
            let mut proofs_passed = 0;
            for (arrival, (action, namespace, call, blocked)) in steps.into_iter().enumerate() {
                let arrival = arrival as u64;
                match action {
                    0 | 1 => {
                        let ns = lines.enter(&namespace.to_string().into());
                        let place = place(call, ns, arrival);
                        lines.stand(place, arrival);
                        here.push((place, namespace, arrival));
                        since.entry(namespace).or_insert(0);
                    }
                    2 => if let Some(at) = here.iter().position(|(_, n, _)| *n == namespace) {
                        let (place, n, unit) = here.remove(at);
                        lines.step_out(place, unit);
                        if !here.iter().any(|(_, other, _)| *other == n) {
                            since.remove(&n);
                        }
                    },
                    _ => {
                        let free = |call: CallName| CALLS.get(blocked).is_none_or(|b| *b != call);
                        let waiting = since.len();
                        let could: Vec<_> = here.iter().filter(|(place, ..)| free(place.call)).collect();
                        let proof_could = could.iter().any(|(place, ..)| place.rank == Rank::Proof);
                        let able: BTreeSet<usize> = could.iter().map(|(_, n, _)| *n).collect();
                        let Some((got, unit)) = lines.next(free) else {
                            prop_assert!(could.is_empty());
                            continue;
                        };
                        let oldest = here.iter().filter(|(p, ..)| p.namespace == got.namespace && p.call == got.call);
                        prop_assert_eq!(oldest.map(|(.., unit)| *unit).min(), Some(unit), "in order");
                        let at = here.iter().position(|(.., u)| *u == unit).unwrap();
                        let (place, namespace, _) = here.remove(at);
                        lines.step_out(place, unit);
                        proofs_passed = if proof_could && place.rank == Rank::Removal { proofs_passed + 1 } else { 0 };
                        prop_assert!(proofs_passed <= PASSED_OVER);
                        // Only those that could have been served were passed over, and only by their own rank.
                        for (other, passed) in &mut since {
                            let same_rank = here.iter().any(|(p, n, _)| n == other && p.rank == place.rank && free(p.call));
                            *passed = if able.contains(other) && same_rank { *passed + 1 } else { 0 };
                        }
                        prop_assert!(since.values().all(|passed| *passed <= waiting.max(6)), "waited too long");
                        since.insert(namespace, 0);
                        if !here.iter().any(|(_, other, _)| *other == namespace) {
                            since.remove(&namespace);
                        }
                    }
                }
            }
        }
    }
}
