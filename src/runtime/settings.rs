//! What the command line decides about a run.

use crate::auth0::{AllowedDomains, Timeouts};
use crate::telemetry::BindAddress;
use crate::telemetry::traces::Traces;

use super::cache::WatchTiming;
use super::election::ElectionTiming;

/// How to run the operator.
#[derive(Clone, Debug)]
pub struct Settings {
    /// URL of the API server and the proxy on the way, for messages only.
    pub cluster_url: String,
    /// Namespace of the operator, of its Lease, and of the Secrets of cluster-scoped tenants.
    pub namespace: String,
    /// Name of the Lease.
    pub lease_name: String,
    /// Timing of the leader election; `None` for no election, so that this replica is always active.
    pub election: Option<ElectionTiming>,
    /// Domains that credentials may be sent to.
    pub allowed_domains: AllowedDomains,
    /// Namespaces to watch; all if empty.
    pub watch_namespaces: Vec<String>,
    /// Namespaces to read labelled Secrets from; the watched ones if empty.
    pub secret_namespaces: Vec<String>,
    /// Serve `ClusterAuth0Tenant`, unless single namespaces are watched.
    pub cluster_tenants: bool,
    /// Name of the admission policy that enforces who asked, and of its binding; not watched if `None`.
    pub requester_policy: Option<String>,
    /// Address of `/healthz` and `/readyz`; not served if `None`.
    pub probe_address: Option<BindAddress>,
    /// Address of `/metrics`; not served if `None`.
    pub metrics_address: Option<BindAddress>,
    /// Maximum number of concurrent reconciles per removal kind and scope.
    pub max_concurrent_reconciles: u16,
    /// Timeouts of calls to Auth0.
    pub timeouts: Timeouts,
    /// How long a watch lives, and how often its cache is listed again.
    pub watches: WatchTiming,
    /// Where spans are sent.
    pub traces: Traces,
}
