//! The part of the spec that the four removal kinds share.

use std::time::Duration;

use jiff::Timestamp;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::guards::{Hold, Mode};
use super::object_name::object_name;
use super::times::{DurationText, Rfc3339, within};
use super::verification::Verification;

/// How often to read again if `spec.interval` does not say it, and at least.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(3600);
const MIN_INTERVAL: Duration = Duration::from_secs(300);

/// The fields that every removal kind has besides its target. All of them are optional.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RemovalOptions {
    /// The tenant object to use: an Auth0Tenant in this namespace, or a ClusterAuth0Tenant that admits this namespace.
    /// Default: the Auth0Tenant named "default".
    #[serde(default)]
    pub tenant_ref: TenantRef,

    /// For how long the removal applies. Once (the default): the object is finished when everything named is gone.
    /// Continuous: the operator reads again every `interval`, and removes what came back, until `notAfter` or until the
    /// object is deleted.
    #[serde(default)]
    pub policy: Policy,

    /// How often to read again, with `policy: Continuous` only; at least 5m. Default: 1h. A read comes up to a tenth of
    /// that earlier or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = [within("5m", "8760h")]))]
    pub interval: Option<DurationText>,

    /// Remove (the default), or Observe: say in the status what would be removed, and change nothing. Changed from
    /// Observe to Remove, the object is carried out. While the tenant says Observe, every object that uses it does.
    #[serde(default)]
    pub mode: Mode,

    /// Which reads verify the removal. Default: as the tenant says. An object can ask for more than its tenant, never
    /// for less.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = [{
        "rule": "self != 'Never'",
        "message": "must be After or BeforeAndAfter: an object can ask for more than its tenant, never for less; leave it out to do as the tenant",
    }]))]
    pub verification: Option<Verification>,

    /// Nothing is sent before this instant (RFC 3339 with its offset). Cannot be changed any more once the object was
    /// carried out, except with `policy: Continuous`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Rfc3339>,

    /// Nothing is removed after this instant (RFC 3339 with its offset), and an object that is created later never acts,
    /// so that a cluster restored from old manifests does not act on them. What Auth0 accepted before is still
    /// verified. Cannot be changed any more once the object was carried out, except with `policy: Continuous`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Rfc3339>,

    /// What to do if Auth0 does not know the user, the organization, or what is to be removed. Fail (the default): the
    /// object becomes Stalled, because a misspelt id looks the same, unless Auth0 has shown the user or organization
    /// before. Ignore: nothing is left to remove, so the object becomes Ready.
    #[serde(default)]
    pub if_not_found: IfNotFound,

    /// A stop that ends by itself: nothing is sent for this object until the time that it names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Box<Hold>>,

    /// While true, nothing is sent to Auth0 for this object. Set it to false to resume.
    #[serde(default)]
    pub suspend: bool,

    /// Fields and values that this version does not know, and defaults that are missing. If there are any, nothing is
    /// sent for the object.
    #[serde(default, skip_serializing)]
    #[schemars(skip)]
    pub unknown: Vec<String>,
}

impl RemovalOptions {
    /// `spec.notBefore`, if that is still to come. A text that is no time, which the schema does not allow, never comes.
    pub fn scheduled_for(&self, now: Timestamp) -> Option<Timestamp> {
        let at = self.not_before.as_ref()?.timestamp().unwrap_or(Timestamp::MAX);
        Some(at).filter(|at| *at > now)
    }

    /// `spec.notAfter`. A text that is no time has passed for ever.
    pub fn ends_at(&self) -> Option<Timestamp> {
        Some(self.not_after.as_ref()?.timestamp().unwrap_or(Timestamp::MIN))
    }

    /// Whether `spec.notAfter` has passed.
    pub fn has_ended(&self, now: Timestamp) -> bool {
        self.ends_at().is_some_and(|end| now > end)
    }

    /// `spec.interval`, or its default.
    pub fn check_interval(&self) -> Duration {
        self.interval.as_ref().and_then(DurationText::duration).unwrap_or(DEFAULT_INTERVAL).max(MIN_INTERVAL)
    }

    /// Whether an older CRD serves the object. Such a CRD prunes fields that it does not know, in the status too: from
    /// every answer to a read, and from what is stored at every write.
    pub fn is_pruned(&self) -> bool {
        self.unknown.iter().any(|finding| super::closed::is_pruned(finding))
    }
}

/// How long a removal applies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Policy {
    /// The object is finished when everything that it names is gone.
    #[default]
    Once,
    /// What the object names must stay gone: the operator reads again and again.
    Continuous,
}

/// The tenant object that a removal uses. It has no namespace: an Auth0Tenant is always looked up in that of the
/// removal, and a ClusterAuth0Tenant has none.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TenantRef {
    /// The kind of the tenant object. Default: Auth0Tenant.
    #[serde(default)]
    pub kind: TenantKind,

    /// The name of the tenant object. Default: "default".
    #[serde(default = "default_tenant_name")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = object_name("an Auth0Tenant in this namespace, or of a ClusterAuth0Tenant"))]
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

/// The kinds that a `tenantRef` can name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum TenantKind {
    /// A tenant object in the namespace of the removal.
    #[default]
    Auth0Tenant,
    /// A cluster-scoped tenant object that admits the namespace of the removal.
    ClusterAuth0Tenant,
}

impl TenantKind {
    /// The name of the kind, as in manifests.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auth0Tenant => "Auth0Tenant",
            Self::ClusterAuth0Tenant => "ClusterAuth0Tenant",
        }
    }
}

impl std::fmt::Display for TenantKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a 404 means for an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum IfNotFound {
    /// The object becomes Stalled, because the id may be misspelt.
    #[default]
    Fail,
    /// Nothing is left to remove.
    Ignore,
}
