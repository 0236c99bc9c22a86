//! Rate-limit headers, and how long to wait after a 429. Pure: the current time is an argument.

use std::time::Duration;

use http::HeaderMap;
use jiff::Timestamp;

/// The wait after a 429 that names no usable time.
pub const DEFAULT_WAIT: Duration = Duration::from_secs(60);
/// The shortest wait after a 429.
pub const MIN_WAIT: Duration = Duration::from_secs(1);
/// The longest wait after a 429. The circuit breaker sends one probe when it is over.
pub const MAX_WAIT: Duration = Duration::from_secs(600);
/// A later time than this, in seconds since the epoch, is one in milliseconds.
const MILLISECONDS: i64 = 100_000_000_000;

/// The rate-limit headers of a response. Auth0 may omit each of them, and none says which of its buckets it describes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateHeaders {
    /// `X-RateLimit-Limit`: the size of the bucket, in calls. The smallest value if the header is repeated.
    pub limit: Option<u64>,
    /// `X-RateLimit-Remaining`: calls that are left. The smallest value if the header is repeated.
    pub remaining: Option<u64>,
    /// `X-RateLimit-Reset`: when the bucket will be full again, in seconds since the epoch by Auth0's clock. The latest
    /// value if the header is repeated.
    pub reset: Option<i64>,
    /// `Retry-After`, in seconds. The longest value if the header is repeated.
    pub retry_after: Option<i64>,
    /// `Date`: when the response was made, in seconds since the epoch by Auth0's clock. The earliest value if the
    /// header is repeated.
    pub date: Option<i64>,
}

impl RateHeaders {
    /// Reads the headers. A value that cannot be parsed, or makes no sense, counts as absent.
    pub fn read(headers: &HeaderMap) -> Self {
        let date = dates(headers, "date").min();
        // A date in Retry-After is compared with the response's own Date, not with our clock.
        let until = dates(headers, "retry-after").filter_map(|at| Some(at.saturating_sub(date?)));
        let retry_after = integers(headers, "retry-after").chain(until).filter(is_sensible);
        let smallest = |name| integers(headers, name).filter_map(|n| u64::try_from(n).ok()).min();
        Self {
            limit: smallest("x-ratelimit-limit"),
            remaining: smallest("x-ratelimit-remaining"),
            reset: integers(headers, "x-ratelimit-reset").filter(|at| *at < MILLISECONDS).max(),
            retry_after: retry_after.max(),
            date,
        }
    }
}

/// How long to send nothing after a 429. `Retry-After` takes precedence over `X-RateLimit-Reset`, which is compared
/// with the response's own Date, or with `now` if it has none. If neither names a sensible wait, it is
/// [`DEFAULT_WAIT`]; others are clamped to [`MIN_WAIT`]..=[`MAX_WAIT`]. `jitter`, from 0 to 1, lengthens the wait by up
/// to a tenth.
pub fn wait_after_429(headers: &RateHeaders, now: Timestamp, jitter: f64) -> Duration {
    let clock = headers.date.unwrap_or_else(|| now.as_second());
    let until_reset = || Some(headers.reset?.saturating_sub(clock)).filter(is_sensible);
    let named = headers.retry_after.filter(is_sensible).or_else(until_reset);
    // Zero means within the current second, as the header has no finer unit.
    let wait = named.map_or(DEFAULT_WAIT, |seconds| Duration::from_secs(seconds.unsigned_abs()));
    let wait = wait.clamp(MIN_WAIT, MAX_WAIT);
    wait + wait.mul_f64(0.1 * jitter.clamp(0.0, 1.0))
}

/// Whether a wait of so many seconds can be meant: it is not over, and not longer than a year.
fn is_sensible(seconds: &i64) -> bool {
    (0..=366 * 24 * 3600).contains(seconds)
}

fn values<'a>(headers: &'a HeaderMap, name: &'static str) -> impl Iterator<Item = &'a str> {
    headers.get_all(name).iter().filter_map(|value| value.to_str().ok())
}

/// The integers in a header. A gateway may have joined several headers of the same name by commas.
fn integers(headers: &HeaderMap, name: &'static str) -> impl Iterator<Item = i64> {
    values(headers, name).flat_map(|text| text.split(',')).filter_map(|text| text.trim().parse().ok())
}

fn dates(headers: &HeaderMap, name: &'static str) -> impl Iterator<Item = i64> {
    values(headers, name).filter_map(|text| parse_date(text.trim()))
}

