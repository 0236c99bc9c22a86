//! Fields that restrain the operator: modes, holds, brakes and protected ids.

use jiff::Timestamp;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ids::{OrganizationId, RoleId, UserId, together};
use super::times::{DurationText, Rfc3339, within};

/// Whether to remove or only to report.
// The stricter one is the greater one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// Remove what the object names.
    #[default]
    Remove,
    /// Say in the status what would be removed, and change nothing.
    Observe,
}

/// A stop that gives a reason and ends by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Hold {
    /// Until when nothing is sent, in RFC 3339 with its offset.
    pub until: Rfc3339,
    /// The reason, shown in the status.
    #[schemars(length(min = 1, max = 256))]
    #[x_kube(validation = Rule::new(r"self.matches('^[^\\p{Cc}\\p{Z}]([^\\p{Cc}]*[^\\p{Cc}\\p{Z}])?$')")
        .message("must give the reason in one line, with no white space around it"))]
    pub reason: String,
}

impl Hold {
    /// Until when nothing is sent, while that is still to come. A text that is no time, which the schema does not allow,
    /// never comes.
    pub fn in_force(&self, now: Timestamp) -> Option<Timestamp> {
        Some(self.until.timestamp().unwrap_or(Timestamp::MAX)).filter(|until| *until > now)
    }
}

/// Stops an unintended mass removal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Brake {
    /// More items than this within `window` engage the brake, before the first of them is removed. Default: 1000.
    #[serde(default = "default_max_removals")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_removals: i32,

    /// The time over which removals are counted. Default: 1h.
    #[serde(default = "default_window")]
    #[x_kube(validation = within("1m", "24h"))]
    pub window: DurationText,

    /// More than this share of an organization's members, in percent, within `window` engages the brake. Default: 25.
    /// 100 allows all.
    #[serde(default = "default_max_share")]
    #[schemars(range(min = 1, max = 100))]
    pub max_share_of_organization: i32,
}

impl Default for Brake {
    fn default() -> Self {
        Self {
            max_removals: default_max_removals(),
            window: default_window(),
            max_share_of_organization: default_max_share(),
        }
    }
}

fn default_max_removals() -> i32 {
    1000
}

fn default_window() -> DurationText {
    "1h".into()
}

fn default_max_share() -> i32 {
    25
}

/// Users, roles and organizations from which nothing is removed, whatever an object asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Protected {
    /// Users from whom nothing is removed.
    #[serde(default)]
    #[schemars(length(max = 100))]
    #[x_kube(merge_strategy = ListMerge::Set, validation = together("self.map(id, id.size())", "protect roles or organizations instead"))]
    pub user_ids: Vec<UserId>,

    /// Roles that are never removed from anybody.
    #[serde(default)]
    #[schemars(length(max = 100))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub role_ids: Vec<RoleId>,

    /// Organizations in which nothing is removed.
    #[serde(default)]
    #[schemars(length(max = 100))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub organization_ids: Vec<OrganizationId>,

    /// Roles of which a number of holders must remain.
    #[serde(default)]
    #[schemars(length(max = 20))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["roleId".into()]))]
    pub keep_holders: Vec<KeepHolders>,
}

/// A role, and how many holders of it must remain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeepHolders {
    /// The role, by role id.
    pub role_id: RoleId,
    /// The number of holders that must remain after a removal.
    #[schemars(range(min = 1, max = 1000))]
    pub at_least: i32,
}
