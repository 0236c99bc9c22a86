//! When and in which order calls are sent to Auth0. Knows `auth0`, but not Kubernetes.
//!
//! A caller submits a removal as a [`Job`] and returns at once. The [`Dispatcher`] makes the calls, keeps the
//! [`Report`] and wakes the job's [`Owner`], who then fetches the report with [`Dispatcher::view`]. Whether a removal
//! is still wanted is asked through [`Preflight`] before each call; metrics, audit and traces learn of each call
//! through [`Observer`]. Both are implemented in higher rooms.
//!
//! Start with `job`, the interface in plain data, then `machine`, which makes all decisions.
//! - `dispatcher`: finds the queue of a domain, keeps reports, wakes owners. `driver`: the worker and the calls of one
//!   domain.
//! - `machine`: decides for one domain which call is sent next and what its answer means. Pure, like its three parts:
//! - `fair_queue`: whose turn it is. `limiter`: how fast calls may be sent. `breaker`: the circuit breaker after a 429.
//! - `facts`: what was learned with a connection, which proves nothing.
//! - `connection`: what decides which jobs may share calls. `preflight`, `observer`: the interfaces to the higher
//!   rooms.
//!
//! # How a 429 becomes a status
//!
//! 1. `auth0` turns the response into `CallError::RateLimited`, with the wait that its headers name.
//! 2. `driver` logs it and passes it to `Machine::answered` (`machine/answers.rs`). The limiter learns from the
//!    headers, the circuit breaker opens, and the items or the page go back into their queue. The breaker is that of
//!    the domain, or that of the connection alone while Auth0 has not accepted its credential.
//! 3. While the breaker is open, no call is started, and calls that were being checked are cancelled. When it is
//!    half-open, one call is sent as a probe; its answer closes the breaker or opens it again.
//! 4. If the wait is longer than two seconds, the owners of the jobs in that call are woken. [`Dispatcher::view`]
//!    returns [`Wait::RateLimited`] with `own` set, which `revocation` writes as the reason `RateLimited` with
//!    `status.nextAttemptTime`. Jobs that wait behind the same breaker are woken only after they have waited for 15
//!    seconds.
//! 5. After a restart, `revocation` passes the time that is left in the status to [`Dispatcher::hold`].

mod breaker;
mod connection;
mod dispatcher;
mod driver;
mod facts;
mod fair_queue;
mod job;
mod limiter;
pub mod machine;
mod observer;
mod preflight;

pub use connection::{Connection, ConnectionKey, Credential, Limits};
pub use dispatcher::Dispatcher;
pub use facts::{KnownFacts, Learned};
pub use job::{End, History, Job, Owner, Purpose, Refusal, Removal, Report, Task, Unverified, View, Wait};
#[cfg(feature = "cli")]
pub(crate) use limiter::{CallOutcome, Limiter};
pub use observer::{DeleteFinished, Observer, QueueStats, RequestFinished};
pub use preflight::Preflight;
