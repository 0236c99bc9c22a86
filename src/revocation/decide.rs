//! What to do for an object now. Pure: everything that counts is an argument.

use std::time::Duration;

use crate::api::{ConditionType, Mode, Reason, RemovalStatus, Verification};
use crate::dispatch::{End, History, Refusal, Report, Task, View, Wait};

use super::answers::{of_report, of_requested_proof};
use super::blocked::{Blocked, blocked};
use super::conditions::is_ours;
use super::finished::{is_finished, target};
use super::history::{Known, is_of};
use super::inputs::{Inputs, Tenant};
use super::items::Items;
use super::outcome::Outcome;
use super::schedule::{LATE_LOOK_EVERY, LONGEST_PAUSE, REMOVE_AGAIN_AFTER, hold, pause, since};
use super::waits::{unconfirmed, waiting};

/// Pause after a job was handed back although nothing here speaks against it: the caches are behind, or the API server is
/// away. Up to twice as long, so that those who wait for it do not come all at once.
const STALE_CACHE_RETRY: Duration = Duration::from_secs(2);
/// So often in a row that has to be said.
const UNCONFIRMED_SHOWN: u32 = 3;
/// A job that waits is looked at again after this long, should its wake-up get lost.
const LOOK_AGAIN: Duration = Duration::from_secs(600);

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Nothing until something changes, or until this pause is over.
    AwaitChange(Option<Duration>),
    /// Nothing either, but the status says that the generation or the request was seen.
    Acknowledge(Option<Duration>),
    /// The job has ended or must not go on: take what came of it, see [`absorb`], and decide again.
    TakeReport,
    /// Nothing may be sent; this is why.
    Block(Blocked),
    /// This is what it waits for; look again after this pause at the latest.
    UpdateStatus(Outcome, Option<Duration>),
    /// Submit a job.
    Submit {
        /// Which calls.
        task: Task,
        /// What is known already.
        history: History,
        /// How long nothing is to be sent there, as Auth0 asked before a restart.
        hold: Option<Duration>,
    },
}

/// What came of a job, made part of what is known.
#[derive(Clone, Debug, PartialEq)]
pub struct Absorbed {
    /// The status as it should be.
    pub status: RemovalStatus,
    /// What is known beyond it.
    pub items: Items,
    /// The verdict or wait it came to, if it came to any.
    pub outcome: Option<Outcome>,
    /// Before the next job is submitted: the check before the call said no, and nothing here says why.
    pub pause: Option<Duration>,
}

/// The decision for these inputs.
pub fn decide(inputs: &Inputs<'_>) -> Decision {
    let is_pending = match inputs.view {
        View::Ended { .. } => return Decision::TakeReport,
        View::Pending { generation, .. } if *generation != inputs.generation || is_elsewhere(inputs) => {
            return Decision::TakeReport;
        }
        View::Pending { .. } => true,
        View::Absent => false,
    };
    if is_cut_off_when_done(inputs) {
        return if is_pending { Decision::TakeReport } else { Decision::AwaitChange(None) };
    }
    if finished(inputs) {
        return of_finished(inputs, is_pending);
    }
    let known = known(inputs);
    match (blocked(inputs, &known), inputs.view) {
        (Some(_), View::Pending { .. }) => Decision::TakeReport,
        (Some(blocked), _) => Decision::Block(blocked),
        (None, View::Pending { wait, so_far, .. }) => pending(inputs, *wait, so_far, known),
        (None, _) => next(inputs, known),
    }
}

