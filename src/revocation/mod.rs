//! Who decides: the trait all four kinds share, the one generic reconcile, and the pure parts between an object, its
//! tenant, the lane's report and the clock on one side, and conditions, event and delay on the other.
//!
//! Belongs here: what an object asks for and what an answer means for it. Does not belong here: streams, controllers,
//! HTTP.

mod decide;
mod kinds;
mod last_look;
mod outcome;
mod reconcile;
mod written;

pub use kinds::{ForEachKind, Revocation, for_each_kind};
pub use last_look::{Freshness, Looker, MayAct, TenantLook};
pub use outcome::Outcome;
pub use reconcile::{Announce, Context, Error, Shared, reconcile};
pub use written::Written;
