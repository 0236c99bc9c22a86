//! What goes into the audit log of calls and objects: a line for each DELETE that was sent and for each access token
//! that was asked for, with what an auditor needs and no credential (promise 6).

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::auth0::{Answer, CallError, Page, TOKEN_ENDPOINT};
use crate::dispatch::{DeleteFinished, Observer, Owner, Report, RequestFinished};
use crate::revocation::{Origin, PreflightChecker, RequesterPolicy, RequesterSource};
use crate::tenant::{TenantKey, TokenNews};

use super::audit_codes::Code;
use super::audit_log::{AuditLog, named};
use super::metrics::Metrics;
use super::traces::Traces;

/// A line names at most this many objects, because log collectors cut long lines; the number of all of them is a field
/// of its own. The rest can be found by `status.correlationId`. A DELETE has at most 50 items, mostly of one object
/// each.
const MAX_OBJECTS: usize = 50;

/// Observes every call: writes the audit lines, and passes calls on to metrics and traces.
pub(crate) struct AuditRecorder {
    pub(crate) log: AuditLog,
    pub(crate) metrics: Metrics,
    pub(crate) checker: Arc<PreflightChecker>,
    /// The admission policy that enforces who asked, if there is one.
    pub(crate) requester_policy: Option<RequesterPolicy>,
    pub(crate) traces: Traces,
}

impl Observer for AuditRecorder {
    fn request_finished(&self, call: &RequestFinished<'_>) {
        self.metrics.request_finished(call);
        self.traces.request_finished(call);
    }

    fn delete_finished(&self, deletion: &DeleteFinished<'_>) {
        // A DELETE that was not sent is in no log of Auth0 either.
        let Some(outcome) = Outcome::of(deletion.outcome) else { return };
        let code = match outcome {
            Outcome::Accepted => Code::DeleteAccepted,
            Outcome::Refused => Code::DeleteRefused,
            Outcome::Unknown => Code::DeleteUnknown,
            Outcome::NotProcessed => Code::DeleteNotProcessed,
        };
        let (endpoint, items) = (deletion.endpoint, deletion.items);
        let other: Map<String, Value> =
            endpoint.other_ids().map(|(path_id, id)| (path_id.of.to_owned(), json!(**id))).collect();
        let objects: Value = deletion.owners.iter().take(MAX_OBJECTS).map(|owner| self.object(owner)).collect();
        let line = json!({
            "domain": deletion.domain.to_string(),
            "endpoint": format!("DELETE {}", endpoint.template()),
            "user": endpoint.user().map(|id| &**id),
            "organization": endpoint.organization().map(|id| &**id),
            "other_ids": (!other.is_empty()).then_some(other),
            "items": items.len(),
            // As it was sent.
            "body": endpoint.body(items).to_string(),
            "objects": objects,
            "objects_total": deletion.owners.len(),
            "correlation_id": deletion.correlation,
            "duration_ms": millis(deletion.took),
            "error": deletion.outcome.err().map(ToString::to_string),
        });
        self.log.write(code, &line);
    }

    fn owner_gone(&self, owner: &Owner, partial: &Report) {
        let line = json!({
            "domain": partial.domain.as_ref().map(ToString::to_string),
            "objects": [self.object(owner)],
            "accepted": partial.accepted.len(),
            "accepted_at": partial.accepted_at.map(|at| at.to_string()),
            "correlation_id": partial.correlation.as_deref(),
        });
        self.log.write(Code::Unproved, &line);
    }

    fn guard_refused(&self, owner: &Owner, why: &str) {
        self.log.write(Code::Guarded, &json!({"objects": [self.object(owner)], "why": why}));
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
        let outcome = answer.outcome.as_ref().map(drop);
        let code = match Outcome::of(outcome) {
            Some(Outcome::Accepted) => Code::TokenIssued,
            Some(Outcome::Refused) => Code::TokenRefused,
            Some(Outcome::Unknown) => Code::TokenUnknown,
            Some(Outcome::NotProcessed) => Code::TokenNotProcessed,
            None => return,
        };
        let line = json!({
            "domain": domain.to_string(),
            "endpoint": "POST oauth/token",
            "client_id": client_id.to_string(),
            "tenants": tenants.iter().take(MAX_OBJECTS).map(named).collect::<Value>(),
            "duration_ms": millis(*took),
            "error": outcome.err().map(ToString::to_string),
        });
        self.log.write(code, &line);
    }

    /// An object as the audit names it. Field managers are only claimed: a client chooses the name itself.
    fn object(&self, owner: &Owner) -> Value {
        let Owner { kind, namespace, name, uid, generation } = owner;
        let origin = self.checker.origin(owner);
        let managers = origin.as_ref().map(|origin| origin.managers.as_slice()).unwrap_or_default();
        let mut object = json!({
            "kind": kind, "namespace": **namespace, "name": **name, "uid": **uid, "generation": generation,
            "claimedManagers": managers,
        });
        if let Some(Origin { requested_by: Some(by), created, .. }) = origin {
            let policy = self.requester_policy.as_ref();
            let source = policy.map_or(RequesterSource::Claimed, |policy| policy.source(created));
            object["requestedBy"] = json!(by);
            object["requestedBySource"] = json!(source.as_str());
        }
        object
    }
}

/// What came of a call that may have reached Auth0.
enum Outcome {
    Accepted,
    Refused,
    /// Auth0 may have processed it before the answer was lost.
    Unknown,
    NotProcessed,
}

impl Outcome {
    /// `None` if it was not sent.
    fn of(outcome: Result<(), &CallError>) -> Option<Self> {
        match outcome {
            Ok(()) => Some(Self::Accepted),
            Err(CallError::NotSent(_)) => None,
            Err(CallError::Unavailable(_)) => Some(Self::Unknown),
            Err(CallError::NotProcessed) => Some(Self::NotProcessed),
            Err(_) => Some(Self::Refused),
        }
    }
}

fn millis(took: std::time::Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}
