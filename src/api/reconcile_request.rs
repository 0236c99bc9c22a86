//! Requests by annotation.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::printable::printable;

/// The annotation that requests one retry of a stalled removal, one proof of a removal that could not be verified, or
/// one more check of a tenant's credential. Each new value is answered once, in `status.lastHandledReconcileAt`.
pub const RECONCILE_ANNOTATION: &str = "rescind.dev/reconcile-requested-at";

/// The value of [`RECONCILE_ANNOTATION`] as a status may hold it: printable and cut at a fixed length. None if it is
/// absent or empty.
pub fn reconcile_request(meta: &ObjectMeta) -> Option<String> {
    let value = meta.annotations.as_ref()?.get(RECONCILE_ANNOTATION)?;
    Some(printable(value)).filter(|value| !value.is_empty())
}
