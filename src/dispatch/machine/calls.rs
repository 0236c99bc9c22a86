//! The life of a call until it leaves: begun in somebody's turn, checked with its owners, given its moment, and looked at
//! once more right before it is sent. Whatever does not leave is put back, and nobody loses anything by it.

use std::time::Instant;

use crate::dispatch::breaker::{Allow, Breaker, State};
use crate::dispatch::connection::ConnectionKey;
use crate::dispatch::fair_queue::{Class, Gate, MAX_IN_FLIGHT, Ns, Place};
use crate::dispatch::job::{Owner, Refusal};
use crate::dispatch::limiter::Limiter;

use foldhash::HashMap;

use super::call::{Ask, Call, CallId, Outgoing, Step, What};
use super::connections::Conn;
use super::jobs::JobId;
use super::state::{Machine, Timer, Work};

/// What lets calls leave now.
struct Open<'a> {
    breaker: &'a Breaker,
    limiter: &'a Limiter,
    conns: &'a HashMap<ConnectionKey, Conn>,
    first: bool,
    now: Instant,
}

impl Gate for Open<'_> {
    fn passes(&self, class: &Class) -> bool {
        let accepted = self.conns.get(&class.connection).is_some_and(|conn| conn.accepted);
        let shut = match self.breaker.state(self.now) {
            State::Closed => false,
            State::Open(_) => true,
            State::HalfOpen { probing } => accepted && probing,
        };
        let free = !shut && (accepted || !self.first);
        free && self.limiter.wait_until(class.call, class.connection, self.now).is_none()
    }

    fn admits(&self, connection: ConnectionKey) -> bool {
        self.conns.get(&connection).is_some_and(|conn| conn.admits(self.now).is_ok())
    }
}

impl Machine {
    /// What to do now. To be asked again after every event and whenever the time it named has come.
    pub fn next(&mut self, now: Instant) -> Step {
        self.due_timers(now);
        let mut aside = Vec::new();
        while self.calls.len() < MAX_IN_FLIGHT {
            let Self { fair, breaker, limiter, conns, first, .. } = &mut *self;
            let next = fair.next(&Open { breaker, limiter, conns, first: first.is_some(), now }, &mut aside);
            for connection in aside.drain(..) {
                let due = self.conns.get(&connection).and_then(|conn| conn.admits(now).err().flatten());
                if let Some(conn) = self.conns.get_mut(&connection) {
                    Self::set_timer(&mut self.timers, Timer::Connection(connection), &mut conn.timer, due);
                }
            }
            self.trim_timers();
            let Some((place, work)) = next else { break };
            // Its jobs may be gone, and its number is still needed.
            self.fair.keep(place.ns);
            let begun = match work {
                Work::Queue(key) => self.begin_batch(key, place, now),
                Work::List(key) => self.begin_page(key, place, now),
            };
            let ask = begun.map(|(what, owners)| self.begin(place, what, owners, now));
            self.fair.leave(place.ns);
            if let Some(ask) = ask {
                return Step::Check(ask);
            }
        }
        self.idle(now)
    }

    fn idle(&self, now: Instant) -> Step {
        let wait = |class: &Class| match self.breaker.state(now) {
            State::Open(until) => Some(until),
            _ => self.limiter.wait_until(class.call, class.connection, now),
        };
        let full = self.calls.len() >= MAX_IN_FLIGHT;
        let paced = self.fair.groups().filter(|_| !full).filter_map(wait);
        let timer = self.timers.peek().map(|timer| timer.0.0);
        paced.chain(timer).min().map_or(Step::Idle, Step::Wait)
    }

    fn begin_batch(&mut self, key: usize, place: Place, now: Instant) -> Option<(What, Vec<JobId>)> {
        let (queue, jobs) = (self.queues.get_mut(key)?, &mut self.jobs);
        let item_of = |waiter: super::queue::Waiter| jobs.get(waiter.job)?.removal.items.get(waiter.index).cloned();
        let parts = queue.take(place.ns, item_of);
        queue.out += usize::from(!parts.is_empty());
        let waiters = || parts.iter().flat_map(|part| &part.waiters);
        for waiter in waiters() {
            if let Some(job) = jobs.get_mut(waiter.job) {
                job.out += 1;
            }
        }
        let changed: Vec<Ns> = waiters().map(|waiter| waiter.ns).chain([place.ns]).collect();
        let mut owners: Vec<JobId> = waiters().map(|waiter| waiter.job).collect();
        owners.sort_unstable();
        owners.dedup();
        self.refresh(Work::Queue(key), &changed, now);
        let correlation = format!("{}-{}", self.prefix, self.ids + 1).into();
        (!parts.is_empty()).then_some((What::Delete { queue: key, parts, correlation }, owners))
    }

    fn begin(&mut self, Place { class, ns, .. }: Place, what: What, owners: Vec<JobId>, now: Instant) -> Ask {
        self.ids += 1;
        let (id, connection) = (self.ids, class.connection);
        self.fair.begun(class.rank, ns);
        let mut probe = false;
        if let Some(conn) = self.conns.get_mut(&connection) {
            conn.calls += 1;
            conn.checking += 1;
            let breaker = if conn.accepted { &mut self.breaker } else { &mut conn.breaker };
            probe = breaker.allow(now) == Allow::Now { probe: true };
            self.first = if conn.accepted { self.first } else { Some(id) };
        }
        let reserved = self.limiter.sent(class.call, now);
        let named = owners.iter().filter_map(|id| Some(self.jobs.get(*id)?.owner.clone())).collect();
        self.calls.insert(id, Call { class, ns, probe, reserved, begun: now, slotted: false, owners, what });
        Ask { id, connection, owners: named }
    }

