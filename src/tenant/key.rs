//! The name of a tenant.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::api::{TenantKind, TenantRef};

/// Kind, namespace and name of a tenant object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TenantKey {
    /// The namespace of an `Auth0Tenant`, which is also that of the removals that use it. None: it is a
    /// `ClusterAuth0Tenant`.
    pub namespace: Option<String>,
    /// The name.
    pub name: String,
}

impl TenantKey {
    /// The tenant that `reference` points to, in an object of `namespace`. There is no way to name another namespace.
    pub fn of(namespace: &str, reference: &TenantRef) -> Self {
        let namespace = match reference.kind {
            TenantKind::Auth0Tenant => Some(namespace.to_owned()),
            TenantKind::ClusterAuth0Tenant => None,
        };
        Self { namespace, name: reference.name.clone() }
    }

    /// The key of the tenant object with this metadata.
    pub fn of_object(meta: &ObjectMeta) -> Self {
        Self { namespace: meta.namespace.clone(), name: meta.name.clone().unwrap_or_default() }
    }

    /// The kind of the tenant object.
    pub const fn kind(&self) -> TenantKind {
        match self.namespace {
            Some(_) => TenantKind::Auth0Tenant,
            None => TenantKind::ClusterAuth0Tenant,
        }
    }
}

/// `namespace/name`, or the name alone if it is a `ClusterAuth0Tenant`.
impl fmt::Display for TenantKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{namespace}/{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}
