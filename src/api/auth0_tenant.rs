//! `Auth0Tenant`: the connection to one Auth0 tenant. It removes nothing itself.

#![allow(dead_code, reason = "the schema comes from a copy of the spec, whose other derived functions are not called")]

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::admission::Admission;
use super::brake_status::BrakeStatus;
use super::closed::closed;
use super::conditions::{ConditionType, find_condition};
use super::guards::{Brake, Hold, Mode, Protected};
use super::object_name::object_name;
use super::verification::Verification;

/// How to reach one Auth0 tenant: its domain and the Secret that holds a Management API token.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "rescind.dev",
    version = "v1alpha1",
    kind = "Auth0Tenant",
    plural = "auth0tenants",
    shortname = "a0t",
    category = "rescind",
    namespaced,
    status = "Auth0TenantStatus",
    doc = "The connection to one Auth0 tenant; removals in this namespace refer to it.",
    printcolumn(name = "Domain", json_path = ".spec.domain", type_ = "string"),
    printcolumn(name = "Expires", json_path = ".status.credential.expiresAt", type_ = "string")
)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct Auth0TenantSpec {
    /// The fields that both kinds of tenants share.
    #[serde(flatten)]
    pub tenant: TenantSpec,

    /// Stops an unintended mass removal.
    #[serde(default)]
    pub brake: Brake,
}

closed!(Auth0Tenant, Auth0TenantSpec);

impl TenantObject for Auth0Tenant {
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
        None
    }

    fn brake(&self) -> (&Brake, Option<i32>) {
        (&self.spec.brake, None)
    }
}

/// A tenant object, whatever its kind.
pub trait TenantObject: Send + Sync {
    /// Its metadata.
    fn metadata(&self) -> &ObjectMeta;

    /// The fields of its spec that both kinds share.
    fn tenant_spec(&self) -> &TenantSpec;

    /// Its status.
    fn tenant_status(&self) -> Option<&Auth0TenantStatus>;

    /// Which namespaces may use it, and for what. None: it is an Auth0Tenant, which serves its own namespace.
    fn admission(&self) -> Option<&Admission>;

    /// Its brake, and the limit of all its namespaces together if it can have several.
    fn brake(&self) -> (&Brake, Option<i32>);

    /// Whether a write would drop guards from what is stored: an older CRD, which does not know them, serves an object
    /// that was looked at under another.
    fn loses_by_writes(&self) -> bool {
        let is_written = self.tenant_status().and_then(|status| status.observed_generation).is_some_and(|of| of >= 0);
        is_written && self.tenant_spec().unknown.iter().any(|finding| super::closed::is_pruned(finding))
    }
}

