//! What the report of a job means for its object: a reason and its message. Pure.

use std::time::Duration;

use jiff::Timestamp;

use crate::api::{ConditionStatus, IfNotFound, Reason, Verification, VerifiedReason};
use crate::auth0::{CallError, Item, Missing, Rejection};
use crate::dispatch::{End, Report, Task, Unverified};

use super::history::{Known, rounded_up};
use super::inputs::{Inputs, Tenant};
use super::outcome::{Outcome, Verified, failures_so_far};
use super::schedule::{STILL_PRESENT_AFTER, backoff, next_late_read, next_read, refused_retry};

/// A read this soon after the last DELETE may still show what was removed, however long ago the first DELETE was.
const LISTS_SETTLE_WITHIN: Duration = Duration::from_secs(60);

/// What the report of a job means. `known` includes the report. None if no verdict follows from it, and the job has to
/// be submitted again.
pub(super) fn judge_report(inputs: &Inputs<'_>, report: &Report, known: Known) -> Option<Outcome> {
    let n = inputs.removal.items.len();
    let outcome = match &report.end {
        End::HandedBack(_) | End::Learned => return None,
        End::Failed(_) if is_superseded(inputs, report) => return None,
        // A late read without a result leaves the verdict as it is. A DELETE that failed has a reason of its own.
        End::Unverified(_) | End::Failed(_) | End::NotFound(Missing::Item | Missing::Unclear)
            if report.task == Task::Prove && known.still_present_since.is_some() && known.remaining > 0 =>
        {
            still_present(known.remaining, inputs, known)
        }
        // The dispatcher never reports this; the verdict must not depend on it.
        End::Gone if report.accepted_at.is_some() && report.read_at < report.accepted_at => return None,
        End::Gone if known.has_unknown() => return not_found(Missing::Item, inputs, report, known),
        End::Gone => gone(inputs, known, n),
        // A misspelt id must not end as done because nothing can be read.
        End::Unverified(_) if known.has_unknown() && inputs.options.if_not_found == IfNotFound::Fail => {
            return not_found(Missing::Item, inputs, report, known);
        }
        End::Unverified(why) => unverified(why, known, n),
        End::Remaining(left) if left.iter().all(|item| known.items.unknown.contains(item)) => {
            return not_found(Missing::Item, inputs, report, known);
        }
        // It was gone after a DELETE without an answer and is there again, so it has to be removed.
        End::Remaining(_) if !known.has_accepted() => return None,
        End::Remaining(left) => {
            // A read that began before the wall clock was set back is not later than now.
            let now = inputs.now.wall;
            remaining(left.len(), inputs, report.read_at.map_or(now, |at| at.min(now)), known)
        }
        End::NotFound(missing) => return not_found(*missing, inputs, report, known),
        End::Failed(CallError::NotFound(missing)) => return not_found(*missing, inputs, report, known),
        End::Failed(error) => failed(error, report, inputs, known),
    };
    Some(outcome)
}

/// Whether Auth0 refused a credential that the tenant does not have any more.
pub(super) fn is_superseded(inputs: &Inputs<'_>, report: &Report) -> bool {
    let Tenant::Ready { key, .. } = inputs.tenant else { return false };
    let is_refusal = matches!(
        report.end,
        End::Failed(CallError::Unauthorized(_) | CallError::InsufficientScope(_) | CallError::Denied(_))
    );
    is_refusal && report.connection.is_some_and(|with| with != key)
}

/// What the report of a requested proof means for a finished object. If the read fails, the object stays finished and
/// unverified.
pub(super) fn judge_requested_proof(inputs: &Inputs<'_>, report: &Report, known: Known) -> Option<Outcome> {
    let n = inputs.removal.items.len();
    let still_unverified = |why: String| {
        let why = format!("a proof was requested, but {why}");
        let message = accepted_but_unverified(known.result().accepted, n, &why);
        let verified = not_verified(VerifiedReason::ReadRefused, &why);
        Outcome { verified: Some(verified), ..Outcome::plain(Reason::RemovedUnverified, message, known.clone()) }
    };
    Some(match &report.end {
        End::HandedBack(_) | End::Learned => return None,
        End::Gone | End::Remaining(_) | End::Unverified(_) | End::NotFound(Missing::Subject) => {
            return judge_report(inputs, report, known);
        }
        End::NotFound(Missing::Item | Missing::Unclear) => still_unverified("Auth0 answered 404".to_owned()),
        End::Failed(error) => still_unverified(error.to_string()),
    })
}

