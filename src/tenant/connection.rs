//! From a tenant object and its Secret to the settings of a connection, or to what is wrong with them. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;

use crate::api::{Auth0Tenant, CREDENTIALS_LABEL, Reason, Verification};
use crate::auth0::{AllowedDomains, Domain, Token};
use crate::dispatch::{ConnectionKey, Limits};

/// What a connection is made of.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to.
    pub domain: Domain,
    /// PEM certificates to trust instead of the system's.
    pub ca_bundle: Option<Vec<u8>>,
    /// The credential.
    pub token: Token,
    /// How fast.
    pub limits: Limits,
    /// Which reads accompany a removal.
    pub verification: Verification,
}

impl Settings {
    /// Tells the connection from all others.
    pub fn key(&self) -> ConnectionKey {
        ConnectionKey::new(&self.domain, self.ca_bundle.as_deref(), &self.token)
    }
}

/// Why a tenant cannot be used, in words that name the object and what to do, never a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// For the conditions.
    pub reason: Reason,
    /// For people.
    pub message: String,
}

impl Problem {
    pub(super) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

/// Reads the settings of `tenant`. `secret` is the one it names, if there is one in the tenant's namespace that carries
/// the label (promise 7: no other can be passed here).
pub fn settings(
    tenant: &Auth0Tenant,
    secret: Option<&Secret>,
    allowed: &AllowedDomains,
    now: Timestamp,
) -> Result<Settings, Problem> {
    let spec = &tenant.spec;
    let unsupported = spec.unsupported();
    if !unsupported.is_empty() {
        let message = format!("This version does not act on {}: nothing is sent", unsupported.join(", "));
        return Err(Problem::new(Reason::UnknownField, message));
    }
    let domain: Domain = spec
        .domain
        .parse()
        .map_err(|error| Problem::new(Reason::InvalidConnection, format!("spec.domain: {error}")))?;
    if !allowed.allows(&domain) {
        let message = format!(
            "spec.domain: {domain} is not among the domains this operator may talk to ({allowed}); add it to --allowed-domains"
        );
        return Err(Problem::new(Reason::DomainNotAllowed, message));
    }
    let ca_bundle = spec.ca_bundle.as_deref().map(decode_bundle).transpose()?;
    let secret = secret.filter(|secret| has_credentials_label(secret)).ok_or_else(|| missing(tenant))?;
    let reference = spec.credentials.token_secret_ref.as_ref().ok_or_else(|| missing(tenant))?;
    check_domain(secret, &reference.name, &spec.domain)?;
    let bytes = secret.data.as_ref().and_then(|data| data.get(&reference.key)).ok_or_else(|| {
        let message = format!("Secret {} has no key {:?}; put the token there", reference.name, reference.key);
        Problem::new(Reason::InvalidCredentials, message)
    })?;
    let audience = spec.audience.clone().unwrap_or_else(|| domain.default_audience());
    let token = Token::read(&bytes.0, &audience, now).map_err(|error| {
        let message = format!("Secret {}, key {:?}: the token {error}", reference.name, reference.key);
        Problem::new(Reason::InvalidCredentials, message)
    })?;
    let limits = Limits {
        max_per_second: f64::from(spec.rate_limit.max_requests_per_second),
        reserve_percent: f64::from(spec.rate_limit.reserve_percent),
    };
    Ok(Settings { domain, ca_bundle, token, limits, verification: spec.verification })
}

/// Whether the Secret's owner consents to its being read.
fn has_credentials_label(secret: &Secret) -> bool {
    secret.labels().get(CREDENTIALS_LABEL).is_some_and(|value| value == "true")
}

fn missing(tenant: &Auth0Tenant) -> Problem {
    let name = tenant.spec.credentials.secret().unwrap_or_default();
    let namespace = tenant.namespace().unwrap_or_default();
    let message = format!(
        "no Secret {name} with the label {CREDENTIALS_LABEL}=true in namespace {namespace}; create it, or: kubectl label secret -n \
         {namespace} {name} {CREDENTIALS_LABEL}=true"
    );
    Problem::new(Reason::SecretNotFound, message)
}

fn decode_bundle(text: &str) -> Result<Vec<u8>, Problem> {
    STANDARD.decode(text).map_err(|_| {
        Problem::new(Reason::InvalidConnection, "spec.caBundle: not base64; write the PEM text base64-encoded")
    })
}

/// Whoever made the Secret may bind it to one domain, so that no tenant object can send it elsewhere.
fn check_domain(secret: &Secret, name: &str, domain: &str) -> Result<(), Problem> {
    let Some(bound) = secret.data.as_ref().and_then(|data| data.get("domain")) else { return Ok(()) };
    let bound = std::str::from_utf8(&bound.0).unwrap_or_default();
    if bound.trim_end_matches(['\r', '\n']) == domain {
        return Ok(());
    }
    let message =
        format!("Secret {name}, key \"domain\": it is for another domain than spec.domain ({domain}); make them equal");
    Err(Problem::new(Reason::InvalidConnection, message))
}
