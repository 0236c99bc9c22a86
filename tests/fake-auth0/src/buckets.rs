//! Rate limits: token buckets per group of endpoints, and what their headers say.
//!
//! Pure: time is an argument, a duration since some fixed start. Which call draws from which group is in
//! `endpoints.rs`.

use std::time::Duration;

use crate::{kinds::Group, switches::GlobalLimit};

/// When a bucket is refilled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refill {
    /// Every millisecond, as limits per second do.
    Milliseconds,
    /// On whole seconds, as limits per minute do.
    Seconds,
}

impl Refill {
    fn unit(self) -> Duration {
        match self {
            Self::Milliseconds => Duration::from_millis(1),
            Self::Seconds => Duration::from_secs(1),
        }
    }

    /// The latest time at which calls were added.
    fn floor(self, time: Duration) -> Duration {
        match self {
            Self::Milliseconds => Duration::new(time.as_secs(), time.subsec_millis() * 1_000_000),
            Self::Seconds => Duration::from_secs(time.as_secs()),
        }
    }
}

/// The size of a bucket, its refill, and what answers report of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// The size: calls that may come at once.
    pub burst: u32,
    /// Calls added per second.
    pub per_second: f64,
    /// When they are added.
    pub refill: Refill,
    /// Whether answers carry this bucket's `X-RateLimit-*` headers.
    pub reported: bool,
    /// Whether a 429 also carries `Retry-After`.
    pub retry_after: bool,
}

impl Bucket {
    /// A bucket of `burst` calls that gains `per_second` calls a second, reported in headers, without `Retry-After`.
    #[must_use]
    pub fn new(burst: u32, per_second: f64) -> Self {
        Self { burst, per_second, refill: Refill::Milliseconds, reported: true, retry_after: false }
    }

    /// The same with `calls` a minute, which come on whole seconds.
    #[must_use]
    pub fn per_minute(burst: u32, calls: f64) -> Self {
        Self { refill: Refill::Seconds, ..Self::new(burst, calls / 60.0) }
    }

    /// A bucket that starts with `burst` calls and never fills again by itself.
    #[must_use]
    pub fn once(burst: u32) -> Self {
        Self::new(burst, 0.0)
    }

    /// The same without headers, as Auth0's global bucket on self-service plans is said to be.
    #[must_use]
    pub fn unreported(self) -> Self {
        Self { reported: false, ..self }
    }

    /// The same with `Retry-After` on 429.
    #[must_use]
    pub fn with_retry_after(self) -> Self {
        Self { retry_after: true, ..self }
    }
}

/// A time that stands for "never" and still makes a valid header.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);

#[derive(Clone, Copy, Debug)]
struct Level {
    bucket: Bucket,
    calls: f64,
    at: Duration,
}

/// Tolerance of floating point, so that sixty times a sixtieth is one.
const ROUNDING: f64 = 1e-9;

impl Level {
    fn new(bucket: Bucket, now: Duration) -> Self {
        Self { bucket, calls: f64::from(bucket.burst), at: bucket.refill.floor(now) }
    }

    fn fill(&mut self, now: Duration) {
        let now = self.bucket.refill.floor(now);
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.calls = (self.calls + passed * self.bucket.per_second).min(f64::from(self.bucket.burst));
        self.at = now.max(self.at);
    }

    fn whole(&self) -> u32 {
        (self.calls + ROUNDING).max(0.0) as u32
    }

    fn take(&mut self, calls: u32) -> bool {
        let enough = self.whole() >= calls;
        if enough {
            self.calls -= f64::from(calls);
        }
        enough
    }

    /// How long from now until the bucket holds `calls` calls.
    fn time_to(&self, calls: f64, now: Duration) -> Duration {
        let missing = calls - self.calls - ROUNDING;
        if missing <= 0.0 {
            return Duration::ZERO;
        }
        let unit = self.bucket.refill.unit();
        let units = (missing / self.bucket.per_second / unit.as_secs_f64() - ROUNDING).ceil();
        let wait = Duration::try_from_secs_f64(units * unit.as_secs_f64()).map_or(NEVER, |wait| wait.min(NEVER));
        (self.at + wait).saturating_sub(now)
    }

    fn report(&self, now: Duration) -> Report {
        Report {
            limit: self.bucket.burst,
            remaining: self.whole(),
            reset_after: self.time_to(f64::from(self.bucket.burst), now),
        }
    }
}

