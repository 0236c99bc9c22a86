//! The machine's GETs: questions go to their list, a walk answers all that were asked before it began.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::auth0::{CallError, Endpoint, Item, Page, Read, Rejection, Walk, WalkError, WalkStep};
use crate::dispatch::connection::ConnectionKey;
use crate::dispatch::fair_queue::{Ns, Place};

use super::calls::What;
use super::jobs::{JobId, Question, ReadError};
use super::list::{Asker, LENGTH_LIFE, Length, List, Plan, Walking};
use super::{Machine, Work};

/// Readers asked for their consent to a page, at most; the others have their turn if these say no.
const ASKED: usize = 4;
/// A page that fails is asked for again so often in a row, after a pause that doubles.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);
/// A walk whose pages are refused or do not fit together is begun anew so often.
const RESTARTS: u32 = 3;

impl Machine {
    /// Finds out for a job what a list holds.
    pub(super) fn ask(&mut self, id: JobId, question: Question, now: Instant) {
        let Some((ns, connection)) = self.jobs.get(id).map(|job| (job.ns, job.connection)) else { return };
        let Question { read, wanted, glance, rank, patient } = question;
        self.ask_list(
            read,
            connection,
            glance,
            Asker { job: id, ns, wanted, about: None, must_walk: false, rank, patient },
            now,
        );
    }

    fn ask_list(&mut self, read: Read, connection: ConnectionKey, glance: bool, asker: Asker, now: Instant) {
        let ns = asker.ns;
        let at = self.list_at.entry((read, connection, glance));
        let key = *at.or_insert_with_key(|(read, connection, glance)| {
            self.lists.insert(List::new(read.clone(), *connection, *glance))
        });
        // Its namespace keeps its number although the job may end before the read does.
        self.fair.keep(ns);
        self.lists[key].ask(asker, now);
        self.refresh(Work::List(key), &[ns], now);
    }

    pub(super) fn refresh_list(&mut self, key: usize, changed: &[Ns], now: Instant) {
        let Some(list) = self.lists.get_mut(key) else { return };
        // A page is asked for on behalf of the first who still wants it.
        if let Some(walking) = &mut list.walk {
            walking.skip(|asker| self.jobs.get(asker.job).is_some());
        }
        let (connection, call) = (list.connection, ("GET", list.read.template()));
        let (removing, length) = match &list.read {
            Read::List(endpoint) => {
                let at = (endpoint.clone(), connection);
                (self.queue_at.contains_key(&at), self.lengths.get(&at).copied())
            }
            Read::UserOrganizations { .. } => (false, None),
        };
        let ready = list.ready(removing, length, now);
        let flavor = self.flavor(connection);
        let list = &mut self.lists[key];
        let mut places = std::mem::take(&mut list.places);
        let mut all = if ready.is_ok() && !places.ready { list.namespaces() } else { changed.to_vec() };
        if list.walk.is_some() {
            all.extend(list.namespaces().into_iter().chain(places.taken.keys().copied()));
        }
        let front = |ns| list.front(ns);
        self.fair.refresh(Work::List(key), &mut places, ready.is_ok(), all, (call, connection, flavor), front);
        list.places = places;
        Self::set_timer(&mut self.timers, super::Timer::Work(Work::List(key)), &mut list.timer, ready.err().flatten());
        if list.is_empty() {
            let list = self.lists.remove(key);
            self.list_at.remove(&(list.read, list.connection, list.glance));
        }
        self.trim_timers();
    }

    pub(super) fn begin_page(&mut self, key: usize, place: Place, now: Instant) -> Option<(What, Vec<JobId>)> {
        if self.lists.get(key)?.walk.is_none() {
            self.begin_walk(key, place, now);
        }
        let alive = |asker: &Asker| self.jobs.get(asker.job).is_some();
        let list = self.lists.get_mut(key)?;
        let Some(walking) = &mut list.walk else {
            self.refresh(Work::List(key), &[place.ns], now);
            return None;
        };
        walking.skip(alive);
        let readers = walking.askers[walking.first..].iter().filter(|asker| alive(asker));
        let owners: Vec<JobId> = readers.map(|asker| asker.job).take(ASKED).collect();
        list.out = !owners.is_empty();
        let mut changed = vec![place.ns];
        if owners.is_empty() {
            let askers = list.walk.take().map(|walking| walking.askers).unwrap_or_default();
            changed.extend(list.namespaces());
            self.let_go(askers);
        }
        self.refresh(Work::List(key), &changed, now);
        (!owners.is_empty()).then_some((What::Page { list: key }, owners))
    }

