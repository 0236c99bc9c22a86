//! What a response means, decided by one table: the first row that matches counts. Pure.
//!
//! The status is looked at first, then `errorCode`. Auth0's message only selects between our own texts and names a
//! missing scope; it is never shown. A response that is not Auth0's own, such as a proxy's error page, decides nothing
//! about the request: it means [`CallError::Unavailable`].

use std::fmt;
use std::ops::RangeInclusive;

use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::endpoint::Endpoint;
use super::error::{CallError, Missing, Rejection};
use super::limits::{RateHeaders, wait_after_429};
use super::read::Read;

/// What the meaning of a response depends on, besides the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// The HTTP method.
    pub method: Method,
    /// The scopes that the call needs, for a 403 that names none.
    pub scopes: &'static [&'static str],
    /// The key of the array of entries that a GET asks for; empty if it asks for one object.
    pub list_key: &'static str,
}

/// The two HTTP methods that are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Removes items.
    Delete,
    /// Reads a page.
    Get,
}

impl Call {
    /// The DELETE at `endpoint`.
    pub const fn removal(endpoint: &Endpoint) -> Self {
        let row = endpoint.row();
        Self { method: Method::Delete, scopes: row.removal_scopes, list_key: row.list.key }
    }

    /// The GET of a page of `read`.
    pub const fn page(read: &Read) -> Self {
        Self { method: Method::Get, scopes: read.scopes(), list_key: read.list_key() }
    }
}

/// A row of the table: the responses that it matches, and their meaning.
#[derive(Clone, Copy, Debug)]
pub struct AnswerRow {
    /// Matches this method only; `None` matches both.
    pub method: Option<Method>,
    /// Matches these statuses.
    pub statuses: &'static [RangeInclusive<u16>],
    /// Matches this kind of body.
    pub body: Body,
    /// The meaning of a response that matches.
    pub meaning: Meaning,
}

/// A kind of response body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// Any body.
    Any,
    /// HTML, by content type or by its first character.
    Html,
    /// An empty body, or JSON whose `statusCode`, if it has one, equals the response's status.
    NoError,
    /// JSON that contains the array that the call asked for, or is the one object that it asked for.
    List,
    /// JSON whose `error` or `message` contains "global limit".
    GlobalLimit,
    /// Auth0's own error: JSON whose `statusCode` equals the response's status.
    Own {
        /// Requires this `errorCode`.
        code: Option<&'static str>,
        /// Requires this text in `message`.
        message: Option<&'static str>,
    },
}

