//! What is known of an object once its job has ended. Pure.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::api::{ConditionType, RemovalStatus, State, VerifiedReason};
use crate::dispatch::{End, Refusal, Report, Task};

use super::answers::{is_superseded, judge_report, judge_requested_proof};
use super::conditions::is_ours;
use super::decision::AppliedReport;
use super::effect::effect;
use super::history::Known;
use super::inputs::{Failures, Inputs};
use super::items::Items;
use super::observations::{Checked, drift, judge_check, judge_observation, unchanged};
use super::outcome::{Outcome, date_verified};
use super::schedule::until;

/// How long a job that was handed back for no visible reason waits before it is submitted again: the caches are behind,
/// or the API server does not answer. Up to twice as long, so that the objects that wait for it do not come all at
/// once.
const STALE_CACHE_RETRY: Duration = Duration::from_secs(2);

/// Adds the report of a job that was submitted for `generation` to what is known. Its verdict counts only for the
/// generation and the domain that it was found for; what Auth0 accepted counts in any case.
pub fn apply_report(inputs: &Inputs<'_>, generation: i64, report: &Report) -> AppliedReport {
    if report.end == End::Learned {
        return nothing_new(inputs);
    }
    let is_finished = inputs.is_finished();
    // A job that made no call reports what it was given, and that belongs to the domain it was submitted for.
    let domain = report.domain.as_ref().or(inputs.submitted_to).or_else(|| inputs.domain());
    let mut known = inputs.known_at(domain);
    known.add(report, domain, inputs.now.wall);
    let is_here = inputs.domain().is_none_or(|here| domain.is_none_or(|there| there == here));
    let is_current = generation == inputs.generation && is_here;
    let is_check = is_current && report.task == Task::Observe && inputs.is_check();
    let checked = if is_check { judge_check(inputs, report, known.clone()) } else { Checked::Nothing };
    let outcome = match (&checked, &report.task) {
        (Checked::Changed(outcome), _) => Some(outcome.clone()),
        _ if !is_current || is_check => None,
        (_, Task::Observe) if inputs.is_observed() => judge_observation(inputs, report, known.clone()),
        (_, Task::Observe) => None,
        (_, Task::Remove { .. } | Task::Prove) if !is_finished => judge_report(inputs, report, known.clone()),
        (_, Task::Prove) if inputs.is_unverified() => judge_requested_proof(inputs, report, known.clone()),
        (_, Task::Remove { .. } | Task::Prove | Task::Learn(_)) => None,
    };
    let outcome = outcome.map(|outcome| {
        let effective = effect(inputs, report, outcome.reason, &outcome.known);
        Outcome { effective, ..outcome }
    });
    if checked == Checked::CameBack {
        known = Known::from_check(inputs.removal, report, domain, inputs.now.wall);
    } else if report.task == Task::Observe && outcome.is_none() {
        // What it did not show may still have to be removed: no observation spares a DELETE (promise 4).
        known = inputs.known_at(domain);
    }
    let status = match &outcome {
        // A job that was submitted before the request was made is no attempt because of it.
        Some(outcome) => outcome.status(inputs, inputs.submitted_for == inputs.request),
        None if checked == Checked::CameBack => came_back_status(inputs, &known),
        None if checked == Checked::Unchanged => unchanged(inputs),
        None if is_finished || is_check => inputs.status.cloned().unwrap_or_default(),
        None => partial_status(inputs, &known),
    };
    let failed = match &checked {
        Checked::Failed(outcome) => Some(outcome),
        Checked::Unchanged | Checked::CameBack | Checked::Changed(_) | Checked::Nothing => outcome.as_ref(),
    };
    let failed = failed.filter(|outcome| outcome.is_failure);
    let failures = failed.and_then(|outcome| {
        let count = outcome.attempts(inputs)?;
        Some(Failures { generation: inputs.generation, reason: outcome.reason, count })
    });
    let handed_back = count_handed_back(inputs, generation, &report.end);
    // A job for another connection is submitted there at once, unless it is sent back and forth.
    let waits = match handed_back {
        Some((Refusal::OtherConnection, times)) => times > 1,
        Some(_) => true,
        None if matches!(report.end, End::HandedBack(_)) || is_superseded(inputs, report) => false,
        None => outcome.is_none() && is_current && !is_finished && !is_check && !inputs.has_other_task(&report.task),
    };
    let pause = match &checked {
        Checked::Failed(outcome) => outcome.next_attempt.and_then(|at| until(at, inputs.now.wall)),
        Checked::Unchanged | Checked::CameBack | Checked::Changed(_) | Checked::Nothing => None,
    };
    let pause = pause.or(waits.then(|| STALE_CACHE_RETRY.mul_f64(1.0 + inputs.jitter)));
    let is_done = outcome.as_ref().is_some_and(|outcome| outcome.reason.state() == State::Done);
    let is_checked = is_done || matches!(checked, Checked::Unchanged | Checked::CameBack);
    // If the object has to act again after its verdict, everything is sent again, as it would be after a restart.
    let items = if is_done { Items::default() } else { known.items };
    AppliedReport { status, items, outcome, failures, handed_back, pause, is_checked }
}