fn parse_date(text: &str) -> Option<i64> {
    jiff::fmt::rfc2822::parse(text).ok().map(|zoned| zoned.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DATE: &str = "Fri, 20 Nov 2026 12:00:00 GMT";

    fn date() -> i64 {
        parse_date(DATE).unwrap()
    }

    fn wait(pairs: &[(&'static str, &str)], now: i64) -> u64 {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        wait_after_429(&RateHeaders::read(&headers), Timestamp::from_second(now).unwrap(), 0.0).as_secs()
    }

    #[test]
    fn the_answers_own_clock_counts() {
        let reset = (date() + 30).to_string();
        for skew in [-600, 0, 600] {
            assert_eq!(wait(&[("date", DATE), ("x-ratelimit-reset", &reset)], date() + skew), 30);
        }
        assert_eq!(wait(&[("x-ratelimit-reset", &reset)], date() + 10), 20, "no Date: our clock");
    }

    #[test]
    fn retry_after_wins_in_both_forms() {
        let reset = (date() + 30).to_string();
        let later = "Fri, 20 Nov 2026 12:00:45 GMT";
        assert_eq!(wait(&[("date", DATE), ("x-ratelimit-reset", &reset), ("retry-after", "7")], date()), 7);
        assert_eq!(wait(&[("date", DATE), ("x-ratelimit-reset", &reset), ("retry-after", later)], date()), 45);
    }

    #[test]
    fn nonsense_gives_the_default() {
        for value in ["", "NaN", "-5", "soon", "1e20", "99999999999999999999"] {
            assert_eq!(wait(&[("date", DATE), ("x-ratelimit-reset", value)], date()), 60, "{value:?}");
        }
        let millis = (date() * 1000).to_string();
        assert_eq!(wait(&[("date", DATE), ("x-ratelimit-reset", &millis)], date()), 60, "milliseconds");
        let past = (date() - 5).to_string();
        assert_eq!(wait(&[("date", DATE), ("x-ratelimit-reset", &past)], date()), 60, "past");
        assert_eq!(wait(&[], date()), 60, "absent");
        let far = (date() + 7200).to_string();
        assert_eq!(wait(&[("date", DATE), ("x-ratelimit-reset", &far)], date()), 600, "capped");
    }

    #[test]
    fn of_several_values_the_worst_counts() {
        let (a, b) = ((date() + 5).to_string(), (date() + 50).to_string());
        assert_eq!(wait(&[("date", DATE), ("x-ratelimit-reset", &a), ("x-ratelimit-reset", &b)], date()), 50);
        let joined = format!("{a}, {b}");
        assert_eq!(wait(&[("date", DATE), ("x-ratelimit-reset", &joined)], date()), 50, "joined on the way");
        assert_eq!(wait(&[("retry-after", "300, 7")], date()), 300);
        let earlier = "Fri, 20 Nov 2026 11:59:50 GMT";
        for dates in [[DATE, earlier], [earlier, DATE]] {
            let headers = [("date", dates[0]), ("date", dates[1]), ("x-ratelimit-reset", &*b)];
            assert_eq!(wait(&headers, date()), 60, "{dates:?}");
        }
    }

    #[test]
    fn of_several_buckets_the_tightest_counts() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-ratelimit-limit", "50"),
            ("x-ratelimit-limit", "10"),
            ("x-ratelimit-remaining", "3"),
            ("x-ratelimit-remaining", "40"),
            ("x-ratelimit-remaining", "-1"),
        ] {
            headers.append(name, value.parse().unwrap());
        }
        let read = RateHeaders::read(&headers);
        assert_eq!((read.limit, read.remaining), (Some(10), Some(3)));
    }

    /// A value that means nothing does not hide one that does.
    #[test]
    fn nonsense_shortens_no_wait() {
        let reset = (date() + 500).to_string();
        for nonsense in ["-5", "99999999999", "1e9"] {
            let headers = [("date", DATE), ("x-ratelimit-reset", &*reset), ("retry-after", nonsense)];
            assert_eq!(wait(&headers, date()), 500, "{nonsense}");
            assert_eq!(wait(&[("retry-after", "300"), ("retry-after", nonsense)], date()), 300, "{nonsense}");
        }
        let millis = (date() * 1000).to_string();
        let headers = [("date", DATE), ("x-ratelimit-reset", &*reset), ("x-ratelimit-reset", &*millis)];
        assert_eq!(wait(&headers, date()), 500);
        let past = "Fri, 20 Nov 2026 11:00:00 GMT";
        assert_eq!(wait(&[("date", DATE), ("x-ratelimit-reset", &reset), ("retry-after", past)], date()), 500);
    }

    proptest! {
        #[test]
        fn a_wait_is_never_shorter_than_named_nor_out_of_bounds(
            reset in any::<Option<i64>>(), retry in any::<Option<i64>>(), date in any::<Option<i64>>(),
            now in -1_000_000_000i64..10_000_000_000, jitter in 0.0f64..1.0, near in 1i64..600,
        ) {
            let now = Timestamp::from_second(now).unwrap();
            let any = RateHeaders { limit: None, remaining: None, reset, retry_after: retry, date };
            let wait = wait_after_429(&any, now, jitter);
            prop_assert!(wait >= MIN_WAIT && wait <= MAX_WAIT.mul_f64(1.1));
            let named = RateHeaders { retry_after: Some(near), ..any };
            prop_assert!(wait_after_429(&named, now, jitter) >= Duration::from_secs(near.unsigned_abs()));
        }
    }
}
