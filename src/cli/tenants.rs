//! The tenant objects that a command is about.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kube::{Api, ResourceExt};

use crate::api::{Auth0Tenant, ClusterAuth0Tenant, TenantObject};
use crate::tenant::TenantKey;

use super::cluster::Cluster;
use super::error::CliError;

/// How many tenants an error names.
const CANDIDATES: usize = 8;

/// The tenant object of this name. If there is none, the error names the flags of those that there are.
pub async fn existing(cluster: &Cluster, key: &TenantKey) -> Result<Arc<dyn TenantObject>, CliError> {
    if let Some(found) = cluster.tenant(key).await? {
        return Ok(found);
    }
    let own: Api<Auth0Tenant> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let own = cluster.list("list auth0tenants", &own, None).await.unwrap_or_default();
    let of_cluster: Api<ClusterAuth0Tenant> = Api::all(cluster.client.clone());
    let of_cluster = cluster.list("list clusterauth0tenants", &of_cluster, None).await.unwrap_or_default();
    let own = own.iter().map(|tenant| format!("--tenant {}", tenant.name_any()));
    let of_cluster = of_cluster.iter().map(|tenant| format!("--cluster-tenant {}", tenant.name_any()));
    let others: Vec<String> = own.chain(of_cluster).take(CANDIDATES).collect();
    let advice = match others.is_empty() {
        true => ", and no other that you can see: name another namespace with -n, or a tenant with --cluster-tenant",
        false => &format!(": use {}", others.join(" or ")),
    };
    Err(CliError::failed(format!("there is no {} {key}{advice}", key.kind())))
}

/// Tenant objects, and what could not be read.
#[derive(Default)]
pub struct TenantList {
    /// The objects by their names.
    pub found: BTreeMap<TenantKey, Arc<dyn TenantObject>>,
    /// Those that objects or a person name and that do not exist.
    pub missing: BTreeSet<TenantKey>,
    /// Why others could not be read, for users; empty if the list is complete.
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
                Ok(None) => {
                    list.missing.insert(key.clone());
                }
                Err(error) => list.unread.push(error.to_string()),
            }
        }
        list
    }

    fn add(&mut self, meta: &kube::core::ObjectMeta, tenant: Arc<dyn TenantObject>) {
        self.found.insert(TenantKey::of_object(meta), tenant);
    }
}
