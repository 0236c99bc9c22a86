//! Which objects need a reconcile. Pure.

use crate::api::{Mode, Policy, Reason, RemovalStatus, State, reconcile_request};

use super::finished::{Modes, is_finished, target};
use super::kinds::Revocation;

/// Whether nothing is left to do or to write for an object until somebody changes it. An object that its tenant had
/// observed acts after a change of the tenant, and one of policy Continuous is looked at again.
pub fn is_settled<K: Revocation>(object: &K) -> bool {
    let (Some(status), Some(generation)) = (object.status(), object.meta().generation) else { return false };
    let target = || target(&object.options().tenant_ref, &object.removal());
    let options = object.options();
    let modes = Modes { own: options.mode, tenant: Some(Mode::Remove) };
    options.policy == Policy::Once
        && status.observed_generation == Some(generation)
        && pending_request(object, Some(status)).is_none()
        && is_finished(status, generation, modes, target)
}

/// Whether another process wrote over the verdict or the hold of an object. This process made nothing wait for that, so
/// the object needs a reconcile. Its own writes look the same where it retries an object; then one more does no harm.
pub fn is_verdict_lost<K: Revocation>(before: &K, now: &K) -> bool {
    let is_wait = |reason: Reason| reason.state() == State::Waiting;
    let reason = |object: &K| object.status()?.reason_text().map(str::to_owned);
    reason_of(before).is_some_and(|reason| !is_wait(reason)) && reason(before) != reason(now)
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
