//! What one of Auth0's token buckets holds, as far as the headers of answers tell. Times are seconds on our own clock, since
//! the limiter began.

use crate::auth0::RateHeaders;

use super::CallName;

/// No bucket fills faster than in this many seconds.
const FASTEST_FILL: f64 = 0.25;
/// Limits per minute refill on whole seconds of Auth0's clock, limits per second by the millisecond, and no header tells
/// which. Those per second fill sooner than this; and what fills later loses nothing if it is believed a second late.
const FILLS_PER_SECOND: f64 = 2.5;
/// Tokens a second where an answer says nothing about when there will be more.
const BLIND_REFILL: f64 = 1.0;
const SHRINK_MARGIN: f64 = 0.9995;

/// Auth0's clock against ours: bounds of theirs minus ours, in seconds. Each Date narrows them.
#[derive(Debug, Default)]
pub(super) struct Clock(Option<(f64, f64)>);

impl Clock {
    /// This Date came with an answer at `now` to a call that left at `sent`.
    pub(super) fn read(&mut self, date: i64, sent: f64, now: f64) {
        let (low, high) = (date as f64 - now, (date + 1) as f64 - sent);
        let (known_low, known_high) = self.0.unwrap_or((low, high));
        let both = (low.max(known_low), high.min(known_high));
        // One of the clocks was set, or drifted.
        self.0 = Some(if both.0 < both.1 { both } else { (low, high) });
    }

    /// The last second of Auth0's clock that has begun for certain.
    pub(super) fn second(&self, now: f64) -> f64 {
        let offset = self.0.map_or(0.0, |(low, _)| low);
        (now + offset).floor() - offset
    }
}

/// Tokens added in a second, as far as one answer tells.
#[derive(Clone, Copy, Debug)]
struct Refill {
    low: f64,
    high: f64,
    /// A steady rise at this rate from what is said to remain is never above what is left until Reset.
    until_reset: f64,
}

/// What the headers of one answer say about a bucket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Report {
    pub(super) limit: u64,
    pub(super) remaining: u64,
    refill: Option<Refill>,
    /// Whether they say that there will be more, and when.
    pub(super) resets: bool,
}

impl Report {
    /// Reads the headers of an answer at `now` to a call that left at `sent`.
    pub(super) fn read(headers: &RateHeaders, clock: &Clock, sent: f64, now: f64, refused: bool) -> Option<Self> {
        let (limit, remaining) = (headers.limit?.max(1), headers.remaining?);
        if remaining > limit {
            return None;
        }
        let fastest = limit as f64 / FASTEST_FILL;
        // Remaining counts whole tokens; a call that was let through left at least one to come back.
        let missing = (limit - remaining) as f64;
        let missing_at_least = (missing - 1.0).max(if refused { 0.5 } else { 1.0 });
        let refill = headers.reset.zip(clock.0).and_then(|(reset, (low, high))| {
            // Reset is the time to full, rounded up to a whole second.
            let (at_most, at_least) = (reset as f64 - (sent + low), (reset - 1) as f64 - (now + high));
            let high = if at_least * fastest > missing { missing / at_least } else { fastest };
            (at_most > 0.0).then(|| Refill {
                low: (missing_at_least / at_most).min(high),
                high,
                until_reset: if remaining == 0 { (missing / at_most).min(high) } else { 0.0 },
            })
        });
        let resets = headers.reset.is_some_and(|reset| headers.date.is_none_or(|date| reset > date));
        Some(Self { limit, remaining, refill, resets })
    }

    /// Tokens a second at least.
    pub(super) fn slowest_refill(&self) -> f64 {
        self.refill.map_or(BLIND_REFILL, |refill| refill.low)
    }
}

/// The level of a bucket: raised by what must have come back, lowered by each call that leaves, corrected by each report.
#[derive(Debug)]
pub(super) struct Level {
    pub(super) limit: u64,
    /// The only kind of call that draws from it; otherwise all that report this limit.
    pub(super) owner: Option<CallName>,
    /// Whether the answer to a call that was let through reported it.
    pub(super) confirmed: bool,
    /// Tokens that were left at `at`; below zero where more calls are on their way than it held.
    tokens: f64,
    at: f64,
    /// Tokens added in a second, as far as all reports together tell.
    refill: Refill,
    /// Tokens that are kept back, because the level turned out too high before.
    margin: f64,
    whole_seconds: bool,
    /// Calls that drew from it, those of them that came before the latest report or were counted in it, and those that are
    /// on their way.
    sent: u64,
    counted: u64,
    in_flight: u64,
    heard: f64,
    doubted: f64,
}

impl Level {
    pub(super) fn new(report: &Report, owner: Option<CallName>, confirmed: bool, now: f64) -> Self {
        Self {
            limit: report.limit,
            owner,
            confirmed,
            tokens: report.remaining as f64,
            at: now,
            refill: report.refill.unwrap_or(Refill {
                low: BLIND_REFILL,
                high: report.limit as f64 / FASTEST_FILL,
                until_reset: 0.0,
            }),
            margin: 0.0,
            whole_seconds: false,
            sent: 0,
            counted: 0,
            in_flight: 0,
            heard: now,
            doubted: now,
        }
    }

