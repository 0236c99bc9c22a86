//! `UserRoleRevocation`: removes tenant-wide roles from a user.

#![allow(dead_code, reason = "the schema comes from a copy of the spec, whose other derived functions are not called")]

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::closed::closed;
use super::{RemovalOptions, RemovalStatus, RoleId, UserId};

/// Removes tenant-wide roles from a user. Only directly assigned roles are removed: roles that the user has through a
/// group, and roles inside an organization, stay. Tokens already issued stay valid until they expire. Deleting this
/// object changes nothing in Auth0.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "rescind.dev",
    version = "v1alpha1",
    kind = "UserRoleRevocation",
    plural = "userrolerevocations",
    shortname = "urr",
    category = "rescind",
    namespaced,
    status = "RemovalStatus",
    doc = "Removes tenant-wide roles from an Auth0 user.",
    selectable = ".spec.userId",
    printcolumn(name = "User", json_path = ".spec.userId", type_ = "string"),
    printcolumn(name = "Roles", json_path = ".status.result.requested", type_ = "integer", priority = 1)
)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct UserRoleRevocationSpec {
    /// The user, by Auth0 user id. Cannot be changed.
    #[x_kube(validation = Rule::new("self == oldSelf").message("cannot be changed: create a new object for another user"))]
    pub user_id: UserId,

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

closed!(UserRoleRevocation, UserRoleRevocationSpec);
