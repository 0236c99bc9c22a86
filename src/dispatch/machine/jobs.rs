//! How far each job has come: which items are still open in its current phase, and what came of the others.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use foldhash::HashMap;
use jiff::Timestamp;
use slab::Slab;

use crate::auth0::{CallError, Item};
use crate::dispatch::lines::Ns;
use crate::dispatch::{End, Job, Owner, Removal, Report, Task, Unproven};

/// A job; never another one that came to its place later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct JobId {
    key: usize,
    stamp: u64,
}

/// What a job waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// To be read first.
    Before,
    /// DELETEs that name its items.
    Removing,
    /// To be read afterwards.
    After,
}

/// What came of one item's removal.
#[derive(Clone, Debug)]
pub(super) enum Settled {
    /// Auth0 accepted a DELETE of it, then.
    Accepted(Timestamp),
    /// What became of the DELETE is not known, but a read after it, at this time, does not show the item.
    Proved(Timestamp),
    /// It was not there to begin with.
    NotThere,
    /// It could not be removed.
    Failed(CallError),
}

/// One job.
#[derive(Debug)]
pub(super) struct Progress {
    pub(super) owner: Owner,
    pub(super) removal: Removal,
    pub(super) task: Task,
    pub(super) credential: u64,
    pub(super) namespace: Ns,
    pub(super) arrival: u64,
    pub(super) phase: Phase,
    stamp: u64,
    /// Items this phase still waits for.
    open: usize,
    /// What the read of this phase has shown.
    present: Vec<Item>,
    error: Option<CallError>,
    refused: Vec<Item>,
    accepted_at: Option<Timestamp>,
    unproven: usize,
    removed: usize,
    already_absent: usize,
    seen: bool,
    token: Option<u64>,
    correlation: Option<Arc<str>>,
}

/// What a job needs next.
#[derive(Debug)]
pub(super) enum Need {
    /// More answers to what it already asked for.
    Patience,
    /// These items read.
    Read(Vec<Item>),
    /// These items removed.
    Remove(Vec<Item>),
    /// Nothing.
    Ended(End),
}

/// Which error of several items is the job's: as long as another try may help, a refusal is not the last word.
const fn weight(error: &CallError) -> u8 {
    match error {
        CallError::NotFound => 0,
        CallError::Rejected(_) => 1,
        _ => TRANSIENT,
    }
}

const TRANSIENT: u8 = 2;

/// All jobs of a lane.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    jobs: Slab<Progress>,
    by_uid: HashMap<Arc<str>, JobId>,
    stamp: u64,
}

impl Jobs {
    /// A new job and what it needs first; `None` while its owner has one.
    pub(super) fn insert(&mut self, job: Job, credential: u64, namespace: Ns) -> Option<(JobId, Need)> {
        let Job { owner, removal, task } = job;
        let Entry::Vacant(place) = self.by_uid.entry(owner.uid.clone()) else { return None };
        self.stamp += 1;
        let mut job = Progress {
            owner,
            removal,
            task,
            credential,
            namespace,
            arrival: self.stamp,
            phase: Phase::Before,
            stamp: self.stamp,
            open: 0,
            present: Vec::new(),
            error: None,
            refused: Vec::new(),
            accepted_at: None,
            unproven: 0,
            removed: 0,
            already_absent: 0,
            seen: false,
            token: None,
            correlation: None,
        };
        let need = job.start();
        let id = JobId { key: self.jobs.insert(job), stamp: self.stamp };
        place.insert(id);
        Some((id, need))
    }

    pub(super) fn get(&self, id: JobId) -> Option<&Progress> {
        self.jobs.get(id.key).filter(|job| job.stamp == id.stamp)
    }

    pub(super) fn get_mut(&mut self, id: JobId) -> Option<&mut Progress> {
        self.jobs.get_mut(id.key).filter(|job| job.stamp == id.stamp)
    }

    pub(super) fn find(&self, uid: &str) -> Option<JobId> {
        self.by_uid.get(uid).copied()
    }

    pub(super) fn remove(&mut self, id: JobId) -> Option<Progress> {
        self.get(id)?;
        let job = self.jobs.remove(id.key);
        self.by_uid.remove(&job.owner.uid);
        Some(job)
    }

    pub(super) fn len(&self) -> usize {
        self.jobs.len()
    }
}

