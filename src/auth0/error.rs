//! Why a call did not do what it was for, told apart by what the caller must do about it.

use std::fmt;
use std::time::Duration;

use http::StatusCode;
use thiserror::Error;

/// Why a call did not do what it was for. The words are our own: Auth0's repeat user ids and e-mail addresses.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CallError {
    /// The request itself is refused, by Auth0. Do not repeat it unchanged.
    #[error("Auth0 refused the request ({0})")]
    Rejected(Rejection),
    /// The credential is refused. Get another one.
    #[error("Auth0 refused the token ({0})")]
    Unauthorized(&'static str),
    /// The credential is good but this is refused, for another reason than a scope. A person has to look into it.
    #[error("Auth0 refused this ({0})")]
    Denied(&'static str),
    /// The credential may not do this. Grant the scope, then use a fresh token.
    #[error("403: the token lacks the scope {0}")]
    InsufficientScope(String),
    /// Something that the request names does not exist, says Auth0 itself. Look what it is, unless it says so.
    #[error("{0}")]
    NotFound(Missing),
    /// Send nothing to this tenant for this long.
    #[error("Auth0's rate limit is reached")]
    RateLimited(Duration),
    /// No usable answer. Whether the call had an effect is unknown: read before you send it again.
    #[error("{0}")]
    Unavailable(Unavailable),
    /// It failed before its first byte could leave, so it had no effect. Try again later.
    #[error("{0}")]
    NotSent(&'static str),
    /// The peer says that it did not begin with it, so it had no effect. Send it again.
    #[error("the connection was closed before Auth0 processed the request")]
    NotProcessed,
}

impl CallError {
    /// No answer at all.
    pub const fn no_answer(what: &'static str) -> Self {
        Self::Unavailable(Unavailable { status: None, what })
    }

    /// An answer that cannot be used.
    pub const fn unusable(status: StatusCode, what: &'static str) -> Self {
        Self::Unavailable(Unavailable { status: Some(status.as_u16()), what })
    }

    /// Whether the call may have had its effect all the same.
    pub const fn may_have_worked(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

/// What is wrong with a request that Auth0 refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Rejection {
    /// The body did not pass Auth0's validation, or did not arrive.
    #[error("400 invalid_body: an id is malformed, or a proxy dropped the body")]
    Body,
    /// An id in the path has a wrong format.
    #[error("400 invalid_uri: an id is malformed")]
    Uri,
    /// The query was refused.
    #[error("400 invalid_query_string")]
    Query,
    /// The list does not go as far as this page.
    #[error("400 invalid_paging: beyond the records that Auth0 lets be read")]
    Paging,
    /// Another refusal, with its status.
    #[error("status {0}")]
    Other(u16),
}

impl Rejection {
    /// Whether a call with fewer or other items could pass where this one did not.
    pub const fn depends_on_items(self) -> bool {
        match self {
            Self::Body | Self::Other(400 | 413 | 422) => true,
            Self::Uri | Self::Query | Self::Paging | Self::Other(_) => false,
        }
    }
}

/// What does not exist, as far as Auth0's `errorCode` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Missing {
    /// The user or the organization.
    #[error("404: Auth0 knows no such user or organization")]
    Subject,
    /// A role, an API or a permission of it.
    #[error("Auth0 knows no such role, API or permission")]
    Item,
    /// It does not say.
    #[error("404: Auth0 does not know something that the request names")]
    Unclear,
}

/// An answer that cannot be used, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unavailable {
    /// The status, if one came.
    pub status: Option<u16>,
    /// What was seen, in our own words.
    pub what: &'static str,
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            Some(status) => write!(f, "{status}: {}", self.what),
            None => f.write_str(self.what),
        }
    }
}