/// The meaning of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The call succeeded.
    Success,
    /// [`CallError::RateLimited`], with the wait that the headers name.
    RateLimited,
    /// [`CallError::Rejected`], with this rejection.
    Rejected(Rejection),
    /// [`CallError::Rejected`], with the status only.
    RejectedOther,
    /// [`CallError::Unauthorized`].
    Unauthorized(&'static str),
    /// [`CallError::InsufficientScope`], with the scopes in the message, or those of the call if it names none.
    InsufficientScope,
    /// [`CallError::Denied`].
    Denied(&'static str),
    /// [`CallError::NotFound`].
    NotFound(Missing),
    /// [`CallError::Unavailable`].
    Unavailable(&'static str),
}

use Meaning::{
    Denied, InsufficientScope, NotFound, RateLimited, Rejected, RejectedOther, Success, Unauthorized, Unavailable,
};

const OWN: Body = Body::Own { code: None, message: None };

const fn code(code: &'static str) -> Body {
    Body::Own { code: Some(code), message: None }
}

const fn message(message: &'static str) -> Body {
    Body::Own { code: None, message: Some(message) }
}

const fn row(statuses: &'static [RangeInclusive<u16>], body: Body, meaning: Meaning) -> AnswerRow {
    AnswerRow { method: None, statuses, body, meaning }
}

const fn lost_body(message: &'static str) -> AnswerRow {
    AnswerRow {
        method: Some(Method::Delete),
        statuses: &[400..=400],
        body: Body::Own { code: Some("invalid_body"), message: Some(message) },
        meaning: Unavailable(
            "Auth0 got the DELETE without its body; a proxy or a filter in between drops it and has to let it pass",
        ),
    }
}

const PLAN: &str = "403: the tenant's plan does not include this";
const PLAN_MESSAGE: &str = "upgrade your subscription";
const OTHER_AUDIENCE: &str = "401 Client is not global: not a Management API token, or for another audience";

/// All responses and their meanings. The last row matches everything that no other row does.
pub static ANSWERS: &[AnswerRow] = &[
    // A proxy's 429 counts, too: waiting does no harm, and the wait is clamped.
    row(&[429..=429], Body::Any, RateLimited),
    // Auth0 has answered this instead of a 429.
    row(&[500..=500], Body::GlobalLimit, RateLimited),
    // Only 204 is documented, but similar endpoints answer 200 and 202 with an empty object.
    AnswerRow {
        method: Some(Method::Delete),
        statuses: &[200..=200, 202..=202, 204..=204],
        body: Body::NoError,
        meaning: Success,
    },
    AnswerRow { method: Some(Method::Get), statuses: &[200..=200], body: Body::List, meaning: Success },
    row(&[400..=400], code("Bearer"), Unauthorized("400 Bearer: not a Management API token, or for another audience")),
    // A DELETE always leaves with its body, which is an object with one key. What Auth0 misses was lost on the way.
    lost_body("Expected type object"),
    lost_body("Missing required property"),
    lost_body("Invalid request payload JSON format"),
    row(&[400..=400], code("invalid_body"), Rejected(Rejection::Body)),
    row(&[400..=400], code("invalid_uri"), Rejected(Rejection::Uri)),
    row(&[400..=400], code("invalid_query_string"), Rejected(Rejection::Query)),
    row(&[400..=400], code("invalid_paging"), Rejected(Rejection::Paging)),
    row(&[401..=401], message("Expired token"), Unauthorized("401: the token has expired")),
    row(
        &[401..=401],
        message("Invalid signature"),
        Unauthorized("401: the token's signature is wrong; is it for this tenant?"),
    ),
    row(&[401..=401], message("Client is not global"), Unauthorized(OTHER_AUDIENCE)),
    row(&[401..=401], message("Bad audience"), Unauthorized("401: the token is for another audience")),
    row(&[401..=401], OWN, Unauthorized("401: the token is not valid")),
    // A limit of the tenant's plan can carry the code of a missing scope, so this row comes first.
    row(&[403..=403], message(PLAN_MESSAGE), Denied(PLAN)),
    row(&[403..=403], code("insufficient_entitlement"), Denied(PLAN)),
    row(&[403..=403], code("insufficient_scope"), InsufficientScope),
    row(&[403..=403], OWN, Denied("403 Forbidden, and no missing scope is named")),
    row(&[404..=404], code("inexistent_user"), NotFound(Missing::Subject)),
    row(&[400..=400, 404..=404], code("inexistent_role"), NotFound(Missing::Item)),
    row(&[400..=400, 404..=404], code("inexistent_resource_server"), NotFound(Missing::Item)),
    row(&[400..=400, 404..=404], code("inexistent_resource_server_permission"), NotFound(Missing::Item)),
    row(&[404..=404], OWN, NotFound(Missing::Unclear)),
    row(&[408..=408], OWN, Unavailable("Auth0 timed out")),
    row(&[409..=409, 412..=412, 423..=423, 425..=425], OWN, Unavailable("Auth0 was busy with another change")),
    row(&[400..=400, 405..=405, 410..=411, 413..=417, 422..=422, 431..=431], OWN, RejectedOther),
    row(&[407..=407], Body::Any, Unavailable("a proxy in between asks for credentials")),
    row(&[511..=511], Body::Any, Unavailable("the network in between asks for a login")),
    row(
        &[300..=399],
        Body::Any,
        Unavailable("a redirect, which is never followed; check the domain and any proxy in between"),
    ),
    row(&[500..=599], OWN, Unavailable("Auth0 failed")),
    row(&[500..=599], Body::Any, Unavailable("Auth0 or a proxy in front of it failed")),
    row(&[400..=499], OWN, Unavailable("Auth0 gave an answer that is documented nowhere")),
    row(
        &[100..=999],
        Body::Html,
        Unavailable("not Auth0's own answer (HTML); a proxy or a network rule may be in between"),
    ),
    row(
        &[100..=999],
        Body::Any,
        Unavailable("not Auth0's own answer; check the domain and any proxy or network rule in between"),
    ),
];

/// A response as it was received.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// The HTTP status.
    pub status: StatusCode,
    /// Whether the content type is HTML.
    pub is_html: bool,
    /// The body.
    pub body: &'a [u8],
    /// The rate-limit headers.
    pub limits: &'a RateHeaders,
}

/// The meaning of a response to `call`: the page for a GET, null for a DELETE. `now` and `jitter` (0 to 1) are for
/// [`wait_after_429`].
pub fn meaning(call: Call, received: &Received<'_>, now: Timestamp, jitter: f64) -> Result<Value, CallError> {
    let status = received.status;
    let json = parse(received);
    let row = ANSWERS.iter().find(|row| row.fits(call, status, received, json.as_ref()));
    match row.map_or(Unavailable("no usable answer"), |row| row.meaning) {
        Success if call.method == Method::Get => Ok(json.unwrap_or_default()),
        Success => Ok(Value::Null),
        RateLimited => Err(CallError::RateLimited(wait_after_429(received.limits, now, jitter))),
        Rejected(rejection) => Err(CallError::Rejected(rejection)),
        RejectedOther => Err(CallError::Rejected(Rejection::Other(status.as_u16()))),
        Unauthorized(why) => Err(CallError::Unauthorized(why)),
        InsufficientScope => {
            let named = json.as_ref().and_then(|json| named_scopes(text(json, "message")));
            Err(CallError::InsufficientScope(named.unwrap_or_else(|| call.scopes.join(" and "))))
        }
        Denied(why) => Err(CallError::Denied(why)),
        NotFound(missing) => Err(CallError::NotFound(missing)),
        Unavailable(what) => Err(CallError::unusable(status, what)),
    }
}

impl AnswerRow {
    /// Whether this row matches, regardless of the rows before it.
    fn fits(&self, call: Call, status: StatusCode, received: &Received<'_>, json: Option<&Value>) -> bool {
        self.method.is_none_or(|method| method == call.method)
            && self.statuses.iter().any(|range| range.contains(&status.as_u16()))
            && self.body.fits(call, status, received, json)
    }
}

impl Body {
    fn fits(self, call: Call, status: StatusCode, received: &Received<'_>, json: Option<&Value>) -> bool {
        let of_status = |json: &Value| json.get("statusCode").map(|code| code.as_u64() == Some(status.as_u16().into()));
        match self {
            Self::Any => true,
            Self::Html => received.is_html || received.body.trim_ascii_start().starts_with(b"<"),
            Self::NoError => match json {
                Some(json) => of_status(json).unwrap_or(true),
                None => !received.is_html && received.body.trim_ascii().is_empty(),
            },
            Self::List if call.list_key.is_empty() => {
                json.is_some_and(|json| json.is_object() && json.get("statusCode").is_none())
            }
            Self::List => {
                json.is_some_and(|json| json.is_array() || json.get(call.list_key).is_some_and(Value::is_array))
            }
            Self::GlobalLimit => json.is_some_and(|json| {
                ["error", "message"].iter().any(|key| text(json, key).to_ascii_lowercase().contains("global limit"))
            }),
            Self::Own { code, message } => json.is_some_and(|json| {
                of_status(json) == Some(true)
                    && code.is_none_or(|code| text(json, "errorCode") == code)
                    && message.is_none_or(|part| text(json, "message").contains(part))
            }),
        }
    }
}

/// The body as JSON, unless the content type is HTML.
fn parse(received: &Received<'_>) -> Option<Value> {
    serde_json::from_slice(received.body).ok().filter(|_| !received.is_html)
}

/// A text field, or an empty text. Each field is read by itself, so that an unexpected type makes only that field
/// unreadable.
fn text<'a>(json: &'a Value, key: &str) -> &'a str {
    json.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The scopes after the last ": " of a message, if they look like scopes of Auth0.
