//! The HTTP client. There is one for each domain and CA bundle, and with it one connection pool.
//!
//! The only writes that it can send are the DELETEs of the endpoint table and the request for a token in
//! `token_endpoint` (docs/design.md, promise 1). It never retries a request, never follows a redirect, and never formats
//! a token or a header.

use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::Value;
use thiserror::Error;

use super::answer::{Call, Received, meaning};
use super::transport::{broken_answer, no_answer};
use super::{CallError, Domain, Endpoint, Item, Query, RateHeaders, Read, Token, exempts};
use crate::clock;

/// The largest body that is read, in bytes. Auth0 limits its own bodies to 1 MB.
const MAX_BODY: usize = 1 << 20;
/// Auth0 shows this header in the tenant's logs as `references.correlation_id`.
const CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");

/// How often an HTTP/2 connection is pinged, to find out whether it is still alive.
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// Timeouts of a call. All three start when the call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timeouts {
    /// Until the connection is established, TLS included. It must be the shortest of the three: only if this one
    /// expires first is it certain that nothing was sent.
    pub connect: Duration,
    /// Until the first bytes of the response, and between any two pieces of it.
    pub read: Duration,
    /// Until the whole response was read.
    pub total: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), read: Duration::from_secs(10), total: Duration::from_secs(30) }
    }
}

/// Sends calls to one tenant.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    root: String,
    has_ca_bundle: bool,
}

/// No client can be built from the tenant's settings.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ClientError {
    /// The CA bundle contains no certificate, or an invalid one.
    #[error("caBundle holds no PEM certificate, or one that cannot be read")]
    CaBundle,
    /// The system has no root certificates, and the tenant names no CA bundle.
    #[error("TLS cannot be set up: the system has no root certificates; set spec.caBundle")]
    Tls,
}

/// The response to a call.
#[derive(Clone, Debug)]
pub struct Answer<T> {
    /// The rate-limit headers; error responses can have them too.
    pub limits: RateHeaders,
    /// What the call returned.
    pub outcome: Result<T, CallError>,
}

/// One page of a list, as Auth0's JSON.
pub type Page = Value;

impl Client {
    /// Builds a client for `domain`. It trusts the certificates in `ca_bundle` (PEM) instead of the system's root
    /// certificates if there is a bundle.
    pub fn new(domain: &Domain, ca_bundle: Option<&[u8]>, timeouts: Timeouts) -> Result<Self, ClientError> {
        Self::build(domain, ca_bundle, timeouts, PING_INTERVAL)
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
            // Pings find a dead connection before a call has to wait for its timeout on it.
            .http2_keep_alive_interval(keep_alive)
            .http2_keep_alive_timeout(timeouts.read)
            .http2_keep_alive_while_idle(true)
            .user_agent(concat!("rescind/", env!("CARGO_PKG_VERSION")));
        let root = format!("https://{}", domain.authority());
        let no_proxy = ["NO_PROXY", "no_proxy"].into_iter().find_map(|name| std::env::var(name).ok());
        if no_proxy.zip(root.parse().ok()).is_some_and(|(no_proxy, url)| exempts(&no_proxy, &url)) {
            builder = builder.no_proxy();
        }
        if let Some(pem) = ca_bundle {
            let certificates = reqwest::Certificate::from_pem_bundle(pem).map_err(|_| ClientError::CaBundle)?;
            if certificates.is_empty() {
                return Err(ClientError::CaBundle);
            }
            builder = builder.tls_certs_only(certificates);
        }
        let has_ca_bundle = ca_bundle.is_some();
        let http = builder.build().map_err(|_| if has_ca_bundle { ClientError::CaBundle } else { ClientError::Tls })?;
        Ok(Self { http, root, has_ca_bundle })
    }

    /// Sends one DELETE for `items`, which must hold 1 to [`Endpoint::max_items`]. `Ok` means that Auth0 accepted it,
    /// not that the items are gone: Auth0 gives the same answer if none of them was there.
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

    /// Fetches one page of a list. `query` comes from [`super::Walk::query`].
    pub async fn page(&self, token: &Token, read: &Read, query: &Query) -> Answer<Page> {
        let url = format!("{}{}", self.root, read.path());
        self.send(self.http.get(url).query(&**query), token, Call::page(read)).await
    }

    /// A POST to `path`; only the token endpoint uses it.
    pub(super) fn post(&self, path: &str) -> reqwest::RequestBuilder {
        self.http.post(format!("{}/{path}", self.root))
    }

    async fn send(&self, request: reqwest::RequestBuilder, token: &Token, call: Call) -> Answer<Page> {
        let failed = |limits, error| Answer { limits, outcome: Err(error) };
        let Ok(mut bearer) = HeaderValue::from_str(&format!("Bearer {}", token.expose())) else {
            return failed(RateHeaders::default(), CallError::Unauthorized("the token cannot stand in a header"));
        };
        bearer.set_sensitive(true);
        let (limits, (status, is_html, body)) = match self.exchange(request.header(AUTHORIZATION, bearer)).await {
            Ok(exchanged) => exchanged,
            Err((limits, error)) => return failed(limits, error),
        };
        let received = Received { status, is_html, body: &body, limits: &limits };
        let outcome = meaning(call, &received, clock::wall(), fastrand::f64());
        Answer { limits, outcome }
    }

    /// Sends a request and reads its whole response: status, whether it is HTML, and body.
    pub(super) async fn exchange(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<Exchanged, (RateHeaders, CallError)> {
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return Err((RateHeaders::default(), no_answer(&error, self.has_ca_bundle))),
        };
        let limits = RateHeaders::read(response.headers());
        let (status, is_html) = (response.status(), is_html(&response));
        match read_body(response).await {
            Ok(body) => Ok((limits, (status, is_html, body))),
            // A 429 needs no body: its meaning is in the status and the headers.
            Err(_) if status == StatusCode::TOO_MANY_REQUESTS => Ok((limits, (status, is_html, Vec::new()))),
            Err(what) => Err((limits, CallError::unusable(status, what))),
        }
    }
}

/// The headers of a response, and its status, whether it is HTML, and its body.
pub(super) type Exchanged = (RateHeaders, (StatusCode, bool, Vec<u8>));

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
