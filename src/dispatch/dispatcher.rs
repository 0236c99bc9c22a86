//! The dispatcher: finds the queue of each domain, keeps the reports of ended jobs until they are fetched, and wakes
//! their owners.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::auth0::Domain;
use crate::capacity::shrink_map;
use crate::clock;
use crate::sync::lock;

use super::connection::{Connection, ConnectionKey};
use super::driver::{DomainQueue, QueueContext, supervise};
use super::facts::KnownFacts;
use super::job::{End, Job, Owner, Refusal, Report, View};
use super::observer::{Observer, QueueStats};
use super::preflight::Preflight;

/// Carries out removals. It is the only way to Auth0.
pub struct Dispatcher {
    queues: Mutex<BTreeMap<Domain, Arc<DomainQueue>>>,
    jobs: Mutex<HashMap<Arc<str>, Entry>>,
    preflight: Arc<dyn Preflight>,
    observer: Arc<dyn Observer>,
    wake: mpsc::UnboundedSender<Owner>,
    closed: CancellationToken,
}

/// A job that was submitted and not forgotten.
struct Entry {
    owner: Owner,
    submitted: Instant,
    queue: Arc<DomainQueue>,
    report: Option<Box<Report>>,
}

impl QueueContext for Dispatcher {
    fn preflight(&self) -> &dyn Preflight {
        &*self.preflight
    }

    fn observer(&self) -> &dyn Observer {
        &*self.observer
    }

    fn collect(&self, queue: &DomainQueue) {
        self.take_reports(&mut lock(&self.jobs), queue);
    }
}

impl Dispatcher {
    /// Creates a dispatcher that checks each call with `preflight` and reports it to `observer`. The receiver yields
    /// the owners that should look at their job again: it has ended, or what it waits for is worth showing by now.
    pub fn new(
        preflight: Arc<dyn Preflight>,
        observer: Arc<dyn Observer>,
    ) -> (Arc<Self>, mpsc::UnboundedReceiver<Owner>) {
        let (wake, woken) = mpsc::unbounded_channel();
        let (queues, jobs, closed) = (Mutex::default(), Mutex::default(), CancellationToken::new());
        (Arc::new(Self { queues, jobs, preflight, observer, wake, closed }), woken)
    }

    /// Whether this process may act now, because it is the leader.
    pub fn is_leader(&self) -> bool {
        self.preflight.may_send()
    }

    /// Submits a job and returns immediately. Does nothing if this owner already has one.
    pub fn submit(self: &Arc<Self>, connection: &Connection, job: Job) {
        // Both locks are held until the machine has the job, so that neither the entry nor the queue can be removed in
        // between.
        let mut queues = lock(&self.queues);
        let mut jobs = lock(&self.jobs);
        if jobs.contains_key(&job.owner.uid) {
            return;
        }
        let (queue, submitted) = (self.queue(&mut queues, &connection.domain), clock::steady());
        let entry = Entry { owner: job.owner.clone(), submitted, queue: queue.clone(), report: None };
        jobs.insert(job.owner.uid.clone(), entry);
        queue.update(|machine| {
            machine.set_limits(connection.key, &connection.tenant, connection.limits, submitted);
            machine.submit(connection.key, job, submitted);
        });
        self.take_reports(&mut jobs, &queue);
    }

    fn queue(self: &Arc<Self>, queues: &mut BTreeMap<Domain, Arc<DomainQueue>>, domain: &Domain) -> Arc<DomainQueue> {
        let new = || {
            let queue = Arc::new(DomainQueue::new(domain.clone(), self.closed.child_token()));
            tokio::spawn(supervise(self.clone(), queue.clone()));
            queue
        };
        queues.entry(domain.clone()).or_insert_with(new).clone()
    }

    /// The state of the job of the owner with this `uid`.
    pub fn view(&self, uid: &str) -> View {
        let mut jobs = lock(&self.jobs);
        let Some(Entry { queue, .. }) = jobs.get(uid).filter(|entry| entry.report.is_none()) else {
            return ended(&jobs, uid);
        };
        let queue = queue.clone();
        if let Some((wait, so_far)) = queue.read(|machine| machine.view(uid, clock::steady()))
            && let Some(Entry { owner, submitted, .. }) = jobs.get(uid)
        {
            let (generation, submitted, so_far) = (owner.generation, *submitted, Box::new(so_far));
            return View::Pending { generation, submitted, wait, so_far };
        }
        // The job has ended since, so its report is waiting in the queue.
        self.take_reports(&mut jobs, &queue);
        let view = ended(&jobs, uid);
        if matches!(view, View::Absent) {
            // A panic has lost the report. The owner has to be able to submit the job again.
            jobs.remove(uid);
        }
        view
    }

