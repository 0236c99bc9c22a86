//! What a decision says, and what comes of a report. Plain data.

use std::time::Duration;

use crate::api::RemovalStatus;
use crate::dispatch::{History, Refusal, Task};

use super::blocked::Blocked;
use super::inputs::Failures;
use super::items::Items;
use super::outcome::Outcome;

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Nothing until something changes, or until this much time has passed.
    AwaitChange(Option<Duration>),
    /// Write that the generation and the request were seen (see [`super::acknowledged`]), and nothing until something changes.
    Acknowledge,
    /// The job has ended or must not continue: take its report out of the dispatcher, add it to what is known with
    /// [`super::apply_report`], and decide again.
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
    /// Whether the object was looked at, so that its next check is due one interval from now.
    pub is_checked: bool,
}
