//! What callers submit to the dispatcher, and what they get back. Plain data.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::auth0::{CallError, Domain, Endpoint, Item, Missing, Question};

use super::connection::ConnectionKey;

/// The Kubernetes object that a job belongs to. It identifies the object, and distinguishes it from its earlier
/// generations and from a successor of the same name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    /// The object's kind.
    pub kind: &'static str,
    /// The object's namespace.
    pub namespace: Arc<str>,
    /// The object's name.
    pub name: Arc<str>,
    /// The object's UID.
    pub uid: Arc<str>,
    /// The object's generation when the job was submitted.
    pub generation: i64,
}

/// What has to be removed: these items must be absent at this endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    /// Where.
    pub endpoint: Endpoint,
    /// Which items: at least one, without duplicates. Any number is allowed; the dispatcher splits them into batches.
    pub items: Vec<Item>,
}

/// Which calls a job makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// Removes the items, with a read before and after as chosen.
    Remove {
        /// Read the list before the first DELETE. Where the list is strongly consistent, items that are not in it need
        /// no DELETE; elsewhere the read only decides whether an item counts as removed or as already absent.
        before: bool,
        /// Read the list after the last DELETE, to verify the removal.
        after: bool,
    },
    /// Only verifies a removal that was accepted earlier: one read, no DELETE.
    Prove,
    /// Only finds out which of the items are there: one read, no DELETE. It comes after all other work.
    Observe,
    /// Only learns what answers this question: no DELETE. It is as urgent as a removal. What it learns is among the
    /// facts of the connection then, see [`super::Dispatcher::facts`], also if it could not be found out.
    Learn(Question),
}

/// What a call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A DELETE.
    Remove,
    /// A read.
    Read,
}

/// What earlier attempts found out, taken from the object's status or from an earlier job of the same object for the
/// same tenant and domain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Items whose DELETE Auth0 has accepted. They are verified, not sent again. Empty if only their number is known.
    pub accepted: Vec<Item>,
    /// How many more were accepted before a restart, of which only the number is known. The job reports it again.
    pub accepted_unnamed: usize,
    /// Items that were not there, or that Auth0 does not know. They are not sent again either.
    pub absent: Vec<Item>,
    /// When Auth0 accepted the first DELETE.
    pub first_accepted_at: Option<Timestamp>,
    /// When Auth0 accepted the last DELETE.
    pub accepted_at: Option<Timestamp>,
    /// A DELETE got no answer and may have taken effect. Where the list is strongly consistent, the job reads it first.
    pub lost: bool,
    /// An answer has shown that the user or organization exists, or existed at that time.
    pub seen: bool,
    /// The object says already that nothing of what it names is there, and its organization was seen. Then an
    /// observation that shows no member need not find out whether the organization still exists.
    pub known_gone: bool,
}

/// A removal to carry out.
#[derive(Clone, Debug)]
pub struct Job {
    /// The object that asks for it.
    pub owner: Owner,
    /// What to remove.
    pub removal: Removal,
    /// Which calls to make.
    pub task: Task,
    /// What earlier attempts found out.
    pub history: History,
}

