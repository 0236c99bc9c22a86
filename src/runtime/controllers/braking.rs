//! What a reconcile of a tenant knows of its brake. Plain data.

use std::sync::Arc;
use std::time::Duration;

use crate::api::{Auth0TenantStatus, BrakeStatus};
use crate::tenant::{BrakePlan, Brakes, Engaged, TenantKey};

/// What is known of the brake of a tenant now.
pub(super) struct Braking {
    /// What the status says of it.
    pub(super) record: Option<BrakeStatus>,
    /// For whom it is engaged, or will be.
    pub(super) engaged: Vec<Engaged>,
    /// The organizations of which a namespace would remove too many members.
    pub(super) organizations: Vec<(Arc<str>, Arc<str>)>,
    /// What was decided, if anything was.
    pub(super) plan: Option<BrakePlan>,
    /// After how long to decide again.
    pub(super) again: Option<Duration>,
}

/// How the write of a tenant's status ended.
pub(super) enum Wrote {
    /// It is written.
    Status,
    /// There was nothing to write, or nothing to write to.
    Nothing,
    /// Another process has allotted something in the meantime.
    ButAnotherLeads,
}

impl Braking {
    /// The brake of a tenant for which nothing is sent now.
    pub(super) fn undecided(brakes: &Brakes, key: &TenantKey, status: Option<&Auth0TenantStatus>) -> Self {
        let record = brakes.record(key).unwrap_or_else(|| status.and_then(|status| status.brake.clone()));
        Self { record, engaged: Vec::new(), organizations: Vec::new(), plan: None, again: None }
    }

    /// Whether something waits for the write.
    pub(super) fn is_urgent(&self) -> bool {
        self.plan.as_ref().is_some_and(|plan| plan.is_urgent)
    }
}
