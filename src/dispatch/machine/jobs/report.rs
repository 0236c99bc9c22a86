//! What a job leaves behind: its report, or the job that goes on where it stopped. Pure.

use crate::auth0::{Domain, Item, Missing};
use crate::dispatch::job::{End, History, Job, Report};

use super::state::{ItemState, JobState};

impl JobState {
    /// The job as if it was submitted again, with what is known so far as its history.
    pub(crate) fn to_job(&self) -> Job {
        let history = History {
            accepted: self.items_in(ItemState::Accepted),
            accepted_unnamed: self.accepted_unnamed,
            absent: self.items_in(ItemState::Absent),
            first_accepted_at: self.first_accepted_at,
            accepted_at: self.accepted_at,
            lost: self.lost || self.items_in_flight > 0,
            seen: self.seen,
            known_gone: self.known_gone,
        };
        Job { owner: self.owner.clone(), removal: self.removal.clone(), task: self.task.clone(), history }
    }

    fn items_in(&self, wanted: ItemState) -> Vec<Item> {
        let items = self.removal.items.iter().zip(&self.states).filter(|(_, state)| **state == wanted);
        items.map(|(item, _)| item.clone()).collect()
    }

    pub(crate) fn report(&self, end: End, domain: &Domain) -> Report {
        let mut not_found = self.items_in(ItemState::NotFound);
        if end == End::NotFound(Missing::Unclear) {
            not_found.extend(self.items_in(ItemState::Unclear));
        }
        Report {
            task: self.task.clone(),
            accepted: self.items_in(ItemState::Accepted),
            accepted_unnamed: self.accepted_unnamed,
            already_absent: self.items_in(ItemState::Absent),
            not_found,
            refused: self.items_in(ItemState::Refused),
            first_accepted_at: self.first_accepted_at,
            accepted_at: self.accepted_at,
            // The answers of calls in flight will not reach this job.
            lost: self.lost || self.items_in_flight > 0,
            seen: self.seen,
            through_roles: self.through_roles.clone(),
            read_at: self.read_at,
            connection: self.called.then_some(self.connection),
            domain: self.called.then(|| domain.clone()),
            correlation: self.correlation.clone(),
            end,
        }
    }
}
