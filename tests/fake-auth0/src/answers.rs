//! Answers before they are put on the wire, and the texts and codes of Auth0's errors.
//!
//! How an answer is mangled on its way out is in `body.rs`.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};

use crate::{
    endpoints::{ENDPOINTS, Format},
    kinds::{Group, Kind},
};

/// An answer, before anything is done to it.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub status: StatusCode,
    pub content_type: Option<&'static str>,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub body: Bytes,
    /// The number of relations that the call removed.
    pub removed: usize,
}

pub(crate) const JSON: &str = "application/json; charset=utf-8";
pub(crate) const OAUTH_JSON: &str = "application/json";
pub(crate) const HTML: &str = "text/html; charset=utf-8";

impl Answer {
    pub(crate) fn json(status: StatusCode, body: &Value) -> Self {
        Self::new(status, Some(JSON), body.to_string().into())
    }

    pub(crate) fn new(status: StatusCode, content_type: Option<&'static str>, body: Bytes) -> Self {
        Self { status, content_type, headers: Vec::new(), body, removed: 0 }
    }

    pub(crate) fn no_content(removed: usize) -> Self {
        // Recorded with a type although there is no body.
        Self { removed, ..Self::new(StatusCode::NO_CONTENT, Some(JSON), Bytes::new()) }
    }
}

/// A refusal in the Management API's shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub status: StatusCode,
    pub code: Option<&'static str>,
    pub message: Cow<'static, str>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: Option<&'static str>, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code, message: message.into() }
    }

    pub(crate) fn bad_request(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Some(code), message)
    }

    /// 400 for a body of the wrong form; `complaint` as Auth0's validator words it.
    pub(crate) fn body(complaint: impl AsRef<str>) -> Self {
        Self::bad_request("invalid_body", format!("Payload validation error: {}", complaint.as_ref()))
    }

    /// 400 for a path of the wrong form; `complaint` as Auth0's validator words it.
    pub(crate) fn path(complaint: impl AsRef<str>) -> Self {
        Self::bad_request("invalid_uri", format!("Path validation error: {}", complaint.as_ref()))
    }

    /// 400 for an id in a path. Like all texts of the validator it repeats what was sent, personal data included.
    pub(crate) fn path_id(format: Format, sent: &str) -> Self {
        let wrong = |name: &str| format!("Object didn't pass validation for format {name}: {sent}");
        match format {
            // The only recorded text of this kind has neither prefix nor property.
            Format::User => Self::bad_request("invalid_uri", wrong("user-id")),
            Format::Organization | Format::OrganizationName => {
                Self::path(format!("'{}' on property id (Organization identifier).", wrong("organization-id")))
            }
            _ => Self::path(format!("'{}' on property id (ID of the role).", wrong("role-id"))),
        }
    }

    pub(crate) fn query(complaint: impl AsRef<str>) -> Self {
        Self::bad_request("invalid_query_string", format!("Query validation error: {}", complaint.as_ref()))
    }

    pub(crate) fn unauthorized(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, None, message)
    }

    pub(crate) fn scope(expectation: &str, scopes: &[&str]) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            Some("insufficient_scope"),
            format!("Insufficient scope, expected {expectation} of: {}", scopes.join(",")),
        )
    }

    pub(crate) const NO_USER: Self = Self {
        status: StatusCode::NOT_FOUND,
        code: Some("inexistent_user"),
        message: Cow::Borrowed("The user does not exist."),
    };

    pub(crate) const NO_ORGANIZATION: Self = Self {
        status: StatusCode::NOT_FOUND,
        code: None,
        message: Cow::Borrowed("No organization found by that id or name"),
    };

    pub(crate) const NO_ROLE: Self =
        Self { status: StatusCode::NOT_FOUND, code: None, message: Cow::Borrowed("The role does not exist.") };

    pub(crate) const NO_RESOURCE_SERVER: Self = Self {
        status: StatusCode::NOT_FOUND,
        code: Some("inexistent_resource_server"),
        message: Cow::Borrowed("The resource server does not exist."),
    };

    pub(crate) const NOT_A_MEMBER: Self = Self {
        status: StatusCode::NOT_FOUND,
        code: None,
        message: Cow::Borrowed("User is not a member of this organization"),
    };

    /// The plan does not include this.
    pub(crate) const PLAN: Self = Self {
        status: StatusCode::FORBIDDEN,
        code: Some("insufficient_entitlement"),
        message: Cow::Borrowed("Please upgrade your subscription to use this feature"),
    };

    pub(crate) const NO_ROUTE: Self =
        Self { status: StatusCode::NOT_FOUND, code: None, message: Cow::Borrowed("Not Found") };

    pub(crate) const NO_PERMISSION: Self = Self {
        status: StatusCode::NOT_FOUND,
        code: Some("inexistent_resource_server_permission"),
        message: Cow::Borrowed("The permission does not exist for the resource server."),
    };

    pub(crate) const TOO_MANY: Self = Self {
        status: StatusCode::TOO_MANY_REQUESTS,
        code: Some("too_many_requests"),
        message: Cow::Borrowed("Global limit has been reached"),
    };

    pub(crate) const TOO_LARGE: Self = Self {
        status: StatusCode::PAYLOAD_TOO_LARGE,
        code: None,
        message: Cow::Borrowed("Payload content length greater than maximum allowed: 1048576"),
    };

    pub(crate) const MISSING_TOKEN: Self =
        Self { status: StatusCode::UNAUTHORIZED, code: None, message: Cow::Borrowed("Missing authentication") };

    pub(crate) const OPAQUE_TOKEN: Self = Self {
        status: StatusCode::BAD_REQUEST,
        code: Some("Bearer"),
        message: Cow::Borrowed("Bad HTTP authentication header format"),
    };

    pub(crate) const MEDIA_TYPE: Self = Self {
        status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
        code: None,
        message: Cow::Borrowed("Unsupported Media Type"),
    };

    pub(crate) const FORBIDDEN_WRITE: Self = Self {
        status: StatusCode::METHOD_NOT_ALLOWED,
        code: None,
        message: Cow::Borrowed("This stand-in allows no write but the four removals and the token request"),
    };

    fn to_json(&self) -> Value {
        let mut body = json!({
            "statusCode": self.status.as_u16(),
            "error": self.status_text(),
            "message": self.message,
        });
        if let Some(code) = self.code {
            body["errorCode"] = code.into();
        }
        if self.bad_token() {
            body["attributes"] = json!({"error": self.message});
        }
        body
    }

    fn status_text(&self) -> &'static str {
        match self.status {
            StatusCode::PAYLOAD_TOO_LARGE => "Request Entity Too Large",
            status => status.canonical_reason().unwrap_or("Error"),
        }
    }

    /// Whether the call had a token that is not valid.
    fn bad_token(&self) -> bool {
        self.status == StatusCode::UNAUTHORIZED && *self != Self::MISSING_TOKEN
    }

    /// The header `WWW-Authenticate` of a 401.
    fn challenge(&self) -> Option<HeaderValue> {
        match self.status {
            StatusCode::UNAUTHORIZED if self.bad_token() => {
                HeaderValue::try_from(format!("Bearer error=\"{}\"", self.message)).ok()
            }
            StatusCode::UNAUTHORIZED => Some(HeaderValue::from_static("Bearer")),
            _ => None,
        }
    }
}

