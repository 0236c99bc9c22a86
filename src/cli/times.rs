//! Instants and spans as people read them. Pure.

use jiff::{SignedDuration, Timestamp};

/// `2026-11-26T16:50:10Z`, without a fraction.
pub fn instant(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// About how long, in its largest unit: `41 s`, `5 min`, `3 h`, `12 d`.
pub fn span(span: SignedDuration) -> String {
    let seconds = span.as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// How long it is from `now` to `at`: `in 5 h`, or `41 s ago`.
pub fn relative(at: Timestamp, now: Timestamp) -> String {
    let after = at.duration_since(now);
    if after.is_negative() { format!("{} ago", span(-after)) } else { format!("in {}", span(after)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_one_unit() {
        let spans = [0, 119, 120, 7199, 7200, 172_799, 172_800].map(|s| span(SignedDuration::from_secs(s)));
        assert_eq!(spans, ["0 s", "119 s", "2 min", "119 min", "2 h", "47 h", "2 d"]);
        let now: Timestamp = "2026-11-26T16:50:10.5Z".parse().unwrap();
        let times = [-60, 60].map(|seconds| relative(now + SignedDuration::from_secs(seconds), now));
        assert_eq!((times, instant(now)), (["60 s ago".into(), "in 60 s".into()], "2026-11-26T16:50:10Z".into()));
    }
}