impl Progress {
    fn start(&mut self) -> Need {
        let items = self.removal.items.clone();
        match self.task {
            // An empty list is never taken for anything (promise 4).
            _ if items.is_empty() => Need::Ended(End::Failed(CallError::Rejected(crate::auth0::Rejection::Body))),
            Task::Remove { before: true, .. } => self.enter(Phase::Before, items),
            Task::Remove { before: false, .. } => self.enter(Phase::Removing, items),
            Task::Look => self.enter(Phase::After, items),
        }
    }

    fn enter(&mut self, phase: Phase, items: Vec<Item>) -> Need {
        self.phase = phase;
        self.open = items.len();
        self.present.clear();
        self.error = None;
        match phase {
            Phase::Removing => Need::Remove(items),
            Phase::Before | Phase::After => Need::Read(items),
        }
    }

    /// A call for this job was answered with this credential.
    pub(super) const fn called(&mut self, credential: u64) {
        self.token = Some(credential);
    }

    /// A DELETE for this job left, and may have had an effect.
    pub(super) fn sent(&mut self, correlation: &Arc<str>) {
        self.correlation = Some(correlation.clone());
    }

    /// What became of the removal of one item.
    pub(super) fn settled(&mut self, item: &Item, how: &Settled) -> Need {
        match how {
            Settled::Accepted(at) => {
                self.unproven += 1;
                self.removed += 1;
                self.accepted_at = Some(*at);
                self.seen = true;
            }
            Settled::Proved(at) => {
                self.removed += 1;
                self.accepted_at = Some(*at);
                self.seen = true;
            }
            Settled::NotThere => self.already_absent += 1,
            Settled::Failed(error) => {
                if weight(error) < TRANSIENT {
                    self.refused.push(item.clone());
                }
                if self.error.as_ref().is_none_or(|before| weight(before) < weight(error)) {
                    self.error = Some(error.clone());
                }
            }
        }
        self.open -= 1;
        if self.open > 0 { Need::Patience } else { self.after_removing() }
    }

    fn after_removing(&mut self) -> Need {
        match self.error.take() {
            // Some were accepted at this very endpoint, so it exists: an item Auth0 does not know is not there.
            Some(CallError::NotFound) if self.removed > 0 => {
                self.already_absent += self.refused.len();
                self.refused.clear();
            }
            Some(CallError::NotFound) => return Need::Ended(End::NotFound),
            Some(error) => return Need::Ended(End::Failed(error)),
            None => {}
        }
        // Whatever was not accepted has been read already.
        if self.unproven == 0 {
            return Need::Ended(End::Gone);
        }
        match self.task {
            Task::Remove { after: false, .. } => Need::Ended(End::Unproven(Unproven::Off)),
            _ => self.enter(Phase::After, self.removal.items.clone()),
        }
    }

    /// What a read says about `asked` of the items: which of them are there.
    pub(super) fn read(&mut self, asked: usize, result: Result<Vec<Item>, CallError>) -> Need {
        match result {
            Ok(present) => self.present.extend(present),
            Err(error) => drop(self.error.get_or_insert(error)),
        }
        self.open = self.open.saturating_sub(asked);
        if self.open > 0 {
            return Need::Patience;
        }
        let present = std::mem::take(&mut self.present);
        match (self.phase, self.error.take()) {
            (_, Some(CallError::NotFound)) => Need::Ended(End::NotFound),
            // Without the scope to read, the removal is still wanted: it will end unproven.
            (Phase::Before, Some(CallError::InsufficientScope(_))) => {
                self.enter(Phase::Removing, self.removal.items.clone())
            }
            (_, Some(CallError::InsufficientScope(scope))) => Need::Ended(End::Unproven(Unproven::MissingScope(scope))),
            (_, Some(error)) => Need::Ended(End::Failed(error)),
            (Phase::Before, None) => {
                self.seen = true;
                self.already_absent = self.removal.items.len() - present.len();
                if present.is_empty() { Need::Ended(End::Gone) } else { self.enter(Phase::Removing, present) }
            }
            (_, None) if present.is_empty() => Need::Ended(End::Gone),
            (_, None) => Need::Ended(End::Remaining(present.len())),
        }
    }

    pub(super) fn report(self, end: End) -> (Owner, Report) {
        let Self { owner, accepted_at, removed, already_absent, seen, token, correlation, refused, .. } = self;
        (owner, Report { accepted_at, removed, already_absent, seen, token, correlation, refused, end })
    }
}
