//! What may be asked of a machine without changing it, for those who count and keep records.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::dispatch::Owner;

use super::{ASKED, CallId, Machine, What};

impl Machine {
    /// Whose removals this call carries, each once; or for whom it reads, of many only some.
    pub fn owners_of(&self, id: CallId) -> Vec<Owner> {
        let (site, batch) = match self.calls.get(&id).map(|call| &call.what) {
            Some(What::Remove { site, batch, .. }) => (site, batch),
            Some(What::Page { list }) => return self.readers(*list).take(ASKED).collect(),
            None => return Vec::new(),
        };
        let entries = batch.items.iter().filter_map(|item| self.sites.get(*site)?.entries.get(item));
        let jobs = entries.flat_map(|entry| &entry.owners).filter_map(|id| self.jobs.get(*id));
        let mut told = HashSet::new();
        jobs.filter(|job| told.insert(job.owner.uid.clone())).map(|job| job.owner.clone()).collect()
    }

    /// How long nothing is sent, however short; zero if the gate is open.
    pub fn closed_for(&self, now: Instant) -> Duration {
        self.gate.closed_for(now).unwrap_or_default()
    }
}
