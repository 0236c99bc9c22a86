//! What is handed to a lane and what comes back. Plain data, and the one question a lane asks.

use std::sync::Arc;

use futures::future::BoxFuture;
use jiff::Timestamp;

use crate::auth0::{CallError, Client, Endpoint, Item, Token};

use super::Limits;

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
    /// What; at least one, no duplicates, any number: the lane splits.
    pub items: Vec<Item>,
}

/// Which calls are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Remove, with a read before and after as asked.
    Remove {
        /// Read first, and remove only what is there.
        before: bool,
        /// Read afterwards.
        after: bool,
    },
    /// Only read: the removal was accepted earlier.
    Look,
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
}

/// What came of a job.
#[derive(Clone, Debug)]
pub struct Report {
    /// When Auth0 accepted the last DELETE of this job; none if none was sent or accepted.
    pub accepted_at: Option<Timestamp>,
    /// How many items Auth0 was told to remove and accepted.
    pub removed: usize,
    /// How many items a read before the removal did not find.
    pub already_absent: usize,
    /// Whether some answer showed that the user or organization exists, or existed until now.
    pub seen: bool,
    /// Fingerprint of the token of the last call, if one was made.
    pub token: Option<u64>,
    /// Name in Auth0's logs of the last DELETE that named its items and may have had an effect.
    pub correlation: Option<Arc<str>>,
    /// The items that Auth0 refused, one by one.
    pub refused: Vec<Item>,
    /// How it ended.
    pub end: End,
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// A complete read, made after the removal (or instead of it), contains none of the items.
    Gone,
    /// Accepted, but no read could prove it.
    Unproven(Unproven),
    /// Accepted, but the read after it still contains this many of the items.
    Remaining(usize),
    /// The user or organization does not exist.
    NotFound,
    /// A call failed.
    Failed(CallError),
}

/// Why a removal could not be proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unproven {
    /// Nobody asked for a proof.
    Off,
    /// The token may not read; it lacks this scope.
    MissingScope(String),
}

/// What is needed for a call: where to and as whom.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The tenant's client.
    pub client: Client,
    /// The credential as it is now.
    pub token: Token,
    /// Which tenant object these are the settings of.
    pub tenant: Arc<str>,
    /// How fast it allows calls.
    pub limits: Limits,
}

/// The last look, right before the bytes of each call leave (promise 5).
pub trait LastLook: Send + Sync + 'static {
    /// How to make the call, or `None` if nothing may be sent for this owner any more.
    fn look<'a>(&'a self, owner: &'a Owner) -> BoxFuture<'a, Option<Connection>>;

    /// Whether this process may send anything at all, now. Asked after all looks for a call, which may take seconds.
    fn may_send(&self) -> bool;
}
