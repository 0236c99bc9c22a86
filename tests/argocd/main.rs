//! The real Argo CD syncs manifests from a git repository, and the operator carries them out against the fake Auth0.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

mod application;
mod leavers;
mod processes;
mod repository;
mod scenarios;

#[path = "../e2e/fault_injector.rs"]
#[allow(dead_code, reason = "it serves other tests, too")]
mod fault_injector;
#[path = "../shared/fixtures.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod fixtures;
#[path = "../e2e/harness.rs"]
#[allow(dead_code, reason = "it serves other tests, too")]
mod harness;
#[path = "../chart/helm.rs"]
#[allow(dead_code, reason = "it serves other tests, too")]
mod helm;
