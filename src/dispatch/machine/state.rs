//! The state of the machine, and the operations on it that concern more than one of its parts.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use foldhash::{HashMap, HashMapExt};
use jiff::Timestamp;
use slab::Slab;

use crate::auth0::{Domain, Endpoint, Read};
use crate::capacity::{shrink_map, shrink_slab};
use crate::dispatch::breaker::Breaker;
use crate::dispatch::connection::{ConnectionKey, Limits};
use crate::dispatch::facts::Facts;
use crate::dispatch::fair_queue::{FairQueue, NamespaceId, Priority};
use crate::dispatch::job::{End, Job, Owner, Refusal, Report};
use crate::dispatch::limiter::{Limiter, Route};

use super::call::{Call, CallId, delete_route};
use super::connection_state::ConnectionState;
use super::endpoint_queue::{EndpointQueue, Waiter};
use super::estimate::{MIN_REPORTED_WAIT, REPORT_WAIT_AFTER, WaitEstimator};
use super::jobs::{JobId, Jobs, NextStep, Phase, Suspect};
use super::read_queue::{KnownLength, LENGTH_TTL, ReadQueue};

/// Decides everything for one domain.
#[derive(Debug)]
pub struct Machine {
    pub(super) domain: Domain,
    pub(super) jobs: Jobs,
    pub(super) queues: Slab<EndpointQueue>,
    pub(super) queue_at: HashMap<(Endpoint, ConnectionKey), usize>,
    pub(super) read_queues: Slab<ReadQueue>,
    pub(super) read_queue_at: HashMap<(Read, ConnectionKey, bool), usize>,
    pub(super) known_lengths: HashMap<(Endpoint, ConnectionKey), KnownLength>,
    pub(super) facts: Facts,
    pub(super) fair: FairQueue<WorkSource>,
    pub(super) timers: BinaryHeap<Reverse<(Instant, Timer)>>,
    pub(super) calls: HashMap<CallId, Call>,
    /// The connections of calls that were in flight at a panic and have not been answered since.
    pub(super) interrupted: HashMap<CallId, ConnectionKey>,
    pub(super) connections: HashMap<ConnectionKey, ConnectionState>,
    /// The call in flight with a connection that Auth0 has not accepted yet. There is at most one such call in the
    /// domain.
    pub(super) unaccepted_call: Option<CallId>,
    pub(super) breaker: Breaker,
    pub(super) limiter: Limiter,
    /// When Auth0 last accepted a DELETE on each route with each connection.
    pub(super) last_accepted: HashMap<(Route, ConnectionKey), Instant>,
    pub(super) ended: Vec<(Owner, Report)>,
    pub(super) woken: Vec<Owner>,
    pub(super) estimator: WaitEstimator,
    /// A time of the wall clock, and the same moment on the steady clock.
    pub(super) wall_clock: (Timestamp, Instant),
    pub(super) last_id: CallId,
    pub(super) correlation_prefix: Arc<str>,
}

/// A queue that can start a call, by its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum WorkSource {
    Removals(usize),
    Reads(usize),
}

/// What a timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Timer {
    Source(WorkSource),
    Connection(ConnectionKey),
    /// Wakes the owner of this job, to show that it waits.
    ReportWait(JobId),
}

impl Machine {
    /// A machine without jobs. The correlation ids of its calls are `{prefix}-{number}`. `wall` is the time of the wall
    /// clock at `now`.
    pub fn new(domain: Domain, prefix: &str, wall: Timestamp, now: Instant) -> Self {
        Self {
            domain,
            jobs: Jobs::default(),
            queues: Slab::new(),
            queue_at: HashMap::new(),
            read_queues: Slab::new(),
            read_queue_at: HashMap::new(),
            known_lengths: HashMap::new(),
            facts: Facts::default(),
            fair: FairQueue::default(),
            timers: BinaryHeap::new(),
            calls: HashMap::new(),
            interrupted: HashMap::new(),
            connections: HashMap::new(),
            unaccepted_call: None,
            breaker: Breaker::default(),
            limiter: Limiter::new(now),
            last_accepted: HashMap::new(),
            ended: Vec::new(),
            woken: Vec::new(),
            estimator: WaitEstimator::new(now),
            wall_clock: (wall, now),
            last_id: 0,
            correlation_prefix: prefix.into(),
        }
    }

