//! What tenant objects and their Secrets say, decoded once a change: base64, PEM and tokens are not read again at every
//! look of every removal.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::Resource;

use crate::api::{Auth0Tenant, Reason, Verification};
use crate::auth0::{AllowedDomains, ClientError, Domain, ManagementApi};
use crate::dispatch::{Connection, ConnectionKey};

use super::connection::{Problem, Settings, settings};
use super::key::TenantKey;

/// Makes the way to a domain, which trusts this CA bundle, or the system's certificates if there is none.
pub type Connect = dyn Fn(&Domain, Option<&[u8]>) -> Result<Arc<dyn ManagementApi>, ClientError> + Send + Sync;

/// How to read and connect.
#[derive(Clone)]
pub(super) struct Rules {
    pub(super) allowed: AllowedDomains,
    pub(super) connect: Arc<Connect>,
}

/// What tenants have now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alive {
    /// Their connections.
    pub connections: HashSet<ConnectionKey>,
    /// The domains of these.
    pub domains: HashSet<Domain>,
}

/// What was decoded, and the clients that were made of it.
#[derive(Default)]
pub(super) struct Decoded {
    tenants: HashMap<TenantKey, Entry>,
    /// One connection pool for all that agree on where to and whom to trust.
    clients: HashMap<ClientKey, Arc<dyn ManagementApi>>,
}

type ClientKey = (Domain, Option<Vec<u8>>);

/// What a tenant comes to.
pub(super) type Made = Result<(Connection, Verification), Problem>;

/// What was made of one version of a tenant object and its Secret.
struct Entry {
    tenant: Version,
    secret: Option<Version>,
    client: Option<ClientKey>,
    made: Made,
}

/// Uid and resource version.
type Version = (Option<String>, Option<String>);

fn is_version(version: &Version, object: &impl Resource) -> bool {
    let meta = object.meta();
    version.0 == meta.uid && version.1 == meta.resource_version
}

fn version(object: &impl Resource) -> Version {
    (object.meta().uid.clone(), object.meta().resource_version.clone())
}

impl Entry {
    /// Whether it still is what would be made now. A token that ends is another thing afterwards.
    fn is_current(&self, tenant: &Auth0Tenant, secret: Option<&Secret>, now: Timestamp) -> bool {
        let same_secret = match (&self.secret, secret) {
            (Some(version), Some(secret)) => is_version(version, secret),
            (version, secret) => version.is_none() && secret.is_none(),
        };
        let ended = self.made.as_ref().is_ok_and(|(connection, _)| connection.token.check_expiry(now).is_err());
        same_secret && is_version(&self.tenant, tenant) && !ended
    }
}

impl Decoded {
    /// What `tenant` and `secret` come to.
    pub(super) fn make(
        &mut self,
        key: &TenantKey,
        tenant: &Auth0Tenant,
        secret: Option<&Secret>,
        rules: &Rules,
        now: Timestamp,
    ) -> &Made {
        if !self.tenants.get(key).is_some_and(|entry| entry.is_current(tenant, secret, now)) {
            let read = settings(tenant, secret, &rules.allowed, now);
            let client = read.as_ref().ok().map(|settings| (settings.domain.clone(), settings.ca_bundle.clone()));
            let made = read.and_then(|settings| self.connect(key, settings, &*rules.connect));
            let entry = Entry { tenant: version(tenant), secret: secret.map(version), client, made };
            self.tenants.insert(key.clone(), entry);
        }
        &self.tenants[key].made
    }

    /// Drops what belongs to tenants that are not there any more, and the clients that nobody has any more.
    pub(super) fn retain(&mut self, exists: impl Fn(&TenantKey) -> bool) {
        self.tenants.retain(|key, _| exists(key));
        let used: HashSet<&ClientKey> = self.tenants.values().filter_map(|entry| entry.client.as_ref()).collect();
        self.clients.retain(|key, _| used.contains(key));
    }

    /// What tenants have now.
    pub(super) fn alive(&self) -> Alive {
        let made = || self.tenants.values().filter_map(|entry| entry.made.as_ref().ok());
        let connections = made().map(|(connection, _)| connection.key).collect();
        Alive { connections, domains: made().map(|(connection, _)| connection.domain.clone()).collect() }
    }

    /// The connection of this tenant, when it was looked at last.
    pub(super) fn connection(&self, key: &TenantKey) -> Option<ConnectionKey> {
        Some(self.tenants.get(key)?.made.as_ref().ok()?.0.key)
    }

    /// The tenants whose connection is like this.
    pub(super) fn tenants_with(&self, like: impl Fn(&Connection) -> bool) -> Vec<TenantKey> {
        let is_like = |entry: &Entry| entry.made.as_ref().is_ok_and(|(connection, _)| like(connection));
        self.tenants.iter().filter(|(_, entry)| is_like(entry)).map(|(key, _)| key.clone()).collect()
    }