    /// Takes a job back. Returns its report if it has ended, otherwise what it has achieved so far. If one of its calls
    /// is in flight, the observer still gets the response, but the owner does not. `None` if there is no such job.
    pub fn take_back(&self, uid: &str) -> Option<Report> {
        let mut jobs = lock(&self.jobs);
        let Entry { queue, report, .. } = jobs.remove(uid)?;
        shrink_map(&mut jobs);
        if let Some(report) = report {
            return Some(*report);
        }
        let (own, others) = queue.update(|machine| {
            // If the job's report is still in the queue, it is taken from there; it must not be mistaken for the report
            // of the owner's next job.
            let mut ended = machine.ended();
            let own = ended.iter().position(|(owner, _)| *owner.uid == *uid).map(|at| ended.swap_remove(at).1);
            (own.or_else(|| machine.take_back(uid, clock::steady())), ended)
        });
        self.store(&mut jobs, others);
        own
    }

    /// Forgets a job, because its report was written or its object was deleted.
    pub fn forget(&self, uid: &str) {
        let pending = lock(&self.jobs).get(uid).filter(|entry| entry.report.is_none()).map(|entry| entry.owner.clone());
        if let (Some(partial), Some(owner)) = (self.take_back(uid), pending) {
            self.report_owner_gone(&owner, &partial);
        }
    }

    /// Until when the circuit breaker of this domain is open; `None` if it is not open.
    pub fn open_until(&self, domain: &Domain) -> Option<Instant> {
        let queue = lock(&self.queues).get(domain).cloned()?;
        let (now, wait) = queue.read(|machine| (clock::steady(), machine.open_for(clock::steady())));
        (!wait.is_zero()).then(|| now + wait)
    }

    /// Opens the circuit breaker for this long, because a wait was named before a restart: the domain's breaker if
    /// Auth0 has accepted this connection since the start, otherwise that of this connection alone.
    pub fn hold(self: &Arc<Self>, connection: &Connection, wait: Duration) {
        // The lock is held until the machine knows of the wait, so that the queue cannot be removed in between.
        let mut queues = lock(&self.queues);
        let queue = self.queue(&mut queues, &connection.domain);
        queue.update(|machine| machine.hold(connection.key, wait, clock::steady()));
    }

    /// What is known with this connection.
    pub fn facts(&self, connection: &Connection) -> Option<Arc<KnownFacts>> {
        let queue = lock(&self.queues).get(&connection.domain).cloned()?;
        queue.read(|machine| machine.facts(connection.key))
    }

    /// Whether Auth0 has accepted a call with this connection since the start.
    pub fn accepted(&self, key: ConnectionKey) -> bool {
        let queues: Vec<_> = lock(&self.queues).values().cloned().collect();
        queues.iter().any(|queue| queue.read(|machine| machine.accepted(key)))
    }

    /// Forgets connections that no tenant uses any more, and queues that have nothing left to do.
    pub fn retain(&self, alive: &HashSet<ConnectionKey>) {
        lock(&self.queues).retain(|_, queue| {
            let left = queue.update(|machine| machine.retain(alive, clock::steady()));
            if !left {
                queue.closed.cancel();
            }
            left
        });
    }

    /// How many jobs have ended whose reports were not taken yet.
    #[allow(clippy::disallowed_methods, reason = "a count has no order")]
    pub fn unwritten(&self) -> usize {
        let queues: Vec<_> = lock(&self.queues).values().cloned().collect();
        queues.iter().for_each(|queue| self.collect(queue));
        lock(&self.jobs).values().filter(|entry| entry.report.is_some()).count()
    }

    /// The state of every queue.
    pub fn stats(&self) -> Vec<QueueStats> {
        let queues: Vec<_> = lock(&self.queues).values().cloned().collect();
        let now = clock::steady();
        let stats = |queue: Arc<DomainQueue>| {
            queue.read(|machine| QueueStats {
                domain: queue.domain.clone(),
                jobs: machine.len(),
                in_flight: machine.in_flight(),
                oldest: machine.oldest(now),
                open_for: machine.open_for(now),
            })
        };
        queues.into_iter().map(stats).collect()
    }

    /// Stops sending, and returns as soon as all calls in flight have ended.
    pub async fn close(&self) {
        self.closed.cancel();
        let queues: Vec<_> = lock(&self.queues).values().cloned().collect();
        for queue in queues {
            queue.drained().await;
        }
    }

    fn take_reports(&self, jobs: &mut HashMap<Arc<str>, Entry>, queue: &DomainQueue) {
        let (ended, woken) = queue.read(|machine| (machine.ended(), machine.woken()));
        self.store(jobs, ended);
        woken.into_iter().for_each(|owner| self.wake(owner));
    }

    fn store(&self, jobs: &mut HashMap<Arc<str>, Entry>, ended: Vec<(Owner, Report)>) {
        for (owner, report) in ended {
            if report.end == End::HandedBack(Refusal::Gone) {
                // The object is gone, so its report will not be fetched.
                jobs.remove(&owner.uid);
                self.report_owner_gone(&owner, &report);
            } else if let Some(entry) = jobs.get_mut(&owner.uid) {
                entry.report = Some(Box::new(report));
                self.wake(owner);
            }
        }
    }

