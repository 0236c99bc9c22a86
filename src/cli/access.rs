//! How a command gets at Auth0: the domain from the tenant object, and a token from the person or from the tenant's
//! Secret.

use std::path::Path;

use jiff::SignedDuration;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;

use crate::api::TenantObject;
use crate::auth0::{AllowedDomains, Domain, Reader, Timeouts, Token, TokenRequest};
use crate::clock;
use crate::dispatch::Limits;
use crate::tenant::{Place, SecretCredential, TenantKey, place, settings};

use super::cluster::Cluster;
use super::error::CliError;
use super::flags::Auth0Flags;
use super::reads::Reads;
use super::screen::Screen;

/// The environment variable with a token.
const TOKEN_VARIABLE: &str = "RESCIND_AUTH0_TOKEN";
/// The least that is left to other clients of Auth0, in percent, whatever the tenant says.
const LEAST_RESERVE: f64 = 20.0;

/// Reads of one tenant, and where their token comes from.
#[derive(Debug)]
pub struct Access<'a> {
    /// The reads.
    pub reads: Reads<'a>,
    /// Where the token comes from, for the first line of the output.
    pub origin: String,
    /// Whether the token is that of the operator, so that its scopes are the operator's.
    pub is_operators: bool,
}

/// Access to the Auth0 tenant of this object. `operator_namespace`: where the Secrets of cluster-scoped tenants are.
pub async fn access<'a>(
    cluster: &Cluster,
    (key, tenant): (&TenantKey, &dyn TenantObject),
    flags: &Auth0Flags,
    operator_namespace: &str,
    screen: &'a Screen,
) -> Result<Access<'a>, CliError> {
    let allowed = AllowedDomains::parse(flags.allowed_domains.split(','))
        .map_err(|error| CliError::usage(format!("--allowed-domains: {error}")))?;
    let of_tenant = |message: &str| CliError::failed(format!("{} {key}: {message}", key.kind()));
    let place = place(tenant, &allowed).map_err(|error| of_tenant(&error.message))?;
    let reader = Reader::new(&place.domain, place.ca_bundle.as_deref(), Timeouts::default())
        .map_err(|error| of_tenant(&error.to_string()))?;
    let (token, origin, is_operators) = match own_token(flags, &place)? {
        Some((token, origin)) => (token, origin, false),
        None => {
            let namespace = key.namespace.as_deref().unwrap_or(operator_namespace);
            let secret = secret_of(cluster, tenant, namespace).await?;
            let settings = settings(tenant, namespace, secret.as_ref(), &allowed, clock::wall())
                .map_err(|error| of_tenant(&error.message))?;
            let name = tenant.tenant_spec().credentials.secret().unwrap_or_default();
            let token = token_of(&settings.credential, &reader, &place).await?;
            (token, format!("Secret {name}"), true)
        }
    };
    let rate = &tenant.tenant_spec().rate_limit;
    let limits = Limits {
        max_per_second: flags.max_requests_per_second.min(f64::from(rate.max_requests_per_second)),
        reserve_percent: (2.0 * f64::from(rate.reserve_percent)).clamp(LEAST_RESERVE, 90.0),
    };
    let reads = Reads::new(reader, token, place.domain, limits, screen);
    Ok(Access { reads, origin, is_operators })
}

/// The token that the person names, if they do.
fn own_token(flags: &Auth0Flags, place: &Place) -> Result<Option<(Token, String)>, CliError> {
    let (bytes, origin) = match (&flags.token_file, std::env::var_os(TOKEN_VARIABLE)) {
        (Some(file), _) => (read(file)?, format!("file {}", file.display())),
        (None, Some(value)) if !value.is_empty() => (value.into_encoded_bytes(), TOKEN_VARIABLE.to_owned()),
        (None, _) => return Ok(None),
    };
    let token = Token::read(&bytes, &place.audience, clock::wall());
    let token = token.and_then(|token| token.check_issuer(&place.domain).map(|()| token));
    let token = token.map_err(|error| CliError::failed(format!("{origin}: the token {error}")))?;
    Ok(Some((token, origin)))
}

fn read(file: &Path) -> Result<Vec<u8>, CliError> {
    std::fs::read(file).map_err(|error| CliError::failed(format!("--token-file {}: {error}", file.display())))
}

async fn secret_of(cluster: &Cluster, tenant: &dyn TenantObject, namespace: &str) -> Result<Option<Secret>, CliError> {
    let name = tenant.tenant_spec().credentials.secret().unwrap_or_default();
    let api: Api<Secret> = Api::namespaced(cluster.client.clone(), namespace);
    let what = format!("get Secret {name} in namespace {namespace}");
    cluster.find(&what, api.get(name)).await.map_err(|error| {
        CliError::failed(format!("{error}. Put a token that can read into {TOKEN_VARIABLE}, or use --token-file"))
    })
}

/// The token that a Secret holds, or the one that Auth0 gives for what it holds.
async fn token_of(credential: &SecretCredential, reader: &Reader, place: &Place) -> Result<Token, CliError> {
    match credential {
        SecretCredential::Token(token) => Ok(token.clone()),
        SecretCredential::Application(application) => {
            let Place { domain, audience, .. } = place;
            let request = TokenRequest { application, domain, audience, clock_skew: SignedDuration::ZERO };
            let answer = reader.token(&request).await;
            answer.outcome.map_err(|error| no_token(domain, &error.to_string()))
        }
    }
}

fn no_token(domain: &Domain, why: &str) -> CliError {
    CliError::failed(format!("{domain} gave no access token: {why}"))
}
