//! The connections of the tenants, made once per change of a tenant object or its Secret: base64, PEM and tokens are
//! not decoded again in every reconcile of every removal.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use tokio::sync::mpsc::UnboundedSender;

use crate::api::{Reason, TenantObject, Verification};
use crate::auth0::{AllowedDomains, ClientError, Domain, ManagementApi};
use crate::dispatch::{Connection, ConnectionKey, Credential};

use super::connection::{SecretCredential, Settings, TenantError, settings};
use super::key::TenantKey;
use super::token_source::{Origin, TokenNews, TokenSource};

/// Makes a client for a domain. It trusts this CA bundle, or the system's certificates if there is none.
pub type Connect = dyn Fn(&Domain, Option<&[u8]>) -> Result<Arc<dyn ManagementApi>, ClientError> + Send + Sync;

/// How connections are made.
#[derive(Clone)]
pub(super) struct Rules {
    pub(super) allowed: AllowedDomains,
    pub(super) connect: Arc<Connect>,
    /// Where it is told how requests for tokens end.
    pub(super) news: UnboundedSender<TokenNews>,
}

/// The connections of the tenants, and the clients that they use.
#[derive(Default)]
pub(super) struct ConnectionCache {
    tenants: BTreeMap<TenantKey, Entry>,
    /// Connections with the same domain and CA bundle share one client, and with it one pool of TCP connections.
    clients: HashMap<ClientKey, Arc<dyn ManagementApi>>,
    /// Tenants with the same application share its tokens.
    sources: HashMap<ConnectionKey, Arc<TokenSource>>,
}

type ClientKey = (Domain, Option<Vec<u8>>);

/// A tenant's connection and its verification, or why there is none.
pub(super) type Resolved = Result<(Connection, Verification), TenantError>;

/// What one version of a tenant object and its Secret resolved to.
struct Entry {
    tenant: Version,
    secret: Option<Version>,
    client: Option<ClientKey>,
    /// Until when its tenant is suspended or on hold.
    stopped_until: Option<Timestamp>,
    resolved: Resolved,
}

/// The uid and the resource version of an object.
type Version = (Option<String>, Option<String>);

fn is_version(version: &Version, meta: &ObjectMeta) -> bool {
    version.0 == meta.uid && version.1 == meta.resource_version
}

fn version(meta: &ObjectMeta) -> Version {
    (meta.uid.clone(), meta.resource_version.clone())
}

impl Entry {
    /// Whether these objects would resolve to the same now. A token may expire and a hold may end without any change.
    fn is_current(&self, tenant: &dyn TenantObject, secret: Option<&Secret>, now: Timestamp) -> bool {
        let same_secret = match (&self.secret, secret) {
            (Some(version), Some(secret)) => is_version(version, &secret.metadata),
            (version, secret) => version.is_none() && secret.is_none(),
        };
        let token = self.resolved.as_ref().ok().and_then(|(connection, _)| connection.credential.token());
        let has_expired = token.is_some_and(|token| token.check_expiry(now).is_err());
        let has_resumed = self.stopped_until.is_some_and(|until| until <= now);
        same_secret && is_version(&self.tenant, tenant.metadata()) && !has_expired && !has_resumed
    }
}

impl ConnectionCache {
    /// What `tenant` and `secret`, which is in `namespace`, resolve to.
    pub(super) fn resolve(
        &mut self,
        key: &TenantKey,
        tenant: &dyn TenantObject,
        (namespace, secret): (&str, Option<&Secret>),
        rules: &Rules,
        now: Timestamp,
    ) -> &Resolved {
        if !self.tenants.get(key).is_some_and(|entry| entry.is_current(tenant, secret, now)) {
            let read = settings(tenant, namespace, secret, &rules.allowed, now);
            let client = read.as_ref().ok().map(|settings| (settings.domain.clone(), settings.ca_bundle.clone()));
            let resolved = read.and_then(|settings| self.connect(key, settings, rules));
            let entry = Entry {
                tenant: version(tenant.metadata()),
                secret: secret.map(|secret| version(&secret.metadata)),
                client,
                stopped_until: tenant.tenant_spec().stopped_until(now),
                resolved,
            };
            let before = self.connection(key);
            self.tenants.insert(key.clone(), entry);
            let now = self.connection(key);
            before.into_iter().chain(now).for_each(|connection| self.suspend_source(connection));
        }
        &self.tenants[key].resolved
    }

