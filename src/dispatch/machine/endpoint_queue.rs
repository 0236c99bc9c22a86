//! The removals at one endpoint with one connection: which items wait for a DELETE, for which jobs, and in which
//! batches.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use foldhash::{HashMap, HashMapExt};

use crate::auth0::{Endpoint, Item};
use crate::dispatch::connection::ConnectionKey;
use crate::dispatch::fair_queue::{NamespaceId, Positions};

use super::jobs::{JobId, Suspect};

/// While a call to the endpoint is in flight, items that wait for the next one gather for at most this long, so that
/// they share it.
pub(super) const BATCH_WINDOW: Duration = Duration::from_millis(500);
/// Lists of memberships lag by 5 to 10 seconds. A DELETE whose 404 they may not explain yet is sent again after this.
const LISTS_SETTLE: Duration = Duration::from_secs(11);

/// A job that waits for one of its items. In the order of namespaces, then of arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Waiter {
    pub(super) ns: NamespaceId,
    pub(super) job: JobId,
    pub(super) index: usize,
}

/// The removals at one endpoint with one connection.
#[derive(Debug)]
pub(super) struct EndpointQueue {
    pub(super) endpoint: Endpoint,
    pub(super) connection: ConnectionKey,
    /// Every item that waits here or is in a call.
    pub(super) entries: HashMap<Item, QueuedItem>,
    /// The waiters of the items that are not in a call.
    pub(super) waiting: BTreeSet<Waiter>,
    /// The number of items that are not in a call.
    pub(super) items: usize,
    /// The number of calls in flight, including those that are still being checked.
    pub(super) calls_in_flight: usize,
    /// How many calls in a row could not be sent or were not processed by the peer.
    pub(super) consecutive_unsent: u32,
    /// No call is started before this time.
    pub(super) pause: Option<Instant>,
    /// When the items stop gathering for a common call.
    batch_deadline: Option<Instant>,
    /// The namespace whose item was the last to be added to another namespace's batch.
    last_shared_with: NamespaceId,
    pub(super) positions: Positions,
    pub(super) timer: Option<Instant>,
}

/// An item in the queue.
#[derive(Debug, Default)]
pub(super) struct QueuedItem {
    /// The jobs that wait for it. While it is in a call, they wait for the next one.
    pub(super) waiters: Vec<Waiter>,
    suspect: Option<Suspect>,
    /// Whether it is in a call.
    pub(super) in_flight: bool,
}

