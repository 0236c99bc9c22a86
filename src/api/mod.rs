//! What users write: the kinds of group `rescind.dev`, their shared parts, conditions and reasons.
//!
//! Belongs here: types with their schema, CEL rules and the words `kubectl explain` shows; the closed lists of
//! condition types and reasons. Does not belong here: anything that acts. This room knows no other.

#![allow(clippy::duplicated_attributes, reason = "printcolumn takes the same keys for each column")]

mod auth0_tenant;
mod closed;
mod common;
mod conditions;
mod crds;
mod guards;
mod ids;
mod org_member_role_removal;
mod org_membership_removal;
mod reason;
mod status;
mod times;
mod unsupported;
mod user_permission_revocation;
mod user_role_revocation;
mod verification;

pub use auth0_tenant::{
    Auth0Tenant, Auth0TenantSpec, Auth0TenantStatus, Credentials, RateLimit, SecretKeyRef, SecretRef,
};
pub use common::{IfNotFound, Policy, RemovalOptions, TenantKind, TenantRef};
pub use conditions::{ConditionStatus, Verdict, conditions, printable, time, verdicts};
pub use crds::{Crd, crds};
pub use guards::{Brake, Hold, KeepHolders, Mode, Protected};
pub use ids::{
    OrganizationId, PermissionName, ResourceServerIdentifier, RoleId, UserId, is_organization_id, is_plain_text,
    is_role_id, is_user_id,
};
pub use org_member_role_removal::{OrgMemberRoleRemoval, OrgMemberRoleRemovalSpec};
pub use org_membership_removal::{OrgMembershipRemoval, OrgMembershipRemovalSpec};
pub use reason::{Reason, State, VerifiedReason};
pub use status::{ConditionType, Finished, RemovalResult, RemovalStatus};
pub use times::{DurationText, Rfc3339};
pub use user_permission_revocation::{Permission, UserPermissionRevocation, UserPermissionRevocationSpec};
pub use user_role_revocation::{UserRoleRevocation, UserRoleRevocationSpec};
pub use verification::Verification;

/// API group of every kind.
pub const GROUP: &str = "rescind.dev";
/// The one served version.
pub const VERSION: &str = "v1alpha1";
/// Field manager of our server-side apply writes; it owns `/status` and nothing else.
pub const FIELD_MANAGER: &str = "rescind";
/// Label by which the owner of a Secret consents to its being read. Its value must be `true`.
pub const CREDENTIALS_LABEL: &str = "rescind.dev/credentials";
/// Annotation by which somebody asks for one more try of a removal, or look at a tenant's credential. Each new value is
/// answered once, by `status.lastHandledReconcileAt`.
pub const RECONCILE_ANNOTATION: &str = "rescind.dev/reconcile-requested-at";
