//! What a call is, before, while and after it is made.

use std::sync::Arc;
use std::time::Instant;

use crate::auth0::{Endpoint, Item, Query, Read};
use crate::dispatch::connection::ConnectionKey;
use crate::dispatch::fair_queue::{Class, Ns};
use crate::dispatch::job::Owner;
use crate::dispatch::limiter::{CallName, Sent};

use super::jobs::JobId;
use super::queue::Part;

/// A call begun and not ended.
pub type CallId = u64;

/// What to do now.
#[derive(Debug)]
pub enum Step {
    /// Check this call with its owners and tell the machine of the answers.
    Check(Ask),
    /// Nothing before this time, unless an event comes.
    Wait(Instant),
    /// Nothing until an event comes.
    Idle,
}

/// A call that is about to leave, and who must want it.
#[derive(Debug)]
pub struct Ask {
    /// Which call.
    pub id: CallId,
    /// With which connection.
    pub connection: ConnectionKey,
    /// Those it is for; of very many readers, some.
    pub owners: Vec<Owner>,
}

/// A call to send.
#[derive(Debug)]
pub enum Outgoing {
    /// A DELETE.
    Remove {
        /// Where.
        endpoint: Endpoint,
        /// What: 1 to [`Endpoint::max_items`].
        items: Vec<Item>,
        /// Its name in Auth0's logs.
        correlation: Arc<str>,
    },
    /// A page of a list.
    Page {
        /// Which list.
        read: Read,
        /// Which page.
        query: Query,
    },
}

#[derive(Debug)]
pub(super) struct Call {
    pub(super) class: Class,
    pub(super) ns: Ns,
    /// The one that finds out whether Auth0 answers again.
    pub(super) probe: bool,
    pub(super) reserved: Sent,
    pub(super) begun: Instant,
    /// It has its moment.
    pub(super) slotted: bool,
    pub(super) owners: Vec<JobId>,
    pub(super) what: What,
}

#[derive(Debug)]
pub(super) enum What {
    Delete { queue: usize, parts: Vec<Part>, correlation: Arc<str> },
    Page { list: usize },
}

/// The kind of call that removes at this endpoint.
pub(super) const fn delete(endpoint: &Endpoint) -> CallName {
    ("DELETE", endpoint.template())
}