    /// Drops the entries of tenants that do not exist any more, and the clients that no entry uses any more.
    pub(super) fn retain(&mut self, exists: impl Fn(&TenantKey) -> bool) {
        let left: Vec<ConnectionKey> =
            self.tenants.keys().filter(|key| !exists(key)).filter_map(|key| self.connection(key)).collect();
        self.tenants.retain(|key, _| exists(key));
        left.into_iter().for_each(|connection| self.suspend_source(connection));
        let used: HashSet<&ClientKey> = self.tenants.values().filter_map(|entry| entry.client.as_ref()).collect();
        self.clients.retain(|key, _| used.contains(key));
        let connections = self.connections();
        self.sources.retain(|key, _| connections.contains(key));
    }

    /// Nothing is asked for while every tenant that would use it is suspended or on hold (promise 5).
    fn suspend_source(&self, connection: ConnectionKey) {
        let Some(source) = self.sources.get(&connection) else { return };
        let mut users = self
            .tenants
            .values()
            .filter(|entry| entry.resolved.as_ref().is_ok_and(|(resolved, _)| resolved.key == connection));
        source.suspend(users.all(|entry| entry.stopped_until.is_some()));
    }

    /// Where the tokens of this tenant come from, if it has an application's credentials.
    pub(super) fn source(&self, key: &TenantKey) -> Option<Arc<TokenSource>> {
        self.sources.get(&self.connection(key)?).cloned()
    }

    /// Where the tokens of this connection come from, if it has an application's credentials.
    pub(super) fn source_of(&self, key: ConnectionKey) -> Option<Arc<TokenSource>> {
        self.sources.get(&key).cloned()
    }

    /// The connections of all tenants.
    pub(super) fn connections(&self) -> HashSet<ConnectionKey> {
        self.tenants.values().filter_map(|entry| Some(entry.resolved.as_ref().ok()?.0.key)).collect()
    }

    /// The tenants that can be used, and with which connection.
    pub(super) fn usable(&self) -> Vec<(TenantKey, Connection)> {
        let usable = |entry: &Entry| Some(entry.resolved.as_ref().ok()?.0.clone());
        self.tenants.iter().filter_map(|(key, entry)| Some((key.clone(), usable(entry)?))).collect()
    }

    /// The connection of this tenant, as it was last resolved.
    pub(super) fn connection(&self, key: &TenantKey) -> Option<ConnectionKey> {
        Some(self.tenants.get(key)?.resolved.as_ref().ok()?.0.key)
    }

    /// The tenants whose connection matches `predicate`.
    pub(super) fn tenants_with(&self, predicate: impl Fn(&Connection) -> bool) -> Vec<TenantKey> {
        let matches = |entry: &Entry| entry.resolved.as_ref().is_ok_and(|(connection, _)| predicate(connection));
        self.tenants.iter().filter(|(_, entry)| matches(entry)).map(|(key, _)| key.clone()).collect()
    }

