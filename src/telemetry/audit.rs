//! The audit: one line for each DELETE that left, with everything an auditor needs and no credential. Of the target
//! [`TARGET`], and logged at every level but `off`.

use std::sync::Arc;

use serde_json::{Value, json};
use tracing::info;

use crate::auth0::{CallError, Endpoint};
use crate::dispatch::{Called, Deletion, Meter, Owner};
use crate::revocation::Looker;

use super::metrics::Metrics;
use super::traces::Traces;

/// By this name the lines can be told from the others.
pub(crate) const TARGET: &str = "rescind::audit";

/// More objects than this are only counted: collectors of logs cut long lines. They carry the correlation id in their
/// status. As many as a call has items is usual.
const MOST_OBJECTS: usize = 50;

/// Hears of every call: counts it, and writes down the DELETEs.
pub(crate) struct Clerk {
    pub(crate) metrics: Metrics,
    pub(crate) looker: Arc<Looker>,
    pub(crate) traces: Traces,
}

impl Meter for Clerk {
    fn called(&self, call: &Called<'_>) {
        self.metrics.called(call);
        self.traces.called(call);
    }

    fn removed(&self, deletion: &Deletion<'_>) {
        let Deletion { domain, items, correlation, .. } = deletion;
        let (user, organization) = subject(deletion.endpoint);
        let endpoint = format!("DELETE {}", deletion.endpoint.template());
        // As it was sent. JSON within JSON, as the log has no lists.
        let body = deletion.endpoint.body(items);
        let objects: Value = deletion.owners.iter().take(MOST_OBJECTS).map(|owner| self.object(owner)).collect();
        let objects_in_all = deletion.owners.len();
        let (verdict, why) = verdict(deletion.outcome);
        let (items, took_ms) = (items.len(), u64::try_from(deletion.took.as_millis()).unwrap_or(u64::MAX));
        info!(
            target: TARGET, %domain, endpoint, user, organization, items, %body, %objects, objects_in_all,
            correlation, took_ms, verdict, why,
            "sent a DELETE to Auth0"
        );
    }
}

impl Clerk {
    /// Anybody can claim to be a manager: it is what whoever wrote the object called themselves.
    fn object(&self, owner: &Owner) -> Value {
        let Owner { kind, namespace, name, uid, generation } = owner;
        let managers = self.looker.managers(owner);
        json!({
            "kind": kind, "namespace": **namespace, "name": **name, "uid": **uid, "generation": generation,
            "claimedManagers": managers,
        })
    }
}

fn subject(endpoint: &Endpoint) -> (Option<&str>, Option<&str>) {
    match endpoint {
        Endpoint::UserPermissions { user } | Endpoint::UserRoles { user } => (Some(user), None),
        Endpoint::OrganizationMembers { organization } => (None, Some(organization)),
        Endpoint::OrganizationMemberRoles { organization, user } => (Some(user), Some(organization)),
    }
}

fn verdict(outcome: Result<(), &CallError>) -> (&'static str, Option<String>) {
    match outcome {
        Ok(()) => ("accepted", None),
        // It may have had its effect before the answer was lost.
        Err(error @ CallError::Unavailable(_)) => ("unknown", Some(error.to_string())),
        Err(error) => ("refused", Some(error.to_string())),
    }
}
