//! What a machine knows, and what is done to it as a whole.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use foldhash::{HashMap, HashMapExt};
use jiff::Timestamp;
use slab::Slab;

use crate::auth0::{Domain, Endpoint, Read};
use crate::dispatch::breaker::Breaker;
use crate::dispatch::connection::{ConnectionKey, Limits};
use crate::dispatch::fair_queue::{FairQueue, Ns, Rank};
use crate::dispatch::job::{End, Job, Owner, Refusal, Report};
use crate::dispatch::limiter::{CallName, Limiter};

use super::call::{Call, CallId, delete};
use super::connections::Conn;
use super::jobs::{JobId, Jobs, Need, Phase, Suspect};
use super::list::{Length, List};
use super::pace::{Pace, SHORT_WAIT, WAIT_SHOWN};
use super::queue::{EndpointQueue, Waiter};

/// The decisions for one domain.
#[derive(Debug)]
pub struct Machine {
    pub(super) domain: Domain,
    pub(super) jobs: Jobs,
    pub(super) queues: Slab<EndpointQueue>,
    pub(super) queue_at: HashMap<(Endpoint, ConnectionKey), usize>,
    pub(super) lists: Slab<List>,
    pub(super) list_at: HashMap<(Read, ConnectionKey, bool), usize>,
    pub(super) lengths: HashMap<(Endpoint, ConnectionKey), Length>,
    pub(super) fair: FairQueue<Work>,
    pub(super) timers: BinaryHeap<Reverse<(Instant, Timer)>>,
    pub(super) calls: HashMap<CallId, Call>,
    pub(super) conns: HashMap<ConnectionKey, Conn>,
    /// The first call of a connection that is not accepted yet: one at a time.
    pub(super) first: Option<CallId>,
    pub(super) breaker: Breaker,
    pub(super) limiter: Limiter,
    /// When each kind of DELETE was last accepted.
    pub(super) worked: HashMap<(CallName, ConnectionKey), Instant>,
    pub(super) ended: Vec<(Owner, Report)>,
    pub(super) woken: Vec<Owner>,
    pub(super) pace: Pace,
    /// The clock on the wall at some moment.
    pub(super) wall: (Timestamp, Instant),
    pub(super) ids: CallId,
    pub(super) prefix: Arc<str>,
}

/// What could send a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Work {
    Queue(usize),
    List(usize),
}

/// What is looked at again at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    Work(Work),
    Connection(ConnectionKey),
    /// This job's owner is told that it waits.
    Shown(JobId),
}

impl Machine {
    /// With nothing to do. Calls are named `{prefix}-{number}` in Auth0's logs.
    pub fn new(domain: Domain, prefix: &str, wall: Timestamp, now: Instant) -> Self {
        Self {
            domain,
            jobs: Jobs::default(),
            queues: Slab::new(),
            queue_at: HashMap::new(),
            lists: Slab::new(),
            list_at: HashMap::new(),
            lengths: HashMap::new(),
            fair: FairQueue::default(),
            timers: BinaryHeap::new(),
            calls: HashMap::new(),
            conns: HashMap::new(),
            first: None,
            breaker: Breaker::default(),
            limiter: Limiter::new(now),
            worked: HashMap::new(),
            ended: Vec::new(),
            woken: Vec::new(),
            pace: Pace::new(now),
            wall: (wall, now),
            ids: 0,
            prefix: prefix.into(),
        }
    }

    /// Takes a job over, to be done with this connection. Does nothing while its owner has one.
    pub fn submit(&mut self, connection: ConnectionKey, job: Job, now: Instant) {
        let fair = &mut self.fair;
        let Some(id) = self.jobs.insert(job, connection, now, |namespace| fair.enter(namespace)) else { return };
        self.conns.entry(connection).or_insert_with(Conn::new).jobs += 1;
        if let Some(job) = self.jobs.get_mut(id) {
            self.pace.came(job);
        }
        self.timers.push(Reverse((now + WAIT_SHOWN, Timer::Shown(id))));
        self.trim_timers();
        self.advance(id, now);
    }

    /// Takes a job back, with what came of it so far; nothing more is done for it.
    pub fn take_back(&mut self, uid: &str, now: Instant) -> Option<Report> {
        let id = self.jobs.find(uid)?;
        self.drop_job(id, Refusal::Withdrawn, now).map(|(_, report)| report)
    }

    /// These are the settings of this tenant object, which has this connection, now.
    pub fn set_limits(&mut self, connection: ConnectionKey, tenant: &Arc<str>, limits: Limits, now: Instant) {
        let conn = self.conns.entry(connection).or_insert_with(Conn::new);
        if conn.set_limits(tenant, limits, now) {
            let (limits, flavor) = (conn.limits, conn.flavor());
            self.limiter.set_limits(connection, limits);
            self.fair.regroup(connection, flavor);
        }
    }

