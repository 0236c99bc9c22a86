//! The one way bytes leave for Auth0: one client, so one connection pool, for each domain and CA bundle.
//!
//! The only writes it can make are the DELETEs of the table of endpoints (promise 1). It never sends again what may have
//! left, never follows a redirect, and never formats a token or a header.

use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::Value;
use thiserror::Error;

use super::answer::{Call, Received, meaning};
use super::transport::{broken_answer, no_answer};
use super::{CallError, Domain, Endpoint, Item, Query, RateHeaders, Read, Token};
use crate::clock;

/// Largest body read from Auth0, in bytes; its own limit is 1 MB.
const MAX_BODY: usize = 1 << 20;
/// Shows in the tenant's logs as `references.correlation_id`.
const CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");

/// How often an HTTP/2 connection is asked whether it is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// How long a call may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timeouts {
    /// To connect, TLS included. The shortest of the three, as they all begin at once: only of a call that runs out of this
    /// one is it known that nothing left.
    pub connect: Duration,
    /// To the first piece of an answer, and between two of them.
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
    own_ca: bool,
}

/// Why no client can be made. What to do: correct the tenant's spec.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ClientError {
    /// The bundle holds no certificate, or something that is none.
    #[error("caBundle holds no PEM certificate, or one that cannot be read")]
    CaBundle,
    /// There is nothing that TLS could trust.
    #[error("TLS cannot be set up: the system has no root certificates; set spec.caBundle")]
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
        Self::build(domain, ca_bundle, timeouts, KEEP_ALIVE)
    }

    fn build(
        domain: &Domain,
        ca_bundle: Option<&[u8]>,
        timeouts: Timeouts,
        keep_alive: Duration,
    ) -> Result<Self, ClientError> {
        let mut builder = reqwest::Client::builder()
            .https_only(true)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .connect_timeout(timeouts.connect)
            .read_timeout(timeouts.read)
            .timeout(timeouts.total)
            // A connection that died unseen must not cost a call its whole time.
            .http2_keep_alive_interval(keep_alive)
            .http2_keep_alive_timeout(timeouts.read)
            .http2_keep_alive_while_idle(true)
            .user_agent(concat!("rescind/", env!("CARGO_PKG_VERSION")));
        if let Some(pem) = ca_bundle {
            let certificates = reqwest::Certificate::from_pem_bundle(pem).map_err(|_| ClientError::CaBundle)?;
            if certificates.is_empty() {
                return Err(ClientError::CaBundle);
            }
            builder = builder.tls_certs_only(certificates);
        }
        let own_ca = ca_bundle.is_some();
        let http = builder.build().map_err(|_| if own_ca { ClientError::CaBundle } else { ClientError::Tls })?;
        Ok(Self { http, root: format!("https://{}", domain.authority()), own_ca })
    }

    /// Removes `items` at `endpoint`: one DELETE. `Ok` means accepted, not gone: that is also the answer when nothing was
    /// there. `items` must be 1 to [`Endpoint::max_items`] long.
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
        let answer = self.send(request, token, Call::removal(endpoint)).await;
        Answer { limits: answer.limits, outcome: answer.outcome.map(drop) }
    }

    /// Fetches a page of a list; `query` is [`super::Walk::query`].
    pub async fn page(&self, token: &Token, read: &Read, query: &Query) -> Answer<Page> {
        let url = format!("{}{}", self.root, read.path());
        self.send(self.http.get(url).query(&**query), token, Call::page(read)).await
    }

    async fn send(&self, request: reqwest::RequestBuilder, token: &Token, call: Call) -> Answer<Page> {
        let failed = |error| Answer { limits: RateHeaders::default(), outcome: Err(error) };
        let Ok(mut bearer) = HeaderValue::from_str(&format!("Bearer {}", token.expose())) else {
            return failed(CallError::Unauthorized("the token cannot stand in a header"));
        };
        bearer.set_sensitive(true);
        let response = match request.header(AUTHORIZATION, bearer).send().await {
            Ok(response) => response,
            Err(error) => return failed(no_answer(&error, self.own_ca)),
        };
        let limits = RateHeaders::read(response.headers());
        let (status, is_html) = (response.status(), is_html(&response));
        let body = match read_body(response).await {
            Ok(body) => body,
            // This status says all there is to say.
            Err(_) if status == StatusCode::TOO_MANY_REQUESTS => Vec::new(),
            Err(what) => return Answer { limits, outcome: Err(CallError::unusable(status, what)) },
        };
        let received = Received { status, is_html, body: &body, limits: &limits };
        let outcome = meaning(call, &received, clock::wall(), fastrand::f64());
        Answer { limits, outcome }
    }
}

fn is_html(response: &reqwest::Response) -> bool {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.trim_start().get(..9).is_some_and(|start| start.eq_ignore_ascii_case("text/html"))
}

async fn read_body(mut response: reqwest::Response) -> Result<Vec<u8>, &'static str> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| broken_answer(&error))? {
        if body.len() + chunk.len() > MAX_BODY {
            return Err("the answer was larger than 1 MB");
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

#[cfg(test)]
mod tests;
