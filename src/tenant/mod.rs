//! Whom we speak for: from a reference to a tenant, its Secret, and whether it can be used.
//!
//! Belongs here: everything about the connection, as pure functions over (tenant, Secret, clock), and what is remembered
//! of it. Does not belong here: what is removed, and when.

mod connection;
mod decoded;
mod health;
mod key;
mod refusals;
mod registry;
mod secrets;
mod status;

pub use connection::{Problem, Settings, settings};
pub use decoded::{Alive, Connect};
pub use health::Unreachable;
pub use key::TenantKey;
pub use registry::{TenantState, Tenants, Usable};
pub use secrets::{Listing, Secrets};
pub use status::{TenantFacts, tenant_status};
