//! All queues: finds the one of a domain, keeps each report until it is fetched, wakes the owners.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::auth0::Domain;
use crate::clock;

use super::connection::{Connection, ConnectionKey};
use super::driver::{Effects, Queue, supervise};
use super::job::{End, Job, Owner, Refusal, Report, View};
use super::observer::{Observer, QueueStats};
use super::preflight::Preflight;

/// The way to Auth0.
pub struct Dispatcher {
    queues: Mutex<HashMap<Domain, Arc<Queue>>>,
    jobs: Mutex<HashMap<Arc<str>, Entry>>,
    preflight: Arc<dyn Preflight>,
    observer: Arc<dyn Observer>,
    wake: mpsc::UnboundedSender<Owner>,
    closed: CancellationToken,
}

/// What is known of a job.
struct Entry {
    owner: Owner,
    submitted: Instant,
    queue: Arc<Queue>,
    report: Option<Box<Report>>,
}

impl Effects for Dispatcher {
    fn preflight(&self) -> &dyn Preflight {
        &*self.preflight
    }

    fn observer(&self) -> &dyn Observer {
        &*self.observer
    }

    fn collect(&self, queue: &Queue) {
        self.fetch(&mut lock(&self.jobs), queue);
    }
}

impl Dispatcher {
    /// A dispatcher that asks `preflight` before each call and tells `observer` of it. Whoever reads the receiver is told
    /// which owners should look again: their report is ready, or they have waited long enough for it to be shown.
    pub fn new(
        preflight: Arc<dyn Preflight>,
        observer: Arc<dyn Observer>,
    ) -> (Arc<Self>, mpsc::UnboundedReceiver<Owner>) {
        let (wake, woken) = mpsc::unbounded_channel();
        let (queues, jobs, closed) = (Mutex::default(), Mutex::default(), CancellationToken::new());
        (Arc::new(Self { queues, jobs, preflight, observer, wake, closed }), woken)
    }

    /// Hands a job over and returns at once. Does nothing while this owner has a job.
    pub fn submit(self: &Arc<Self>, connection: &Connection, job: Job) {
        // Held until the machine has the job, so that nobody forgets it in between, and the queue is not dropped.
        let mut queues = lock(&self.queues);
        let mut jobs = lock(&self.jobs);
        if jobs.contains_key(&job.owner.uid) {
            return;
        }
        let (queue, submitted) = (self.queue(&mut queues, &connection.domain), clock::steady());
        let entry = Entry { owner: job.owner.clone(), submitted, queue: queue.clone(), report: None };
        jobs.insert(job.owner.uid.clone(), entry);
        queue.tell(|machine| {
            machine.set_limits(connection.key, &connection.tenant, connection.limits, submitted);
            machine.submit(connection.key, job, submitted);
        });
        self.fetch(&mut jobs, &queue);
    }

    fn queue(self: &Arc<Self>, queues: &mut HashMap<Domain, Arc<Queue>>, domain: &Domain) -> Arc<Queue> {
        let new = || {
            let queue = Arc::new(Queue::new(domain.clone(), self.closed.child_token()));
            tokio::spawn(supervise(self.clone(), queue.clone()));
            queue
        };
        queues.entry(domain.clone()).or_insert_with(new).clone()
    }

    /// Where the job of the owner with this `uid` stands.
    pub fn view(&self, uid: &str) -> View {
        let mut jobs = lock(&self.jobs);
        let Some(Entry { queue, .. }) = jobs.get(uid).filter(|entry| entry.report.is_none()) else {
            return ended(&jobs, uid);
        };
        let queue = queue.clone();
        if let Some((wait, so_far)) = queue.ask(|machine| machine.view(uid, clock::steady()))
            && let Some(Entry { owner, submitted, .. }) = jobs.get(uid)
        {
            let (generation, submitted, so_far) = (owner.generation, *submitted, Box::new(so_far));
            return View::Pending { generation, submitted, wait, so_far };
        }
        // It ended a moment ago.
        self.fetch(&mut jobs, &queue);
        ended(&jobs, uid)
    }

    /// Takes a job back with what came of it so far, or its report if it has ended. The answer of a DELETE that is on its
    /// way still goes to the observer; the owner hears nothing more. `None` if nothing is known of it.
    pub fn take_back(&self, uid: &str) -> Option<Report> {
        let mut jobs = lock(&self.jobs);
        let Entry { queue, report, .. } = jobs.remove(uid)?;
        if let Some(report) = report {
            return Some(*report);
        }
        let (own, others) = queue.tell(|machine| {
            // A report that was not fetched yet must not be taken for that of the owner's next job.
            let mut ended = machine.ended();
            let own = ended.iter().position(|(owner, _)| *owner.uid == *uid).map(|at| ended.swap_remove(at).1);
            (own.or_else(|| machine.take_back(uid, clock::steady())), ended)
        });
        self.keep(&mut jobs, others);
        own
    }

