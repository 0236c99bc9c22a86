//! Who asked for a removal, by annotation.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::printable::printable;

/// The annotation that names who asked for a removal. Anybody can write anything into it, unless the cluster has the
/// admission policy of the chart (`requester.enforce`).
pub const REQUESTED_BY_ANNOTATION: &str = "rescind.dev/requested-by";

/// The value of [`REQUESTED_BY_ANNOTATION`], printable and cut at a fixed length. None if it is absent or empty.
pub fn requested_by(meta: &ObjectMeta) -> Option<String> {
    let value = meta.annotations.as_ref()?.get(REQUESTED_BY_ANNOTATION)?;
    Some(printable(value)).filter(|value| !value.is_empty())
}
