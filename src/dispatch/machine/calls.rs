//! The life of a call until it is sent: it is started when its namespace has its turn, checked with its owners, given a
//! time slot, and checked once more right before it is sent. If it is not sent, its items or its page go back into
//! their queue.

use std::time::Instant;

use foldhash::HashMap;

use crate::dispatch::breaker::{Allow, Breaker, State};
use crate::dispatch::connection::ConnectionKey;
use crate::dispatch::fair_queue::{Admission, MAX_IN_FLIGHT, NamespaceId, Position, TrafficClass};
use crate::dispatch::job::{Owner, Purpose, Refusal};
use crate::dispatch::limiter::Limiter;

use super::call::{Call, CallId, CallKind, Outgoing, PendingCall, Step};
use super::connection_state::ConnectionState;
use super::endpoint_queue::Waiter;
use super::jobs::JobId;
use super::state::{Machine, Timer, WorkSource};

/// Which calls the domain and the connections let be sent now.
struct DomainAdmission<'a> {
    breaker: &'a Breaker,
    limiter: &'a Limiter,
    connections: &'a HashMap<ConnectionKey, ConnectionState>,
    unaccepted_call: bool,
    now: Instant,
}

impl Admission for DomainAdmission<'_> {
    fn admits_class(&self, class: &TrafficClass) -> bool {
        let accepted = self.connections.get(&class.connection).is_some_and(|conn| conn.accepted);
        let shut = match self.breaker.state(self.now) {
            State::Closed => false,
            State::Open(_) => true,
            State::HalfOpen { probing } => accepted && probing,
        };
        let free = !shut && (accepted || !self.unaccepted_call);
        free && self.limiter.wait_until(class.route, class.connection, self.now).is_none()
    }

    fn admits_connection(&self, connection: ConnectionKey) -> bool {
        self.connections.get(&connection).is_some_and(|conn| conn.admits(self.now).is_ok())
    }
}

impl Machine {
    /// What to do next. To be called after every event, and at the time that [`Step::Wait`] named.
    pub fn next(&mut self, now: Instant) -> Step {
        self.due_timers(now);
        let mut paused = Vec::new();
        while self.calls.len() < MAX_IN_FLIGHT {
            let Self { fair, breaker, limiter, connections, unaccepted_call, .. } = &mut *self;
            let unaccepted_call = unaccepted_call.is_some();
            let admission = DomainAdmission { breaker, limiter, connections, unaccepted_call, now };
            let next = fair.next(&admission, &mut paused);
            for connection in paused.drain(..) {
                let due = self.connections.get(&connection).and_then(|conn| conn.admits(now).err().flatten());
                if let Some(conn) = self.connections.get_mut(&connection) {
                    Self::set_timer(&mut self.timers, Timer::Connection(connection), &mut conn.timer, due);
                }
            }
            self.trim_timers();
            let Some((position, source)) = next else { break };
            // All of its jobs may have ended, but the number of the namespace is still needed below.
            self.fair.retain(position.ns);
            let started = match source {
                WorkSource::Removals(key) => self.start_batch(key, position, now),
                WorkSource::Reads(key) => self.start_page(key, position, now),
            };
            let pending = started.map(|(kind, owners)| self.start_call(position, kind, owners, now));
            self.fair.release(position.ns);
            if let Some(pending) = pending {
                return Step::Check(pending);
            }
        }
        self.idle(now)
    }

    fn idle(&self, now: Instant) -> Step {
        let wait = |class: &TrafficClass| match self.breaker.state(now) {
            State::Open(until) => Some(until),
            State::Closed | State::HalfOpen { .. } => self.limiter.wait_until(class.route, class.connection, now),
        };
        let full = self.calls.len() >= MAX_IN_FLIGHT;
        let paced = self.fair.groups().filter(|_| !full).filter_map(wait);
        let timer = self.timers.peek().map(|timer| timer.0.0);
        paced.chain(timer).min().map_or(Step::Idle, Step::Wait)
    }

