//! The status of the four removal kinds, and the condition types they use (DESIGN section 2).

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the operator did and saw. No field ticks: once an object is finished its status never changes again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RemovalStatus {
    /// The metadata.generation this status speaks of; -1 while nobody has looked at the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// Ready; Reconciling and Stalled (present only while true, never both); Verified (whether a read after the
    /// removal proved it).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,

    /// How many of the named things were removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<RemovalResult>,

    /// When Auth0 last accepted a removal for this object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_removal_time: Option<Time>,

    /// When a read, made after the removal, last proved that everything named is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_time: Option<Time>,

    /// When the operator will try or look again. Nothing shortens a wait that Auth0 asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_time: Option<Time>,

    /// How many attempts in a row have not come to a verdict. Absent when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<i32>,

    /// Names the last call that was sent for this object (others may have shared it): X-Correlation-ID, in the tenant's
    /// logs references.correlation_id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,

    /// The last value of the annotation rescind.dev/reconcile-requested-at that was answered. A new value has a Stalled
    /// object tried again once; it shortens no wait and starts nothing finished again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
}

impl RemovalStatus {
    /// The condition of this type, if present.
    pub fn condition(&self, kind: ConditionType) -> Option<&Condition> {
        self.conditions.iter().find(|c| c.type_ == kind.as_str())
    }

    /// The reason of the Ready condition, if it is one of ours and the status speaks of `generation`.
    pub fn reason_at(&self, generation: i64) -> Option<super::Reason> {
        (self.observed_generation == Some(generation)).then_some(())?;
        super::Reason::parse(&self.condition(ConditionType::Ready)?.reason)
    }
}

/// Counts of the items the spec names (roles, permissions or members).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RemovalResult {
    /// How many items the spec names.
    pub requested: i32,
    /// How many of them Auth0 was told to remove and accepted. Auth0 does not say whether they were there before.
    pub removed: i32,
    /// How many of them a read before the removal did not find (`verification: BeforeAndAfter` only).
    pub already_absent: i32,
    /// How many of them the last read still found.
    pub remaining: i32,
}

/// The closed list of condition types; their meaning is kstatus'.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConditionType {
    /// The object reached what it asks for.
    Ready,
    /// The operator is working or waiting and will go on by itself. Present only while true.
    Reconciling,
    /// A person has to change something. Present only while true.
    Stalled,
    /// A complete read after the removal proved that it is gone.
    Verified,
}

impl ConditionType {
    /// Every condition type we write.
    pub const ALL: [Self; 4] = [Self::Ready, Self::Reconciling, Self::Stalled, Self::Verified];

    /// The name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Reconciling => "Reconciling",
            Self::Stalled => "Stalled",
            Self::Verified => "Verified",
        }
    }
}
