//! Which objects need a reconcile. Pure.

use crate::api::{Mode, Policy, Reason, RemovalStatus, State, reconcile_request};

use super::finished::{Modes, is_finished, target};
use super::kinds::Revocation;

/// Whether nothing is left to do or to write for an object until somebody changes it. An object that its tenant had
/// observed acts after a change of the tenant, and one of policy Continuous is looked at again.
pub fn is_settled<K: Revocation>(object: &K) -> bool {
    let Some(status) = object.status() else { return false };
    status.observed_generation == object.meta().generation
        && pending_request(object, Some(status)).is_none()
        && is_finished_for_good(object, status)
}

/// Whether this status is a verdict that nothing may take back, whichever process wrote it (promise 12). A process that
/// does not know yet that another one leads knows less than that one. A request may have some verdicts looked at again.
pub(super) fn stands<K: Revocation>(object: &K, stored: &RemovalStatus) -> bool {
    let is_repeatable = stored.reason_text() == Some(Reason::RemovedUnverified.as_str())
        || stored.finished.as_ref().is_some_and(|finished| finished.mode == Mode::Observe);
    is_finished_for_good(object, stored) && !(is_repeatable && pending_request(object, Some(stored)).is_some())
}

/// Whether an object with this status is finished, and neither its tenant nor the clock can change that.
fn is_finished_for_good<K: Revocation>(object: &K, status: &RemovalStatus) -> bool {
    let (Some(generation), options) = (object.meta().generation, object.options()) else { return false };
    let target = || target(&options.tenant_ref, &object.removal());
    let modes = Modes { own: options.mode, tenant: Some(Mode::Remove) };
    options.policy == Policy::Once && is_finished(status, (generation, options.policy), modes, target)
}

/// Whether another process wrote over the verdict or the hold of an object, or has finished it. This process may have a
/// job for it, or nothing that would wake it, so the object needs a reconcile. Its own writes look the same; then one
/// more does no harm.
pub fn is_verdict_changed<K: Revocation>(before: &K, now: &K) -> bool {
    let is_wait = |reason: Reason| reason.state() == State::Waiting;
    let reason = |object: &K| object.status()?.reason_text().map(str::to_owned);
    let was_verdict = reason_of(before).is_some_and(|reason| !is_wait(reason));
    (was_verdict || now.status().is_some_and(RemovalStatus::is_ready)) && reason(before) != reason(now)
}

/// The reason that an object carries, if this version knows it.
pub fn reason_of<K: Revocation>(object: &K) -> Option<Reason> {
    Reason::parse(object.status()?.reason_text()?)
}

/// The request of the annotation, if the status does not answer it yet.
pub(super) fn pending_request<K: Revocation>(object: &K, status: Option<&RemovalStatus>) -> Option<String> {
    let answered = status.and_then(|status| status.last_handled_reconcile_at.as_deref());
    reconcile_request(object.meta()).filter(|request| Some(request.as_str()) != answered)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::api::UserRoleRevocation;

    /// An object with this spec and annotation, and the verdict that was written for its target.
    fn object(options: Value, request: Option<&str>, reason: &str, finished: Value) -> UserRoleRevocation {
        let mut object = json!({
            "apiVersion": "rescind.dev/v1alpha1", "kind": "UserRoleRevocation",
            "metadata": {"namespace": "a", "name": "o", "generation": 3, "annotations": {}},
            "spec": {
                "userId": "auth0|1", "roles": ["rol_0123456789abcdef"], "suspend": false, "ifNotFound": "Fail",
                "tenantRef": {"kind": "Auth0Tenant", "name": "default"}, "mode": "Remove", "policy": "Once",
            },
            "status": {"observedGeneration": 3, "conditions": [{
                "type": "Ready", "status": "True", "reason": reason, "message": "", "observedGeneration": 3,
                "lastTransitionTime": "2026-11-21T02:44:00Z",
            }]},
        });
        object["spec"].as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
        if let Some(request) = request {
            object["metadata"]["annotations"][crate::api::RECONCILE_ANNOTATION] = json!(request);
        }
        let read: UserRoleRevocation = serde_json::from_value(object.clone()).unwrap();
        object["status"]["finished"] =
            json!({"target": target(&read.spec.options.tenant_ref, &read.removal()), "generation": 3});
        object["status"]["finished"].as_object_mut().unwrap().extend(finished.as_object().unwrap().clone());
        serde_json::from_value(object).unwrap()
    }

    /// Promise 12: what another process wrote stands, unless the object is to be looked at again.
    #[test]
    fn a_verdict_of_another_process_stands() {
        let (removed, observed) = (json!({"mode": "Remove"}), json!({"mode": "Observe"}));
        let by_tenant = json!({"mode": "Observe", "byTenant": true});
        let (plain, observe) = (json!({}), json!({"mode": "Observe"}));
        let rows = [
            (plain.clone(), None, "Removed", removed.clone(), true),
            (plain.clone(), Some("now"), "Removed", removed.clone(), true),
            (plain.clone(), None, "RemovedUnverified", removed.clone(), true),
            (plain.clone(), Some("now"), "RemovedUnverified", removed.clone(), false),
            (observe.clone(), None, "WouldRemove", observed.clone(), true),
            (observe, Some("now"), "WouldRemove", observed, false),
            (plain, None, "WouldRemove", by_tenant, false),
            (json!({"policy": "Continuous"}), None, "Removed", removed.clone(), false),
            (json!({"tenantRef": {"kind": "Auth0Tenant", "name": "default"}}), None, "FromTheFuture", removed, true),
        ];
        for (options, request, reason, finished, expected) in rows {
            let row = format!("{options} {request:?} {reason} {finished}");
            let object = object(options, request, reason, finished);
            assert_eq!(stands(&object, object.status.as_ref().unwrap()), expected, "{row}");
            assert_eq!(is_settled(&object), expected && request.is_none(), "{row}");
            let mut waits = object.status.clone().unwrap();
            waits.conditions[0].status = "False".into();
            assert!(!stands(&object, &waits), "{row}");
        }
    }
}
