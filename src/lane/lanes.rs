//! The lanes themselves: a queue and a gate per domain, a bounded number of jobs at work, reports kept until fetched.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use crate::auth0::{Domain, RateHeaders};

use super::caller::Caller;
use super::gate::{Gate, Pass};
use super::pace::{CallName, Pace};
use super::queue::Queue;
use super::{Connection, Job, LastLook, Owner, Report};

/// Jobs of one tenant at work at once; a hung tenant holds up no more than these, and no other tenant.
const MAX_AT_WORK: usize = 16;
/// Waits up to this stay in the lane; longer ones are shown by the owner (DESIGN section 4, Pacing).
pub(super) const SHOWN_WAIT: Duration = Duration::from_secs(2);

/// All lanes, and what is known of every job.
pub struct Lanes {
    lanes: Mutex<HashMap<Domain, Arc<Lane>>>,
    jobs: Mutex<HashMap<Arc<str>, Entry>>,
    pub(super) look: Arc<dyn LastLook>,
    wake: mpsc::UnboundedSender<Owner>,
    closed: CancellationToken,
}

/// Where a job stands.
#[derive(Clone, Debug)]
pub enum LaneView {
    /// Nothing is known of it.
    Absent,
    /// Waiting for its turn or at work, for this generation of its owner.
    Pending {
        /// The generation it was submitted for.
        generation: i64,
        /// The tenant's gate is shut this long; told only when it is worth showing.
        closed_for: Option<Duration>,
    },
    /// The last look said no, so nothing (more) was sent.
    Dropped {
        /// The generation it was submitted for.
        generation: i64,
    },
    /// Ended.
    Done {
        /// The generation it was submitted for.
        generation: i64,
        /// What came of it.
        report: Report,
    },
}

struct Entry {
    owner: Owner,
    domain: Domain,
    state: State,
}

enum State {
    Queued,
    AtWork,
    Dropped,
    Done(Report),
}

pub(super) struct Lane {
    pub(super) domain: Domain,
    work: Mutex<Work>,
    gate: Mutex<Gate>,
    pace: Mutex<Pace>,
    /// Told whenever the gate changes or a job ends.
    changed: Notify,
    closed: CancellationToken,
}

#[derive(Default)]
struct Work {
    waiting: Queue,
    at_work: usize,
}

impl Lanes {
    /// Lanes that ask `look` before each call. Whoever reads the receiver is told whose report is ready or whose wait
    /// has become worth showing.
    pub fn new(look: Arc<dyn LastLook>) -> (Arc<Self>, mpsc::UnboundedReceiver<Owner>) {
        let (wake, woken) = mpsc::unbounded_channel();
        let lanes =
            Self { lanes: Mutex::default(), jobs: Mutex::default(), look, wake, closed: CancellationToken::new() };
        (Arc::new(lanes), woken)
    }

    /// Hands a job over and returns at once; `connection` sets the pace. Does nothing while this owner has a job: one at
    /// a time.
    pub fn submit(self: &Arc<Self>, domain: &Domain, connection: &Connection, job: Job) {
        {
            let mut jobs = lock(&self.jobs);
            if jobs.contains_key(&job.owner.uid) {
                return;
            }
            let entry = Entry { owner: job.owner.clone(), domain: domain.clone(), state: State::Queued };
            jobs.insert(job.owner.uid.clone(), entry);
        }
        let lane = self.lane(domain);
        lane.set_pace(connection);
        let shut = lane.shown_wait().is_some();
        let owner = job.owner.clone();
        lock(&lane.work).waiting.push(job);
        if shut {
            self.wake(owner);
        }
        self.start_next(&lane);
    }