    fn let_go(&mut self, askers: Vec<Asker>) {
        askers.into_iter().for_each(|asker| self.fair.leave(asker.ns));
    }

    /// Begins a walk for those who asked, unless there is a cheaper way.
    fn begin_walk(&mut self, key: usize, place: Place, now: Instant) {
        let began = self.wall(now);
        let list = &mut self.lists[key];
        let questions = list.asked;
        let jobs = &self.jobs;
        let (askers, gone): (Vec<_>, Vec<_>) =
            list.take_askers().into_iter().partition(|asker| jobs.get(asker.job).is_some());
        let mut budget = usize::MAX;
        if let Read::List(endpoint @ Endpoint::OrganizationMembers { organization }) = &list.read
            && !list.glance
            && !askers.iter().any(|asker| asker.must_walk)
        {
            let at = (endpoint.clone(), list.connection);
            let known = self.lengths.get(&at).filter(|length| now < length.heard + LENGTH_LIFE).copied();
            match Plan::cheapest(questions, known) {
                Plan::Walk(pages) => budget = pages,
                Plan::Persons => {
                    let (organization, connection) = (organization.clone(), list.connection);
                    let known = known.unwrap_or(Length { pages: 0, heard: now, alone: None });
                    self.learn(at, Length { alone: Some(now), ..known }, now);
                    self.ask_persons(&organization, connection, askers, now);
                    return self.let_go(gone);
                }
            }
        }
        for asker in &askers {
            if let Some(job) = self.jobs.get_mut(asker.job) {
                job.read_begins(began);
            }
        }
        self.lists[key].begin(askers, budget, place.arrival);
        self.let_go(gone);
    }

    /// Asks for each member's organizations instead of walking the organization's members.
    fn ask_persons(&mut self, organization: &Arc<str>, connection: ConnectionKey, askers: Vec<Asker>, now: Instant) {
        for asker in &askers {
            for item in &asker.wanted {
                let Item::Id(user) = item else { continue };
                let read = Read::UserOrganizations { user: user.clone() };
                let wanted = vec![Item::Id(organization.clone())];
                let about = Some(item.clone());
                self.ask_list(read, connection, false, Asker { wanted, about, ..asker.clone() }, now);
            }
        }
        self.let_go(askers);
    }

    /// Takes the answer to a page.
    pub(super) fn page(&mut self, key: usize, answer: Result<Page, CallError>, now: Instant) {
        let Some(list) = self.lists.get_mut(key) else { return };
        list.out = false;
        let Some(walking) = &mut list.walk else { return self.refresh(Work::List(key), &[], now) };
        let failures = std::mem::take(&mut walking.failures);
        let error = match answer {
            Ok(page) => match walking.walk.take(&page) {
                Ok(WalkStep::More) if walking.walk.pages() < walking.budget => {
                    return self.refresh(Work::List(key), &[], now);
                }
                Ok(WalkStep::More) => return self.give_up_walk(key, now),
                Ok(WalkStep::Done(found)) => return self.finish_walk(key, Ok(&found), now),
                Err(WalkError::TooLong) if matches!(list.read, Read::UserOrganizations { .. }) => {
                    return self.walk_members(key, now);
                }
                Err(error) => ReadError::Unreadable(call_error(error)),
            },
            Err(error) => ReadError::Call(error),
        };
        match error {
            // Nothing was said about the list: the page is asked for again.
            ReadError::Call(
                ref error @ (CallError::Unavailable(_) | CallError::NotSent(_) | CallError::NotProcessed),
            ) if failures < TRIES => {
                walking.failures = failures + 1;
                list.pause = (*error != CallError::NotProcessed).then_some(now + PAUSE * 2_u32.pow(failures));
                self.disappoint_impatient(key, error, now);
            }
            ReadError::Call(CallError::Rejected(Rejection::Paging | Rejection::Query)) | ReadError::Unreadable(_)
                if walking.restarts < RESTARTS =>
            {
                list.pause = Some(now + PAUSE * 2_u32.pow(walking.restarts));
                walking.restarts += 1;
                walking.walk = Walk::new(list.read.clone(), walking.wanted.clone());
                self.refresh(Work::List(key), &[], now);
            }
            error => self.finish_walk(key, Err(error), now),
        }
    }

