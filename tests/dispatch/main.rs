//! The decisions of the dispatcher against a model of Auth0, on a virtual clock: properties over random arrivals,
//! connections, limits, answers, lags, faults and clocks, and single cases.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

mod answers;
mod auth0;
mod breaker;
mod cases;
mod connections;
mod dispatcher;
mod fairness;
mod learning;
mod observations;
mod pages;
mod properties;
mod sim;
mod waits;
