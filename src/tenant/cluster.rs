//! The caches that serving `ClusterAuth0Tenant` takes, and why the kind cannot be served if it cannot.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Namespace;
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::{ObjectRef, Store};
use tokio::sync::watch::Receiver;

use crate::api::{ClusterAuth0Tenant, Reason};

use super::connection::TenantError;
use super::secrets::Listing;

/// A namespace, of which only the metadata is read.
pub type NamespaceMeta = PartialObjectMeta<Namespace>;

/// The caches of the cluster-scoped tenants and of the namespaces that may use them.
pub struct ClusterCaches {
    /// The namespace of the operator, in which the Secrets of these tenants are.
    pub namespace: String,
    /// The tenant objects.
    pub tenants: Store<ClusterAuth0Tenant>,
    /// Whether the tenants were listed.
    pub tenants_listing: Receiver<Listing>,
    /// All namespaces of the cluster.
    pub namespaces: Store<NamespaceMeta>,
    /// Whether the namespaces were listed.
    pub namespaces_listing: Receiver<Listing>,
}

/// Why no cluster-scoped tenant can be used, whatever its settings.
pub(super) struct Problem {
    pub(super) error: TenantError,
    /// It ends within moments: a list is not complete yet.
    pub(super) is_brief: bool,
}

/// Whether the operator serves `ClusterAuth0Tenant`.
pub(super) enum Cluster {
    /// No, for this reason.
    NotServed(String),
    /// Yes, once both lists are complete.
    Served(ClusterCaches),
}

impl Default for Cluster {
    fn default() -> Self {
        Self::NotServed("it was not told to".to_owned())
    }
}

impl Cluster {
    pub(super) const fn caches(&self) -> Option<&ClusterCaches> {
        match self {
            Self::NotServed(_) => None,
            Self::Served(caches) => Some(caches),
        }
    }

    /// Why no cluster-scoped tenant can be used now, if none can.
    pub(super) fn problem(&self) -> Option<Problem> {
        let problem =
            |is_brief, message| Some(Problem { error: TenantError::new(Reason::TenantNotReady, message), is_brief });
        let caches = match self {
            Self::NotServed(why) => {
                return problem(false, format!("this operator does not serve ClusterAuth0Tenant: {why}"));
            }
            Self::Served(caches) => caches,
        };
        let lists = [("ClusterAuth0Tenants", &caches.tenants_listing), ("the namespaces", &caches.namespaces_listing)];
        lists.into_iter().find_map(|(what, listing)| match &*listing.borrow() {
            Listing::Complete => None,
            Listing::NotYet => problem(true, format!("the operator has not read {what} yet")),
            Listing::Failing(why) => problem(false, format!("the operator cannot read {what} ({why})")),
        })
    }
}

impl ClusterCaches {
    /// The namespace of this name, if the cache holds it.
    pub(super) fn namespace_meta(&self, name: &str) -> Option<Arc<NamespaceMeta>> {
        self.namespaces.get(&ObjectRef::new(name))
    }
}
