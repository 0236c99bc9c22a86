//! What describes a call before, while and after it is sent.

use std::sync::Arc;
use std::time::Instant;

use crate::auth0::{Endpoint, Item, Query, Read};
use crate::dispatch::connection::ConnectionKey;
use crate::dispatch::fair_queue::{NamespaceId, TrafficClass};
use crate::dispatch::job::{Owner, Purpose};
use crate::dispatch::limiter::{Permit, Route};

use super::endpoint_queue::BatchItem;
use super::jobs::JobId;

/// Identifies a call that was started.
pub type CallId = u64;

/// What the caller has to do next.
#[derive(Debug)]
pub enum Step {
    /// Check this call with its owners, then call [`super::Machine::preflighted`].
    Check(PendingCall),
    /// Nothing until this time, unless an event comes first.
    Wait(Instant),
    /// Nothing until an event comes.
    Idle,
}

/// A call that was started and has to be checked before it can be sent.
#[derive(Debug)]
pub struct PendingCall {
    /// Identifies the call.
    pub id: CallId,
    /// The connection that it was started with.
    pub connection: ConnectionKey,
    /// What it is for.
    pub purpose: Purpose,
    /// The owners of the jobs that it is for. For a read that serves many, only some of them.
    pub owners: Vec<Owner>,
}

/// A call to send.
#[derive(Debug)]
pub enum Outgoing {
    /// A DELETE.
    Remove {
        /// The endpoint.
        endpoint: Endpoint,
        /// The items, 1 to [`Endpoint::max_items`].
        items: Vec<Item>,
        /// The correlation id that Auth0's logs will show.
        correlation: Arc<str>,
    },
    /// A GET of one page of a list.
    Page {
        /// The list.
        read: Read,
        /// The query of the page.
        query: Query,
    },
}

#[derive(Debug)]
pub(super) struct Call {
    pub(super) class: TrafficClass,
    pub(super) ns: NamespaceId,
    /// Whether it is the probe of a half-open breaker.
    pub(super) probe: bool,
    pub(super) permit: Permit,
    pub(super) started: Instant,
    /// Whether it has passed the preflight check and been given its time slot.
    pub(super) scheduled: bool,
    /// Whether it was sent. Only then do its items count as in flight for their jobs.
    pub(super) sent: bool,
    pub(super) owners: Vec<JobId>,
    pub(super) kind: CallKind,
}

#[derive(Debug)]
pub(super) enum CallKind {
    Delete { queue: usize, batch: Vec<BatchItem>, correlation: Arc<str> },
    Page { list: usize },
}

/// The route of the DELETE at this endpoint.
pub(super) const fn delete_route(endpoint: &Endpoint) -> Route {
    ("DELETE", endpoint.template())
}
