//! Who decides: what an object asks for, and what an answer of Auth0 means for it. No streams, no controllers and no
//! HTTP: `runtime` calls [`reconcile`], and `dispatch` makes the calls.
//!
//! Start with `decide`: it is the whole life of an object as one pure function. `reconcile` then gathers its inputs and
//! carries out what it says.
//!
//! The pure part, from the inputs to a status:
//! - `inputs`: everything that a decision rests on. `kinds`: what the four removal kinds add to it.
//! - `decide` and `decide_finished`: what to do now, as a `decision`. `apply_report`: what a job has brought. `blocked`: what keeps anything from being sent. `finished`: when nothing is left to do.
//! - `history` and `items`: what is known from before, as numbers and item by item. `unproved`: what is said of an object
//!   that goes away before its proof.
//! - `answers`: what the report of a job means. `waits`: what an object says while its job waits. `outcome`: how either
//!   becomes a status. `conditions`: which conditions are this version's.
//! - `needs`: which facts an object needs before its next job. `effect`: whether its removal limits anything.
//! - `observations` and `checks`: what a job that only looks has found, and when to look again.
//! - `schedule`: when to retry or read again. `due`: when a status is worth a write. `settled`: which objects need no
//!   reconcile.
//!
//! What remembers or acts:
//! - `reconcile` with `reconcile::write`, and `shared`, which all its calls share.
//! - `memory`: what is known of an object beyond its status. `mutation_cache`: statuses that the cache does not show
//!   yet. `refusals`: what Auth0 refused. `wait_writes`: the rate limiter of statuses that only say what an object
//!   waits for.
//! - `status_writer`: the one way in which a status is written. `preflight`: the check right before a call, and
//!   `confirm`, which asks the API server for it. `requester`: who asked for a removal, and whether that is proved.

mod answers;
mod apply_report;
mod blocked;
mod checks;
mod conditions;
mod confirm;
mod decide;
mod decide_finished;
mod decision;
mod demand;
mod due;
mod effect;
mod finished;
mod history;
mod inputs;
mod items;
mod kinds;
mod memory;
mod mutation_cache;
mod needs;
mod observations;
mod outcome;
mod preflight;
mod reconcile;
mod refusals;
mod requester;
mod schedule;
mod settled;
mod shared;
mod status_writer;
mod unproved;
mod wait_writes;
mod waits;

pub use apply_report::apply_report;
pub use blocked::Blocked;
pub use confirm::{ClusterIsFresh, IsFresh, TenantCheck};
pub use decide::decide;
pub use decide_finished::acknowledged;
pub use decision::{AppliedReport, Decision};
pub use demand::{Want, want};
pub use effect::Effective;
pub use history::Known;
pub use inputs::{Failures, Inputs, Now, Tenant};
pub use items::Items;
pub use kinds::{ForEachKind, Revocation, for_each_kind, kind_at};
pub use mutation_cache::{Current, MutationCache, Stored};
pub use outcome::{Outcome, Verified};
pub use preflight::{IsLeader, Origin, PreflightChecker};
pub use reconcile::{Context, Error, Progress, reconcile};
pub use refusals::{Calls, Refused};
pub use requester::{AdmissionBinding, AdmissionPolicy, RequesterPolicy, RequesterSource, binding_spec, policy_spec};
pub use settled::{is_settled, is_verdict_changed, reason_of};
pub use shared::{Proof, ReasonChange, ReconcileState, Shared};
pub use status_writer::{SharedStatus, StatusTarget, Written, own_part, write_status};

#[cfg(test)]
mod tests;
