//! The Helm chart: what it renders and refuses, how it installs, and the rights it grants.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

mod alerts;
mod argocd;
mod artifact_hub;
mod cluster;
mod cluster_tenants;
mod commands_in_docs;
mod generated;
mod helm;
mod image;
mod kube_score;
mod kustomize;
mod lifecycle;
mod manifests_in_docs;
mod older_values;
mod operator;
mod platforms;
mod readme;
mod relay;
mod release;
mod rendered;
mod requester;
mod rights;
mod schema;
mod secrets;
mod tenant;
mod user_roles;
mod workflows;

#[path = "../shared/fixtures.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod fixtures;
#[path = "../shared/generated.rs"]
mod generated_file;
