//! Whether a cache was up to date a moment ago, so that the preflight check may rely on it without asking the API
//! server.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A cache is fresh for this long after an event of its watch.
const FRESH_FOR: Duration = Duration::from_secs(1);

/// When a cache was last known to be what the API server has. Times are those of [`millis`]; 0 means never.
#[derive(Debug, Default)]
pub struct Freshness {
    /// When the last event came.
    heard: AtomicU64,
    /// When the last list began.
    listing: AtomicU64,
}

impl Freshness {
    /// The watch delivered an event now.
    pub fn heard(&self) {
        self.heard.store(millis(), Ordering::Relaxed);
    }

    /// A list begins. Until it is complete the cache is not fresh, because it may have been cut off for a long time
    /// before.
    pub fn list_begins(&self) {
        self.listing.store(millis(), Ordering::Relaxed);
        self.heard.store(0, Ordering::Relaxed);
    }

    /// The cache has taken over the list, which is as old as the time when it began.
    pub fn list_ends(&self) {
        self.heard.store(self.listing.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Whether the cache was up to date within the last second.
    pub fn is_fresh(&self) -> bool {
        let heard = self.heard.load(Ordering::Relaxed);
        heard != 0 && u128::from(millis().saturating_sub(heard)) < FRESH_FOR.as_millis()
    }
}

/// Milliseconds since the first call, plus one, so that no time is 0.
fn millis() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    u64::try_from(START.get_or_init(Instant::now).elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1)
}
