//! Decides everything for one domain: which call is sent next, when, and with which items, and what its answer means
//! for which job.
//!
//! A state machine over explicit time, without a clock, a socket or a task; those are in `driver`. Events are passed in
//! ([`Machine::submit`], [`Machine::take_back`], [`Machine::preflighted`], [`Machine::send`], [`Machine::answered`]);
//! [`Machine::next`] says what to do next, and [`Machine::ended`] returns the reports of jobs that have ended.
//!
//! Nothing is shared between connections: jobs with different connections are in different queues, calls and walks.
//!
//! Start with `state`, which holds all parts together, then follow a call through `calls` and `answers`.
//! - `state`: jobs come and go, queues are brought up to date, timers run.
//! - `jobs`: what became of each item of a job, and what the job needs next. `diagnosis`: what a 404 is about.
//! - `endpoint_queue`: the items that wait for a DELETE at one endpoint, and how they are batched.
//! - `reads`, `read_queue`: which jobs wait for a list, and the walk that answers them.
//! - `call`, `calls`: a call from its start to the moment when it is sent.
//! - `answers`: what the answer to a call means.
//! - `connection_state`: whether Auth0 has accepted a connection, and the limits of its own.
//! - `learning`: the answers to questions that prove nothing.
//! - `waits`, `estimate`: what a job waits for, and about how long.
//! - `check`: the invariants.

mod answers;
mod call;
mod calls;
mod check;
mod connection_state;
mod diagnosis;
mod endpoint_queue;
mod estimate;
mod jobs;
mod learning;
mod read_queue;
mod reads;
mod state;
mod waits;

pub use super::fair_queue::MAX_IN_FLIGHT;
pub use call::{CallId, Outgoing, PendingCall, Step};
pub use check::Violation;
pub use state::Machine;
