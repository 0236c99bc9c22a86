//! What the report of an observation means: of a job that only found out what is there. Pure.
//!
//! An object observes because its mode or that of its tenant is `Observe`, or because its policy is `Continuous` and its
//! next check is due.

use std::time::Duration;

use crate::api::{ConditionType, Drift, Reason, RemovalStatus, State};
use crate::auth0::Item;
use crate::dispatch::{End, Removal, Report};

use super::answers::{gone, judge_report};
use super::checks::{came_back, drifted};
use super::history::{Known, concerns};
use super::inputs::Inputs;
use super::outcome::Outcome;

/// How many items a message names.
const NAMED: usize = 3;

/// What follows from a check.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Checked {
    /// What the status says is still so.
    Unchanged,
    /// What had been removed is there again, and has to be removed once more.
    CameBack,
    /// The object has another verdict, or what keeps the check from being made has to be shown.
    Changed(Outcome),
    /// The check failed and is retried; the verdict stays for the time being.
    Failed(Outcome),
    /// Nothing: no call was made.
    Nothing,
}

/// What the report of an observation means. `known` includes the report. None if no verdict follows from it.
pub(super) fn judge_observation(inputs: &Inputs<'_>, report: &Report, known: Known) -> Option<Outcome> {
    let n = inputs.removal.items.len();
    match &report.end {
        End::Gone => Some(Outcome { observed: Some(Vec::new()), ..gone(inputs, known, n) }),
        End::Remaining(left) if inputs.is_observed() => {
            // In the order of the spec: the answers to several reads come in any order.
            let left = inputs.removal.items.iter().filter(|item| left.contains(item)).cloned().collect();
            Some(would_remove(left, known, n))
        }
        End::Remaining(_) => None,
        End::HandedBack(_) | End::Unverified(_) | End::NotFound(_) | End::Failed(_) | End::Learned => {
            judge_report(inputs, report, known)
        }
    }
}

fn would_remove(left: Vec<Item>, known: Known, n: usize) -> Outcome {
    let named = left.iter().take(NAMED).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let more = match left.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let message =
        format!("Would remove {} of {n}: {named}{more}. Nothing was changed, because of mode Observe.", left.len());
    Outcome { observed: Some(left), ..Outcome::plain(Reason::WouldRemove, message, known) }
}

/// What follows from the report of a check.
pub(super) fn judge_check(inputs: &Inputs<'_>, report: &Report, known: Known) -> Checked {
    if matches!(report.end, End::Remaining(_)) && !inputs.is_observed() {
        return Checked::CameBack;
    }
    let Some(outcome) = judge_observation(inputs, report, known) else { return Checked::Nothing };
    let Some(status) = inputs.status.filter(|status| status.is_ready()) else { return Checked::Changed(outcome) };
    match outcome.reason.state() {
        State::Done if is_same(inputs, status, &outcome) && concerns(status, inputs.domain()) => Checked::Unchanged,
        State::Waiting if !is_overdue(inputs) => Checked::Failed(outcome),
        State::Done | State::Waiting | State::Stalled | State::Held => Checked::Changed(outcome),
    }
}

/// Whether the outcome says what the status says already, apart from times.
fn is_same(inputs: &Inputs<'_>, status: &RemovalStatus, outcome: &Outcome) -> bool {
    let before = status.reason_text().and_then(Reason::parse);
    let is_gone = |reason| is_gone(reason, inputs.removal);
    let are_both_gone = before.is_some_and(is_gone) && is_gone(outcome.reason);
    let names_other = outcome.reason == Reason::WouldRemove && status.message() != outcome.message;
    are_both_gone || (before == Some(outcome.reason) && !names_other)
}

/// Whether the status says that nothing of what the object names is there.
pub(super) fn says_gone(inputs: &Inputs<'_>) -> bool {
    let reason = inputs.status.filter(|status| status.is_ready()).and_then(RemovalStatus::reason_text);
    reason.and_then(Reason::parse).is_some_and(|reason| is_gone(reason, inputs.removal))
}

/// Whether a verdict says that nothing is there. Where members are read user by user, a check does not tell an
/// organization that is gone from one without these members.
fn is_gone(reason: Reason, removal: &Removal) -> bool {
    let is_same_here = || removal.endpoint.row().per_user && reason == Reason::SubjectGone;
    matches!(reason, Reason::Removed | Reason::AlreadyAbsent) || is_same_here()
}

/// Whether no check could be made for one interval beyond the time it was due. Then the verdict is too old to be shown.
pub(super) fn is_overdue(inputs: &Inputs<'_>) -> bool {
    let interval = inputs.options.check_interval();
    let late = inputs.check_at.map_or(Duration::ZERO, |due| inputs.now.since(due));
    late > interval
}

/// The status after a check that found nothing new: its request is answered, and what came back long ago is not shown
/// any more.
pub(super) fn unchanged(inputs: &Inputs<'_>) -> RemovalStatus {
    let mut status = inputs.status.cloned().unwrap_or_default();
    if drifted(status.drift.as_ref(), inputs.now.wall).is_none() {
        status.conditions.retain(|condition| condition.type_ != ConditionType::Drifted.as_str());
    }
    if let Some(request) = inputs.request.filter(|_| inputs.submitted_for == inputs.request) {
        status.last_handled_reconcile_at = Some(request.to_owned());
    }
    status
}

/// The record of what came back, after it came back once more. What another domain holds was never removed there, nor
/// was what had only been absent.
pub(super) fn drift(inputs: &Inputs<'_>) -> Option<Drift> {
    let status = inputs.status?;
    let before = status.drift.as_ref();
    let was_removed = status.removed_at().is_some() || before.is_some();
    (was_removed && concerns(status, inputs.domain())).then(|| came_back(before, inputs.now.wall))
}
