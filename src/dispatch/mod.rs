//! When we say it: a queue for each connection, the only way to Auth0.
//!
//! A removal is submitted and the caller returns; the dispatcher makes the calls, keeps the report, and wakes the owner.
//! Belongs here: order, batches, rate limits, what follows a 429, which reads prove a removal. Does not belong here:
//! whether a removal is wanted (asked through [`Preflight`]), what a report means for an object, counting and records
//! (told through [`Observer`]). Knows auth0, not Kubernetes.
//!
//! `machine` decides for one domain, with `fair_queue` (who is next), `limiter` (how fast) and `breaker` (not at all after a
//! 429) as its parts; all of them are pure. `driver` makes the calls, `dispatcher` keeps the reports.

mod breaker;
mod connection;
mod dispatcher;
mod driver;
mod fair_queue;
mod job;
mod limiter;
pub mod machine;
mod observer;
mod preflight;

pub use connection::{Connection, ConnectionKey, Limits};
pub use dispatcher::Dispatcher;
pub use job::{End, History, Job, Owner, Refusal, Removal, Report, Task, Unverified, View, Wait};
pub use observer::{DeleteFinished, Observer, QueueStats, RequestFinished};
pub use preflight::Preflight;
