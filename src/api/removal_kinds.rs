//! The list of the removal kinds, and their names as a type.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{OrgMemberRoleRemoval, OrgMembershipRemoval, UserPermissionRevocation, UserRoleRevocation};

/// The definitions of the removal kinds, as the derive macros make them.
pub(super) fn removal_kinds() -> Vec<CustomResourceDefinition> {
    vec![
        UserPermissionRevocation::crd(),
        UserRoleRevocation::crd(),
        OrgMembershipRemoval::crd(),
        OrgMemberRoleRemoval::crd(),
        #[cfg(test)]
        super::GroupRoleRemoval::crd(),
    ]
}

fn names() -> Vec<String> {
    removal_kinds().into_iter().map(|crd| crd.spec.names.kind).collect()
}

/// The name of a removal kind, such as `UserRoleRevocation`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(extend("enum" = names()))]
pub struct RemovalKind(pub String);