/// What is known once a job has only learned what its object needs: that is among the facts, and nothing of the object
/// itself has changed.
fn nothing_new(inputs: &Inputs<'_>) -> AppliedReport {
    AppliedReport {
        status: inputs.status.cloned().unwrap_or_default(),
        items: inputs.items.clone(),
        outcome: None,
        failures: None,
        handed_back: None,
        pause: None,
        is_checked: false,
    }
}

/// The status of an object for which a check has shown again what had been removed. No part of the verdict is left in
/// it, so the object starts over with what the check found.
fn came_back_status(inputs: &Inputs<'_>, known: &Known) -> RemovalStatus {
    let mut status = partial_status(inputs, known);
    (status.finished, status.observed_generation, status.effective_by) = (None, None, None);
    status.conditions.retain(|condition| !is_ours(condition));
    status.drift = drift(inputs);
    status
}

/// The refusal with which a job of this generation was handed back, and how often in a row it was that one.
fn count_handed_back(inputs: &Inputs<'_>, generation: i64, end: &End) -> Option<(Refusal, u32)> {
    match end {
        // The decision itself took it back.
        End::HandedBack(Refusal::Withdrawn) => None,
        End::HandedBack(refusal) if generation == inputs.generation => {
            let before = inputs.handed_back.filter(|(before, _)| before == refusal).map_or(0, |(_, times)| times);
            Some((*refusal, before.saturating_add(1)))
        }
        End::HandedBack(_) | End::Gone | End::Unverified(_) | End::Remaining(_) => None,
        End::NotFound(_) | End::Failed(_) | End::Learned => None,
    }
}

/// Whether the condition says that a read long after the removal still showed it.
fn is_late_sight(condition: &Condition) -> bool {
    let is_verified = condition.type_ == ConditionType::Verified.as_str();
    is_verified && condition.status == "False" && condition.reason == VerifiedReason::ReadAfter.as_str()
}

/// The status of an object of which more is known now, although no verdict came of it: its reason stays.
fn partial_status(inputs: &Inputs<'_>, known: &Known) -> RemovalStatus {
    let mut status = inputs.status.cloned().unwrap_or_default();
    if status.is_ready() {
        // It is the verdict on another target, which was finished.
        status.conditions.retain(|condition| !is_ours(condition));
        (status.observed_generation, status.finished, status.effective_by) = (None, None, None);
    }
    if known.has_accepted() && known.still_present_since.is_none() {
        // What a read still showed was removed once more. A job that ends without a read must not do that again.
        status.conditions.retain(|condition| !is_late_sight(condition));
    }
    if inputs.is_elsewhere() {
        status.drift = None;
    }
    known.write_into(&mut status, false);
    date_verified(&mut status.conditions, known);
    status
}
