//! All lanes: finds the one of a domain, keeps each report until it is fetched, wakes the owners.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::auth0::Domain;

use super::driver::{Lane, drive};
use super::{Connection, Job, LastLook, Meter, Owner, Report, Standing};

/// All lanes, and what is known of every job.
pub struct Lanes {
    lanes: Mutex<HashMap<Domain, Arc<Lane>>>,
    jobs: Mutex<HashMap<Arc<str>, Entry>>,
    pub(super) look: Arc<dyn LastLook>,
    pub(super) meter: Arc<dyn Meter>,
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
        report: Box<Report>,
    },
}

struct Entry {
    owner: Owner,
    lane: Arc<Lane>,
    state: State,
    since: Instant,
}

enum State {
    Pending,
    Dropped,
    Done(Box<Report>),
}

impl Lanes {
    /// Lanes that ask `look` before each call. Whoever reads the receiver is told whose report is ready or whose wait
    /// has become worth showing.
    pub fn new(look: Arc<dyn LastLook>) -> (Arc<Self>, mpsc::UnboundedReceiver<Owner>) {
        Self::with_meter(look, Arc::new(()))
    }

    /// The same, and `meter` hears of every call.
    pub fn with_meter(look: Arc<dyn LastLook>, meter: Arc<dyn Meter>) -> (Arc<Self>, mpsc::UnboundedReceiver<Owner>) {
        let (wake, woken) = mpsc::unbounded_channel();
        let (lanes, jobs, closed) = (Mutex::default(), Mutex::default(), CancellationToken::new());
        (Arc::new(Self { lanes, jobs, look, meter, wake, closed }), woken)
    }

    /// Hands a job over and returns at once; `connection` sets the pace. Does nothing while this owner has a job: one at
    /// a time.
    pub fn submit(self: &Arc<Self>, domain: &Domain, connection: &Connection, job: Job) {
        let lane = self.lane(domain);
        let owner = job.owner.clone();
        // Held until the machine has the job, so that nobody forgets it in between.
        let mut jobs = lock(&self.jobs);
        if jobs.contains_key(&owner.uid) {
            return;
        }
        let now = Instant::now();
        let entry = Entry { owner: owner.clone(), lane: lane.clone(), state: State::Pending, since: now };
        jobs.insert(owner.uid.clone(), entry);
        let shut = lane.tell(|machine| {
            machine.set_limits(&connection.tenant, connection.limits, now);
            machine.submit(job, connection.token.fingerprint(), now);
            machine.shown_wait(now).is_some()
        });
        self.fetch(&mut jobs, &lane);
        if shut {
            self.wake(owner);
        }
    }

    /// Where the job of the owner with this `uid` stands.
    pub fn view(&self, uid: &str) -> LaneView {
        let jobs = lock(&self.jobs);
        let Some(entry) = jobs.get(uid) else { return LaneView::Absent };
        let generation = entry.owner.generation;
        match &entry.state {
            State::Pending => {
                let closed_for = entry.lane.ask(|machine| machine.shown_wait(Instant::now()));
                LaneView::Pending { generation, closed_for }
            }
            State::Dropped => LaneView::Dropped { generation },
            State::Done(report) => LaneView::Done { generation, report: report.clone() },
        }
    }

    /// Takes a job back unless a DELETE for it is on its way, and its report with it. Returns whether nothing of it is
    /// left.
    pub fn forget(&self, uid: &str) -> bool {
        let mut jobs = lock(&self.jobs);
        let Some(lane) = jobs.get(uid).map(|entry| entry.lane.clone()) else { return true };
        if !lane.tell(|machine| machine.forget(uid, Instant::now())) {
            return false;
        }
        // A report that is not fetched yet must not be taken for that of the owner's next job.
        self.fetch(&mut jobs, &lane);
        jobs.remove(uid);
        true
    }

    /// Sends nothing to `domain` for this long: a wait that was named before a restart.
    pub fn hold(self: &Arc<Self>, domain: &Domain, wait: Duration) {
        self.lane(domain).tell(|machine| machine.hold(wait, Timestamp::now(), Instant::now()));
    }

    /// How many jobs have ended whose report was not taken yet (by [`Self::forget`]).
    pub fn unwritten(&self) -> usize {
        let lanes: Vec<_> = lock(&self.lanes).values().cloned().collect();
        lanes.iter().for_each(|lane| self.collect(lane));
        lock(&self.jobs).values().filter(|entry| matches!(entry.state, State::Done(_))).count()
    }

    /// Every lane as it is now.
    pub fn standing(&self) -> Vec<Standing> {
        let now = Instant::now();
        let mut pending: HashMap<Domain, (usize, Duration)> = HashMap::new();
        for entry in lock(&self.jobs).values().filter(|entry| matches!(entry.state, State::Pending)) {
            let (jobs, oldest) = pending.entry(entry.lane.domain.clone()).or_default();
            *jobs += 1;
            *oldest = (*oldest).max(now.saturating_duration_since(entry.since));
        }
        let lanes: Vec<_> = lock(&self.lanes).values().cloned().collect();
        let standing = lanes.iter().map(|lane| {
            let (in_flight, closed_for) = lane.ask(|machine| (machine.in_flight(), machine.closed_for(now)));
            let (jobs, oldest) = pending.get(&lane.domain).copied().unwrap_or_default();
            Standing { domain: lane.domain.clone(), jobs, in_flight, oldest, closed_for }
        });
        standing.collect()
    }

    /// Sends nothing more, and returns once the calls on their way have ended.
    pub async fn close(&self) {
        self.closed.cancel();
        let lanes: Vec<_> = lock(&self.lanes).values().cloned().collect();
        for lane in lanes {
            lane.calm().await;
        }
    }

    pub(super) const fn closed(&self) -> &CancellationToken {
        &self.closed
    }

    fn lane(self: &Arc<Self>, domain: &Domain) -> Arc<Lane> {
        let mut lanes = lock(&self.lanes);
        let new = || {
            let lane = Arc::new(Lane::new(domain.clone()));
            tokio::spawn(drive(self.clone(), lane.clone()));
            lane
        };
        lanes.entry(domain.clone()).or_insert_with(new).clone()
    }

    fn wake(&self, owner: Owner) {
        // Nobody listens any more only while the operator is ending.
        let _ = self.wake.send(owner);
    }

    /// Fetches what has ended in a lane and wakes whom it concerns.
    pub(super) fn collect(&self, lane: &Lane) {
        self.fetch(&mut lock(&self.jobs), lane);
    }

    fn fetch(&self, jobs: &mut HashMap<Arc<str>, Entry>, lane: &Lane) {
        for (owner, report) in lane.ask(|machine| machine.ended()) {
            let Some(entry) = jobs.get_mut(&owner.uid) else { continue };
            entry.state = report.map_or(State::Dropped, |report| State::Done(Box::new(report)));
            self.wake(owner);
        }
    }

    /// Those of a lane's jobs that have not ended learn that they have to wait.
    pub(super) fn tell_wait(&self, lane: &Arc<Lane>) {
        let jobs = lock(&self.jobs);
        let waits =
            jobs.values().filter(|entry| matches!(entry.state, State::Pending) && Arc::ptr_eq(&entry.lane, lane));
        waits.for_each(|entry| self.wake(entry.owner.clone()));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing under these locks can be left half done by a panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
