//! Tests of the stand-in itself over real connections: every behaviour in its README has a test here.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests may fail loudly")]

mod connections;
mod directory;
mod effective;
mod faults;
mod lags;
mod limits;
mod network;
mod program;
mod reads;
mod recorded;
mod removals;
mod tokens;
mod unknown;
mod world;
