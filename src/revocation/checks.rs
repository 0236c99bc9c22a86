//! When an object of policy Continuous is looked at again, and what is remembered of what came back. Pure.
//!
//! A check is one read. Checks of one endpoint that have the same interval converge to the same times, a tenth of the
//! interval a turn, so that one walk of an organization's members serves all that ask about it.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use ring::digest::{SHA256, digest};

use crate::api::{ConditionType, Drift, DriftedReason, RemovalStatus, Verdict, time};
use crate::auth0::Endpoint;

use super::inputs::Now;
use super::schedule::{since, until};

/// A check comes this much earlier or later than one interval after the last one, at most.
const JITTER: f64 = 0.1;
/// What came back within this time shows in the condition `Drifted`.
const DRIFTED_FOR: Duration = Duration::from_secs(24 * 3600);
/// If it came back more often than this within that time, the usual causes are named.
const OFTEN: usize = 3;

/// When the objects of one endpoint are looked at, as a share of the interval in 0..1.
pub(super) fn phase(endpoint: &Endpoint) -> f64 {
    let digest = digest(&SHA256, endpoint.path().as_bytes());
    f64::from(u16::from_be_bytes([digest.as_ref()[0], digest.as_ref()[1]])) / 65_536.0
}

/// When to look at an object again that was looked at now.
pub(super) fn next_check(interval: Duration, phase: f64, now: Now) -> Instant {
    now.steady + aligned(interval, phase, now.wall)
}

/// When to look first at an object with this status, of which only the status is known. `is_edited`: the status is not
/// about the present generation. An object that should have been looked at long ago waits for its turn within one
/// interval, so that a restart does not bring all checks at once.
pub(super) fn first_check(
    status: &RemovalStatus,
    is_edited: bool,
    interval: Duration,
    phase: f64,
    now: Now,
) -> Instant {
    let changed = status.condition(ConditionType::Ready).map(|ready| ready.last_transition_time.0);
    let verified = status.verified_time.as_ref().map(|at| at.0);
    let last = if is_edited { Some(now.wall) } else { changed.max(verified) };
    let elapsed = last.map_or(interval, |last| since(last, now.wall));
    match last {
        Some(last) if elapsed < interval => now.steady + aligned(interval, phase, last).saturating_sub(elapsed),
        Some(_) | None => now.steady + until_slot(interval, phase, now.wall),
    }
}

/// The time from `last` to the check after it: one interval, moved towards the slot of the endpoint.
fn aligned(interval: Duration, phase: f64, last: Timestamp) -> Duration {
    let to_slot = until_slot(interval, phase, last).as_secs_f64();
    let interval = interval.as_secs_f64();
    // The slots are one interval apart; this is the one that is nearest to one interval from now.
    let nearest = if to_slot < interval / 2.0 { to_slot + interval } else { to_slot };
    Duration::from_secs_f64(nearest.clamp(interval * (1.0 - JITTER), interval * (1.0 + JITTER)))
}

/// The time from `now` to the next slot.
fn until_slot(interval: Duration, phase: f64, now: Timestamp) -> Duration {
    let interval = interval.as_secs_f64();
    let position = (now.as_duration().as_secs_f64() / interval).rem_euclid(1.0);
    Duration::from_secs_f64(interval * (phase - position).rem_euclid(1.0))
}

/// The record after a read has shown again what had been removed.
pub(super) fn came_back(before: Option<&Drift>, now: Timestamp) -> Drift {
    let Drift { count, mut times } = before.cloned().unwrap_or_default();
    times.push(time(now));
    let surplus = times.len().saturating_sub(Drift::MAX_TIMES);
    times.drain(..surplus);
    Drift { count: count.saturating_add(1), times }
}

/// How long the last return is still shown; none if it was long ago.
pub(super) fn drift_left(drift: &Drift, now: Timestamp) -> Option<Duration> {
    let last = drift.times.last()?.0;
    until(last.checked_add(DRIFTED_FOR).unwrap_or(Timestamp::MAX), now)
}

