//! One of Auth0's token buckets, as far as its reports tell. Times are seconds since the limiter began.

use super::Route;
use super::report::{BucketReport, Refill, ServerClock};

/// Auth0's limits per minute refill on whole seconds of its clock, its limits per second continuously, and no header
/// tells which it is. A bucket that fills in less than this many seconds is taken to refill continuously. For all
/// others it costs nothing to count their refill up to a second late.
const CONTINUOUS_REFILL_SECONDS: f64 = 2.5;
/// After this many seconds a report does not count any more.
const REPORT_TTL_SECONDS: f64 = 60.0;
/// Each report reduces the margin to this part.
const MARGIN_DECAY: f64 = 0.9995;
/// What counts as a whole token, so that a rounding error does not cost a second.
const WHOLE_TOKEN: f64 = 0.99;

/// What is known of a token bucket. Its tokens rise by the refill, fall with each call, and are corrected by each
/// report.
#[derive(Debug)]
pub(super) struct TokenBucket {
    limit: u64,
    /// The last report, and the route of the call that it came with.
    last_report: BucketReport,
    pub(super) reporter: Route,
    /// The tokens left at `at`; negative if more calls are in flight than it held.
    tokens: f64,
    at: f64,
    refill: Refill,
    /// Tokens that are kept back because calls were refused although there seemed to be tokens: other clients draw from
    /// the bucket, or answers arrive out of order.
    margin: f64,
    /// Whether it may refill on whole seconds although it fills fast.
    whole_seconds: bool,
    /// The number of calls that drew from it; how many of those the reports so far have counted; how many are in
    /// flight.
    sent: u64,
    counted: u64,
    in_flight: u64,
    reported_at: f64,
    /// When a call was last refused although there seemed to be a token. Calls that were sent before say nothing new.
    last_overestimate: f64,
}

impl TokenBucket {
    pub(super) fn new(report: &BucketReport, reporter: Route, now: f64) -> Self {
        Self {
            limit: report.limit,
            last_report: *report,
            reporter,
            tokens: report.remaining as f64,
            at: now,
            refill: report.refill.unwrap_or(Refill::unknown(report.limit)),
            margin: 0.0,
            whole_seconds: false,
            sent: 0,
            counted: 0,
            in_flight: 0,
            reported_at: now,
            last_overestimate: now,
        }
    }

    fn refills_on_seconds(&self) -> bool {
        let fill = self.limit as f64 / self.refill.low;
        fill > CONTINUOUS_REFILL_SECONDS || (self.whole_seconds && fill >= 1.0)
    }

    /// The most tokens that may be left. A call draws its token when it arrives, and until then a full bucket gains
    /// none; so it cannot be counted on to hold more than a full one that all calls in flight draw from.
    fn most(&self) -> f64 {
        self.limit.saturating_sub(self.in_flight) as f64
    }

    /// The tokens left, and the time up to which their refill was counted.
    fn tokens_at(&self, clock: &ServerClock, now: f64) -> (f64, f64) {
        let until = if self.refills_on_seconds() { clock.current_second(now) } else { now }.max(self.at);
        ((until - self.at).mul_add(self.refill.low, self.tokens).min(self.most()), until)
    }

    pub(super) fn is_stale(&self, now: f64) -> bool {
        now - self.reported_at > REPORT_TTL_SECONDS
    }

    /// The tokens that are left to other clients. A bucket of one or two tokens keeps none back, as hardly any call
    /// would pass.
    fn reserve(&self, percent: f64) -> f64 {
        let limit = self.limit as f64;
        (limit * percent / 100.0).floor().max(self.margin).min(limit - 2.0).max(0.0)
    }

    /// Whether the reserve is untouched after all calls that were counted.
    pub(super) fn keeps_reserve(&self, reserve_percent: f64, clock: &ServerClock, now: f64) -> bool {
        self.tokens_at(clock, now).0 >= self.reserve(reserve_percent) + WHOLE_TOKEN - 1.0
            || (self.is_stale(now) && self.in_flight <= 1)
    }

    /// When there will be a token above the reserve; `None` if there is one now.
    pub(super) fn wait_until(&self, reserve_percent: f64, clock: &ServerClock, now: f64) -> Option<f64> {
        let needed = self.reserve(reserve_percent) + WHOLE_TOKEN;
        // A stale report does not count. One call is let through to get a new one.
        if self.tokens_at(clock, now).0 >= needed || (self.is_stale(now) && self.is_idle()) {
            return None;
        }
        let due = (needed - self.tokens) / self.refill.low + self.at;
        let second = clock.current_second(due);
        let due = if self.refills_on_seconds() && second < due { second + 1.0 } else { due };
        // A little later, so that a rounding error does not make it too early.
        Some(due.max(now) + 1e-6)
    }