    /// Tokens a second that are counted on.
    fn rate(&self) -> f64 {
        self.refill.low.max(self.refill.until_reset)
    }

    fn by_second(&self) -> bool {
        let seconds = self.limit as f64 / self.refill.low;
        seconds > FILLS_PER_SECOND || (seconds >= 1.0 && self.whole_seconds)
    }

    fn left(&self, clock: &Clock, now: f64) -> (f64, f64) {
        let until = if self.by_second() { clock.second(now) } else { now }.max(self.at);
        ((until - self.at).mul_add(self.rate(), self.tokens).min(self.limit as f64), until)
    }

    /// What has to be left for `calls` more above the reserve. A bucket of one or two keeps no reserve back: it would hardly
    /// let anything pass.
    fn needed(&self, reserve_percent: f64, calls: f64) -> f64 {
        let limit = self.limit as f64;
        calls + (limit * reserve_percent / 100.0).floor().max(self.margin).min(limit - 2.0).max(0.0)
    }

    /// Whether so many more calls may leave now.
    pub(super) fn holds(&self, reserve_percent: f64, calls: f64, clock: &Clock, now: f64) -> bool {
        self.left(clock, now).0 + 0.01 >= self.needed(reserve_percent, calls)
    }

    /// When a whole token will be left for one more call above the reserve: `None` for now.
    pub(super) fn wait_until(&self, reserve_percent: f64, clock: &Clock, now: f64) -> Option<f64> {
        let needed = self.needed(reserve_percent, 1.0);
        if self.holds(reserve_percent, 1.0, clock, now) {
            return None;
        }
        let full = (needed - 0.01 - self.tokens) / self.rate() + self.at;
        let next = clock.second(full);
        // A moment later, so that rounding does not have it asked again at once.
        Some(if self.by_second() && next < full { next + 1.0 } else { full }.max(now) + 1e-6)
    }

    /// A call leaves. The number is to be handed back with its end.
    pub(super) fn draw(&mut self, clock: &Clock, now: f64) -> u64 {
        let (left, until) = self.left(clock, now);
        (self.tokens, self.at) = (left - 1.0, until);
        self.sent += 1;
        self.in_flight += 1;
        self.sent
    }

    /// A call that drew from it does not leave after all. Until the next report it may still be counted as uncounted.
    pub(super) fn give_back(&mut self) {
        self.tokens = (self.tokens + 1.0).min(self.limit as f64);
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// A call that drew from it ended.
    pub(super) fn ended(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// Calls that a report of the call with this number does not count, or may not.
    fn uncounted(&self, number: u64) -> f64 {
        self.in_flight.max(self.sent - self.counted.max(number)) as f64
    }

    /// The answer to the call with this number said so; it is as old as the way back from Auth0 at most.
    pub(super) fn report(&mut self, report: &Report, number: u64, unseen: u32, age: f64, clock: &Clock, now: f64) {
        let before = self.left(clock, now);
        if let Some(new) = report.refill {
            // Where both contradict each other, the refill was changed.
            let low = if self.refill.low > new.high { new.low } else { self.refill.low.max(new.low) };
            let high = if self.refill.high < new.low { new.high } else { self.refill.high.min(new.high) };
            self.refill = Refill { low, high, until_reset: new.until_reset };
        }
        self.margin *= SHRINK_MARGIN;
        let tokens = report.remaining as f64 - self.uncounted(number) - f64::from(unseen);
        (self.tokens, self.at) = (tokens, now - age);
        if number < self.counted {
            // Its answer was overtaken: it tells only that there is not more than that.
            let after = self.left(clock, now);
            (self.tokens, self.at) = if after.0 < before.0 { after } else { before };
        }
        self.counted = self.counted.max(number);
        self.heard = now;
    }

    /// Whether this report shows far more than the bucket can hold, so that it must be of another one.
    pub(super) fn is_contradicted(&self, report: &Report, number: u64, clock: &Clock, now: f64) -> bool {
        let slack = self.refill.high.mul_add(now - self.heard + 1.0, 2.0 + self.in_flight as f64);
        number >= self.counted && report.remaining as f64 > self.left(clock, now).0 + self.uncounted(number) + slack
    }

    /// Another bucket of the same calls was reported, with this much left. As it is the tightest that is reported, this one
    /// holds no less.
    pub(super) fn holds_at_least(&mut self, remaining: u64, clock: &Clock, now: f64) {
        let least = (remaining.min(self.limit)) as f64 - self.in_flight as f64;
        let (left, until) = self.left(clock, now);
        (self.tokens, self.at) = (left.max(least), until);
    }

    /// A call that left at `sent`, because a token was believed to be left, was refused.
    pub(super) fn doubt(&mut self, sent: f64, now: f64) {
        let limit = self.limit as f64;
        if sent >= self.doubted {
            self.whole_seconds = true;
            self.margin = self.margin.mul_add(2.0, 1.0).min(limit / 4.0);
            self.doubted = now;
        }
    }

    pub(super) fn check(&self) -> bool {
        let Refill { low, high, .. } = self.refill;
        self.tokens <= self.limit as f64
            && self.counted <= self.sent
            && self.in_flight <= self.sent
            && (0.0 < low && low <= high && high.is_finite())
    }
}
