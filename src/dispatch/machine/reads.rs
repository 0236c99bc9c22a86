//! Reads: requests for the same list share a walk, which answers all jobs that waited when it began.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::auth0::{CallError, Endpoint, Item, Page, Read, Rejection, WalkError, WalkStep};
use crate::capacity::{shrink_map, shrink_slab};
use crate::dispatch::connection::ConnectionKey;
use crate::dispatch::fair_queue::{NamespaceId, Position};

use super::call::CallKind;
use super::jobs::{JobId, ReadError, ReadRequest};
use super::read_queue::{ActiveWalk, KnownLength, LENGTH_TTL, Plan, ReadQueue, ReadWaiter};
use super::state::{Machine, Timer, WorkSource};

/// Only this many owners of a page are checked before it is sent. If they refuse, the page is started again for the
/// next ones.
const MAX_OWNERS_CHECKED: usize = 4;
/// How often in a row a failed page is retried, after a pause that doubles.
const MAX_PAGE_RETRIES: u32 = 3;
const FIRST_RETRY_PAUSE: Duration = Duration::from_secs(1);
/// How often a walk is restarted because its pages were rejected or inconsistent.
const MAX_WALK_RESTARTS: u32 = 3;

impl Machine {
    /// Has a list read for a job.
    pub(super) fn request_read(&mut self, id: JobId, request: ReadRequest, now: Instant) {
        let Some((ns, connection)) = self.jobs.get(id).map(|job| (job.ns, job.connection)) else { return };
        let ReadRequest { read, wanted, first_page_only, priority, retry_first_page } = request;
        self.add_reader(
            read,
            connection,
            first_page_only,
            ReadWaiter {
                job: id,
                ns,
                wanted,
                added: now,
                member: None,
                must_walk_list: false,
                priority,
                retry_first_page,
            },
            now,
        );
    }

    fn add_reader(
        &mut self,
        read: Read,
        connection: ConnectionKey,
        first_page_only: bool,
        waiter: ReadWaiter,
        now: Instant,
    ) {
        let ns = waiter.ns;
        let at = self.read_queue_at.entry((read, connection, first_page_only));
        let key = *at.or_insert_with_key(|(read, connection, first_page_only)| {
            self.read_queues.insert(ReadQueue::new(read.clone(), *connection, *first_page_only))
        });
        // The job may end before the read does, so the waiter keeps the number of the namespace valid by itself.
        self.fair.retain(ns);
        self.read_queues[key].add(waiter, now);
        self.refresh(WorkSource::Reads(key), &[ns], now);
    }

    #[allow(clippy::disallowed_methods, reason = "each namespace is updated by itself")]
    pub(super) fn refresh_reads(&mut self, key: usize, changed: &[NamespaceId], now: Instant) {
        let Some(list) = self.read_queues.get_mut(key) else { return };
        // A page takes the turn of the first job that has not ended.
        if let Some(active) = &mut list.walk {
            active.skip_gone(|waiter| self.jobs.get(waiter.job).is_some());
        }
        let (connection, route) = (list.connection, ("GET", list.read.template()));
        let (removing, length) = match &list.read {
            Read::List(endpoint) => {
                let at = (endpoint.clone(), connection);
                let known = self.known_lengths.get(&at).filter(|length| now < length.learned_at + LENGTH_TTL);
                (self.queue_at.contains_key(&at), known.copied())
            }
            Read::UserOrganizations { .. } | Read::Answer(_) | Read::Lookup(_) => (false, None),
        };
        let ready = list.ready(removing, length, now);
        let limit_profile = self.limit_profile(connection);
        let list = &mut self.read_queues[key];
        let mut positions = std::mem::take(&mut list.positions);
        let mut all = if ready.is_ok() && !positions.ready { list.namespaces() } else { changed.to_vec() };
        if list.walk.is_some() {
            all.extend(list.namespaces().into_iter().chain(positions.by_namespace.keys().copied()));
        }
        let front = |ns| list.front(ns);
        self.fair.update(
            WorkSource::Reads(key),
            &mut positions,
            ready.is_ok(),
            all,
            (route, connection, limit_profile),
            front,
        );
        list.positions = positions;
        Self::set_timer(
            &mut self.timers,
            Timer::Source(WorkSource::Reads(key)),
            &mut list.timer,
            ready.err().flatten(),
        );
        if list.is_empty() {
            let list = self.read_queues.remove(key);
            self.read_queue_at.remove(&(list.read, list.connection, list.first_page_only));
            shrink_slab(&mut self.read_queues);
            shrink_map(&mut self.read_queue_at);
        }
        self.trim_timers();
    }

