//! How Argo CD and Flux judge our statuses: the scripts of the chart in a real Lua 5.1, and the real
//! kstatus, on every status that the operator's code can produce.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

mod actions;
mod argocd;
mod folders;
mod health;
mod kstatus;
mod lua;
mod statuses;

#[path = "../chart/helm.rs"]
#[allow(dead_code, reason = "it serves other tests, too")]
mod helm;
