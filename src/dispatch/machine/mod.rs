//! What is decided for one domain: which call leaves next, when, with which items, and what its answer means for whom.
//!
//! A state machine over explicit time: events go in (`submit`, `take_back`, `preflighted`, `send`, `answered`),
//! [`Machine::next`] says what to do, [`Machine::ended`] what is done. No clock, no socket, no task; those are in `driver`.
//!
//! Everything is kept by connection: jobs whose connections differ share no queue, no list, no call and no verdict.
//! - `queue`: the items to be removed at one endpoint, merged over objects, in smaller batches after a failed call.
//! - `list`: who waits to hear what a list holds; equal questions are one walk.
//! - `jobs`: how far each job has come; `look`: what a 404 is about.

mod answers;
mod call;
mod calls;
mod check;
mod connections;
mod jobs;
mod list;
mod look;
mod pace;
mod pages;
mod queue;
mod state;
mod waits;

pub use super::fair_queue::{MAX_IN_FLIGHT, REMOVALS_IN_A_ROW, SHARED};
pub use call::{Ask, CallId, Outgoing, Step};
pub use check::Violation;
pub use pace::{SHORT_WAIT, WAIT_SHOWN};
pub use state::Machine;
