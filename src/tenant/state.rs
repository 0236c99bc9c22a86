//! What a removal, or the status of a tenant, needs to know of the tenant. Plain data.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::api::{Mode, Verification};
use crate::auth0::Question;
use crate::dispatch::Connection;

use super::connection::TenantError;

/// The tenant that the `tenantRef` of a removal points to.
#[derive(Clone, Debug)]
pub enum TenantState {
    /// There is no such object.
    Missing,
    /// It does not let this removal use it, for this reason.
    NotAllowed(String),
    /// Its `spec.suspend` is true: nothing is sent.
    Suspended,
    /// Its `spec.hold` is in force: nothing is sent.
    OnHold {
        /// Until when.
        until: Timestamp,
        /// Why, as its owner wrote it.
        why: String,
    },
    /// It cannot be used, for this reason.
    NotReady(TenantError),
    /// It can be used.
    Ready {
        /// Where calls go, and with what credential and limits.
        connection: Connection,
        /// Which reads accompany a removal.
        verification: Verification,
        /// Whether removals only say what they would remove.
        mode: Mode,
        /// What of the removal the tenant protects, so that nothing of it may be removed.
        protected: Option<String>,
        /// Why the tenant's brake keeps the removal from being sent, if it does.
        brake: Option<String>,
        /// What its guards have to know before something of the removal is removed, and how old that may be.
        questions: Vec<(Question, Duration)>,
        /// The scopes of the token, if they are known.
        scopes: Option<Arc<[String]>>,
    },
}

/// Whether a tenant could be used if it were not suspended.
#[derive(Clone, Debug)]
pub enum Usable {
    /// Unknown: the Secrets, or the namespaces that may use it, are not listed yet.
    NotKnown,
    /// No, for this reason.
    No(TenantError),
    /// Yes.
    Yes(Connection, Verification),
}
