//! The jobs of a machine, and how far each of them has come. Pure.
//!
//! - `step`: what a job needs from the machine next, and what the machine tells it.
//! - `state`: the state of one job: what became of each of its items, and what it needs next.
//! - `pending`: what a job waits for while a list is read.
//! - `reads`: what the result of a read means for a job.
//! - `report`: what a job leaves behind.

mod pending;
mod reads;
mod report;
mod state;
mod step;

use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Instant;

use foldhash::HashMap;
use slab::Slab;

use crate::capacity::{shrink_map, shrink_slab};
use crate::dispatch::connection::ConnectionKey;
use crate::dispatch::fair_queue::NamespaceId;
use crate::dispatch::job::Job;

pub(super) use state::{ItemState, JobState, Phase};
pub(super) use step::{ItemResult, NextStep, ReadError, ReadRequest, Suspect, Unresolved};

/// Identifies a job. Ids are in the order of arrival and never reused: `stamp` is unique, `key` is only where the job
/// is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct JobId {
    pub(super) stamp: u64,
    pub(super) key: usize,
}

/// All jobs of a machine, at most one for each owner.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    jobs: Slab<(u64, Box<JobState>)>,
    by_uid: HashMap<Arc<str>, JobId>,
    stamp: u64,
}

impl Jobs {
    /// Adds a job; `None` if its owner already has one. `register` returns the number of a namespace.
    pub(super) fn insert(
        &mut self,
        job: Job,
        connection: ConnectionKey,
        now: Instant,
        register: impl FnOnce(&Arc<str>) -> NamespaceId,
    ) -> Option<JobId> {
        let Entry::Vacant(vacant) = self.by_uid.entry(job.owner.uid.clone()) else { return None };
        self.stamp += 1;
        let ns = register(&job.owner.namespace);
        let key = self.jobs.insert((self.stamp, Box::new(JobState::new(job, connection, ns, now))));
        Some(*vacant.insert(JobId { stamp: self.stamp, key }))
    }

    pub(super) fn get(&self, id: JobId) -> Option<&JobState> {
        self.jobs.get(id.key).filter(|(stamp, _)| *stamp == id.stamp).map(|(_, job)| &**job)
    }

    pub(super) fn get_mut(&mut self, id: JobId) -> Option<&mut JobState> {
        self.jobs.get_mut(id.key).filter(|(stamp, _)| *stamp == id.stamp).map(|(_, job)| &mut **job)
    }

    /// The job of the owner with this `uid`.
    pub(super) fn find(&self, uid: &str) -> Option<JobId> {
        self.by_uid.get(uid).copied()
    }

    pub(super) fn remove(&mut self, id: JobId) -> Option<JobState> {
        self.get(id)?;
        let (_, job) = self.jobs.remove(id.key);
        self.by_uid.remove(&job.owner.uid);
        shrink_slab(&mut self.jobs);
        shrink_map(&mut self.by_uid);
        Some(*job)
    }

    pub(super) fn len(&self) -> usize {
        self.jobs.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (JobId, &JobState)> {
        self.jobs.iter().map(|(key, (stamp, job))| (JobId { stamp: *stamp, key }, &**job))
    }
}
