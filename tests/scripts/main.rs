//! How Argo CD and Flux judge our statuses: the scripts of `resource_customizations/` in a real Lua 5.1, and the real
//! kstatus, on every status that the operator's code can produce.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

mod actions;
mod folders;
mod health;
mod kstatus;
mod lua;
mod statuses;

#[path = "../shared/generated.rs"]
mod generated_file;
