//! The brake in the status of a tenant, and the annotation that releases it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The annotation that releases an engaged brake. Its value is `status.brake.id`, or the id of a namespace; several are
/// separated by commas.
pub const RELEASE_BRAKE_ANNOTATION: &str = "rescind.dev/release-brake";

/// What the brake has counted. It is written before the removals that it allots, so a later leader never allows more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BrakeStatus {
    /// Identifies the engagement of the brake and begins with the number of items that engaged it. Absent while it is
    /// not engaged. The annotation rescind.dev/release-brake with this value releases as many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,

    /// The items that were removed, or about to be, within spec.brake.window.
    #[serde(default)]
    pub used: i32,

    /// How many more may be removed before the next write of this status.
    #[serde(default)]
    pub allotted: i32,

    /// Until when they may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,

    /// How many items of a released engagement are still to be removed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub released: i32,

    /// The same for each namespace that uses a ClusterAuth0Tenant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 501))]
    pub namespaces: Vec<NamespaceBrake>,
}

impl BrakeStatus {
    /// The most namespaces that are listed by name.
    pub const MAX_NAMESPACES: usize = 500;
    /// The name that stands for all namespaces beyond that.
    pub const OTHERS: &str = "*";
}

/// What the brake has counted for one namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceBrake {
    /// The namespace; "*" stands for all that are not listed.
    pub name: String,

    /// Identifies the engagement of the brake for this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,

    /// The items that were removed, or about to be, within spec.brake.window.
    #[serde(default)]
    pub used: i32,

    /// How many more may be removed before the next write of this status.
    #[serde(default)]
    pub allotted: i32,

    /// How many items of a released engagement are still to be removed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub released: i32,
}

fn is_zero(number: &i32) -> bool {
    *number == 0
}

/// One engagement of the brake: how many items engaged it, and a word that no other engagement of the tenant has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrakeId {
    /// The number of items.
    pub count: usize,
    /// The word.
    pub word: String,
}

impl BrakeId {
    /// Reads `1616-7f3a`. None if the text is of another form.
    pub fn parse(text: &str) -> Option<Self> {
        let (count, word) = text.trim().split_once('-')?;
        let is_word = !word.is_empty() && word.len() <= 16 && word.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let count = count.parse().ok().filter(|_| is_word && count.bytes().all(|byte| byte.is_ascii_digit()))?;
        Some(Self { count, word: word.to_owned() })
    }

    /// The ids that the annotation of a tenant object names.
    pub fn released_by(meta: &ObjectMeta) -> Vec<Self> {
        let value = meta.annotations.as_ref().and_then(|all| all.get(RELEASE_BRAKE_ANNOTATION));
        value
            .map(|value| value.split(',').filter_map(Self::parse).take(BrakeStatus::MAX_NAMESPACES).collect())
            .unwrap_or_default()
    }
}

impl std::fmt::Display for BrakeId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.count, self.word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_number_and_a_word() {
        let id = BrakeId { count: 1616, word: "7f3a".into() };
        assert_eq!((BrakeId::parse("1616-7f3a"), id.to_string()), (Some(id.clone()), "1616-7f3a".to_owned()));
        for wrong in ["", "1616", "-7f3a", "1616-", "x-7f3a", "+5-7f3a", "16-7f 3a", "99999999999999999999999-7f3a"] {
            assert_eq!(BrakeId::parse(wrong), None, "{wrong:?}");
        }
        let annotations = [(RELEASE_BRAKE_ANNOTATION.to_owned(), "1616-7f3a, 3-ab,,x".to_owned())];
        let meta = ObjectMeta { annotations: Some(annotations.into()), ..ObjectMeta::default() };
        assert_eq!(BrakeId::released_by(&meta), [id, BrakeId { count: 3, word: "ab".into() }]);
        assert_eq!(BrakeId::released_by(&ObjectMeta::default()), []);
    }
}
