//! What the four removal kinds share in their spec.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::guards::{Hold, Mode};
use super::times::{DurationText, Rfc3339, within};
use super::unsupported::Unsupported;
use super::verification::Verification;

/// The fields every removal kind has beside its target. All are optional.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RemovalOptions {
    /// The Auth0 tenant to remove from: an object of this namespace. Default: the Auth0Tenant named "default".
    #[serde(default)]
    pub tenant_ref: TenantRef,

    /// How long it applies. Once (the default): what is gone is finished. Continuous: looks again every `interval`, and
    /// removes again what came back.
    #[serde(default)]
    pub policy: Policy,

    /// How often to look again, with `policy: Continuous` only; at least 5m. Default: 1h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = [within("5m", "8760h")]))]
    pub interval: Option<DurationText>,

    /// Remove (the default), or Observe: say in the status what would be removed, and change nothing.
    #[serde(default)]
    pub mode: Mode,

    /// Which reads accompany the removal. Default: the tenant's. An object can ask for more than its tenant, never for
    /// less.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = [{
        "rule": "self != 'Never'",
        "message": "must be After or BeforeAndAfter: an object can ask for more than its tenant, never for less; leave it out to do as the tenant",
    }]))]
    pub verification: Option<Verification>,

    /// Nothing is sent before this instant (RFC 3339 with its offset).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Rfc3339>,

    /// Nothing is sent after this instant (RFC 3339 with its offset), so that a cluster restored from old manifests does not
    /// act on them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Rfc3339>,

    /// What it means when Auth0 answers that the user or the organization does not exist and it was never seen
    /// before. Fail (the default): the object becomes Stalled, because a typing error looks the same. Ignore: there is
    /// nothing left to remove, so the object becomes Ready.
    #[serde(default)]
    pub if_not_found: IfNotFound,

    /// Nothing is sent for this object until then; it goes on by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Box<Hold>>,

    /// While true nothing is sent to Auth0 for this object. Setting it back to false goes on where it stopped.
    #[serde(default)]
    pub suspend: bool,

    /// Fields and values that this version does not know, and defaults that are missing: nothing is sent for such an
    /// object.
    #[serde(default, skip_serializing)]
    #[schemars(skip)]
    pub unknown: Vec<String>,
}

impl RemovalOptions {
    /// What in the spec this version does not act on, field by field; if there is any, nothing is sent.
    pub fn unsupported(&self) -> Vec<String> {
        let mut list = Unsupported::new(&self.unknown);
        list.value("spec.tenantRef.kind", self.tenant_ref.kind, TenantKind::Auth0Tenant);
        list.value("spec.policy", self.policy, Policy::Once);
        list.field("spec.interval", self.interval.is_some());
        list.value("spec.mode", self.mode, Mode::Remove);
        list.field("spec.verification", self.verification.is_some());
        list.field("spec.notBefore", self.not_before.is_some());
        list.field("spec.notAfter", self.not_after.is_some());
        list.field("spec.hold", self.hold.is_some());
        list.into()
    }

    /// Whether an older CRD served the object: it cuts off at every read, and for good at every write, what it does not
    /// know, in the status too.
    pub fn is_cut_off(&self) -> bool {
        self.unknown.iter().any(|finding| super::closed::is_cut_off(finding))
    }
}

/// How long a removal applies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Policy {
    /// Once it is gone, the object is finished.
    #[default]
    Once,
    /// It must stay gone: looked at again and again.
    Continuous,
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
        .message("must be the name of an Auth0Tenant in this namespace, or of a ClusterAuth0Tenant: lower-case letters, digits, '-' and '.'; there is no way to name another namespace"))]
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
    /// A tenant object of the cluster that admits the removal's namespace.
    ClusterAuth0Tenant,
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
