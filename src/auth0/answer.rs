//! What an answer means: told apart by what the caller must do about it. Pure.
//!
//! Status first, `errorCode` second, the message never, except to show the scope it names (auth0-api.md 1.6).

use http::StatusCode;
use jiff::Timestamp;
use serde::Deserialize;

use super::error::{CallError, Missing, Rejection};
use super::limits::{RateHeaders, wait_after_429};

#[derive(Default, Deserialize)]
#[serde(default)]
struct ErrorBody {
    #[serde(rename = "statusCode")]
    status_code: Option<u16>,
    #[serde(rename = "errorCode")]
    error_code: Option<String>,
    error: Option<String>,
    message: Option<String>,
}

/// Reads an answer that is not a success. `scope` is what the call needs if Auth0 does not name it, `jitter` in 0..1.
pub(super) fn classify(
    status: StatusCode,
    body: &[u8],
    limits: &RateHeaders,
    scope: &str,
    now: Timestamp,
    jitter: f64,
) -> CallError {
    // A field of another type than documented makes the body unreadable, not the answer.
    let parsed: ErrorBody = serde_json::from_slice(body).unwrap_or_default();
    let code = parsed.error_code.as_deref().unwrap_or_default();
    match status.as_u16() {
        429 => CallError::RateLimited(wait_after_429(limits, now, jitter)),
        400 if code == "Bearer" => {
            CallError::Unauthorized("400 Bearer: not a Management API token, or for another audience")
        }
        400 => CallError::Rejected(match code {
            "invalid_body" => Rejection::Body,
            "invalid_uri" => Rejection::Uri,
            "invalid_query_string" => Rejection::Query,
            "invalid_paging" => Rejection::Paging,
            _ => Rejection::Other(400),
        }),
        401 => CallError::Unauthorized(unauthorized(parsed.message.as_deref().unwrap_or_default())),
        403 if code == "insufficient_scope" && !is_entitlement(&parsed) => {
            CallError::InsufficientScope(named_scopes(&parsed).unwrap_or_else(|| scope.to_owned()))
        }
        403 if code == "insufficient_entitlement" || is_entitlement(&parsed) => {
            CallError::Denied("403: the tenant's plan does not include this")
        }
        403 => CallError::Denied("403 without a named scope"),
        // A proxy's or another host's 404 says nothing about the user (reliability.md D5).
        404 if parsed.status_code == Some(404) => CallError::NotFound(Missing::Unclear),
        404 => CallError::unusable(status, "a 404 that is not Auth0's own; check the domain and any proxy in between"),
        405 | 410 | 411 | 413..=417 | 422 | 431 => CallError::Rejected(Rejection::Other(status.as_u16())),
        500 if mentions_global_limit(&parsed) => CallError::RateLimited(wait_after_429(limits, now, jitter)),
        300..=399 => {
            CallError::unusable(status, "Auth0 answered with a redirect, which is never followed; check the domain")
        }
        408 => CallError::unusable(status, "Auth0 timed out (408)"),
        409 | 412 | 423 | 425 => {
            CallError::unusable(status, "Auth0 was busy with another change (409, 412, 423 or 425)")
        }
        500..=599 => CallError::unusable(status, "Auth0 failed (5xx)"),
        _ => CallError::unusable(status, "Auth0 gave an answer nobody documented"),
    }
}

/// Our own words for the documented texts; theirs are not shown.
fn unauthorized(message: &str) -> &'static str {
    match message {
        m if m.starts_with("Expired token") => "401: the token has expired",
        m if m.starts_with("Invalid signature") => "401: the token's signature is wrong; is it for this tenant?",
        m if m.starts_with("Client is not global") => {
            "401 Client is not global: not a Management API token, or for another audience"
        }
        m if m.starts_with("Bad audience") => "401: the token is for another audience",
        _ => "401: the token is not valid",
    }
}

/// A plan limit is not a scope problem although it may carry the same code (auth0-api.md 1.6, trap 12).
fn is_entitlement(body: &ErrorBody) -> bool {
    body.message.as_deref().is_some_and(|message| message.contains("upgrade your subscription"))
}

