//! Where held calls wait, and the handle by which a test releases them.

use std::{
    sync::{Arc, Weak, atomic::AtomicU64, atomic::Ordering::Relaxed},
    time::Duration,
};

use tokio::sync::{Semaphore, watch};

use crate::rules::{Faults, Rule};

/// The held calls of one fault.
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
    /// Records that a call arrived, held or not.
    pub(crate) fn arrive(&self) {
        self.arrived.send_modify(|count| *count += 1);
    }

    /// Waits until it is released.
    pub(crate) async fn pass(&self) {
        // Once the semaphore is closed, every call goes on at once.
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

/// An active fault: counts its calls and releases those that it holds. Dropping the handle changes nothing.
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

    /// The number of calls that got this fault.
    #[must_use]
    pub fn hits(&self) -> u64 {
        self.rule.hits()
    }

    /// Waits for the next call that gets this fault. A call that arrived before counts, once.
    ///
    /// # Panics
    ///
    /// When none comes within 30 seconds.
    pub async fn arrived(&self) {
        let came = tokio::time::timeout(PATIENCE, self.next_arrival()).await;
        assert!(came.is_ok(), "no further call that fits {:?} came within {PATIENCE:?}", self.rule.fault);
    }

    /// Counts an arrival as seen only when it returns, so that a cancelled wait loses none.
    async fn next_arrival(&self) {
        let mut arrived = self.rule.waiting.arrived.subscribe();
        loop {
            // The rule owns the sender, so it exists.
            let Ok(count) = arrived.wait_for(|count| *count > self.seen.load(Relaxed)).await.map(|count| *count) else {
                return;
            };
            let next = |seen| (seen < count).then_some(seen + 1);
            if self.seen.fetch_update(Relaxed, Relaxed, next).is_ok() {
                return;
            }
        }
    }

    /// Releases one held call, now or when it arrives.
    pub fn release_one(&self) {
        self.rule.waiting.passes.add_permits(1);
    }

    /// Releases all held calls and all that arrive later.
    pub fn release(&self) {
        self.rule.waiting.open();
    }

    /// Removes the fault and releases the calls that it holds.
    pub fn remove(&self) {
        if let Some(faults) = self.faults.upgrade() {
            faults.remove(&self.rule);
        }
        self.release();
    }
}