    /// What the preflight check said, in the order of [`Ask::owners`]: the connection to use for each, or why nothing is to
    /// be sent for it any more. When the call may leave; `None` if it is not to.
    pub fn preflighted(
        &mut self,
        id: CallId,
        results: &[Result<ConnectionKey, Refusal>],
        now: Instant,
    ) -> Option<Instant> {
        self.refuse(id, results, now)?;
        let call = self.calls.get_mut(&id)?;
        call.slotted = true;
        let conn = self.conns.get_mut(&call.class.connection)?;
        // After a panic the limiter is a new one, the ceiling is not.
        let slot = self.limiter.slot(call.class.connection, conn.next_slot.map_or(now, |slot| slot.max(now)));
        conn.checking -= 1;
        conn.next_slot = Some(slot + conn.gap());
        Some(slot)
    }

    /// The last look, at the moment of the send: the same once more, and whether the breaker and the limiter still let it
    /// leave. What to send and for whom; `None` if the call is put back.
    pub fn send(
        &mut self,
        id: CallId,
        results: &[Result<ConnectionKey, Refusal>],
        now: Instant,
    ) -> Option<(Outgoing, Vec<Owner>)> {
        self.refuse(id, results, now)?;
        let call = self.calls.get_mut(&id)?;
        let (accepted, probe) = (self.conns.get(&call.class.connection)?.accepted, call.probe);
        let shut = |breaker: &Breaker| match breaker.state(now) {
            State::Closed => false,
            State::Open(_) => true,
            State::HalfOpen { .. } => !probe,
        };
        let own = &self.conns.get(&call.class.connection)?.breaker;
        let shut =
            if accepted { shut(&self.breaker) } else { shut(own) || matches!(self.breaker.state(now), State::Open(_)) };
        if shut || !self.limiter.confirm(call.class.connection, &mut call.reserved, now) {
            self.call_off(id, now);
            return None;
        }
        let outgoing = match &call.what {
            What::Delete { queue, parts, correlation } => Outgoing::Remove {
                endpoint: self.queues.get(*queue)?.endpoint.clone(),
                items: parts.iter().map(|part| part.item.clone()).collect(),
                correlation: correlation.clone(),
            },
            What::Page { list } => {
                let walk = &self.lists.get(*list)?.walk.as_ref()?.walk;
                Outgoing::Page { read: walk.read().clone(), query: walk.query() }
            }
        };
        let mut owners = Vec::with_capacity(call.owners.len());
        for id in &call.owners {
            let Some(job) = self.jobs.get_mut(*id) else { continue };
            job.limited = false;
            owners.push(job.owner.clone());
            self.pace.begun(job);
        }
        self.pace.sent(matches!(outgoing, Outgoing::Remove { .. }).then_some(owners.len()), now);
        Some((outgoing, owners))
    }

    /// Drops those for whom nothing is to be sent, with what came of their jobs so far. `None` if nobody of the call is left,
    /// which is called off then.
    fn refuse(&mut self, id: CallId, results: &[Result<ConnectionKey, Refusal>], now: Instant) -> Option<()> {
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
        let wanted = match &mut call.what {
            What::Delete { parts, .. } => {
                parts.iter_mut().for_each(|part| part.waiters.retain(|waiter| alive(waiter.job)));
                dropped.extend(parts.extract_if(.., |part| part.waiters.is_empty()));
                !parts.is_empty()
            }
            What::Page { .. } => call.owners.iter().any(|owner| alive(*owner)),
        };
        if let What::Delete { queue, .. } = call.what {
            let mut changed = Vec::new();
            for part in dropped {
                self.release(queue, &part, &mut changed);
            }
            self.refresh(Work::Queue(queue), &changed, now);
        }
        if !wanted {
            self.call_off(id, now);
        }
        wanted.then_some(())
    }

    /// A call that was begun does not leave; what it was for waits again.
    pub fn call_off(&mut self, id: CallId, now: Instant) {
        let Some(call) = self.calls.remove(&id) else { return };
        self.finish(id, &call, false, now);
        self.limiter.unsent(call.reserved, now);
        self.put_back(call.what, now);
    }

    /// A call is not on its way any more. `answered`: by Auth0.
    pub(super) fn finish(&mut self, id: CallId, call: &Call, answered: bool, now: Instant) {
        self.first = self.first.filter(|first| *first != id);
        if let Some(conn) = self.conns.get_mut(&call.class.connection) {
            conn.calls -= 1;
            conn.checking -= u32::from(!call.slotted);
            if call.probe {
                let breaker = if conn.accepted { &mut self.breaker } else { &mut conn.breaker };
                breaker.probe_finished(now, answered);
            }
        }
        self.fair.hold(call.class.connection, false);
        self.fair.ended(call.ns);
        if let What::Delete { parts, .. } = &call.what {
            for waiter in parts.iter().flat_map(|part| &part.waiters) {
                if let Some(job) = self.jobs.get_mut(waiter.job) {
                    job.out -= 1;
                }
            }
        }
    }

    pub(super) fn put_back(&mut self, what: What, now: Instant) {
        match what {
            What::Delete { queue, parts, .. } => {
                let again = parts.into_iter().map(|part| {
                    let suspect = part.suspect;
                    (part, suspect)
                });
                self.send_again(queue, again.collect(), now);
            }
            What::Page { list } => {
                if let Some(list) = self.lists.get_mut(list) {
                    list.out = false;
                }
                self.refresh(Work::List(list), &[], now);
            }
        }
    }
}
