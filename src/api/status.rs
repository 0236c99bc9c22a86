//! The status of the four removal kinds.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::conditions::{ConditionType, find_condition};
use super::{Mode, Reason};

/// What the operator did and saw. Once an object of policy Once is finished, its status does not change any more, unless
/// somebody edits it or requests another look.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RemovalStatus {
    /// The metadata.generation that this status is about; -1 until the operator has looked at the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// Ready; Reconciling and Stalled (present only while true, never both); Verified (whether a read after the
    /// removal proved it); Effective (whether the removal limits anything, as of the verdict); Drifted (what was
    /// removed came back within the last 24 hours).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,

    /// How many of the items that the spec names were removed, absent, or remain.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "whole")]
    pub result: Option<RemovalResult>,

    /// What was done to which target, once Ready is True. With policy Once, a finished object causes no call any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<Finished>,

    /// How often what was removed came back, and was removed again. Only with policy Continuous.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "whole")]
    pub drift: Option<Drift>,

    /// The Auth0 domain that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,

    /// When Auth0 last accepted a removal for this object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_removal_time: Option<Time>,

    /// When a read, made after the removal, proved that everything named is gone. A later check that finds nothing new
    /// does not change it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_time: Option<Time>,

    /// Until when access tokens may be valid that were issued before the removal; then it is in effect. Present while
    /// the reason of Effective is TokensStillValid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_by: Option<Time>,

    /// When Auth0 last showed that the user or organization exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen_time: Option<Time>,

    /// When the operator will retry or read again. Nothing shortens a wait that Auth0 asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_time: Option<Time>,

    /// The number of consecutive failures for the current reason. Absent if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<i32>,

    /// The X-Correlation-ID of the last DELETE that was sent for this object; other objects may have shared it. Auth0's
    /// tenant logs show it as references.correlation_id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,

    /// The last value of the annotation rescind.dev/reconcile-requested-at that was answered: with the result of the
    /// attempt that followed it, or at once if none may follow. A new value has a Stalled object retried once. It
    /// shortens no wait, and does not repeat a finished removal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,

    /// Fields that this version does not know, written back as they are.
    #[serde(flatten)]
    #[schemars(skip)]
    pub unknown: BTreeMap<String, Value>,
}

impl RemovalStatus {
    /// Whether the operator has ever written it.
    pub fn is_written(&self) -> bool {
        self.observed_generation.is_some_and(|generation| generation >= 0)
    }

    /// The condition of this type, if present.
    pub fn condition(&self, kind: ConditionType) -> Option<&Condition> {
        find_condition(&self.conditions, kind)
    }

    /// Whether the condition `Ready` is true, whatever version wrote it.
    pub fn is_ready(&self) -> bool {
        self.condition(ConditionType::Ready).is_some_and(|ready| ready.status == "True")
    }

    /// The reason of the condition `Ready`, whatever version wrote it.
    pub fn reason_text(&self) -> Option<&str> {
        self.condition(ConditionType::Ready).map(|ready| ready.reason.as_str())
    }

    /// The reason of the condition `Ready`, if this version knows it and the status is about `generation`.
    pub fn reason_at(&self, generation: i64) -> Option<Reason> {
        (self.observed_generation == Some(generation)).then_some(())?;
        Reason::parse(self.reason_text()?)
    }

    /// The message of the condition `Ready`; empty if there is none.
    pub fn message(&self) -> &str {
        self.condition(ConditionType::Ready).map_or("", |ready| ready.message.as_str())
    }

    /// `nextAttemptTime`.
    pub fn next_attempt(&self) -> Option<Timestamp> {
        self.next_attempt_time.as_ref().map(|at| at.0)
    }

    /// `lastRemovalTime`.
    pub fn removed_at(&self) -> Option<Timestamp> {
        self.last_removal_time.as_ref().map(|at| at.0)
    }
}

/// What was done to which target. That, and not the generation alone, decides whether an object is finished.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Finished {
    /// Identifies the target: the first 16 hex digits of SHA-256 over the tenantRef, the endpoint and the items.
    pub target: String,
    /// What was done: Remove, or Observe if the object or its tenant said so.
    pub mode: Mode,
    /// True if it was the tenant that said Observe, and not the object. Then the tenant's change to Remove has the
    /// object carried out, too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_tenant: bool,
    /// The metadata.generation for which it was done.
    pub generation: i64,
}

/// Counts of which another version's CRD pruned a part are read as none, so that the object can still be decoded.
fn whole<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Option<T>, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(deserializer)?).ok())
}

/// Counts of the items that the spec names (roles, permissions or members).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RemovalResult {
    /// How many items the spec names.
    pub requested: i32,
    /// How many of them Auth0 accepted the removal of. It does not say whether they were there before.
    pub accepted: i32,
    /// How many of them were already absent, as far as a read before the removal showed.
    pub already_absent: i32,
    /// How many of them the last read after the removal still showed. With mode Observe: how many would be removed.
    pub remaining: i32,
    /// With mode Observe, what would be removed; of more than 20 items the first 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), extend("items" = { "type": "string", "description": "A role, permission or member." }))]
    pub items: Vec<String>,
}

impl RemovalResult {
    /// The most items that a result names.
    pub const MAX_ITEMS: usize = 20;
}

/// How often what was removed came back, with policy Continuous.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Drift {
    /// How often a read showed again what had been removed.
    pub count: i32,
    /// When the last of these reads were made, at most four.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4), extend("items" = { "type": "string", "format": "date-time", "description": "The time of a read." }))]
    pub times: Vec<Time>,
}

impl Drift {
    /// The most times that are kept.
    pub const MAX_TIMES: usize = 4;
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
            serde_json::from_value(json!({"domain": "x", "fromTheFuture": {"engaged": true}})).unwrap();
        assert_eq!(serde_json::to_value(&tenant).unwrap(), json!({"domain": "x", "fromTheFuture": {"engaged": true}}));
    }

    #[test]
    fn counts_that_are_cut_short_are_none() {
        let cut = json!({"result": {"requested": 1, "alreadyAbsent": 0, "remaining": 0}, "attempts": 2});
        let status: RemovalStatus = serde_json::from_value(cut).unwrap();
        assert_eq!((status.result, status.attempts, status.unknown.len()), (None, Some(2), 0));
    }

    #[test]
    fn reason_text_gives_the_reasons_of_other_versions() {
        let ready = json!({"type": "Ready", "status": "True", "reason": "FromTheFuture", "message": "",
            "lastTransitionTime": "2026-11-21T02:44:00Z"});
        let status: RemovalStatus =
            serde_json::from_value(json!({"observedGeneration": 1, "conditions": [ready]})).unwrap();
        assert_eq!((status.reason_text(), status.reason_at(1)), (Some("FromTheFuture"), None));
        assert_eq!(RemovalStatus::default().reason_text(), None);
    }
}