    pub(super) fn start_page(
        &mut self,
        key: usize,
        position: Position,
        now: Instant,
    ) -> Option<(CallKind, Vec<JobId>)> {
        if self.read_queues.get(key)?.walk.is_none() {
            self.start_walk(key, position, now);
        }
        let alive = |waiter: &ReadWaiter| self.jobs.get(waiter.job).is_some();
        let list = self.read_queues.get_mut(key)?;
        let Some(active) = &mut list.walk else {
            self.refresh(WorkSource::Reads(key), &[position.ns], now);
            return None;
        };
        active.skip_gone(alive);
        let readers = active.waiters[active.first_alive..].iter().filter(|waiter| alive(waiter));
        let owners: Vec<JobId> = readers.map(|waiter| waiter.job).take(MAX_OWNERS_CHECKED).collect();
        list.page_in_flight = !owners.is_empty();
        let mut changed = vec![position.ns];
        if owners.is_empty() {
            let waiters = list.walk.take().map(|active| active.waiters).unwrap_or_default();
            changed.extend(list.namespaces());
            self.release_namespaces(waiters);
        }
        self.refresh(WorkSource::Reads(key), &changed, now);
        (!owners.is_empty()).then_some((CallKind::Page { list: key }, owners))
    }

    fn release_namespaces(&mut self, waiters: Vec<ReadWaiter>) {
        waiters.into_iter().for_each(|waiter| self.fair.release(waiter.ns));
    }

    /// Begins a walk for the jobs that wait, unless another way is cheaper.
    fn start_walk(&mut self, key: usize, position: Position, now: Instant) {
        let began = self.wall_at(now);
        let list = &mut self.read_queues[key];
        let at = list.read.per_user().map(|(endpoint, _)| (endpoint.clone(), list.connection));
        let known = at.as_ref().and_then(|at| self.known_lengths.get(at)).copied();
        let known = known.filter(|length| now < length.learned_at + LENGTH_TTL);
        let jobs = &self.jobs;
        let (waiters, gone): (Vec<_>, Vec<_>) =
            list.take_waiters().into_iter().partition(|waiter| jobs.get(waiter.job).is_some());
        list.put_back(waiters);
        let early = list.take_early(known, now);
        let is_early = early.is_some();
        let (waiters, mut page_budget) = early.unwrap_or_else(|| (list.take_waiters(), usize::MAX));
        let answers_due = waiters.iter().map(|waiter| waiter.wanted.len()).sum();
        if let (Some(at), Some((_, organization))) = (at, list.read.per_user())
            && !is_early
            && !list.first_page_only
            && !waiters.iter().any(|waiter| waiter.must_walk_list)
        {
            match Plan::cheapest(answers_due, known) {
                Plan::Walk(pages) => page_budget = pages,
                Plan::PerUser => {
                    let (organization, connection) = (organization.clone(), list.connection);
                    let known = known.unwrap_or(KnownLength { pages: 0, learned_at: now, asked_per_user_at: None });
                    self.remember_length(at, KnownLength { asked_per_user_at: Some(now), ..known }, now);
                    self.read_per_user(&organization, connection, waiters, now);
                    return self.release_namespaces(gone);
                }
            }
        }
        for waiter in &waiters {
            if let Some(job) = self.jobs.get_mut(waiter.job) {
                job.read_started(began);
            }
        }
        self.read_queues[key].start_walk(waiters, (page_budget, is_early), position.arrival);
        self.release_namespaces(gone);
    }

    /// Reads the organizations of each user instead of the organization's members.
    fn read_per_user(
        &mut self,
        organization: &Arc<str>,
        connection: ConnectionKey,
        waiters: Vec<ReadWaiter>,
        now: Instant,
    ) {
        for waiter in &waiters {
            for item in &waiter.wanted {
                let Item::Id(user) = item else { continue };
                let read = Read::UserOrganizations { user: user.clone() };
                let wanted = vec![Item::Id(organization.clone())];
                let member = Some(item.clone());
                self.add_reader(read, connection, false, ReadWaiter { wanted, member, ..waiter.clone() }, now);
            }
        }
        self.release_namespaces(waiters);
    }

