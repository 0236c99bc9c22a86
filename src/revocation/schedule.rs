//! When to retry or read again. Pure.

use std::time::Duration;

use jiff::Timestamp;

/// Waits shorter than this are not worth a write of the status.
pub(super) const SHORT_WAIT: Duration = Duration::from_secs(15);
/// Even if nothing changes, an object is reconciled after this long, in case its wake-up got lost.
const RESYNC: Duration = Duration::from_secs(600);
/// If a read still shows an item this long after Auth0 accepted its removal, the DELETE is sent once more.
pub(super) const REMOVE_AGAIN_AFTER: Duration = Duration::from_secs(120);
/// If a read that begins this long after the removal still shows an item, the reason becomes `StillPresent`.
pub(super) const STILL_PRESENT_AFTER: Duration = Duration::from_secs(600);
/// The first read after `StillPresent`, from that verdict on.
const FIRST_LATE_READ: Duration = Duration::from_secs(3600);
/// The time between further reads after `StillPresent`.
pub(super) const LATE_READ_EVERY: Duration = Duration::from_secs(6 * 3600);
/// This long after `StillPresent` the operator stops reading.
const LATE_READS_END_AFTER: Duration = Duration::from_secs(7 * 24 * 3600);
/// The longest pause that this program writes into a status, but for the reads after `StillPresent`.
pub(super) const MAX_PAUSE: Duration = Duration::from_secs(750);
/// The longest wait after a 429 that is read back from a status: the cap of ten minutes with its jitter.
const MAX_HOLD: Duration = Duration::from_secs(661);
/// The shortest and the longest pause after failures in a row of one object; it doubles in between.
const MIN_BACKOFF: Duration = Duration::from_secs(1);
const MAX_BACKOFF: Duration = Duration::from_secs(600);
/// When to read after a removal, in seconds from the removal on, and how often after that. Auth0's documentation says
/// that it takes 5 to 10 s until a list of members shows a removal: one read is for a delay in that range, and the next
/// one for its end.
const VERIFY_SCHEDULE_SECS: [u64; 6] = [2, 8, 11, 21, 41, 81];
const VERIFY_EVERY_SECS: u64 = 60;

/// How much time is left until `at`; none if it has come.
pub(super) fn until(at: Timestamp, now: Timestamp) -> Option<Duration> {
    Duration::try_from(at.duration_since(now)).ok().filter(|left| !left.is_zero())
}

/// How long ago `at` was; zero if it is in the future.
pub(super) fn since(at: Timestamp, now: Timestamp) -> Duration {
    until(now, at).unwrap_or_default()
}

/// After how long to reconcile an object even if nothing changes, in case its wake-up got lost. `jitter` in 0..1 makes
/// it up to twice as long.
pub(super) fn resync_after(jitter: f64) -> Duration {
    RESYNC.mul_f64(1.0 + jitter)
}

/// What is left of a pause that ends at `next_attempt`, a time read from a status. A time that is more than `longest`
/// ahead was written while a clock was wrong, and is no pause.
pub(super) fn pause_left(next_attempt: Timestamp, now: Timestamp, longest: Duration) -> Option<Duration> {
    until(next_attempt, now).filter(|left| *left <= longest)
}

/// What is left of a wait after a 429 that ends at `next_attempt`, a time read from a status; no more than
/// [`MAX_HOLD`].
pub(super) fn hold_left(next_attempt: Timestamp, now: Timestamp) -> Option<Duration> {
    until(next_attempt, now).map(|left| left.min(MAX_HOLD))
}

/// The pause after this many failures in a row. `jitter` in 0..1 adds up to a fifth.
pub(super) fn backoff(attempts: i32, jitter: f64) -> Duration {
    let doublings = u32::try_from((attempts - 1).clamp(0, 16)).unwrap_or(0);
    jittered(MIN_BACKOFF.saturating_mul(1 << doublings).min(MAX_BACKOFF), jitter)
}

