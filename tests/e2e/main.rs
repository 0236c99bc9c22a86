//! Everything that needs a real API server: one kube-apiserver for all tests, and a namespace and a fake tenant for
//! each.
//! Promises are cited by their numbers in docs/design.md; `tests/mutants.sh` breaks them.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

mod address_families;
mod answers;
mod audit;
mod brake;
mod client_credentials;
mod cluster_tenants;
mod connect_proxy;
mod continuous;
mod crashes;
mod credentials;
mod docs_commands;
mod docs_flux;
mod docs_hired_again;
mod docs_security;
mod effects;
mod fault_injector;
mod gateways;
mod guards;
mod harness;
mod holds;
mod imports;
mod kubeconfigs;
mod leader;
mod leavers;
mod lifecycle;
mod manifests;
mod merging;
mod metrics;
mod observing;
mod preflight;
mod process;
mod program;
mod proof;
mod pruned;
mod rate_limits;
mod reconcile_requests;
mod removals;
mod repository;
mod requester;
mod skew;
mod soak;
mod stage;
mod suspended;
mod times;
mod traces;
mod unreadable;
mod watches;

#[path = "../shared/fixtures.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod fixtures;
#[path = "../shared/generated.rs"]
mod generated_file;
#[path = "../chart/helm.rs"]
#[allow(dead_code, reason = "it serves other tests, too")]
mod helm;
