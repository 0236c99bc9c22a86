//! What to do for an object now. Pure: everything that counts is an argument.

use std::time::Duration;

use jiff::Timestamp;

use crate::api::{Reason, RemovalOptions, RemovalStatus, State, Verification};
use crate::dispatch::{End, Removal, Report, Task, View, Wait};
use crate::tenant::TenantState;

use super::kinds::validate;
use super::outcome::{Outcome, answer_was_lost};

/// A removal whose effect a read does not show is only looked at again, and sent again after this long
/// (reliability.md D22).
const REMOVE_AGAIN_AFTER: Duration = Duration::from_secs(120);
/// No wait read from a status is longer than the longest we write, whatever the clocks did meanwhile.
const LONGEST_WAIT: Duration = Duration::from_secs(750);
/// Pause after the last look said no although the caches say yes: they are behind, or the API server is away. Up to
/// twice as long, so that those who wait for it do not come all at once.
const BEHIND: Duration = Duration::from_secs(2);

/// Everything a decision rests on.
pub(super) struct Facts<'a> {
    pub generation: i64,
    pub removal: &'a Removal,
    pub options: &'a RemovalOptions,
    pub status: Option<&'a RemovalStatus>,
    pub tenant: &'a TenantState,
    pub lane: &'a View,
    /// The credential is another than the one that was refused for this object.
    pub credential_changed: bool,
    /// Somebody asks for another try, by an annotation that the status does not answer yet.
    pub asked: bool,
    pub now: Timestamp,
    /// In 0..1.
    pub jitter: f64,
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Decision {
    /// Nothing: something will wake the object, or nothing ever need.
    Rest,
    /// Nothing before this pause is over.
    Wait(Duration),
    /// Write that the request was seen, and nothing else; then as `Rest`, or as `Wait`.
    Answer(Option<Duration>),
    /// Nothing is to be sent: take back what waits in the lane, and write this.
    Hold(Outcome),
    /// Hand this task to the lane, which sends nothing before `not_before`.
    Submit { task: Task, not_before: Option<Timestamp> },
    /// Write this; the report it rests on is then done with.
    Conclude(Outcome),
    /// Write this; the job goes on.
    Show(Outcome),
}

/// The decision for these facts.
pub(super) fn decide(facts: &Facts<'_>) -> Decision {
    let reason = facts.status.and_then(|status| status.reason_at(facts.generation));
    // Finished: no call and no write, ever again (promise 12).
    if reason.is_some_and(|reason| reason.state() == State::Done) {
        return if facts.asked { Decision::Answer(None) } else { Decision::Rest };
    }
    // Suspended after it finished: unchanged (DESIGN section 2).
    let said = facts.status.and_then(|status| status.reason_at(status.observed_generation?));
    if facts.options.suspend && said.is_some_and(|reason| reason.state() == State::Done) {
        return Decision::Rest;
    }
    match facts.lane {
        View::Ended { generation, report }
            if *generation == facts.generation && !matches!(report.end, End::HandedBack(_)) =>
        {
            return Decision::Conclude(conclude(facts, report));
        }
        _ => {}
    }
    if let Some(outcome) = held(facts) {
        return Decision::Hold(outcome);
    }
    match facts.lane {
        View::Ended { generation, .. } if *generation == facts.generation => {
            Decision::Wait(BEHIND.mul_f64(1.0 + facts.jitter))
        }
        View::Pending { wait: Wait::RateLimited { until, .. }, .. } => {
            let wait = until.saturating_duration_since(std::time::Instant::now());
            Decision::Show(Outcome::rate_limited(steady(facts.now + wait, facts.status)))
        }
        View::Pending { generation, .. } if *generation == facts.generation => Decision::Rest,
        _ => match submit(facts, reason) {
            // Being asked shortens no wait.
            Decision::Wait(pause) if facts.asked => Decision::Answer(Some(pause)),
            decision => decision,
        },
    }
}

/// The time already shown, if it is this one but for rounding: so that looking again writes nothing.
fn steady(until: Timestamp, status: Option<&RemovalStatus>) -> Timestamp {
    let shown = status.and_then(|status| status.next_attempt_time.as_ref()).map(|at| at.0);
    shown.filter(|shown| (0..2000).contains(&shown.duration_since(until).as_millis())).unwrap_or(until)
}