    /// Sends nothing for this long: to the whole domain if the connection is accepted, else with it alone.
    pub fn hold(&mut self, connection: ConnectionKey, wait: Duration, now: Instant) {
        let until = now + self.whole(wait, now);
        let conn = self.conns.entry(connection).or_insert_with(Conn::new);
        if conn.accepted { self.breaker.open(until) } else { conn.breaker.open(until) }
    }

    /// A wait that is long enough to be shown ends at a whole second by the clock on the wall.
    pub(super) fn whole(&self, wait: Duration, now: Instant) -> Duration {
        let part = (self.wall(now) + wait).subsec_nanosecond().unsigned_abs();
        let rest = Duration::from_nanos(u64::from((1_000_000_000 - part) % 1_000_000_000));
        if wait > SHORT_WAIT { wait + rest } else { wait }
    }

    pub(super) fn wall(&self, now: Instant) -> Timestamp {
        self.wall.0 + now.saturating_duration_since(self.wall.1)
    }

    /// Whether Auth0 accepted a call with this connection since the start.
    pub fn accepted(&self, connection: ConnectionKey) -> bool {
        self.conns.get(&connection).is_some_and(|conn| conn.accepted)
    }

    /// Forgets connections that are not alive and have nothing to do. Whether anything is left.
    pub fn retain(&mut self, alive: &HashSet<ConnectionKey>, now: Instant) -> bool {
        self.conns.retain(|key, conn| alive.contains(key) || conn.jobs > 0 || conn.calls > 0);
        let conns = &self.conns;
        self.limiter.retain(&conns.keys().copied().collect());
        self.worked.retain(|(_, key), _| conns.contains_key(key));
        self.lengths.retain(|(_, key), _| conns.contains_key(key));
        !self.conns.is_empty() || !self.ended.is_empty() || self.breaker.open_for(now).is_some()
    }

    /// The jobs that ended since this was last asked.
    pub fn ended(&mut self) -> Vec<(Owner, Report)> {
        std::mem::take(&mut self.ended)
    }

    /// The owners who should look at their job again, since this was last asked.
    pub fn woken(&mut self) -> Vec<Owner> {
        std::mem::take(&mut self.woken)
    }

    /// Jobs that have not ended.
    pub fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Whether no job is left.
    pub fn is_empty(&self) -> bool {
        self.jobs.len() == 0
    }

    /// Calls begun and not ended.
    pub fn in_flight(&self) -> usize {
        self.calls.len()
    }

    /// Begins anew with the jobs it has and what is known of Auth0: after a panic nothing else is believed. What was on its
    /// way has an unknown outcome.
    pub fn rebuild(&mut self, now: Instant) {
        let mut new = Self::new(self.domain.clone(), &self.prefix, self.wall.0, self.wall.1);
        std::mem::swap(&mut new, self);
        (self.ids, self.ended, self.woken) = (new.ids + 1, new.ended, new.woken);
        (self.breaker, self.conns) = (new.breaker, new.conns);
        self.breaker.probe_finished(now, false);
        for (key, conn) in &mut self.conns {
            (conn.jobs, conn.calls, conn.checking, conn.timer) = (0, 0, 0, None);
            conn.breaker.probe_finished(now, false);
            self.limiter.set_limits(*key, conn.limits);
        }
        let mut jobs: Vec<_> = new.jobs.iter().collect();
        jobs.sort_unstable_by_key(|(id, _)| *id);
        for (_, job) in jobs {
            self.submit(job.connection, job.again(), now);
        }
    }

    /// Gives a job what it needs next.
    pub(super) fn advance(&mut self, id: JobId, now: Instant) {
        let Some(job) = self.jobs.get_mut(id) else { return };
        let proving = job.phase == Phase::Proving;
        let need = job.next();
        if job.shown && !proving && job.phase == Phase::Proving {
            self.woken.push(job.owner.clone());
        }
        match need {
            Need::Patience => {}
            Need::Read(question) => self.ask(id, question, now),
            Need::Remove(items) => self.want(id, items, now),
            Need::Ended(end) => {
                let ended = self.end_job(id, end, now);
                self.ended.extend(ended);
            }
        }
    }

    /// Nothing more is done for this job; what others want at the same places goes on.
    pub(super) fn drop_job(&mut self, id: JobId, refusal: Refusal, now: Instant) -> Option<(Owner, Report)> {
        self.end_job(id, End::HandedBack(refusal), now)
    }