/// What the headers of an answer say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// `X-RateLimit-Limit`
    pub limit: u32,
    /// `X-RateLimit-Remaining`
    pub remaining: u32,
    /// From now until the bucket is full: what `X-RateLimit-Reset` tells as a point in time.
    pub reset_after: Duration,
}

/// Whether a call may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decision {
    pub allowed: bool,
    pub report: Option<Report>,
    /// Only on a refusal by a bucket that says so.
    pub retry_after: Option<Duration>,
    /// The group whose bucket refused, and whether it is refilled by the minute.
    pub refused: Option<(Group, bool)>,
}

/// The buckets of one tenant; a group without one is unlimited.
#[derive(Debug, Default)]
pub(crate) struct Buckets {
    levels: [Option<Level>; Group::ALL.len()],
}

impl Buckets {
    pub(crate) fn set(&mut self, group: Group, bucket: Option<Bucket>, now: Duration) {
        self.levels[group as usize] = bucket.map(|bucket| Level::new(bucket, now));
    }

    /// Takes calls as another client of the tenant would; returns how many there were to take.
    pub(crate) fn drain(&mut self, group: Group, calls: u32, now: Duration) -> u32 {
        let Some(level) = self.levels[group as usize].as_mut() else { return 0 };
        level.fill(now);
        let taken = level.whole().min(calls);
        level.calls -= f64::from(taken);
        taken
    }

    pub(crate) fn report(&mut self, group: Group, now: Duration) -> Option<Report> {
        let level = self.levels[group as usize].as_mut()?;
        level.fill(now);
        Some(level.report(now))
    }

