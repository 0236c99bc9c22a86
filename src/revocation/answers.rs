//! What a job's report means for its object: a row of the table of reasons, in words. Pure.

use std::time::Duration;

use jiff::Timestamp;

use crate::api::{ConditionStatus, IfNotFound, Reason, Verification, VerifiedReason};
use crate::auth0::{CallError, Item, Missing};
use crate::dispatch::{End, Report, Unverified};

use super::history::Known;
use super::inputs::Inputs;
use super::outcome::{Outcome, Verified, failures};
use super::schedule::{STILL_PRESENT_AFTER, backoff, next_late_look, next_look, refused_retry};

/// A read this soon after the last DELETE may still show what was removed, however long ago the first one was.
const SETTLES_WITHIN: Duration = Duration::from_secs(60);

/// What the report of a job means. `known` includes the report. Nothing if it says only that nothing more was sent.
pub(super) fn of_report(inputs: &Inputs<'_>, report: &Report, known: Known) -> Option<Outcome> {
    let n = inputs.removal.items.len();
    let outcome = match &report.end {
        End::HandedBack(_) => return None,
        // A look that tells nothing changes nothing.
        End::Unverified(_) | End::Failed(_) | End::NotFound(Missing::Item | Missing::Unclear)
            if known.still_present_since.is_some() =>
        {
            still_present(known.remaining, inputs, known)
        }
        // The dispatcher sees to it; a verdict is worth a second look.
        End::Gone if report.accepted_at.is_some() && report.read_at < report.accepted_at => return None,
        End::Gone if !known.items.unknown.is_empty() => return not_found(Missing::Item, inputs, report, known),
        End::Gone => gone(inputs, known, n),
        End::Unverified(why) => unverified(why, known, n),
        End::Remaining(left) if left.iter().all(|item| known.items.unknown.contains(item)) => {
            return not_found(Missing::Item, inputs, report, known);
        }
        // What was gone after a DELETE without an answer is there again: it is still to be removed.
        End::Remaining(_) if !known.has_accepted() => return None,
        End::Remaining(left) => remaining(left.len(), inputs, report.read_at.unwrap_or(inputs.now.wall), known),
        End::NotFound(missing) => return not_found(*missing, inputs, report, known),
        End::Failed(CallError::NotFound(missing)) => return not_found(*missing, inputs, report, known),
        End::Failed(error) => failed(error, &report.refused, inputs, known),
    };
    Some(outcome)
}

/// What the report means for an object that is finished but for the proof that somebody asked for. Whatever comes of
/// the read, only a read that shows something can change the verdict.
pub(super) fn of_requested_proof(inputs: &Inputs<'_>, report: &Report, known: Known) -> Option<Outcome> {
    let n = inputs.removal.items.len();
    let unverified = |why: String| {
        let result = known.result();
        let why = format!("a proof was asked for, but {why}");
        let message = format!("Auth0 accepted the removal of {} of {n}; it is not verified: {why}", result.accepted);
        let verified = not_verified(VerifiedReason::ReadRefused, &why);
        Outcome { verified: Some(verified), ..Outcome::plain(Reason::RemovedUnverified, message, known.clone()) }
    };
    Some(match &report.end {
        End::HandedBack(_) => return None,
        End::Gone | End::Remaining(_) | End::Unverified(_) | End::NotFound(Missing::Subject) => {
            return of_report(inputs, report, known);
        }
        End::NotFound(_) => unverified("Auth0 answered 404".to_owned()),
        End::Failed(error) => unverified(error.to_string()),
    })
}

fn gone(inputs: &Inputs<'_>, known: Known, n: usize) -> Outcome {
    let result = known.result();
    if known.has_accepted() && result.accepted > 0 {
        let mut message = format!("Removed {} of {n}: a complete read afterwards shows none of them", result.accepted);
        if result.already_absent > 0 {
            message += &format!(" ({} were already absent)", result.already_absent);
        }
        if inputs.verification() != Verification::BeforeAndAfter {
            message += "; whether they were held before was not looked at";
        }
        return Outcome::plain(Reason::Removed, message, known).proven(VerifiedReason::ReadAfter);
    }
    let message = if known.has_accepted() {
        format!("Nothing was there to remove: a complete read before and one after show none of the {n} named")
    } else if known.lost {
        format!(
            "None of the {n} named is there any more; an earlier DELETE, to which no usable answer came, \
             may have removed them"
        )
    } else {
        format!("Nothing to remove: a complete read shows none of the {n} named")
    };
    Outcome::plain(Reason::AlreadyAbsent, message, known).proven(VerifiedReason::ReadBefore)
}

