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
    /// `Date`: when the response was made, in seconds since the epoch by Auth0's clock.
    pub date: Option<i64>,
}

impl RateHeaders {
    /// Reads the headers. A header that cannot be parsed counts as absent.
    pub fn read(headers: &HeaderMap) -> Self {
        let date = numbers(headers, "date", parse_date).max();
        let retry_after = numbers(headers, "retry-after", |text| {
            // A date in Retry-After is compared with the response's own Date, not with our clock.
            parse_integer(text).or_else(|| Some(parse_date(text)?.saturating_sub(date?)))
        });
        let smallest = |name| numbers(headers, name, parse_integer).filter_map(|n| u64::try_from(n).ok()).min();
        Self {
            limit: smallest("x-ratelimit-limit"),
            remaining: smallest("x-ratelimit-remaining"),
            reset: numbers(headers, "x-ratelimit-reset", parse_integer).max(),
            retry_after: retry_after.max(),
            date,
        }
    }
}

/// How long to send nothing after a 429. `Retry-After` takes precedence over `X-RateLimit-Reset`, which is compared
/// with the response's own Date, or with `now` if it has none. Absent, past and absurd values give [`DEFAULT_WAIT`];
/// others are clamped to [`MIN_WAIT`]..=[`MAX_WAIT`]. `jitter`, from 0 to 1, lengthens the wait by up to a tenth.
pub fn wait_after_429(headers: &RateHeaders, now: Timestamp, jitter: f64) -> Duration {
    /// A wait of more than a year is a mistake, such as a time in milliseconds.
    const ABSURD: i64 = 366 * 24 * 3600;
    let clock = headers.date.unwrap_or_else(|| now.as_second());
    let named = headers.retry_after.or_else(|| Some(headers.reset?.saturating_sub(clock)));
    let wait = match named {
        Some(seconds) if (1..=ABSURD).contains(&seconds) => {
            Duration::from_secs(seconds.unsigned_abs()).clamp(MIN_WAIT, MAX_WAIT)
        }
        // Zero means within the current second, as the header has no finer unit.
        Some(0) => MIN_WAIT,
        _ => DEFAULT_WAIT,
    };
    wait + wait.mul_f64(0.1 * jitter.clamp(0.0, 1.0))
}

fn numbers<'a>(
    headers: &'a HeaderMap,
    name: &'static str,
    parse: impl Fn(&str) -> Option<i64> + 'a,
) -> impl Iterator<Item = i64> + 'a {
    headers.get_all(name).iter().filter_map(|v| v.to_str().ok()).filter_map(move |text| parse(text.trim()))
}

fn parse_integer(text: &str) -> Option<i64> {
    text.parse().ok()
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