/// What keeps anything from being sent at all.
fn held(facts: &Facts<'_>) -> Option<Outcome> {
    let unsupported = facts.options.unsupported();
    if !unsupported.is_empty() {
        let message = format!("This version does not act on {}: nothing is sent", unsupported.join(", "));
        return Some(Outcome::plain(Reason::UnknownField, message));
    }
    if facts.options.suspend {
        return Some(Outcome::plain(
            Reason::Suspended,
            "spec.suspend is set: nothing is sent; set it to false to go on",
        ));
    }
    let tenant = &facts.options.tenant_ref.name;
    match facts.tenant {
        TenantState::Suspended => {
            let message =
                format!("Auth0Tenant {tenant} is suspended: nothing is sent; set its spec.suspend to false to go on");
            Some(Outcome::plain(Reason::Suspended, message))
        }
        TenantState::Missing => {
            let message = format!(
                "There is no Auth0Tenant {tenant} in this namespace; create it, or name another in spec.tenantRef"
            );
            Some(Outcome::plain(Reason::TenantNotReady, message))
        }
        // The one that found out says so itself; the others wait for a fresh credential.
        TenantState::NotReady(problem) if problem.reason == Reason::Unauthorized && is_refused(facts) => None,
        TenantState::NotReady(problem) => {
            let message = format!("Auth0Tenant {tenant} is not ready: {}", problem.message);
            Some(Outcome::plain(Reason::TenantNotReady, message))
        }
        TenantState::Ready { .. } => match validate(facts.removal) {
            Ok(()) => None,
            Err(what) => Some(Outcome::plain(Reason::InvalidRequest, format!("Nothing was sent: {what}"))),
        },
    }
}

fn is_refused(facts: &Facts<'_>) -> bool {
    facts.status.and_then(|status| status.reason_at(facts.generation)) == Some(Reason::Unauthorized)
}

fn submit(facts: &Facts<'_>, reason: Option<Reason>) -> Decision {
    let next = facts.status.and_then(|status| status.next_attempt_time.as_ref()).map(|at| at.0);
    let wait = next.and_then(|at| Duration::try_from(at.duration_since(facts.now)).ok()).filter(|wait| !wait.is_zero());
    match reason {
        Some(Reason::SubjectNotFound | Reason::InvalidRequest) if !facts.asked => return Decision::Rest,
        Some(Reason::Unauthorized | Reason::InsufficientScope) => {
            // The tenant may still be closed to this credential: then there is nothing to do but wait.
            let closed = !matches!(facts.tenant, TenantState::Ready { .. });
            let again = !closed && (facts.credential_changed || facts.asked);
            if let Some(wait) = wait.or(closed.then_some(LONGEST_WAIT)).filter(|_| !again) {
                return Decision::Wait(wait.min(LONGEST_WAIT));
            }
        }
        Some(Reason::Auth0Unavailable | Reason::AwaitingConsistency) => {
            if let Some(wait) = wait {
                return Decision::Wait(wait.min(LONGEST_WAIT));
            }
        }
        _ => {}
    }
    let TenantState::Ready { verification, .. } = facts.tenant else { return Decision::Rest };
    // A wait that Auth0 named outlives restarts and edits, so it counts whatever generation it was written for.
    let limited = facts.status.is_some_and(|status| {
        status.condition(crate::api::ConditionType::Ready).is_some_and(|c| c.reason == Reason::RateLimited.as_str())
    });
    let not_before = next.filter(|_| limited && wait.is_some());
    Decision::Submit { task: task(facts, *verification), not_before }
}

/// Remove, or only look because the removal was accepted a moment ago.
fn task(facts: &Facts<'_>, verification: Verification) -> Task {
    let current = facts.status.filter(|status| status.observed_generation == Some(facts.generation));
    let accepted_lately = current
        .and_then(|status| status.last_removal_time.as_ref())
        .is_some_and(|at| Duration::try_from(facts.now.duration_since(at.0)).is_ok_and(|age| age < REMOVE_AGAIN_AFTER));
    let accepted_all = current
        .and_then(|status| status.result)
        .is_some_and(|result| result.accepted > 0 && result.accepted + result.already_absent >= result.requested);
    if accepted_lately && accepted_all && verification != Verification::Never {
        return Task::Prove;
    }
    // What an unanswered DELETE left unknown is read before it is repeated.
    let before = verification == Verification::BeforeAndAfter || answer_was_lost(facts.status);
    let after = verification != Verification::Never;
    Task::Remove { before: before && after, after }
}

fn conclude(facts: &Facts<'_>, report: &Report) -> Outcome {
    Outcome::of_report(
        report,
        &facts.removal.endpoint,
        facts.removal.items.len(),
        facts.options.if_not_found,
        facts.status,
        facts.now,
        facts.jitter,
    )
}

// The tests of the rooms above follow with their new code.
#[cfg(any())]
mod tests;
