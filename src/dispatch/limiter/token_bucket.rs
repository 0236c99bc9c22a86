//! One of Auth0's token buckets, as far as its reports tell. Times are seconds since the limiter began.

use super::Route;
use super::report::{BucketReport, Refill, ServerClock};

/// Auth0's limits per minute refill on whole seconds of its clock, its limits per second continuously, and no header
/// tells which it is. A bucket that fills in less than this many seconds is taken to refill continuously. For all
/// others it costs nothing to count their refill up to a second late.
const CONTINUOUS_REFILL_SECONDS: f64 = 2.5;
/// After this many seconds a report does not count any more.
const REPORT_TTL_SECONDS: f64 = 60.0;
/// If the call that was let through to get a new one got none, the next one may after this many seconds.
const ASK_AGAIN_SECONDS: f64 = 1.0;
/// Each report reduces the margin to this part.
const MARGIN_DECAY: f64 = 0.9995;
/// The last token of a bucket of so many is kept back: it costs one call in all, and a call too many costs the time until
/// the bucket is full again.
const KEEPS_ONE_FROM: u64 = 20;
/// What counts as a whole token where tokens come on whole seconds, so that a rounding error does not cost a second.
const WHOLE_TOKEN: f64 = 0.99;

/// What is known of a token bucket. Its tokens rise by the refill, fall with each call, and are corrected by each
/// report.
#[derive(Debug)]
pub(super) struct TokenBucket {
    limit: u64,
    /// The last report of a call that was let through; and the route that reports the bucket.
    last_report: Option<BucketReport>,
    pub(super) reporter: Route,
    /// The tokens left at `at`; negative if more calls are in flight than it held.
    tokens: f64,
    at: f64,
    /// What calls that were let through have reported of its refill.
    refill: Option<Refill>,
    /// Tokens that are kept back because calls were refused although there seemed to be tokens: other clients draw from
    /// the bucket, or answers arrive out of order.
    margin: f64,
    /// Whether it may refill on whole seconds although it fills fast.
    whole_seconds: bool,
    /// The number of calls that drew from it; the last of those that had a report; and the numbers of those in flight.
    sent: u64,
    counted: u64,
    in_flight: Vec<u64>,
    /// When a call that drew from it last ended.
    ended_at: f64,
    reported_at: f64,
    /// When a call was last refused although there seemed to be a token. Calls that were sent before say nothing new.
    last_overestimate: f64,
}

impl TokenBucket {
    pub(super) fn new(report: &BucketReport, reporter: Route, now: f64) -> Self {
        Self {
            limit: report.limit,
            last_report: None,
            reporter,
            tokens: report.remaining as f64,
            at: now,
            refill: None,
            margin: 0.0,
            whole_seconds: false,
            sent: 0,
            counted: 0,
            in_flight: Vec::new(),
            ended_at: now,
            reported_at: now,
            last_overestimate: now,
        }
    }

    fn refill(&self) -> Refill {
        self.refill.unwrap_or(Refill::unknown(self.limit))
    }

    fn refills_on_seconds(&self) -> bool {
        let fill = self.limit as f64 / self.refill().low;
        fill > CONTINUOUS_REFILL_SECONDS || (self.whole_seconds && fill >= 1.0)
    }

    /// The most tokens that may be left. A call draws its token when it arrives, and until then a full bucket gains
    /// none; so it cannot be counted on to hold more than a full one that all calls in flight draw from.
    fn most(&self) -> f64 {
        self.limit.saturating_sub(self.in_flight.len() as u64) as f64
    }

    /// The tokens left, and the time up to which their refill was counted.
    fn tokens_at(&self, clock: &ServerClock, now: f64) -> (f64, f64) {
        let until = if self.refills_on_seconds() { clock.current_second(now) } else { now }.max(self.at);
        ((until - self.at).mul_add(self.refill().low, self.tokens).min(self.most()), until)
    }

    pub(super) fn is_stale(&self, now: f64) -> bool {
        now - self.reported_at > REPORT_TTL_SECONDS
    }

    /// The tokens that are left to other clients. A bucket of one or two tokens keeps none back, as hardly any call
    /// would pass.
    fn reserve(&self, percent: f64) -> f64 {
        let limit = self.limit as f64;
        let least = if self.limit >= KEEPS_ONE_FROM { 1.0 } else { 0.0 };
        (limit * percent / 100.0).floor().max(self.margin.max(least)).min(limit - 2.0).max(0.0)
    }