fn named_scopes(message: &str) -> Option<String> {
    let (_, named) = message.rsplit_once(": ")?;
    let scopes: Vec<_> = named.split([',', ' ']).filter(|scope| !scope.is_empty()).collect();
    (!scopes.is_empty() && scopes.len() <= 8 && scopes.iter().all(|scope| is_scope(scope))).then(|| scopes.join(" or "))
}

fn is_scope(text: &str) -> bool {
    text.len() <= 60
        && text.split_once(':').is_some_and(|(verb, noun)| {
            ["create", "read", "update", "delete"].contains(&verb)
                && !noun.is_empty()
                && noun.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
        })
}

/// A response that a row matches first.
#[derive(Clone, Debug)]
pub struct Example {
    /// The HTTP status.
    pub status: StatusCode,
    /// The content type.
    pub content_type: &'static str,
    /// The body.
    pub body: String,
}

/// The rows that a response to `call` can match, each with an example, for tests and documentation.
pub fn examples(call: Call) -> impl Iterator<Item = (&'static AnswerRow, Example)> {
    ANSWERS.iter().filter_map(move |row| {
        let example = row.statuses.iter().cloned().flatten().find_map(|status| {
            let example = row.body.example(call, status)?;
            let received = example.received();
            let json = parse(&received);
            let first = ANSWERS.iter().find(|row| row.fits(call, example.status, &received, json.as_ref()))?;
            std::ptr::eq(first, row).then_some(example)
        });
        example.map(|example| (row, example))
    })
}

