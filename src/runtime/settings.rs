//! How the operator is to run.

use std::net::SocketAddr;

use crate::auth0::{AllowedDomains, Timeouts};
use crate::telemetry::traces::Traces;

use super::cache::WatchTiming;
use super::election::Timing;

/// How to run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The cluster's address, for messages.
    pub cluster_url: String,
    /// The operator's own namespace, where the lease is.
    pub namespace: String,
    /// How replicas choose a leader; if none, this one works without asking.
    pub election: Option<Timing>,
    /// The domains a credential may be sent to.
    pub allowed_domains: AllowedDomains,
    /// The namespaces to watch; all if empty.
    pub watch_namespaces: Vec<String>,
    /// The namespaces whose labelled Secrets are read; those that are watched if empty.
    pub secret_namespaces: Vec<String>,
    /// Where `/healthz` and `/readyz` are served; nowhere if none.
    pub probe_address: Option<SocketAddr>,
    /// Where `/metrics` is served; nowhere if none.
    pub metrics_address: Option<SocketAddr>,
    /// How many objects of one kind are reconciled at once.
    pub max_concurrent_reconciles: u16,
    /// How long a call to Auth0 may take.
    pub timeouts: Timeouts,
    /// How long watches of the API server live.
    pub watches: WatchTiming,
    /// Where traces go.
    pub traces: Traces,
}