    fn start_batch(&mut self, key: usize, position: Position, now: Instant) -> Option<(CallKind, Vec<JobId>)> {
        let (queue, jobs) = (self.queues.get_mut(key)?, &self.jobs);
        let item_of = |waiter: Waiter| jobs.get(waiter.job)?.removal.items.get(waiter.index).cloned();
        let batch = queue.take_batch(position.ns, item_of);
        queue.calls_in_flight += usize::from(!batch.is_empty());
        let waiters = || batch.iter().flat_map(|batched| &batched.waiters);
        let changed: Vec<NamespaceId> = waiters().map(|waiter| waiter.ns).chain([position.ns]).collect();
        let mut owners: Vec<JobId> = waiters().map(|waiter| waiter.job).collect();
        owners.sort_unstable();
        owners.dedup();
        self.refresh(WorkSource::Removals(key), &changed, now);
        let correlation = format!("{}-{}", self.correlation_prefix, self.last_id + 1).into();
        (!batch.is_empty()).then_some((CallKind::Delete { queue: key, batch, correlation }, owners))
    }

    fn start_call(
        &mut self,
        Position { class, ns, .. }: Position,
        kind: CallKind,
        owners: Vec<JobId>,
        now: Instant,
    ) -> PendingCall {
        self.last_id += 1;
        let (id, connection) = (self.last_id, class.connection);
        self.fair.call_started(class.priority, ns);
        let mut probe = false;
        if let Some(conn) = self.connections.get_mut(&connection) {
            conn.calls += 1;
            conn.checking += 1;
            let breaker = if conn.accepted { &mut self.breaker } else { &mut conn.breaker };
            probe = breaker.allow(now) == Allow::Now { probe: true };
            self.unaccepted_call = if conn.accepted { self.unaccepted_call } else { Some(id) };
        }
        let permit = self.limiter.acquire(class.route, now);
        let named = owners.iter().filter_map(|id| Some(self.jobs.get(*id)?.owner.clone())).collect();
        let purpose = match &kind {
            CallKind::Delete { .. } => Purpose::Remove,
            CallKind::Page { .. } => Purpose::Read,
        };
        let (scheduled, sent) = (false, false);
        self.calls.insert(id, Call { class, ns, probe, permit, started: now, scheduled, sent, owners, kind });
        PendingCall { id, connection, purpose, owners: named }
    }

    /// Takes the results of the preflight check, in the order of [`PendingCall::owners`]: the connection to use for
    /// each owner, or why nothing may be sent for it. Returns the time slot of the call; `None` if it must not be sent.
    pub fn preflighted(
        &mut self,
        id: CallId,
        results: &[Result<ConnectionKey, Refusal>],
        now: Instant,
    ) -> Option<Instant> {
        self.drop_refused(id, results, now)?;
        let call = self.calls.get_mut(&id)?;
        call.scheduled = true;
        let conn = self.connections.get_mut(&call.class.connection)?;
        // After a panic the limiter is new and knows no slots, so the last slot is also kept with the connection.
        let slot = self.limiter.reserve_slot(call.class.connection, conn.next_slot.map_or(now, |slot| slot.max(now)));
        conn.checking -= 1;
        conn.next_slot = Some(slot + conn.gap());
        Some(slot)
    }

    /// Checks a call right before it is sent, with results as in [`Self::preflighted`], and with the breaker and the
    /// limiter as they are now. Returns what to send and the owners it is for; `None` if the call was cancelled.
    pub fn send(
        &mut self,
        id: CallId,
        results: &[Result<ConnectionKey, Refusal>],
        now: Instant,
    ) -> Option<(Outgoing, Vec<Owner>)> {
        self.drop_refused(id, results, now)?;
        let call = self.calls.get_mut(&id)?;
        let (accepted, probe) = (self.connections.get(&call.class.connection)?.accepted, call.probe);
        let shut = |breaker: &Breaker| match breaker.state(now) {
            State::Closed => false,
            State::Open(_) => true,
            State::HalfOpen { .. } => !probe,
        };
        let own = &self.connections.get(&call.class.connection)?.breaker;
        let shut =
            if accepted { shut(&self.breaker) } else { shut(own) || matches!(self.breaker.state(now), State::Open(_)) };
        if shut || !self.limiter.confirm((call.class.route, call.class.connection), &mut call.permit, now) {
            self.cancel_call(id, now);
            return None;
        }
        let outgoing = match &call.kind {
            CallKind::Delete { queue, batch, correlation } => {
                let endpoint = self.queues.get(*queue)?.endpoint.clone();
                for waiter in batch.iter().flat_map(|batched| &batched.waiters) {
                    if let Some(job) = self.jobs.get_mut(waiter.job) {
                        job.items_in_flight += 1;
                    }
                }
                let items = batch.iter().map(|batched| batched.item.clone()).collect();
                Outgoing::Remove { endpoint, items, correlation: correlation.clone() }
            }
            CallKind::Page { list } => {
                let walk = &self.read_queues.get(*list)?.walk.as_ref()?.walk;
                Outgoing::Page { read: walk.read().clone(), query: walk.query() }
            }
        };
        call.sent = true;
        let mut owners = Vec::with_capacity(call.owners.len());
        for id in &call.owners {
            let Some(job) = self.jobs.get_mut(*id) else { continue };
            job.rate_limited = false;
            owners.push(job.owner.clone());
            self.estimator.job_started(job);
        }
        self.estimator.call_sent(matches!(outgoing, Outgoing::Remove { .. }).then_some(owners.len()), now);
        Some((outgoing, owners))
    }

