//! Whether an object needs to be looked at. Pure.

use kube::ResourceExt;

use crate::api::{Mode, RECONCILE_ANNOTATION, Reason, RemovalStatus, printable};

use super::finished::{is_finished, target};
use super::kinds::Revocation;

/// Whether nothing is left to do or to write for an object until somebody changes it.
pub fn is_settled<K: Revocation>(object: &K) -> bool {
    let (Some(status), Some(generation)) = (object.status(), object.meta().generation) else { return false };
    let target = || target(&object.options().tenant_ref, &object.removal());
    status.observed_generation == Some(generation)
        && asked(object, Some(status)).is_none()
        && is_finished(status, generation, Mode::Remove, target)
}

/// The reason that an object carries, if it is one of this version's.
pub fn reason_of<K: Revocation>(object: &K) -> Option<Reason> {
    Reason::parse(object.status()?.reason_text()?)
}

/// What the annotation asks and the status does not answer, fit for a status.
pub(super) fn asked<K: Revocation>(object: &K, status: Option<&RemovalStatus>) -> Option<String> {
    let asked = object.annotations().get(RECONCILE_ANNOTATION).map(|asked| printable(asked));
    let answered = status.and_then(|status| status.last_handled_reconcile_at.as_deref());
    asked.filter(|asked| !asked.is_empty() && Some(asked.as_str()) != answered)
}
