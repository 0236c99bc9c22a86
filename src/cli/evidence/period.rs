//! The period of a report: which removals are in it. Pure.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

/// From an instant on, and before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// The first instant.
    pub since: Timestamp,
    /// The first instant after it.
    pub until: Timestamp,
}

impl Period {
    /// Whether the instant is in the period.
    pub fn contains(&self, at: Timestamp) -> bool {
        self.since <= at && at < self.until
    }
}

/// The beginning of a period: an instant, or the first of a day in UTC.
pub fn since(text: &str) -> Result<Timestamp, String> {
    instant(text, 0)
}

/// The end of a period: an instant that is no part of it, or a day in UTC that is.
pub fn until(text: &str) -> Result<Timestamp, String> {
    instant(text, 1)
}

fn instant(text: &str, more_days: i64) -> Result<Timestamp, String> {
    let wrong = |_| "write a day such as 2026-10-01, or an instant such as 2026-10-01T16:00:00Z".to_owned();
    if text.contains(['T', 't']) {
        return text.parse::<Timestamp>().map_err(wrong);
    }
    let day = text.parse::<Date>().and_then(|day| day.checked_add(Span::new().days(more_days))).map_err(wrong)?;
    day.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp()).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_day_is_part_of_the_period() {
        let period = Period { since: since("2026-10-01").unwrap(), until: until("2026-12-31").unwrap() };
        let contains = |at: &str| period.contains(at.parse().unwrap());
        assert!(contains("2026-10-01T00:00:00Z") && contains("2026-12-31T23:59:59Z"));
        assert!(!contains("2026-09-30T23:59:59Z") && !contains("2027-01-01T00:00:00Z"));
        assert_eq!(until("2026-12-31T10:00:00+02:00"), Ok("2026-12-31T08:00:00Z".parse().unwrap()));
        for wrong in ["", "yesterday", "2026-13-01", "2026-10-01T", "2026", "9999-12-31"] {
            assert!(until(wrong).is_err(), "{wrong}");
        }
    }
}
