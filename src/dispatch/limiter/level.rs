//! What one of Auth0's token buckets holds, as far as reports tell. Times are seconds since the limiter began.

use super::CallName;
use super::report::{Clock, Refill, Report};

/// Limits per minute refill on whole seconds of Auth0's clock, limits per second by the millisecond, and no header tells
/// which it is. Those per second fill sooner than this; and a bucket that fills later loses nothing if its refill is
/// counted a second late.
const FILLS_BY_MILLISECOND: f64 = 2.5;
/// A report older than this says nothing any more.
const REPORT_LIFE: f64 = 60.0;
/// What is left of the margin after a report.
const MARGIN_DECAY: f64 = 0.9995;
/// What counts as a whole token, so that rounding costs no second.
const WHOLE: f64 = 0.99;

/// The level of a bucket: raised by what must have come back, lowered by each call that leaves, corrected by each report.
#[derive(Debug)]
pub(super) struct Level {
    limit: u64,
    /// The last report, and to which kind of call.
    last: Report,
    pub(super) reporter: CallName,
    /// Tokens left at `at`; below zero where more calls are on their way than it held.
    tokens: f64,
    at: f64,
    refill: Refill,
    /// Tokens kept back because the level turned out too high: others draw from the bucket, too, or answers come out of
    /// order.
    margin: f64,
    /// Whether it may refill on whole seconds although it fills fast.
    whole_seconds: bool,
    /// Calls that drew from it; those up to the one that was reported last; those that are on their way.
    sent: u64,
    counted: u64,
    in_flight: u64,
    heard: f64,
    /// When it last turned out too high. Calls that left before say nothing new.
    doubted: f64,
}

impl Level {
    pub(super) fn new(report: &Report, reporter: CallName, now: f64) -> Self {
        Self {
            limit: report.limit,
            last: *report,
            reporter,
            tokens: report.remaining as f64,
            at: now,
            refill: report.refill.unwrap_or(Refill::unknown(report.limit)),
            margin: 0.0,
            whole_seconds: false,
            sent: 0,
            counted: 0,
            in_flight: 0,
            heard: now,
            doubted: now,
        }
    }

    fn refills_by_second(&self) -> bool {
        let fill = self.limit as f64 / self.refill.low;
        fill > FILLS_BY_MILLISECOND || (self.whole_seconds && fill >= 1.0)
    }

    /// Tokens left, and up to when their refill was counted.
    fn left(&self, clock: &Clock, now: f64) -> (f64, f64) {
        let until = if self.refills_by_second() { clock.second(now) } else { now }.max(self.at);
        ((until - self.at).mul_add(self.refill.low, self.tokens).min(self.limit as f64), until)
    }

    pub(super) fn is_stale(&self, now: f64) -> bool {
        now - self.heard > REPORT_LIFE
    }

    /// Tokens that are left to others. A bucket of one or two keeps none back: it would hardly let anything pass.
    fn reserve(&self, percent: f64) -> f64 {
        let limit = self.limit as f64;
        (limit * percent / 100.0).floor().max(self.margin).min(limit - 2.0).max(0.0)
    }

    /// Whether the reserve is still there, after all calls that were counted.
    pub(super) fn is_kept(&self, reserve_percent: f64, clock: &Clock, now: f64) -> bool {
        self.left(clock, now).0 >= self.reserve(reserve_percent) + WHOLE - 1.0
            || (self.is_stale(now) && self.in_flight <= 1)
    }

    /// When a token will be left for one more call above the reserve: `None` for now.
    pub(super) fn wait_until(&self, reserve_percent: f64, clock: &Clock, now: f64) -> Option<f64> {
        let needed = self.reserve(reserve_percent) + WHOLE;
        // After a long silence one call asks anew, whatever was said before.
        if self.left(clock, now).0 >= needed || (self.is_stale(now) && self.is_idle()) {
            return None;
        }
        let due = (needed - self.tokens) / self.refill.low + self.at;
        let second = clock.second(due);
        let due = if self.refills_by_second() && second < due { second + 1.0 } else { due };
        // A moment later, so that rounding does not have it asked again at once.
        Some(due.max(now) + 1e-6)
    }