    fn connect(&mut self, key: &TenantKey, settings: Settings, rules: &Rules) -> Resolved {
        let connection = settings.key();
        let client_key = (settings.domain.clone(), settings.ca_bundle.clone());
        let client = match self.clients.get(&client_key) {
            Some(client) => client.clone(),
            None => {
                let client = (rules.connect)(&settings.domain, settings.ca_bundle.as_deref())
                    .map_err(|error| TenantError::new(Reason::InvalidConnection, format!("spec.caBundle: {error}")))?;
                self.clients.insert(client_key, client.clone());
                client
            }
        };
        let credential: Arc<dyn Credential> = match settings.credential {
            SecretCredential::Token(token) => Arc::new(token),
            SecretCredential::Application(application) => {
                let (domain, client) = (settings.domain.clone(), client.clone());
                let origin = Origin { connection, application, domain, audience: settings.audience, client };
                let start = || TokenSource::start(origin, rules.news.clone());
                self.sources.entry(connection).or_insert_with(start).clone()
            }
        };
        let connection = Connection {
            key: connection,
            domain: settings.domain,
            client,
            credential,
            tenant: key.to_string().into(),
            limits: settings.limits,
        };
        Ok((connection, settings.verification))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use k8s_openapi::ByteString;
    use kube::api::ObjectMeta;
    use serde_json::json;

    use futures::FutureExt;
    use futures::future::BoxFuture;

    use crate::auth0::{Answer, Client, Endpoint, Item, Page, Query, Read, Timeouts, Token, TokenRequest};

    use super::*;
    use crate::api::Auth0Tenant;

    fn rules() -> Rules {
        let connect = |domain: &Domain, ca: Option<&[u8]>| -> Result<Arc<dyn ManagementApi>, _> {
            Ok(Arc::new(Client::new(domain, ca, Timeouts::default())?))
        };
        let (news, _) = tokio::sync::mpsc::unbounded_channel();
        Rules { allowed: AllowedDomains::parse(["*.auth0.com"]).unwrap(), connect: Arc::new(connect), news }
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
        TenantKey { namespace: Some("a".into()), name: name.into() }
    }

    fn now() -> Timestamp {
        Timestamp::from_second(1_000_000).unwrap()
    }

    #[test]
    fn a_connection_is_made_once_per_change_and_forgotten_with_its_tenant() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (mut cache, rules) = (ConnectionCache::default(), rules());
        let mut resolve = |name: &str, tenant: &Auth0Tenant, secret: Option<&Secret>| {
            let resolved = cache.resolve(&key(name), tenant, ("a", secret), &rules, now());
            resolved.as_ref().map(|(connection, _)| connection.key).map_err(|error| error.reason)
        };
        let one = tenant("one", "1", "acme.auth0.com");
        assert_eq!(resolve("one", &one, None), Err(Reason::SecretNotFound));
        let first = resolve("one", &one, Some(&secret("1", "e30.e30.abc"))).unwrap();
        // The Secret has the same version, so it is not read again.
        assert_eq!(resolve("one", &one, Some(&secret("1", "e30.e30.other"))), Ok(first));
        let rotated = resolve("one", &one, Some(&secret("2", "e30.e30.other"))).unwrap();
        assert_ne!(rotated, first);
        let moved =
            resolve("one", &tenant("one", "2", "acme.eu.auth0.com"), Some(&secret("2", "e30.e30.other"))).unwrap();
        assert_ne!(moved, rotated);
        // Another tenant with the same settings has the same connection.
        let other = tenant("two", "1", "acme.eu.auth0.com");
        assert_eq!(resolve("two", &other, Some(&secret("2", "e30.e30.other"))), Ok(moved));
        assert_eq!((cache.connections(), cache.clients.len()), (HashSet::from([moved]), 2));
        cache.retain(|key| key.name == "two");
        assert_eq!((cache.tenants.len(), cache.clients.len()), (1, 1));
        cache.retain(|_| false);
        assert_eq!((cache.tenants.len(), cache.clients.len(), cache.connections().len()), (0, 0, 0));
    }

    #[test]
    fn a_token_expires_without_a_change() {
        use base64::Engine as _;
        let _ = rustls::crypto::ring::default_provider().install_default();
        let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(r#"{"exp": 1000010}"#);
        let (one, secret) = (tenant("one", "1", "acme.auth0.com"), secret("1", &format!("eyJh.{claims}.c2ln")));
        let (mut cache, rules) = (ConnectionCache::default(), rules());
        assert!(cache.resolve(&key("one"), &one, ("a", Some(&secret)), &rules, now()).is_ok());
        let later = now() + std::time::Duration::from_secs(3600);
        let expired = cache.resolve(&key("one"), &one, ("a", Some(&secret)), &rules, later).as_ref().unwrap_err();
        assert_eq!(expired.reason, Reason::InvalidCredentials);
    }

    /// Counts the requests for tokens.
    #[derive(Debug, Default)]
    struct Tokens {
        requests: std::sync::atomic::AtomicUsize,
        /// How long each answer takes.
        delay: Duration,
    }

    impl ManagementApi for Tokens {
        fn remove<'a>(&'a self, _: &'a Token, _: &'a Endpoint, _: &'a [Item], _: &'a str) -> BoxFuture<'a, Answer<()>> {
            unreachable!("nothing is removed")
        }

        fn page<'a>(&'a self, _: &'a Token, _: &'a Read, _: &'a Query) -> BoxFuture<'a, Answer<Page>> {
            unreachable!("nothing is read")
        }

