//! What an object says while its job waits. Pure.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp, Unit};

use crate::api::{Reason, RemovalStatus};
use crate::dispatch::{Refusal, Wait};

use super::answers::rate_limited;
use super::history::{Known, rounded_up};
use super::inputs::Inputs;
use super::outcome::Outcome;

/// What an object says while its job waits. `known` includes what the job has done so far.
pub(super) fn waiting(inputs: &Inputs<'_>, wait: Wait, mut known: Known) -> Outcome {
    let n = inputs.removal.items.len();
    match wait {
        Wait::AwaitingProof => {
            let accepted = known.result().accepted;
            let message =
                format!("Auth0 accepted the removal of {accepted} of {n}. The read that proves it is outstanding.");
            Outcome::plain(Reason::AwaitingProof, message, known)
        }
        Wait::RateLimited { until, own: true } => {
            let until = shown_already(rounded_up(inputs.now.wall_at(until)), inputs);
            // The wait must hold for its own domain only, also after a restart.
            known.domain = known.domain.or_else(|| inputs.domain().map(ToString::to_string));
            Outcome { next_attempt: Some(until), ..Outcome::plain(Reason::RateLimited, rate_limited(until), known) }
        }
        Wait::RateLimited { until, own: false } => {
            let until = rounded_up(inputs.now.wall_at(until));
            let message = format!("Waiting for its turn: Auth0 asked that nothing be sent to it before {until}.");
            Outcome::plain(Reason::Queued, message, known)
        }
        Wait::Queued { calls_before, about } => {
            let now = inputs.now.wall.round(Unit::Second).unwrap_or(inputs.now.wall);
            let about = about.map(|about| format!(", in about {}", in_words(about))).unwrap_or_default();
            let message = match calls_before {
                0 => format!("Waiting for its turn: it is next{about} (as of {now})."),
                1 => format!("Waiting for its turn: 1 call to Auth0 comes first{about} (as of {now})."),
                many => format!("Waiting for its turn: {many} calls to Auth0 come first{about} (as of {now})."),
            };
            Outcome::plain(Reason::Queued, message, known)
        }
        Wait::Working => Outcome::plain(Reason::Queued, "Its call to Auth0 is in flight.", known),
    }
}

/// What an object says after its job was handed back several times in a row.
pub(super) fn handed_back(refusal: Refusal, times: u32, known: Known) -> Outcome {
    let why = match refusal {
        Refusal::Unconfirmed => {
            "the API server did not confirm that the removal and its tenant are as the operator knows them. Check that \
             it answers, and that the operator may get both kinds"
        }
        Refusal::Gone | Refusal::Changed => "the API server has another version of this object than the operator knows",
        Refusal::Restrained => "the object or its tenant did not let anything be removed at that moment",
        Refusal::TenantNotReady => "the tenant was not ready at that moment",
        Refusal::NotAllowed => "the tenant did not admit this namespace at that moment",
        Refusal::OtherConnection => "the tenant's domain, CA bundle or credential was another one at that moment",
        Refusal::NotLeading => "this replica is not the leader",
        Refusal::Withdrawn => "the operator withdrew it",
    };
    let message = format!("Nothing is sent. The check right before the call failed {times} times in a row: {why}.");
    Outcome::plain(Reason::Queued, message, known)
}

/// The time that the status shows already, if it differs from `until` by no more than rounding; else `until`. Without
/// it every reconcile would write.
fn shown_already(until: Timestamp, inputs: &Inputs<'_>) -> Timestamp {
    let shown = inputs.status.and_then(RemovalStatus::next_attempt);
    shown.filter(|shown| (0..2000).contains(&shown.duration_since(until).as_millis())).unwrap_or(until)
}

/// A duration for people: to the second up to ten minutes, then to the minute.
fn in_words(about: Duration) -> String {
    let seconds = i64::try_from(about.as_secs().max(1)).unwrap_or(i64::MAX);
    let coarse = if seconds > 600 { (seconds + 59) / 60 * 60 } else { seconds };
    format!("{:#}", SignedDuration::from_secs(coarse))
}
