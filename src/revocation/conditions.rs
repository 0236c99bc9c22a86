//! Which conditions are this version's.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::api::ConditionType;

/// Whether this version writes the condition; the others of a status stay as they are.
pub(super) fn is_ours(condition: &Condition) -> bool {
    const WRITTEN: [ConditionType; 4] =
        [ConditionType::Ready, ConditionType::Reconciling, ConditionType::Stalled, ConditionType::Verified];
    WRITTEN.iter().any(|kind| kind.as_str() == condition.type_)
}
