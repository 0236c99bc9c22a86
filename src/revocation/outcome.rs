//! The verdict on an object, or what it waits for, and the status that follows from it. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::api::{
    ConditionStatus, ConditionType, Finished, Mode, Policy, Reason, RemovalResult, RemovalStatus, State, Verdict,
    VerifiedReason, conditions, printable, time, verdicts,
};
use crate::auth0::Item;

use super::checks::drifted;
use super::conditions::is_ours;
use super::effect::{Effective, has_effect};
use super::history::{Known, rounded_up};
use super::inputs::Inputs;

/// A verdict or a wait, before it is a status.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The reason of the condition `Ready`, which decides on the other conditions too.
    pub reason: Reason,
    /// The explanation for users.
    pub message: String,
    /// The condition `Verified`, if a read decided it. If none did, it follows from `known`.
    pub verified: Option<Verified>,
    /// The condition `Effective`, if it was decided. A verdict that does not decide it leaves it as it is.
    pub effective: Option<Effective>,
    /// If an observation decided it: what it showed.
    pub observed: Option<Vec<Item>>,
    /// When the operator retries or reads again by itself; none if a change or a report wakes the object.
    pub next_attempt: Option<Timestamp>,
    /// Whether this is one more failure in a row.
    pub is_failure: bool,
    /// What is known of the object now.
    pub known: Known,
}

/// The condition `Verified`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Whether a read proved the removal.
    pub status: ConditionStatus,
    /// The reason of the condition.
    pub reason: VerifiedReason,
    /// The explanation for users.
    pub message: String,
}

impl Outcome {
    /// An outcome that no read decided and that nothing failed in.
    pub(super) fn plain(reason: Reason, message: impl Into<String>, known: Known) -> Self {
        let (verified, effective, observed, next_attempt) = (None, None, None, None);
        Self { reason, message: message.into(), verified, effective, observed, next_attempt, is_failure: false, known }
    }

    /// The same outcome, proved by a read.
    pub(super) fn proven(self, reason: VerifiedReason) -> Self {
        let message = self.message.clone();
        Self { verified: Some(Verified { status: ConditionStatus::True, reason, message }), ..self }
    }

    /// The status that the object gets. `answers` says whether it also answers the request of the annotation.
    pub fn status(&self, inputs: &Inputs<'_>, answers: bool) -> RemovalStatus {
        let now = inputs.now.wall;
        let is_done = self.reason.state() == State::Done;
        let mut status = inputs.status.cloned().unwrap_or_default();
        // What keeps a check from being made says nothing of what was proved before.
        let verified = self.verified.clone().or_else(|| self.verified_by_history().filter(|_| !inputs.is_check()));
        let attempts = self.attempts(inputs);
        let mut wanted = verdicts(self.reason, &self.message);
        wanted.extend(verified.iter().map(|verified| Verdict {
            kind: ConditionType::Verified,
            status: verified.status,
            reason: verified.reason.as_str(),
            message: verified.message.clone(),
        }));
        wanted.extend(self.effective.iter().map(Effective::verdict));
        let kept = self.kept_effect(inputs, &status);
        status.effective_by = match &self.effective {
            Some(effective) => effective.by.map(time),
            None => status.effective_by.take().filter(|_| kept.is_some()),
        };
        if inputs.options.policy == Policy::Once || inputs.is_elsewhere() {
            status.drift = None;
        }
        wanted.extend(drifted(status.drift.as_ref(), now));
        let mut written = conditions(&status.conditions, &wanted, inputs.generation, now);
        date_verified(&mut written, &self.known);
        written.extend(kept);
        status.conditions.retain(|condition| !is_ours(condition));
        written.append(&mut status.conditions);
        status.conditions = written;

        self.known.write_into(&mut status, is_done || self.reason == Reason::ItemNotFound);
        status.observed_generation = Some(inputs.generation);
        let is_true = |verified: &Verified| verified.status == ConditionStatus::True;
        let verified_now = verified.as_ref().filter(|verified| is_true(verified)).map(|_| time(now));
        status.verified_time =
            verified_now.or_else(|| status.verified_time.take().filter(|_| !is_done && inputs.is_check()));
        status.next_attempt_time = self.next_attempt.map(|at| time(rounded_up(at))).filter(|at| at.0 > now);
        status.attempts = attempts;
        status.finished = match is_done {
            true => Some(self.finished(inputs)),
            // A check that cannot be made does not have the object start over.
            false => status.finished.take().filter(|_| inputs.is_check()),
        };
        if let Some(request) = inputs.request.filter(|_| answers) {
            status.last_handled_reconcile_at = Some(request.to_owned());
        }
        if is_done && status.result.is_none() {
            status.result = Some(self.known.result());
        }
        if let (Some(left), Some(result)) = (&self.observed, &mut status.result) {
            result.remaining = i32::try_from(left.len()).unwrap_or(i32::MAX);
            result.items =
                left.iter().take(RemovalResult::MAX_ITEMS).map(|item| printable(&item.to_string())).collect();
        }
        status
    }

