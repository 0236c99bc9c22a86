//! What came of an object, and what that means for its status. Pure: the whole table of DESIGN section 2 is here.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::api::{
    ConditionType, IfNotFound, Reason, RemovalResult, RemovalStatus, State, Verdict, conditions, time, verdicts,
};
use crate::auth0::{CallError, Endpoint, Item};
use crate::dispatch::{End, Report, Unverified};

/// Shortest and longest pause after a failure of one object; it doubles in between (DESIGN: 1 s to 10 min).
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(600);
/// Pause before a credential is tried again that Auth0 refused: it may have been Auth0's mistake.
const REFUSED_RETRY: Duration = LAST_RETRY;
/// When to look again after a removal, from the removal on: after 2, 5, 10, 20, 40 s, then each minute. Auth0 speaks of
/// 5 to 10 s until a member list shows a removal (auth0-api.md 5).
const LOOKS: [u64; 5] = [2, 7, 17, 37, 77];
const LOOK_EVERY: u64 = 60;

/// A verdict or a wait, ready to be written.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The row of the table.
    pub reason: Reason,
    /// For people.
    pub message: String,
    /// Counts, where something was attempted.
    pub result: Option<RemovalResult>,
    /// When Auth0 accepted a removal, if it did now.
    pub accepted_at: Option<Timestamp>,
    /// `Verified`: whether a read proved it, and in words.
    pub verified: Option<(bool, String)>,
    /// When to try or look again; none when a change or a report wakes the object.
    pub next_attempt: Option<Timestamp>,
    /// Whether this is one more attempt in a row without a verdict.
    pub counts_as_attempt: bool,
    /// Name in Auth0's logs of the DELETE that left for it now, if one did.
    pub correlation: Option<Arc<str>>,
}

impl Outcome {
    /// An outcome that attempted nothing.
    pub fn plain(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            result: None,
            accepted_at: None,
            verified: None,
            next_attempt: None,
            counts_as_attempt: false,
            correlation: None,
        }
    }

    /// How long after Auth0 accepted the removal it was proved, if this outcome is the proof. What an earlier status says
    /// of the time is in whole seconds.
    pub fn proved_after(&self, old: Option<&RemovalStatus>, now: Timestamp) -> Option<Duration> {
        let proof = self.reason == Reason::Removed && matches!(self.verified, Some((true, _)));
        let before = || old.and_then(|status| status.last_removal_time.as_ref()).map(|at| at.0);
        let accepted = self.accepted_at.or_else(before).filter(|_| proof)?;
        Duration::try_from(now.duration_since(accepted)).ok()
    }

    /// The lane is shut until then.
    pub fn rate_limited(until: Timestamp) -> Self {
        let until = rounded_up(until);
        let message = format!("Auth0's rate limit is reached; nothing is sent to this tenant before {until}");
        Self { next_attempt: Some(until), ..Self::plain(Reason::RateLimited, message) }
    }

    /// What a lane's report means for an object that was in the state `old`. `jitter` in 0..1.
    pub fn of_report(
        report: &Report,
        endpoint: &Endpoint,
        requested: usize,
        if_not_found: IfNotFound,
        old: Option<&RemovalStatus>,
        now: Timestamp,
        jitter: f64,
    ) -> Self {
        let counts = Counts::of(report, requested, old);
        let accepted_before = old.and_then(|status| status.last_removal_time.as_ref()).map(|at| at.0);
        let accepted_at = report.accepted_at.or(accepted_before);
        let attempts = old.and_then(|status| status.attempts).unwrap_or(0);
        let n = requested;
        let mut outcome = match &report.end {
            End::Gone if accepted_at.is_none() && answer_was_lost(old) => {
                let message = format!(
                    "None of the {n} named is there any more; an earlier DELETE, to which no usable answer came, may have removed them"
                );
                Self { verified: proven(message.clone()), ..Self::plain(Reason::Removed, message) }
            }
            End::Gone if accepted_at.is_none() => {
                let message = format!("None of the {n} named was there, so nothing was removed");
                Self { verified: proven(message.clone()), ..Self::plain(Reason::AlreadyAbsent, message) }
            }
            End::Gone => {
                let message =
                    format!("Removed {} of {n}; a complete read afterwards shows none of them", counts.0.accepted);
                let message = match counts.0.already_absent {
                    0 => message,
                    absent => format!("{message} ({absent} were not there before)"),
                };
                Self { verified: proven(message.clone()), ..Self::plain(Reason::Removed, message) }
            }
            End::Unverified(why) => unproven(why, counts.0.accepted, n),
            End::Remaining(left) => remaining(left.len(), accepted_at.unwrap_or(now), now),
            End::NotFound(_) => not_found(endpoint, if_not_found, report.seen || accepted_at.is_some()),
            End::HandedBack(_) => Self::plain(Reason::TenantNotReady, "nothing more was sent"),
            End::Failed(error) => failed(error, &report.refused, n, endpoint, attempts, now, jitter),
        };
        outcome.result = Some(counts.with_remaining(&report.end));
        outcome.accepted_at = report.accepted_at;
        outcome.correlation = report.correlation.clone();
        outcome
    }

    /// The status after this outcome. Equal to `old` when nothing changed, so that nothing need be written.
    pub fn status(&self, old: Option<&RemovalStatus>, generation: i64, now: Timestamp) -> RemovalStatus {
        let mut wanted = verdicts(self.reason, &self.message);
        if let Some((holds, message)) = &self.verified {
            wanted.push(Verdict {
                kind: ConditionType::Verified,
                status: (*holds).into(),
                reason: self.reason.as_str(),
                message: message.clone(),
            });
        }
        let before = old.map(|status| status.conditions.as_slice()).unwrap_or_default();
        let accepted_at = self.accepted_at.map(time);
        let verified_now = matches!(self.verified, Some((true, _)));
        let result = self.result.or_else(|| old.and_then(|status| status.result));
        let attempts = old.and_then(|status| status.attempts).unwrap_or(0);
        RemovalStatus {
            observed_generation: Some(generation),
            conditions: conditions(before, &wanted, generation, now),
            result,
            last_removal_time: accepted_at.or_else(|| old.and_then(|status| status.last_removal_time.clone())),
            verified_time: verified_now.then(|| time(now)),
            next_attempt_time: self.next_attempt.map(|at| time(rounded_up(at))),
            attempts: match self.reason.state() {
                State::Done => None,
                _ => Some(attempts.saturating_add(i32::from(self.counts_as_attempt))).filter(|n| *n > 0),
            },
            correlation_id: self
                .correlation
                .as_deref()
                .or_else(|| old.and_then(|status| status.correlation_id.as_deref()))
                .map(str::to_owned),
            last_handled_reconcile_at: old.and_then(|status| status.last_handled_reconcile_at.clone()),
            finished: old.and_then(|status| status.finished.clone()),
            domain: old.and_then(|status| status.domain.clone()),
            last_seen_time: old.and_then(|status| status.last_seen_time.clone()),
            unknown: old.map(|status| status.unknown.clone()).unwrap_or_default(),
        }
    }
}

