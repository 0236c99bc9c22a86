//! What an object says while its job waits. Pure.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp, Unit};

use crate::api::Reason;
use crate::dispatch::Wait;

use super::answers::rate_limited;
use super::history::{Known, rounded_up};
use super::inputs::Inputs;
use super::outcome::Outcome;

/// What a job that waits has its object say. `known` includes what came of it so far.
pub(super) fn waiting(inputs: &Inputs<'_>, wait: Wait, mut known: Known) -> Outcome {
    let n = inputs.removal.items.len();
    let now = whole(inputs.now.wall);
    match wait {
        Wait::AwaitingProof => {
            let accepted = known.result().accepted;
            let message =
                format!("Auth0 accepted the removal of {accepted} of {n}; the read that proves it is outstanding");
            Outcome::plain(Reason::AwaitingProof, message, known)
        }
        Wait::RateLimited { until, own: true } => {
            let until = steady(rounded_up(inputs.now.wall_at(until)), inputs);
            // The wait holds what it was named for, also after a restart.
            known.domain = known.domain.or_else(|| inputs.domain().map(ToString::to_string));
            Outcome { next_attempt: Some(until), ..Outcome::plain(Reason::RateLimited, rate_limited(until), known) }
        }
        Wait::RateLimited { until, own: false } => {
            let until = rounded_up(inputs.now.wall_at(until));
            let message = format!("Waits for its turn; Auth0 asked others to send nothing before {until}");
            Outcome::plain(Reason::Queued, message, known)
        }
        Wait::Queued { calls_before, about } => {
            let about = about.map(|about| format!(", in about {}", in_words(about))).unwrap_or_default();
            let message = match calls_before {
                0 => format!("Waits for its turn: it is next{about} (as of {now})"),
                1 => format!("Waits for its turn: 1 call to Auth0 is before it{about} (as of {now})"),
                many => format!("Waits for its turn: {many} calls to Auth0 are before it{about} (as of {now})"),
            };
            Outcome::plain(Reason::Queued, message, known)
        }
        Wait::Working => Outcome::plain(Reason::Queued, "Its call to Auth0 is on its way", known),
    }
}

/// What an object says whose job came back several times because nobody confirmed that it is still wanted.
pub(super) fn unconfirmed(inputs: &Inputs<'_>, known: Known) -> Outcome {
    let message = format!(
        "Nothing is sent: the API server did not confirm, {} times in a row, that this removal and its tenant are as the \
         operator knows them. Does the API server answer, and may the operator get both kinds? It asks again",
        inputs.unconfirmed
    );
    Outcome::plain(Reason::Queued, message, known)
}

/// The time already shown, if it is this one but for rounding: so that looking again writes nothing.
fn steady(until: Timestamp, inputs: &Inputs<'_>) -> Timestamp {
    let shown = inputs.status.and_then(|status| status.next_attempt_time.as_ref()).map(|at| at.0);
    shown.filter(|shown| (0..2000).contains(&shown.duration_since(until).as_millis())).unwrap_or(until)
}

fn whole(at: Timestamp) -> Timestamp {
    at.round(Unit::Second).unwrap_or(at)
}

fn in_words(about: Duration) -> String {
    let seconds = i64::try_from(about.as_secs().max(1)).unwrap_or(i64::MAX);
    // Nobody can tell the seconds of an hour.
    let coarse = if seconds > 600 { (seconds + 59) / 60 * 60 } else { seconds };
    format!("{:#}", SignedDuration::from_secs(coarse))
}
