//! `OrgMemberRoleRemoval`: removes roles inside an organization from a member.

#![allow(dead_code, reason = "the schema comes from a copy of the spec, whose other derived functions are not called")]

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::closed::closed;
use super::{OrganizationId, RemovalOptions, RemovalStatus, RoleId, UserId};

/// Removes roles inside an organization from one of its members. Tenant-wide roles and roles given through a group
/// stay. Tokens already issued stay valid until they expire. Deleting this object changes nothing in Auth0.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "rescind.dev",
    version = "v1alpha1",
    kind = "OrgMemberRoleRemoval",
    plural = "orgmemberroleremovals",
    shortname = "omrr",
    category = "rescind",
    namespaced,
    status = "RemovalStatus",
    doc = "Removes roles inside an Auth0 organization from a member.",
    selectable = ".spec.userId",
    selectable = ".spec.organizationId",
    printcolumn(name = "User", json_path = ".spec.userId", type_ = "string"),
    printcolumn(name = "Organization", json_path = ".spec.organizationId", type_ = "string", priority = 1),
    printcolumn(name = "Roles", json_path = ".status.result.requested", type_ = "integer", priority = 1)
)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct OrgMemberRoleRemovalSpec {
    /// The organization, by organization id. Cannot be changed.
    #[x_kube(validation = Rule::new("self == oldSelf").message("cannot be changed: create a new object for another organization"))]
    pub organization_id: OrganizationId,

    /// The user, by Auth0 user id. Cannot be changed.
    #[x_kube(validation = Rule::new("self == oldSelf").message("cannot be changed: create a new object for another user"))]
    pub user_id: UserId,

    /// The roles to remove inside the organization, by role id: 1 to 100. Cannot be changed.
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

closed!(OrgMemberRoleRemoval, OrgMemberRoleRemovalSpec);
