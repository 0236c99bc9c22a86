//! What an object wants to have removed, as the brake of its tenant counts it. Pure.

use jiff::Timestamp;

use crate::api::{Finished, Mode, Policy, Reason, RemovalStatus};
use crate::auth0::Domain;

use super::finished::{Modes, is_finished, target};
use super::history::concerns;
use super::kinds::Revocation;
use super::settled::pending_request;

/// When an object wants its items removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// Not as it is: it is finished, held, only observed, or nothing is sent until somebody acts.
    Nothing,
    /// Now, or as soon as its turn comes.
    Now,
    /// From this time on.
    From(Timestamp),
}

/// What `object` wants, whose tenant has this mode and this domain.
pub fn want<K: Revocation>(object: &K, tenant: Mode, domain: Option<&Domain>, now: Timestamp) -> Want {
    let (meta, options) = (object.meta(), object.options());
    let is_held = options.suspend || options.hold.as_ref().is_some_and(|hold| hold.in_force(now).is_some());
    let is_observed = options.mode == Mode::Observe || tenant == Mode::Observe;
    let has_ended = options.has_ended(now)
        || meta.creation_timestamp.as_ref().zip(options.ends_at()).is_some_and(|(created, end)| created.0 > end);
    if meta.deletion_timestamp.is_some() || !options.unknown.is_empty() || is_held || is_observed || has_ended {
        return Want::Nothing;
    }
    let generation = meta.generation.unwrap_or_default();
    if let Some(status) = object.status() {
        let modes = Modes { own: options.mode, tenant: Some(tenant) };
        let target = || target(&options.tenant_ref, &object.removal());
        let is_done = is_finished(status, (generation, options.policy), modes, target);
        // What keeps a check from being made may stand in the status of a finished object.
        let is_same = |finished: &Finished| finished.mode == Mode::Remove && finished.target == target();
        let only_checks = || options.policy == Policy::Continuous && status.finished.as_ref().is_some_and(is_same);
        let awaits_request = status.reason_at(generation).is_some_and(awaits_request);
        let is_requested = || pending_request(object, Some(status)).is_some();
        let only_proves = || status.removed_at().is_some() && !status.is_ready() && is_accepted(status);
        // Nothing that is known of one domain keeps an object from acting at another.
        let rests = || (awaits_request && !is_requested()) || only_proves();
        if is_done || only_checks() || (concerns(status, domain) && rests()) {
            return Want::Nothing;
        }
    }
    options.scheduled_for(now).map_or(Want::Now, Want::From)
}

/// Whether Auth0 has accepted, or never had, everything that the object names. A DELETE that is sent once more is for an
/// item that was counted when it was first sent.
fn is_accepted(status: &RemovalStatus) -> bool {
    status.result.as_ref().is_some_and(|result| {
        // Somebody else may have written numbers of any size.
        let done: i64 = [result.accepted, result.already_absent, result.remaining].into_iter().map(i64::from).sum();
        done >= result.requested.into() && result.requested > 0
    })
}

/// Whether an object with this reason sends nothing until somebody requests it.
pub(super) const fn awaits_request(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::SubjectNotFound
            | Reason::ItemNotFound
            | Reason::InvalidRequest
            | Reason::StillPresent
            | Reason::Expired
            | Reason::NotReplayed
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::api::UserRoleRevocation;

    fn object(policy: &str, status: &Value) -> UserRoleRevocation {
        serde_json::from_value(json!({
            "apiVersion": "rescind.dev/v1alpha1", "kind": "UserRoleRevocation",
            "metadata": {"namespace": "a", "name": "o", "generation": 3},
            "spec": {
                "userId": "auth0|1", "roles": ["rol_0123456789abcdef"], "suspend": false, "ifNotFound": "Fail",
                "tenantRef": {"kind": "Auth0Tenant", "name": "default"}, "mode": "Remove", "policy": policy,
            },
            "status": status,
        }))
        .unwrap()
    }

    fn status(reason: &str, more: Value) -> Value {
        let mut status = json!({"observedGeneration": 3, "domain": "acme.auth0.com", "conditions": [{
            "type": "Ready", "status": "False", "reason": reason, "message": "", "observedGeneration": 3,
            "lastTransitionTime": "2026-11-21T02:44:00Z",
        }]});
        status.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        status
    }

    /// What an object wants, whose tenant has this domain.
    fn wants(domain: &str, object: &UserRoleRevocation) -> Want {
        want(object, Mode::Remove, Some(&domain.parse().unwrap()), Timestamp::UNIX_EPOCH)
    }

    /// Objects of a tenant that moves to another domain act there, so its brake has to count them before the first does.
    #[test]
    fn what_rests_at_one_domain_is_wanted_at_another() {
        let accepted = json!({
            "lastRemovalTime": "2026-11-21T02:44:00Z",
            "result": {"requested": 1, "accepted": 1, "alreadyAbsent": 0, "remaining": 0},
        });
        let mut forged = accepted.clone();
        forged["result"]["remaining"] = json!(i32::MAX);
        let statuses = [("SubjectNotFound", json!({})), ("AwaitingProof", accepted), ("AwaitingConsistency", forged)];
        for status in statuses.map(|(reason, more)| status(reason, more)) {
            let object = object("Once", &status);
            assert_eq!(wants("acme.auth0.com", &object), Want::Nothing, "{status}");
            assert_eq!(wants("other.auth0.com", &object), Want::Now, "{status}");
        }
    }

    /// A check that could not be made for long is shown as a wait, and is still only a read.
    #[test]
    fn an_overdue_check_wants_nothing_removed() {
        let waits = |target: &str, mode: &str| {
            let finished = json!({"finished": {"target": target, "mode": mode, "generation": 3}});
            status("TenantNotReady", finished)
        };
        let named = object("Once", &json!({}));
        let target = target(&named.options().tenant_ref, &named.removal());
        for (policy, target, mode, expected) in [
            ("Continuous", target.as_str(), "Remove", Want::Nothing),
            ("Continuous", target.as_str(), "Observe", Want::Now),
            ("Continuous", "0123456789abcdef", "Remove", Want::Now),
            ("Once", target.as_str(), "Remove", Want::Now),
        ] {
            let object = object(policy, &waits(target, mode));
            assert_eq!(wants("acme.auth0.com", &object), expected, "{policy} {target} {mode}");
        }
    }

    #[test]
    fn what_is_being_deleted_wants_nothing_removed() {
        let mut object = object("Once", &json!({}));
        assert_eq!(wants("acme.auth0.com", &object), Want::Now);
        object.metadata.deletion_timestamp = Some(crate::api::time(Timestamp::UNIX_EPOCH));
        assert_eq!(wants("acme.auth0.com", &object), Want::Nothing);
    }
}
