//! What to do for an object now. Pure: everything that counts is an argument.

use jiff::Timestamp;

use crate::api::{Reason, RemovalStatus, Verification};
use crate::dispatch::{Report, Task, View, Wait};

use super::blocked::blocked;
use super::decide_finished::{decide_check, decide_finished};
use super::decision::Decision;
use super::history::{Known, concerns};
use super::inputs::{Inputs, Tenant};
use super::needs::next_question;
use super::schedule::{LATE_READ_EVERY, MAX_PAUSE, REMOVE_AGAIN_AFTER, hold_left, pause_left, resync_after, since};
use super::waits::{handed_back, waiting};

/// After this many times in a row the log and the status say that the job is handed back.
pub(super) const HANDED_BACK_SHOWN: u32 = 3;

/// The decision for these inputs.
pub fn decide(inputs: &Inputs<'_>) -> Decision {
    let is_pending = match inputs.view {
        View::Ended { .. } => return Decision::TakeReport,
        View::Pending { generation, .. } if *generation != inputs.generation => return Decision::TakeReport,
        View::Pending { wait, .. } if has_other_connection(inputs) && !ends_soon(inputs, *wait) => {
            return Decision::TakeReport;
        }
        View::Pending { wait, so_far, .. } if *wait != Wait::Working && inputs.has_other_task(&so_far.task) => {
            return Decision::TakeReport;
        }
        View::Pending { .. } => true,
        View::Absent => false,
    };
    if is_done_but_pruned(inputs) {
        return if is_pending { Decision::TakeReport } else { Decision::AwaitChange(None) };
    }
    if inputs.is_finished() {
        return if inputs.is_check() { decide_check(inputs) } else { decide_finished(inputs, is_pending) };
    }
    let known = inputs.known();
    match (blocked(inputs, &known), inputs.view) {
        (Some(_), View::Pending { .. }) => Decision::TakeReport,
        (Some(blocked), View::Absent | View::Ended { .. }) => Decision::Block(blocked),
        (None, View::Pending { wait, so_far, .. }) => decide_pending(inputs, *wait, so_far, known),
        (None, View::Absent | View::Ended { .. }) => decide_next(inputs, known),
    }
}

/// Whether the object is finished as far as can be told while an older CRD prunes it. Nothing may be written then:
/// every write through that CRD would drop what the status keeps of being finished, and with it promise 12.
fn is_done_but_pruned(inputs: &Inputs<'_>) -> bool {
    let is_done = |status: &RemovalStatus| {
        status.is_ready() && status.finished.as_ref().is_none_or(|finished| finished.target == inputs.target())
    };
    inputs.options.is_pruned() && inputs.status.is_some_and(is_done)
}

/// Whether the job was submitted with another connection than the tenant has now.
fn has_other_connection(inputs: &Inputs<'_>) -> bool {
    let Tenant::Ready { key, .. } = inputs.tenant else { return false };
    inputs.submitted_with.is_some_and(|with| with != key)
}

/// Whether a call is in flight with an earlier credential for the same domain. Its answer counts, and would be lost if
/// the job were taken back; the next call is handed back by the preflight check.
fn ends_soon(inputs: &Inputs<'_>, wait: Wait) -> bool {
    wait == Wait::Working && inputs.submitted_to.is_some() && inputs.submitted_to == inputs.domain()
}

fn decide_pending(inputs: &Inputs<'_>, wait: Wait, so_far: &Report, mut known: Known) -> Decision {
    known.add(so_far, inputs.submitted_to, inputs.now.wall);
    Decision::UpdateStatus(waiting(inputs, wait, known), Some(resync_after(inputs.jitter)))
}

/// The decision for an object that is not finished, has no job, and that nothing blocks.
fn decide_next(inputs: &Inputs<'_>, known: Known) -> Decision {
    if let Some(left) = inputs.submit_after() {
        return match inputs.handed_back {
            Some((refusal, times)) if times >= HANDED_BACK_SHOWN => {
                Decision::UpdateStatus(handed_back(refusal, times, known), Some(left))
            }
            _ => Decision::AwaitChange(Some(left)),
        };
    }
    // What another domain named is no wait here.
    let own = inputs.status.filter(|status| concerns(status, inputs.domain()));
    let next = own.and_then(RemovalStatus::next_attempt);
    let now = inputs.now.wall;
    match inputs.reason_here().map(resumption) {
        Some(Resumption::OnRequest) if inputs.request.is_none() => return Decision::AwaitChange(None),
        Some(Resumption::LateReads) if inputs.request.is_none() => {
            let Some(next) = next else { return Decision::AwaitChange(None) };
            let longest = if inputs.repeats() { inputs.options.check_interval() * 2 } else { LATE_READ_EVERY };
            if let Some(left) = pause_left(next, now, longest) {
                return Decision::AwaitChange(Some(left));
            }
        }
        Some(Resumption::AfterPause) => {
            // A request shortens no wait; the attempt after it answers the request.
            if let Some(left) = next.and_then(|next| pause_left(next, now, MAX_PAUSE)) {
                return Decision::AwaitChange(Some(left));
            }
        }
        None | Some(Resumption::OnRequest | Resumption::LateReads | Resumption::AtOnce) => {}
    }
    submit(inputs, known, own.and_then(|status| limited_until(status, inputs)))
}