impl Example {
    /// The meaning of this response to `call`.
    pub fn meaning(&self, call: Call) -> Result<Value, CallError> {
        meaning(call, &self.received(), Timestamp::UNIX_EPOCH, 0.0)
    }

    fn received(&self) -> Received<'_> {
        const NO_LIMITS: &RateHeaders =
            &RateHeaders { limit: None, remaining: None, reset: None, retry_after: None, date: None };
        let is_html = self.content_type == "text/html";
        Received { status: self.status, is_html, body: self.body.as_bytes(), limits: NO_LIMITS }
    }
}

impl Body {
    fn example(self, call: Call, status: u16) -> Option<Example> {
        let (content_type, body) = match self {
            Self::Any => ("text/plain", "blocked".to_owned()),
            Self::Html => ("text/html", "<html></html>".to_owned()),
            Self::NoError => ("application/json", String::new()),
            Self::List if call.list_key.is_empty() => ("application/json", json!({"id": "1"}).to_string()),
            Self::List => ("application/json", json!({ call.list_key: [] }).to_string()),
            Self::GlobalLimit => ("application/json", json!({"message": "Global limit has been reached"}).to_string()),
            Self::Own { code, message } => {
                let mut body = json!({"statusCode": status, "error": "Error", "message": message.unwrap_or("Words")});
                if let Some(code) = code {
                    body["errorCode"] = code.into();
                }
                ("application/json", body.to_string())
            }
        };
        Some(Example { status: StatusCode::from_u16(status).ok()?, content_type, body })
    }
}

impl fmt::Display for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("anything"),
            Self::Html => f.write_str("HTML"),
            Self::NoError => f.write_str("empty, or JSON that is no error"),
            Self::List => f.write_str("the list"),
            Self::GlobalLimit => f.write_str("JSON that names a global limit"),
            Self::Own { code, message } => {
                f.write_str("Auth0's own")?;
                code.iter().try_for_each(|code| write!(f, ", errorCode `{code}`"))?;
                message.iter().try_for_each(|part| write!(f, ", with \"{part}\" in its message"))
            }
        }
    }
}

#[cfg(test)]
mod tests;