    fn connect(&mut self, key: &TenantKey, settings: Settings, connect: &Connect) -> Made {
        let client_key = (settings.domain.clone(), settings.ca_bundle.clone());
        let client = match self.clients.get(&client_key) {
            Some(client) => client.clone(),
            None => {
                let client = connect(&settings.domain, settings.ca_bundle.as_deref())
                    .map_err(|error| Problem::new(Reason::InvalidConnection, format!("spec.caBundle: {error}")))?;
                self.clients.insert(client_key, client.clone());
                client
            }
        };
        let connection = Connection {
            key: settings.key(),
            domain: settings.domain,
            client,
            token: settings.token,
            tenant: format!("{}/{}", key.namespace, key.name).into(),
            limits: settings.limits,
        };
        Ok((connection, settings.verification))
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;
    use kube::api::ObjectMeta;
    use serde_json::json;

    use crate::auth0::{Client, Timeouts};

    use super::*;

    fn rules() -> Rules {
        let connect = |domain: &Domain, ca: Option<&[u8]>| -> Result<Arc<dyn ManagementApi>, _> {
            Ok(Arc::new(Client::new(domain, ca, Timeouts::default())?))
        };
        Rules { allowed: AllowedDomains::parse(["*.auth0.com"]).unwrap(), connect: Arc::new(connect) }
    }

    fn meta(name: &str, version: &str) -> ObjectMeta {
        serde_json::from_value(json!({"name": name, "namespace": "a", "uid": name, "resourceVersion": version,
            "labels": {"rescind.dev/credentials": "true"}}))
        .unwrap()
    }

    fn tenant(name: &str, version: &str, domain: &str) -> Auth0Tenant {
        let object = json!({"apiVersion": "rescind.dev/v1alpha1", "kind": "Auth0Tenant", "metadata": {}, "spec": {
            "domain": domain, "credentials": {"tokenSecretRef": {"name": "s", "key": "token"}},
            "rateLimit": {"maxRequestsPerSecond": 10, "reservePercent": 20}, "verification": "After", "mode": "Remove",
            "brake": {"maxRemovals": 1000, "window": "1h", "maxShareOfOrganization": 25},
            "protected": {"userIds": [], "roleIds": [], "organizationIds": [], "keepHolders": []}, "suspend": false,
        }});
        let tenant: Auth0Tenant = serde_json::from_value(object).unwrap();
        Auth0Tenant { metadata: meta(name, version), ..tenant }
    }

    fn secret(version: &str, token: &str) -> Secret {
        let data = Some([("token".to_owned(), ByteString(token.into()))].into());
        Secret { metadata: meta("s", version), data, ..Secret::default() }
    }

    fn key(name: &str) -> TenantKey {
        TenantKey { namespace: "a".into(), name: name.into() }
    }

    fn now() -> Timestamp {
        Timestamp::from_second(1_000_000).unwrap()
    }

    #[test]
    fn it_is_decoded_once_a_change_and_forgotten_with_its_object() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (mut decoded, rules) = (Decoded::default(), rules());
        let mut made = |name: &str, tenant: &Auth0Tenant, secret: Option<&Secret>| {
            decoded.make(&key(name), tenant, secret, &rules, now()).as_ref().map(|(c, _)| c.key).map_err(|p| p.reason)
        };
        let one = tenant("one", "1", "acme.auth0.com");
        assert_eq!(made("one", &one, None), Err(Reason::SecretNotFound));
        let first = made("one", &one, Some(&secret("1", "abc"))).unwrap();
        // Of the same version, so it is not read.
        assert_eq!(made("one", &one, Some(&secret("1", "other"))), Ok(first));
        let rotated = made("one", &one, Some(&secret("2", "other"))).unwrap();
        assert_ne!(rotated, first);
        let moved = made("one", &tenant("one", "2", "acme.eu.auth0.com"), Some(&secret("2", "other"))).unwrap();
        assert_ne!(moved, rotated);
        // Another object with the same connection shares it.
        let other = tenant("two", "1", "acme.eu.auth0.com");
        assert_eq!(made("two", &other, Some(&secret("2", "other"))), Ok(moved));
        assert_eq!((decoded.alive().connections, decoded.clients.len()), (HashSet::from([moved]), 2));
        decoded.retain(|key| key.name == "two");
        assert_eq!((decoded.tenants.len(), decoded.clients.len()), (1, 1));
        decoded.retain(|_| false);
        assert_eq!((decoded.tenants.len(), decoded.clients.len(), decoded.alive().domains.len()), (0, 0, 0));
    }

    #[test]
    fn a_token_ends_without_a_change() {
        use base64::Engine as _;
        let _ = rustls::crypto::ring::default_provider().install_default();
        let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(r#"{"exp": 1000010}"#);
        let (one, secret) = (tenant("one", "1", "acme.auth0.com"), secret("1", &format!("eyJh.{claims}.c2ln")));
        let (mut decoded, rules) = (Decoded::default(), rules());
        assert!(decoded.make(&key("one"), &one, Some(&secret), &rules, now()).is_ok());
        let later = now() + std::time::Duration::from_secs(3600);
        let ended = decoded.make(&key("one"), &one, Some(&secret), &rules, later).as_ref().unwrap_err();
        assert_eq!(ended.reason, Reason::InvalidCredentials);
    }
}
