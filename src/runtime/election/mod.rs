//! Of several replicas one leads: who holds the lease does the work, and only while its claim is known to stand.
//!
//! `candidate` decides, `clock` keeps the time, `lease_watch` wakes a standby early, `lease` calls the API server.

mod candidate;
mod clock;
mod lease;
mod lease_watch;
#[cfg(test)]
mod model;

pub use candidate::{LEASE, Timing};
pub(crate) use clock::LeadershipToken;
pub(crate) use lease::Elector;
pub use lease::Lost;
