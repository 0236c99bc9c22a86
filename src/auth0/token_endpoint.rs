//! The token endpoint: an application exchanges its credentials for a Management API token. Its errors have another form
//! than those of the Management API, and one table says what each answer means: the first row that matches counts.
//!
//! Neither the request nor a whole answer is ever logged or shown.

use std::ops::RangeInclusive;

use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::answer::Received;
use super::client::{Answer, Client};
use super::limits::wait_after_429;
use super::{Application, CallError, Domain, RateHeaders, Token};
use crate::clock;

/// The path of the token endpoint, for logs and metrics.
pub const TOKEN_ENDPOINT: &str = "oauth/token";

/// A request for a token.
#[derive(Clone, Copy, Debug)]
pub struct TokenRequest<'a> {
    /// Who asks.
    pub application: &'a Application,
    /// Where.
    pub domain: &'a Domain,
    /// The API that the token is to be for.
    pub audience: &'a str,
    /// How far Auth0's clock is ahead of ours, as far as is known.
    pub clock_skew: SignedDuration,
}

/// The meaning of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    Issued,
    RateLimited,
    /// The proof is wrong: [`CallError::Unauthorized`].
    Refused(&'static str),
    /// The application may not have the token: [`CallError::Denied`].
    Denied(&'static str),
    Unavailable(&'static str),
}

/// A kind of body.
#[derive(Clone, Copy, Debug)]
enum Body {
    Any,
    Html,
    /// JSON with an `access_token`.
    Token,
    /// JSON that names a global limit.
    GlobalLimit,
    /// Auth0's own error: JSON with `error`, which equals the first text unless that is empty, and a description that
    /// contains the second.
    Error(&'static str, &'static str),
}

use Meaning::{Denied, Issued, RateLimited, Refused, Unavailable};

const OWN: Body = Body::Error("", "");

const NO_GRANT: &str = "the application is not authorized for the Management API; in the dashboard, open the Auth0 \
                        Management API under Applications > APIs, authorize the application there, and select its scopes";
const WRONG_PROOF: &str = "the client id, or the client secret or private key, is wrong, or the application authenticates \
                           by another method";
const GRANT_TYPE: &str = "the application may not use client credentials; it has to be a machine-to-machine application \
                          with that grant type";

/// All answers and their meanings. The last row matches everything that no other row does.
static ANSWERS: &[(RangeInclusive<u16>, Body, Meaning)] = &[
    (429..=429, Body::Any, RateLimited),
    // Auth0 has answered this instead of a 429.
    (500..=500, Body::GlobalLimit, RateLimited),
    (200..=200, Body::Token, Issued),
    (400..=499, Body::Error("unauthorized_client", ""), Denied(GRANT_TYPE)),
    (400..=499, Body::Error("unsupported_grant_type", ""), Denied(GRANT_TYPE)),
    (403..=403, Body::Error("access_denied", "client-grant"), Denied(NO_GRANT)),
    (403..=403, Body::Error("access_denied", "not authorized to access"), Denied(NO_GRANT)),
    (
        403..=403,
        Body::Error("access_denied", "Service not found"),
        Denied(
            "Auth0 knows no API with this audience; set spec.audience to https://TENANT/api/v2/ with the tenant's own domain",
        ),
    ),
    (401..=401, OWN, Refused(WRONG_PROOF)),
    (400..=499, Body::Error("invalid_client", ""), Refused(WRONG_PROOF)),
    (403..=403, OWN, Denied("Auth0 denies it; the tenant's logs say why")),
    (408..=408, OWN, Unavailable("Auth0 timed out")),
    (400..=400, OWN, Denied("Auth0 finds the request invalid; the tenant's logs say why")),
    (407..=407, Body::Any, Unavailable("a proxy in between asks for credentials")),
    (
        300..=399,
        Body::Any,
        Unavailable("a redirect, which is never followed; check the domain and any proxy in between"),
    ),
    (500..=599, Body::Any, Unavailable("Auth0 or a proxy in front of it failed")),
    (200..=200, OWN, Unavailable("an answer without a token")),
    (100..=999, Body::Html, Unavailable("not Auth0's own answer (HTML); a proxy or a network rule may be in between")),
    (
        100..=999,
        Body::Any,
        Unavailable("not Auth0's own answer; check the domain and any proxy or network rule in between"),
    ),
];

impl Client {
    /// Asks for a token. The request is sent once.
    ///
    /// - [`CallError::Unauthorized`]: the credentials are wrong.
    /// - [`CallError::Denied`]: they are right, but the application may not have such a token.
    pub async fn token(&self, request: &TokenRequest<'_>) -> Answer<Token> {
        let TokenRequest { application, domain, audience, clock_skew } = *request;
        let failed = |limits, error| Answer { limits, outcome: Err(error) };
        let Some(mut fields) = application.fields(domain, clock::wall() + clock_skew) else {
            return failed(RateHeaders::default(), CallError::NotSent("the system has no random numbers"));
        };
        fields.push(("audience", audience.to_owned()));
        let request = self.post(TOKEN_ENDPOINT).form(&fields);
        let exchanged = self.exchange(request).await;
        let (limits, received) = match exchanged {
            Ok(exchanged) => exchanged,
            Err((limits, error)) => return failed(limits, error),
        };
        let (status, is_html, body) = received;
        let received = Received { status, is_html, body: &body, limits: &limits };
        let outcome = judge(&received, clock::wall());
        Answer { limits, outcome }
    }
}

fn judge(received: &Received<'_>, now: Timestamp) -> Result<Token, CallError> {
    let status = received.status;
    let json: Value = serde_json::from_slice(received.body).ok().filter(|_| !received.is_html).unwrap_or_default();
    let row =
        ANSWERS.iter().find(|(statuses, body, _)| statuses.contains(&status.as_u16()) && body.fits(received, &json));
    match row.map_or(Unavailable("no usable answer"), |(.., meaning)| *meaning) {
        Issued => {
            let what = "an answer with a token that cannot be used";
            Token::issued(&json, now).ok_or(CallError::unusable(StatusCode::OK, what))
        }
        RateLimited => Err(CallError::RateLimited(wait_after_429(received.limits, now, fastrand::f64()))),
        Refused(why) => Err(CallError::Unauthorized(why)),
        Denied(why) => Err(CallError::Denied(why)),
        Unavailable(what) => Err(CallError::unusable(status, what)),
    }
}

impl Body {
    fn fits(self, received: &Received<'_>, json: &Value) -> bool {
        let text = |key: &str| json.get(key).and_then(Value::as_str);
        match self {
            Self::Any => true,
            Self::Html => received.is_html || received.body.trim_ascii_start().starts_with(b"<"),
            Self::Token => text("access_token").is_some(),
            Self::GlobalLimit => ["error", "error_description", "message"]
                .iter()
                .any(|key| text(key).is_some_and(|text| text.to_ascii_lowercase().contains("global limit"))),
            Self::Error(error, part) => {
                text("error").is_some_and(|of| error.is_empty() || of == error)
                    && text("error_description").unwrap_or_default().contains(part)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(status: u16, is_html: bool, body: &str) -> Result<Token, CallError> {
        let limits = RateHeaders { retry_after: Some(7), ..RateHeaders::default() };
        let status = StatusCode::from_u16(status).unwrap();
        let received = Received { status, is_html, body: body.as_bytes(), limits: &limits };
        judge(&received, Timestamp::from_second(1_000_000).unwrap())
    }

    #[test]
    fn each_answer_has_its_meaning() {
        let error = |error: &str, text: &str| format!(r#"{{"error":"{error}","error_description":"canary {text}"}}"#);
        for (status, body, words) in [
            (401, error("access_denied", "Unauthorized"), "client id"),
            (401, error("invalid_client", "x"), "client id"),
            (403, error("access_denied", "You need to create a \\\"client-grant\\\""), "not authorized for"),
            (403, error("access_denied", "Service not found: https://x"), "spec.audience"),
            (403, error("unauthorized_client", "Grant type not allowed"), "machine-to-machine"),
            (400, error("unsupported_grant_type", ""), "machine-to-machine"),
            (403, error("access_denied", "x"), "tenant's logs"),
            (400, error("invalid_request", "x"), "invalid"),
            (200, error("x", "x"), "without a token"),
            (200, r#"{"access_token": "canary two words"}"#.into(), "cannot be used"),
            (200, "<html>".into(), "HTML"),
            (401, "{}".into(), "not Auth0's own"),
            (404, error("x", "x"), "not Auth0's own"),
            (302, String::new(), "redirect"),
            (503, "<html>".into(), "failed"),
        ] {
            let error = judged(status, false, &body).unwrap_err();
            let text = error.to_string();
            assert!(text.contains(words) && !text.contains("canary"), "{status} {body}: {text}");
            assert_eq!(error.is_auth0s_own(), body.contains("\"error\"") && status != 404 && status != 200, "{text}");
        }
        let limit = error("access_denied", "Global limit has been reached");
        assert!(matches!(judged(500, false, &limit), Err(CallError::RateLimited(wait)) if wait.as_secs() == 7));
        assert!(matches!(judged(429, false, ""), Err(CallError::RateLimited(wait)) if wait.as_secs() == 7));
        assert!(judged(401, true, &error("access_denied", "x")).unwrap_err().to_string().contains("HTML"));
    }

    #[test]
    fn what_a_token_says_of_itself_is_read_from_the_answer() {
        let body = r#"{"access_token":"a.canary.c","expires_in":86400,"scope":"b:c  a:b","token_type":"Bearer"}"#;
        let token = judged(200, false, body).unwrap();
        assert_eq!(token.expires_at(), Timestamp::from_second(1_086_400).ok());
        assert_eq!(token.lifetime(), Some(SignedDuration::from_secs(86_400)));
        assert_eq!(**token.scopes().unwrap(), ["a:b", "b:c"].map(String::from));
        assert!(!format!("{token:?}").contains("canary"));
        let bare = judged(200, false, r#"{"access_token":"opaque"}"#).unwrap();
        assert_eq!((bare.expires_at(), bare.scopes()), (None, None), "nothing is guessed");
    }
}
