//! What is sent to Auth0, and what its responses mean. Knows the Management API, but neither Kubernetes nor when, in
//! which order or for whom a call is made; that is decided in `dispatch`.
//!
//! Start with `endpoint`: its table lists the four places where items can be removed. Then `client`, which makes the
//! two calls there are, a DELETE of items and a GET of a page.
//! - `endpoint`, `item`: paths, bodies, scopes and paging of each endpoint, and the items that are removed there.
//! - `domain`, `token`: where a call may go, and the credential that it carries.
//! - `application`: the credentials of an application, for which `token_endpoint` gives tokens; `private_key` signs for
//!   it. `token_text`, `secret_text`: what people put into a Secret instead.
//! - `client`: sends a call over HTTP. `management_api` is the same as a trait, so that tests can replace it.
//! - `transport`: what it means that no response came. `no_proxy`: which hosts are reached without the proxy.
//! - `answer`: what a response means, as one table of status, body and meaning.
//! - `error`: the failures, sorted by what the caller has to do about them.
//! - `limits`: the rate-limit headers, and how long a 429 asks to wait.
//! - `walk`: reads a list page by page until its end is certain.
//! - `read`: what can be read. `question`: the reads that prove nothing, and what they answer. `lookup`: what people
//!   look up. `reader`: a client that only reads, for them.
//!
//! A 429, for example: `client` reads the headers with `limits`; the first row of the table in `answer` turns the
//! status into [`CallError::RateLimited`] with the wait from [`wait_after_429`]; the caller gets both in an [`Answer`].
//! What happens then is described in `dispatch`.

mod answer;
mod application;
mod client;
mod domain;
mod endpoint;
mod error;
mod item;
mod limits;
mod lookup;
mod management_api;
mod no_proxy;
mod private_key;
mod question;
mod read;
mod reader;
mod secret_text;
mod token;
mod token_endpoint;
mod token_text;
mod transport;
mod walk;

pub use answer::{ANSWERS, AnswerRow, Body, Call, Example, Meaning, Method, Received, examples, meaning};
pub use application::{Application, ApplicationError};
pub use client::{Answer, Client, ClientError, Page, Timeouts};
pub use domain::{AllowedDomains, Domain, DomainError};
pub use endpoint::{Endpoint, EndpointRow, ListRow, NotFound, Paging, PathId};
pub use error::{CallError, Missing, Rejection, Unavailable};
pub use item::{Item, ItemKind, Unreadable};
pub use limits::{RateHeaders, wait_after_429};
pub use lookup::{Lookup, LookupRow};
pub use management_api::ManagementApi;
pub use no_proxy::exempts;
pub use question::{ApiSettings, Fact, Question, QuestionRow};
pub use read::Read;
pub use reader::Reader;
pub use secret_text::Defect;
pub use token::{Token, fingerprint};
pub use token_endpoint::{TOKEN_ENDPOINT, TokenRequest};
pub use token_text::TokenError;
pub use walk::{Query, Walk, WalkError, WalkStep};