/// Makes what came of a job that was submitted for `generation` part of what is known. A verdict counts for the generation
/// and the domain it was found for; what was done counts in any case.
pub fn absorb(inputs: &Inputs<'_>, generation: i64, report: &Report) -> Absorbed {
    let now = inputs.now;
    let is_finished = finished(inputs);
    // A job that made no call tells what it was told, which is of the domain it was submitted for.
    let domain = report.domain.as_ref().or(inputs.submitted_to).or_else(|| inputs.domain());
    let mut known = Known::read(inputs.status, inputs.items, domain, inputs.removal, is_finished);
    known.add(report, domain, now.wall);
    let is_here = inputs.domain().is_none_or(|here| domain.is_none_or(|there| there == here));
    let outcome = match (generation == inputs.generation && is_here, is_finished) {
        (false, _) => None,
        (true, false) => of_report(inputs, report, known.clone()),
        (true, true) if is_unverified(inputs) => of_requested_proof(inputs, report, known.clone()),
        (true, true) => None,
    };
    let status = match &outcome {
        Some(outcome) => outcome.status(inputs, true),
        None if is_finished => inputs.status.cloned().unwrap_or_default(),
        None => partial(inputs, &known),
    };
    let goes_on = matches!(report.end, End::HandedBack(Refusal::OtherConnection | Refusal::Withdrawn));
    let is_current = generation == inputs.generation && outcome.is_none() && !goes_on;
    let pause = is_current.then(|| STALE_CACHE_RETRY.mul_f64(1.0 + inputs.jitter));
    Absorbed { status, items: known.items, outcome, pause }
}

/// The status of an object of which more is known, though it came to nothing yet: its reason stays.
fn partial(inputs: &Inputs<'_>, known: &Known) -> RemovalStatus {
    let mut status = inputs.status.cloned().unwrap_or_default();
    if status.condition(ConditionType::Ready).is_some_and(|ready| ready.status == "True") {
        // It speaks of something else that was finished.
        status.conditions.retain(|condition| !is_ours(condition));
        (status.observed_generation, status.finished) = (None, None);
    }
    known.write_into(&mut status);
    status
}

/// The status that says that generation and request were seen, and nothing else that is new.
pub fn acknowledged(inputs: &Inputs<'_>) -> RemovalStatus {
    let mut status = inputs.status.cloned().unwrap_or_default();
    if finished(inputs) {
        status.observed_generation = Some(inputs.generation);
        for condition in status.conditions.iter_mut().filter(|condition| is_ours(condition)) {
            condition.observed_generation = Some(inputs.generation);
        }
    }
    if let Some(asked) = inputs.asked {
        status.last_handled_reconcile_at = Some(asked.to_owned());
    }
    status
}

/// Whether nothing is left to do for an object. The mode in force is always to remove: what asks for another is held.
pub(super) fn finished(inputs: &Inputs<'_>) -> bool {
    let target = || target(&inputs.options.tenant_ref, inputs.removal);
    inputs.status.is_some_and(|status| is_finished(status, inputs.generation, Mode::Remove, target))
}

/// Whether it is done, as far as an older CRD shows it. Whatever were written through that CRD would cost the object what it
/// keeps of that, and with it promise 12.
fn is_cut_off_when_done(inputs: &Inputs<'_>) -> bool {
    let is_done = |status: &RemovalStatus| {
        let ready = status.condition(ConditionType::Ready).is_some_and(|ready| ready.status == "True");
        let is_other = |of: &str| of != target(&inputs.options.tenant_ref, inputs.removal);
        ready && !status.finished.as_ref().is_some_and(|finished| is_other(&finished.target))
    };
    inputs.options.is_cut_off() && inputs.status.is_some_and(is_done)
}

fn known(inputs: &Inputs<'_>) -> Known {
    Known::read(inputs.status, inputs.items, inputs.domain(), inputs.removal, finished(inputs))
}

/// Whether its job was submitted with another connection than its tenant stands for now.
fn is_elsewhere(inputs: &Inputs<'_>) -> bool {
    let Tenant::Ready { key, .. } = inputs.tenant else { return false };
    inputs.submitted_with.is_some_and(|with| with != key)
}

/// Finished: no call and no write, ever again (promise 12), but for a proof that somebody asks for.
fn of_finished(inputs: &Inputs<'_>, is_pending: bool) -> Decision {
    let known = known(inputs);
    let wants_proof = inputs.asked.is_some() && is_unverified(inputs);
    let may_call = matches!(inputs.tenant, Tenant::Ready { .. }) && blocked(inputs, &known).is_none();
    match (wants_proof && may_call, is_pending) {
        (true, true) => return Decision::AwaitChange(Some(LOOK_AGAIN)),
        (false, true) => return Decision::TakeReport,
        (true, false) => {
            return match not_yet(inputs) {
                Some(left) => Decision::AwaitChange(Some(left)),
                None => {
                    Decision::Submit { task: Task::Prove, history: known.history(inputs.removal, false), hold: None }
                }
            };
        }
        (false, false) => {}
    }
    let is_new = inputs.status.is_some_and(|status| status.observed_generation != Some(inputs.generation));
    if is_new || inputs.asked.is_some() { Decision::Acknowledge(None) } else { Decision::AwaitChange(None) }
}

