//! `ClusterAuth0Tenant`: one connection to an Auth0 tenant for many namespaces. It removes nothing itself.

#![allow(dead_code, reason = "the schema comes from a copy of the spec, whose other derived functions are not called")]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::admission::Admission;
use super::auth0_tenant::{Auth0TenantStatus, TenantObject, TenantSpec};
use super::closed::closed;
use super::guards::Brake;

/// How to reach one Auth0 tenant, and which namespaces may use it. Its Secret is in the namespace of the operator.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "rescind.dev",
    version = "v1alpha1",
    kind = "ClusterAuth0Tenant",
    plural = "clusterauth0tenants",
    shortname = "ca0t",
    category = "rescind",
    status = "Auth0TenantStatus",
    doc = "The connection to one Auth0 tenant for removals in the namespaces that it admits.",
    printcolumn(name = "Domain", json_path = ".spec.domain", type_ = "string"),
    printcolumn(name = "Expires", json_path = ".status.credential.expiresAt", type_ = "string")
)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct ClusterAuth0TenantSpec {
    /// The fields that both kinds of tenants share.
    #[serde(flatten)]
    pub tenant: TenantSpec,

    /// Who may use it, and for what.
    #[serde(flatten)]
    pub admission: Admission,

    /// Stops an unintended mass removal.
    #[serde(default)]
    pub brake: ClusterBrake,
}

closed!(ClusterAuth0Tenant, ClusterAuth0TenantSpec);

/// The brake of a tenant that many namespaces use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterBrake {
    /// What holds for each namespace by itself.
    #[serde(flatten)]
    pub each: Brake,

    /// More items than this within `window`, of all namespaces together, engage the brake for all of them. Default: ten
    /// times `maxRemovals`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub max_removals_total: Option<i32>,
}

impl TenantObject for ClusterAuth0Tenant {
    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn tenant_spec(&self) -> &TenantSpec {
        &self.spec.tenant
    }

    fn tenant_status(&self) -> Option<&Auth0TenantStatus> {
        self.status.as_ref()
    }

    fn admission(&self) -> Option<&Admission> {
        Some(&self.spec.admission)
    }

    fn brake(&self) -> (&Brake, Option<i32>) {
        let ClusterBrake { each, max_removals_total } = &self.spec.brake;
        (each, Some(max_removals_total.unwrap_or(each.max_removals.saturating_mul(10))))
    }
}
