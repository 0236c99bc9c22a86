//! When a status is worth a write. Pure.

use std::time::Duration;

use jiff::Timestamp;

use crate::api::{ConditionType, Reason, RemovalStatus, State};

use super::schedule::{SHORT_WAIT, since, until};
use super::status_writer::own_part;
use super::wait_writes::WaitClass;

/// While the reason stays the same, a new time of the next attempt is written only if it is this far ahead.
const LONG_PAUSE: Duration = Duration::from_secs(60);

/// When to write a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Not at all: nothing changed that is worth a write.
    Nothing,
    /// At once.
    Now,
    /// As soon as the rate limiter of waits grants it.
    Throttled(WaitClass),
    /// Not before this much time has passed.
    After(Duration),
}

/// When to write `wanted` over `stored`, for an object that has been waiting for `waiting_for`. `is_predicted` says
/// that `wanted` follows from the object's surroundings and not from an answer to a call of its own.
pub fn due(
    stored: &RemovalStatus,
    wanted: &RemovalStatus,
    waiting_for: Duration,
    is_predicted: bool,
    now: Timestamp,
) -> Due {
    let Some(reason) = wanted.reason_text() else { return Due::Nothing };
    let state = Reason::parse(reason).map_or(State::Done, Reason::state);
    if own_part(stored) == own_part(wanted) {
        return Due::Nothing;
    }
    let is_same = stored.reason_text() == Some(reason)
        && stored.observed_generation == wanted.observed_generation
        && standing(stored) == standing(wanted);
    let is_same_but_for_times = is_same && without_attempts(stored) == without_attempts(wanted);
    match state {
        State::Done => Due::Now,
        State::Stalled | State::Held if is_same_but_for_times && !is_far(wanted, now) => Due::Nothing,
        State::Stalled if !is_predicted => Due::Now,
        State::Stalled | State::Held => Due::Throttled(WaitClass::Stopped),
        State::Waiting => due_while_waiting(stored, wanted, is_same, waiting_for, now),
    }
}

fn due_while_waiting(
    stored: &RemovalStatus,
    wanted: &RemovalStatus,
    is_same: bool,
    waiting_for: Duration,
    now: Timestamp,
) -> Due {
    let accepted_at = wanted.removed_at();
    let is_newly_accepted = stored.last_removal_time != wanted.last_removal_time && accepted_at.is_some();
    let reason = wanted.reason_text().and_then(Reason::parse);
    if is_same && !is_newly_accepted {
        let is_answer = stored.last_handled_reconcile_at != wanted.last_handled_reconcile_at;
        let is_other = reason == Some(Reason::TenantNotReady) && stored.message() != wanted.message();
        return match () {
            () if is_answer => Due::Throttled(WaitClass::Stopped),
            () if is_other || is_far(wanted, now) => Due::Throttled(WaitClass::Waiting),
            () => Due::Nothing,
        };
    }
    // A removal that was accepted a moment ago is usually proved a moment later, so that wait counts from then.
    let waited = accepted_at.map_or(waiting_for, |at| waiting_for.min(since(at, now)));
    let is_own_limit = reason == Some(Reason::RateLimited);
    match SHORT_WAIT.checked_sub(waited).filter(|left| !left.is_zero() && !is_own_limit) {
        Some(left) => Due::After(left),
        None if is_own_limit || accepted_at.is_some() => Due::Throttled(WaitClass::Accepted),
        None => Due::Throttled(WaitClass::Waiting),
    }
}

/// The conditions that follow from the reason. Somebody else may have written others.
fn standing(status: &RemovalStatus) -> [Option<&str>; 3] {
    let of = |kind| status.condition(kind).map(|condition| condition.status.as_str());
    [ConditionType::Ready, ConditionType::Reconciling, ConditionType::Stalled].map(of)
}

/// Whether the next attempt is far enough ahead to be written although the reason stays the same.
fn is_far(wanted: &RemovalStatus, now: Timestamp) -> bool {
    wanted.next_attempt().and_then(|at| until(at, now)).is_some_and(|left| left >= LONG_PAUSE)
}

/// The same without the fields that change with every attempt.
fn without_attempts(status: &RemovalStatus) -> RemovalStatus {
    RemovalStatus { attempts: None, next_attempt_time: None, last_seen_time: None, ..own_part(status) }
}