    /// The first page failed: those who only wait for it to decide whether Auth0 fails have heard enough.
    fn disappoint_impatient(&mut self, key: usize, error: &CallError, now: Instant) {
        let Some(walking) = self.lists.get_mut(key).and_then(|list| list.walk.as_mut()) else { return };
        if walking.walk.pages() == 0 {
            let impatient: Vec<Asker> = walking.askers.extract_if(.., |asker| !asker.patient).collect();
            walking.first = 0;
            if walking.askers.is_empty() {
                self.lists[key].walk = None;
                self.lists[key].pause = None;
            }
            for asker in impatient {
                self.deliver(asker, Err(ReadError::Call(error.clone())), now);
            }
        }
        self.refresh(Work::List(key), &[], now);
    }

    /// The walk's answers, or its failure, for all it was made for.
    fn finish_walk(&mut self, key: usize, result: Result<&BTreeSet<Item>, ReadError>, now: Instant) {
        let list = &mut self.lists[key];
        let Some(Walking { walk, askers, .. }) = list.walk.take() else { return };
        list.pause = None;
        if let (Ok(_), Read::List(endpoint @ Endpoint::OrganizationMembers { .. }), false) =
            (&result, &list.read, list.glance)
        {
            let at = (endpoint.clone(), list.connection);
            self.learn(at, Length { pages: walk.pages(), heard: now, alone: None }, now);
        }
        for asker in askers {
            self.deliver(asker, result.clone(), now);
        }
        self.refresh(Work::List(key), &[], now);
    }

    /// The list is longer than asking person by person takes calls.
    fn give_up_walk(&mut self, key: usize, now: Instant) {
        let list = &mut self.lists[key];
        let connection = list.connection;
        let Some(Walking { askers, walk, .. }) = list.walk.take() else { return };
        if let Read::List(endpoint @ Endpoint::OrganizationMembers { .. }) = list.read.clone()
            && let Some(organization) = endpoint.organization().cloned()
        {
            let length = Length { pages: walk.pages() + 1, heard: now, alone: Some(now) };
            self.learn((endpoint, connection), length, now);
            self.ask_persons(&organization, connection, askers, now);
        }
        self.refresh(Work::List(key), &[], now);
    }

    fn learn(&mut self, at: (Endpoint, ConnectionKey), length: Length, now: Instant) {
        if self.lengths.len().is_power_of_two() {
            self.lengths.retain(|_, length| now < length.heard + LENGTH_LIFE);
        }
        self.lengths.insert(at, length);
    }

    /// Someone is in more organizations than can be read: the organizations' own lists have no such end.
    fn walk_members(&mut self, key: usize, now: Instant) {
        let list = &mut self.lists[key];
        let connection = list.connection;
        for asker in list.walk.take().map(|walking| walking.askers).unwrap_or_default() {
            if let (Some(about), [Item::Id(organization)]) = (&asker.about, asker.wanted.as_slice()) {
                let read = Read::List(Endpoint::OrganizationMembers { organization: organization.clone() });
                let again = Asker { wanted: vec![about.clone()], about: None, must_walk: true, ..asker.clone() };
                self.ask_list(read, connection, false, again, now);
                self.let_go(vec![asker]);
            } else {
                self.deliver(asker, Err(ReadError::Unreadable(call_error(WalkError::TooLong))), now);
            }
        }
        self.refresh(Work::List(key), &[], now);
    }

    fn deliver(&mut self, asker: Asker, result: Result<&BTreeSet<Item>, ReadError>, now: Instant) {
        let Asker { job: id, ns, wanted, about, .. } = asker;
        let asked = if about.is_some() { 1 } else { wanted.len() };
        let result = match (result, about) {
            (Ok(found), None) => Ok(wanted.into_iter().filter(|item| found.contains(item)).collect()),
            (Ok(found), Some(member)) if wanted.iter().any(|item| found.contains(item)) => Ok(vec![member]),
            // A user who does not exist is no member.
            (Ok(_) | Err(ReadError::Call(CallError::NotFound(_))), Some(_)) => Ok(Vec::new()),
            (Err(error), _) => Err(error),
        };
        if let Some(job) = self.jobs.get_mut(id) {
            job.answer(asked, result);
            self.advance(id, now);
        }
        self.fair.leave(ns);
    }
}

const fn call_error(error: WalkError) -> CallError {
    CallError::no_answer(match error {
        WalkError::Malformed => "a page of Auth0's list was not readable",
        WalkError::InconsistentPages => "the list in Auth0 changed while it was read",
        WalkError::TooLong => "Auth0's list is longer than it lets be read",
    })
}
