//! What to do for an object now. Pure: everything that counts is an argument.

use std::time::Duration;

use jiff::Timestamp;

use crate::api::{Mode, Reason, RemovalStatus, Verification};
use crate::dispatch::{End, History, Refusal, Report, Task, View, Wait};

use super::answers::{is_superseded, judge_report, judge_requested_proof};
use super::blocked::{Blocked, blocked};
use super::conditions::is_ours;
use super::finished::{is_finished, target};
use super::history::{Known, concerns};
use super::inputs::{Failures, Inputs, Tenant};
use super::items::Items;
use super::outcome::{Outcome, date_unknown_from_acceptance};
use super::schedule::{LATE_READ_EVERY, MAX_PAUSE, REMOVE_AGAIN_AFTER, hold_left, pause_left, resync_after, since};
use super::waits::{handed_back, waiting};

/// How long a job that was handed back for no visible reason waits before it is submitted again: the caches are behind,
/// or the API server does not answer. Up to twice as long, so that the objects that wait for it do not come all at
/// once.
const STALE_CACHE_RETRY: Duration = Duration::from_secs(2);
/// After this many times in a row the log and the status say that the job is handed back.
pub(super) const HANDED_BACK_SHOWN: u32 = 3;

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Nothing until something changes, or until this much time has passed.
    AwaitChange(Option<Duration>),
    /// Write that the generation and the request were seen (see [`acknowledged`]), and nothing until something changes.
    Acknowledge,
    /// The job has ended or must not continue: take its report out of the dispatcher, add it to what is known with
    /// [`apply_report`], and decide again.
    TakeReport,
    /// Nothing may be sent, for this reason.
    Block(Blocked),
    /// Show what the object waits for; decide again after this much time at the latest.
    UpdateStatus(Outcome, Option<Duration>),
    /// Submit a job.
    Submit {
        /// Which calls it makes.
        task: Task,
        /// What is known from before.
        history: History,
        /// Nothing may be sent to the domain for this long: Auth0 asked for that before the operator restarted.
        hold: Option<Duration>,
    },
}

/// What is known once the report of a job was added.
#[derive(Clone, Debug, PartialEq)]
pub struct AppliedReport {
    /// The status that the object should have now.
    pub status: RemovalStatus,
    /// What is known item by item.
    pub items: Items,
    /// The verdict or the wait that the report leads to, if it leads to one.
    pub outcome: Option<Outcome>,
    /// If that is a failure: which one, and how often in a row.
    pub failures: Option<Failures>,
    /// If the preflight check refused the call although no input says why: its refusal, and how often in a row.
    pub handed_back: Option<(Refusal, u32)>,
    /// How long to wait before the next job is submitted.
    pub pause: Option<Duration>,
}

/// The decision for these inputs.
pub fn decide(inputs: &Inputs<'_>) -> Decision {
    let is_pending = match inputs.view {
        View::Ended { .. } => return Decision::TakeReport,
        View::Pending { generation, .. } if *generation != inputs.generation => return Decision::TakeReport,
        View::Pending { wait, .. } if has_other_connection(inputs) && !ends_soon(inputs, *wait) => {
            return Decision::TakeReport;
        }
        View::Pending { .. } => true,
        View::Absent => false,
    };
    if is_done_but_pruned(inputs) {
        return if is_pending { Decision::TakeReport } else { Decision::AwaitChange(None) };
    }
    if nothing_left_to_do(inputs) {
        return decide_finished(inputs, is_pending);
    }
    let known = known(inputs);
    match (blocked(inputs, &known), inputs.view) {
        (Some(_), View::Pending { .. }) => Decision::TakeReport,
        (Some(blocked), View::Absent | View::Ended { .. }) => Decision::Block(blocked),
        (None, View::Pending { wait, so_far, .. }) => decide_pending(inputs, *wait, so_far, known),
        (None, View::Absent | View::Ended { .. }) => decide_next(inputs, known),
    }
}

