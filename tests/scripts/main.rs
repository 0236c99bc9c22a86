//! What Argo CD and Flux make of our statuses: the scripts of `resource_customizations/` in a real Lua 5.1, and the real
//! kstatus, on every status the operator's own code can produce.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

mod actions;
mod folders;
mod health;
mod kstatus;
mod lua;
mod statuses;
