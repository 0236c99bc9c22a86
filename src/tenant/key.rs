//! The name of a tenant.

use kube::ResourceExt;

use crate::api::{Auth0Tenant, TenantRef};

/// Namespace and name of a tenant object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TenantKey {
    /// The namespace, which is also that of the removals that use the tenant.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl TenantKey {
    /// The tenant that `reference` points to, in an object of `namespace`.
    pub fn of(namespace: &str, reference: &TenantRef) -> Self {
        Self { namespace: namespace.to_owned(), name: reference.name.clone() }
    }
}

impl From<&Auth0Tenant> for TenantKey {
    fn from(tenant: &Auth0Tenant) -> Self {
        Self { namespace: tenant.namespace().unwrap_or_default(), name: tenant.name_any() }
    }
}