/// The scopes a message names, if what it names looks like scopes.
fn named_scopes(body: &ErrorBody) -> Option<String> {
    let (_, named) = body.message.as_deref()?.rsplit_once(": ")?;
    let scopes: Vec<_> = named.split([',', ' ']).filter(|s| !s.is_empty()).collect();
    let is_scope =
        |s: &&str| s.len() <= 60 && s.split_once(':').is_some_and(|(verb, noun)| is_word(verb) && is_word(noun));
    (!scopes.is_empty() && scopes.len() <= 8 && scopes.iter().all(is_scope)).then(|| scopes.join(" or "))
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

/// Auth0 has answered a reached limit with 500 (reliability.md C12).
fn mentions_global_limit(body: &ErrorBody) -> bool {
    [&body.error, &body.message].into_iter().flatten().any(|text| text.to_ascii_lowercase().contains("global limit"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn answer(status: u16, body: &str) -> CallError {
        let now = Timestamp::from_second(1_000_000).unwrap();
        classify(
            StatusCode::from_u16(status).unwrap(),
            body.as_bytes(),
            &RateHeaders::default(),
            "update:users",
            now,
            0.0,
        )
    }

    #[test]
    fn every_documented_answer_says_what_to_do() {
        use CallError::*;
        let scope = |names: &str| InsufficientScope(names.to_owned());
        let table: &[(u16, &str, CallError)] = &[
            (400, r#"{"errorCode":"invalid_body"}"#, Rejected(Rejection::Body)),
            (400, r#"{"errorCode":"invalid_uri"}"#, Rejected(Rejection::Uri)),
            (400, r#"{"errorCode":"invalid_query_string"}"#, Rejected(Rejection::Query)),
            (400, "", Rejected(Rejection::Other(400))),
            (
                400,
                r#"{"errorCode":"Bearer"}"#,
                Unauthorized("400 Bearer: not a Management API token, or for another audience"),
            ),
            (401, r#"{"message":"Invalid token"}"#, Unauthorized("401: the token is not valid")),
            (
                401,
                r#"{"message":"Invalid signature received for JSON Web Token validation"}"#,
                Unauthorized("401: the token's signature is wrong; is it for this tenant?"),
            ),
            (
                401,
                r#"{"message":"Client is not global"}"#,
                Unauthorized("401 Client is not global: not a Management API token, or for another audience"),
            ),
            (
                403,
                r#"{"errorCode":"insufficient_scope","message":"Insufficient scope, expected any of: delete:a,update:b"}"#,
                scope("delete:a or update:b"),
            ),
            (
                403,
                r#"{"errorCode":"insufficient_scope","message":"Insufficient scope; expected any of: read:users"}"#,
                scope("read:users"),
            ),
            (403, r#"{"errorCode":"insufficient_scope","message":"x: <script>"}"#, scope("update:users")),
            (
                403,
                r#"{"errorCode":"insufficient_scope","message":"Please upgrade your subscription"}"#,
                Denied("403: the tenant's plan does not include this"),
            ),
            (403, "", Denied("403 without a named scope")),
            (404, r#"{"statusCode":404,"errorCode":"inexistent_user"}"#, NotFound(Missing::Unclear)),
            (
                404,
                r#"{"statusCode":404,"message":"No organization found by that id or name"}"#,
                NotFound(Missing::Unclear),
            ),
            (429, "", RateLimited(Duration::from_secs(60))),
            (
                500,
                r#"{"error":"access_denied","message":"Global limit has been reached"}"#,
                RateLimited(Duration::from_secs(60)),
            ),
        ];
        for (status, body, expected) in table {
            assert_eq!(&answer(*status, body), expected, "{status} {body}");
        }
    }

    #[test]
    fn what_is_not_auth0s_own_is_never_a_verdict() {
        let bodies =
            ["", "<html>Not Found</html>", "{}", "null", "[]", r#"{"statusCode":"404"}"#, "{\"statusCode\":404"];
        for status in [301, 302, 404, 408, 409, 423, 500, 502, 503, 504, 524] {
            for body in bodies {
                assert!(matches!(answer(status, body), CallError::Unavailable(_)), "{status} {body}");
            }
        }
    }
}