pub(super) fn gone(inputs: &Inputs<'_>, known: Known, n: usize) -> Outcome {
    let result = known.result();
    if known.has_accepted() && result.accepted > 0 {
        let mut message = format!("Removed {} of {n}: a complete read afterwards shows none of them.", result.accepted);
        if result.already_absent > 0 {
            message += &format!(" {} were already absent.", result.already_absent);
        }
        if inputs.verification() != Verification::BeforeAndAfter {
            message += " Whether they were there before was not checked.";
        }
        return Outcome::plain(Reason::Removed, message, known).proven(VerifiedReason::ReadAfter);
    }
    let message = if known.has_accepted() {
        format!("Nothing to remove: complete reads before and after the removal show 0 of {n} items.")
    } else if known.lost {
        format!("Auth0 shows 0 of {n} items. An earlier DELETE that got no usable answer may have removed them.")
    } else {
        format!("Nothing to remove: Auth0 shows 0 of {n} items.")
    };
    Outcome::plain(Reason::AlreadyAbsent, message, known).proven(VerifiedReason::ReadBefore)
}

fn unverified(why: &Unverified, known: Known, n: usize) -> Outcome {
    let (reason, why) = match why {
        Unverified::Never => (VerifiedReason::VerificationNever, "spec.verification of the tenant is Never".to_owned()),
        Unverified::MissingScope(scope) => {
            (VerifiedReason::ReadRefused, format!("the token lacks the scope {scope} to read it back"))
        }
        Unverified::ReadRefused(error) => (VerifiedReason::ReadRefused, format!("the read failed: {error}")),
    };
    let message = accepted_but_unverified(known.result().accepted, n, &why);
    let verified = Some(not_verified(reason, &why));
    Outcome { verified, ..Outcome::plain(Reason::RemovedUnverified, message, known) }
}

fn accepted_but_unverified(accepted: i32, n: usize, why: &str) -> String {
    format!("Auth0 accepted the removal of {accepted} of {n}, but it is not verified: {why}.")
}

fn not_verified(reason: VerifiedReason, why: &str) -> Verified {
    Verified { status: ConditionStatus::False, reason, message: why.to_owned() }
}

/// A read still shows what was removed. For the first ten minutes that counts as a list that lags; within them the
/// DELETE is sent once more.
fn remaining(left: usize, inputs: &Inputs<'_>, read_at: Timestamp, known: Known) -> Outcome {
    let now = inputs.now.wall;
    let since = known.since.unwrap_or(now);
    let elapsed = |from: Timestamp| Duration::try_from(read_at.duration_since(from)).unwrap_or_default();
    let is_late = elapsed(since) >= STILL_PRESENT_AFTER;
    let is_settled = elapsed(known.accepted_at.unwrap_or(since)) >= LISTS_SETTLE_WITHIN;
    let is_finished = inputs.reason() == Some(Reason::RemovedUnverified);
    // Something may keep the second DELETE from being sent; the wait for it must end too. The first read that shows it
    // ends no wait, however late it is.
    let is_over = elapsed(since) >= STILL_PRESENT_AFTER * 2 && inputs.known().remaining > 0;
    let needs_no_other_delete = known.was_sent_again() || is_finished || is_over || !inputs.may_remove();
    if known.still_present_since.is_some() || (is_late && is_settled && needs_no_other_delete) {
        return still_present(left, inputs, known);
    }
    let message = format!(
        "Auth0 accepted the removal, but a read still shows {left} of {}. This usually takes a few seconds; the \
         operator will read again.",
        inputs.removal.items.len()
    );
    let next = match (is_late, known.was_sent_again()) {
        (false, _) => next_read(since, now),
        (true, false) => now,
        (true, true) => next_read(known.accepted_at.unwrap_or(since), now),
    };
    Outcome { next_attempt: Some(next), ..Outcome::plain(Reason::AwaitingConsistency, message, known) }
}