/// Adds the report of a job that was submitted for `generation` to what is known. Its verdict counts only for the
/// generation and the domain that it was found for; what Auth0 accepted counts in any case.
pub fn apply_report(inputs: &Inputs<'_>, generation: i64, report: &Report) -> AppliedReport {
    let is_finished = nothing_left_to_do(inputs);
    // A job that made no call reports what it was given, and that belongs to the domain it was submitted for.
    let domain = report.domain.as_ref().or(inputs.submitted_to).or_else(|| inputs.domain());
    let mut known = Known::from_status(inputs.status, inputs.items, domain, inputs.removal, is_finished);
    known.add(report, domain, inputs.now.wall);
    let is_here = inputs.domain().is_none_or(|here| domain.is_none_or(|there| there == here));
    let is_current = generation == inputs.generation && is_here;
    let outcome = match (is_current, is_finished) {
        (false, _) => None,
        (true, false) => judge_report(inputs, report, known.clone()),
        (true, true) if is_unverified(inputs) => judge_requested_proof(inputs, report, known.clone()),
        (true, true) => None,
    };
    let status = match &outcome {
        // A job that was submitted before the request was made is no attempt because of it.
        Some(outcome) => outcome.status(inputs, inputs.submitted_for == inputs.request),
        None if is_finished => inputs.status.cloned().unwrap_or_default(),
        None => partial_status(inputs, &known),
    };
    let failed = outcome.as_ref().filter(|outcome| outcome.is_failure);
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
        None => outcome.is_none() && is_current && !is_finished,
    };
    let pause = waits.then(|| STALE_CACHE_RETRY.mul_f64(1.0 + inputs.jitter));
    AppliedReport { status, items: known.items, outcome, failures, handed_back, pause }
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
        End::HandedBack(_) | End::Gone | End::Unverified(_) | End::Remaining(_) | End::NotFound(_) | End::Failed(_) => {
            None
        }
    }
}

/// The status of an object of which more is known now, although no verdict came of it: its reason stays.
fn partial_status(inputs: &Inputs<'_>, known: &Known) -> RemovalStatus {
    let mut status = inputs.status.cloned().unwrap_or_default();
    if status.is_ready() {
        // It is the verdict on another target, which was finished.
        status.conditions.retain(|condition| !is_ours(condition));
        (status.observed_generation, status.finished) = (None, None);
    }
    known.write_into(&mut status);
    date_unknown_from_acceptance(&mut status.conditions, known);
    status
}

/// The status that says that the generation and the request were seen, and changes nothing else.
pub fn acknowledged(inputs: &Inputs<'_>) -> RemovalStatus {
    let mut status = inputs.status.cloned().unwrap_or_default();
    if nothing_left_to_do(inputs) {
        status.observed_generation = Some(inputs.generation);
        for condition in status.conditions.iter_mut().filter(|condition| is_ours(condition)) {
            condition.observed_generation = Some(inputs.generation);
        }
    }
    if let Some(request) = inputs.request {
        status.last_handled_reconcile_at = Some(request.to_owned());
    }
    status
}

/// Whether the object is finished. The mode in force is always `Remove`: this version sends nothing for an object that
/// asks for another.
pub(super) fn nothing_left_to_do(inputs: &Inputs<'_>) -> bool {
    let target = || target(&inputs.options.tenant_ref, inputs.removal);
    inputs.status.is_some_and(|status| is_finished(status, inputs.generation, Mode::Remove, target))
}

/// Whether the object is finished as far as can be told while an older CRD prunes it. Nothing may be written then:
/// every write through that CRD would drop what the status keeps of being finished, and with it promise 12.
fn is_done_but_pruned(inputs: &Inputs<'_>) -> bool {
    let is_done = |status: &RemovalStatus| {
        let is_other = |of: &str| of != target(&inputs.options.tenant_ref, inputs.removal);
        status.is_ready() && !status.finished.as_ref().is_some_and(|finished| is_other(&finished.target))
    };
    inputs.options.is_pruned() && inputs.status.is_some_and(is_done)
}

