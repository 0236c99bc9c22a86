//! One endpoint's removals: which items wait for a DELETE, for whom, and in which batches.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use foldhash::{HashMap, HashMapExt};

use crate::auth0::{CallError, Endpoint, Item};
use crate::dispatch::lines::{Ns, Place};

use super::jobs::JobId;

/// While a call to an endpoint is on its way, further items for it wait for its answer, to share the next call; not
/// longer than this.
pub(super) const PATIENCE: Duration = Duration::from_millis(500);

/// The removals at one endpoint with one credential.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) endpoint: Endpoint,
    pub(super) credential: u64,
    /// Every item that is wanted absent here and not settled.
    pub(super) entries: HashMap<Item, Entry>,
    /// What waits, in order of arrival within a namespace. May still name what no longer waits.
    queues: Vec<(Ns, VecDeque<(u64, Item)>)>,
    waiting: usize,
    /// What must be sent as it is: the halves of a call that was refused.
    pub(super) batches: VecDeque<Batch>,
    /// Batches that are read about before they are sent again.
    pub(super) checks: HashMap<u64, Check>,
    /// Calls on their way.
    pub(super) out: usize,
    patience: Option<Instant>,
    /// Where it stands in line.
    pub(super) placed: Vec<Place>,
    /// When it will be looked at again.
    pub(super) timer: Option<Instant>,
}

/// One item.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) owners: Vec<JobId>,
    pub(super) state: EntryState,
    arrival: u64,
    namespace: Ns,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EntryState {
    /// May share the next call.
    Waiting,
    /// Belongs to a batch or a check.
    Batched,
    /// In a call.
    Out,
}

/// Items that leave together.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    pub(super) items: Vec<Item>,
    pub(super) namespace: Ns,
    pub(super) arrival: u64,
    /// When the call it came from was begun; for an ordinary batch, its own.
    pub(super) since: Instant,
    /// Whether it is part of a call that was split.
    pub(super) split: bool,
    /// The credential that was refused for it, and how.
    pub(super) refused: Option<(u64, CallError)>,
}

/// A batch that is read about.
#[derive(Debug)]
pub(super) struct Check {
    pub(super) batch: Batch,
    pub(super) why: Why,
    pub(super) open: usize,
    pub(super) present: Vec<Item>,
    pub(super) error: Option<CallError>,
}

/// Why a batch is read about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The DELETE may or may not have had an effect.
    Unknown,
    /// The DELETE was answered with 404: is it the endpoint that does not exist?
    Missing,
    /// The same for a member's roles: is the user a member at all?
    Membership,
    /// The user is not a member: does the organization exist?
    Organization,
}

impl Site {
    pub(super) fn new(endpoint: Endpoint, credential: u64) -> Self {
        Self {
            endpoint,
            credential,
            entries: HashMap::new(),
            queues: Vec::with_capacity(1),
            waiting: 0,
            batches: VecDeque::new(),
            checks: HashMap::new(),
            out: 0,
            patience: None,
            placed: Vec::new(),
            timer: None,
        }
    }

    /// `job` wants `item` absent.
    pub(super) fn want(&mut self, item: Item, job: JobId, namespace: Ns, arrival: u64) {
        let entry = self.entries.entry(item.clone()).or_insert_with(|| {
            self.waiting += 1;
            Entry { owners: Vec::with_capacity(1), state: EntryState::Waiting, arrival, namespace }
        });
        entry.owners.push(job);
        if entry.state == EntryState::Waiting {
            self.queue(namespace).push_back((arrival, item));
        }
    }

    fn queue(&mut self, namespace: Ns) -> &mut VecDeque<(u64, Item)> {
        let at = self.queues.iter().position(|(ns, _)| *ns == namespace).unwrap_or_else(|| {
            self.queues.push((namespace, VecDeque::with_capacity(1)));
            self.queues.len() - 1
        });
        &mut self.queues[at].1
    }

    /// `job` no longer wants `item` absent.
    pub(super) fn unwant(&mut self, item: &Item, job: JobId) {
        let Some(entry) = self.entries.get_mut(item) else { return };
        entry.owners.retain(|owner| *owner != job);
        if !entry.owners.is_empty() || entry.state == EntryState::Out {
            return;
        }
        if entry.state == EntryState::Waiting {
            self.waiting -= 1;
        }
        self.entries.remove(item);
    }