    /// Takes a job, to be carried out with this connection. Does nothing if its owner already has one.
    pub fn submit(&mut self, connection: ConnectionKey, job: Job, now: Instant) {
        let fair = &mut self.fair;
        let Some(id) = self.jobs.insert(job, connection, now, |namespace| fair.register(namespace)) else { return };
        self.connections.entry(connection).or_insert_with(ConnectionState::new).jobs += 1;
        if let Some(job) = self.jobs.get_mut(id) {
            self.estimator.job_submitted(job);
        }
        self.timers.push(Reverse((now + REPORT_WAIT_AFTER, Timer::ReportWait(id))));
        self.trim_timers();
        if self.has_just_learned(id, now) {
            let ended = self.end_job(id, End::Learned, now);
            self.ended.extend(ended);
        }
        self.advance(id, now);
    }

    /// Ends a job early, and returns what it has achieved so far.
    pub fn take_back(&mut self, uid: &str, now: Instant) -> Option<Report> {
        let id = self.jobs.find(uid)?;
        self.drop_job(id, Refusal::Withdrawn, now).map(|(_, report)| report)
    }

    /// Sets the limits of a tenant object that has this connection.
    pub fn set_limits(&mut self, connection: ConnectionKey, tenant: &Arc<str>, limits: Limits, now: Instant) {
        let conn = self.connections.entry(connection).or_insert_with(ConnectionState::new);
        if conn.set_limits(tenant, limits, now) {
            let (limits, limit_profile) = (conn.limits, conn.limit_profile());
            self.limiter.set_limits(connection, limits);
            self.fair.regroup(connection, limit_profile);
        }
    }

    /// Opens the domain's circuit breaker for this long if the connection is accepted, otherwise only that of the
    /// connection.
    pub fn hold(&mut self, connection: ConnectionKey, wait: Duration, now: Instant) {
        let until = now + self.round_up_to_second(wait, now);
        let conn = self.connections.entry(connection).or_insert_with(ConnectionState::new);
        if conn.accepted { self.breaker.open(until) } else { conn.breaker.open(until) }
    }

    /// Rounds a wait that is long enough to be shown, so that it ends at a whole second of the wall clock.
    pub(super) fn round_up_to_second(&self, wait: Duration, now: Instant) -> Duration {
        let fraction = (self.wall_at(now) + wait).subsec_nanosecond().unsigned_abs();
        let rest = Duration::from_nanos(u64::from((1_000_000_000 - fraction) % 1_000_000_000));
        if wait > MIN_REPORTED_WAIT { wait + rest } else { wait }
    }

    pub(super) fn wall_at(&self, now: Instant) -> Timestamp {
        self.wall_clock.0 + now.saturating_duration_since(self.wall_clock.1)
    }

    /// Whether Auth0 has accepted a call with this connection since the start.
    pub fn accepted(&self, connection: ConnectionKey) -> bool {
        self.connections.get(&connection).is_some_and(|conn| conn.accepted)
    }

    /// Forgets connections that are not in `alive` and have neither jobs nor calls, and what was learned too long ago.
    /// Returns whether the machine is still needed.
    #[allow(clippy::disallowed_methods, reason = "they become a set")]
    pub fn retain(&mut self, alive: &HashSet<ConnectionKey>, now: Instant) -> bool {
        self.connections.retain(|key, conn| alive.contains(key) || conn.jobs > 0 || conn.calls > 0);
        let connections = &self.connections;
        self.limiter.retain(&connections.keys().copied().collect());
        self.last_accepted.retain(|(_, key), _| connections.contains_key(key));
        let is_known = |length: &KnownLength| now < length.learned_at + LENGTH_TTL;
        self.known_lengths.retain(|(_, key), length| connections.contains_key(key) && is_known(length));
        self.facts.retain(|key| connections.contains_key(key), now);
        self.trim_timers();
        !self.connections.is_empty() || !self.ended.is_empty() || self.breaker.open_for(now).is_some()
    }

    /// The reports of the jobs that have ended since the last call of this.
    pub fn ended(&mut self) -> Vec<(Owner, Report)> {
        std::mem::take(&mut self.ended)
    }

    /// The owners that should look at their jobs again, since the last call of this.
    pub fn woken(&mut self) -> Vec<Owner> {
        std::mem::take(&mut self.woken)
    }

    /// The number of jobs.
    pub fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Whether there are no jobs.
    pub fn is_empty(&self) -> bool {
        self.jobs.len() == 0
    }

    /// The number of calls that were started and have not ended.
    pub fn in_flight(&self) -> usize {
        self.calls.len() + self.interrupted.len()
    }

