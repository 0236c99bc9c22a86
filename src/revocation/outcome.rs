//! What came of an object, and what that means for its status. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::api::{
    ConditionStatus, ConditionType, Finished, Mode, Reason, RemovalStatus, State, Verdict, VerifiedReason, conditions,
    time, verdicts,
};

use super::conditions::is_ours;
use super::finished::target;
use super::history::{Known, rounded_up};
use super::inputs::Inputs;

/// A verdict or a wait, ready to become a status.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The row of the table.
    pub reason: Reason,
    /// For people.
    pub message: String,
    /// What a read told of it; if nothing, `Verified` follows from what is known.
    pub verified: Option<Verified>,
    /// When to try or look again; none when a change or a report wakes the object.
    pub next_attempt: Option<Timestamp>,
    /// Whether this is one more failed attempt in a row.
    pub is_failure: bool,
    /// What is known after it.
    pub known: Known,
}

/// The condition `Verified`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Whether a read proved it.
    pub status: ConditionStatus,
    /// Why, for machines.
    pub reason: VerifiedReason,
    /// Why, for people.
    pub message: String,
}

impl Outcome {
    /// An outcome that attempted nothing.
    pub(super) fn plain(reason: Reason, message: impl Into<String>, known: Known) -> Self {
        Self { reason, message: message.into(), verified: None, next_attempt: None, is_failure: false, known }
    }

    /// The same, verified by a read.
    pub(super) fn proven(self, reason: VerifiedReason) -> Self {
        let message = self.message.clone();
        Self { verified: Some(Verified { status: ConditionStatus::True, reason, message }), ..self }
    }

    /// The status after it. `answers` says whether what was asked by annotation is answered with it.
    pub fn status(&self, inputs: &Inputs<'_>, answers: bool) -> RemovalStatus {
        let now = inputs.now.wall;
        let mut status = inputs.status.cloned().unwrap_or_default();
        let verified = self.verified.clone().or_else(|| self.pending());
        let attempts = self.attempts(inputs);
        let mut wanted = verdicts(self.reason, &self.message);
        wanted.extend(verified.iter().map(|verified| Verdict {
            kind: ConditionType::Verified,
            status: verified.status,
            reason: verified.reason.as_str(),
            message: verified.message.clone(),
        }));
        let mut written = conditions(&status.conditions, &wanted, inputs.generation, now);
        self.begin_unknown_when_accepted(&mut written);
        status.conditions.retain(|condition| !is_ours(condition));
        written.append(&mut status.conditions);
        status.conditions = written;

        self.known.write_into(&mut status);
        status.observed_generation = Some(inputs.generation);
        let is_true = |verified: &Verified| verified.status == ConditionStatus::True;
        status.verified_time = verified.as_ref().filter(|verified| is_true(verified)).map(|_| time(now));
        status.next_attempt_time = self.next_attempt.map(|at| time(rounded_up(at))).filter(|at| at.0 > now);
        status.attempts = attempts;
        status.finished = (self.reason.state() == State::Done).then(|| Finished {
            target: target(&inputs.options.tenant_ref, inputs.removal),
            mode: Mode::Remove,
            generation: inputs.generation,
        });
        if let Some(asked) = inputs.asked.filter(|_| answers) {
            status.last_handled_reconcile_at = Some(asked.to_owned());
        }
        if self.reason.state() == State::Done && status.result.is_none() {
            status.result = Some(self.known.result());
        }
        status
    }

    /// Failed attempts in a row, of the same reason and generation.
    pub(super) fn attempts(&self, inputs: &Inputs<'_>) -> Option<i32> {
        if self.reason.state() == State::Done {
            return None;
        }
        let before = failures(inputs, self.reason);
        Some(before.saturating_add(i32::from(self.is_failure))).filter(|attempts| *attempts > 0)
    }

    /// What `Verified` is while no read has told anything: unknown from an accepted DELETE on.
    fn pending(&self) -> Option<Verified> {
        let known = &self.known;
        if self.reason.state() == State::Done || !known.has_accepted() {
            return None;
        }
        let (status, reason, message) = if known.still_present_since.is_some() {
            (ConditionStatus::False, VerifiedReason::ReadAfter, "A read long after the removal still showed it")
        } else {
            (ConditionStatus::Unknown, VerifiedReason::ProofPending, "Auth0 accepted it; no read has proved it yet")
        };
        Some(Verified { status, reason, message: message.to_owned() })
    }

    /// `Verified` is unknown since Auth0 accepted the removal, and not since that was written down: the time from which
    /// later looks count has to survive a restart.
    fn begin_unknown_when_accepted(&self, written: &mut [Condition]) {
        let unknown = ConditionStatus::Unknown.as_str();
        let verified = written.iter_mut().find(|c| c.type_ == ConditionType::Verified.as_str() && c.status == unknown);
        if let (Some(verified), Some(since)) = (verified, self.known.since) {
            verified.last_transition_time = time(rounded_up(since));
        }
    }
}

/// How often in a row it failed for this reason so far.
pub(super) fn failures(inputs: &Inputs<'_>, reason: Reason) -> i32 {
    let same = inputs.status.filter(|_| inputs.reason() == Some(reason));
    same.and_then(|status| status.attempts).unwrap_or(0)
}
