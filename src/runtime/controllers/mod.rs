//! Which watch triggers which reconcile, and how many at once.

mod guard;
mod removals;
mod scope;
mod tenants;

pub(crate) use scope::{Scope, route};
