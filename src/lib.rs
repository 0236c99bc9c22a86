//! Rescind is a Kubernetes operator that takes access away in Auth0. A manifest names a user and the roles, permissions
//! or memberships that the user must lose; the operator removes them with the Auth0 Management API, verifies that they
//! are gone, and reports it in the object's status.
//!
//! Where to start reading: `revocation::reconcile` is what happens to one object, `dispatch` is how its calls reach
//! Auth0, and [`runtime::run`] is what starts everything. The rooms and the arrows between them: docs/architecture.md,
//! "The rooms".
//!
//! - [`api`]: the kinds that users write, their conditions and reasons.
//! - [`auth0`]: endpoints of the Management API, what their answers mean, tokens and domains.
//! - [`dispatch`]: the queue in front of Auth0, with batches, rate limiter and circuit breaker.
//! - [`tenant`]: from a `tenantRef` to a domain and a credential.
//! - [`revocation`]: the one reconcile of all removal kinds, and the pure decisions that it carries out.
//! - [`telemetry`]: logs, audit log, events, metrics, traces and probes.
//! - [`runtime`]: watches, controllers, leader election, startup and shutdown.
//! - `cli`: `kubectl rescind`, the commands for people.
//! - [`kubeconfig`]: how the cluster is found.
//! - [`clock`]: the wall clock and the steady clock that the rooms read.

#![cfg_attr(not(test), deny(clippy::wildcard_enum_match_arm, clippy::iter_over_hash_type, clippy::disallowed_methods))]

pub mod api;
pub mod auth0;
mod capacity;
#[cfg(feature = "cli")]
pub mod cli;
pub mod clock;
pub mod dispatch;
mod hex;
mod kube_error;
pub mod kubeconfig;
pub mod revocation;
pub mod runtime;
mod sync;
pub mod telemetry;
pub mod tenant;