    /// Ends the jobs of the owners that were refused or have another connection. If no job of the call is left, cancels
    /// the call and returns `None`.
    fn drop_refused(&mut self, id: CallId, results: &[Result<ConnectionKey, Refusal>], now: Instant) -> Option<()> {
        let call = self.calls.get(&id)?;
        let connection = call.class.connection;
        let refusal = |result: &Result<ConnectionKey, Refusal>| match result {
            Ok(key) if *key == connection => None,
            Ok(_) => Some(Refusal::OtherConnection),
            Err(refusal) => Some(*refusal),
        };
        let refused = call.owners.iter().zip(results).filter_map(|(owner, result)| Some((*owner, refusal(result)?)));
        for (owner, refusal) in refused.collect::<Vec<_>>() {
            let dropped = self.drop_job(owner, refusal, now);
            self.ended.extend(dropped);
        }
        let call = self.calls.get_mut(&id)?;
        let jobs = &self.jobs;
        let alive = |id: JobId| jobs.get(id).is_some();
        let mut dropped = Vec::new();
        let wanted = match &mut call.kind {
            CallKind::Delete { batch, .. } => {
                batch.iter_mut().for_each(|batched| batched.waiters.retain(|waiter| alive(waiter.job)));
                dropped.extend(batch.extract_if(.., |batched| batched.waiters.is_empty()));
                !batch.is_empty()
            }
            CallKind::Page { .. } => call.owners.iter().any(|owner| alive(*owner)),
        };
        if let CallKind::Delete { queue, .. } = call.kind {
            let mut changed = Vec::new();
            for batched in dropped {
                self.release_item(queue, &batched, &mut changed);
            }
            self.refresh(WorkSource::Removals(queue), &changed, now);
        }
        if !wanted {
            self.cancel_call(id, now);
        }
        wanted.then_some(())
    }

    /// Cancels a call that was not sent. What it was for waits again.
    pub fn cancel_call(&mut self, id: CallId, now: Instant) {
        let Some(call) = self.calls.remove(&id) else { return };
        self.call_finished(id, &call, false, now);
        self.limiter.release(call.permit, now);
        self.requeue(call.kind, now);
    }

    /// A call is no longer in flight. `answered`: Auth0 answered it, with something other than 429.
    pub(super) fn call_finished(&mut self, id: CallId, call: &Call, answered: bool, now: Instant) {
        self.unaccepted_call = self.unaccepted_call.filter(|call| *call != id);
        if let Some(conn) = self.connections.get_mut(&call.class.connection) {
            conn.calls -= 1;
            conn.checking -= u32::from(!call.scheduled);
            if call.probe {
                let breaker = if conn.accepted { &mut self.breaker } else { &mut conn.breaker };
                breaker.probe_finished(now, answered);
            }
        }
        self.fair.set_paused(call.class.connection, false);
        self.fair.call_finished(call.ns);
        if let (CallKind::Delete { batch, .. }, true) = (&call.kind, call.sent) {
            for waiter in batch.iter().flat_map(|batched| &batched.waiters) {
                if let Some(job) = self.jobs.get_mut(waiter.job) {
                    job.items_in_flight -= 1;
                }
            }
        }
    }

    /// Puts back what a call was for.
    pub(super) fn requeue(&mut self, kind: CallKind, now: Instant) {
        match kind {
            CallKind::Delete { queue, batch, .. } => {
                let again = batch.into_iter().map(|batched| {
                    let suspect = batched.suspect;
                    (batched, suspect)
                });
                self.requeue_items(queue, again.collect(), now);
            }
            CallKind::Page { list } => {
                if let Some(list) = self.read_queues.get_mut(list) {
                    list.page_in_flight = false;
                }
                self.refresh(WorkSource::Reads(list), &[], now);
            }
        }
    }
}