    /// The report was written, or the object deleted.
    pub fn forget(&self, uid: &str) {
        let pending = lock(&self.jobs).get(uid).filter(|entry| entry.report.is_none()).map(|entry| entry.owner.clone());
        if let (Some(partial), Some(owner)) = (self.take_back(uid), pending) {
            self.gone(&owner, &partial);
        }
    }

    /// Until when nothing is sent to this domain, as after a 429.
    pub fn open_until(&self, domain: &Domain) -> Option<Instant> {
        let queue = lock(&self.queues).get(domain).cloned()?;
        let (now, wait) = queue.ask(|machine| (clock::steady(), machine.open_for(clock::steady())));
        (!wait.is_zero()).then(|| now + wait)
    }

    /// Sends nothing for this long: a wait that was named before a restart. It holds the domain if the connection is
    /// accepted, else this connection alone.
    pub fn hold(self: &Arc<Self>, connection: &Connection, wait: Duration) {
        let queue = self.queue(&mut lock(&self.queues), &connection.domain);
        queue.tell(|machine| machine.hold(connection.key, wait, clock::steady()));
    }

    /// Whether Auth0 accepted a call with this connection since the start.
    pub fn accepted(&self, key: ConnectionKey) -> bool {
        let queues: Vec<_> = lock(&self.queues).values().cloned().collect();
        queues.iter().any(|queue| queue.ask(|machine| machine.accepted(key)))
    }

    /// Forgets what belongs to connections that no tenant has any more, and queues that have nothing left.
    pub fn retain(&self, alive: &HashSet<ConnectionKey>) {
        lock(&self.queues).retain(|_, queue| {
            let left = queue.tell(|machine| machine.retain(alive, clock::steady()));
            if !left {
                queue.closed.cancel();
            }
            left
        });
    }

    /// How many jobs have ended whose report was not taken yet.
    pub fn unwritten(&self) -> usize {
        let queues: Vec<_> = lock(&self.queues).values().cloned().collect();
        queues.iter().for_each(|queue| self.collect(queue));
        lock(&self.jobs).values().filter(|entry| entry.report.is_some()).count()
    }

    /// Every queue as it is now.
    pub fn stats(&self) -> Vec<QueueStats> {
        let queues: Vec<_> = lock(&self.queues).values().cloned().collect();
        let now = clock::steady();
        let stats = |queue: Arc<Queue>| {
            queue.ask(|machine| QueueStats {
                domain: queue.domain.clone(),
                jobs: machine.len(),
                in_flight: machine.in_flight(),
                oldest: machine.oldest(now),
                open_for: machine.open_for(now),
            })
        };
        queues.into_iter().map(stats).collect()
    }

    /// Sends nothing more, and returns once the calls on their way have ended.
    pub async fn close(&self) {
        self.closed.cancel();
        let queues: Vec<_> = lock(&self.queues).values().cloned().collect();
        for queue in queues {
            queue.calm().await;
        }
    }

    fn fetch(&self, jobs: &mut HashMap<Arc<str>, Entry>, queue: &Queue) {
        let (ended, woken) = queue.ask(|machine| (machine.ended(), machine.woken()));
        self.keep(jobs, ended);
        woken.into_iter().for_each(|owner| self.wake(owner));
    }

    fn keep(&self, jobs: &mut HashMap<Arc<str>, Entry>, ended: Vec<(Owner, Report)>) {
        for (owner, report) in ended {
            if report.end == End::HandedBack(Refusal::Gone) {
                // Nobody is left to fetch it.
                jobs.remove(&owner.uid);
                self.gone(&owner, &report);
            } else if let Some(entry) = jobs.get_mut(&owner.uid) {
                entry.report = Some(Box::new(report));
                self.wake(owner);
            }
        }
    }

    fn gone(&self, owner: &Owner, partial: &Report) {
        if matches!(partial.end, End::HandedBack(_)) && !partial.accepted.is_empty() {
            self.observer.owner_gone(owner, partial);
        }
    }

    fn wake(&self, owner: Owner) {
        // Nobody listens any more only while the operator is ending.
        let _ = self.wake.send(owner);
    }
}

fn ended(jobs: &HashMap<Arc<str>, Entry>, uid: &str) -> View {
    match jobs.get(uid) {
        Some(Entry { owner, report: Some(report), .. }) => {
            View::Ended { generation: owner.generation, report: report.clone() }
        }
        _ => View::Absent,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing under these locks can be left half done by a panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