    /// Where the job of the owner with this `uid` stands.
    pub fn view(&self, uid: &str) -> LaneView {
        let jobs = lock(&self.jobs);
        let Some(entry) = jobs.get(uid) else { return LaneView::Absent };
        let generation = entry.owner.generation;
        match &entry.state {
            State::Queued | State::AtWork => {
                let closed_for = lock(&self.lanes).get(&entry.domain).and_then(|lane| lane.shown_wait());
                LaneView::Pending { generation, closed_for }
            }
            State::Dropped => LaneView::Dropped { generation },
            State::Done(report) => LaneView::Done { generation, report: report.clone() },
        }
    }

    /// Takes a job back unless it is at work, and its report with it. Returns whether nothing of it is left.
    pub fn forget(&self, uid: &str) -> bool {
        let mut jobs = lock(&self.jobs);
        match jobs.get(uid).map(|entry| &entry.state) {
            Some(State::AtWork) => false,
            Some(State::Queued) => {
                if let Some(entry) = jobs.remove(uid)
                    && let Some(lane) = lock(&self.lanes).get(&entry.domain)
                {
                    lock(&lane.work).waiting.remove(&entry.owner.namespace, uid);
                }
                true
            }
            Some(State::Dropped | State::Done(_)) => {
                jobs.remove(uid);
                true
            }
            None => true,
        }
    }

    /// Forgets everything of owners that are gone. What is at work ends by itself and leaves nothing.
    pub fn retain(&self, kind: &str, exists: impl Fn(&str) -> bool) {
        let gone: Vec<Arc<str>> = {
            let jobs = lock(&self.jobs);
            jobs.values()
                .filter(|e| e.owner.kind == kind && !exists(&e.owner.uid))
                .map(|e| e.owner.uid.clone())
                .collect()
        };
        for uid in gone {
            self.forget(&uid);
        }
    }

    /// Sends nothing to `domain` for this long: a wait that was named before a restart.
    pub fn hold(&self, domain: &Domain, wait: Duration) {
        self.lane(domain).close(wait);
    }

    /// How many jobs have ended whose report was not taken yet (by [`Self::forget`]).
    pub fn unwritten(&self) -> usize {
        lock(&self.jobs).values().filter(|entry| matches!(entry.state, State::Done(_))).count()
    }

    /// Sends nothing more, and returns once the calls on their way have ended.
    pub async fn close(&self) {
        self.closed.cancel();
        let lanes: Vec<_> = lock(&self.lanes).values().cloned().collect();
        for lane in lanes {
            loop {
                let changed = lane.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if lock(&lane.work).at_work == 0 {
                    break;
                }
                changed.await;
            }
        }
    }

    fn lane(&self, domain: &Domain) -> Arc<Lane> {
        let mut lanes = lock(&self.lanes);
        lanes.entry(domain.clone()).or_insert_with(|| Arc::new(Lane::new(domain.clone(), self.closed.clone()))).clone()
    }

    fn wake(&self, owner: Owner) {
        // Nobody listens any more only while the operator is ending.
        let _ = self.wake.send(owner);
    }

    /// Puts waiting jobs to work while there is room.
    fn start_next(self: &Arc<Self>, lane: &Arc<Lane>) {
        loop {
            let job = {
                let mut work = lock(&lane.work);
                if work.at_work >= MAX_AT_WORK {
                    return;
                }
                let Some(job) = work.waiting.pop() else { return };
                work.at_work += 1;
                job
            };
            if let Some(entry) = lock(&self.jobs).get_mut(&job.owner.uid) {
                entry.state = State::AtWork;
            }
            let (lanes, lane) = (self.clone(), lane.clone());
            tokio::spawn(async move {
                // Dropped at the end or by a panic: the slot is freed and the job accounted for either way.
                let mut slot = Slot { lanes, lane, owner: job.owner.clone(), result: None };
                let report = Caller::new(&slot.lanes, &slot.lane, &job.owner).run(&job.removal, job.task).await;
                slot.result = report;
            });
        }
    }

