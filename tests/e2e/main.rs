//! Everything that needs a real API server: one kube-apiserver for all tests, a namespace and a fake tenant for each.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

mod harness;
mod manifests;
mod repository;
mod answers;
mod crashes;
mod credentials;
mod held;
mod pacing;
mod program;
mod proof;
mod removals;
