//! Why a call failed, sorted by what the caller has to do about it.

use std::fmt;
use std::time::Duration;

use http::StatusCode;
use thiserror::Error;

/// Why a call failed. The messages are our own, because Auth0's can contain user ids and email addresses.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CallError {
    /// Auth0 rejected the request itself. Sending it again unchanged cannot succeed.
    #[error("Auth0 refused the request ({0})")]
    Rejected(Rejection),
    /// Auth0 rejected the credential, for this reason. Another credential is needed.
    #[error("Auth0 refused the token ({0})")]
    Unauthorized(&'static str),
    /// Auth0 accepted the credential but denied the request, for a reason other than a missing scope. A person has to
    /// find out why.
    #[error("Auth0 refused this ({0})")]
    Denied(&'static str),
    /// The credential lacks this scope. Grant it, then use a new token.
    #[error("403: the token lacks the scope {0}")]
    InsufficientScope(String),
    /// Auth0 itself says that something named in the request does not exist. Unless it says what, further reads have to
    /// find out.
    #[error("{0}")]
    NotFound(Missing),
    /// Send nothing to this tenant for this long.
    #[error("Auth0's rate limit is reached")]
    RateLimited(Duration),
    /// There was no usable answer, so the call may or may not have taken effect. Read before sending it again.
    #[error("{0}")]
    Unavailable(Unavailable),
    /// The call failed before its first byte was sent, so it had no effect. Retry later.
    #[error("{0}")]
    NotSent(&'static str),
    /// The peer says that it did not process the request, so it had no effect. Send it again.
    #[error("the connection was closed before Auth0 processed the request")]
    NotProcessed,
    /// Auth0 rejected the access token, and the credential gets another one, so it had no effect. Send it again.
    #[error("401: Auth0 refused the access token, and the operator asks for another one")]
    TokenReplaced,
}

impl CallError {
    /// The error for a call that got no answer.
    pub const fn no_answer(what: &'static str) -> Self {
        Self::Unavailable(Unavailable { status: None, what })
    }

    /// The error for an answer that cannot be used.
    pub const fn unusable(status: StatusCode, what: &'static str) -> Self {
        Self::Unavailable(Unavailable { status: Some(status.as_u16()), what })
    }

    /// Whether this was Auth0's own answer; otherwise nothing is known about the request.
    pub const fn is_auth0s_own(&self) -> bool {
        match self {
            Self::Rejected(_)
            | Self::Unauthorized(_)
            | Self::Denied(_)
            | Self::InsufficientScope(_)
            | Self::NotFound(_)
            | Self::RateLimited(_)
            | Self::TokenReplaced => true,
            Self::Unavailable(_) | Self::NotSent(_) | Self::NotProcessed => false,
        }
    }

    /// Whether Auth0 answered in a way that another try soon would not change: it refused the call, or does not know
    /// what the call names.
    pub const fn is_lasting(&self) -> bool {
        match self {
            Self::Rejected(_) | Self::Denied(_) | Self::InsufficientScope(_) | Self::NotFound(_) => true,
            Self::Unauthorized(_)
            | Self::RateLimited(_)
            | Self::Unavailable(_)
            | Self::NotSent(_)
            | Self::NotProcessed
            | Self::TokenReplaced => false,
        }
    }

    /// Whether the request may have reached Auth0, so that its logs may show it.
    pub const fn may_have_arrived(&self) -> bool {
        self.is_auth0s_own() || self.may_have_worked()
    }

    /// Whether the call may have taken effect although it failed.
    pub const fn may_have_worked(&self) -> bool {
        match self {
            Self::Unavailable(_) => true,
            Self::Rejected(_)
            | Self::Unauthorized(_)
            | Self::Denied(_)
            | Self::InsufficientScope(_)
            | Self::NotFound(_)
            | Self::RateLimited(_)
            | Self::NotSent(_)
            | Self::NotProcessed
            | Self::TokenReplaced => false,
        }
    }
}

/// What is wrong with a request that Auth0 rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Rejection {
    /// The body failed Auth0's validation.
    #[error("400 invalid_body: an id is malformed")]
    Body,
    /// An id in the path is malformed.
    #[error("400 invalid_uri: an id is malformed")]
    Uri,
    /// The query string is invalid.
    #[error("400 invalid_query_string")]
    Query,
    /// The page lies beyond the records that Auth0 lets be read.
    #[error("400 invalid_paging: beyond the records that Auth0 lets be read")]
    Paging,
    /// Another rejection, with its HTTP status.
    #[error("status {0}")]
    Other(u16),
}

impl Rejection {
    /// Whether a request with fewer or other items could succeed where this one failed.
    pub const fn depends_on_items(self) -> bool {
        match self {
            Self::Body | Self::Other(400 | 413 | 422) => true,
            Self::Uri | Self::Query | Self::Paging | Self::Other(_) => false,
        }
    }
}

/// What does not exist, as far as Auth0's `errorCode` tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Missing {
    /// The user or the organization in the path.
    #[error("404: Auth0 knows no such user or organization")]
    Subject,
    /// A role, an API, or a permission of an API.
    #[error("Auth0 knows no such role, API or permission")]
    Item,
    /// The answer does not say.
    #[error("404: Auth0 does not know something that the request names")]
    Unclear,
}

/// Why there was no usable answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unavailable {
    /// The HTTP status, if there was a response.
    pub status: Option<u16>,
    /// What happened, in our own words.
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
