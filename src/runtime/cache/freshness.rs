//! Whether a cache may be believed.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A cache that heard from the API server within this time is believed.
const FRESH: Duration = Duration::from_secs(1);

/// When a cache was last known to be what the API server has.
#[derive(Debug, Default)]
pub struct Freshness {
    heard: AtomicU64,
    /// When the last list began.
    listing: AtomicU64,
}

impl Freshness {
    /// The watch delivered something now.
    pub fn heard(&self) {
        self.heard.store(millis(), Ordering::Relaxed);
    }

    /// From now on, and until the list is complete, the cache is not to be believed: it was cut off for nobody knows how
    /// long.
    pub fn list_begins(&self) {
        self.listing.store(millis(), Ordering::Relaxed);
        self.heard.store(0, Ordering::Relaxed);
    }

    /// The cache took over a list, which is as old as its beginning.
    pub fn list_ends(&self) {
        self.heard.store(self.listing.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Whether the cache was that a moment ago.
    pub fn is_fresh(&self) -> bool {
        let heard = self.heard.load(Ordering::Relaxed);
        heard != 0 && u128::from(millis().saturating_sub(heard)) < FRESH.as_millis()
    }
}

/// Milliseconds since the first call, plus one.
fn millis() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    u64::try_from(START.get_or_init(Instant::now).elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1)
}