        fn token<'a>(&'a self, _: &'a TokenRequest<'a>) -> BoxFuture<'a, Answer<Token>> {
            self.requests.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let issued = Token::issued(&json!({"access_token": "a", "expires_in": 86400}), Timestamp::UNIX_EPOCH);
            let answer = Answer { limits: crate::auth0::RateHeaders::default(), outcome: Ok(issued.unwrap()) };
            tokio::time::sleep(self.delay).map(|()| answer).boxed()
        }
    }

    /// How connections are made, all of them with this client.
    fn rules_with(client: &Arc<Tokens>) -> Rules {
        let client: Arc<dyn ManagementApi> = client.clone();
        Rules { connect: Arc::new(move |_, _| Ok(client.clone())), ..rules() }
    }

    /// The credentials of an application. Another client secret is another version.
    fn application(client_secret: &str) -> Secret {
        let data = [("clientId", "id"), ("clientSecret", client_secret)];
        let data = data.map(|(key, value)| (key.to_owned(), ByteString(value.into()))).into();
        Secret { metadata: meta("s", client_secret), data: Some(data), ..Secret::default() }
    }

    fn of_application(name: &str, suspend: bool) -> Auth0Tenant {
        let mut tenant = tenant(name, "1", "acme.auth0.com");
        tenant.spec.tenant.credentials =
            serde_json::from_value(json!({"clientCredentialsSecretRef": {"name": "s"}})).unwrap();
        tenant.spec.tenant.suspend = suspend;
        tenant
    }

    /// A call that needs a token goes on as soon as there is one.
    #[tokio::test(start_paused = true)]
    async fn who_waits_for_a_token_learns_of_it() {
        let (client, mut cache) =
            (Arc::new(Tokens { delay: Duration::from_secs(3), ..Tokens::default() }), ConnectionCache::default());
        let tenant = of_application("one", false);
        let secret = application("one");
        assert!(cache.resolve(&key("one"), &tenant, ("a", Some(&secret)), &rules_with(&client), now()).is_ok());
        let source = cache.source(&key("one")).unwrap();
        let waits = tokio::time::timeout(Duration::from_secs(4), source.wait());
        assert_eq!(waits.await, Ok(true));
    }

    /// A token is for one API, so tenants with other audiences share none.
    #[tokio::test]
    async fn another_audience_is_another_connection() {
        let (client, mut cache) = (Arc::new(Tokens::default()), ConnectionCache::default());
        let mut key_of = |name: &str, audience: Option<&str>| {
            let mut tenant = of_application(name, false);
            tenant.spec.tenant.audience = audience.map(str::to_owned);
            let secret = application("one");
            let resolved = cache.resolve(&key(name), &tenant, ("a", Some(&secret)), &rules_with(&client), now());
            resolved.as_ref().map(|(connection, _)| connection.key).unwrap()
        };
        let default = key_of("default", None);
        assert_eq!(key_of("same", Some("https://acme.auth0.com/api/v2/")), default);
        assert_ne!(key_of("other", Some("https://canonical.auth0.com/api/v2/")), default);
    }

    /// Two tenants share an application. While the one that is left is suspended, no token is asked for.
    #[tokio::test]
    async fn tokens_end_with_the_last_tenant_that_is_not_suspended() {
        let leaves: [fn(&mut ConnectionCache, &Rules, &Auth0Tenant, &Secret); 2] = [
            |cache, _, _, _| cache.retain(|key| key.name == "stopped"),
            |cache, rules, active, other| {
                assert!(cache.resolve(&key("active"), active, ("a", Some(other)), rules, now()).is_ok());
            },
        ];
        for leave in leaves {
            let (client, mut cache) = (Arc::new(Tokens::default()), ConnectionCache::default());
            let rules = rules_with(&client);
            let (stopped, active) = (of_application("stopped", true), of_application("active", false));
            for (name, tenant) in [("stopped", &stopped), ("active", &active)] {
                let resolved = cache.resolve(&key(name), tenant, ("a", Some(&application("one"))), &rules, now());
                assert!(resolved.is_ok(), "{:?}", resolved.as_ref().err());
            }
            leave(&mut cache, &rules, &active, &application("two"));
            cache.source(&key("stopped")).unwrap().want();
            for _ in 0..9 {
                tokio::task::yield_now().await;
            }
            assert_eq!(client.requests.load(std::sync::atomic::Ordering::Relaxed), 0);
        }
    }
}