fn still_present(left: usize, inputs: &Inputs<'_>, mut known: Known) -> Outcome {
    let now = inputs.now.wall;
    let found_at = *known.still_present_since.get_or_insert(now);
    let what_follows = match (inputs.repeats(), inputs.may_remove()) {
        (true, true) => "The operator removes it again after spec.interval.",
        (true, false) => "The operator reads again after spec.interval.",
        (false, _) => "The operator reads again after an hour and then every six hours for a week.",
    };
    let on_request = if inputs.may_remove() {
        "To have it removed once more, set the annotation rescind.dev/reconcile-requested-at to a new value."
    } else {
        "Nothing more is removed as long as the mode, the times or the tenant's guards forbid it."
    };
    let message = format!(
        "Auth0 accepted the removal, but {left} of {} are still there, or there again. The usual causes are membership \
         on login, a rule or an Action, another tool, or the same access through a group. {what_follows} {on_request}",
        inputs.removal.items.len()
    );
    let verified =
        not_verified(VerifiedReason::ReadAfter, &format!("A read long after the removal still shows {left}."));
    let next_attempt = if inputs.repeats() {
        Some(now + inputs.options.check_interval().mul_f64(1.0 + 0.1 * inputs.jitter))
    } else {
        next_late_read(found_at, now)
    };
    Outcome { verified: Some(verified), next_attempt, ..Outcome::plain(Reason::StillPresent, message, known) }
}

/// Auth0 answered 404. None if what it accepted besides has to be proved first.
fn not_found(missing: Missing, inputs: &Inputs<'_>, report: &Report, known: Known) -> Option<Outcome> {
    // If Auth0 accepted a DELETE of other items, the user or organization exists.
    let missing = if missing == Missing::Unclear && known.must_exist() { Missing::Item } else { missing };
    let subject = inputs.removal.endpoint.subject();
    let ignore = inputs.options.if_not_found == IfNotFound::Ignore;
    let outcome = match missing {
        Missing::Subject if known.was_seen() || ignore => {
            let message = format!("The {subject} does not exist in Auth0 any more, so nothing is left to remove.");
            let read = if known.has_accepted() { VerifiedReason::ReadAfter } else { VerifiedReason::ReadBefore };
            let outcome = Outcome::plain(Reason::SubjectGone, message, known);
            // Only a read of the subject itself proves that.
            if report.read_at.is_some() { outcome.proven(read) } else { outcome }
        }
        Missing::Subject => {
            let message = format!(
                "Auth0 does not know this {subject} (404). Check the id and the tenant. If the id is right and the \
                 {subject} was deleted, set spec.ifNotFound: Ignore."
            );
            Outcome::plain(Reason::SubjectNotFound, message, known)
        }
        // No read of a list can say more of items that do not exist.
        Missing::Item if ignore && (known.is_all_unknown() || !known.has_accepted()) => {
            let message = format!("Auth0 does not know the {}, so no user can hold it.", unknown_items(&known));
            Outcome::plain(Reason::AlreadyAbsent, message, known).proven(VerifiedReason::ReadBefore)
        }
        Missing::Item if ignore && known.is_complete() && report.read_at < known.accepted_at => return None,
        Missing::Item if ignore && known.is_complete() => gone(inputs, known, inputs.removal.items.len()),
        Missing::Item => {
            let named = || {
                format!(
                    "Auth0 does not know the {} (404). Is it misspelt, or was it created again under another id? If it \
                     is right and was deleted, set spec.ifNotFound: Ignore.",
                    unknown_items(&known)
                )
            };
            // After a restart only the message of the verdict names them.
            let before = inputs.message_of(Reason::ItemNotFound).filter(|_| known.items.unknown.is_empty());
            let message = before.map_or_else(named, str::to_owned);
            Outcome::plain(Reason::ItemNotFound, message, known)
        }
        Missing::Unclear if ignore => {
            let message = format!("Auth0 answered 404: the {subject}, or what is to be removed, does not exist.");
            Outcome::plain(Reason::SubjectGone, message, known)
        }
        Missing::Unclear => {
            let message = format!(
                "Auth0 answered 404, and the operator could not find out whether the {subject} is missing or what is \
                 to be removed. Check the ids and the tenant. If they are right and were deleted, set spec.ifNotFound: \
                 Ignore."
            );
            Outcome::plain(Reason::SubjectNotFound, message, known)
        }
    };
    Some(outcome)
}

