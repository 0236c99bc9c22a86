//! The one way bytes leave for Auth0: one client, so one connection pool, a tenant.
//!
//! The only writes it can make are the four DELETEs (promise 1). It never retries, never follows a redirect, and never
//! formats a token or a header.

use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, StatusCode};
use jiff::Timestamp;
use serde_json::Value;
use thiserror::Error;

use super::answer::classify;
use super::{CallError, Domain, Endpoint, Item, Query, RateHeaders, Read, Token};

/// Largest body read from Auth0, in bytes; its own limit is 1 MB (auth0-api.md 1.1).
const MAX_BODY: usize = 1 << 20;
/// Shows in the tenant's logs as `references.correlation_id` (auth0-api.md 1.1).
const CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");

/// How long a call may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timeouts {
    /// To connect, TLS included.
    pub connect: Duration,
    /// Between two pieces of an answer.
    pub read: Duration,
    /// For the whole call.
    pub total: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), read: Duration::from_secs(10), total: Duration::from_secs(30) }
    }
}

/// Calls one tenant.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    root: String,
}

/// Why no client can be made. What to do: correct the tenant's spec.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ClientError {
    /// The bundle holds no certificate.
    #[error("caBundle holds no PEM certificate")]
    CaBundle,
    /// The TLS stack refused its settings.
    #[error("TLS cannot be set up")]
    Tls,
}

/// An answer: what it said about our budget, and what it means.
#[derive(Clone, Debug)]
pub struct Answer<T> {
    /// Present on refusals, too.
    pub limits: RateHeaders,
    /// The result of the call.
    pub outcome: Result<T, CallError>,
}

/// One page of a list.
pub type Page = Value;

impl Client {
    /// A client for `domain` that trusts the certificates in `ca_bundle` (PEM), or the system's when there is none.
    pub fn new(domain: &Domain, ca_bundle: Option<&[u8]>, timeouts: Timeouts) -> Result<Self, ClientError> {
        let mut builder = reqwest::Client::builder()
            .https_only(true)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .connect_timeout(timeouts.connect)
            .read_timeout(timeouts.read)
            .timeout(timeouts.total)
            .user_agent(concat!("rescind/", env!("CARGO_PKG_VERSION")));
        if let Some(pem) = ca_bundle {
            let certificates = reqwest::Certificate::from_pem_bundle(pem).map_err(|_| ClientError::CaBundle)?;
            if certificates.is_empty() {
                return Err(ClientError::CaBundle);
            }
            builder = builder.tls_certs_only(certificates);
        }
        let http = builder.build().map_err(|_| ClientError::Tls)?;
        Ok(Self { http, root: format!("https://{}", domain.authority()) })
    }

    /// Removes `items` at `endpoint`: one DELETE. `Ok` means accepted, not gone: 204 is also the answer when nothing was
    /// there (auth0-api.md 1.7). `items` must be 1 to [`Endpoint::max_items`] long.
    pub async fn remove(&self, token: &Token, endpoint: &Endpoint, items: &[Item], correlation_id: &str) -> Answer<()> {
        debug_assert!((1..=endpoint.max_items()).contains(&items.len()), "batch size");
        let mut request = self
            .http
            .delete(format!("{}{}", self.root, endpoint.path()))
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .body(endpoint.body(items).to_string());
        if let Ok(id) = HeaderValue::from_str(correlation_id) {
            request = request.header(CORRELATION_ID, id);
        }
        let (limits, answer) = self.send(request, token).await;
        let outcome = answer.and_then(|(status, body)| match status.as_u16() {
            // 200 and 202 are not documented here, but siblings use them; the read decides (auth0-api.md trap 13).
            200 | 202 | 204 => Ok(()),
            _ => Err(refusal(status, &body, &limits, &endpoint.row().removal_scopes.join(" and "))),
        });
        Answer { limits, outcome }
    }

    /// Fetches a page of a list; `query` is [`super::Walk::query`].
    pub async fn page(&self, token: &Token, read: &Read, query: &Query) -> Answer<Page> {
        let url = format!("{}{}", self.root, read.path());
        let (limits, answer) = self.send(self.http.get(url).query(&**query), token).await;
        let outcome = answer.and_then(|(status, body)| match status {
            StatusCode::OK => serde_json::from_slice(&body).map_err(|_| {
                CallError::no_answer("Auth0's answer was not JSON; check the domain and any proxy in between")
            }),
            _ => Err(refusal(status, &body, &limits, &read.row().scopes.join(" and "))),
        });
        Answer { limits, outcome }
    }

    async fn send(
        &self,
        request: reqwest::RequestBuilder,
        token: &Token,
    ) -> (RateHeaders, Result<(StatusCode, Vec<u8>), CallError>) {
        let Ok(mut bearer) = HeaderValue::from_str(&format!("Bearer {}", token.expose())) else {
            return (RateHeaders::default(), Err(CallError::Unauthorized("the token cannot stand in a header")));
        };
        bearer.set_sensitive(true);
        let response = match request.header(AUTHORIZATION, bearer).send().await {
            Ok(response) => response,
            Err(error) => return (RateHeaders::default(), Err(CallError::no_answer(transport(&error)))),
        };
        let limits = RateHeaders::read(response.headers());
        let status = response.status();
        let body = read_body(response).await;
        // An answer whose status alone is a verdict keeps it even when its body breaks off.
        match body {
            Ok(body) => (limits, Ok((status, body))),
            Err(_) if status == StatusCode::TOO_MANY_REQUESTS => (limits, Ok((status, Vec::new()))),
            Err(error) => (limits, Err(error)),
        }
    }
}

fn refusal(status: StatusCode, body: &[u8], limits: &RateHeaders, scope: &str) -> CallError {
    classify(status, body, limits, scope, Timestamp::now(), fastrand::f64())
}

async fn read_body(mut response: reqwest::Response) -> Result<Vec<u8>, CallError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| CallError::no_answer(transport(&error)))? {
        if body.len() + chunk.len() > MAX_BODY {
            return Err(CallError::no_answer("Auth0's answer was larger than 1 MB"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Our own words: the library's hold the URL, and its causes may hold more.
fn transport(error: &reqwest::Error) -> &'static str {
    if has_certificate_cause(error) {
        "the TLS certificate of the domain is not trusted; set spec.caBundle of the tenant if it has a CA of its own"
    } else if error.is_timeout() {
        "Auth0 did not answer in time"
    } else if error.is_connect() {
        "Auth0 could not be reached"
    } else {
        "the connection to Auth0 broke off"
    }
}

/// An `io::Error` hides what it wraps from `source`, and wraps may be nested.
fn has_certificate_cause(error: &(dyn std::error::Error + 'static)) -> bool {
    if let Some(rustls::Error::InvalidCertificate(_)) = error.downcast_ref() {
        return true;
    }
    let wrapped = error.downcast_ref::<std::io::Error>().and_then(|io| io.get_ref());
    wrapped.is_some_and(|inner| has_certificate_cause(inner)) || error.source().is_some_and(has_certificate_cause)
}
