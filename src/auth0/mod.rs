//! What we say to Auth0, and what its answers mean: the calls, the reads with their paging, errors told apart by what
//! the caller must do, tokens, domains.
//!
//! Belongs here: facts of the Management API, as pure functions where possible, and the one HTTP client. Does not belong
//! here: when a call is made, in which order, or for whom. Knows no Kubernetes.

mod answer;
mod client;
mod domain;
mod endpoint;
mod error;
mod item;
mod limits;
mod management_api;
mod token;
mod transport;
mod walk;

pub use answer::{ANSWERS, AnswerRow, Body, Call, Example, Meaning, Method, Received, examples, meaning};
pub use client::{Answer, Client, ClientError, Page, Timeouts};
pub use domain::{AllowedDomains, Domain, DomainError};
pub use endpoint::{Endpoint, EndpointRow, ListRow, Paging, Read};
pub use error::{CallError, Missing, Rejection, Unavailable};
pub use item::{Item, ItemKind, Unreadable};
pub use limits::{RateHeaders, wait_after_429};
pub use management_api::ManagementApi;
pub use token::{Token, TokenError};
pub use walk::{Query, Walk, WalkError, WalkStep};