    /// Takes the answer to a page.
    pub(super) fn page_answered(&mut self, key: usize, answer: Result<Page, CallError>, now: Instant) {
        let Some(list) = self.read_queues.get_mut(key) else { return };
        list.page_in_flight = false;
        let Some(active) = &mut list.walk else { return self.refresh(WorkSource::Reads(key), &[], now) };
        let failures = std::mem::take(&mut active.failures);
        // Nobody waits long for what proves nothing.
        let is_answer = matches!(list.read, Read::Answer(_));
        let max_restarts = if is_answer { 1 } else { MAX_WALK_RESTARTS };
        let error = match answer {
            Ok(page) => match active.walk.take(&page) {
                Ok(WalkStep::More) if active.walk.pages() < active.page_budget => {
                    return self.refresh(WorkSource::Reads(key), &[], now);
                }
                Ok(WalkStep::More) => return self.give_up_walk(key, now),
                Ok(WalkStep::Done(found)) => return self.finish_walk(key, Ok(&found), now),
                Err(WalkError::TooLong) if matches!(list.read, Read::UserOrganizations { .. }) => {
                    return self.walk_members(key, now);
                }
                // To begin again would not make it shorter.
                Err(error @ WalkError::TooLong) => {
                    return self.finish_walk(key, Err(ReadError::Unreadable(call_error(error))), now);
                }
                Err(error) => ReadError::Unreadable(call_error(error)),
            },
            Err(error) => ReadError::Call(error),
        };
        match error {
            // The failure says nothing about the list, so the page is retried.
            ReadError::Call(
                ref error @ (CallError::Unavailable(_)
                | CallError::NotSent(_)
                | CallError::NotProcessed
                | CallError::TokenReplaced),
            ) if failures < MAX_PAGE_RETRIES && (is_at_once(error) || !is_answer) => {
                active.failures = failures + 1;
                if is_at_once(error) {
                    list.pause = None;
                    return self.refresh(WorkSource::Reads(key), &[], now);
                }
                list.pause = Some(now + FIRST_RETRY_PAUSE * 2_u32.pow(failures));
                self.fail_first_page_waiters(key, error, now);
            }
            ref error @ (ReadError::Call(CallError::Rejected(_)) | ReadError::Unreadable(_))
                if active.restarts < max_restarts && is_cured_by_restart(error, active.walk.pages()) =>
            {
                list.pause = Some(now + FIRST_RETRY_PAUSE * 2_u32.pow(active.restarts));
                active.restarts += 1;
                active.walk.restart();
                self.refresh(WorkSource::Reads(key), &[], now);
            }
            error @ (ReadError::Call(_) | ReadError::Unreadable(_)) => self.finish_walk(key, Err(error), now),
        }
    }

    /// The first page failed. Jobs that only want to know whether Auth0 as a whole is failing get the answer now; the
    /// others wait for the retry.
    fn fail_first_page_waiters(&mut self, key: usize, error: &CallError, now: Instant) {
        let Some(active) = self.read_queues.get_mut(key).and_then(|list| list.walk.as_mut()) else { return };
        if active.walk.pages() == 0 {
            let not_retried: Vec<ReadWaiter> =
                active.waiters.extract_if(.., |waiter| !waiter.retry_first_page).collect();
            active.first_alive = 0;
            if active.waiters.is_empty() {
                self.read_queues[key].walk = None;
                self.read_queues[key].pause = None;
            }
            for waiter in not_retried {
                self.deliver(waiter, Err(ReadError::Call(error.clone())), now);
            }
        }
        self.refresh(WorkSource::Reads(key), &[], now);
    }

    /// Gives the result of a walk to all of its jobs.
    fn finish_walk(&mut self, key: usize, result: Result<&BTreeSet<Item>, ReadError>, now: Instant) {
        let list = &mut self.read_queues[key];
        let Some(ActiveWalk { walk, mut waiters, .. }) = list.walk.take() else { return };
        list.pause = None;
        if matches!(list.read, Read::Answer(_)) {
            waiters.extend(list.take_waiters());
        }
        let (connection, first_page_only) = (list.connection, list.first_page_only);
        self.learn(connection, &walk, result.as_ref().err(), now);
        if let (Ok(_), Some((endpoint, _)), false) = (&result, walk.read().per_user(), first_page_only) {
            let at = (endpoint.clone(), connection);
            self.remember_length(
                at,
                KnownLength { pages: walk.pages(), learned_at: now, asked_per_user_at: None },
                now,
            );
        }
        for waiter in waiters {
            if let (Ok(_), Some(job)) = (&result, self.jobs.get_mut(waiter.job)) {
                job.through_roles = walk.through_roles(&job.removal.items);
            }
            self.deliver(waiter, result.clone(), now);
        }
        self.refresh(WorkSource::Reads(key), &[], now);
    }

