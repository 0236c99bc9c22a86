//! Who decides: the trait all kinds share, the one generic reconcile, the one status writer, and the pure parts between an
//! object, its tenant, the dispatcher's view and the clocks on one side, and conditions, event and delay on the other.
//!
//! Belongs here: what an object asks for and what an answer means for it. Does not belong here: streams, controllers,
//! HTTP.
//!
//! The pure parts are the whole life of an object: [`decide`] says what to do, [`absorb`] makes a report part of what is
//! known, [`Outcome::status`] and [`acknowledged`] make a status of it, [`due`] and [`WaitWrites`] say when it is written.
//! `reconcile` only carries it out.

mod answers;
mod blocked;
mod conditions;
mod decide;
mod finished;
mod history;
mod inputs;
mod items;
mod kinds;
mod memory;
mod mutation_cache;
mod outcome;
mod preflight;
mod publish;
mod reconcile;
mod refusals;
mod schedule;
mod settled;
mod shared;
mod status_writer;
mod wait_writes;
mod waits;

pub use blocked::Blocked;
pub use decide::{Absorbed, Decision, absorb, acknowledged, decide};
pub use finished::target;
pub use history::Known;
pub use inputs::{Inputs, Now, Tenant};
pub use items::Items;
pub use kinds::{ForEachKind, Revocation, for_each_kind};
pub use mutation_cache::{MutationCache, Stored};
pub use outcome::{Outcome, Verified};
pub use preflight::{IsFresh, IsLeader, PreflightChecker, TenantCheck};
pub use publish::{Due, due};
pub use reconcile::{Context, Error, reconcile};
pub use refusals::{Refusals, Refused};
pub use schedule::WAIT_SHOWN;
pub use settled::{is_settled, reason_of};
pub use shared::{Proof, ReasonChange, ReconcileState, Shared};
pub use status_writer::{SharedStatus, Target, Written, write_status};
pub use wait_writes::{Slot, WaitClass, WaitWrites};

#[cfg(test)]
mod tests;
