//! `UserPermissionRevocation`: removes permissions from a user.

#![allow(dead_code, reason = "the schema comes from a copy of the spec, whose other derived functions are not called")]

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::closed::closed;
use super::ids::together;
use super::{PermissionName, RemovalOptions, RemovalStatus, ResourceServerIdentifier, UserId};

/// Removes directly assigned permissions from a user. A permission that the user also has through a role stays until
/// the role goes. Tokens already issued stay valid until they expire. Deleting this object changes nothing in Auth0.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "rescind.dev",
    version = "v1alpha1",
    kind = "UserPermissionRevocation",
    plural = "userpermissionrevocations",
    shortname = "upr",
    category = "rescind",
    namespaced,
    status = "RemovalStatus",
    doc = "Removes directly assigned permissions from an Auth0 user.",
    selectable = ".spec.userId",
    printcolumn(name = "User", json_path = ".spec.userId", type_ = "string"),
    printcolumn(name = "Permissions", json_path = ".status.result.requested", type_ = "integer", priority = 1)
)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct UserPermissionRevocationSpec {
    /// The user, by Auth0 user id. Cannot be changed.
    #[x_kube(validation = Rule::new("self == oldSelf").message("cannot be changed: create a new object for another user"))]
    pub user_id: UserId,

    /// The permissions to remove: 1 to 100. Cannot be changed.
    #[schemars(length(min = 1, max = 100))]
    #[x_kube(
        merge_strategy = ListMerge::Map(vec!["resourceServerIdentifier".into(), "permissionName".into()]),
        validation = Rule::new("self == oldSelf").message("cannot be changed: create a new object for other permissions"),
        validation = together(
            "self.map(p, p.resourceServerIdentifier.size() + p.permissionName.size())",
            "name them in several objects"
        )
    )]
    pub permissions: Vec<Permission>,

    /// The fields that all removal kinds share.
    #[serde(flatten)]
    pub options: RemovalOptions,
}

closed!(UserPermissionRevocation, UserPermissionRevocationSpec);

/// One permission of one API. Both parts are compared byte by byte.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Permission {
    /// The identifier (audience) of the API, not its name and not its internal id.
    pub resource_server_identifier: ResourceServerIdentifier,
    /// The permission, for example "read:reports".
    pub permission_name: PermissionName,
}