/// In whole seconds, upwards: a wait that was named is not shortened by being written down. A lane opens at a whole second;
/// the small tolerance keeps that second from becoming the next one.
fn rounded_up(at: Timestamp) -> Timestamp {
    time(at + jiff::SignedDuration::from_millis(950)).0
}

/// Counts over the whole life of the object: a look after the removal keeps what the removal counted.
struct Counts(RemovalResult);

impl Counts {
    fn of(report: &Report, requested: usize, old: Option<&RemovalStatus>) -> Self {
        let int = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
        let before = old.and_then(|status| status.result).unwrap_or_default();
        let attempted = report.accepted_at.is_some() || !report.already_absent.is_empty();
        let absent_now = if matches!(report.end, End::Gone) && before.accepted == 0 { int(requested) } else { 0 };
        // What a lost answer leaves unknown and a later read does not find was most likely removed by us.
        let (removed, absent) = if answer_was_lost(old) {
            (report.accepted.len() + report.already_absent.len(), 0)
        } else {
            (report.accepted.len(), report.already_absent.len())
        };
        Self(RemovalResult {
            requested: int(requested),
            accepted: int(removed).max(before.accepted),
            already_absent: if attempted { int(absent) } else { before.already_absent.max(absent_now) },
            remaining: 0,
        })
    }

    fn with_remaining(self, end: &End) -> RemovalResult {
        let open = self.0.requested - self.0.accepted - self.0.already_absent;
        let remaining = match end {
            End::Remaining(left) => i32::try_from(left.len()).unwrap_or(i32::MAX),
            End::Failed(_) => open.max(0),
            _ => 0,
        };
        RemovalResult { remaining, ..self.0 }
    }
}

/// Whether a DELETE left for this object and nothing is known of its effect.
pub(super) fn answer_was_lost(old: Option<&RemovalStatus>) -> bool {
    old.is_some_and(|old| {
        old.correlation_id.is_some()
            && old.last_removal_time.is_none()
            && old.condition(ConditionType::Ready).is_some_and(|c| c.reason == Reason::Auth0Unavailable.as_str())
    })
}

#[expect(clippy::unnecessary_wraps, reason = "it is the value of an optional field")]
fn proven(message: String) -> Option<(bool, String)> {
    Some((true, message))
}

