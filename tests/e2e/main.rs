//! Everything that needs a real API server: one kube-apiserver for all tests, a namespace and a fake tenant for each.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

mod harness;
mod repository;
mod removals;
