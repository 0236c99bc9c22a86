//! What the four removal kinds share in their spec.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The fields every removal kind has beside its target. All are optional.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RemovalOptions {
    /// The Auth0 tenant to remove from: an object of this namespace. Default: the Auth0Tenant named "default".
    #[serde(default)]
    pub tenant_ref: TenantRef,

    /// What it means when Auth0 answers that the user or the organization does not exist and it was never seen
    /// before. Fail (the default): the object becomes Stalled, because a typing error looks the same. Ignore: there is
    /// nothing left to remove, so the object becomes Ready.
    #[serde(default)]
    pub if_not_found: IfNotFound,

    /// While true nothing is sent to Auth0 for this object. Setting it back to false goes on where it stopped.
    #[serde(default)]
    pub suspend: bool,
}

/// Which tenant object a removal uses. It has no namespace: it is always looked up beside the removal.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TenantRef {
    /// The kind of the tenant object. Default: Auth0Tenant.
    #[serde(default)]
    pub kind: TenantKind,

    /// The name of the tenant object. Default: "default".
    #[serde(default = "default_tenant_name")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new(
        r"self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')")
        .message("must be the name of an Auth0Tenant in this namespace: lower-case letters, digits, '-' and '.'; there is no way to name another namespace"))]
    pub name: String,
}

impl Default for TenantRef {
    fn default() -> Self {
        Self { kind: TenantKind::default(), name: default_tenant_name() }
    }
}

fn default_tenant_name() -> String {
    "default".to_owned()
}

/// The kinds a `tenantRef` can name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum TenantKind {
    /// A tenant object in the removal's own namespace.
    #[default]
    Auth0Tenant,
}

/// What a 404 for the user or organization means before it was ever seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum IfNotFound {
    /// Stop and say so: it may be a typing error.
    #[default]
    Fail,
    /// Nothing is left to remove.
    Ignore,
}
