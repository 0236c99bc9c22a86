//! Everything a decision rests on. Plain data, so that every decision can be made again in a test.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::api::{Reason, RemovalOptions, RemovalStatus, Verification};
use crate::auth0::Domain;
use crate::clock;
use crate::dispatch::{ConnectionKey, Removal, View};
use crate::tenant::TenantState;

use super::items::Items;
use super::refusals::Refused;

/// An object, what is known of it, and the world around it.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// `metadata.generation`.
    pub generation: i64,
    /// What its spec names.
    pub removal: &'a Removal,
    /// The fields that all kinds share.
    pub options: &'a RemovalOptions,
    /// Its status: as it would be if all that is known had been written.
    pub status: Option<&'a RemovalStatus>,
    /// What is known beyond the status since this process began, item by item.
    pub items: &'a Items,
    /// Where its `tenantRef` points.
    pub tenant: Tenant<'a>,
    /// What Auth0 last refused to objects of this kind with the same connection.
    pub refusal: Option<&'a Refused>,
    /// The connection with which Auth0 refused it, if it did since this process began.
    pub refused_with: Option<ConnectionKey>,
    /// The connection with which its last job was submitted, if one was since this process began.
    pub submitted_with: Option<ConnectionKey>,
    /// Where that connection led.
    pub submitted_to: Option<&'a Domain>,
    /// Where its job stands.
    pub view: &'a View,
    /// The value of the annotation that asks for another try, if the status does not answer it yet.
    pub asked: Option<&'a str>,
    /// How often in a row its job was handed back with nothing said against it but that nobody confirmed it.
    pub unconfirmed: u32,
    /// A job that was handed back is submitted again at this time.
    pub not_before: Option<Instant>,
    /// The clocks.
    pub now: Now,
    /// In 0..1.
    pub jitter: f64,
}

/// One moment by two clocks.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// The clock on the wall.
    pub wall: Timestamp,
    /// The clock that never jumps.
    pub steady: Instant,
}

impl Now {
    /// This moment.
    pub fn read() -> Self {
        Self { wall: clock::wall(), steady: clock::steady() }
    }

    /// The time on the wall at `at`.
    pub(super) fn wall_at(&self, at: Instant) -> Timestamp {
        match at.checked_duration_since(self.steady) {
            Some(later) => self.wall + later,
            None => self.wall - self.steady.saturating_duration_since(at),
        }
    }

    /// How long ago `at` was.
    pub(super) fn since(&self, at: Instant) -> Duration {
        self.steady.saturating_duration_since(at)
    }
}

/// A tenant object, as far as a removal has to know.
#[derive(Clone, Copy, Debug)]
pub enum Tenant<'a> {
    /// There is none of that name.
    Missing,
    /// Its `spec.suspend` is set.
    Suspended,
    /// It cannot be used.
    NotReady {
        /// Why, for machines.
        reason: Reason,
        /// Why, for people.
        message: &'a str,
    },
    /// It can be used.
    Ready {
        /// Which connection it stands for.
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
            TenantState::NotReady(problem) => Self::NotReady { reason: problem.reason, message: &problem.message },
            TenantState::Ready { connection, verification, .. } => {
                Self::Ready { key: connection.key, domain: &connection.domain, verification: *verification }
            }
        }
    }
}

impl Inputs<'_> {
    /// The reason that the status carries for this generation, if it is one of ours.
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
