//! The dispatcher's decisions against a model of Auth0, on a virtual clock: properties over random arrivals, connections,
//! limits, answers, lags, faults and clocks, and the cases it was built for.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

mod answers;
mod auth0;
mod cases;
mod connections;
mod fairness;
mod properties;
mod sim;
mod waits;