    /// One call of a group: the global bucket first (not for tokens), then the group's own.
    pub(crate) fn call(&mut self, group: Group, now: Duration, global: GlobalLimit) -> Decision {
        let order = [Group::Global, group];
        let own = self.levels[group as usize].is_some();
        let outside = match group {
            Group::Token | Group::Global => true,
            _ => own && global == GlobalLimit::OtherCalls,
        };
        let order = if outside { &order[1..] } else { &order[..] };
        let mut reported = None;
        let mut refused: Option<(Group, Level)> = None;
        for group in order {
            let Some(level) = self.levels[*group as usize].as_mut() else { continue };
            level.fill(now);
            let untouched = refused.is_some();
            if !untouched && !level.take(1) {
                refused = Some((*group, *level));
            }
            // The headers report the later, more specific bucket, unless an earlier one refused and is reported.
            if level.bucket.reported && !(untouched && reported.is_some()) {
                reported = Some(level.report(now));
            }
        }
        Decision {
            allowed: refused.is_none(),
            report: reported,
            retry_after: refused.filter(|(_, by)| by.bucket.retry_after).map(|(_, by)| by.time_to(1.0, now)),
            refused: refused.map(|(group, by)| (group, by.bucket.refill == Refill::Seconds)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const EVERY: GlobalLimit = GlobalLimit::EveryCall;

    fn buckets(global: Option<Bucket>, own: Option<Bucket>) -> Buckets {
        let mut buckets = Buckets::default();
        buckets.set(Group::Global, global, Duration::ZERO);
        buckets.set(Group::MembersWrite, own, Duration::ZERO);
        buckets
    }

    #[test]
    fn reset_is_the_time_to_full() {
        let mut buckets = buckets(None, Some(Bucket::new(4, 0.5)));
        let first = buckets.call(Group::MembersWrite, Duration::ZERO, EVERY);
        assert_eq!(first.report, Some(Report { limit: 4, remaining: 3, reset_after: 2 * SECOND }));
        assert_eq!(buckets.drain(Group::MembersWrite, 10, Duration::ZERO), 3);
        let refused = buckets.call(Group::MembersWrite, Duration::ZERO, EVERY);
        assert!(!refused.allowed);
        assert_eq!(refused.report, Some(Report { limit: 4, remaining: 0, reset_after: 8 * SECOND }));
        assert_eq!(refused.retry_after, None);
        assert!(buckets.call(Group::MembersWrite, 2 * SECOND, EVERY).allowed);
        assert!(!buckets.call(Group::MembersWrite, 2 * SECOND, EVERY).allowed);
    }

    #[test]
    fn the_global_bucket_is_asked_first_and_speaks_when_it_refuses() {
        let mut buckets = buckets(Some(Bucket::once(1)), Some(Bucket::new(20, 1.0)));
        assert_eq!(buckets.call(Group::MembersWrite, Duration::ZERO, EVERY).report.map(|r| r.remaining), Some(19));
        let refused = buckets.call(Group::MembersWrite, Duration::ZERO, EVERY);
        assert!(!refused.allowed);
        assert_eq!(refused.report, Some(Report { limit: 1, remaining: 0, reset_after: NEVER }));
        assert_eq!(buckets.report(Group::MembersWrite, Duration::ZERO).map(|r| r.remaining), Some(19));
        let mut both = self::buckets(Some(Bucket::new(50, 1.0)), Some(Bucket::once(0)));
        let refused = both.call(Group::MembersWrite, Duration::ZERO, EVERY);
        assert_eq!((refused.allowed, refused.report.map(|r| r.limit)), (false, Some(0)));
    }

    #[test]
    fn an_unreported_global_bucket_hides_behind_a_healthy_one() {
        let mut buckets = buckets(Some(Bucket::new(1, 1.0).unreported()), Some(Bucket::new(30, 1.0)));
        assert!(buckets.call(Group::MembersWrite, Duration::ZERO, EVERY).allowed);
        let refused = buckets.call(Group::MembersWrite, Duration::ZERO, EVERY);
        assert!(!refused.allowed);
        assert_eq!(refused.report.map(|report| report.remaining), Some(29));
    }

    #[test]
    fn unlimited_by_default_and_tokens_are_outside_the_global_limit() {
        let mut unlimited = buckets(None, None);
        let decision = unlimited.call(Group::UsersRead, Duration::ZERO, EVERY);
        assert_eq!(decision, Decision { allowed: true, report: None, retry_after: None, refused: None });
        let mut drained = buckets(Some(Bucket::once(0)), None);
        assert!(drained.call(Group::Token, Duration::ZERO, EVERY).allowed);
        assert!(!drained.call(Group::Global, Duration::ZERO, EVERY).allowed);
    }

    #[test]
    fn retry_after_is_the_time_to_the_next_call() {
        let mut buckets = buckets(None, Some(Bucket::new(10, 0.5).with_retry_after()));
        buckets.drain(Group::MembersWrite, 10, Duration::ZERO);
        assert_eq!(buckets.call(Group::MembersWrite, Duration::ZERO, EVERY).retry_after, Some(2 * SECOND));
    }

    #[test]
    fn limits_per_minute_fill_on_whole_seconds_and_limits_per_second_by_the_millisecond() {
        let millis = Duration::from_millis;
        for (bucket, gained) in
            [(Bucket::per_minute(60, 120.0), [0, 0, 2, 2, 4]), (Bucket::new(60, 2.0), [0, 1, 1, 3, 3])]
        {
            let mut buckets = buckets(None, None);
            buckets.set(Group::MembersWrite, Some(bucket), millis(10_400));
            buckets.drain(Group::MembersWrite, 60, millis(10_400));
            let remaining = [10_400, 10_999, 11_000, 11_900, 12_000]
                .map(|now| buckets.report(Group::MembersWrite, millis(now)).map_or(0, |report| report.remaining));
            assert_eq!(remaining, gained, "{bucket:?}");
        }
    }

    #[test]
    fn the_time_to_full_ends_on_the_second_that_fills() {
        let mut buckets = buckets(None, Some(Bucket::per_minute(20, 200.0).with_retry_after()));
        let now = Duration::from_millis(700);
        buckets.drain(Group::MembersWrite, 20, now);
        let refused = buckets.call(Group::MembersWrite, now, EVERY);
        assert_eq!(refused.refused, Some((Group::MembersWrite, true)));
        assert_eq!(refused.retry_after, Some(Duration::from_millis(300)));
        assert_eq!(refused.report.map(|report| report.reset_after), Some(Duration::from_millis(5300)));
        assert_eq!(buckets.report(Group::MembersWrite, 6 * SECOND).map(|report| report.remaining), Some(20));
    }

    #[test]
    fn the_global_bucket_may_leave_alone_who_has_a_bucket_of_their_own() {
        let mut buckets = buckets(Some(Bucket::once(1)), Some(Bucket::once(2)));
        let call = |buckets: &mut Buckets, group| buckets.call(group, Duration::ZERO, GlobalLimit::OtherCalls).allowed;
        assert!(call(&mut buckets, Group::MembersWrite) && call(&mut buckets, Group::MembersWrite));
        assert!(call(&mut buckets, Group::UsersRead));
        assert!(!call(&mut buckets, Group::UsersRead) && !call(&mut buckets, Group::MembersWrite));
    }
}
