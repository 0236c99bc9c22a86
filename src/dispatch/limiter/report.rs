//! What the headers of one answer say about a token bucket. Times are seconds of our clock since the limiter began.

use crate::auth0::RateHeaders;

/// No bucket fills in fewer seconds than this.
const FASTEST_FILL: f64 = 0.25;
/// A bucket that takes more seconds to fill is a mistake, such as a time in milliseconds.
const SLOWEST_FILL: f64 = 86_400.0;
/// The assumed tokens per second where no header says when there will be more.
const ASSUMED_REFILL: f64 = 1.0;

/// Auth0's clock: the bounds of its difference from ours, in seconds. Each Date header narrows them.
#[derive(Debug, Default)]
pub(super) struct ServerClock(Option<(f64, f64)>);

impl ServerClock {
    /// Takes the Date of an answer that arrived at `now` to a call that was sent at `sent`.
    pub(super) fn read(&mut self, date: i64, sent: f64, now: f64) {
        let (low, high) = (date as f64 - now, date as f64 + 1.0 - sent);
        let (known_low, known_high) = self.0.unwrap_or((low, high));
        let both = (low.max(known_low), high.min(known_high));
        // The bounds contradict each other, so one of the clocks drifted or was set.
        self.0 = Some(if both.0 < both.1 { both } else { (low, high) });
    }

    /// The start of the last whole second of Auth0's clock that has certainly begun.
    pub(super) fn current_second(&self, now: f64) -> f64 {
        let offset = self.0.map_or(0.0, |(low, _)| low);
        (now + offset).floor() - offset
    }
}

/// The tokens that are added per second. Headers contain only whole tokens and seconds, so only bounds are known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refill {
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Refill {
    /// The bounds if nothing is known.
    pub(super) fn unknown(limit: u64) -> Self {
        let high = limit as f64 / FASTEST_FILL;
        Self { low: ASSUMED_REFILL.min(high), high }
    }

    /// The bounds that both agree on, or those of `new` if they contradict each other, because then the refill has
    /// changed.
    pub(super) fn narrowed(self, new: Self) -> Self {
        let low = if self.low > new.high { new.low } else { self.low.max(new.low) };
        let high = if self.high < new.low { new.high } else { self.high.min(new.high) };
        Self { low, high }
    }
}

/// What the headers of one answer report.
#[derive(Clone, Copy, Debug)]
pub(super) struct BucketReport {
    pub(super) limit: u64,
    pub(super) remaining: u64,
    /// The second of Auth0's clock in which the report was made, converted to ours.
    pub(super) second: f64,
    pub(super) refill: Option<Refill>,
    /// Whether the report says when there will be more tokens.
    pub(super) resets: bool,
    /// Whether it came with a 429. Then another limit may have refused the call, and the bucket hold more than the
    /// report says.
    pub(super) refused: bool,
    /// When it arrived.
    pub(super) at: f64,
}

impl BucketReport {
    /// Reads the headers of an answer that arrived at `now` to a call that was sent at `sent`. `refused`: it was a 429.
    pub(super) fn read(headers: &RateHeaders, clock: &ServerClock, sent: f64, now: f64, refused: bool) -> Option<Self> {
        let (limit, remaining) = (headers.limit?.max(1), headers.remaining?);
        if remaining > limit {
            return None;
        }
        // Headers round down, so one of the missing tokens may be there in part; but a call that was let through took a
        // whole one.
        let missing = ((limit - remaining) as f64).max(1.0);
        let missing_at_least = (missing - 1.0).max(if refused { 0.5 } else { 1.0 });
        let refill = headers.reset.zip(clock.0).and_then(|(reset, (behind, ahead))| {
            // Reset is the time when the bucket is full, rounded up to a whole second.
            let (at_most, at_least) = (reset as f64 - sent - behind, reset as f64 - 1.0 - now - ahead);
            let unknown = Refill::unknown(limit);
            let high = if at_least * unknown.high > missing { missing / at_least } else { unknown.high };
            let refill = Refill { low: (missing_at_least / at_most).min(high), high };
            (0.0 < at_most && at_most < SLOWEST_FILL).then_some(refill)
        });
        let second = headers.date.zip(clock.0).map_or(0.0, |(date, (behind, _))| date as f64 - behind);
        let resets = headers.reset.is_some_and(|reset| headers.date.is_none_or(|date| reset > date));
        Some(Self { limit, remaining, second, refill, resets, refused, at: now })
    }
}