    /// Those of a lane's jobs that have not ended learn that they have to wait.
    pub(super) fn tell_wait(&self, lane: &Lane) {
        let owners: Vec<Owner> = {
            let jobs = lock(&self.jobs);
            let waits =
                |entry: &&Entry| entry.domain == lane.domain && matches!(entry.state, State::Queued | State::AtWork);
            jobs.values().filter(waits).map(|entry| entry.owner.clone()).collect()
        };
        for owner in owners {
            self.wake(owner);
        }
    }
}

struct Slot {
    lanes: Arc<Lanes>,
    lane: Arc<Lane>,
    owner: Owner,
    result: Option<Report>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        lock(&self.lane.work).at_work -= 1;
        if let Some(entry) = lock(&self.lanes.jobs).get_mut(&self.owner.uid) {
            entry.state = self.result.take().map_or(State::Dropped, State::Done);
        }
        self.lanes.wake(self.owner.clone());
        self.lanes.start_next(&self.lane);
        self.lane.changed.notify_waiters();
    }
}

impl Lane {
    fn new(domain: Domain, closed: CancellationToken) -> Self {
        Self {
            domain,
            work: Mutex::default(),
            gate: Mutex::default(),
            pace: Mutex::default(),
            changed: Notify::new(),
            closed,
        }
    }

    fn shown_wait(&self) -> Option<Duration> {
        lock(&self.gate).closed_for(Instant::now()).filter(|wait| *wait > SHOWN_WAIT)
    }

    pub(super) fn set_pace(&self, connection: &Connection) {
        lock(&self.pace).set_limits(&connection.tenant, connection.limits, Instant::now());
    }

    pub(super) fn is_shut(&self) -> bool {
        lock(&self.gate).closed_for(Instant::now()).is_some()
    }

    /// Shuts the gate for `wait`; if that will be shown, until a whole second, which is what can be shown.
    pub(super) fn close(&self, mut wait: Duration) {
        if wait > SHOWN_WAIT {
            let part = (jiff::Timestamp::now() + wait).subsec_millisecond().unsigned_abs();
            wait += Duration::from_millis(u64::from((1000 - part) % 1000));
        }
        lock(&self.gate).close(Instant::now() + wait);
        self.changed.notify_waiters();
    }

    /// Waits until a call of this name may leave; `None` if none may any more.
    pub(super) async fn pass(&self, call: CallName) -> Option<Leave<'_>> {
        self.closed.run_until_cancelled(self.pass_gate(call)).await
    }

    async fn pass_gate(&self, call: CallName) -> Leave<'_> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Listens from here on, so that a change between the question and the wait is not missed.
            changed.as_mut().enable();
            match self.may_leave(call, Instant::now()) {
                Pass::Go { probe } => {
                    return Leave { lane: self, call, probe, answered: false, limits: Default::default() };
                }
                Pass::At(until) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(until.into()) => {}
                        () = changed => {}
                    }
                }
                Pass::AfterProbe => changed.await,
            }
        }
    }

    /// Asks the pace, then the gate; a call that may leave has left, as far as the pace is concerned.
    fn may_leave(&self, call: CallName, now: Instant) -> Pass {
        let mut pace = lock(&self.pace);
        if let Some(until) = pace.wait_until(call, now) {
            return Pass::At(until);
        }
        let pass = lock(&self.gate).pass(now);
        if matches!(pass, Pass::Go { .. }) {
            pace.sent(call, now);
        }
        pass
    }
}

/// A call that may leave. Must live as long as the call: at its end the gate and the pace learn what the answer said.
pub(super) struct Leave<'a> {
    lane: &'a Lane,
    call: CallName,
    probe: bool,
    /// Set when the tenant gave an answer.
    pub(super) answered: bool,
    /// What the answer said about the rate limit.
    pub(super) limits: RateHeaders,
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        let now = Instant::now();
        lock(&self.lane.pace).ended(self.call, &self.limits, now);
        if self.probe {
            lock(&self.lane.gate).probed(now, self.answered);
            self.lane.changed.notify_waiters();
        }
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing under these locks can be left half done by a panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
