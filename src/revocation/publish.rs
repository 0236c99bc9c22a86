//! When a status is worth a write. Pure.

use std::time::Duration;

use jiff::Timestamp;

use crate::api::{ConditionType, Reason, RemovalStatus, State};

use super::conditions::is_ours;
use super::schedule::{WAIT_SHOWN, since, until};
use super::wait_writes::WaitClass;

/// Within one reason a new time is written only if it is this far ahead.
const PAUSE_SHOWN: Duration = Duration::from_secs(60);

/// Whether to write a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Nothing is worth it.
    Nothing,
    /// At once.
    Now,
    /// As soon as the budget of waits allows it.
    Ask(WaitClass),
    /// Not before this has passed.
    After(Duration),
}

/// Whether `wanted` is worth a write over `stored`, for an object that has been waiting this long. `predicted` says that
/// it was not an answer to a call of its own that led to it.
pub fn due(
    stored: &RemovalStatus,
    wanted: &RemovalStatus,
    waiting_for: Duration,
    predicted: bool,
    now: Timestamp,
) -> Due {
    let Some(reason) = wanted.reason_text() else { return Due::Nothing };
    let state = Reason::parse(reason).map_or(State::Done, Reason::state);
    if ours(stored) == ours(wanted) {
        return Due::Nothing;
    }
    let is_same = stored.reason_text() == Some(reason) && stored.observed_generation == wanted.observed_generation;
    match state {
        State::Done => Due::Now,
        State::Stalled | State::Held if is_same && steady(stored) == steady(wanted) && !is_far(wanted, now) => {
            Due::Nothing
        }
        State::Stalled if !predicted => Due::Now,
        State::Stalled | State::Held => Due::Ask(WaitClass::Stopped),
        State::Waiting => waiting(stored, wanted, is_same, waiting_for, now),
    }
}

fn waiting(
    stored: &RemovalStatus,
    wanted: &RemovalStatus,
    is_same: bool,
    waiting_for: Duration,
    now: Timestamp,
) -> Due {
    let accepted_at = wanted.last_removal_time.as_ref().map(|at| at.0);
    let is_newly_accepted = stored.last_removal_time != wanted.last_removal_time && accepted_at.is_some();
    let reason = wanted.reason_text().and_then(Reason::parse);
    if is_same && !is_newly_accepted {
        let is_answer = stored.last_handled_reconcile_at != wanted.last_handled_reconcile_at;
        let is_other = reason == Some(Reason::TenantNotReady) && message(stored) != message(wanted);
        return match () {
            () if is_answer => Due::Ask(WaitClass::Stopped),
            () if is_other || is_far(wanted, now) => Due::Ask(WaitClass::Waiting),
            () => Due::Nothing,
        };
    }
    // What was accepted a moment ago is usually proved in another one.
    let waited = accepted_at.map_or(waiting_for, |at| waiting_for.min(since(at, now)));
    let is_own_limit = reason == Some(Reason::RateLimited);
    match WAIT_SHOWN.checked_sub(waited).filter(|left| !left.is_zero() && !is_own_limit) {
        Some(left) => Due::After(left),
        None if is_own_limit || accepted_at.is_some() => Due::Ask(WaitClass::Accepted),
        None => Due::Ask(WaitClass::Waiting),
    }
}

fn is_far(wanted: &RemovalStatus, now: Timestamp) -> bool {
    let next = wanted.next_attempt_time.as_ref().and_then(|at| until(at.0, now));
    next.is_some_and(|left| left >= PAUSE_SHOWN)
}

fn message(status: &RemovalStatus) -> Option<&str> {
    status.condition(ConditionType::Ready).map(|ready| ready.message.as_str())
}

/// A status without what is of others, in a fixed order.
fn ours(status: &RemovalStatus) -> RemovalStatus {
    let mut status = status.clone();
    status.conditions.retain(is_ours);
    status.conditions.sort_by(|a, b| a.type_.cmp(&b.type_));
    status.unknown.clear();
    status
}

/// The same without what changes with every attempt.
fn steady(status: &RemovalStatus) -> RemovalStatus {
    RemovalStatus { attempts: None, next_attempt_time: None, last_seen_time: None, ..ours(status) }
}
