//! What a job needs from the machine next, and what the machine tells it. Plain data.

use std::time::Instant;

use jiff::Timestamp;

use crate::auth0::{CallError, Item, Missing, Read};
use crate::dispatch::fair_queue::Priority;
use crate::dispatch::job::End;

/// What a job needs next.
#[derive(Debug)]
pub(crate) enum NextStep {
    /// Nothing before the results of what it already asked for.
    Wait,
    /// This list to be read.
    Read(ReadRequest),
    /// These of its items, by index, to be removed: now, or once lists that lag show what is so now.
    Remove { items: Vec<(usize, Option<Suspect>)>, later: bool },
    /// To be ended.
    End(End),
}

/// A request to read a list in search of certain items.
#[derive(Clone, Debug)]
pub(crate) struct ReadRequest {
    pub(crate) read: Read,
    pub(crate) wanted: Vec<Item>,
    /// Read only the first page, to find out whether the list can be read at all.
    pub(crate) first_page_only: bool,
    pub(crate) priority: Priority,
    /// Whether to retry the first page if it fails. Later pages are always retried.
    pub(crate) retry_first_page: bool,
}

/// Why a list could not be read.
#[derive(Clone, Debug)]
pub(crate) enum ReadError {
    /// A call failed.
    Call(CallError),
    /// The calls succeeded, but the pages did not yield a result.
    Unreadable(CallError),
}

/// The result of a DELETE for one of the items that it named.
#[derive(Clone, Debug)]
pub(crate) enum ItemResult {
    /// Auth0 accepted it at this time.
    Accepted(Timestamp),
    NotFound(Missing),
    Failed(CallError),
    /// A read has to find out what it means.
    Unresolved(Unresolved),
}

/// An item whose DELETE failed in a way that a read has to explain.
#[derive(Clone, Debug)]
pub(crate) struct Unresolved {
    /// The item's index in its job.
    pub(crate) index: usize,
    pub(crate) error: CallError,
    pub(crate) suspect: Suspect,
}

/// An item of a failed batch. It may be what made the batch fail, so its next batch is smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Suspect {
    /// The most items of its next batch, itself included; zero after it has failed alone.
    pub(crate) max_batch: usize,
    /// Whether it is sent again, or was, after lists that lag had the time to show what made it fail.
    pub(crate) asked_again: bool,
    /// When the first call that failed with it was started.
    pub(crate) first_failed_at: Instant,
}