    /// The condition `Effective` as it was written with an earlier verdict, if that still stands and this outcome does
    /// not decide it.
    fn kept_effect(&self, inputs: &Inputs<'_>, status: &RemovalStatus) -> Option<Condition> {
        let stands = match self.reason.state() {
            State::Done => inputs.is_finished() && has_effect(self.reason),
            State::Waiting | State::Stalled | State::Held => inputs.is_check(),
        };
        let before = status.condition(ConditionType::Effective).filter(|_| stands && self.effective.is_none())?;
        Some(Condition { observed_generation: Some(inputs.generation), ..before.clone() })
    }

    /// `status.finished`. What was removed stays so with whatever mode, and an object that is too old is never acted on.
    /// Of an object that was removed in part, an observation shows only that the rest is not there now.
    fn finished(&self, inputs: &Inputs<'_>) -> Finished {
        let was_removed = self.observed.is_none() || inputs.was_finished() == Some(Mode::Remove);
        let is_removal = matches!(self.reason, Reason::Removed | Reason::RemovedUnverified);
        let is_for_good = (is_removal && was_removed) || self.reason == Reason::NotReplayed;
        let mode = if is_for_good { Mode::Remove } else { inputs.modes().in_force() };
        let by_tenant = mode == Mode::Observe && inputs.options.mode == Mode::Remove;
        Finished { target: inputs.target(), mode, by_tenant, generation: inputs.generation }
    }

    /// `status.attempts`: failures in a row for this reason and generation, with this outcome if it is one. None if
    /// there are none, or if the object is done.
    pub(super) fn attempts(&self, inputs: &Inputs<'_>) -> Option<i32> {
        if self.reason.state() == State::Done {
            return None;
        }
        let before = failures_so_far(inputs, self.reason);
        Some(before.saturating_add(i32::from(self.is_failure))).filter(|attempts| *attempts > 0)
    }

    /// The condition `Verified` of an outcome that no read decided: unknown from an accepted DELETE on, and false once
    /// the object was found to be still present.
    fn verified_by_history(&self) -> Option<Verified> {
        let known = &self.known;
        if self.reason.state() == State::Done || !known.has_accepted() {
            return None;
        }
        let (status, reason, message) = if known.still_present_since.is_some() {
            (ConditionStatus::False, VerifiedReason::ReadAfter, "A read long after the removal still showed it.")
        } else {
            let message = "Auth0 accepted the removal; no read has proved it yet.";
            (ConditionStatus::Unknown, VerifiedReason::ProofPending, message)
        };
        Some(Verified { status, reason, message: message.to_owned() })
    }
}

/// Sets the transition time of `Verified` to when what it says began, not to that of a write: if it is unknown, to when
/// Auth0 accepted the removal; if a read long after that still shows it, to when that was found. Later reads are
/// scheduled from these times, which have to survive a restart.
pub(super) fn date_verified(written: &mut [Condition], known: &Known) {
    let Some(verified) = written.iter_mut().find(|c| c.type_ == ConditionType::Verified.as_str()) else { return };
    let began = match verified.status.as_str() {
        "Unknown" => known.since.map(rounded_up),
        "False" if verified.reason == VerifiedReason::ReadAfter.as_str() => known.still_present_since,
        _ => None,
    };
    if let Some(began) = began {
        verified.last_transition_time = time(began);
    }
}

/// How often in a row the object failed for this reason so far. That it waited for its turn in between does not count.
pub(super) fn failures_so_far(inputs: &Inputs<'_>, reason: Reason) -> i32 {
    let same = inputs.status.filter(|_| inputs.reason() == Some(reason));
    let stored = same.and_then(|status| status.attempts).unwrap_or(0);
    let known = inputs.failures.filter(|known| known.reason == reason && known.generation == inputs.generation);
    stored.max(known.map_or(0, |known| known.count))
}
