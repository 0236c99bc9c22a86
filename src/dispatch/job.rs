//! What is handed to the dispatcher and what comes back. Plain data.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::auth0::{CallError, Domain, Endpoint, Item, Missing};

use super::connection::ConnectionKey;

/// Whose job it is: enough to find the owner again, and to tell a changed or re-created one from the one that asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    /// Kind of the owner.
    pub kind: &'static str,
    /// Namespace of the owner.
    pub namespace: Arc<str>,
    /// Name of the owner.
    pub name: Arc<str>,
    /// Identity that no successor of the same name shares.
    pub uid: Arc<str>,
    /// Version of what the owner asks for.
    pub generation: i64,
}

/// At this endpoint these items must be absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    /// Where.
    pub endpoint: Endpoint,
    /// What; at least one, no duplicates, any number: the dispatcher makes batches.
    pub items: Vec<Item>,
}

/// Which calls are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Remove, with a read before and after as asked.
    Remove {
        /// Read first. At the two user endpoints only what is there is removed; at the organization endpoints, whose
        /// lists lag, the read only counts.
        before: bool,
        /// Read afterwards.
        after: bool,
    },
    /// Only read: the removal was accepted earlier.
    Prove,
}

/// What is known from before: from the status, or from an earlier job of the same owner at the same tenant and domain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Items that Auth0 accepted a DELETE of; they are proved, not sent again. Empty if only counts are known.
    pub accepted: Vec<Item>,
    /// Items that were not there, or that Auth0 does not know; they are not sent again either.
    pub absent: Vec<Item>,
    /// When the first of all accepted DELETEs was accepted.
    pub first_accepted_at: Option<Timestamp>,
    /// When the last one was.
    pub accepted_at: Option<Timestamp>,
    /// A DELETE may have had an effect although no answer came: the job reads first.
    pub lost: bool,
    /// Some answer showed that the user or organization exists, or existed until then.
    pub seen: bool,
}

/// A removal on its way.
#[derive(Clone, Debug)]
pub struct Job {
    /// Who asks.
    pub owner: Owner,
    /// What for.
    pub removal: Removal,
    /// Which calls.
    pub task: Task,
    /// What is known already.
    pub history: History,
}

/// What came of a job, its history included. Also what came of it so far ([`End::HandedBack`]), when it was taken back,
/// dropped, or has to move to another connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Items that Auth0 accepted a DELETE of, or that were gone after a DELETE without a usable answer.
    pub accepted: Vec<Item>,
    /// Items that were not there to begin with.
    pub already_absent: Vec<Item>,
    /// Items that Auth0 does not know.
    pub not_found: Vec<Item>,
    /// Items that Auth0 refused, one by one.
    pub refused: Vec<Item>,
    /// When the first accepted DELETE was accepted.
    pub first_accepted_at: Option<Timestamp>,
    /// When the last one was.
    pub accepted_at: Option<Timestamp>,
    /// A DELETE may have had an effect although no answer came.
    pub lost: bool,
    /// Some answer showed that the user or organization exists, or existed until then.
    pub seen: bool,
    /// When the read that decided began.
    pub read_at: Option<Timestamp>,
    /// With which connection the last call was made, if one was.
    pub connection: Option<ConnectionKey>,
    /// Where that call went.
    pub domain: Option<Domain>,
    /// Name in Auth0's logs of the last DELETE that named its items and may have had an effect.
    pub correlation: Option<Arc<str>>,
    /// How it ended.
    pub end: End,
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// A complete read contains none of the items. It began after the last accepted DELETE and after the job was
    /// submitted; or it was the read before, where that may spare the DELETE.
    Gone,
    /// Accepted, but no read could prove it.
    Unverified(Unverified),
    /// Accepted, but that read still contains these.
    Remaining(Vec<Item>),
    /// The subject, or some items ([`Report::not_found`]), do not exist.
    NotFound(Missing),
    /// A call failed.
    Failed(CallError),
    /// Nothing more was sent.
    HandedBack(Refusal),
}

/// Why a removal could not be verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unverified {
    /// Nobody asked for it.
    Never,
    /// The credential may not read; it lacks this scope.
    MissingScope(String),
    /// The read was refused or never came to an end.
    ReadRefused(CallError),
}

/// Why nothing (more) is sent for an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// This process does not lead.
    NotLeading,
    /// The object was deleted, or re-created under the same name.
    Gone,
    /// The object is not what it was when it asked: another generation, suspended, on hold.
    Changed,
    /// Its tenant is not ready.
    TenantNotReady,
    /// Its connection is another by now: to be submitted there.
    OtherConnection,
    /// The caches are not fresh and the API server did not confirm in time.
    Unconfirmed,
    /// The owner took it back.
    Withdrawn,
}

/// Where a job stands.
#[derive(Clone, Debug)]
pub enum View {
    /// Nothing is known of it.
    Absent,
    /// Waiting for its turn or at work.
    Pending {
        /// The generation it was submitted for.
        generation: i64,
        /// When.
        submitted: Instant,
        /// What it waits for.
        wait: Wait,
        /// What came of it so far.
        so_far: Box<Report>,
    },
    /// Ended.
    Ended {
        /// The generation it was submitted for.
        generation: i64,
        /// What came of it.
        report: Box<Report>,
    },
}

/// What a job waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Its turn.
    Queued {
        /// About so many calls leave before its own.
        calls_before: usize,
        /// About so long until its own leaves, if that can be said.
        about: Option<Duration>,
    },
    /// Nothing is sent to the domain, or with this connection, before this time.
    RateLimited {
        /// A whole second by the clock on the wall.
        until: Instant,
        /// Whether a call of its own was answered with 429.
        own: bool,
    },
    /// Its proof: everything it wants was accepted.
    AwaitingProof,
    /// The answer to a call.
    Working,
}