    pub(super) fn end_job(&mut self, id: JobId, end: End, now: Instant) -> Option<(Owner, Report)> {
        let mut job = self.jobs.remove(id)?;
        if let Some(key) = self.queue_at.get(&(job.removal.endpoint.clone(), job.connection)).copied()
            && job.open > 0
        {
            for (index, item) in job.removal.items.iter().enumerate() {
                self.queues[key].unwant(item, Waiter { ns: job.ns, job: id, index });
            }
            self.refresh(Work::Queue(key), &[job.ns], now);
        }
        self.pace.left(&mut job);
        self.fair.leave(job.ns);
        if let Some(conn) = self.conns.get_mut(&job.connection) {
            conn.jobs -= 1;
        }
        self.trim_timers();
        let report = job.report(end, &self.domain);
        Some((job.owner, report))
    }

    /// Has a job's items removed.
    pub(super) fn want(&mut self, id: JobId, items: Vec<(usize, Option<Suspect>)>, now: Instant) {
        let Some(job) = self.jobs.get(id) else { return };
        let (ns, connection) = (job.ns, job.connection);
        let at = self.queue_at.entry((job.removal.endpoint.clone(), connection));
        let key = *at.or_insert_with_key(|(endpoint, connection)| {
            self.queues.insert(EndpointQueue::new(endpoint.clone(), *connection))
        });
        for (index, suspect) in items {
            self.queues[key].want(job.removal.items[index].clone(), Waiter { ns, job: id, index }, suspect);
        }
        self.refresh(Work::Queue(key), &[ns], now);
    }

    /// Brings the places of some work up to date with what it could send; `changed` are the namespaces of which that may
    /// have changed.
    pub(super) fn refresh(&mut self, work: Work, changed: &[Ns], now: Instant) {
        match work {
            Work::Queue(key) => self.refresh_queue(key, changed, now),
            Work::List(key) => self.refresh_list(key, changed, now),
        }
    }

    pub(super) fn flavor(&self, connection: ConnectionKey) -> u8 {
        self.conns.get(&connection).map_or(0, Conn::flavor)
    }

    pub(super) fn refresh_queue(&mut self, key: usize, changed: &[Ns], now: Instant) {
        let Some(connection) = self.queues.get(key).map(|queue| queue.connection) else { return };
        let flavor = self.flavor(connection);
        let queue = &mut self.queues[key];
        let ready = queue.ready(now);
        let mut places = std::mem::take(&mut queue.places);
        let all = if ready.is_ok() && !places.ready { queue.namespaces() } else { changed.to_vec() };
        let class = (delete(&queue.endpoint), connection, flavor);
        let front = |ns| queue.front(ns).map(|waiter| (Rank::Removal, waiter.job.stamp));
        self.fair.refresh(Work::Queue(key), &mut places, ready.is_ok(), all, class, front);
        queue.places = places;
        Self::set_timer(&mut self.timers, Timer::Work(Work::Queue(key)), &mut queue.timer, ready.err().flatten());
        if queue.is_empty() {
            let queue = self.queues.remove(key);
            let at = (queue.endpoint, connection);
            self.queue_at.remove(&at);
            // The proofs that gathered while removals were pending.
            if let Some(list) = self.list_at.get(&(Read::List(at.0), connection, false)).copied() {
                self.refresh(Work::List(list), &[], now);
            }
        }
        self.trim_timers();
    }

    /// Has something looked at again then.
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

    /// Timers are dropped lazily, but no more of them are kept than twice what waits.
    pub(super) fn trim_timers(&mut self) {
        let units = self.jobs.len() + self.queues.len() + self.lists.len() + self.conns.len();
        if self.timers.len() > 2 * units + 64 {
            let mut timers = std::mem::take(&mut self.timers);
            timers.retain(|Reverse((due, timer))| self.is_current(*timer, *due));
            self.timers = timers;
        }
    }

    pub(super) fn is_current(&self, timer: Timer, due: Instant) -> bool {
        match timer {
            Timer::Work(Work::Queue(key)) => self.queues.get(key).is_some_and(|queue| queue.timer == Some(due)),
            Timer::Work(Work::List(key)) => self.lists.get(key).is_some_and(|list| list.timer == Some(due)),
            Timer::Connection(key) => self.conns.get(&key).is_some_and(|conn| conn.timer == Some(due)),
            Timer::Shown(id) => self.jobs.get(id).is_some_and(|job| !job.shown),
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
                Timer::Work(work) => {
                    match work {
                        Work::Queue(key) => self.queues[key].timer = None,
                        Work::List(key) => self.lists[key].timer = None,
                    }
                    self.refresh(work, &[], now);
                }
                Timer::Connection(key) => {
                    if let Some(conn) = self.conns.get_mut(&key) {
                        conn.timer = None;
                    }
                    self.fair.hold(key, false);
                }
                Timer::Shown(id) => self.show(id),
            }
        }
    }
}