fn unverified(why: &Unverified, known: Known, n: usize) -> Outcome {
    let (reason, why) = match why {
        Unverified::Never => (VerifiedReason::VerificationNever, "spec.verification of the tenant is Never".to_owned()),
        Unverified::MissingScope(scope) => {
            (VerifiedReason::ReadRefused, format!("the token lacks the scope {scope} to read it back"))
        }
        Unverified::ReadRefused(error) => (VerifiedReason::ReadRefused, format!("the read did not succeed: {error}")),
    };
    let message =
        format!("Auth0 accepted the removal of {} of {n}; it is not verified: {why}", known.result().accepted);
    let verified = Some(not_verified(reason, &why));
    Outcome { verified, ..Outcome::plain(Reason::RemovedUnverified, message, known) }
}

fn not_verified(reason: VerifiedReason, why: &str) -> Verified {
    Verified { status: ConditionStatus::False, reason, message: why.to_owned() }
}

/// A read still shows what was removed. For ten minutes that is taken for a list that lags; within them the removal is
/// sent once more.
fn remaining(left: usize, inputs: &Inputs<'_>, read_at: Timestamp, known: Known) -> Outcome {
    let now = inputs.now.wall;
    let since = known.since.unwrap_or(now);
    let elapsed = |from: Timestamp| Duration::try_from(read_at.duration_since(from)).unwrap_or_default();
    let is_late = elapsed(since) >= STILL_PRESENT_AFTER;
    let is_settled = elapsed(known.accepted_at.unwrap_or(since)) >= SETTLES_WITHIN;
    let is_finished = inputs.reason() == Some(Reason::RemovedUnverified);
    // Whatever kept it from being sent once more: that does not go on for ever.
    let is_over = elapsed(since) >= STILL_PRESENT_AFTER * 2;
    let is_known = known.was_sent_again() || is_finished || is_over;
    if known.still_present_since.is_some() || (is_late && is_settled && is_known) {
        return still_present(left, inputs, known);
    }
    let message = format!(
        "Auth0 accepted the removal, but a read still shows {left} of {}; this usually takes some seconds, and the \
         operator looks again",
        inputs.removal.items.len()
    );
    let next = match (is_late, known.was_sent_again()) {
        (false, _) => next_look(since, now),
        (true, false) => now,
        (true, true) => next_look(known.accepted_at.unwrap_or(since), now),
    };
    Outcome { next_attempt: Some(next), ..Outcome::plain(Reason::AwaitingConsistency, message, known) }
}

fn still_present(left: usize, inputs: &Inputs<'_>, mut known: Known) -> Outcome {
    let now = inputs.now.wall;
    let found_at = *known.still_present_since.get_or_insert(now);
    let message = format!(
        "Auth0 accepted the removal, but {left} of {} are still there, or there again. Usual causes: membership on \
         login, a rule or an Action, another tool, the same access through a group. The operator looks again after an \
         hour and then every six hours for a week; annotate \
         rescind.dev/reconcile-requested-at to have it removed once more",
        inputs.removal.items.len()
    );
    let verified =
        not_verified(VerifiedReason::ReadAfter, &format!("A read long after the removal still shows {left}"));
    let next_attempt = next_late_look(found_at, now);
    Outcome { verified: Some(verified), next_attempt, ..Outcome::plain(Reason::StillPresent, message, known) }
}

