//! The lane's decisions against a model of Auth0, on a virtual clock: properties over random arrivals, limits, answers,
//! lags, faults and clocks, and the cases the issue of the lane names.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

mod auth0;
mod cases;
mod properties;
mod sim;
