//! `OrgMembershipRemoval`: removes users from an organization.

#![allow(dead_code, reason = "the schema comes from a copy of the spec, whose other derived functions are not called")]

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::closed::closed;
use super::ids::together;
use super::{OrganizationId, RemovalOptions, RemovalStatus, UserId};

/// Removes users from an organization. The users themselves stay, and a connection with membership on login makes them
/// members again. Tokens already issued stay valid until they expire. Deleting this object changes nothing in Auth0.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "rescind.dev",
    version = "v1alpha1",
    kind = "OrgMembershipRemoval",
    plural = "orgmembershipremovals",
    shortname = "omr",
    category = "rescind",
    namespaced,
    status = "RemovalStatus",
    doc = "Removes users from an Auth0 organization.",
    selectable = ".spec.organizationId",
    printcolumn(name = "Organization", json_path = ".spec.organizationId", type_ = "string"),
    printcolumn(name = "Members", json_path = ".status.result.requested", type_ = "integer")
)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct OrgMembershipRemovalSpec {
    /// The organization, by organization id. Cannot be changed.
    #[x_kube(validation = Rule::new("self == oldSelf").message("cannot be changed: create a new object for another organization"))]
    pub organization_id: OrganizationId,

    /// The members to remove, by Auth0 user id: 1 to 100. Cannot be changed.
    #[schemars(length(min = 1, max = 100))]
    #[x_kube(
        merge_strategy = ListMerge::Set,
        validation = Rule::new("self == oldSelf").message("cannot be changed: create a new object for other members"),
        validation = together("self.map(id, id.size())", "name them in several objects")
    )]
    pub members: Vec<UserId>,

    /// The fields that all removal kinds share.
    #[serde(flatten)]
    pub options: RemovalOptions,
}

closed!(OrgMembershipRemoval, OrgMembershipRemovalSpec);
