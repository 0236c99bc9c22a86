//! The tenant objects that a command is about.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kube::Api;

use crate::api::{Auth0Tenant, ClusterAuth0Tenant, TenantObject};
use crate::tenant::TenantKey;

use super::cluster::Cluster;

/// Tenant objects, and what could not be read.
#[derive(Default)]
pub struct TenantList {
    /// The objects by their names.
    pub found: BTreeMap<TenantKey, Arc<dyn TenantObject>>,
    /// Why some are missing, for users; empty if the list is complete.
    pub unread: Vec<String>,
}

impl TenantList {
    /// The tenants of the namespaces that are meant, and the cluster-scoped ones among `used`; all of those, if all
    /// namespaces are meant.
    pub async fn read(cluster: &Cluster, used: &BTreeSet<TenantKey>) -> Self {
        let mut list = Self::default();
        let client = cluster.client.clone();
        let api: Api<Auth0Tenant> = match cluster.all_namespaces {
            true => Api::all(client.clone()),
            false => Api::namespaced(client.clone(), &cluster.namespace),
        };
        let what = format!("list auth0tenants {}", cluster.place());
        match cluster.list(&what, &api, None).await {
            Ok(found) => found.into_iter().for_each(|tenant| list.add(&tenant.metadata.clone(), Arc::new(tenant))),
            Err(error) => list.unread.push(error.to_string()),
        }
        if cluster.all_namespaces {
            let api: Api<ClusterAuth0Tenant> = Api::all(client);
            match cluster.list("list clusterauth0tenants", &api, None).await {
                Ok(found) => found.into_iter().for_each(|tenant| list.add(&tenant.metadata.clone(), Arc::new(tenant))),
                Err(error) => list.unread.push(error.to_string()),
            }
            return list;
        }
        for key in used.iter().filter(|key| key.namespace.is_none()) {
            match cluster.tenant(key).await {
                Ok(Some(tenant)) => {
                    list.found.insert(key.clone(), tenant);
                }
                Ok(None) => list.unread.push(format!("there is no {} {key}", key.kind())),
                Err(error) => list.unread.push(error.to_string()),
            }
        }
        list
    }

    fn add(&mut self, meta: &kube::core::ObjectMeta, tenant: Arc<dyn TenantObject>) {
        self.found.insert(TenantKey::of_object(meta), tenant);
    }
}
