//! Everything that a decision rests on, as plain data, so that a test can make any decision.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::api::{Reason, RemovalOptions, RemovalStatus, Verification};
use crate::auth0::Domain;
use crate::clock;
use crate::dispatch::{ConnectionKey, Refusal, Removal, View};
use crate::tenant::TenantState;

use super::items::Items;
use super::refusals::Refused;

/// One object, what is known of it, and its surroundings at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// `metadata.generation`.
    pub generation: i64,
    /// What the spec names: an endpoint and the items that must be absent there.
    pub removal: &'a Removal,
    /// The fields of the spec that all kinds share.
    pub options: &'a RemovalOptions,
    /// The status that the object would have if everything known had been written.
    pub status: Option<&'a RemovalStatus>,
    /// What this process has learnt item by item; a status holds only counts.
    pub items: &'a Items,
    /// The tenant that `spec.tenantRef` points to.
    pub tenant: Tenant<'a>,
    /// What Auth0 last refused to objects of this kind with the same connection.
    pub refusal: Option<&'a Refused>,
    /// The connection with which Auth0 last refused a call of this object since this process started.
    pub refused_with: Option<ConnectionKey>,
    /// The job of this object is the probe that finds out whether Auth0 still refuses.
    pub is_probe: bool,
    /// The connection of the last job since this process started.
    pub submitted_with: Option<ConnectionKey>,
    /// The domain of that connection.
    pub submitted_to: Option<&'a Domain>,
    /// The request that was pending when the last job was submitted.
    pub submitted_for: Option<&'a str>,
    /// What the dispatcher says of the job.
    pub view: &'a View,
    /// The value of the annotation `rescind.dev/reconcile-requested-at`, as long as the status does not answer it. It
    /// asks for one retry, or for a proof if the removal could not be verified.
    pub request: Option<&'a str>,
    /// Why the preflight check refused the last call although no other input speaks against it, and how often in a row.
    pub handed_back: Option<(Refusal, u32)>,
    /// Failures in a row, whatever the status said in between.
    pub failures: Option<Failures>,
    /// The earliest time at which to submit the next job.
    pub not_before: Option<Instant>,
    /// The time.
    pub now: Now,
    /// A random number in 0..1 that spreads pauses.
    pub jitter: f64,
}

/// Failures in a row for one reason, while the spec did not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failures {
    /// `metadata.generation` at that time.
    pub generation: i64,
    /// The reason of each of them.
    pub reason: Reason,
    /// How many.
    pub count: i32,
}

/// One moment, read from both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// The wall clock, which statuses and Auth0 use.
    pub wall: Timestamp,
    /// The monotonic clock.
    pub steady: Instant,
}

impl Now {
    /// The present.
    pub fn read() -> Self {
        Self { wall: clock::wall(), steady: clock::steady() }
    }

    /// What the wall clock shows at `at`.
    pub(super) fn wall_at(&self, at: Instant) -> Timestamp {
        match at.checked_duration_since(self.steady) {
            Some(later) => self.wall + later,
            None => self.wall - self.steady.saturating_duration_since(at),
        }
    }

    /// How long ago `at` was; zero if it is in the future.
    pub(super) fn since(&self, at: Instant) -> Duration {
        self.steady.saturating_duration_since(at)
    }
}

/// What a removal needs to know of its tenant.
#[derive(Clone, Copy, Debug)]
pub enum Tenant<'a> {
    /// There is no tenant object of that name.
    Missing,
    /// Its `spec.suspend` is true.
    Suspended,
    /// It cannot be used.
    NotReady {
        /// The reason of its condition `Ready`.
        reason: Reason,
        /// The explanation for users.
        message: &'a str,
    },
    /// It can be used.
    Ready {
        /// Identifies the connection: domain, CA bundle and credential.
        key: ConnectionKey,
        /// Where calls go.
        domain: &'a Domain,
        /// Which reads accompany a removal.
        verification: Verification,
    },
}

impl<'a> From<&'a TenantState> for Tenant<'a> {
    fn from(state: &'a TenantState) -> Self {
        match state {
            TenantState::Missing => Self::Missing,
            TenantState::Suspended => Self::Suspended,
            TenantState::NotReady(error) => Self::NotReady { reason: error.reason, message: &error.message },
            TenantState::Ready { connection, verification, .. } => {
                Self::Ready { key: connection.key, domain: &connection.domain, verification: *verification }
            }
        }
    }
}

impl Inputs<'_> {
    /// The reason that the status gives for this generation, if this version knows it.
    pub(super) fn reason(&self) -> Option<Reason> {
        self.status.and_then(|status| status.reason_at(self.generation))
    }

    /// Where calls would go now, if the tenant can be used.
    pub(super) fn domain(&self) -> Option<&Domain> {
        match self.tenant {
            Tenant::Ready { domain, .. } => Some(domain),
            Tenant::Missing | Tenant::Suspended | Tenant::NotReady { .. } => None,
        }
    }

    /// Which reads accompany a removal.
    pub(super) fn verification(&self) -> Verification {
        match self.tenant {
            Tenant::Ready { verification, .. } => verification,
            Tenant::Missing | Tenant::Suspended | Tenant::NotReady { .. } => Verification::default(),
        }
    }
}
