//! The machine's DELETEs: items go to their site, batches leave, each item is settled for all who want it.

use std::sync::Arc;
use std::time::Instant;

use crate::auth0::{Endpoint, Item};
use crate::dispatch::Owner;
use crate::dispatch::lines::{Place, Rank};
use crate::dispatch::pace::CallName;

use super::jobs::{JobId, Need, Phase, Settled};
use super::site::{EntryState, Site};
use super::{ASKED, Machine, Unit, What};

pub(super) const fn name(endpoint: &Endpoint) -> CallName {
    ("DELETE", endpoint.template())
}

impl Machine {
    pub(super) fn remove_for_job(&mut self, id: JobId, items: Vec<Item>, now: Instant) {
        let Some(job) = self.jobs.get(id) else { return };
        let (endpoint, credential) = (job.removal.endpoint.clone(), job.credential);
        let (namespace, arrival) = (job.namespace, job.arrival);
        let key = *self
            .site_at
            .entry((endpoint, credential))
            .or_insert_with_key(|(endpoint, credential)| self.sites.insert(Site::new(endpoint.clone(), *credential)));
        let site = &mut self.sites[key];
        for item in items {
            site.want(item, id, namespace, arrival);
        }
        self.refresh_site(key, now);
    }

    /// Whether a DELETE for this job is on its way.
    pub(super) fn is_out(&self, id: JobId) -> bool {
        let Some(job) = self.jobs.get(id).filter(|job| job.phase == Phase::Removing) else { return false };
        let key = (job.removal.endpoint.clone(), job.credential);
        let Some(site) = self.site_at.get(&key).map(|key| &self.sites[*key]) else { return false };
        job.removal.items.iter().any(|item| {
            let entry = site.entries.get(item);
            entry.is_some_and(|entry| entry.state == EntryState::Out && entry.owners.contains(&id))
        })
    }

    pub(super) fn begin_removal(&mut self, key: usize, place: Place, now: Instant) -> Option<(What, Vec<Vec<Owner>>)> {
        let batch = self.sites.get_mut(key)?.take(place.namespace, now)?;
        let site = &mut self.sites[key];
        site.out += 1;
        let mut shares = Vec::with_capacity(batch.items.len());
        for item in &batch.items {
            let owners = site.entries.get(item).into_iter().flat_map(|entry| &entry.owners);
            let jobs = owners.filter_map(|id| self.jobs.get(*id)).take(ASKED);
            shares.push(jobs.map(|job| job.owner.clone()).collect());
        }
        let correlation = format!("{}-{}", self.prefix, self.ids + 1).into();
        Some((What::Remove { site: key, batch, correlation }, shares))
    }

    /// Tells everyone who wants one of these items what became of it, in a call with this credential and, if it may have
    /// had an effect, of this name.
    pub(super) fn settle(
        &mut self,
        key: usize,
        items: &[Item],
        how: &Settled,
        (credential, correlation): (u64, Option<&Arc<str>>),
        now: Instant,
    ) {
        for item in items {
            let Some(entry) = self.sites.get_mut(key).and_then(|site| site.entries.remove(item)) else { continue };
            for owner in entry.owners {
                let need = self.jobs.get_mut(owner).map_or(Need::Patience, |job| {
                    job.called(credential);
                    if let Some(correlation) = correlation {
                        job.sent(correlation);
                    }
                    job.settled(item, how)
                });
                self.meet(owner, need, now);
            }
        }
    }

    pub(super) fn refresh_site(&mut self, key: usize, now: Instant) {
        let Some(site) = self.sites.get_mut(key) else { return };
        let call = name(&site.endpoint);
        let empty = site.is_empty();
        let ready = site.ready(now);
        let stands = ready.is_ok() && !empty;
        let place = |(namespace, arrival)| Place { rank: Rank::Removal, call, namespace, arrival };
        // Most events change nothing here, and there are many.
        if !(stands && site.fronts().map(place).eq(site.placed.iter().copied())) {
            let wanted = if stands { site.fronts().map(place).collect() } else { Vec::new() };
            Self::stand(&mut self.lines, Unit::Site(key), &mut site.placed, wanted);
        }
        // What is left in batches of an empty site nobody wants any more.
        let due = ready.err().flatten().filter(|_| !empty);
        Self::set_timer(&mut self.timers, Unit::Site(key), &mut site.timer, due);
        if empty {
            let site = self.sites.remove(key);
            let at = (site.endpoint, site.credential);
            self.site_at.remove(&at);
            // The proofs that gathered while removals were pending.
            let list = self.list_at.get(&(crate::auth0::Read::List(at.0), at.1, false)).copied();
            if let Some(list) = list {
                self.refresh_list(list, now);
            }
        }
    }
}
