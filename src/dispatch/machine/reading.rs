//! The machine's GETs: questions go to their list, a walk answers all that were asked before it began.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::auth0::{CallError, Endpoint, Item, Page, Read, WalkError, WalkStep};
use crate::dispatch::Owner;
use crate::dispatch::lines::{Ns, Place, Rank};

use super::jobs::{JobId, Need, Phase};
use super::list::{Active, Asker, LENGTH_LIFE, Length, List, Plan, Who};
use super::{ASKED, Machine, Unit, What};

impl Machine {
    pub(super) fn ask_for_job(&mut self, id: JobId, items: Vec<Item>, now: Instant) {
        let Some(job) = self.jobs.get(id) else { return };
        let rank = if job.phase == Phase::Before { Rank::Removal } else { Rank::Proof };
        let (read, credential) = (Read::List(job.removal.endpoint.clone()), job.credential);
        let (namespace, arrival) = (job.namespace, job.arrival);
        let asker = Asker { who: Who::Job(id), wanted: items, about: None, must_walk: false, rank, namespace, arrival };
        self.ask(read, credential, false, asker, now);
    }

    /// `glance`: only whether the list can be read at all.
    pub(super) fn ask(&mut self, read: Read, credential: u64, glance: bool, asker: Asker, now: Instant) {
        let key = self.list_at.entry((read, credential, glance)).or_insert_with_key(|(read, credential, glance)| {
            self.lists.insert(List::new(read.clone(), *credential, *glance))
        });
        let key = *key;
        self.lists[key].ask(asker, now);
        self.refresh_list(key, now);
    }

    pub(super) fn refresh_list(&mut self, key: usize, now: Instant) {
        let Some(list) = self.lists.get_mut(key) else { return };
        let (removing, length) = match &list.read {
            Read::List(endpoint) => {
                let removing = self.site_at.contains_key(&(endpoint.clone(), list.credential));
                (removing, self.lengths.get(endpoint).copied())
            }
            Read::UserOrganizations { .. } => (false, None),
        };
        let call = ("GET", list.read.template());
        let (wanted, due) = match list.ready(removing, length, now) {
            Ok(()) => {
                let (rank, fronts) = list.fronts();
                let place = |(namespace, arrival)| Place { rank, call, namespace, arrival };
                (fronts.into_iter().map(place).collect(), None)
            }
            Err(due) => (Vec::new(), due),
        };
        Self::stand(&mut self.lines, Unit::List(key), &mut list.placed, wanted);
        Self::set_timer(&mut self.timers, Unit::List(key), &mut list.timer, due);
        if list.is_empty() {
            let list = self.lists.remove(key);
            self.list_at.remove(&(list.read, list.credential, list.glance));
        }
    }

    pub(super) fn begin_page(&mut self, key: usize, place: Place, now: Instant) -> Option<(What, Vec<Vec<Owner>>)> {
        if self.lists.get(key)?.active.is_none() {
            self.begin_walk(key, place.namespace, place.arrival, now);
        }
        let mut owners = Vec::new();
        loop {
            let active = self.lists.get(key)?.active.as_ref()?;
            let first = active.first;
            let Some(asker) = active.askers.get(first) else { break };
            if self.owner_of(asker.who).is_some() {
                owners.extend(self.readers(key).take(ASKED));
                break;
            }
            let who = asker.who;
            self.abandon_check(who, now);
            if let Some(active) = self.lists[key].active.as_mut() {
                active.first += 1;
            }
        }
        let list = &mut self.lists[key];
        if owners.is_empty() {
            list.active = None;
            return None;
        }
        list.out = true;
        Some((What::Page { list: key }, vec![owners]))
    }

    /// Begins a walk for those who asked, unless there is a cheaper way.
    fn begin_walk(&mut self, key: usize, namespace: Ns, arrival: u64, now: Instant) {
        let list = &mut self.lists[key];
        let questions = list.asked();
        let mut askers = list.take_askers();
        askers.retain(|asker| match asker.who {
            Who::Job(id) => self.jobs.get(id).is_some(),
            Who::Check(..) => true,
        });
        let mut budget = usize::MAX;
        if let Read::List(Endpoint::OrganizationMembers { organization }) = &list.read
            && !list.glance
            && !askers.iter().any(|asker| asker.must_walk)
        {
            let endpoint = Endpoint::OrganizationMembers { organization: organization.clone() };
            let known = self.lengths.get(&endpoint).filter(|length| now < length.heard + LENGTH_LIFE).copied();
            match Plan::cheapest(questions, known) {
                Plan::Walk(pages) => budget = pages,
                Plan::Persons => {
                    let (organization, credential) = (organization.clone(), list.credential);
                    return self.ask_persons(&organization, credential, askers, now);
                }
            }
        }
        list.begin(askers, budget, namespace, arrival);
    }

    /// Asks for each member's organizations instead of walking the organization's members.
    fn ask_persons(&mut self, organization: &std::sync::Arc<str>, credential: u64, askers: Vec<Asker>, now: Instant) {
        for asker in askers {
            for item in &asker.wanted {
                let Item::Id(user) = item else { continue };
                let read = Read::UserOrganizations { user: user.clone() };
                let wanted = vec![Item::Id(organization.clone())];
                self.ask(read, credential, false, Asker { wanted, about: Some(item.clone()), ..asker.clone() }, now);
            }
        }
    }

    /// Those for whom a list is being read.
    pub(super) fn readers(&self, key: usize) -> impl Iterator<Item = Owner> {
        let active = self.lists.get(key).and_then(|list| list.active.as_ref());
        let askers = active.into_iter().flat_map(|active| &active.askers[active.first..]);
        askers.filter_map(|asker| self.owner_of(asker.who))
    }