    /// Rebuilds the machine after a panic from its jobs, connections and breaker; no other state can be trusted. Calls
    /// that were in flight count as unanswered, but a 429 to one of them is still obeyed.
    #[allow(clippy::iter_over_hash_type, reason = "each is reset by itself")]
    pub fn rebuild(&mut self, now: Instant) {
        let mut new = Self::new(self.domain.clone(), &self.correlation_prefix, self.wall_clock.0, self.wall_clock.1);
        std::mem::swap(&mut new, self);
        (self.last_id, self.ended, self.woken) = (new.last_id + 1, new.ended, new.woken);
        (self.breaker, self.connections, self.interrupted) = (new.breaker, new.connections, new.interrupted);
        let in_flight = new.calls.into_iter().filter(|(_, call)| call.sent);
        self.interrupted.extend(in_flight.map(|(id, call)| (id, call.class.connection)));
        self.breaker.probe_finished(now, false);
        for (key, conn) in &mut self.connections {
            (conn.jobs, conn.calls, conn.checking, conn.timer) = (0, 0, 0, None);
            conn.breaker.probe_finished(now, false);
            self.limiter.set_limits(*key, conn.limits);
        }
        let mut jobs: Vec<_> = new.jobs.iter().collect();
        jobs.sort_unstable_by_key(|(id, _)| *id);
        for (_, job) in jobs {
            self.submit(job.connection, job.to_job(), now);
        }
    }

    /// Does what a job needs next.
    pub(super) fn advance(&mut self, id: JobId, now: Instant) {
        let Some(job) = self.jobs.get_mut(id) else { return };
        let proving = job.phase == Phase::Proving;
        let step = job.next_step();
        // Its status does not say yet what Auth0 accepted, and a restart must not forget that (promise 8).
        let is_newly_accepted = std::mem::take(&mut job.newly_accepted);
        if job.wait_reported && (is_newly_accepted || (!proving && job.phase == Phase::Proving)) {
            self.woken.push(job.owner.clone());
        }
        match step {
            NextStep::Wait => {}
            NextStep::Read(request) => self.request_read(id, request, now),
            NextStep::Remove { items, later } => self.queue_items(id, items, later, now),
            NextStep::End(end) => {
                let ended = self.end_job(id, end, now);
                self.ended.extend(ended);
            }
        }
    }

    /// Ends a job early. Items and reads that other jobs wait for, too, are not affected.
    pub(super) fn drop_job(&mut self, id: JobId, refusal: Refusal, now: Instant) -> Option<(Owner, Report)> {
        self.end_job(id, End::HandedBack(refusal), now)
    }

    /// Removes a job and whatever waits on its behalf, and returns its report.
    pub(super) fn end_job(&mut self, id: JobId, end: End, now: Instant) -> Option<(Owner, Report)> {
        let mut job = self.jobs.remove(id)?;
        if let Some(key) = self.queue_at.get(&(job.removal.endpoint.clone(), job.connection)).copied()
            && job.open_items > 0
        {
            for (index, item) in job.removal.items.iter().enumerate() {
                self.queues[key].remove_waiter(item, Waiter { ns: job.ns, job: id, index });
            }
            self.refresh(WorkSource::Removals(key), &[job.ns], now);
        }
        self.estimator.job_ended(&mut job);
        self.fair.release(job.ns);
        if let Some(conn) = self.connections.get_mut(&job.connection) {
            conn.jobs -= 1;
        }
        self.trim_timers();
        let report = job.report(end, &self.domain);
        Some((job.owner, report))
    }

    /// Queues a DELETE for items of a job.
    pub(super) fn queue_items(&mut self, id: JobId, items: Vec<(usize, Option<Suspect>)>, later: bool, now: Instant) {
        let Some(job) = self.jobs.get(id) else { return };
        let (ns, connection) = (job.ns, job.connection);
        let at = self.queue_at.entry((job.removal.endpoint.clone(), connection));
        let key = *at.or_insert_with_key(|(endpoint, connection)| {
            self.queues.insert(EndpointQueue::new(endpoint.clone(), *connection))
        });
        if later {
            self.queues[key].await_lists(now);
        }
        for (index, suspect) in items {
            self.queues[key].add(job.removal.items[index].clone(), Waiter { ns, job: id, index }, suspect);
        }
        self.refresh(WorkSource::Removals(key), &[ns], now);
    }

