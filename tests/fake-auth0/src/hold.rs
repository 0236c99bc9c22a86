//! The gate at which held calls wait, and the handle a test holds it by.

use std::{
    sync::{Arc, Weak, atomic::AtomicU64, atomic::Ordering::Relaxed},
    time::Duration,
};

use tokio::sync::{Semaphore, watch};

use crate::rules::{Faults, Rule};

/// Where the calls of one fault wait.
#[derive(Debug)]
pub(crate) struct Waiting {
    arrived: watch::Sender<u64>,
    passes: Semaphore,
}

impl Default for Waiting {
    fn default() -> Self {
        Self { arrived: watch::Sender::new(0), passes: Semaphore::new(0) }
    }
}

impl Waiting {
    /// Notes that a call came, held or not.
    pub(crate) fn arrive(&self) {
        self.arrived.send_modify(|count| *count += 1);
    }

    /// Waits to be let through.
    pub(crate) async fn pass(&self) {
        // A closed semaphore is an open gate.
        if let Ok(pass) = self.passes.acquire().await {
            pass.forget();
        }
    }

    pub(crate) fn open(&self) {
        self.passes.close();
    }
}

/// How long [`FaultHandle::arrived`] waits before it fails the test.
const PATIENCE: Duration = Duration::from_secs(30);

/// A fault at work: counts its calls and holds the gate at which held calls wait. Dropping it changes nothing.
#[derive(Debug)]
pub struct FaultHandle {
    rule: Arc<Rule>,
    faults: Weak<Faults>,
    seen: AtomicU64,
}

impl FaultHandle {
    pub(crate) fn new(rule: Arc<Rule>, faults: &Arc<Faults>) -> Self {
        Self { rule, faults: Arc::downgrade(faults), seen: AtomicU64::new(0) }
    }

    /// How many calls it has befallen.
    #[must_use]
    pub fn hits(&self) -> u64 {
        self.rule.hits()
    }

    /// Waits for the next call that it befalls (one that came before this was asked counts, once).
    ///
    /// # Panics
    ///
    /// When none comes within 30 seconds.
    pub async fn arrived(&self) {
        let came = tokio::time::timeout(PATIENCE, self.next_arrival()).await;
        assert!(came.is_ok(), "no further call that fits {:?} came within {PATIENCE:?}", self.rule.fault);
    }

    /// Counts an arrival as seen only when it is told, so that giving up waiting loses none.
    async fn next_arrival(&self) {
        let mut arrived = self.rule.waiting.arrived.subscribe();
        loop {
            // The sender lives in the rule, so there always is one.
            let Ok(count) = arrived.wait_for(|count| *count > self.seen.load(Relaxed)).await.map(|count| *count) else {
                return;
            };
            let next = |seen| (seen < count).then_some(seen + 1);
            if self.seen.fetch_update(Relaxed, Relaxed, next).is_ok() {
                return;
            }
        }
    }

    /// Lets one held call go on, now or when it comes.
    pub fn release_one(&self) {
        self.rule.waiting.passes.add_permits(1);
    }

    /// Lets all held calls go on, and all that come later.
    pub fn release(&self) {
        self.rule.waiting.open();
    }

    /// Takes the fault away; calls it holds go on.
    pub fn remove(&self) {
        if let Some(faults) = self.faults.upgrade() {
            faults.remove(&self.rule);
        }
        self.release();
    }
}
