//! The audit: one line for each DELETE that left, with everything an auditor needs and no credential. Of the target
//! [`TARGET`], and logged at every level but `off`.

use std::sync::Arc;

use serde_json::{Value, json};
use tracing::info;

use crate::auth0::CallError;
use crate::dispatch::{DeleteFinished, Observer, Owner, Report, RequestFinished};
use crate::revocation::PreflightChecker;

use super::metrics::Metrics;
use super::traces::Traces;

/// By this name the lines can be told from the others.
pub(crate) const TARGET: &str = "rescind::audit";

/// More objects than this are only counted: collectors of logs cut long lines. They carry the correlation id in their
/// status. As many as a call has items is usual.
const MAX_OBJECTS: usize = 50;

/// Hears of every call: counts it, and writes down the DELETEs.
pub(crate) struct AuditRecorder {
    pub(crate) metrics: Metrics,
    pub(crate) checker: Arc<PreflightChecker>,
    pub(crate) traces: Traces,
}

impl Observer for AuditRecorder {
    fn request_finished(&self, call: &RequestFinished<'_>) {
        self.metrics.request_finished(call);
        self.traces.request_finished(call);
    }

    fn delete_finished(&self, deletion: &DeleteFinished<'_>) {
        let DeleteFinished { domain, items, correlation, .. } = deletion;
        // No line of Auth0's log answers to one that never left.
        let Some((verdict, why)) = verdict(deletion.outcome) else { return };
        let (user, organization) = (deletion.endpoint.user(), deletion.endpoint.organization());
        let (user, organization) = (user.map(|id| &**id), organization.map(|id| &**id));
        let endpoint = format!("DELETE {}", deletion.endpoint.template());
        // As it was sent. JSON within JSON, as the log has no lists.
        let body = deletion.endpoint.body(items);
        let objects: Value = deletion.owners.iter().take(MAX_OBJECTS).map(|owner| self.object(owner)).collect();
        let objects_in_all = deletion.owners.len();
        let (items, took_ms) = (items.len(), u64::try_from(deletion.took.as_millis()).unwrap_or(u64::MAX));
        info!(
            target: TARGET, %domain, endpoint, user, organization, items, %body, %objects, objects_in_all,
            correlation, took_ms, verdict, why,
            "sent a DELETE to Auth0"
        );
    }

    fn owner_gone(&self, owner: &Owner, partial: &Report) {
        let (objects, accepted) = (Value::from(vec![self.object(owner)]), partial.accepted.len());
        let (domain, correlation) = (partial.domain.as_ref().map(ToString::to_string), partial.correlation.as_deref());
        let accepted_at = partial.accepted_at.map(|at| at.to_string());
        info!(
            target: TARGET, domain, %objects, accepted, accepted_at, correlation, verdict = "unproved",
            "an object was deleted after Auth0 accepted its removal and before a read proved it; nobody looks any more"
        );
    }

    fn task_restarted(&self) {
        self.metrics.task_restarted();
    }
}

impl AuditRecorder {
    /// Anybody can claim to be a manager: it is what whoever wrote the object called themselves.
    fn object(&self, owner: &Owner) -> Value {
        let Owner { kind, namespace, name, uid, generation } = owner;
        let managers = self.checker.managers(owner);
        json!({
            "kind": kind, "namespace": **namespace, "name": **name, "uid": **uid, "generation": generation,
            "claimedManagers": managers,
        })
    }
}

/// What became of a DELETE, and why; none if it never left.
fn verdict(outcome: Result<(), &CallError>) -> Option<(&'static str, Option<String>)> {
    match outcome {
        Ok(()) => Some(("accepted", None)),
        Err(CallError::NotSent(_)) => None,
        // It may have had its effect before the answer was lost.
        Err(error @ CallError::Unavailable(_)) => Some(("unknown", Some(error.to_string()))),
        Err(error @ CallError::NotProcessed) => Some(("not processed", Some(error.to_string()))),
        Err(error) => Some(("refused", Some(error.to_string()))),
    }
}
