//! Makes the settings of a connection from a tenant object and its Secret, or says what is wrong with them. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;

use crate::api::{CREDENTIALS_LABEL, Reason, SecretKeyRef, TenantObject, Verification};
use crate::auth0::{AllowedDomains, Application, Domain, Token, fingerprint};
use crate::dispatch::{ConnectionKey, Limits};

/// The settings of a connection.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where calls go.
    pub domain: Domain,
    /// PEM certificates to trust instead of the system's.
    pub ca_bundle: Option<Vec<u8>>,
    /// The credential.
    pub credential: SecretCredential,
    /// The API that tokens are for.
    pub audience: String,
    /// How many calls may be made.
    pub limits: Limits,
    /// Which reads accompany a removal.
    pub verification: Verification,
}

impl Settings {
    /// Identifies the connection: domain, CA bundle and credential.
    pub fn key(&self) -> ConnectionKey {
        let credential = match &self.credential {
            SecretCredential::Token(token) => token.fingerprint(),
            // Tokens for another audience are other tokens.
            SecretCredential::Application(application) => fingerprint(&(application.fingerprint(), &self.audience)),
        };
        ConnectionKey::new(&self.domain, self.ca_bundle.as_deref(), credential)
    }
}

/// Where calls go, and which tokens are for there.
#[derive(Clone, Debug)]
pub struct Place {
    /// The domain.
    pub domain: Domain,
    /// PEM certificates to trust instead of the system's.
    pub ca_bundle: Option<Vec<u8>>,
    /// The API that tokens are for.
    pub audience: String,
}

/// What a Secret holds.
#[derive(Clone, Debug)]
pub enum SecretCredential {
    /// A Management API token.
    Token(Token),
    /// The credentials of an application, which gets tokens with them.
    Application(Application),
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
    if !spec.unknown.is_empty() {
        let message =
            format!("This version of rescind does not act on {}, so nothing is sent.", spec.unknown.join(", "));
        return Err(TenantError::new(Reason::UnknownField, message));
    }
    let Place { domain, ca_bundle, audience } = place(tenant, allowed)?;
    let secret = secret.filter(|secret| has_credentials_label(secret)).ok_or_else(|| missing(tenant, namespace))?;
    check_domain(secret, &secret.name_any(), &spec.domain)?;
    let credential = match &spec.credentials.token_secret_ref {
        Some(reference) => SecretCredential::Token(token(secret, reference, &audience, &domain, now)?),
        None => SecretCredential::Application(application(secret)?),
    };
    let limits = Limits {
        max_per_second: f64::from(spec.rate_limit.max_requests_per_second),
        reserve_percent: f64::from(spec.rate_limit.reserve_percent),
    };
    Ok(Settings { domain, ca_bundle, credential, audience, limits, verification: spec.verification })
}

/// Where the calls of `tenant` go.
pub fn place(tenant: &dyn TenantObject, allowed: &AllowedDomains) -> Result<Place, TenantError> {
    let spec = tenant.tenant_spec();
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
    let audience = spec.audience.clone().unwrap_or_else(|| domain.default_audience());
    Ok(Place { domain, ca_bundle, audience })
}

fn value<'a>(secret: &'a Secret, key: &str) -> Option<&'a [u8]> {
    Some(&secret.data.as_ref()?.get(key)?.0)
}

fn token(
    secret: &Secret,
    reference: &SecretKeyRef,
    audience: &str,
    domain: &Domain,
    now: Timestamp,
) -> Result<Token, TenantError> {
    let SecretKeyRef { name, key } = reference;
    let invalid = |message| TenantError::new(Reason::InvalidCredentials, message);
    let missing = || invalid(format!("Secret {name} has no key {key:?}; put the token there{}", keys(secret)));
    let bytes = value(secret, key).ok_or_else(missing)?;
    let token = Token::read(bytes, audience, now).and_then(|token| token.check_issuer(domain).map(|()| token));
    token.map_err(|error| invalid(format!("Secret {name}, key {key:?}: the token {error}")))
}

fn application(secret: &Secret) -> Result<Application, TenantError> {
    Application::read(|key| value(secret, key)).map_err(|error| {
        let keys = if value(secret, error.key).is_none() { keys(secret) } else { String::new() };
        TenantError::new(Reason::InvalidCredentials, format!("Secret {}, {error}{keys}", secret.name_any()))
    })
}

/// Names the keys that the Secret has, for a message that misses one: `--from-file=token.txt` makes a key `token.txt`.
fn keys(secret: &Secret) -> String {
    const MAX_NAMED: usize = 5;
    let all: Vec<&str> = secret.data.iter().flatten().map(|(key, _)| key.as_str()).collect();
    let more = if all.len() > MAX_NAMED { " and others" } else { "" };
    match all.as_slice() {
        [] => " (it has no keys)".to_owned(),
        [one] => format!(" (its only key is {one})"),
        _ => format!(" (it has {}{more})", all[..all.len().min(MAX_NAMED)].join(", ")),
    }
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