    fn owner_of(&self, who: Who) -> Option<Owner> {
        let id = match who {
            Who::Job(id) => id,
            Who::Check(site, check) => {
                let site = self.sites.get(site)?;
                let items = &site.checks.get(&check)?.batch.items;
                let mut owners = items.iter().filter_map(|item| site.entries.get(item)).flat_map(|e| &e.owners);
                *owners.find(|id| self.jobs.get(**id).is_some())?
            }
        };
        Some(self.jobs.get(id)?.owner.clone())
    }

    /// Takes the answer to a page.
    pub(super) fn page(&mut self, key: usize, credential: u64, answer: Result<Page, CallError>, now: Instant) {
        let list = &mut self.lists[key];
        list.out = false;
        let Some(active) = &mut list.active else { return self.refresh_list(key, now) };
        let step = match answer {
            // Nothing was said about the list: the page is asked for again.
            Err(CallError::RateLimited(_)) => return self.refresh_list(key, now),
            Err(error @ CallError::Unauthorized(_)) if active.refused.is_none() => {
                active.refused = Some((credential, error));
                return self.refresh_list(key, now);
            }
            Ok(page) => active.walk.take(&page).map_err(|error| (call_error(error), error == WalkError::TooLong)),
            Err(error) => Err((error, false)),
        };
        match step {
            Ok(WalkStep::More) if active.walk.pages() < active.budget => self.refresh_list(key, now),
            Ok(WalkStep::More) => self.give_up_walk(key, now),
            Ok(WalkStep::Done(found)) => self.finish_walk(key, credential, Ok(&found), now),
            Err((_, true)) if matches!(list.read, Read::UserOrganizations { .. }) => self.walk_members(key, now),
            Err((error, _)) => self.finish_walk(key, credential, Err(error), now),
        }
    }

    /// The walk's answers, or its failure, for all it was made for.
    pub(super) fn finish_walk(
        &mut self,
        key: usize,
        credential: u64,
        result: Result<&BTreeSet<Item>, CallError>,
        now: Instant,
    ) {
        let list = &mut self.lists[key];
        let Some(active) = list.active.take() else { return };
        if let (Ok(_), Read::List(endpoint @ Endpoint::OrganizationMembers { .. }), false) =
            (&result, &list.read, list.glance)
        {
            self.lengths.retain(|_, length| now < length.heard + LENGTH_LIFE);
            self.lengths.insert(endpoint.clone(), Length { pages: active.walk.pages(), heard: now });
        }
        self.refresh_list(key, now);
        for asker in active.askers {
            self.deliver(asker, credential, result.clone(), now);
        }
    }

    /// The list is longer than asking person by person takes calls.
    fn give_up_walk(&mut self, key: usize, now: Instant) {
        let list = &mut self.lists[key];
        let Some(Active { askers, walk, .. }) = list.active.take() else { return };
        if let Read::List(endpoint @ Endpoint::OrganizationMembers { organization }) = &list.read {
            let length = Length { pages: walk.pages() + 1, heard: now };
            let (organization, credential) = (organization.clone(), list.credential);
            self.lengths.insert(endpoint.clone(), length);
            self.ask_persons(&organization, credential, askers, now);
        }
        self.refresh_list(key, now);
    }

    /// Someone is in more organizations than can be read: the organizations' own lists have no such end.
    fn walk_members(&mut self, key: usize, now: Instant) {
        let list = &mut self.lists[key];
        let credential = list.credential;
        let askers = list.active.take().map(|active| active.askers).unwrap_or_default();
        for asker in askers {
            if let (Some(about), [Item::Id(organization)]) = (&asker.about, asker.wanted.as_slice()) {
                let read = Read::List(Endpoint::OrganizationMembers { organization: organization.clone() });
                let wanted = vec![about.clone()];
                self.ask(read, credential, false, Asker { wanted, about: None, must_walk: true, ..asker }, now);
            } else {
                self.deliver(asker, credential, Err(call_error(WalkError::TooLong)), now);
            }
        }
        self.refresh_list(key, now);
    }

    fn deliver(&mut self, asker: Asker, credential: u64, result: Result<&BTreeSet<Item>, CallError>, now: Instant) {
        let asked = if asker.about.is_some() { 1 } else { asker.wanted.len() };
        let result = match (result, asker.about) {
            (Ok(found), None) => Ok(asker.wanted.into_iter().filter(|item| found.contains(item)).collect()),
            (Ok(found), Some(member)) if asker.wanted.iter().any(|item| found.contains(item)) => Ok(vec![member]),
            // A user who does not exist is no member (auth0-api.md 2.1).
            (Ok(_) | Err(CallError::NotFound), Some(_)) => Ok(Vec::new()),
            (Err(error), _) => Err(error),
        };
        match asker.who {
            Who::Job(id) => {
                let need = self.jobs.get_mut(id).map_or(Need::Patience, |job| {
                    job.called(credential);
                    job.read(asked, result)
                });
                self.meet(id, need, now);
            }
            Who::Check(site, check) => self.checked(site, check, credential, asked, result, now),
        }
    }
}

const fn call_error(error: WalkError) -> CallError {
    CallError::Unavailable(match error {
        WalkError::Malformed => "a page of Auth0's list was not readable",
        WalkError::Torn => "the list in Auth0 changed while it was read",
        WalkError::TooLong => "Auth0's list is longer than it lets be read",
    })
}
