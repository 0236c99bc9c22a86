//! All queues: finds the one of a domain, keeps each report until it is fetched, wakes the owners.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::auth0::Domain;

use super::connection::{Connection, ConnectionKey};
use super::job::{End, Job, Owner, Refusal, Report, View, Wait};
use super::observer::{Observer, QueueStats};
use super::preflight::Preflight;

/// The way to Auth0.
pub struct Dispatcher {
    jobs: Mutex<HashMap<Arc<str>, (Owner, Instant)>>,
    #[expect(dead_code, reason = "the machine follows")]
    preflight: Arc<dyn Preflight>,
    #[expect(dead_code, reason = "the machine follows")]
    observer: Arc<dyn Observer>,
    #[expect(dead_code, reason = "the machine follows")]
    wake: mpsc::UnboundedSender<Owner>,
}

impl Dispatcher {
    /// A dispatcher that asks `preflight` before each call and tells `observer` of it. Whoever reads the receiver is told
    /// which owners should look again: their report is ready, or they have waited long enough for it to be shown.
    pub fn new(
        preflight: Arc<dyn Preflight>,
        observer: Arc<dyn Observer>,
    ) -> (Arc<Self>, mpsc::UnboundedReceiver<Owner>) {
        let (wake, woken) = mpsc::unbounded_channel();
        (Arc::new(Self { jobs: Mutex::default(), preflight, observer, wake }), woken)
    }

    /// Hands a job over and returns at once. Does nothing while this owner has a job.
    pub fn submit(self: &Arc<Self>, connection: &Connection, job: Job) {
        let _ = connection;
        lock(&self.jobs).entry(job.owner.uid.clone()).or_insert((job.owner, Instant::now()));
    }

    /// Where the job of the owner with this `uid` stands.
    pub fn view(&self, uid: &str) -> View {
        lock(&self.jobs).get(uid).map_or(View::Absent, |(owner, submitted)| View::Pending {
            generation: owner.generation,
            submitted: *submitted,
            wait: Wait::Queued { calls_before: 0, about: None },
            so_far: Box::new(nothing()),
        })
    }

    /// Takes a job back with what came of it so far, or its report if it has ended. The answer of a DELETE that is on its
    /// way still goes to the observer; the owner hears nothing more. `None` if nothing is known of it.
    pub fn take_back(&self, uid: &str) -> Option<Report> {
        lock(&self.jobs).remove(uid).map(|_| nothing())
    }

    /// The report was written, or the object deleted.
    pub fn forget(&self, uid: &str) {
        lock(&self.jobs).remove(uid);
    }

    /// Until when nothing is sent to this domain, as after a 429.
    pub fn open_until(&self, domain: &Domain) -> Option<Instant> {
        let _ = domain;
        None
    }

    /// Sends nothing for this long: a wait that was named before a restart. It holds the domain if the connection is
    /// accepted, else this connection alone.
    pub fn hold(self: &Arc<Self>, connection: &Connection, wait: Duration) {
        let _ = (connection, wait);
    }

    /// Whether Auth0 accepted a call with this connection since the start.
    pub fn accepted(&self, key: ConnectionKey) -> bool {
        let _ = key;
        false
    }

    /// Forgets what belongs to connections that no tenant has any more.
    pub fn retain(&self, alive: &HashSet<ConnectionKey>) {
        let _ = alive;
    }

    /// How many jobs have ended whose report was not taken yet.
    pub fn unwritten(&self) -> usize {
        0
    }

    /// Every queue as it is now.
    pub fn stats(&self) -> Vec<QueueStats> {
        Vec::new()
    }

    /// Sends nothing more, and returns once the calls on their way have ended.
    pub async fn close(&self) {}
}

fn nothing() -> Report {
    Report {
        accepted: Vec::new(),
        already_absent: Vec::new(),
        not_found: Vec::new(),
        refused: Vec::new(),
        first_accepted_at: None,
        accepted_at: None,
        lost: false,
        seen: false,
        read_at: None,
        connection: None,
        domain: None,
        correlation: None,
        end: End::HandedBack(Refusal::Withdrawn),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
