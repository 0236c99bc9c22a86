//! The tenants as they are now: looked up in the caches at every use, so that a changed object or a rotated Secret counts
//! from the next call on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::runtime::reflector::{ObjectRef, Store};

use crate::api::{Auth0Tenant, Reason, TenantRef, Verification};
use crate::auth0::{AllowedDomains, Client, Domain, Timeouts};
use crate::dispatch::Connection;

use super::connection::{Problem, Settings, settings};

/// A credential that Auth0 refused is tried again after this long: the refusal may have been Auth0's mistake.
const REFUSED_FOR: Duration = Duration::from_secs(600);

/// Namespace and name of a tenant object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TenantKey {
    /// Its namespace, always the removal's own.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

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
        /// Which lane.
        domain: Domain,
        /// How.
        connection: Connection,
        /// Which reads accompany a removal.
        verification: Verification,
    },
}

/// The labelled Secrets: one cache of all namespaces, or one for each that may be read.
#[derive(Default)]
pub struct Secrets(HashMap<Option<String>, Store<Secret>>);

impl Secrets {
    /// This cache holds the Secrets of `namespace` (all if none).
    pub fn add(&mut self, namespace: Option<&str>, store: Store<Secret>) {
        self.0.insert(namespace.map(str::to_owned), store);
    }

    /// `None`: nobody reads Secrets there.
    fn of(&self, namespace: &str) -> Option<&Store<Secret>> {
        self.0.get(&None).or_else(|| self.0.get(&Some(namespace.to_owned())))
    }
}

/// Every tenant object and labelled Secret.
pub struct Tenants {
    allowed: AllowedDomains,
    timeouts: Timeouts,
    tenants: Store<Auth0Tenant>,
    secrets: Secrets,
    refused: Mutex<HashMap<TenantKey, Refusal>>,
    clients: Mutex<HashMap<ClientKey, Client>>,
}

struct Refusal {
    token: u64,
    why: String,
    since: Instant,
}

/// One connection pool a tenant: objects that agree on where and whom to trust share it.
type ClientKey = (Domain, Option<Vec<u8>>);

impl Tenants {
    /// Looks tenants up in these caches.
    pub fn new(
        allowed: AllowedDomains,
        timeouts: Timeouts,
        tenants: Store<Auth0Tenant>,
        secrets: Secrets,
    ) -> Arc<Self> {
        Arc::new(Self { allowed, timeouts, tenants, secrets, refused: Mutex::default(), clients: Mutex::default() })
    }

    /// The key of what `reference` in an object of `namespace` points to.
    pub fn key(namespace: &str, reference: &TenantRef) -> TenantKey {
        TenantKey { namespace: namespace.to_owned(), name: reference.name.clone() }
    }

    /// The tenant as it is now.
    pub fn state(&self, key: &TenantKey) -> TenantState {
        let Some(tenant) = self.get(key) else { return TenantState::Missing };
        if tenant.spec.suspend {
            return TenantState::Suspended;
        }
        match self.connect(&tenant) {
            Ok((settings, client)) => TenantState::Ready {
                domain: settings.domain,
                connection: Connection {
                    client,
                    token: settings.token,
                    tenant: format!("{}/{}", key.namespace, key.name).into(),
                    limits: settings.limits,
                },
                verification: settings.verification,
            },
            Err(problem) => TenantState::NotReady(problem),
        }
    }

    /// The settings and the client of `tenant`, whether it is suspended or not.
    pub fn connect(&self, tenant: &Auth0Tenant) -> Result<(Settings, Client), Problem> {
        let namespace = tenant.namespace().unwrap_or_default();
        let secrets = self.secrets.of(&namespace);
        let name = &tenant.spec.credentials.token_secret_ref.name;
        let secret = secrets.and_then(|secrets| secrets.get(&ObjectRef::new(name).within(&namespace)));
        let settings = settings(tenant, secret.as_deref(), &self.allowed, Timestamp::now()).map_err(|problem| {
            match problem.reason {
                Reason::SecretNotFound if secrets.is_none() => unread(&namespace),
                _ => problem,
            }
        })?;
        let key = TenantKey { namespace, name: tenant.name_any() };
        if let Some(why) = self.refusal(&key, settings.token.fingerprint()) {
            return Err(Problem::new(Reason::Unauthorized, why));
        }
        let client = self.client(&settings)?;
        Ok((settings, client))
    }

    /// The tenant object, from the cache.
    pub fn get(&self, key: &TenantKey) -> Option<Arc<Auth0Tenant>> {
        self.tenants.get(&ObjectRef::new(&key.name).within(&key.namespace))
    }

    /// Auth0 refused this credential: nobody else needs to find that out. Returns whether that is news.
    pub fn refuse(&self, key: &TenantKey, token: u64, why: String) -> bool {
        let refusal = Refusal { token, why, since: Instant::now() };
        let before = lock(&self.refused).insert(key.clone(), refusal);
        before.is_none_or(|before| before.token != token || before.since.elapsed() >= REFUSED_FOR)
    }

    /// The tenant objects that read this Secret.
    pub fn readers_of(&self, namespace: &str, secret: &str) -> Vec<TenantKey> {
        let reads = |tenant: &Arc<Auth0Tenant>| {
            tenant.namespace().as_deref() == Some(namespace) && tenant.spec.credentials.token_secret_ref.name == secret
        };
        let key = |tenant: &Arc<Auth0Tenant>| TenantKey { namespace: namespace.to_owned(), name: tenant.name_any() };
        self.tenants.state().iter().filter(|tenant| reads(tenant)).map(key).collect()
    }

    /// Every tenant object.
    pub fn keys(&self) -> Vec<TenantKey> {
        let key = |tenant: Arc<Auth0Tenant>| TenantKey {
            namespace: tenant.namespace().unwrap_or_default(),
            name: tenant.name_any(),
        };
        self.tenants.state().into_iter().map(key).collect()
    }

    fn refusal(&self, key: &TenantKey, token: u64) -> Option<String> {
        let mut refused = lock(&self.refused);
        let refusal = refused.get(key)?;
        if refusal.token == token && refusal.since.elapsed() < REFUSED_FOR {
            return Some(refusal.why.clone());
        }
        refused.remove(key);
        None
    }

    fn client(&self, settings: &Settings) -> Result<Client, Problem> {
        let key = (settings.domain.clone(), settings.ca_bundle.clone());
        let mut clients = lock(&self.clients);
        if let Some(client) = clients.get(&key) {
            return Ok(client.clone());
        }
        let client = Client::new(&settings.domain, settings.ca_bundle.as_deref(), self.timeouts)
            .map_err(|error| Problem::new(Reason::InvalidConnection, format!("spec.caBundle: {error}")))?;
        clients.insert(key, client.clone());
        Ok(client)
    }
}

fn unread(namespace: &str) -> Problem {
    let message = format!(
        "this operator reads no Secrets in namespace {namespace}; whoever runs it can add it to --secret-namespaces"
    );
    Problem::new(Reason::SecretNotFound, message)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