    /// The walk was longer than its budget, so reading user by user is cheaper; after an early walk that is not known yet.
    fn give_up_walk(&mut self, key: usize, now: Instant) {
        let list = &mut self.read_queues[key];
        let connection = list.connection;
        let Some(ActiveWalk { waiters, walk, is_early, .. }) = list.walk.take() else { return };
        if is_early {
            for waiter in &waiters {
                if let Some(job) = self.jobs.get_mut(waiter.job) {
                    job.read_put_back();
                }
            }
            list.give_up_early(waiters);
        } else if let Some((endpoint, organization)) = list.read.clone().per_user() {
            let length = KnownLength { pages: walk.pages() + 1, learned_at: now, asked_per_user_at: Some(now) };
            self.remember_length((endpoint.clone(), connection), length, now);
            self.read_per_user(organization, connection, waiters, now);
        }
        self.refresh(WorkSource::Reads(key), &[], now);
    }

    fn remember_length(&mut self, at: (Endpoint, ConnectionKey), length: KnownLength, now: Instant) {
        if self.known_lengths.len().is_power_of_two() {
            self.known_lengths.retain(|_, length| now < length.learned_at + LENGTH_TTL);
        }
        self.known_lengths.insert(at, length);
    }

    /// A user has more organizations than Auth0 serves by offset, so the member lists of the organizations are walked
    /// instead.
    fn walk_members(&mut self, key: usize, now: Instant) {
        let list = &mut self.read_queues[key];
        let connection = list.connection;
        for waiter in list.walk.take().map(|active| active.waiters).unwrap_or_default() {
            if let (Some(member), [Item::Id(organization)]) = (&waiter.member, waiter.wanted.as_slice()) {
                let read = Read::List(Endpoint::OrganizationMembers { organization: organization.clone() });
                let again =
                    ReadWaiter { wanted: vec![member.clone()], member: None, must_walk_list: true, ..waiter.clone() };
                self.add_reader(read, connection, false, again, now);
                self.release_namespaces(vec![waiter]);
            } else {
                self.deliver(waiter, Err(ReadError::Unreadable(call_error(WalkError::TooLong))), now);
            }
        }
        self.refresh(WorkSource::Reads(key), &[], now);
    }

    fn deliver(&mut self, waiter: ReadWaiter, result: Result<&BTreeSet<Item>, ReadError>, now: Instant) {
        let ReadWaiter { job: id, ns, wanted, member, .. } = waiter;
        let (answers, by_list) = (if member.is_some() { 1 } else { wanted.len() }, member.is_none());
        let result = match (result, member) {
            (Ok(found), None) => Ok(wanted.into_iter().filter(|item| found.contains(item)).collect()),
            (Ok(found), Some(member)) if wanted.iter().any(|item| found.contains(item)) => Ok(vec![member]),
            // A user who does not exist is not a member.
            (Ok(_) | Err(ReadError::Call(CallError::NotFound(_))), Some(_)) => Ok(Vec::new()),
            (Err(error), _) => Err(error),
        };
        if let Some(job) = self.jobs.get_mut(id) {
            job.answer(answers, result, by_list);
            self.advance(id, now);
        }
        self.fair.release(ns);
    }
}

/// Whether a walk whose page failed so, after so many others, may get further if it begins again. What is refused only
/// in its middle may be refused for its cursor, which Auth0 keeps for a day.
const fn is_cured_by_restart(error: &ReadError, pages: usize) -> bool {
    match error {
        ReadError::Call(CallError::Rejected(Rejection::Paging | Rejection::Query)) | ReadError::Unreadable(_) => true,
        ReadError::Call(_) => pages > 0,
    }
}

/// Whether a page that failed so is sent again at once.
const fn is_at_once(error: &CallError) -> bool {
    matches!(error, CallError::NotProcessed | CallError::TokenReplaced)
}

const fn call_error(error: WalkError) -> CallError {
    CallError::no_answer(match error {
        WalkError::Malformed => "a page of Auth0's list was not readable",
        WalkError::InconsistentPages => "the list in Auth0 changed while it was read",
        WalkError::TooLong => "Auth0's list is longer than it lets be read",
    })
}
