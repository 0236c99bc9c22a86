//! Makes the settings of a connection from a tenant object and its Secret, or says what is wrong with them. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;

use crate::api::{CREDENTIALS_LABEL, Reason, TenantObject, Verification};
use crate::auth0::{AllowedDomains, Domain, Token};
use crate::dispatch::{ConnectionKey, Limits};

/// The settings of a connection.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where calls go.
    pub domain: Domain,
    /// PEM certificates to trust instead of the system's.
    pub ca_bundle: Option<Vec<u8>>,
    /// The credential.
    pub token: Token,
    /// How many calls may be made.
    pub limits: Limits,
    /// Which reads accompany a removal.
    pub verification: Verification,
}

impl Settings {
    /// Identifies the connection: domain, CA bundle and credential.
    pub fn key(&self) -> ConnectionKey {
        ConnectionKey::new(&self.domain, self.ca_bundle.as_deref(), &self.token)
    }
}

/// Why a tenant cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantError {
    /// The reason of its condition `Ready`.
    pub reason: Reason,
    /// For users: which object is wrong, and what to do. Never contains a value of a Secret.
    pub message: String,
}

impl TenantError {
    pub(super) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

/// The settings of `tenant`, whose Secret is in `namespace`. `secret` is the Secret that it names, if there is one
/// there that carries the label: no other Secret is ever passed here (promise 7).
pub fn settings(
    tenant: &dyn TenantObject,
    namespace: &str,
    secret: Option<&Secret>,
    allowed: &AllowedDomains,
    now: Timestamp,
) -> Result<Settings, TenantError> {
    let spec = tenant.tenant_spec();
    let unsupported = tenant.unsupported();
    if !unsupported.is_empty() {
        let message =
            format!("This version of rescind does not act on {}, so nothing is sent.", unsupported.join(", "));
        return Err(TenantError::new(Reason::UnknownField, message));
    }
    let domain: Domain = spec
        .domain
        .parse()
        .map_err(|error| TenantError::new(Reason::InvalidConnection, format!("spec.domain: {error}")))?;
    if !allowed.allows(&domain) {
        let message = format!(
            "spec.domain: {domain} is not among the domains that this operator may call ({allowed}); add it to \
             --allowed-domains"
        );
        return Err(TenantError::new(Reason::DomainNotAllowed, message));
    }
    let ca_bundle = spec.ca_bundle.as_deref().map(decode_bundle).transpose()?;
    let secret = secret.filter(|secret| has_credentials_label(secret)).ok_or_else(|| missing(tenant, namespace))?;
    let reference = spec.credentials.token_secret_ref.as_ref().ok_or_else(|| missing(tenant, namespace))?;
    check_domain(secret, &reference.name, &spec.domain)?;
    let bytes = secret.data.as_ref().and_then(|data| data.get(&reference.key)).ok_or_else(|| {
        let message = format!("Secret {} has no key {:?}; put the token there", reference.name, reference.key);
        TenantError::new(Reason::InvalidCredentials, message)
    })?;
    let audience = spec.audience.clone().unwrap_or_else(|| domain.default_audience());
    let token = Token::read(&bytes.0, &audience, now).map_err(|error| {
        let message = format!("Secret {}, key {:?}: the token {error}", reference.name, reference.key);
        TenantError::new(Reason::InvalidCredentials, message)
    })?;
    let limits = Limits {
        max_per_second: f64::from(spec.rate_limit.max_requests_per_second),
        reserve_percent: f64::from(spec.rate_limit.reserve_percent),
    };
    Ok(Settings { domain, ca_bundle, token, limits, verification: spec.verification })
}

/// Whether the owner of the Secret consents to its being read.
fn has_credentials_label(secret: &Secret) -> bool {
    secret.labels().get(CREDENTIALS_LABEL).is_some_and(|value| value == "true")
}

fn missing(tenant: &dyn TenantObject, namespace: &str) -> TenantError {
    let name = tenant.tenant_spec().credentials.secret().unwrap_or_default();
    let message = format!(
        "there is no Secret {name} with the label {CREDENTIALS_LABEL}=true in namespace {namespace}; create it, or \
         run: kubectl label secret -n {namespace} {name} {CREDENTIALS_LABEL}=true. If another program writes the \
         Secret, set the label where it is made, or it is lost again: spec.target.template.metadata.labels of an \
         ExternalSecret, spec.template.metadata.labels of a SealedSecret, spec.destination.labels of a \
         VaultStaticSecret, metadata.labels of a file for SOPS"
    );
    TenantError::new(Reason::SecretNotFound, message)
}

fn decode_bundle(text: &str) -> Result<Vec<u8>, TenantError> {
    STANDARD.decode(text).map_err(|_| {
        TenantError::new(Reason::InvalidConnection, "spec.caBundle: not base64; write the PEM text base64-encoded")
    })
}

/// The key `domain` of a Secret binds it to one domain, so that no tenant object can send its credential elsewhere.
fn check_domain(secret: &Secret, name: &str, domain: &str) -> Result<(), TenantError> {
    let Some(bound) = secret.data.as_ref().and_then(|data| data.get("domain")) else { return Ok(()) };
    let bound = std::str::from_utf8(&bound.0).unwrap_or_default();
    if bound.trim_end_matches(['\r', '\n']) == domain {
        return Ok(());
    }
    let message =
        format!("Secret {name}, key \"domain\": it names another domain than spec.domain ({domain}); make them equal");
    Err(TenantError::new(Reason::InvalidConnection, message))
}
