//! What one kind of call last heard of its bucket.

use std::time::{Duration, Instant};

use crate::auth0::RateHeaders;

/// A guess of how long one token takes must not keep a lane from asking again.
const LONGEST_GUESS: Duration = Duration::from_secs(10);
/// Pause where an answer says that nothing is left and nothing about when there will be.
const BLIND_PAUSE: Duration = Duration::from_secs(1);
/// A report older than this says nothing any more.
const REPORT_LIFE: Duration = Duration::from_secs(60);

/// A report, and what it implies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    limit: f64,
    level: f64,
    /// Calls that the level may not count yet although they were answered: of the same kind, and of all kinds.
    overtaken: (f64, f64),
    /// Tokens a second; a lower bound, as headers count whole seconds.
    refill: f64,
    /// An upper bound of the same.
    refill_at_most: f64,
    /// When its call left and when it came: the bucket was seen in between.
    asked: Instant,
    pub(super) heard: Instant,
    /// Several calls have been on their way since none was: their answers may come out of order.
    pub(super) overlapped: bool,
}

impl Bucket {
    pub(super) fn read(headers: &RateHeaders, overtaken: (u64, u64), asked: Instant, now: Instant) -> Option<Self> {
        let remaining = headers.remaining? as f64;
        let limit = headers.limit.map_or(remaining, |limit| limit as f64).max(1.0);
        if remaining > limit {
            return None;
        }
        let to_full = headers.reset.zip(headers.date).map(|(reset, date)| reset.saturating_sub(date));
        let (refill, refill_at_most) = match to_full {
            // Remaining counts whole tokens, so up to one of those that seem missing may be there in part; Reset and Date
            // count whole seconds, so it may take up to two seconds less.
            Some(seconds) if (1..=86_400).contains(&seconds) => {
                let (missing, seconds) = (limit - remaining, seconds as f64);
                ((missing - 1.0).max(0.5) / seconds, missing / (seconds - 2.0).max(0.1))
            }
            _ => (1.0 / BLIND_PAUSE.as_secs_f64(), f64::INFINITY),
        };
        let overtaken = (overtaken.0 as f64, overtaken.1 as f64);
        Some(Self { limit, level: remaining, overtaken, refill, refill_at_most, asked, heard: now, overlapped: false })
    }

    /// This report follows `before`, of the same bucket. `alone`: nothing else of its kind is on its way.
    pub(super) fn goes_on(&mut self, before: &Self, alone: bool) {
        // All of them are too low rather than too high, so the best holds while the limit stays the same.
        self.refill =
            self.refill.max(before.refill.min(self.refill_at_most)).max(before.risen_to(self).min(self.refill_at_most));
        self.overlapped = before.overlapped && !alone;
    }

    pub(super) fn same_size(&self, other: &Self) -> bool {
        self.limit == other.limit
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.level < 1.0
    }

    /// Whether this report shows more than the bucket of `other` can hold by now. `out_of_order` calls may have been
    /// counted in another order than their answers came.
    pub(super) fn contradicts(&self, other: &Self, out_of_order: u32) -> bool {
        let seconds = self.heard.saturating_duration_since(other.asked).as_secs_f64();
        let most = other.level + self.refill_at_most.min(other.refill_at_most) * seconds;
        self.same_size(other) && self.level > most + 2.0 + f64::from(out_of_order)
    }

    /// The rate at which the level rose since, as far as two reports in order tell; whoever else drew from the bucket only
    /// makes it lower.
    fn risen_to(&self, later: &Self) -> f64 {
        let seconds = later.heard.saturating_duration_since(self.asked).as_secs_f64();
        if self.overlapped || seconds < 0.01 { 0.0 } else { (later.level - self.level) / seconds }
    }

    pub(super) fn is_stale(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.heard) > REPORT_LIFE
    }

    /// Above the reserve one whole token must be left for this call, and one for each that the report does not count. A
    /// bucket of one or two keeps no reserve back: it would hardly let anything pass. `shared`: by all kinds of call.
    pub(super) fn wait_until(
        &self,
        reserve_percent: f64,
        in_flight: u32,
        shared: bool,
        now: Instant,
    ) -> Option<Instant> {
        let reserve = (self.limit * reserve_percent / 100.0).floor().min(self.limit - 2.0).max(0.0);
        let overtaken = if shared { self.overtaken.1 } else { self.overtaken.0 };
        // What may not be counted never asks for more than a full bucket; what is on its way always counts.
        let needed = (reserve + 1.0 + overtaken).min(self.limit) + f64::from(in_flight);
        let level = self.level + self.refill * now.saturating_duration_since(self.heard).as_secs_f64();
        if self.is_stale(now) || level.min(self.limit) >= needed {
            return None;
        }
        // With everything back, nothing more will come: the answers of what is in flight will tell.
        let guess = Duration::try_from_secs_f64((needed - level) / self.refill.max(0.001)).unwrap_or(LONGEST_GUESS);
        Some(now + guess.clamp(Duration::from_millis(1), LONGEST_GUESS))
    }
}