    /// A call leaves. Its number goes with it and comes back with its report.
    pub(super) fn draw(&mut self, clock: &Clock, now: f64) -> u64 {
        let (left, until) = self.left(clock, now);
        // A full bucket does not refill, also not afterwards.
        let is_full = self.refill.low.mul_add(now - until, left) > self.limit as f64;
        (self.tokens, self.at) = (left - 1.0, if is_full { now } else { until });
        self.sent += 1;
        self.in_flight += 1;
        self.sent
    }

    /// A call that drew from it does not leave after all. Until the next report it may still be counted as uncounted.
    pub(super) fn give_back(&mut self) {
        self.tokens = (self.tokens + 1.0).min(self.limit as f64);
        self.ended();
    }

    /// Whether no call that drew from it is on its way.
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight == 0
    }

    /// A call that drew from it ended.
    pub(super) fn ended(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// Calls that the report of the call with this number may not count: those on their way, and those that
    /// left later and were answered without a report.
    fn uncounted(&self, number: u64) -> f64 {
        self.in_flight.max(self.sent - number) as f64
    }

    /// The answer to the call with this number reports so, `age` seconds late. Without a number it left before the level was
    /// known, and so did `unseen` others.
    pub(super) fn report(
        &mut self,
        report: &Report,
        number: Option<u64>,
        unseen: i64,
        age: f64,
        clock: &Clock,
        now: f64,
    ) {
        let before = self.left(clock, now);
        self.refill = report.refill.map_or(self.refill, |new| self.refill.narrowed(new));
        self.margin *= MARGIN_DECAY;
        self.heard = now;
        self.last = *report;
        let latest = self.counted.max(number.unwrap_or_default());
        let unseen = if number.is_none() { unseen as f64 } else { 0.0 };
        let at = if self.refills_by_second() { report.second.max(now - age) } else { now - age };
        (self.tokens, self.at) = (report.remaining as f64 - self.uncounted(latest) - unseen, at);
        if number.unwrap_or_default() < self.counted {
            // Its answer was overtaken by a later one: it tells only that no more than that is left.
            let after = self.left(clock, now);
            (self.tokens, self.at) = if after.0 < before.0 { after } else { before };
        }
        self.counted = latest;
    }

    /// Whether this report, `age` seconds late, can be about the same bucket as the last one, if both together tell.
    pub(super) fn agrees(&self, report: &Report, number: u64, age: f64, now: f64) -> Option<bool> {
        let last = &self.last;
        if number < self.counted || last.remaining > self.limit / 2 {
            return None;
        }
        // Whatever is on its way may have come later, and a refill on whole seconds counts those of Auth0's clock.
        let seconds = (now - self.heard + age).max(report.second - last.second);
        let most = self.refill.high.mul_add(seconds, last.remaining as f64 + self.in_flight as f64 + 1.0);
        Some(report.remaining as f64 <= most)
    }

    /// The answer to the call with this number reports another bucket, with so much left. The tightest one is reported, so
    /// this one holds no less.
    pub(super) fn holds_at_least(&mut self, remaining: u64, number: u64, clock: &Clock, now: f64) {
        let (left, until) = self.left(clock, now);
        (self.tokens, self.at) = (left.max(remaining.min(self.limit) as f64 - self.uncounted(number)), until);
    }

    /// A call that left at `sent` because a token seemed to be left was refused.
    pub(super) fn doubt(&mut self, sent: f64, now: f64) {
        if sent >= self.doubted {
            self.doubted = now;
            self.whole_seconds = true;
            self.margin = self.margin.mul_add(2.0, 1.0).min(self.limit as f64 / 4.0);
        }
    }

    /// Whether all that must hold does.
    pub(super) fn check(&self) -> bool {
        let Refill { low, high } = self.refill;
        let counts = self.counted <= self.sent && self.in_flight <= self.sent;
        let refill = 0.0 < low && low <= high && high.is_finite();
        counts && refill && self.tokens <= self.limit as f64 && self.margin <= self.limit as f64 / 4.0
    }
}