    /// Updates the positions of a queue in the fair queue. `changed` must contain all namespaces whose positions may
    /// have changed.
    pub(super) fn refresh(&mut self, source: WorkSource, changed: &[NamespaceId], now: Instant) {
        match source {
            WorkSource::Removals(key) => self.refresh_removals(key, changed, now),
            WorkSource::Reads(key) => self.refresh_reads(key, changed, now),
        }
    }

    pub(super) fn limit_profile(&self, connection: ConnectionKey) -> u8 {
        self.connections.get(&connection).map_or(0, ConnectionState::limit_profile)
    }

    pub(super) fn refresh_removals(&mut self, key: usize, changed: &[NamespaceId], now: Instant) {
        let Some(connection) = self.queues.get(key).map(|queue| queue.connection) else { return };
        let limit_profile = self.limit_profile(connection);
        let queue = &mut self.queues[key];
        let ready = queue.ready(now);
        let mut positions = std::mem::take(&mut queue.positions);
        let all = if ready.is_ok() && !positions.ready { queue.namespaces() } else { changed.to_vec() };
        let class = (delete_route(&queue.endpoint), connection, limit_profile);
        let front = |ns| queue.front(ns).map(|waiter| (Priority::Removal, waiter.job.stamp));
        self.fair.update(WorkSource::Removals(key), &mut positions, ready.is_ok(), all, class, front);
        queue.positions = positions;
        Self::set_timer(
            &mut self.timers,
            Timer::Source(WorkSource::Removals(key)),
            &mut queue.timer,
            ready.err().flatten(),
        );
        if queue.is_empty() {
            let queue = self.queues.remove(key);
            let at = (queue.endpoint, connection);
            self.queue_at.remove(&at);
            shrink_slab(&mut self.queues);
            shrink_map(&mut self.queue_at);
            // Proofs may have waited for the removals.
            if let Some(list) = self.read_queue_at.get(&(Read::List(at.0), connection, false)).copied() {
                self.refresh(WorkSource::Reads(list), &[], now);
            }
        }
        self.trim_timers();
    }

    /// Moves a timer. The old entry stays in the heap until it is due or trimmed, and is ignored then.
    pub(super) fn set_timer(
        timers: &mut BinaryHeap<Reverse<(Instant, Timer)>>,
        timer: Timer,
        set: &mut Option<Instant>,
        due: Option<Instant>,
    ) {
        if *set != due {
            *set = due;
            timers.extend(due.map(|due| Reverse((due, timer))));
        }
    }

    /// Removes timers that were moved, once there are more than twice as many as are needed.
    pub(super) fn trim_timers(&mut self) {
        let units = self.jobs.len() + self.queues.len() + self.read_queues.len() + self.connections.len();
        if self.timers.len() > 2 * units + 64 {
            let mut timers = std::mem::take(&mut self.timers);
            timers.retain(|Reverse((due, timer))| self.is_current(*timer, *due));
            self.timers = timers;
        }
    }

    /// Whether an entry of the heap was neither moved nor made unnecessary.
    pub(super) fn is_current(&self, timer: Timer, due: Instant) -> bool {
        match timer {
            Timer::Source(WorkSource::Removals(key)) => {
                self.queues.get(key).is_some_and(|queue| queue.timer == Some(due))
            }
            Timer::Source(WorkSource::Reads(key)) => {
                self.read_queues.get(key).is_some_and(|list| list.timer == Some(due))
            }
            Timer::Connection(key) => self.connections.get(&key).is_some_and(|conn| conn.timer == Some(due)),
            Timer::ReportWait(id) => self.jobs.get(id).is_some_and(|job| !job.wait_reported),
        }
    }

    pub(super) fn due_timers(&mut self, now: Instant) {
        while let Some(Reverse((due, timer))) = self.timers.peek().copied()
            && due <= now
        {
            self.timers.pop();
            if !self.is_current(timer, due) {
                continue;
            }
            match timer {
                Timer::Source(source) => {
                    match source {
                        WorkSource::Removals(key) => self.queues[key].timer = None,
                        WorkSource::Reads(key) => self.read_queues[key].timer = None,
                    }
                    self.refresh(source, &[], now);
                }
                Timer::Connection(key) => {
                    if let Some(conn) = self.connections.get_mut(&key) {
                        conn.timer = None;
                    }
                    self.fair.set_paused(key, false);
                }
                Timer::ReportWait(id) => self.report_wait(id),
            }
        }
    }
}
