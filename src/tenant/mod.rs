//! Whom we speak for: from a reference to a tenant, its Secret, and whether it can be used.
//!
//! Belongs here: everything about the connection, as one pure function over (tenant, Secret, clock), and the small
//! memory of refused credentials. Does not belong here: what is removed, and when.

mod connection;
mod registry;
mod status;

pub use connection::{Problem, Settings, settings};
pub use registry::{Secrets, TenantKey, TenantState, Tenants};
pub use status::tenant_status;