fn unproven(why: &Unverified, removed: i32, requested: usize) -> Outcome {
    let why = match why {
        Unverified::Never => "verification is off on the tenant".to_owned(),
        Unverified::MissingScope(scope) => format!("the token lacks the scope {scope} to read it back"),
        Unverified::ReadRefused(error) => format!("it cannot be read back: {error}"),
    };
    let message = format!("Auth0 accepted the removal of {removed} of {requested}, not verified: {why}");
    Outcome { verified: Some((false, why)), ..Outcome::plain(Reason::RemovedUnverified, message) }
}

fn remaining(left: usize, removed_at: Timestamp, now: Timestamp) -> Outcome {
    let message = format!(
        "Auth0 accepted the removal, but a read still shows {left}; this can take some seconds, the operator looks again"
    );
    Outcome {
        next_attempt: Some(next_look(removed_at, now)),
        counts_as_attempt: true,
        ..Outcome::plain(Reason::AwaitingConsistency, message)
    }
}

/// The first time on the schedule that lies after `now`.
fn next_look(removed_at: Timestamp, now: Timestamp) -> Timestamp {
    let elapsed = now.duration_since(removed_at).as_millis().max(0).unsigned_abs();
    let last = LOOKS[LOOKS.len() - 1];
    // A look that comes a moment early, as the status holds whole seconds, has still been taken.
    let due = |seconds: &u64| u128::from(*seconds) * 1000 > elapsed + 500;
    let minutes = (elapsed + 500).saturating_sub(u128::from(last) * 1000) / (u128::from(LOOK_EVERY) * 1000) + 1;
    let at = LOOKS.into_iter().find(due).unwrap_or(last + LOOK_EVERY * u64::try_from(minutes).unwrap_or(1));
    let at = removed_at + Duration::from_secs(at);
    at.max(now)
}

fn not_found(endpoint: &Endpoint, if_not_found: IfNotFound, seen: bool) -> Outcome {
    let subject = endpoint.subject();
    if seen || if_not_found == IfNotFound::Ignore {
        let message = format!("Auth0 knows no such {subject} any more, so nothing is left to remove");
        return Outcome { verified: proven(message.clone()), ..Outcome::plain(Reason::SubjectGone, message) };
    }
    let message = format!(
        "Auth0 knows no such {subject}: check the id and the tenant. If it is right and already deleted, set spec.ifNotFound: Ignore"
    );
    Outcome::plain(Reason::SubjectNotFound, message)
}

fn failed(
    error: &CallError,
    refused: &[Item],
    requested: usize,
    endpoint: &Endpoint,
    attempts: i32,
    now: Timestamp,
    jitter: f64,
) -> Outcome {
    let retry = |after: Duration| Some(now + after.mul_f64(1.0 + 0.2 * jitter.clamp(0.0, 1.0)));
    let (reason, message, after) = match error {
        CallError::Rejected(rejection) => {
            let which = match refused {
                [] => "the request".to_owned(),
                [one, ..] if requested > 1 => format!("{} of {requested}, the first is {one}", refused.len()),
                [one, ..] => one.to_string(),
            };
            let message = format!("Auth0 refused {which} ({rejection}); correct the ids in a new object");
            (Reason::InvalidRequest, message, None)
        }
        CallError::Unauthorized(why) => {
            let message = format!(
                "Auth0 refused the token ({why}); put a fresh Management API token into the tenant's Secret (tried again then, and every ten minutes)"
            );
            (Reason::Unauthorized, message, Some(REFUSED_RETRY))
        }
        CallError::Denied(why) => {
            let message = format!("Auth0 refused the removal ({why}); ask who administers the Auth0 tenant");
            (Reason::Unauthorized, message, Some(REFUSED_RETRY))
        }
        CallError::InsufficientScope(scope) => {
            let message = format!(
                "The token lacks the scope {scope}; grant it to the application in Auth0, then put a fresh token into the tenant's Secret (tried again then, and every ten minutes)"
            );
            (Reason::InsufficientScope, message, Some(REFUSED_RETRY))
        }
        CallError::NotFound(_) => return not_found(endpoint, IfNotFound::Fail, false),
        CallError::RateLimited(wait) => return Outcome::rate_limited(now + *wait),
        CallError::Unavailable(_) | CallError::NotSent(_) | CallError::NotProcessed => {
            let message = format!("Auth0 cannot be used right now: {error}; the operator tries again");
            (Reason::Auth0Unavailable, message, Some(backoff(attempts)))
        }
    };
    Outcome { next_attempt: after.and_then(retry), counts_as_attempt: true, ..Outcome::plain(reason, message) }
}

/// The pause before the attempt that follows `attempts` others.
fn backoff(attempts: i32) -> Duration {
    let doublings = u32::try_from(attempts.clamp(0, 16)).unwrap_or(0);
    FIRST_RETRY.saturating_mul(1 << doublings).min(LAST_RETRY)
}

// The tests of the rooms above follow with their new code.
#[cfg(any())]
mod tests;