    /// What counts as a whole token. If calls were sent a little early again and again, each report would round that
    /// down, until one is refused.
    fn whole_token(&self) -> f64 {
        if self.refills_on_seconds() { WHOLE_TOKEN } else { 1.0 }
    }

    /// Whether the reserve is untouched after all calls that were counted.
    pub(super) fn keeps_reserve(&self, reserve_percent: f64, clock: &ServerClock, now: f64) -> bool {
        self.tokens_at(clock, now).0 >= self.reserve(reserve_percent) + self.whole_token() - 1.0
            || (self.is_stale(now) && self.in_flight.len() <= 1)
    }

    /// When a call may be let through to get a new report, whatever the tokens; none if that is not needed. A stale report
    /// does not count, but the calls since then do, also those whose answers had none.
    fn may_ask_at(&self, now: f64) -> Option<f64> {
        (self.is_stale(now) && self.is_idle()).then_some(self.ended_at + ASK_AGAIN_SECONDS)
    }

    /// When there will be a token above the reserve; `None` if there is one now.
    pub(super) fn wait_until(&self, reserve_percent: f64, clock: &ServerClock, now: f64) -> Option<f64> {
        let needed = self.reserve(reserve_percent) + self.whole_token();
        let may_ask_at = self.may_ask_at(now);
        if self.tokens_at(clock, now).0 >= needed || may_ask_at.is_some_and(|at| at <= now) {
            return None;
        }
        let due = (needed - self.tokens) / self.refill().low + self.at;
        let second = clock.current_second(due);
        let due = if self.refills_on_seconds() && second < due { second + 1.0 } else { due };
        let due = may_ask_at.map_or(due, |at| due.min(at));
        // A little later, so that a rounding error does not make it too early.
        Some(due.max(now) + 1e-6)
    }

    /// Takes a token for a call. Returns the number of the call, which [`Self::report`] needs.
    pub(super) fn draw(&mut self, clock: &ServerClock, now: f64) -> u64 {
        let (left, until) = self.tokens_at(clock, now);
        // While the bucket is full it gains no tokens, so none may be counted later for that time.
        let is_full = self.refill().low.mul_add(now - until, left) > self.most();
        (self.tokens, self.at) = (left - 1.0, if is_full { now } else { until });
        self.sent += 1;
        self.in_flight.push(self.sent);
        self.sent
    }

    /// Returns the token of the call with this number, which is not sent. It may count as uncounted until the next
    /// report.
    pub(super) fn give_back(&mut self, number: u64) {
        self.tokens = (self.tokens + 1.0).min(self.limit as f64);
        self.in_flight.retain(|other| *other != number);
    }

    /// Whether no call that drew from the bucket is in flight.
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight.is_empty()
    }

    /// The call with this number, which drew from the bucket, has ended.
    pub(super) fn call_finished(&mut self, number: u64, now: f64) {
        self.in_flight.retain(|other| *other != number);
        self.ended_at = now;
    }

    /// The calls that the report of the call with this number may not have counted: those that were sent later, answered
    /// without a report or not yet, and those that were sent earlier and are in flight.
    fn uncounted(&self, number: u64) -> f64 {
        let earlier = self.in_flight.iter().filter(|other| **other < number).count() as u64;
        (self.sent - number + earlier) as f64
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
        if !report.refused {
            let known = self.refill;
            self.refill = report.refill.map(|new| known.map_or(new, |known| known.narrowed(new))).or(known);
            self.last_report = Some(*report);
        }
        self.margin *= MARGIN_DECAY;
        self.reported_at = now;
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
        let last = self.last_report.as_ref()?;
        if number < self.counted || last.remaining > self.limit / 2 {
            return None;
        }
        // The calls in flight may have been served after this report, and the refill on whole seconds follows Auth0's
        // clock.
        let seconds = (now - last.at + age).max(report.second - last.second);
        let most = self.refill().high.mul_add(seconds, last.remaining as f64 + self.in_flight.len() as f64 + 1.0);
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
        let Refill { low, high } = self.refill();
        let counts = self.counted <= self.sent && self.in_flight.len() as u64 <= self.sent;
        let refill = 0.0 < low && low <= high && high.is_finite();
        counts && refill && self.tokens <= self.limit as f64 && self.margin <= self.limit as f64 / 4.0
    }
}