/// A 404. Nothing if what else was named has to be proved first.
fn not_found(missing: Missing, inputs: &Inputs<'_>, report: &Report, known: Known) -> Option<Outcome> {
    // Where Auth0 accepted something else, the user or organization exists.
    let missing = if missing == Missing::Unclear && known.has_accepted() { Missing::Item } else { missing };
    let subject = inputs.removal.endpoint.subject();
    let ignore = inputs.options.if_not_found == IfNotFound::Ignore;
    let outcome = match missing {
        Missing::Subject if known.was_seen() || ignore => {
            let message = format!("Auth0 knows no such {subject} any more, so nothing is left to remove");
            let read = if known.has_accepted() { VerifiedReason::ReadAfter } else { VerifiedReason::ReadBefore };
            let outcome = Outcome::plain(Reason::SubjectGone, message, known);
            // Only a read of the subject itself proves it.
            if report.read_at.is_some() { outcome.proven(read) } else { outcome }
        }
        Missing::Subject => {
            let message = format!(
                "Auth0 knows no such {subject} (404): check the id and the tenant. If it is right and already deleted, \
                 set spec.ifNotFound: Ignore"
            );
            Outcome::plain(Reason::SubjectNotFound, message, known)
        }
        // What was accepted is proved first.
        Missing::Item if ignore && known.is_complete() && report.read_at < known.accepted_at => return None,
        Missing::Item if ignore && known.is_complete() => gone(inputs, known, inputs.removal.items.len()),
        Missing::Item if ignore && !known.has_accepted() => {
            let message = format!("Auth0 knows no such {}, so nobody holds it", items(&known));
            Outcome::plain(Reason::AlreadyAbsent, message, known).proven(VerifiedReason::ReadBefore)
        }
        Missing::Item => {
            let message = format!(
                "Auth0 knows no such {} (404): a typing error, or made anew under another id? If it is right and \
                 already deleted, set spec.ifNotFound: Ignore",
                items(&known)
            );
            Outcome::plain(Reason::ItemNotFound, message, known)
        }
        Missing::Unclear if ignore => {
            let message =
                format!("Auth0 answered 404: the {subject} or what is to be removed does not exist (any more)");
            Outcome::plain(Reason::SubjectGone, message, known)
        }
        Missing::Unclear => {
            let message = format!(
                "Auth0 answered 404, and whether it is the {subject} or what is to be removed that does not exist \
                 could not be found out: check the ids and the tenant. If they are right and already deleted, set \
                 spec.ifNotFound: Ignore"
            );
            Outcome::plain(Reason::SubjectNotFound, message, known)
        }
    };
    Some(outcome)
}

/// What does not exist, in words: the first by name.
fn items(known: &Known) -> String {
    let unknown = &known.items.unknown;
    let (what, first) = match unknown.first() {
        None => return "role, API or permission".to_owned(),
        Some(first @ Item::Permission { .. }) => ("API or permission", first),
        Some(first @ Item::Id(id)) if id.starts_with("rol_") => ("role", first),
        Some(first) => ("user", first),
    };
    match unknown.len() {
        0 | 1 => format!("{what} {first}"),
        many => format!("{what} {first} (and {} more)", many - 1),
    }
}

fn failed(error: &CallError, refused: &[Item], inputs: &Inputs<'_>, known: Known) -> Outcome {
    let now = inputs.now.wall;
    let n = inputs.removal.items.len();
    let refused_retry = Some(now + refused_retry(inputs.jitter));
    let (reason, message, next_attempt) = match error {
        CallError::Rejected(rejection) => {
            let which = match refused {
                [] => "the request".to_owned(),
                [one, ..] if n > 1 => format!("{} of {n}, the first is {one}", refused.len()),
                [one, ..] => one.to_string(),
            };
            let message = format!(
                "Auth0 refused {which} ({rejection}); the target cannot be changed, so correct the ids in a new object"
            );
            (Reason::InvalidRequest, message, None)
        }
        CallError::Unauthorized(why) => {
            let message = format!(
                "Auth0 refused the token ({why}); put a fresh Management API token into the tenant's Secret (tried \
                 again then, and every ten minutes)"
            );
            (Reason::Unauthorized, message, refused_retry)
        }
        CallError::Denied(why) => {
            let message = format!(
                "Auth0 denied the removal ({why}), and not for a missing scope; ask who administers the Auth0 tenant \
                 (tried again every ten minutes)"
            );
            (Reason::Denied, message, refused_retry)
        }
        CallError::InsufficientScope(scope) => {
            let message = format!(
                "The token lacks the scope {scope}; grant it to the application in Auth0, then put a fresh token into \
                 the tenant's Secret (tried again then, and every ten minutes)"
            );
            (Reason::InsufficientScope, message, refused_retry)
        }
        CallError::RateLimited(wait) => {
            let until = super::history::rounded_up(now + *wait);
            (Reason::RateLimited, rate_limited(until), Some(until))
        }
        CallError::Unavailable(_) | CallError::NotSent(_) | CallError::NotProcessed | CallError::NotFound(_) => {
            let pause = backoff(failures(inputs, Reason::Auth0Unavailable).saturating_add(1), inputs.jitter);
            (
                Reason::Auth0Unavailable,
                format!("No usable answer from Auth0: {error}; the operator tries again"),
                Some(now + pause),
            )
        }
    };
    Outcome { next_attempt, is_failure: true, ..Outcome::plain(reason, message, known) }
}

/// In words: Auth0 asked to wait.
pub(super) fn rate_limited(until: Timestamp) -> String {
    format!("Auth0's rate limit is reached (429); nothing is sent to it before {until}")
}