/// The result of a job, its history included. A job that was taken back, dropped, or has to move to another connection
/// ends with [`End::HandedBack`]; its report says what was achieved until then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Which calls the job made.
    pub task: Task,
    /// Items whose DELETE Auth0 has accepted.
    pub accepted: Vec<Item>,
    /// [`History::accepted_unnamed`] of the job.
    pub accepted_unnamed: usize,
    /// Items that were not there when they were read or asked about. If [`Report::lost`], an earlier DELETE without an
    /// answer may have removed them.
    pub already_absent: Vec<Item>,
    /// Items that Auth0 does not know; with [`Missing::Unclear`] also those of which that is not certain.
    pub not_found: Vec<Item>,
    /// Items whose DELETE Auth0 rejected.
    pub refused: Vec<Item>,
    /// When Auth0 accepted the first DELETE.
    pub first_accepted_at: Option<Timestamp>,
    /// When Auth0 accepted the last DELETE.
    pub accepted_at: Option<Timestamp>,
    /// A DELETE got no answer and may have taken effect.
    pub lost: bool,
    /// An answer has shown that the user or organization exists, or existed at that time.
    pub seen: bool,
    /// The ids of the roles through which the user has permissions that the job names, as the last complete read showed
    /// them: at most ten, and text from Auth0.
    pub through_roles: BTreeSet<Arc<str>>,
    /// When the read that the verdict is based on began.
    pub read_at: Option<Timestamp>,
    /// The connection of the job's calls, if it made any.
    pub connection: Option<ConnectionKey>,
    /// The domain of the job's calls, if it made any.
    pub domain: Option<Domain>,
    /// The correlation id of the last DELETE that named items of this job and may have taken effect.
    pub correlation: Option<Arc<str>>,
    /// How the job ended.
    pub end: End,
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// A complete read contains none of the items. The read began after the last accepted DELETE and after the job was
    /// submitted, or it was a read before, of a strongly consistent list.
    Gone,
    /// Auth0 accepted the removal, but it could not be verified.
    Unverified(Unverified),
    /// Auth0 accepted the removal, but a read that began afterwards still contains these items. With [`Task::Observe`]:
    /// a complete read contains them.
    Remaining(Vec<Item>),
    /// The user or organization, or some of the items ([`Report::not_found`]), do not exist.
    NotFound(Missing),
    /// A call failed.
    Failed(CallError),
    /// With [`Task::Learn`]: the question has an answer, if only that it could not be found out.
    Learned,
    /// The job was ended early, for this reason.
    HandedBack(Refusal),
}

/// Why a removal could not be verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unverified {
    /// The job did not ask for verification.
    Never,
    /// The credential lacks this scope, which reading needs.
    MissingScope(String),
    /// The read was refused, or its pages did not yield a result.
    ReadRefused(CallError),
}

/// Why nothing more is sent for an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// This process is not the leader.
    NotLeading,
    /// The object was deleted, or re-created under the same name.
    Gone,
    /// The object is not as it was when it submitted the job: its generation changed, or it is suspended or on hold.
    Changed,
    /// The object or its tenant says that nothing may be removed now: `mode: Observe`, or a time.
    Restrained,
    /// The object's tenant is not ready.
    TenantNotReady,
    /// The object's tenant does not let it use it.
    NotAllowed,
    /// The object's connection has changed; the job has to be submitted with the new one.
    OtherConnection,
    /// The caches are stale, and the API server did not confirm the object in time.
    Unconfirmed,
    /// The caller took the job back.
    Withdrawn,
}

/// The state of a job.
#[derive(Clone, Debug)]
pub enum View {
    /// The dispatcher has no job for this object.
    Absent,
    /// The job has not ended.
    Pending {
        /// The generation for which it was submitted.
        generation: i64,
        /// When it was submitted.
        submitted: Instant,
        /// What it waits for.
        wait: Wait,
        /// What it has achieved so far.
        so_far: Box<Report>,
    },
    /// The job has ended.
    Ended {
        /// The generation for which it was submitted.
        generation: i64,
        /// Its result.
        report: Box<Report>,
    },
}

/// What a job waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Its turn in the queue.
    Queued {
        /// Estimated number of calls that are sent before its own.
        calls_before: usize,
        /// Estimated time until its own call is sent, if it can be estimated.
        about: Option<Duration>,
    },
    /// The circuit breaker of the domain or of the connection.
    RateLimited {
        /// When the breaker lets calls through again. If the wait is longer than two seconds, this is a whole second of
        /// the wall clock.
        until: Instant,
        /// Whether the 429 was the answer to one of this job's own calls.
        own: bool,
    },
    /// The read that verifies it; no DELETE is left to send.
    AwaitingProof,
    /// The answer to a call that is in flight.
    Working,
}
