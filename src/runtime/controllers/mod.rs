//! Which watch triggers which reconcile, and how many at once.

mod calls;
mod controller;
mod guard;
mod preflight;
mod removals;
mod scope;
mod tenants;
mod users;

pub(crate) use calls::Calls;
pub(crate) use guard::ReconcileGuard;
pub(crate) use preflight::CountedPreflight;
pub(crate) use scope::{Scope, route};
pub(crate) use tenants::{TenantController, TenantRequests};
pub(crate) use users::Users;
