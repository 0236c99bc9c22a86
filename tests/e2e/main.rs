//! Everything that needs a real API server: one kube-apiserver for all tests, a namespace and a fake tenant for each.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

mod answers;
mod crashes;
mod credentials;
mod harness;
mod held;
mod imports;
mod leader;
mod lifecycle;
mod manifests;
mod meddler;
mod merging;
mod metrics;
mod pacing;
mod policy;
mod process;
mod program;
mod proof;
mod removals;
mod repository;
mod requests;
mod scopes;
mod traces;
mod waiting;
mod watches;