/// The fields that both kinds of tenants share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct TenantSpec {
    /// The tenant's domain as a bare host name, for example "acme.eu.auth0.com", with ":port" if it is not 443. The
    /// operator must be allowed to talk to it (--allowed-domains).
    #[schemars(length(min = 1, max = 259))]
    #[x_kube(validation = Rule::new(
        r"self.matches('^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?[.])*[a-z]([-a-z0-9]{0,61}[a-z0-9])?(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?$')")
        .message("must be a bare lower-case host name such as acme.eu.auth0.com, with :port (1 to 65535) if that is not 443: no https://, no path, no trailing dot, no IP address, no letters beyond ASCII (write them as xn--)"),
        validation = Rule::new("self.split(':')[0].size() <= 253").message("must be a host name of at most 253 characters"))]
    pub domain: String,

    /// The audience of the Management API. Default: "https://DOMAIN/api/v2/". The operator does not use a token that
    /// was issued for another audience. Required if `domain` is a custom domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 600))]
    #[x_kube(validation = Rule::new("self.matches('^https://[-.a-z0-9]+(:[0-9]+)?/api/v2/$')")
        .message("must look like https://acme.eu.auth0.com/api/v2/ with the trailing slash"))]
    pub audience: Option<String>,

    /// PEM certificates, base64-encoded, to trust instead of the system's; for a private cloud with its own CA.
    // No `format: byte`: with it the API server also accepts lists, and its refusals do not say what to write instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 262_144))]
    #[x_kube(validation = Rule::new(
        "self.matches('^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==)$')")
        .message("must be PEM certificates in base64 on one line, as base64 -w0 ca.crt prints it"))]
    pub ca_bundle: Option<String>,

    /// Where the credential is.
    pub credentials: Credentials,

    /// How much of Auth0's rate limit to use. The logins of your own users share it.
    #[serde(default)]
    pub rate_limit: RateLimit,

    /// Which reads verify a removal. After (the default): it is done once a complete read after the removal does not
    /// show it any more. BeforeAndAfter: also reads before the removal, and says what was already absent. Never: trusts
    /// Auth0's answer; objects end as RemovedUnverified.
    #[serde(default)]
    pub verification: Verification,

    /// Remove (the default), or Observe: every removal that uses this tenant only says what it would remove. Changed
    /// from Observe to Remove, all of them are carried out, unless they say Observe themselves.
    #[serde(default)]
    pub mode: Mode,

    /// What is never removed, such as break-glass accounts and the last holders of a role.
    #[serde(default)]
    pub protected: Protected,

    /// A stop that ends by itself: nothing is sent to this tenant until the time that it names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,

    /// The emergency stop: while true, nothing is sent to this tenant.
    #[serde(default)]
    pub suspend: bool,

    /// Fields and values that this version does not know, and defaults that are missing. If there are any, nothing is
    /// sent to the tenant.
    #[serde(default, skip_serializing)]
    #[schemars(skip)]
    pub unknown: Vec<String>,
}

impl TenantSpec {
    /// Until when nothing is sent, because the tenant is suspended or on hold.
    pub fn stopped_until(&self, now: Timestamp) -> Option<Timestamp> {
        if self.suspend { Some(Timestamp::MAX) } else { self.hold.as_ref().and_then(|hold| hold.in_force(now)) }
    }
}

/// How many calls may be made to the tenant. Tenant objects with the same credential share one limit, the strictest of
/// theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RateLimit {
    /// The maximum number of calls per second. Default: 10.
    #[serde(default = "default_max_requests")]
    #[schemars(range(min = 1, max = 5000))]
    pub max_requests_per_second: i32,

    /// The percentage of each of Auth0's rate-limit buckets that is left to other clients. Default: 20.
    #[serde(default = "default_reserve")]
    #[schemars(range(min = 0, max = 90))]
    pub reserve_percent: i32,
}

impl Default for RateLimit {
    fn default() -> Self {
        Self { max_requests_per_second: default_max_requests(), reserve_percent: default_reserve() }
    }
}

fn default_max_requests() -> i32 {
    10
}

fn default_reserve() -> i32 {
    20
}

/// Where the credential is: exactly one of the two.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.tokenSecretRef) != has(self.clientCredentialsSecretRef)")
    .message("must have exactly one of tokenSecretRef (a Management API token) and clientCredentialsSecretRef (an application)"))]
pub struct Credentials {
    /// A Secret that holds a Management API token. It is in the namespace of the Auth0Tenant; that of a
    /// ClusterAuth0Tenant is in the operator's. It is read only if it carries the label rescind.dev/credentials:
    /// "true". If it also has a key "domain", that must equal `domain`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_secret_ref: Option<SecretKeyRef>,

    /// A Secret that holds an application's credentials: the keys clientId and clientSecret, or clientId and privateKey
    /// (RSA in PEM; optionally with algorithm, RS256 by default, and keyId). The operator gets its tokens with them. The
    /// Secret is in the namespace of the Auth0Tenant; that of a ClusterAuth0Tenant is in the operator's. It is read only
    /// if it carries the label rescind.dev/credentials: "true". If it also has a key "domain", that must equal `domain`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_credentials_secret_ref: Option<SecretRef>,
}

impl Credentials {
    /// What the Secret holds.
    pub fn kind(&self) -> CredentialKind {
        if self.token_secret_ref.is_some() { CredentialKind::Token } else { CredentialKind::ClientCredentials }
    }

