//! What users write and read: the kinds of group `rescind.dev`, their statuses, condition types and reasons. Pure data:
//! the types with their schemas, CEL rules and the texts of `kubectl explain`. This module uses no other one.
//!
//! Start with `user_role_revocation`, the smallest of the four removal kinds (`user_permission_revocation`,
//! `org_membership_removal` and `org_member_role_removal` are the others), and `auth0_tenant`, with which
//! `cluster_auth0_tenant` shares its spec.
//!
//! - Parts of a spec: `common` (what the removal kinds share), `admission` (who may use a cluster-scoped tenant),
//!   `guards`, `verification`, `times`, `ids`, `object_name`. `removal_kinds` lists the removal kinds.
//! - Statuses: `status` (of the removal kinds), `brake_status` (of tenants), `reason` (every reason, and what it means
//!   for the conditions), `conditions`. `reconcile_request` is about the annotation that a status answers,
//!   `requested_by` about the one that names who asked. `printable` is what a text from outside becomes.
//! - `closed` finds what in a spec this version does not know.
//! - `crds` makes the CustomResourceDefinitions.

#![allow(clippy::duplicated_attributes, reason = "printcolumn takes the same keys for each column")]

mod admission;
mod auth0_tenant;
mod brake_status;
mod closed;
mod cluster_auth0_tenant;
mod common;
mod conditions;
mod crds;
#[cfg(test)]
mod group_role_removal;
mod guards;
mod ids;
mod object_name;
mod org_member_role_removal;
mod org_membership_removal;
mod printable;
mod reason;
mod reconcile_request;
mod removal_kinds;
mod requested_by;
mod status;
mod times;
mod user_permission_revocation;
mod user_role_revocation;
mod verification;

pub use admission::{Admission, LabelOperator, LabelRequirement, LabelValue, NamespaceSelector};
pub use auth0_tenant::{
    Auth0Tenant, Auth0TenantSpec, Auth0TenantStatus, CredentialKind, CredentialStatus, Credentials, RateLimit,
    ScopesStatus, SecretKeyRef, SecretRef, TenantObject, TenantSpec,
};
pub use brake_status::{BrakeId, BrakeStatus, NamespaceBrake, RELEASE_BRAKE_ANNOTATION};
pub use cluster_auth0_tenant::{ClusterAuth0Tenant, ClusterAuth0TenantSpec, ClusterBrake};
pub use common::{IfNotFound, Policy, RemovalOptions, TenantKind, TenantRef};
pub use conditions::{ConditionStatus, ConditionType, Verdict, conditions, find_condition, time, verdicts};
pub use crds::{Crd, crds};
#[cfg(test)]
pub use group_role_removal::{GroupRoleRemoval, GroupRoleRemovalSpec};
pub use guards::{Brake, Hold, KeepHolders, Mode, Protected};
#[cfg(test)]
pub use ids::{GroupId, is_group_id};
pub use ids::{
    OrganizationId, PermissionName, ResourceServerIdentifier, RoleId, UserId, is_organization_id, is_permission_name,
    is_resource_server_identifier, is_role_id, is_user_id,
};
pub use org_member_role_removal::{OrgMemberRoleRemoval, OrgMemberRoleRemovalSpec};
pub use org_membership_removal::{OrgMembershipRemoval, OrgMembershipRemovalSpec};
pub use printable::{escaped, printable};
pub use reason::{BrakeReason, DriftedReason, EffectiveReason, Reason, State, VerifiedReason};
pub use reconcile_request::{RECONCILE_ANNOTATION, reconcile_request};
pub use removal_kinds::RemovalKind;
pub use requested_by::{REQUESTED_BY_ANNOTATION, requested_by};
pub use status::{Drift, Finished, RemovalResult, RemovalStatus};
pub use times::{DurationText, Rfc3339};
pub use user_permission_revocation::{Permission, UserPermissionRevocation, UserPermissionRevocationSpec};
pub use user_role_revocation::{UserRoleRevocation, UserRoleRevocationSpec};
pub use verification::Verification;

/// The API group of every kind.
pub const GROUP: &str = "rescind.dev";
/// The field manager of the operator's writes. It owns `/status` and nothing else.
pub const FIELD_MANAGER: &str = "rescind";
/// The label by which the owner of a Secret consents to its being read. Its value must be `true`.
pub const CREDENTIALS_LABEL: &str = "rescind.dev/credentials";
