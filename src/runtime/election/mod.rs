//! Leader election: of several replicas the one that holds the Lease is active, and only as long as no other can
//! have taken the Lease.
//!
//! Start reading at `candidate.rs`, which says why two replicas never lead at the same time:
//!
//! - `candidate.rs`: decides what to do with the Lease that was read. Pure.
//! - `lease.rs`: the elector, which reads and writes the Lease and carries the decisions out.
//! - `clock.rs`: the clock that both use, and the [`LeadershipToken`] that is checked before every call to Auth0.
//! - `lease_watch.rs`: wakes a standby when the leader gives the Lease up.
//! - `model.rs`: a test with three candidates whose clocks, calls and crashes are arbitrary.
//!
//! The elections of other crates were not usable: some go on leading while the API server is unreachable, and others do
//! not support this version of kube.

mod candidate;
mod clock;
mod lease;
mod lease_watch;
#[cfg(test)]
mod model;

pub use candidate::{ElectionTiming, LEASE};
pub(crate) use clock::LeadershipToken;
pub(crate) use lease::Elector;
pub use lease::Lost;