    /// The name of the Secret, if one is given.
    pub fn secret(&self) -> Option<&str> {
        let token = self.token_secret_ref.as_ref().map(|secret| &secret.name);
        let secret = token.or(self.client_credentials_secret_ref.as_ref().map(|secret| &secret.name));
        secret.map(String::as_str)
    }
}

/// The name of a Secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretRef {
    /// The Secret's name.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = object_name("a Secret"))]
    pub name: String,
}

/// The name of a Secret, and a key in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyRef {
    /// The Secret's name.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = object_name("a Secret"))]
    pub name: String,

    /// The key in the Secret's data. Default: "token".
    #[serde(default = "default_key")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[.]?[-_a-zA-Z0-9][-._a-zA-Z0-9]*$')")
        .message("must be a key of the Secret's data: letters, digits, '-', '_' and '.', not beginning with two dots"))]
    pub key: String,
}

fn default_key() -> String {
    "token".to_owned()
}

/// Whether Auth0 can be called.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Auth0TenantStatus {
    /// The metadata.generation that this status is about; -1 until the operator has looked at the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// Ready; Reconciling and Stalled, present only while true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,

    /// The last value of the annotation rescind.dev/reconcile-requested-at that was answered. A new value has the
    /// operator check the credential again at once, without a call to the Management API; with the credentials of an
    /// application it gets a fresh token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,

    /// The Auth0 domain that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,

    /// What the credential says of itself. Absent while the tenant cannot be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<CredentialStatus>,

    /// The scopes of the token, compared with what removals need. Absent while nothing is missing and nothing too much,
    /// and if the token does not name its scopes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<ScopesStatus>,

    /// What the brake has counted. Absent while nothing was removed within its window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brake: Option<BrakeStatus>,

    /// Until when nothing is sent to the domain, because Auth0's rate limit was reached (429).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_until: Option<Time>,

    /// Fields that this version does not know, written back as they are.
    #[serde(flatten)]
    #[schemars(skip)]
    pub unknown: BTreeMap<String, Value>,
}

/// What a credential says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CredentialStatus {
    /// Token: a Management API token in the Secret, which somebody has to replace before it expires. ClientCredentials:
    /// an application, for which the operator gets a token whenever it needs one.
    pub kind: CredentialKind,

    /// When the token expires, if it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,

    /// The scopes that it says it has, in alphabetical order; of more than 50 the first 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50), extend("items" = { "type": "string", "description": "A scope, such as update:users." }))]
    pub scopes: Vec<String>,
}

impl CredentialStatus {
    /// The most scopes that a status holds.
    pub const MAX_SCOPES: usize = 50;
}

/// The scopes of a token, compared with what removals need.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScopesStatus {
    /// Scopes without which removals of some kind are refused, or cannot be verified; at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), extend("items" = { "type": "string", "description": "A scope, such as update:users." }))]
    pub missing: Vec<String>,

    /// Powerful scopes that the operator never needs; at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), extend("items" = { "type": "string", "description": "A scope, such as create:client_grants." }))]
    pub unneeded: Vec<String>,
}

impl ScopesStatus {
    /// The most scopes that each list holds.
    pub const MAX: usize = 20;
}

/// The kinds of credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CredentialKind {
    /// A Management API token that stands in the Secret.
    Token,
    /// The credentials of an application, which gets tokens with them.
    ClientCredentials,
}

impl CredentialKind {
    /// The name, as in a status.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Token => "Token",
            Self::ClientCredentials => "ClientCredentials",
        }
    }
}

impl Auth0TenantStatus {
    /// The condition of this type, if present.
    pub fn condition(&self, kind: ConditionType) -> Option<&Condition> {
        find_condition(&self.conditions, kind)
    }

    /// The reason of the condition `Ready`, whatever version wrote it.
    pub fn reason_text(&self) -> Option<&str> {
        self.condition(ConditionType::Ready).map(|ready| ready.reason.as_str())
    }
}
