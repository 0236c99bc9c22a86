//! The status of the four removal kinds, and the condition types they use.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::Mode;

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

    /// Counts of the named things.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "whole")]
    pub result: Option<RemovalResult>,

    /// What was done to which target, once Ready is True: what is finished causes no call again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<Finished>,

    /// The Auth0 domain that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,

    /// When Auth0 last accepted a removal for this object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_removal_time: Option<Time>,

    /// When a read, made after the removal, last proved that everything named is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_time: Option<Time>,

    /// When Auth0 last showed that the user or organization exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen_time: Option<Time>,

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

    /// Fields that this version does not know, written back as they are.
    #[serde(flatten)]
    #[schemars(skip)]
    pub unknown: BTreeMap<String, Value>,
}

impl RemovalStatus {
    /// The condition of this type, if present.
    pub fn condition(&self, kind: ConditionType) -> Option<&Condition> {
        self.conditions.iter().find(|c| c.type_ == kind.as_str())
    }

    /// The reason of the Ready condition, whatever version wrote it.
    pub fn reason_text(&self) -> Option<&str> {
        self.condition(ConditionType::Ready).map(|ready| ready.reason.as_str())
    }

    /// The reason of the Ready condition, if it is one of ours and the status speaks of `generation`.
    pub fn reason_at(&self, generation: i64) -> Option<super::Reason> {
        (self.observed_generation == Some(generation)).then_some(())?;
        super::Reason::parse(self.reason_text()?)
    }
}

/// What is finished: a matter of the target and of what was done to it, not of the generation alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Finished {
    /// Stands for the tenantRef, the endpoint and the items: the first 16 hex digits of their SHA-256.
    pub target: String,
    /// What was done: Remove, or Observe if object or tenant said so.
    pub mode: Mode,
    /// The metadata.generation for which it was done.
    pub generation: i64,
}

/// Counts that another version's CRD cut short are none; the object can be read all the same.
fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<RemovalResult>, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(deserializer)?).ok())
}

/// Counts of the items the spec names (roles, permissions or members).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RemovalResult {
    /// How many items the spec names.
    pub requested: i32,
    /// How many of them Auth0 was told to remove and accepted. Auth0 does not say whether they were there before.
    pub accepted: i32,
    /// How many of them were not there before, as far as a read before the removal told.
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
    /// What is asked for is in effect wherever it was granted.
    Effective,
    /// What was removed came back.
    Drifted,
}

impl ConditionType {
    /// Every condition type that is ours.
    pub const ALL: [Self; 6] =
        [Self::Ready, Self::Reconciling, Self::Stalled, Self::Verified, Self::Effective, Self::Drifted];

    /// The name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Reconciling => "Reconciling",
            Self::Stalled => "Stalled",
            Self::Verified => "Verified",
            Self::Effective => "Effective",
            Self::Drifted => "Drifted",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_of_others_are_written_back() {
        let written = json!({
            "observedGeneration": 3,
            "finished": {"target": "0123456789abcdef", "mode": "Observe", "generation": 2},
            "result": {"requested": 1, "accepted": 1, "alreadyAbsent": 0, "remaining": 0},
            "lastSeenTime": "2026-11-21T02:44:00Z",
            "fromTheFuture": {"deep": [1, null, {"x": "y"}]},
            "alsoNew": null,
        });
        let status: RemovalStatus = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(status.unknown.keys().collect::<Vec<_>>(), ["alsoNew", "fromTheFuture"]);
        assert_eq!(serde_json::to_value(&status).unwrap(), written);
        let tenant: crate::api::Auth0TenantStatus =
            serde_json::from_value(json!({"domain": "x", "brake": {"engaged": true}})).unwrap();
        assert_eq!(serde_json::to_value(&tenant).unwrap(), json!({"domain": "x", "brake": {"engaged": true}}));
    }

    #[test]
    fn counts_that_are_cut_short_are_none() {
        let cut = json!({"result": {"requested": 1, "alreadyAbsent": 0, "remaining": 0}, "attempts": 2});
        let status: RemovalStatus = serde_json::from_value(cut).unwrap();
        assert_eq!((status.result, status.attempts, status.unknown.len()), (None, Some(2), 0));
    }

    #[test]
    fn a_reason_is_told_whoever_wrote_it() {
        let ready = json!({"type": "Ready", "status": "True", "reason": "FromTheFuture", "message": "",
            "lastTransitionTime": "2026-11-21T02:44:00Z"});
        let status: RemovalStatus =
            serde_json::from_value(json!({"observedGeneration": 1, "conditions": [ready]})).unwrap();
        assert_eq!((status.reason_text(), status.reason_at(1)), (Some("FromTheFuture"), None));
        assert_eq!(RemovalStatus::default().reason_text(), None);
    }
}
