//! When to look or try again. Pure.

use std::time::Duration;

use jiff::Timestamp;

/// A wait shorter than this is not worth a write of the status.
pub const WAIT_SHOWN: Duration = Duration::from_secs(15);
/// When a read still shows what was removed this long ago, the removal is sent once more.
pub(super) const REMOVE_AGAIN_AFTER: Duration = Duration::from_secs(120);
/// A read that begins this long after the removal and still shows it needs a person.
pub(super) const STILL_PRESENT_AFTER: Duration = Duration::from_secs(600);
/// What is still present is looked at this often, after a first look.
pub(super) const LATE_LOOK_EVERY: Duration = Duration::from_secs(6 * 3600);
/// What only a person can end is looked at no longer than this.
const STILL_PRESENT_ENDS: Duration = Duration::from_secs(7 * 24 * 3600);
/// No pause is longer than this when it is written.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(750);
/// The longest wait after a 429, with its jitter; longer ones are not believed.
const LONGEST_HOLD: Duration = Duration::from_secs(661);
/// Shortest and longest pause after a failure of one object; it doubles in between.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(600);
/// When to look again after a removal, from the removal on; then each minute. Auth0 speaks of 5 to 10 s until a list of
/// members shows a removal.
const LOOKS: [u64; 5] = [2, 7, 17, 37, 77];
const LOOK_EVERY: u64 = 60;

/// How much time is left until `at`, if any.
pub(super) fn until(at: Timestamp, now: Timestamp) -> Option<Duration> {
    Duration::try_from(at.duration_since(now)).ok().filter(|left| !left.is_zero())
}

/// How long ago `at` was; nothing if it is to come.
pub(super) fn since(at: Timestamp, now: Timestamp) -> Duration {
    until(now, at).unwrap_or_default()
}

/// What is left of an object's own pause that a status names. More than can have been written was written by another
/// clock, and counts for nothing.
pub(super) fn pause(next_attempt: Timestamp, now: Timestamp, longest: Duration) -> Option<Duration> {
    until(next_attempt, now).filter(|left| *left <= longest)
}

/// What is left of a wait after a 429 that a status names.
pub(super) fn hold(next_attempt: Timestamp, now: Timestamp) -> Option<Duration> {
    until(next_attempt, now).map(|left| left.min(LONGEST_HOLD))
}

/// The pause after the `attempts`th failure in a row, with jitter upwards.
pub(super) fn backoff(attempts: i32, jitter: f64) -> Duration {
    let doublings = u32::try_from((attempts - 1).clamp(0, 16)).unwrap_or(0);
    jittered(FIRST_RETRY.saturating_mul(1 << doublings).min(LAST_RETRY), jitter)
}

/// The pause before a refused credential is tried again: the refusal may have been Auth0's mistake.
pub(super) fn refused_retry(jitter: f64) -> Duration {
    jittered(LAST_RETRY, jitter)
}

fn jittered(pause: Duration, jitter: f64) -> Duration {
    pause.mul_f64(1.0 + 0.2 * jitter.clamp(0.0, 1.0))
}

/// The next look after a removal that a read still shows: on the schedule, and one when the time for it is up.
pub(super) fn next_look(removed_at: Timestamp, now: Timestamp) -> Timestamp {
    let elapsed = u64::try_from(since(removed_at, now).as_millis()).unwrap_or(u64::MAX).saturating_add(500);
    let last = LOOKS[LOOKS.len() - 1];
    // A look that comes a moment early, as a status holds whole seconds, has still been taken.
    let due = LOOKS.into_iter().find(|seconds| seconds * 1000 > elapsed);
    let seconds =
        due.unwrap_or_else(|| last + LOOK_EVERY * (elapsed.saturating_sub(last * 1000) / (LOOK_EVERY * 1000) + 1));
    let (at, end) = (removed_at + Duration::from_secs(seconds), removed_at + STILL_PRESENT_AFTER);
    if now < end { at.min(end) } else { at.max(now) }
}

/// The next look at what is still present: an hour after that was found, then every six hours for a week.
pub(super) fn next_late_look(found_at: Timestamp, now: Timestamp) -> Option<Timestamp> {
    const FIRST: u64 = 3600;
    let every = LATE_LOOK_EVERY.as_secs();
    let elapsed = since(found_at, now).as_secs();
    let looks = if elapsed < FIRST { 0 } else { (elapsed - FIRST) / every + 1 };
    let next = FIRST + looks * every;
    (next <= STILL_PRESENT_ENDS.as_secs()).then(|| found_at + Duration::from_secs(next))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn looks_follow_the_schedule() {
        let (mut now, mut times) = (at(100), Vec::new());
        while now < at(700) {
            now = next_look(at(100), now);
            times.push(now.as_second() - 100);
        }
        assert_eq!(times, [2, 7, 17, 37, 77, 137, 197, 257, 317, 377, 437, 497, 557, 600]);
        assert_eq!(next_look(at(100), at(107) + jiff::SignedDuration::from_millis(300)), at(117), "a late look");
        assert!(next_look(at(100), at(5000)) > at(5000));
    }

    #[test]
    fn what_is_still_present_is_looked_at_for_a_week() {
        let (mut now, mut hours) = (at(0), Vec::new());
        while let Some(next) = next_late_look(at(0), now) {
            now = next;
            hours.push(now.as_second() / 3600);
        }
        assert_eq!(hours[..3], [1, 7, 13]);
        assert_eq!((hours.len(), *hours.last().unwrap()), (28, 163), "{hours:?}");
        assert_eq!(next_late_look(at(0), at(8 * 24 * 3600)), None);
    }

    #[test]
    fn failures_back_off_to_ten_minutes() {
        let pauses: Vec<_> = (0..14).map(|attempts| backoff(attempts, 0.0).as_secs()).collect();
        assert_eq!(pauses, [1, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600, 600]);
        assert_eq!(backoff(40, 1.0), Duration::from_secs(720));
        assert!(backoff(40, 1.0) < LONGEST_PAUSE && refused_retry(1.0) < LONGEST_PAUSE);
    }

    #[test]
    fn no_clock_makes_a_wait_endless() {
        assert_eq!(pause(at(700), at(0), LONGEST_PAUSE), Some(Duration::from_secs(700)));
        assert_eq!(pause(at(1_000_000), at(0), LONGEST_PAUSE), None);
        assert_eq!(hold(at(1_000_000), at(0)), Some(LONGEST_HOLD));
        assert_eq!((pause(at(5), at(5), LONGEST_PAUSE), hold(at(4), at(5))), (None, None));
    }
}
