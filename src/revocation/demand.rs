//! What an object wants to have removed, as the brake of its tenant counts it. Pure.

use jiff::Timestamp;

use crate::api::{Mode, Reason};
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
        let is_done = is_finished(status, generation, modes, || target(&options.tenant_ref, &object.removal()));
        let awaits_request = status.reason_at(generation).is_some_and(awaits_request);
        let is_requested = || pending_request(object, Some(status)).is_some();
        let only_proves = || status.removed_at().is_some() && !status.is_ready() && is_accepted(status);
        // Nothing that is known of one domain keeps an object from acting at another.
        let rests = || (awaits_request && !is_requested()) || only_proves();
        if is_done || (concerns(status, domain) && rests()) {
            return Want::Nothing;
        }
    }
    options.scheduled_for(now).map_or(Want::Now, Want::From)
}

/// Whether Auth0 has accepted, or never had, everything that the object names. A DELETE that is sent once more is for an
/// item that was counted when it was first sent.
fn is_accepted(status: &crate::api::RemovalStatus) -> bool {
    status.result.as_ref().is_some_and(|result| {
        result.accepted + result.already_absent + result.remaining >= result.requested && result.requested > 0
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

    /// What an object with this status wants, whose tenant has this domain.
    fn wants(domain: &str, status: Value) -> Want {
        let object: UserRoleRevocation = serde_json::from_value(json!({
            "apiVersion": "rescind.dev/v1alpha1", "kind": "UserRoleRevocation",
            "metadata": {"namespace": "a", "name": "o", "generation": 3},
            "spec": {
                "userId": "auth0|1", "roles": ["rol_0123456789abcdef"], "suspend": false, "ifNotFound": "Fail",
                "tenantRef": {"kind": "Auth0Tenant", "name": "default"}, "mode": "Remove", "policy": "Once",
            },
            "status": status,
        }))
        .unwrap();
        want(&object, Mode::Remove, Some(&domain.parse().unwrap()), Timestamp::UNIX_EPOCH)
    }

    /// Objects of a tenant that moves to another domain act there, so its brake has to count them before the first does.
    #[test]
    fn what_rests_at_one_domain_is_wanted_at_another() {
        let status = |reason: &str, more: Value| {
            let mut status = json!({"observedGeneration": 3, "domain": "acme.auth0.com", "conditions": [{
                "type": "Ready", "status": "False", "reason": reason, "message": "", "observedGeneration": 3,
                "lastTransitionTime": "2026-11-21T02:44:00Z",
            }]});
            status.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            status
        };
        let accepted = json!({
            "lastRemovalTime": "2026-11-21T02:44:00Z",
            "result": {"requested": 1, "accepted": 1, "alreadyAbsent": 0, "remaining": 0},
        });
        for status in [status("SubjectNotFound", json!({})), status("AwaitingProof", accepted)] {
            assert_eq!(wants("acme.auth0.com", status.clone()), Want::Nothing, "{status}");
            assert_eq!(wants("other.auth0.com", status.clone()), Want::Now, "{status}");
        }
    }
}
