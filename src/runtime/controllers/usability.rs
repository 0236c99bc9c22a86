//! What of a tenant matters to the removals that depend on it.

use std::sync::Arc;

use crate::api::{Hold, Mode, Protected, TenantObject};
use crate::clock;
use crate::dispatch::ConnectionKey;
use crate::tenant::{TenantError, Usable};

/// What of a tenant matters to the removals that depend on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Usability {
    Suspended,
    OnHold(Hold),
    NotReady(TenantError),
    Ready(ConnectionKey, Guards, Option<Arc<[String]>>),
}

/// What a tenant that can be used keeps from being removed.
type Guards = (Mode, Protected);

impl Usability {
    /// That of this tenant; none while it is not known whether it can be used.
    pub(super) fn of(tenant: &dyn TenantObject, usable: &Usable) -> Option<Self> {
        let spec = tenant.tenant_spec();
        let hold = spec.hold.as_ref().filter(|hold| hold.in_force(clock::wall()).is_some());
        Some(match (usable, hold) {
            (Usable::NotKnown, _) => return None,
            _ if spec.suspend => Self::Suspended,
            (_, Some(hold)) => Self::OnHold(hold.clone()),
            (Usable::No(problem), None) => Self::NotReady(problem.clone()),
            (Usable::Yes(connection, _), None) => {
                let scopes = connection.credential.token().and_then(|token| token.scopes().cloned());
                Self::Ready(connection.key, (spec.mode, spec.protected.clone()), scopes)
            }
        })
    }

    /// Whether removals have to know. Scopes that become known change nothing for them.
    pub(super) fn differs_from(&self, before: &Self) -> bool {
        match (self, before) {
            (Self::Ready(now, guards, _), Self::Ready(then, before, None)) => (now, guards) != (then, before),
            _ => self != before,
        }
    }
}

#[cfg(test)]
mod tests {
    use kube::runtime::reflector::store;
    use kube::runtime::watcher::Event;
    use serde_json::{Value, json};

    use super::*;
    use crate::api::Auth0Tenant;
    use crate::auth0::{AllowedDomains, Timeouts};
    use crate::tenant::{Listing, Secrets, TenantKey, Tenants};

    /// A change of what is protected concerns the objects that wait, and one of the limits does not.
    #[test]
    fn guards_matter_to_removals() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let tenants = Tenants::new(AllowedDomains::parse(["*.auth0.com"]).unwrap(), Timeouts::default());
        let (secret_store, mut secret_writer) = store();
        let secret = json!({
            "metadata": {"namespace": "a", "name": "s", "labels": {"rescind.dev/credentials": "true"}},
            "data": {"token": "ZTMwLmUzMC50b2tlbg=="},
        });
        secret_writer.apply_watcher_event(&Event::Apply(serde_json::from_value(secret).unwrap()));
        let mut secrets = Secrets::default();
        secrets.add(None, secret_store, tokio::sync::watch::channel(Listing::Complete).1);
        tenants.add(None, store().0, secrets);
        let key = TenantKey { namespace: Some("a".into()), name: "t".into() };
        let usability = |version: &str, more: Value| {
            let mut spec = json!({
                "domain": "acme.auth0.com", "credentials": {"tokenSecretRef": {"name": "s", "key": "token"}},
                "rateLimit": {"maxRequestsPerSecond": 10, "reservePercent": 20}, "verification": "After",
                "mode": "Remove", "brake": {"maxRemovals": 1000, "window": "1h", "maxShareOfOrganization": 25},
                "protected": {"userIds": [], "roleIds": [], "organizationIds": [], "keepHolders": []},
                "suspend": false,
            });
            spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let tenant: Auth0Tenant = serde_json::from_value(json!({
                "apiVersion": "rescind.dev/v1alpha1", "kind": "Auth0Tenant", "spec": spec,
                "metadata": {"namespace": "a", "name": "t", "uid": "t", "resourceVersion": version},
            }))
            .unwrap();
            Usability::of(&tenant, &tenants.usable(&key, &tenant)).unwrap()
        };
        let before = usability("1", json!({}));
        assert!(matches!(before, Usability::Ready(..)), "{before:?}");
        let protected = json!({"userIds": ["auth0|1"], "roleIds": [], "organizationIds": [], "keepHolders": []});
        for (version, more, expected) in [
            ("2", json!({"rateLimit": {"maxRequestsPerSecond": 1, "reservePercent": 20}}), false),
            ("3", json!({"protected": protected}), true),
            ("4", json!({"mode": "Observe"}), true),
            ("5", json!({"suspend": true}), true),
            ("6", json!({"domain": "acme.eu.auth0.com"}), true),
        ] {
            assert_eq!(usability(version, more.clone()).differs_from(&before), expected, "{more}");
        }
    }
}
