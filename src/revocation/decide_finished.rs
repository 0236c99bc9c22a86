//! What to do for a finished object. Pure.

use std::time::Duration;

use crate::api::{ConditionType, Mode, Policy, RemovalStatus, State};
use crate::dispatch::{History, Task, View};

use super::blocked::{Blocked, blocked};
use super::checks::drift_left;
use super::conditions::is_ours;
use super::decision::Decision;
use super::history::concerns;
use super::inputs::{Inputs, Tenant};
use super::observations::{is_overdue, says_gone};
use super::schedule::resync_after;
use super::waits::waiting;

/// The status that says that the generation and the request were seen, and changes nothing else.
pub fn acknowledged(inputs: &Inputs<'_>) -> RemovalStatus {
    let mut status = inputs.status.cloned().unwrap_or_default();
    if inputs.is_finished() {
        if has_stale_drift(inputs) {
            status.conditions.retain(|condition| condition.type_ != ConditionType::Drifted.as_str());
        }
        status.drift = status.drift.filter(|_| inputs.options.policy == Policy::Continuous);
        status.observed_generation = Some(inputs.generation);
        for condition in status.conditions.iter_mut().filter(|condition| is_ours(condition)) {
            condition.observed_generation = Some(inputs.generation);
        }
    }
    // A check answers a request by itself.
    if let Some(request) = inputs.request.filter(|_| !inputs.is_check()) {
        status.last_handled_reconcile_at = Some(request.to_owned());
    }
    status
}

/// A finished object causes no call and no write ever again (promise 12), except for one read when somebody requests it
/// of an object that could not be verified or that is only observed.
pub(super) fn decide_finished(inputs: &Inputs<'_>, is_pending: bool) -> Decision {
    let known = inputs.known();
    // Another domain can prove nothing of what was removed here.
    let is_here = inputs.status.is_some_and(|status| concerns(status, inputs.domain()));
    let may_call = || matches!(inputs.tenant, Tenant::Ready { .. }) && blocked(inputs, &known).is_none();
    let requested = inputs.request.and_then(|_| repeatable(inputs)).filter(|_| is_here && may_call());
    match (requested, is_pending) {
        (Some(_), true) => return Decision::AwaitChange(Some(resync_after(inputs.jitter))),
        (None, true) => return Decision::TakeReport,
        (Some(task), false) => {
            let history = known.history(inputs.removal, task == Task::Observe);
            return match inputs.submit_after() {
                Some(left) => Decision::AwaitChange(Some(left)),
                None => Decision::Submit { task, history, hold: None },
            };
        }
        (None, false) => {}
    }
    let is_news = inputs.is_edited() || inputs.request.is_some() || has_stale_drift(inputs);
    if is_news { Decision::Acknowledge } else { Decision::AwaitChange(drift_ends_after(inputs)) }
}

/// What a request has repeated for a finished object.
fn repeatable(inputs: &Inputs<'_>) -> Option<Task> {
    let is_observation = inputs.was_finished() == Some(Mode::Observe) && inputs.is_observed();
    let proof = inputs.is_unverified().then_some(Task::Prove);
    proof.or(is_observation.then_some(Task::Observe))
}

/// Whether the condition `Drifted` says what is long ago, or what the policy does not concern any more.
fn has_stale_drift(inputs: &Inputs<'_>) -> bool {
    let is_shown = |status: &RemovalStatus| status.condition(ConditionType::Drifted).is_some();
    inputs.status.is_some_and(is_shown) && (inputs.options.policy == Policy::Once || drift_ends_after(inputs).is_none())
}

/// How long the condition `Drifted` of an object that is not looked at any more still stands.
fn drift_ends_after(inputs: &Inputs<'_>) -> Option<Duration> {
    let drift = inputs.status.and_then(|status| status.drift.as_ref());
    drift.filter(|_| inputs.options.policy == Policy::Continuous).and_then(|drift| drift_left(drift, inputs.now.wall))
}

/// A finished object of policy Continuous is looked at after each interval, and when somebody requests it. Until then,
/// and while it is suspended or on hold, its verdict stands.
pub(super) fn decide_check(inputs: &Inputs<'_>) -> Decision {
    let known = inputs.known();
    let blocked = blocked(inputs, &known);
    let is_blocked = blocked.is_some();
    if let View::Pending { wait, .. } = inputs.view {
        let resync = Some(resync_after(inputs.jitter));
        return match () {
            () if is_blocked => Decision::TakeReport,
            () if is_overdue(inputs) => Decision::UpdateStatus(waiting(inputs, *wait, known), resync),
            () => Decision::AwaitChange(resync),
        };
    }
    let left = inputs.check_left().unwrap_or_default();
    let is_shown = |blocked: &Blocked| match blocked.outcome.reason.state() {
        State::Stalled => true,
        State::Waiting => is_overdue(inputs),
        State::Held | State::Done => false,
    };
    match blocked.filter(|_| left.is_zero()) {
        Some(blocked) if is_shown(&blocked) => Decision::Block(blocked),
        _ if inputs.is_edited() => Decision::Acknowledge,
        Some(blocked) => Decision::AwaitChange(blocked.recheck_after.or_else(|| Some(resync_after(inputs.jitter)))),
        None if is_blocked || !left.is_zero() => Decision::AwaitChange(Some(left)),
        None => match inputs.submit_after() {
            Some(left) => Decision::AwaitChange(Some(left)),
            None => {
                let known_gone = known.was_seen() && says_gone(inputs);
                let history = History { known_gone, ..known.history(inputs.removal, true) };
                Decision::Submit { task: Task::Observe, history, hold: None }
            }
        },
    }
}
