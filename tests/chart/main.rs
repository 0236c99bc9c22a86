//! The Helm chart as its users meet it: rendered, refused, installed, and with the rights it grants and no others.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

mod alerts;
mod argocd;
mod cluster;
mod generated;
mod helm;
mod image;
mod lifecycle;
mod operator;
mod user_roles;
mod readme;
mod rendered;
mod rights;
mod schema;
mod secrets;
mod tenant;
mod relay;