    fn report_owner_gone(&self, owner: &Owner, partial: &Report) {
        if matches!(partial.end, End::HandedBack(_)) && !partial.accepted.is_empty() {
            self.observer.owner_gone(owner, partial);
        }
    }

    fn wake(&self, owner: Owner) {
        // The receiver is dropped only while the operator shuts down.
        let _ = self.wake.send(owner);
    }
}

fn ended(jobs: &HashMap<Arc<str>, Entry>, uid: &str) -> View {
    match jobs.get(uid) {
        Some(Entry { owner, report: Some(report), .. }) => {
            View::Ended { generation: owner.generation, report: report.clone() }
        }
        Some(Entry { report: None, .. }) | None => View::Absent,
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use futures::future::BoxFuture;
    use jiff::Timestamp;

    use super::*;
    use crate::auth0::{Client, Endpoint, Item, Timeouts, Token};
    use crate::dispatch::machine::Step;
    use crate::dispatch::{History, Limits, Purpose, Removal, Task};

    struct RefuseAll;

    impl Preflight for RefuseAll {
        fn check<'a>(&'a self, _: &'a Owner, _: Purpose) -> BoxFuture<'a, Result<Connection, Refusal>> {
            std::future::ready(Err(Refusal::NotLeading)).boxed()
        }

        fn recheck(&self, _: &Owner, _: Purpose) -> Result<ConnectionKey, Refusal> {
            Err(Refusal::NotLeading)
        }

        fn may_send(&self) -> bool {
            false
        }
    }

    fn connection() -> Connection {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let domain: Domain = "acme.eu.auth0.com".parse().unwrap();
        let token = Token::read(b"e30.e30.1", "", Timestamp::UNIX_EPOCH).unwrap();
        Connection {
            key: ConnectionKey::new(&domain, None, token.fingerprint()),
            client: Arc::new(Client::new(&domain, None, Timeouts::default()).unwrap()),
            domain,
            credential: Arc::new(token),
            tenant: "ns/default".into(),
            limits: Limits { max_per_second: 10.0, reserve_percent: 0.0 },
        }
    }

    fn job() -> Job {
        let owner = Owner { kind: "K", namespace: "ns".into(), name: "n".into(), uid: "u".into(), generation: 1 };
        let endpoint = Endpoint::UserRoles { user: "auth0|a".into() };
        let removal = Removal { endpoint, items: vec![Item::Id("rol_a".into())] };
        Job { owner, removal, task: Task::Remove { before: false, after: true }, history: History::default() }
    }

    /// Whoever takes a job back may be the first to see that others have ended.
    #[tokio::test]
    async fn to_take_a_job_back_loses_no_other_report() {
        let (dispatcher, mut woken) = Dispatcher::new(Arc::new(RefuseAll), Arc::new(()));
        let connection = connection();
        for uid in ["u", "v"] {
            let mut job = job();
            job.owner.uid = uid.into();
            job.removal.endpoint = Endpoint::UserRoles { user: format!("auth0|{uid}").into() };
            dispatcher.submit(&connection, job);
        }
        let (queue, now) = (lock(&dispatcher.queues)[&connection.domain].clone(), clock::steady());
        let refused = queue.read(|machine| {
            let Step::Check(call) = machine.next(now) else { panic!("nothing to send") };
            machine.preflighted(call.id, &[Err(Refusal::Changed)], now);
            call.owners[0].uid.clone()
        });
        let other = if *refused == *"u" { "v" } else { "u" };
        assert_eq!(dispatcher.take_back(other).unwrap().end, End::HandedBack(Refusal::Withdrawn));
        assert_eq!(woken.try_recv().unwrap().uid, refused);
        let View::Ended { report, .. } = dispatcher.view(&refused) else { panic!("its report is lost") };
        assert_eq!(report.end, End::HandedBack(Refusal::Changed));
    }

    /// A panic in the middle of a decision can lose a job together with its report. Its owner may submit it again.
    #[tokio::test]
    async fn a_job_that_was_lost_can_be_submitted_again() {
        let (dispatcher, _woken) = Dispatcher::new(Arc::new(RefuseAll), Arc::new(()));
        let connection = connection();
        dispatcher.submit(&connection, job());
        assert!(matches!(dispatcher.view("u"), View::Pending { .. }));
        let queue = lock(&dispatcher.queues)[&connection.domain].clone();
        assert!(queue.read(|machine| machine.take_back("u", clock::steady())).is_some());
        assert!(matches!(dispatcher.view("u"), View::Absent));
        dispatcher.submit(&connection, job());
        assert!(matches!(dispatcher.view("u"), View::Pending { .. }));
    }
}