/// Names the first item that Auth0 does not know, and counts the others.
fn unknown_items(known: &Known) -> String {
    let unknown = &known.items.unknown;
    let (what, first) = match unknown.first() {
        None => return "role, API or permission".to_owned(),
        Some(first @ Item::Permission { .. }) => ("API or permission", first),
        Some(first @ Item::Id(id)) if id.starts_with("rol_") => ("role", first),
        Some(first @ Item::Id(_)) => ("user", first),
    };
    match unknown.len() {
        0 | 1 => format!("{what} {first}"),
        many => format!("{what} {first} (and {} more)", many - 1),
    }
}

fn failed(error: &CallError, report: &Report, inputs: &Inputs<'_>, known: Known) -> Outcome {
    let now = inputs.now.wall;
    // A refused page says nothing of the ids that the object names.
    let names_ids =
        |rejection| report.task != Task::Observe || !matches!(rejection, Rejection::Query | Rejection::Paging);
    let refusal = refusal(error).map(|(reason, message)| (reason, message, Some(now + refused_retry(inputs.jitter))));
    let other = || match error {
        CallError::Rejected(rejection) if names_ids(*rejection) => {
            let which = rejected_items(&report.refused, inputs.removal.items.len());
            let message = format!(
                "Auth0 rejected {which} ({rejection}). The target cannot be changed: create a new object with the \
                 correct ids."
            );
            (Reason::InvalidRequest, message, None)
        }
        CallError::RateLimited(wait) => {
            let until = rounded_up(now + *wait);
            (Reason::RateLimited, rate_limited(until), Some(until))
        }
        CallError::Rejected(_)
        | CallError::Unauthorized(_)
        | CallError::InsufficientScope(_)
        | CallError::Denied(_)
        | CallError::NotFound(_)
        | CallError::Unavailable(_)
        | CallError::NotSent(_)
        | CallError::NotProcessed
        | CallError::TokenReplaced => {
            let attempts = failures_so_far(inputs, Reason::Auth0Unavailable).saturating_add(1);
            let message = format!("The operator got no usable answer from Auth0 and will retry: {error}.");
            (Reason::Auth0Unavailable, message, Some(now + backoff(attempts, inputs.jitter)))
        }
    };
    let (reason, message, next_attempt) = refusal.unwrap_or_else(other);
    Outcome { next_attempt, is_failure: true, ..Outcome::plain(reason, message, known) }
}

/// The reason and the message of an error with which Auth0 refuses a credential, or what it may do. None for others.
pub(super) fn refusal(error: &CallError) -> Option<(Reason, String)> {
    match error {
        CallError::Unauthorized(why) => {
            let message = format!(
                "Auth0 rejected the token ({why}). Put a fresh Management API token into the tenant's Secret. The \
                 operator retries when the Secret changes, and every ten minutes."
            );
            Some((Reason::Unauthorized, message))
        }
        CallError::Denied(why) => {
            let message = format!(
                "Auth0 denied the removal ({why}), and not for a missing scope. Ask an administrator of the \
                 Auth0 tenant. The operator retries every ten minutes."
            );
            Some((Reason::Denied, message))
        }
        CallError::InsufficientScope(scope) => Some((Reason::InsufficientScope, lacks_scope(scope))),
        CallError::Rejected(_) | CallError::RateLimited(_) | CallError::NotFound(_) | CallError::Unavailable(_) => None,
        CallError::NotSent(_) | CallError::NotProcessed | CallError::TokenReplaced => None,
    }
}

/// What an object says whose token lacks a scope. A token keeps the scopes with which it was issued.
pub(super) fn lacks_scope(scope: &str) -> String {
    format!(
        "The token lacks the scope {scope}. Grant it to the application in Auth0, then put a fresh token into the tenant's \
         Secret; with client credentials the operator gets one itself. It retries when the Secret changes, and every ten \
         minutes."
    )
}

fn rejected_items(rejected: &[Item], n: usize) -> String {
    match rejected {
        [] => "the request".to_owned(),
        [one, ..] if n > 1 => format!("{} of {n}, the first of them {one}", rejected.len()),
        [one, ..] => one.to_string(),
    }
}

/// The message of a wait that Auth0 asked for.
pub(super) fn rate_limited(until: Timestamp) -> String {
    format!("Auth0's rate limit is reached (429). Nothing is sent to this domain before {until}.")
}
