//! Times as people read them, and the scale on which a second and a month can be seen. Pure.

use jiff::Timestamp;

/// A time span as people say it: `9 s`, `12 min`, `61 h`, `30 d`.
pub fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..864_000 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// An instant to the second, in UTC.
pub fn utc(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A logarithmic scale from nothing to the longest time.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    longest: f64,
    sla: u64,
}

impl Scale {
    /// A scale on which the limit and the slowest removal can be seen.
    pub fn new(sla: u64, slowest: Option<i64>) -> Self {
        let longest = slowest.map_or(0, i64::unsigned_abs).max(sla).max(60);
        // As a position on a page it may be rounded.
        #[allow(clippy::cast_precision_loss, reason = "times are far below 2^52 seconds")]
        Self { longest: (longest as f64).mul_add(1.3, 1.0).ln(), sla }
    }

    /// Where a time is, in percent of the width; nothing is at the left.
    pub fn at(&self, seconds: Option<i64>) -> String {
        #[allow(clippy::cast_precision_loss, reason = "times are far below 2^52 seconds")]
        let place = seconds.map_or(0.0, |seconds| (seconds.max(0) as f64 + 1.0).ln() / self.longest);
        format!("{:.0}", (place * 100.0).min(100.0))
    }

    /// The times that the scale names, with their places.
    pub fn ticks(&self) -> Vec<(String, String)> {
        let times = [0, 10, 60, 600, 3_600, 36_000, 86_400, 864_000];
        let far = |time: &u64| *time == 0 || time.max(&self.sla) / (*time).min(self.sla).max(1) >= 3;
        let mut times: Vec<u64> = times.into_iter().filter(far).chain([self.sla]).collect();
        times.sort_unstable();
        let shown = times.into_iter().filter_map(|time| Some((span(time), self.at(Some(i64::try_from(time).ok()?)))));
        shown.filter(|(_, place)| place != "100").collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_short() {
        let spans = [9, 119, 720, 86_400, 219_600, 2_592_000].map(span);
        assert_eq!(spans, ["9 s", "119 s", "12 min", "24 h", "61 h", "30 d"]);
    }

    #[test]
    fn a_second_and_a_month_can_be_seen() {
        let scale = Scale::new(86_400, Some(2_592_000));
        let places: Vec<u32> =
            [0, 9, 60, 3_600, 86_400, 2_592_000].map(|at| scale.at(Some(at)).parse().unwrap()).into();
        assert!(places.is_sorted() && places.windows(2).all(|pair| pair[1] - pair[0] >= 9), "{places:?}");
        assert_eq!(scale.at(None), "0");
        assert!(scale.ticks().iter().any(|(name, _)| name == "24 h"));
    }
}
