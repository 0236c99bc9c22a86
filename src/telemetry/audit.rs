//! The audit log: one line for each DELETE that was sent and for each access token that was asked for, with what an
//! auditor needs and no credential (promise 6). The lines have the log target [`TARGET`] and are written at every log
//! level but `off`. Fields: docs/metrics.md, "The audit log".

use std::sync::Arc;

use serde_json::{Map, Value, json};
use tracing::info;

use crate::auth0::{Answer, CallError, Page, TOKEN_ENDPOINT};
use crate::dispatch::{DeleteFinished, Observer, Owner, Report, RequestFinished};
use crate::revocation::PreflightChecker;
use crate::tenant::{TenantKey, TokenNews};

use super::metrics::Metrics;
use super::traces::Traces;

/// The log target that tells audit lines from others.
pub(crate) const TARGET: &str = "rescind::audit";

/// A line names at most this many objects, because log collectors cut long lines; the number of all of them is a field
/// of its own. The rest can be found by `status.correlationId`. A DELETE has at most 50 items, mostly of one object
/// each.
const MAX_OBJECTS: usize = 50;

/// Observes every call: writes the audit lines, and passes calls on to metrics and traces.
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
        // A DELETE that was not sent is in no log of Auth0 either.
        let Some((verdict, error)) = verdict(deletion.outcome) else { return };
        let (user, organization) = (deletion.endpoint.user(), deletion.endpoint.organization());
        let (user, organization) = (user.map(|id| &**id), organization.map(|id| &**id));
        let other: Map<String, Value> =
            deletion.endpoint.other_ids().map(|(path_id, id)| (path_id.of.to_owned(), json!(**id))).collect();
        let other_ids = (!other.is_empty()).then(|| Value::from(other).to_string());
        let endpoint = format!("DELETE {}", deletion.endpoint.template());
        // The body as it was sent. JSON in a string, because log fields cannot be lists.
        let body = deletion.endpoint.body(items);
        let objects: Value = deletion.owners.iter().take(MAX_OBJECTS).map(|owner| self.object(owner)).collect();
        let objects_total = deletion.owners.len();
        let (items, duration_ms) = (items.len(), u64::try_from(deletion.took.as_millis()).unwrap_or(u64::MAX));
        info!(
            target: TARGET, %domain, endpoint, user, organization, other_ids, items, %body, %objects, objects_total,
            correlation_id = correlation, duration_ms, verdict, error,
            "sent a DELETE to Auth0"
        );
    }

    fn owner_gone(&self, owner: &Owner, partial: &Report) {
        let (objects, accepted) = (Value::from(vec![self.object(owner)]), partial.accepted.len());
        let (domain, correlation_id) =
            (partial.domain.as_ref().map(ToString::to_string), partial.correlation.as_deref());
        let accepted_at = partial.accepted_at.map(|at| at.to_string());
        info!(
            target: TARGET, domain, %objects, accepted, accepted_at, correlation_id, verdict = "unproved",
            "an object was deleted after Auth0 accepted its removal and before a read verified it; no read follows"
        );
    }

    fn guard_refused(&self, owner: &Owner, why: &str) {
        let objects = Value::from(vec![self.object(owner)]);
        info!(target: TARGET, %objects, verdict = "guarded", why, "a guard of the tenant refuses a removal; nothing is sent");
    }

    fn task_restarted(&self) {
        self.metrics.task_restarted();
    }
}

impl AuditRecorder {
    /// A request for an access token has ended. `tenants` are those that use it.
    pub(crate) fn token_requested(&self, news: &TokenNews, tenants: &[TenantKey]) {
        let TokenNews { connection, domain, client_id, took, answer } = news;
        let page = Answer { limits: answer.limits, outcome: answer.outcome.clone().map(|()| Page::Null) };
        self.request_finished(&RequestFinished {
            connection: *connection,
            domain,
            method: "POST",
            endpoint: TOKEN_ENDPOINT,
            owners: &[],
            correlation: None,
            took: *took,
            answer: &page,
        });
        let Some((verdict, error)) = verdict(answer.outcome.as_ref().map(drop)) else { return };
        let tenants: Value = tenants
            .iter()
            .take(MAX_OBJECTS)
            .map(|key| {
                let kind = if key.namespace.is_some() { "Auth0Tenant" } else { "ClusterAuth0Tenant" };
                json!({"kind": kind, "namespace": key.namespace, "name": key.name})
            })
            .collect();
        let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        info!(
            target: TARGET, %domain, endpoint = "POST oauth/token", client_id, objects = %tenants, duration_ms, verdict,
            error, "asked Auth0 for an access token"
        );
    }

    /// An object as the audit names it. Field managers are only claimed: a client chooses the name itself.
    fn object(&self, owner: &Owner) -> Value {
        let Owner { kind, namespace, name, uid, generation } = owner;
        let managers = self.checker.managers(owner);
        json!({
            "kind": kind, "namespace": **namespace, "name": **name, "uid": **uid, "generation": generation,
            "claimedManagers": managers,
        })
    }
}

/// The verdict on a DELETE, and the error if it was not accepted; `None` if it was not sent.
fn verdict(outcome: Result<(), &CallError>) -> Option<(&'static str, Option<String>)> {
    match outcome {
        Ok(()) => Some(("accepted", None)),
        Err(CallError::NotSent(_)) => None,
        // Auth0 may have processed it before the answer was lost.
        Err(error @ CallError::Unavailable(_)) => Some(("unknown", Some(error.to_string()))),
        Err(error @ CallError::NotProcessed) => Some(("not processed", Some(error.to_string()))),
        Err(error) => Some(("refused", Some(error.to_string()))),
    }
}
