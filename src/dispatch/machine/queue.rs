//! One endpoint's queue with one connection: which items wait for a DELETE, for whom, and in which batches they may travel.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use foldhash::{HashMap, HashMapExt};

use crate::auth0::{Endpoint, Item};
use crate::dispatch::connection::ConnectionKey;
use crate::dispatch::fair_queue::{Ns, Places};

use super::jobs::{JobId, Suspect};

/// While a call to an endpoint is on its way, further items for it wait for its answer, to share the next call; not
/// longer than this.
pub(super) const PATIENCE: Duration = Duration::from_millis(500);

/// An item of a job, and whose turn it waits for. Ordered by namespace, then by arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Waiter {
    pub(super) ns: Ns,
    pub(super) job: JobId,
    pub(super) index: usize,
}

/// The removals at one endpoint with one connection.
#[derive(Debug)]
pub(super) struct EndpointQueue {
    pub(super) endpoint: Endpoint,
    pub(super) connection: ConnectionKey,
    /// Every item that waits here or is in a call.
    pub(super) entries: HashMap<Item, Entry>,
    /// Those that wait, once for each waiter.
    pub(super) waiting: BTreeSet<Waiter>,
    /// How many items wait.
    pub(super) items: usize,
    /// Calls on their way.
    pub(super) out: usize,
    /// Calls in a row that did not reach Auth0 or were not begun with there.
    pub(super) strikes: u32,
    /// Nothing leaves before this.
    pub(super) pause: Option<Instant>,
    /// Until when what waits is patient.
    patience: Option<Instant>,
    /// Whose items were added last to another namespace's batch.
    turn: Ns,
    pub(super) places: Places,
    pub(super) timer: Option<Instant>,
}

/// One item.
#[derive(Debug, Default)]
pub(super) struct Entry {
    /// Who waits for it; if it is in a call, for the next one.
    pub(super) waiters: Vec<Waiter>,
    suspect: Option<Suspect>,
    /// In a call.
    pub(super) out: bool,
}

/// One item of a batch, and whom the answer is for: those who asked before it left.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) item: Item,
    pub(super) waiters: Vec<Waiter>,
    pub(super) suspect: Option<Suspect>,
}

impl EndpointQueue {
    pub(super) fn new(endpoint: Endpoint, connection: ConnectionKey) -> Self {
        Self {
            endpoint,
            connection,
            entries: HashMap::new(),
            waiting: BTreeSet::new(),
            items: 0,
            out: 0,
            strikes: 0,
            pause: None,
            patience: None,
            turn: Ns(0),
            places: Places::default(),
            timer: None,
        }
    }

    /// This waiter wants `item` absent.
    pub(super) fn want(&mut self, item: Item, waiter: Waiter, suspect: Option<Suspect>) {
        let entry = self.entries.entry(item).or_default();
        if !entry.out {
            self.items += usize::from(entry.waiters.is_empty());
            self.waiting.insert(waiter);
        }
        entry.waiters.push(waiter);
        entry.suspect = match (entry.suspect, suspect) {
            (Some(one), Some(other)) if other.most < one.most => Some(other),
            (one, other) => one.or(other),
        };
    }

    /// This waiter no longer does.
    pub(super) fn unwant(&mut self, item: &Item, waiter: Waiter) {
        let Some(entry) = self.entries.get_mut(item) else { return };
        entry.waiters.retain(|other| *other != waiter);
        self.waiting.remove(&waiter);
        if entry.waiters.is_empty() && !entry.out {
            self.items -= 1;
            self.entries.remove(item);
        }
    }

    /// Whether a call could leave now; otherwise when it could at the latest, if that is known.
    pub(super) fn ready(&mut self, now: Instant) -> Result<(), Option<Instant>> {
        if self.items == 0 {
            self.patience = None;
            return Err(None);
        }
        let free = self.out == 0 || self.items >= self.endpoint.max_items();
        let patience = if free { now } else { *self.patience.get_or_insert(now + PATIENCE) };
        match patience.max(self.pause.unwrap_or(now)) {
            until if until <= now => Ok(()),
            until => Err(Some(until)),
        }
    }

    /// Who waits longest in this namespace.
    pub(super) fn front(&self, ns: Ns) -> Option<Waiter> {
        let first = Waiter { ns, job: JobId { stamp: 0, key: 0 }, index: 0 };
        self.waiting.range(first..).next().copied().filter(|waiter| waiter.ns == ns)
    }

    /// The first waiter of the namespace that comes after this one, in a circle.
    fn after(&self, ns: Ns) -> Option<Waiter> {
        let next = Waiter { ns: Ns(ns.0.wrapping_add(1)), job: JobId { stamp: 0, key: 0 }, index: 0 };
        self.waiting.range(next..).next().or_else(|| self.waiting.first()).copied()
    }

    /// The namespaces that wait here.
    pub(super) fn namespaces(&self) -> Vec<Ns> {
        let mut all: Vec<Ns> = Vec::new();
        while let Some(next) =
            self.after(all.last().map_or(Ns(u32::MAX), |ns| *ns)).filter(|next| all.first() != Some(&next.ns))
        {
            all.push(next.ns);
        }
        all
    }

    /// The next batch, in the turn of `ns`: its own items first, in order of arrival; then, while there is room, one of each
    /// other namespace in turn. What is suspected after a failed call travels only with what is, too.
    pub(super) fn take(&mut self, ns: Ns, item_of: impl Fn(Waiter) -> Option<Item>) -> Vec<Part> {
        self.patience = None;
        let mut batch: Vec<Part> = Vec::new();
        let mut most = self.endpoint.max_items();
        let mut passed_over = 0;
        let mut own = true;
        while batch.len() < most {
            let Some(waiter) = (if own { self.front(ns) } else { self.after(self.turn) }) else {
                if own {
                    own = false
                } else {
                    break;
                }
                continue;
            };
            let Some(item) = item_of(waiter) else {
                self.waiting.remove(&waiter);
                continue;
            };
            let suspect = self.entries.get(&item).and_then(|entry| entry.suspect);
            let fits = batch.first().is_none_or(|first| first.suspect.map(|s| s.most) == suspect.map(|s| s.most));
            if !own {
                self.turn = waiter.ns;
            }
            if fits {
                most = suspect.map_or(most, |suspect| suspect.most.clamp(1, most));
                batch.extend(self.take_item(item));
            } else if own {
                own = false;
            } else {
                passed_over += 1;
                if passed_over >= most {
                    break;
                }
            }
        }
        batch
    }

    fn take_item(&mut self, item: Item) -> Option<Part> {
        let entry = self.entries.get_mut(&item)?;
        entry.out = true;
        self.items -= 1;
        let (waiters, suspect) = (std::mem::take(&mut entry.waiters), entry.suspect.take());
        for waiter in &waiters {
            self.waiting.remove(waiter);
        }
        Some(Part { item, waiters, suspect })
    }

    /// A call with this item ended. Who asked meanwhile waits for the next one.
    pub(super) fn release(&mut self, item: &Item) {
        let Some(entry) = self.entries.get_mut(item) else { return };
        entry.out = false;
        if entry.waiters.is_empty() {
            self.entries.remove(item);
        } else {
            self.items += 1;
            self.waiting.extend(&entry.waiters);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.out == 0
    }
}