/// The condition `Drifted`, while something came back within the last 24 hours.
pub(super) fn drifted(drift: Option<&Drift>, now: Timestamp) -> Option<Verdict> {
    let drift = drift?;
    let is_recent =
        |at: &Timestamp| now.duration_since(*at) < SignedDuration::try_from(DRIFTED_FOR).unwrap_or_default();
    let recent = drift.times.iter().map(|at| at.0).filter(is_recent).count();
    let last = drift.times.last().filter(|_| recent > 0)?.0;
    let times = if drift.count == 1 { "once".to_owned() } else { format!("{} times", drift.count) };
    let mut message = format!("What was removed came back: {times} so far, the last time seen at {last}.");
    let reason = if recent > OFTEN {
        message += " It keeps coming back, more than three times within 24 hours. The usual causes are membership on \
                    login, a rule or an Action, or another manager of the same access, such as Terraform.";
        DriftedReason::KeepsComingBack
    } else {
        DriftedReason::CameBack
    };
    Some(Verdict { kind: ConditionType::Drifted, status: true.into(), reason: reason.as_str(), message })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    const HOUR: Duration = Duration::from_secs(3600);

    proptest! {
        /// Wherever two objects of one endpoint begin, after a few checks they are looked at together; no check is more
        /// than a tenth of the interval early or late.
        #[test]
        fn checks_of_one_endpoint_converge(first in 0_i64..7200, second in 0_i64..7200, phase in 0.0..1.0_f64) {
            let steady = Instant::now();
            let mut last = [at(1_800_000_000 + first), at(1_800_000_000 + second)];
            for _ in 0..6 {
                for last in &mut last {
                    let pause = next_check(HOUR, phase, Now { wall: *last, steady }) - steady;
                    prop_assert!((3239..=3961).contains(&pause.as_secs()), "{pause:?}");
                    *last += pause;
                }
            }
            let apart = last[0].duration_since(last[1]).abs().as_secs() % 3600;
            prop_assert!(apart <= 1 || apart >= 3599, "{last:?}");
        }

        /// Checks that are overdue when the operator starts are spread over one interval by endpoint.
        #[test]
        fn overdue_checks_are_spread(begun in 0_i64..7200, ids in prop::collection::hash_set(0_u32..100_000, 200)) {
            let now = Now { wall: at(1_800_000_000 + begun), steady: Instant::now() };
            let due = |id: &u32| {
                let phase = phase(&Endpoint::UserRoles { user: format!("auth0|{id}").into() });
                (first_check(&RemovalStatus::default(), false, HOUR, phase, now) - now.steady).as_secs()
            };
            let due: Vec<u64> = ids.iter().map(due).collect();
            prop_assert!(due.iter().all(|pause| *pause <= 3600));
            for tenth in 0..10 {
                let within = due.iter().filter(|pause| (tenth * 360..(tenth + 1) * 360).contains(*pause)).count();
                prop_assert!((3..60).contains(&within), "{within} of 200 in one tenth of the interval");
            }
        }
    }

    /// An edit begins one interval, and a verdict of a moment ago is not checked at once after a restart.
    #[test]
    fn the_first_check_comes_after_one_interval() {
        let now = Now { wall: at(1_800_000_000), steady: Instant::now() };
        let pause = |status: &RemovalStatus, is_edited| first_check(status, is_edited, HOUR, 0.3, now) - now.steady;
        let old = RemovalStatus { verified_time: Some(time(at(1_700_000_000))), ..RemovalStatus::default() };
        let recent = RemovalStatus { verified_time: Some(time(at(1_800_000_000 - 600))), ..RemovalStatus::default() };
        assert!((3240..=3960).contains(&pause(&old, true).as_secs()));
        assert!((3240 - 600..=3960 - 600).contains(&pause(&recent, false).as_secs()));
    }

    #[test]
    fn what_comes_back_is_counted_and_forgotten_after_a_day() {
        let (mut drift, hour) = (None, 3600);
        for n in 1..=6 {
            drift = Some(came_back(drift.as_ref(), at(n * hour)));
            let verdict = drifted(drift.as_ref(), at(n * hour)).unwrap();
            let expected = if n > 3 { "KeepsComingBack" } else { "CameBack" };
            assert_eq!(verdict.reason, expected, "{n}");
            assert_eq!(verdict.message.contains("Terraform"), n > 3);
        }
        let drift = drift.unwrap();
        assert_eq!((drift.count, drift.times.len()), (6, Drift::MAX_TIMES));
        assert_eq!(drifted(Some(&drift), at(29 * hour)).unwrap().reason, "CameBack");
        assert_eq!(drifted(Some(&drift), at(30 * hour)), None);
        assert_eq!(drifted(None, at(0)), None);
    }
}