/// The pause after which a call that Auth0 refused is retried, because the refusal may have been Auth0's mistake.
pub(super) fn refused_retry(jitter: f64) -> Duration {
    jittered(MAX_BACKOFF, jitter)
}

fn jittered(pause: Duration, jitter: f64) -> Duration {
    pause.mul_f64(1.0 + 0.2 * jitter.clamp(0.0, 1.0))
}

/// When to read again while a read still shows an item that was removed at `removed_at`: on the schedule, and once at
/// the end of [`STILL_PRESENT_AFTER`].
pub(super) fn next_read(removed_at: Timestamp, now: Timestamp) -> Timestamp {
    let elapsed = u64::try_from(since(removed_at, now).as_millis()).unwrap_or(u64::MAX).saturating_add(500);
    let last = VERIFY_SCHEDULE_SECS[VERIFY_SCHEDULE_SECS.len() - 1];
    // Statuses hold whole seconds, so a read may come up to half a second early. It must not be repeated.
    let due = VERIFY_SCHEDULE_SECS.into_iter().find(|seconds| seconds * 1000 > elapsed);
    let seconds = due.unwrap_or_else(|| {
        last + VERIFY_EVERY_SECS * (elapsed.saturating_sub(last * 1000) / (VERIFY_EVERY_SECS * 1000) + 1)
    });
    let (at, end) = (removed_at + Duration::from_secs(seconds), removed_at + STILL_PRESENT_AFTER);
    if now < end { at.min(end) } else { at.max(now) }
}

/// When to read again after the reason became `StillPresent` at `found_at`: after an hour, then every six hours for a
/// week.
pub(super) fn next_late_read(found_at: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let (first, every) = (FIRST_LATE_READ.as_secs(), LATE_READ_EVERY.as_secs());
    let elapsed = since(found_at, now).as_secs();
    let reads = if elapsed < first { 0 } else { (elapsed - first) / every + 1 };
    let next = first + reads * every;
    (next <= LATE_READS_END_AFTER.as_secs()).then(|| found_at + Duration::from_secs(next))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn reads_follow_the_schedule() {
        let (mut now, mut times) = (at(100), Vec::new());
        while now < at(700) {
            now = next_read(at(100), now);
            times.push(now.as_second() - 100);
        }
        assert_eq!(times, [2, 8, 11, 21, 41, 81, 141, 201, 261, 321, 381, 441, 501, 561, 600]);
        assert_eq!(next_read(at(100), at(111) + jiff::SignedDuration::from_millis(300)), at(121), "a late read");
        assert!(next_read(at(100), at(5000)) > at(5000));
    }

    #[test]
    fn after_still_present_reads_go_on_for_a_week() {
        let (mut now, mut hours) = (at(0), Vec::new());
        while let Some(next) = next_late_read(at(0), now) {
            now = next;
            hours.push(now.as_second() / 3600);
        }
        assert_eq!(hours[..3], [1, 7, 13]);
        assert_eq!((hours.len(), *hours.last().unwrap()), (28, 163), "{hours:?}");
        assert_eq!(next_late_read(at(0), at(8 * 24 * 3600)), None);
    }

    #[test]
    fn failures_back_off_to_ten_minutes() {
        let pauses: Vec<_> = (0..14).map(|attempts| backoff(attempts, 0.0).as_secs()).collect();
        assert_eq!(pauses, [1, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600, 600]);
        assert_eq!(backoff(40, 1.0), Duration::from_secs(720));
        assert!(backoff(40, 1.0) < MAX_PAUSE && refused_retry(1.0) < MAX_PAUSE);
    }

    #[test]
    fn no_clock_makes_a_wait_endless() {
        assert_eq!(pause_left(at(700), at(0), MAX_PAUSE), Some(Duration::from_secs(700)));
        assert_eq!(pause_left(at(1_000_000), at(0), MAX_PAUSE), None);
        assert_eq!(hold_left(at(1_000_000), at(0)), Some(MAX_HOLD));
        assert_eq!((pause_left(at(5), at(5), MAX_PAUSE), hold_left(at(4), at(5))), (None, None));
    }
}
