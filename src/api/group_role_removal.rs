//! `GroupRoleRemoval`: removes roles from a group. Only unit tests have this kind. It shows what a fifth kind takes.

#![allow(dead_code, reason = "the schema comes from a copy of the spec, whose other derived functions are not called")]

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::closed::closed;
use super::{GroupId, RemovalOptions, RemovalStatus, RoleId};

/// Removes roles from a group, and so from everybody who has them only through this group.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "rescind.dev",
    version = "v1alpha1",
    kind = "GroupRoleRemoval",
    plural = "grouproleremovals",
    shortname = "grr",
    category = "rescind",
    namespaced,
    status = "RemovalStatus",
    doc = "Removes roles from an Auth0 group.",
    selectable = ".spec.groupId",
    printcolumn(name = "Group", json_path = ".spec.groupId", type_ = "string"),
    printcolumn(name = "Roles", json_path = ".status.result.requested", type_ = "integer", priority = 1)
)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct GroupRoleRemovalSpec {
    /// The group, by group id. Cannot be changed.
    #[x_kube(validation = Rule::new("self == oldSelf").message("cannot be changed: create a new object for another group"))]
    pub group_id: GroupId,

    /// The roles to remove, by role id: 1 to 100. Cannot be changed.
    #[schemars(length(min = 1, max = 100))]
    #[x_kube(
        merge_strategy = ListMerge::Set,
        validation = Rule::new("self == oldSelf").message("cannot be changed: create a new object for other roles")
    )]
    pub roles: Vec<RoleId>,

    /// The fields that all removal kinds share.
    #[serde(flatten)]
    pub options: RemovalOptions,
}

closed!(GroupRoleRemoval, GroupRoleRemovalSpec);
