//! Which conditions of a status this version writes.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::api::ConditionType;

/// Whether this version writes the condition. All other conditions of a status are kept as they are.
pub(super) fn is_ours(condition: &Condition) -> bool {
    const WRITTEN: [ConditionType; 7] = [
        ConditionType::Ready,
        ConditionType::Reconciling,
        ConditionType::Stalled,
        ConditionType::Verified,
        ConditionType::Effective,
        ConditionType::Drifted,
        ConditionType::BrakeEngaged,
    ];
    WRITTEN.iter().any(|kind| kind.as_str() == condition.type_)
}
