//! Rescind takes access away in Auth0, declaratively: a manifest names a person and what they must no longer hold; the
//! operator calls the Auth0 Management API, checks that it is gone, and says so in status.

pub mod api;
pub mod auth0;
pub mod clock;
pub mod dispatch;
pub mod revocation;
pub mod runtime;
pub mod telemetry;
pub mod tenant;
