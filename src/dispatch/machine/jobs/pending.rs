//! What a job waits for while a list is read. Plain data.

use jiff::Timestamp;

use crate::auth0::Item;
use crate::dispatch::machine::diagnosis::Finding;

use super::step::{ReadError, Unresolved};

/// Why a job reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadPurpose {
    /// The read before the first DELETE.
    Before,
    /// A DELETE got no answer.
    NoAnswer,
    /// A call was answered with 404.
    Diagnosis,
    /// The read that verifies the removal.
    Proof,
    /// The read that answers a question.
    Learning,
}

/// A read that a job waits for.
#[derive(Debug)]
pub(super) struct PendingRead {
    pub(super) purpose: ReadPurpose,
    /// The items that the result decides about.
    pub(super) unresolved: Vec<Unresolved>,
    /// What earlier reads of the same diagnosis found.
    pub(super) findings: Vec<Finding>,
    pub(super) first_page_only: bool,
    /// How many answers are missing: one for each wanted item.
    pub(super) answers_due: usize,
    /// The items that the answers so far have shown.
    pub(super) present: Vec<Item>,
    /// Whether the list itself was read, and not only those of users instead.
    pub(super) by_list: bool,
    pub(super) error: Option<ReadError>,
    /// When the first of the reads that answer it began.
    pub(super) began: Option<Timestamp>,
}

/// A search for the meaning of a 404. It continues with another read, or is complete.
#[derive(Debug)]
pub(super) struct Diagnosis {
    pub(super) items: Vec<Unresolved>,
    pub(super) findings: Vec<Finding>,
    /// When the last read began.
    pub(super) read_at: Option<Timestamp>,
}
