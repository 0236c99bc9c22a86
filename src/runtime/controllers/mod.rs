//! Which watch triggers which reconcile, and how many at once.

mod calls;
mod guard;
mod preflight;
mod removals;
mod scope;
mod tenants;
mod users;
mod workers;
mod workqueue;

pub(crate) use calls::Calls;
pub(crate) use guard::ReconcileGuard;
pub(crate) use preflight::CountedPreflight;
pub(crate) use scope::{Scope, route};
pub(crate) use tenants::TenantController;
pub(crate) use users::Users;
pub(crate) use workqueue::WorkQueue;
