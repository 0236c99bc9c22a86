//! What the operator knows of a tenant object before it speaks to Auth0, from the object and its status.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::api::{Auth0TenantStatus, ConditionType, Reason, State, TenantKind, TenantObject};
use crate::auth0::Domain;
use crate::cli::cluster::Cluster;
use crate::cli::error::CliError;
use crate::cli::object::Object;
use crate::dispatch::ConnectionKey;
use crate::revocation::Tenant;
use crate::tenant::{Applicant, TenantKey, protected_target, refusal};

/// A tenant object, and what else decides about the objects that use it.
pub struct Standing {
    /// The tenant object, if there is one.
    pub tenant: Option<Arc<dyn TenantObject>>,
    /// The labels of the namespaces that use it, as far as they could be read.
    labels: BTreeMap<String, Result<BTreeMap<String, String>, String>>,
    /// Whom to ask for `key` and `domain` of a usable tenant.
    domain: Option<Domain>,
    hold: Option<(Timestamp, String)>,
}

/// What a [`Tenant`] borrows from.
#[derive(Clone, Debug, Default)]
pub struct Guarded {
    refused: Option<String>,
    protected: Option<String>,
    scopes: Option<Vec<String>>,
}

impl Standing {
    /// Reads the tenant object and the labels of these namespaces.
    pub async fn read(
        cluster: &Cluster,
        key: &TenantKey,
        namespaces: &[String],
        now: Timestamp,
    ) -> Result<Self, CliError> {
        let tenant = cluster.tenant(key).await?;
        let mut labels = BTreeMap::new();
        if key.kind() == TenantKind::ClusterAuth0Tenant && tenant.is_some() {
            for namespace in namespaces {
                let read = cluster.namespace_labels(namespace).await.map_err(|error| error.to_string());
                labels.insert(namespace.clone(), read);
            }
        }
        let spec = tenant.as_deref().map(TenantObject::tenant_spec);
        let hold = spec.and_then(|spec| spec.hold.as_ref());
        let hold = hold.and_then(|hold| Some((hold.in_force(now)?, hold.reason.clone())));
        let domain = spec.and_then(|spec| spec.domain.parse().ok());
        Ok(Self { tenant, labels, domain, hold })
    }

    /// What its guards say of an object. `scopes` are those of the operator's token, if they are known.
    pub fn guarded(&self, key: &TenantKey, object: &Object, scopes: Option<&[String]>) -> Guarded {
        let Some(tenant) = &self.tenant else { return Guarded::default() };
        let applicant = Applicant { namespace: object.namespace(), kind: object.kind, removal: &object.removal };
        let labels = self.labels.get(object.namespace()).and_then(|labels| labels.as_ref().ok());
        let refused = tenant.admission().zip(labels);
        Guarded {
            refused: refused.and_then(|(admission, labels)| refusal(admission, &key.name, &applicant, labels)),
            protected: protected_target(&tenant.tenant_spec().protected, &object.removal),
            scopes: scopes.map(<[String]>::to_vec).or_else(|| self.told_scopes(object)),
        }
    }

    /// The status of the tenant names the scopes that are missing. If one is, the token has none that would do.
    fn told_scopes(&self, object: &Object) -> Option<Vec<String>> {
        let row = object.removal.endpoint.row();
        let missing = &self.status()?.scopes.as_ref()?.missing;
        let lacks = row.removal_scopes.iter().any(|scope| missing.iter().any(|name| name == scope));
        lacks.then(|| row.reads().map(str::to_owned).collect())
    }

    /// The status of the tenant object.
    pub fn status(&self) -> Option<&Auth0TenantStatus> {
        self.tenant.as_deref()?.tenant_status()
    }

    /// Why the tenant cannot be used, as the operator says.
    pub fn problem(&self) -> Option<(Reason, &str)> {
        let ready = self.status()?.condition(ConditionType::Ready)?;
        let reason = Reason::parse(&ready.reason).filter(|reason| reason.state() != State::Done)?;
        Some((reason, ready.message.as_str()))
    }

    /// The tenant as it is now.
    pub fn now<'a>(&'a self, guarded: &'a Guarded, brake: Option<&'a str>) -> Tenant<'a> {
        let Some(tenant) = &self.tenant else { return Tenant::Missing };
        match (&guarded.refused, &self.hold, self.problem()) {
            (Some(why), ..) => Tenant::NotAllowed(why),
            _ if tenant.tenant_spec().suspend => Tenant::Suspended,
            (None, Some((until, why)), _) => Tenant::OnHold { until: *until, why },
            (None, None, Some((reason, message))) if !matches!(reason, Reason::Suspended | Reason::OnHold) => {
                Tenant::NotReady { reason, message }
            }
            (None, None, _) => self.free(guarded, brake),
        }
    }

    /// The tenant as it would be if it had not been stopped and could be used.
    pub fn free<'a>(&'a self, guarded: &'a Guarded, brake: Option<&'a str>) -> Tenant<'a> {
        let (Some(tenant), Some(domain)) = (&self.tenant, &self.domain) else { return Tenant::Missing };
        if let Some(why) = &guarded.refused {
            return Tenant::NotAllowed(why);
        }
        let spec = tenant.tenant_spec();
        Tenant::Ready {
            key: ConnectionKey::new(domain, None, 0),
            domain,
            verification: spec.verification,
            mode: spec.mode,
            protected: guarded.protected.as_deref(),
            brake,
            questions: &[],
            scopes: guarded.scopes.as_deref(),
        }
    }

    /// What could not be found out about who may use the tenant, for users.
    pub fn unknown(&self) -> impl Iterator<Item = String> + '_ {
        let unread = self.labels.iter().filter_map(|(name, labels)| Some((name, labels.as_ref().err()?)));
        unread.map(|(name, why)| format!("whether the tenant admits namespace {name} is not known: {why}"))
    }
}