    /// Takes a token for a call. Returns the number of the call, which [`Self::report`] needs.
    pub(super) fn draw(&mut self, clock: &ServerClock, now: f64) -> u64 {
        let (left, until) = self.tokens_at(clock, now);
        // While the bucket is full it gains no tokens, so none may be counted later for that time.
        let is_full = self.refill.low.mul_add(now - until, left) > self.most();
        (self.tokens, self.at) = (left - 1.0, if is_full { now } else { until });
        self.sent += 1;
        self.in_flight += 1;
        self.sent
    }

    /// Returns the token of a call that is not sent. The call may count as uncounted until the next report.
    pub(super) fn give_back(&mut self) {
        self.tokens = (self.tokens + 1.0).min(self.limit as f64);
        self.call_finished();
    }

    /// Whether no call that drew from the bucket is in flight.
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight == 0
    }

    /// A call that drew from the bucket has ended.
    pub(super) fn call_finished(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// The calls that the report of the call with this number may not have counted: those in flight, and those that
    /// were sent later and answered without a report.
    fn uncounted(&self, number: u64) -> f64 {
        self.in_flight.max(self.sent - number) as f64
    }

    /// Takes the report of the call with this number, made `age` seconds ago. Without a number the call was sent before
    /// the bucket was known, and so were `unseen` others.
    pub(super) fn report(
        &mut self,
        report: &BucketReport,
        number: Option<u64>,
        unseen: i64,
        age: f64,
        clock: &ServerClock,
        now: f64,
    ) {
        let before = self.tokens_at(clock, now);
        self.refill = report.refill.map_or(self.refill, |new| self.refill.narrowed(new));
        self.margin *= MARGIN_DECAY;
        self.reported_at = now;
        self.last_report = *report;
        let latest = self.counted.max(number.unwrap_or_default());
        let unseen = if number.is_none() { unseen as f64 } else { 0.0 };
        let at = if self.refills_on_seconds() { report.second.max(now - age) } else { now - age };
        (self.tokens, self.at) = (report.remaining as f64 - self.uncounted(latest) - unseen, at);
        if number.unwrap_or_default() < self.counted {
            // A later report arrived earlier. This one only shows that no more than this is left.
            let after = self.tokens_at(clock, now);
            (self.tokens, self.at) = if after.0 < before.0 { after } else { before };
        }
        self.counted = latest;
    }

    /// Whether this report, made `age` seconds ago, and the last one can be about the same bucket; `None` if the two do
    /// not tell.
    pub(super) fn is_consistent_with(&self, report: &BucketReport, number: u64, age: f64, now: f64) -> Option<bool> {
        let last = &self.last_report;
        if number < self.counted || last.remaining > self.limit / 2 {
            return None;
        }
        // The calls in flight may have been served after this report, and the refill on whole seconds follows Auth0's
        // clock.
        let seconds = (now - self.reported_at + age).max(report.second - last.second);
        let most = self.refill.high.mul_add(seconds, last.remaining as f64 + self.in_flight as f64 + 1.0);
        Some(report.remaining as f64 <= most)
    }

    /// The call with this number reported another bucket, with `remaining` tokens. Auth0 reports the tightest bucket,
    /// so this one holds at least as many.
    pub(super) fn raise_to(&mut self, remaining: u64, number: u64, clock: &ServerClock, now: f64) {
        let (left, until) = self.tokens_at(clock, now);
        (self.tokens, self.at) = (left.max(remaining.min(self.limit) as f64 - self.uncounted(number)), until);
    }

    /// A call that was sent at `sent` was refused although there seemed to be a token.
    pub(super) fn refused_unexpectedly(&mut self, sent: f64, now: f64) {
        if sent >= self.last_overestimate {
            self.last_overestimate = now;
            self.whole_seconds = true;
            self.margin = self.margin.mul_add(2.0, 1.0).min(self.limit as f64 / 4.0);
        }
    }

    /// Checks the invariants.
    pub(super) fn check(&self) -> bool {
        let Refill { low, high } = self.refill;
        let counts = self.counted <= self.sent && self.in_flight <= self.sent;
        let refill = 0.0 < low && low <= high && high.is_finite();
        counts && refill && self.tokens <= self.limit as f64 && self.margin <= self.limit as f64 / 4.0
    }
}