/// An item of a batch, with the jobs that its result is for: those that waited when the call was started.
#[derive(Debug)]
pub(super) struct BatchItem {
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
            calls_in_flight: 0,
            consecutive_unsent: 0,
            pause: None,
            batch_deadline: None,
            last_shared_with: NamespaceId(0),
            positions: Positions::default(),
            timer: None,
        }
    }

    /// Has this waiter wait for `item`.
    pub(super) fn add(&mut self, item: Item, waiter: Waiter, suspect: Option<Suspect>) {
        let entry = self.entries.entry(item).or_default();
        if !entry.in_flight {
            self.items += usize::from(entry.waiters.is_empty());
            self.waiting.insert(waiter);
        }
        entry.waiters.push(waiter);
        entry.suspect = match (entry.suspect, suspect) {
            (Some(one), Some(other)) if other.max_batch < one.max_batch => Some(other),
            (one, other) => one.or(other),
        };
    }

    /// Nothing is sent here until lists show what is so now.
    pub(super) fn await_lists(&mut self, now: Instant) {
        self.pause = self.pause.max(Some(now + LISTS_SETTLE));
    }

    /// This waiter no longer waits for `item`.
    pub(super) fn remove_waiter(&mut self, item: &Item, waiter: Waiter) {
        let Some(entry) = self.entries.get_mut(item) else { return };
        entry.waiters.retain(|other| *other != waiter);
        self.waiting.remove(&waiter);
        if entry.waiters.is_empty() && !entry.in_flight {
            self.items -= 1;
            self.entries.remove(item);
        }
    }

    /// Whether a call can be started now. `Err` holds the time from which one can, if that is known.
    pub(super) fn ready(&mut self, now: Instant) -> Result<(), Option<Instant>> {
        if self.items == 0 {
            self.batch_deadline = None;
            return Err(None);
        }
        let free = self.calls_in_flight == 0 || self.items >= self.endpoint.max_items();
        let deadline = if free { now } else { *self.batch_deadline.get_or_insert(now + BATCH_WINDOW) };
        match deadline.max(self.pause.unwrap_or(now)) {
            until if until <= now => Ok(()),
            until => Err(Some(until)),
        }
    }

    /// The first waiter of this namespace.
    pub(super) fn front(&self, ns: NamespaceId) -> Option<Waiter> {
        let first = Waiter { ns, job: JobId { stamp: 0, key: 0 }, index: 0 };
        self.waiting.range(first..).next().copied().filter(|waiter| waiter.ns == ns)
    }

    /// The first waiter of the next namespace after this one, in a circle.
    fn first_after(&self, ns: NamespaceId) -> Option<Waiter> {
        let next = Waiter { ns: NamespaceId(ns.0.wrapping_add(1)), job: JobId { stamp: 0, key: 0 }, index: 0 };
        self.waiting.range(next..).next().or_else(|| self.waiting.first()).copied()
    }

    /// The namespaces that wait here.
    pub(super) fn namespaces(&self) -> Vec<NamespaceId> {
        let mut all: Vec<NamespaceId> = Vec::new();
        while let Some(next) = self
            .first_after(all.last().map_or(NamespaceId(u32::MAX), |ns| *ns))
            .filter(|next| all.first() != Some(&next.ns))
        {
            all.push(next.ns);
        }
        all
    }

    /// Takes the next batch, in the turn of `ns`: first the items of `ns` in order of arrival, then, while there is
    /// room, one item of each other namespace in turn. Suspects travel only with suspects of the same maximum batch
    /// size.
    pub(super) fn take_batch(&mut self, ns: NamespaceId, item_of: impl Fn(Waiter) -> Option<Item>) -> Vec<BatchItem> {
        self.batch_deadline = None;
        let mut batch: Vec<BatchItem> = Vec::new();
        let mut max_items = self.endpoint.max_items();
        let mut passed_over = 0;
        let mut own = true;
        while batch.len() < max_items {
            let Some(waiter) = (if own { self.front(ns) } else { self.first_after(self.last_shared_with) }) else {
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
            let fits =
                batch.first().is_none_or(|first| first.suspect.map(|s| s.max_batch) == suspect.map(|s| s.max_batch));
            if !own {
                self.last_shared_with = waiter.ns;
            }
            if fits {
                max_items = suspect.map_or(max_items, |suspect| suspect.max_batch.clamp(1, max_items));
                batch.extend(self.take_item(item));
            } else if own {
                own = false;
            } else {
                passed_over += 1;
                if passed_over >= max_items {
                    break;
                }
            }
        }
        batch
    }

    fn take_item(&mut self, item: Item) -> Option<BatchItem> {
        let entry = self.entries.get_mut(&item)?;
        entry.in_flight = true;
        self.items -= 1;
        let (waiters, suspect) = (std::mem::take(&mut entry.waiters), entry.suspect.take());
        for waiter in &waiters {
            self.waiting.remove(waiter);
        }
        Some(BatchItem { item, waiters, suspect })
    }

    /// An item's call has ended. Jobs that came while it was in flight wait for the next one.
    pub(super) fn release(&mut self, item: &Item) {
        let Some(entry) = self.entries.get_mut(item) else { return };
        entry.in_flight = false;
        if entry.waiters.is_empty() {
            self.entries.remove(item);
        } else {
            self.items += 1;
            self.waiting.extend(&entry.waiters);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.calls_in_flight == 0
    }
}
