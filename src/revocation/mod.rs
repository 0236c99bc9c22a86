//! Who decides: the trait all four kinds share, the one generic reconcile, and the pure parts between an object, its
//! tenant, the lane's report and the clock on one side, and conditions, event and delay on the other.
//!
//! Belongs here: what an object asks for and what an answer means for it. Does not belong here: streams, controllers,
//! HTTP.

mod decide;
mod kinds;
mod mutation_cache;
mod outcome;
mod preflight;
mod reconcile;

pub use kinds::{ForEachKind, Revocation, for_each_kind};
pub use mutation_cache::Written;
pub use outcome::Outcome;
pub use preflight::{IsFresh, Looker, MayAct, TenantLook};
pub use reconcile::{Announce, Context, Error, Shared, reconcile};