pub(super) fn known(inputs: &Inputs<'_>) -> Known {
    let is_finished = nothing_left_to_do(inputs);
    let domain = inputs.domain();
    Known::from_status(inputs.status, inputs.items, domain, inputs.removal, is_finished)
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

/// A finished object causes no call and no write ever again (promise 12), except for one proof when somebody requests
/// it of an object that could not be verified.
fn decide_finished(inputs: &Inputs<'_>, is_pending: bool) -> Decision {
    let known = known(inputs);
    // Another domain can prove nothing of what was removed here.
    let is_here = inputs.status.is_some_and(|status| concerns(status, inputs.domain()));
    let proof_requested = inputs.request.is_some() && is_unverified(inputs) && is_here;
    let may_call = matches!(inputs.tenant, Tenant::Ready { .. }) && blocked(inputs, &known).is_none();
    match (proof_requested && may_call, is_pending) {
        (true, true) => return Decision::AwaitChange(Some(resync_after(inputs.jitter))),
        (false, true) => return Decision::TakeReport,
        (true, false) => {
            return match submit_after(inputs) {
                Some(left) => Decision::AwaitChange(Some(left)),
                None => {
                    Decision::Submit { task: Task::Prove, history: known.history(inputs.removal, false), hold: None }
                }
            };
        }
        (false, false) => {}
    }
    let is_new = inputs.status.is_some_and(|status| status.observed_generation != Some(inputs.generation));
    if is_new || inputs.request.is_some() { Decision::Acknowledge } else { Decision::AwaitChange(None) }
}

fn is_unverified(inputs: &Inputs<'_>) -> bool {
    inputs.status.and_then(RemovalStatus::reason_text) == Some(Reason::RemovedUnverified.as_str())
}

/// How long a job that was handed back must still wait before it is submitted again, if it must.
fn submit_after(inputs: &Inputs<'_>) -> Option<Duration> {
    let at = inputs.not_before?;
    at.checked_duration_since(inputs.now.steady).filter(|left| !left.is_zero())
}

fn decide_pending(inputs: &Inputs<'_>, wait: Wait, so_far: &Report, mut known: Known) -> Decision {
    known.add(so_far, inputs.submitted_to, inputs.now.wall);
    Decision::UpdateStatus(waiting(inputs, wait, known), Some(resync_after(inputs.jitter)))
}

/// The decision for an object that is not finished, has no job, and that nothing blocks.
fn decide_next(inputs: &Inputs<'_>, known: Known) -> Decision {
    if let Some(left) = submit_after(inputs) {
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
    match inputs.reason().map(resumption) {
        Some(Resumption::OnRequest) if inputs.request.is_none() => return Decision::AwaitChange(None),
        Some(Resumption::LateReads) if inputs.request.is_none() => {
            let Some(next) = next else { return Decision::AwaitChange(None) };
            if let Some(left) = pause_left(next, now, LATE_READ_EVERY) {
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
    if inputs.request.is_some() {
        known.forget_unknown();
    }
    let still_present = known.still_present_since.is_some();
    let is_due = known.since.is_some_and(|at| since(at, inputs.now.wall) >= REMOVE_AGAIN_AFTER);
    // If a read still shows what was removed, the DELETE is sent once more; after that, only on request.
    let once_more = known.remaining > 0 && is_due && !known.was_sent_again() && !still_present;
    let again = once_more || (still_present && inputs.request.is_some());
    let verification = inputs.verification();
    let task = if known.is_complete() && !again {
        Task::Prove
    } else {
        let after = verification != Verification::Never;
        Task::Remove { before: verification == Verification::BeforeAndAfter, after }
    };
    let hold = limited_until.and_then(|until| hold_left(until, inputs.now.wall));
    Decision::Submit { task, history: known.history(inputs.removal, again), hold }
}