/// When an object that is not finished and that nothing blocks submits its next job.
enum Resumption {
    /// Only when somebody requests it.
    OnRequest,
    /// To read, on the schedule after `StillPresent`; to remove, only on request.
    LateReads,
    /// At the time of its next attempt, which a request does not bring forward.
    AfterPause,
    /// At once.
    AtOnce,
}

const fn resumption(reason: Reason) -> Resumption {
    use Reason as R;
    match reason {
        R::SubjectNotFound | R::ItemNotFound | R::InvalidRequest => Resumption::OnRequest,
        R::StillPresent => Resumption::LateReads,
        R::Auth0Unavailable | R::AwaitingConsistency => Resumption::AfterPause,
        // What these say has ended, or it would block the object; a wait after a 429 goes to the dispatcher as a hold.
        R::Unauthorized | R::InsufficientScope | R::Denied | R::Protected | R::NamespaceNotAllowed => {
            Resumption::AtOnce
        }
        R::BrakeEngaged | R::UnknownField | R::TenantNotReady | R::Scheduled | R::Suspended => Resumption::AtOnce,
        R::OnHold | R::Expired | R::Queued | R::AwaitingProof | R::RateLimited => Resumption::AtOnce,
        // The verdict on another target.
        R::Removed | R::RemovedUnverified | R::AlreadyAbsent | R::WouldRemove => Resumption::AtOnce,
        R::SubjectGone | R::NotReplayed => Resumption::AtOnce,
        // Reasons of tenants, which a removal never has.
        R::Connected | R::Unproved | R::SecretNotFound | R::InvalidCredentials => Resumption::AtOnce,
        R::DomainNotAllowed | R::InvalidConnection => Resumption::AtOnce,
    }
}

/// The time that Auth0 named in a 429 to this object, if the status is all that remembers it. The wait outlives
/// restarts and edits; once a job was submitted, the dispatcher knows it.
fn limited_until(status: &RemovalStatus, inputs: &Inputs<'_>) -> Option<Timestamp> {
    let is_limited = status.reason_text() == Some(Reason::RateLimited.as_str()) && inputs.submitted_with.is_none();
    status.next_attempt().filter(|_| is_limited)
}

fn submit(inputs: &Inputs<'_>, mut known: Known, limited_until: Option<Timestamp>) -> Decision {
    // Where no DELETE may be sent, what Auth0 has accepted besides is all that can be looked at.
    if inputs.request.is_some() && (inputs.may_remove() || inputs.is_observed()) {
        known.forget_unknown();
    }
    let still_present = known.still_present_since.is_some();
    let is_due = known.since.is_some_and(|at| since(at, inputs.now.wall) >= REMOVE_AGAIN_AFTER);
    // If a read still shows what was removed, the DELETE is sent once more; after that, only on request.
    let once_more = known.remaining > 0 && is_due && !known.was_sent_again() && !still_present;
    // An object of policy Continuous removes it again in every interval.
    let is_repeated = inputs.request.is_some() || inputs.repeats();
    let again = inputs.may_remove() && (once_more || (still_present && is_repeated));
    let verification = inputs.verification();
    let observes = inputs.observes(&known);
    let task = if observes {
        Task::Observe
    } else if known.is_complete() && !again {
        Task::Prove
    } else {
        let after = verification != Verification::Never;
        Task::Remove { before: verification == Verification::BeforeAndAfter, after }
    };
    let hold = limited_until.and_then(|until| hold_left(until, inputs.now.wall));
    match next_question(inputs, &task).filter(|_| !observes) {
        Some(question) => {
            Decision::Submit { task: Task::Learn(question), history: known.history(inputs.removal, false), hold }
        }
        None => Decision::Submit { task, history: known.history(inputs.removal, again || observes), hold },
    }
}
