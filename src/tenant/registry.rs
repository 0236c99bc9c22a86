//! The tenants as they are now: looked up in the caches at every use, so that a changed object or a rotated Secret counts
//! from the next call on. What they say is decoded once a change; what is remembered goes with what it is about.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use kube::runtime::reflector::{ObjectRef, Store};

use crate::api::{Auth0Tenant, Reason, TenantRef, Verification};
use crate::auth0::{AllowedDomains, CallError, Client, Domain, Timeouts};
use crate::clock;
use crate::dispatch::{Connection, ConnectionKey};

use super::connection::Problem;
use super::decoded::{Alive, Connect, Decoded, Rules};
use super::health::{Health, Unreachable};
use super::key::TenantKey;
use super::refusals::Refusals;
use super::secrets::{Found, Secrets};

/// What a removal finds where its `tenantRef` points.
#[derive(Clone, Debug)]
pub enum TenantState {
    /// No such object.
    Missing,
    /// `spec.suspend`: nothing at all is sent.
    Suspended,
    /// It cannot be used, for this reason.
    NotReady(Problem),
    /// It can be used.
    Ready {
        /// Where to, and how.
        connection: Connection,
        /// Which reads accompany a removal.
        verification: Verification,
    },
}

/// Whether a tenant object can be used, be it suspended or not.
#[derive(Clone, Debug)]
pub enum Usable {
    /// Its Secret may still be on its way into the cache.
    NotKnown,
    /// No, for this reason.
    No(Problem),
    /// Yes.
    Yes(Connection, Verification),
}

/// Every tenant object and labelled Secret, of all watched namespaces.
pub struct Tenants {
    rules: Rules,
    /// By the namespace that is watched; all if none.
    caches: RwLock<HashMap<Option<String>, Arc<Caches>>>,
    decoded: Mutex<Decoded>,
    refusals: Mutex<Refusals>,
    health: Mutex<Health>,
}

struct Caches {
    tenants: Store<Auth0Tenant>,
    secrets: Secrets,
}

impl Tenants {
    /// Knows none yet.
    pub fn new(allowed: AllowedDomains, timeouts: Timeouts) -> Arc<Self> {
        Self::connecting(
            allowed,
            Arc::new(move |domain, ca_bundle| Ok(Arc::new(Client::new(domain, ca_bundle, timeouts)?))),
        )
    }

    /// The same, with ways to Auth0 that `connect` makes.
    pub fn connecting(allowed: AllowedDomains, connect: Arc<Connect>) -> Arc<Self> {
        Arc::new(Self {
            rules: Rules { allowed, connect },
            caches: RwLock::default(),
            decoded: Mutex::default(),
            refusals: Mutex::default(),
            health: Mutex::default(),
        })
    }

    /// Tenants of `namespace` (all if none) are in these caches.
    pub fn add(&self, namespace: Option<&str>, tenants: Store<Auth0Tenant>, secrets: Secrets) {
        let mut all = self.caches.write().unwrap_or_else(PoisonError::into_inner);
        all.insert(namespace.map(str::to_owned), Arc::new(Caches { tenants, secrets }));
    }

    /// The key of what `reference` in an object of `namespace` points to.
    pub fn key(namespace: &str, reference: &TenantRef) -> TenantKey {
        TenantKey::of(namespace, reference)
    }

    /// The tenant object, from the cache.
    pub fn get(&self, key: &TenantKey) -> Option<Arc<Auth0Tenant>> {
        self.caches(&key.namespace)?.tenants.get(&ObjectRef::new(&key.name).within(&key.namespace))
    }

    /// The tenant as it is now.
    pub fn state(&self, key: &TenantKey) -> TenantState {
        let Some(tenant) = self.get(key) else { return TenantState::Missing };
        if tenant.spec.suspend {
            return TenantState::Suspended;
        }
        match self.usable(key, &tenant) {
            Usable::Yes(connection, verification) => TenantState::Ready { connection, verification },
            Usable::No(problem) => TenantState::NotReady(problem),
            Usable::NotKnown => {
                let message = format!("the Secrets of namespace {} have not been read yet", key.namespace);
                TenantState::NotReady(Problem::new(Reason::SecretNotFound, message))
            }
        }
    }