impl From<Problem> for Answer {
    fn from(problem: Problem) -> Self {
        let challenge = problem.challenge().map(|challenge| (http::header::WWW_AUTHENTICATE, challenge));
        Self { headers: challenge.into_iter().collect(), ..Self::json(problem.status, &problem.to_json()) }
    }
}

/// The 429 of a bucket: that of a group, or the global one.
pub(crate) fn too_many(group: Group, per_minute: bool) -> Answer {
    let per = if per_minute { "minute" } else { "second" };
    let message = group.wording().map(|name| format!("Global per {per} {name} group limit has been reached"));
    let message = message.map_or(Problem::TOO_MANY.message, Cow::Owned);
    Problem { message, ..Problem::TOO_MANY }.into()
}

/// A refusal in the token endpoint's shape.
pub(crate) fn oauth_error(status: StatusCode, error: &str, description: &str) -> Answer {
    oauth(status, &json!({"error": error, "error_description": description}))
}

/// An answer of the token endpoint.
pub(crate) fn oauth(status: StatusCode, body: &Value) -> Answer {
    Answer::new(status, Some(OAUTH_JSON), body.to_string().into())
}

/// The usual answer with this status at an endpoint, for tests that ask for a status alone.
pub(crate) fn usual(status: StatusCode, kind: Kind) -> Answer {
    let problem = match status.as_u16() {
        200..=299 => return Answer::new(status, Some(JSON), if status == 204 { "" } else { "{}" }.into()),
        300..=399 => return Answer::new(status, None, Bytes::new()),
        _ if kind == Kind::Token => return usual_token_error(status),
        400 => Problem::body("'Expected type object but found type null'."),
        401 => Problem::unauthorized("Invalid token"),
        403 => Problem::scope("any", ENDPOINTS.get(kind as usize).map_or(&[], |endpoint| endpoint.scopes.names())),
        404 => usual_not_found(kind),
        429 => Problem::TOO_MANY,
        _ => Problem::new(status, None, status.canonical_reason().unwrap_or("Unknown error")),
    };
    problem.into()
}

fn usual_not_found(kind: Kind) -> Problem {
    let template = ENDPOINTS.get(kind as usize).map_or("", |endpoint| endpoint.template);
    match template.split('/').nth(4) {
        Some("{user}") => Problem::NO_USER,
        Some("{organization}" | "name") => Problem::NO_ORGANIZATION,
        Some("{role}") => Problem::NO_ROLE,
        Some("{resource_server}") => Problem::NO_RESOURCE_SERVER,
        _ => Problem::NO_ROUTE,
    }
}

fn usual_token_error(status: StatusCode) -> Answer {
    let (error, description) = match status.as_u16() {
        401 => ("access_denied", "Unauthorized"),
        403 => ("access_denied", "Client is not authorized to access this audience"),
        429 => ("too_many_requests", "Client quota exceeded"),
        400..=499 => ("invalid_request", "Invalid request"),
        _ => ("server_error", status.canonical_reason().unwrap_or("Unknown error")),
    };
    oauth_error(status, error, description)
}
