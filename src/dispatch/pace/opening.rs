//! A rate for buckets nobody tells us about: starts gently, opens up with every answer, halves with every refusal.

use std::time::{Duration, Instant};

/// Calls a second to begin with, and how many at once.
const GENTLE: f64 = 5.0;
/// Slowest rate, in calls a second.
const SLOWEST: f64 = 0.5;
/// Beyond this a rate is no limit.
const FASTEST: f64 = 1e6;
/// By how many calls a second an answer widens the rate: while nothing was ever refused (it more than doubles each second), below
/// and above the rate that was refused last.
const WIDEN: (f64, f64, f64) = (1.0, 0.1, 0.01);

/// A rate that adapts.
#[derive(Clone, Debug)]
pub(super) struct Opening {
    /// Calls a second.
    rate: f64,
    /// Calls that may leave at once.
    burst: f64,
    /// The rate that was refused last.
    refused: Option<f64>,
    tokens: f64,
    filled: Option<Instant>,
}

impl Default for Opening {
    fn default() -> Self {
        Self { rate: GENTLE, burst: GENTLE, refused: None, tokens: GENTLE, filled: None }
    }
}

impl Opening {
    /// For a bucket that refused a call at this rate.
    pub(super) fn refused(rate: f64, now: Instant) -> Self {
        let mut opening = Self { rate: FASTEST, burst: 1.0, ..Self::default() };
        opening.close(rate, now);
        opening
    }

    /// When the next call may leave: `None` for now.
    pub(super) fn wait_until(&self, now: Instant) -> Option<Instant> {
        let tokens = self.tokens_at(now);
        (tokens < 1.0).then(|| now + Duration::from_secs_f64(((1.0 - tokens) / self.rate).max(0.001)))
    }

    fn tokens_at(&self, now: Instant) -> f64 {
        let seconds = self.filled.map_or(0.0, |filled| now.saturating_duration_since(filled).as_secs_f64());
        // At high rates a millisecond brings several.
        let most = if self.refused.is_some() { self.burst } else { self.burst.max(self.rate / 20.0) };
        self.rate.mul_add(seconds, self.tokens).min(most)
    }

    /// A call leaves.
    pub(super) fn sent(&mut self, now: Instant) {
        self.tokens = self.tokens_at(now) - 1.0;
        self.filled = Some(now);
    }

    /// A call was answered.
    pub(super) fn open(&mut self) {
        let by = match self.refused {
            None => WIDEN.0,
            Some(refused) if self.rate < 0.9 * refused => WIDEN.1,
            Some(_) => WIDEN.2,
        };
        self.rate = (self.rate + by).min(FASTEST);
    }

    /// A call was refused while calls left at `tried` a second.
    pub(super) fn close(&mut self, tried: f64, now: Instant) {
        let refused = tried.clamp(SLOWEST, self.rate.max(SLOWEST));
        self.refused = Some(refused);
        self.rate = (refused / 2.0).max(SLOWEST);
        self.tokens = self.tokens.min(0.0);
        self.filled = Some(now);
    }

    pub(super) fn is_wider_than(&self, rate: f64) -> bool {
        self.rate > rate
    }
}