    /// Whether `tenant` can be used, be it suspended or not.
    pub fn usable(&self, key: &TenantKey, tenant: &Auth0Tenant) -> Usable {
        let namespace = &key.namespace;
        let name = tenant.spec.credentials.secret().unwrap_or_default();
        let found =
            self.caches(namespace).map_or(Found::NamespaceNotRead, |caches| caches.secrets.find(namespace, name));
        let (secret, unread) = match found {
            Found::Secret(secret) => (Some(secret), None),
            Found::Missing => (None, None),
            Found::NotListed => return Usable::NotKnown,
            Found::NamespaceNotRead => {
                let message = format!(
                    "this operator reads no Secrets in namespace {namespace}; whoever runs it can add it to --secret-namespaces"
                );
                (None, Some(Problem::new(Reason::NamespaceNotAllowed, message)))
            }
            Found::Unreadable(why) => {
                let message =
                    format!("the Secrets of namespace {namespace} cannot be read ({why}), so {name} is not known");
                (None, Some(Problem::new(Reason::SecretNotFound, message)))
            }
        };
        let made = lock(&self.decoded).make(key, tenant, secret.as_deref(), &self.rules, clock::wall()).clone();
        match (made, unread) {
            (Ok((connection, verification)), None) => match lock(&self.refusals).get(connection.key, clock::steady()) {
                Some(why) => Usable::No(Problem::new(Reason::Unauthorized, why)),
                None => Usable::Yes(connection, verification),
            },
            // It is not there for us, whatever there is.
            (Err(problem), Some(unread)) if problem.reason == Reason::SecretNotFound => Usable::No(unread),
            (Err(problem), _) => Usable::No(problem),
            (Ok(_), Some(unread)) => Usable::No(unread),
        }
    }

    /// Auth0 refused the credential of this connection. Returns whether that is news.
    pub fn refuse(&self, key: ConnectionKey, why: String) -> bool {
        lock(&self.refusals).insert(key, why, clock::steady())
    }

    /// A call with this connection ended. Returns whether its tenants should be looked at again.
    pub fn hear(&self, key: ConnectionKey, error: Option<&CallError>) -> bool {
        lock(&self.health).hear(key, error)
    }

    /// Whether Auth0 did with this connection at least once what it was asked. Known when [`Tenants::hear`] says that it is
    /// news, which is a moment before the dispatcher knows.
    pub fn obeyed(&self, key: ConnectionKey) -> bool {
        lock(&self.health).obeyed(key)
    }

    /// Why the last call with this connection could not be sent, if that is how it ended.
    pub fn unreachable(&self, key: ConnectionKey) -> Option<Unreachable> {
        lock(&self.health).unreachable(key)
    }

    /// Forgets what belongs to tenants and connections that are not there any more; returns what is.
    pub fn retain(&self) -> Alive {
        let mut decoded = lock(&self.decoded);
        decoded.retain(|key| self.get(key).is_some());
        let alive = decoded.alive();
        drop(decoded);
        lock(&self.refusals).retain(&alive.connections);
        lock(&self.health).retain(&alive.connections);
        alive
    }

    /// The tenants that have this connection.
    pub fn with_connection(&self, key: ConnectionKey) -> Vec<TenantKey> {
        lock(&self.decoded).tenants_with(|connection| connection.key == key)
    }

    /// The tenants that have the connection of this one.
    pub fn sharing(&self, key: &TenantKey) -> Vec<TenantKey> {
        let decoded = lock(&self.decoded);
        let connection = decoded.connection(key);
        connection.map(|own| decoded.tenants_with(|connection| connection.key == own)).unwrap_or_default()
    }

    /// The tenants of this domain.
    pub fn with_domain(&self, domain: &Domain) -> Vec<TenantKey> {
        lock(&self.decoded).tenants_with(|connection| connection.domain == *domain)
    }

    /// The tenants that read this Secret.
    pub fn using_secret(&self, namespace: &str, secret: &str) -> Vec<TenantKey> {
        self.find(|tenant| {
            tenant.metadata.namespace.as_deref() == Some(namespace) && tenant.spec.credentials.secret() == Some(secret)
        })
    }

    /// Every tenant of `namespace` (of all if none).
    pub fn keys(&self, namespace: Option<&str>) -> Vec<TenantKey> {
        self.find(|tenant| namespace.is_none_or(|namespace| tenant.metadata.namespace.as_deref() == Some(namespace)))
    }

    fn find(&self, wanted: impl Fn(&Auth0Tenant) -> bool) -> Vec<TenantKey> {
        let caches = self.caches.read().unwrap_or_else(PoisonError::into_inner);
        let found = caches.values().flat_map(|caches| caches.tenants.state_filter(&wanted));
        found.map(|tenant| TenantKey::from(&*tenant)).collect()
    }

    fn caches(&self, namespace: &str) -> Option<Arc<Caches>> {
        let caches = self.caches.read().unwrap_or_else(PoisonError::into_inner);
        caches.get(&None).or_else(|| caches.get(&Some(namespace.to_owned()))).cloned()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing under these locks can be left half done by a panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