fn is_unverified(inputs: &Inputs<'_>) -> bool {
    inputs.status.and_then(RemovalStatus::reason_text) == Some(Reason::RemovedUnverified.as_str())
}

fn not_yet(inputs: &Inputs<'_>) -> Option<Duration> {
    let at = inputs.not_before?;
    at.checked_duration_since(inputs.now.steady).filter(|left| !left.is_zero())
}

fn pending(inputs: &Inputs<'_>, wait: Wait, so_far: &Report, mut known: Known) -> Decision {
    known.add(so_far, inputs.submitted_to, inputs.now.wall);
    Decision::UpdateStatus(waiting(inputs, wait, known), Some(LOOK_AGAIN))
}

fn next(inputs: &Inputs<'_>, known: Known) -> Decision {
    if let Some(left) = not_yet(inputs) {
        return if inputs.unconfirmed < UNCONFIRMED_SHOWN {
            Decision::AwaitChange(Some(left))
        } else {
            Decision::UpdateStatus(unconfirmed(inputs, known), Some(left))
        };
    }
    let own = inputs.status.filter(|status| is_of(status, inputs.domain()));
    let next = own.and_then(|status| status.next_attempt_time.as_ref()).map(|at| at.0);
    match inputs.reason() {
        Some(Reason::SubjectNotFound | Reason::ItemNotFound | Reason::InvalidRequest) if inputs.asked.is_none() => {
            return Decision::AwaitChange(None);
        }
        Some(Reason::StillPresent) if inputs.asked.is_none() => {
            let Some(next) = next else { return Decision::AwaitChange(None) };
            if let Some(left) = pause(next, inputs.now.wall, LATE_LOOK_EVERY) {
                return Decision::AwaitChange(Some(left));
            }
        }
        Some(Reason::Auth0Unavailable | Reason::AwaitingConsistency) => {
            if let Some(left) = next.and_then(|next| pause(next, inputs.now.wall, LONGEST_PAUSE)) {
                // Being asked shortens no wait.
                return match inputs.asked {
                    Some(_) => Decision::Acknowledge(Some(left)),
                    None => Decision::AwaitChange(Some(left)),
                };
            }
        }
        _ => {}
    }
    submit(inputs, known, own)
}

fn submit(inputs: &Inputs<'_>, mut known: Known, own: Option<&RemovalStatus>) -> Decision {
    if inputs.asked.is_some() {
        known.forget_unknown();
    }
    let still_present = known.still_present_since.is_some();
    let is_due = known.since.is_some_and(|at| since(at, inputs.now.wall) >= REMOVE_AGAIN_AFTER);
    // A removal that a read does not show is sent once more by itself, and then only when somebody asks.
    let once_more = known.remaining > 0 && is_due && !known.was_sent_again() && !still_present;
    let again = once_more || (still_present && inputs.asked.is_some());
    let verification = inputs.verification();
    let task = if known.is_complete() && !again {
        Task::Prove
    } else {
        let after = verification != Verification::Never;
        Task::Remove { before: verification == Verification::BeforeAndAfter, after }
    };
    // A wait that Auth0 named outlives restarts and edits. What it named since, the dispatcher knows itself.
    let is_limited = |status: &&RemovalStatus| {
        status.condition(ConditionType::Ready).is_some_and(|ready| ready.reason == Reason::RateLimited.as_str())
    };
    let limited = own.filter(is_limited).filter(|_| inputs.submitted_with.is_none());
    let next = limited.and_then(|status| status.next_attempt_time.as_ref()).map(|at| at.0);
    let hold = next.and_then(|next| hold(next, inputs.now.wall));
    Decision::Submit { task, history: known.history(inputs.removal, again), hold }
}