    /// Whether a call could leave now; otherwise when it could at the latest, if that is known.
    pub(super) fn ready(&mut self, now: Instant) -> Result<(), Option<Instant>> {
        if !self.batches.is_empty() {
            return Ok(());
        }
        if self.waiting == 0 {
            self.patience = None;
            return Err(None);
        }
        if self.out == 0 || self.waiting >= self.endpoint.max_items() {
            return Ok(());
        }
        let until = *self.patience.get_or_insert(now + PATIENCE);
        if until <= now { Ok(()) } else { Err(Some(until)) }
    }

    /// The namespaces that wait here, each with its oldest arrival.
    pub(super) fn fronts(&self) -> impl Iterator<Item = (Ns, u64)> {
        let batch = self.batches.front().map(|batch| (batch.namespace, batch.arrival));
        let taken = batch.map(|(ns, _)| ns);
        let queues = if self.waiting > 0 { self.queues.as_slice() } else { &[] };
        let fronts = queues.iter().filter_map(|(ns, queue)| Some((*ns, queue.front()?.0)));
        batch.into_iter().chain(fronts.filter(move |(ns, _)| Some(*ns) != taken))
    }

    /// The next batch on behalf of `namespace`: its own items first, then those of others while there is room.
    pub(super) fn take(&mut self, namespace: Ns, now: Instant) -> Option<Batch> {
        while let Some(mut batch) = self.batches.pop_front() {
            let entries = &self.entries;
            batch.items.retain(|item| entries.get(item).is_some_and(|entry| entry.state == EntryState::Batched));
            if !batch.items.is_empty() {
                self.mark(&batch.items, EntryState::Out);
                return Some(batch);
            }
        }
        self.patience = None;
        let max = self.endpoint.max_items();
        let mut items = Vec::with_capacity(max.min(self.waiting));
        let mut arrival = u64::MAX;
        let start = self.queues.iter().position(|(ns, _)| *ns == namespace).unwrap_or(0);
        for step in 0..self.queues.len() {
            let at = (start + step) % self.queues.len();
            let queue = &mut self.queues[at].1;
            while items.len() < max
                && let Some((came, item)) = queue.pop_front()
            {
                if let Some(entry) = self.entries.get_mut(&item)
                    && entry.state == EntryState::Waiting
                {
                    entry.state = EntryState::Out;
                    self.waiting -= 1;
                    arrival = arrival.min(came);
                    items.push(item);
                }
            }
        }
        self.queues.retain(|(_, queue)| !queue.is_empty());
        let batch = Batch { items, namespace, arrival, since: now, split: false, refused: None };
        (!batch.items.is_empty()).then_some(batch)
    }

    pub(super) fn mark(&mut self, items: &[Item], state: EntryState) {
        for item in items {
            if let Some(entry) = self.entries.get_mut(item) {
                entry.state = state;
            }
        }
    }

    /// These did not leave after all: they wait again, before all others. Those nobody wants any more are gone.
    pub(super) fn wait_again(&mut self, items: &[Item]) {
        for item in items.iter().rev() {
            let Some(entry) = self.entries.get_mut(item) else { continue };
            if entry.owners.is_empty() {
                self.entries.remove(item);
                continue;
            }
            entry.state = EntryState::Waiting;
            let (arrival, namespace) = (entry.arrival, entry.namespace);
            self.waiting += 1;
            self.queue(namespace).push_front((arrival, item.clone()));
        }
    }

    /// This batch is to leave as it is, before all others.
    pub(super) fn resend(&mut self, mut batch: Batch) {
        batch.items.retain(|item| match self.entries.get_mut(item) {
            Some(entry) if !entry.owners.is_empty() => {
                entry.state = EntryState::Batched;
                true
            }
            _ => {
                self.entries.remove(item);
                false
            }
        });
        if !batch.items.is_empty() {
            self.batches.push_front(batch);
        }
    }

    /// Both halves of a call leave on their own.
    pub(super) fn split(&mut self, batch: &Batch, items: &[Item]) {
        let (first, second) = items.split_at(items.len() / 2);
        for half in [second, first] {
            if !half.is_empty() {
                self.resend(Batch { items: half.to_vec(), split: true, ..batch.clone() });
            }
        }
    }

    /// How many jobs want at least one of these, as far as it matters: none, one, or several.
    pub(super) fn owners(&self, items: &[Item]) -> usize {
        let mut first = None;
        for owner in items.iter().filter_map(|item| self.entries.get(item)).flat_map(|entry| &entry.owners) {
            if *first.get_or_insert(*owner) != *owner {
                return 2;
            }
        }
        usize::from(first.is_some())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.out == 0 && self.checks.is_empty()
    }
}
