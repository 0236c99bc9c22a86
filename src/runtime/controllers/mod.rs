//! Which change queues which object, and the controllers that reconcile what is queued.
//!
//! Start reading at `scope.rs`: a scope is all namespaces or one of them, with the watches, caches and queues for it.
//!
//! - `scope.rs`: starts the watches and the controllers of a scope, and routes wake-ups of the dispatcher to its
//!   queues.
//! - `removals.rs`: the controller of one removal kind. `dependents.rs` knows which removals need which tenant.
//! - `tenants.rs`: the controller of the tenant objects, one for both kinds and all scopes. `cluster_tenants.rs` starts
//!   what the cluster-scoped kind needs beyond that.
//!   `tenant_brake.rs` counts what the objects of a tenant want removed, and writes the allotments of its brake;
//!   `braking.rs` is what it knows.
//!   `tenant_stops.rs` tells the audit log when a tenant is stopped and goes on,
//!   `tenant_credentials.rs` says when the credentials of an application are tried out, and `usability.rs` what of a
//!   tenant matters to removals. `write_pace.rs`: how often its status is written.
//! - `controller.rs`: kube's controller, fed with keys. `clock_jumps.rs`: queues everything when the wall clock was
//!   set.
//! - `guard.rs`: around every reconcile: deadline, panics, backoff. `write_permits.rs`: how many status writes are in
//!   flight.
//! - `requester_policy.rs`: watches the admission policy by which the API server enforces who asked.
//! - `observer.rs`, `preflight.rs`: what the dispatcher reports of its calls, on its way to audit log, metrics and
//!   tenants.
//!
//! A reconcile never waits for Auth0: it hands a job to the dispatcher and returns, and the dispatcher wakes the object
//! when there is news. Only the write of a status takes time, and an object that waits for its turn to write is not
//! being reconciled meanwhile, so that thousands of verdicts never delay the next removal.

mod braking;
mod clock_jumps;
mod cluster_tenants;
mod controller;
mod dependents;
mod guard;
mod observer;
mod preflight;
mod removals;
mod requester_policy;
mod scope;
mod tenant_brake;
mod tenant_credentials;
mod tenant_stops;
mod tenants;
mod usability;
mod write_pace;
mod write_permits;

pub(crate) use clock_jumps::follow_clock;
pub(crate) use cluster_tenants::ClusterTenants;
pub(crate) use dependents::Dependents;
pub(crate) use observer::CallObserver;
pub(crate) use preflight::CountedPreflight;
pub(crate) use requester_policy::watch_requester_policy;
pub(crate) use scope::{Scope, route};
pub(crate) use tenant_brake::follow_brakes;
pub(crate) use tenants::{TenantController, TenantQueues};
