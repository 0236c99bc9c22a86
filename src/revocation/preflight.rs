//! The check right before a call leaves: may this process act, is the object still there, the same, not suspended, its
//! tenant neither, and the connection the one the call is made with (promise 5)?
//!
//! The caches answer if they have heard from the API server within the last second. If they have not, they may be
//! behind without knowing it, so the API server itself is asked, and no answer means no.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Api, Client};
use serde::de::DeserializeOwned;
use tracing::debug;

use crate::api::Auth0Tenant;
use crate::clock;
use crate::dispatch::{Connection, ConnectionKey, Owner, Preflight, Refusal};
use crate::tenant::{TenantKey, TenantState, Tenants};

use super::kinds::Revocation;

/// One confirmation of a tenant by the API server serves all calls of this time.
const FRESH: Duration = Duration::from_secs(1);
/// The API server is given this long to confirm; a removal can wait.
const CONFIRM_WITHIN: Duration = Duration::from_secs(5);

/// A kind, and the namespace its cache holds (all if none).
type CacheKey = (&'static str, Option<String>);

/// Whether a cache has heard from the API server a moment ago, so that it may be believed.
pub type IsFresh = Arc<dyn Fn() -> bool + Send + Sync>;

/// Whether this process may act now, as far as other replicas are concerned. Asked right before each call.
pub type IsLeader = Box<dyn Fn() -> bool + Send + Sync>;

/// Checks every removal object, wherever it is cached.
pub struct PreflightChecker {
    client: Client,
    is_leader: IsLeader,
    caches: RwLock<HashMap<CacheKey, Arc<dyn Cached>>>,
}

/// The tenants of a scope, as far as the check needs them.
pub struct TenantCheck {
    tenants: Arc<Tenants>,
    fresh: IsFresh,
    /// When the API server last confirmed a tenant; those of the last second.
    confirmed: Mutex<HashMap<TenantKey, Instant>>,
}

trait Cached: Send + Sync {
    fn check<'a>(&'a self, client: &'a Client, owner: &'a Owner) -> BoxFuture<'a, Result<Connection, Refusal>>;
    fn connection(&self, owner: &Owner) -> Result<Connection, Refusal>;
    fn managers(&self, owner: &Owner) -> Vec<String>;
}

struct Objects<K: Revocation> {
    store: Store<K>,
    fresh: IsFresh,
    tenants: Arc<TenantCheck>,
}

impl PreflightChecker {
    /// A checker that knows no objects yet.
    pub fn new(client: Client, is_leader: IsLeader) -> Arc<Self> {
        Arc::new(Self { client, is_leader, caches: RwLock::default() })
    }

    /// From now on it checks objects of `K` in this cache, which holds `namespace` (all if none).
    pub fn add<K: Revocation>(
        &self,
        namespace: Option<&str>,
        store: Store<K>,
        fresh: IsFresh,
        tenants: Arc<TenantCheck>,
    ) {
        let cached: Arc<dyn Cached> = Arc::new(Objects { store, fresh, tenants });
        let key = (K::KIND, namespace.map(str::to_owned));
        self.caches.write().unwrap_or_else(PoisonError::into_inner).insert(key, cached);
    }

    /// Who says to have written the owner's spec and metadata: the names in its managedFields, which anybody can claim.
    pub fn managers(&self, owner: &Owner) -> Vec<String> {
        self.cache_of(owner).map(|cache| cache.managers(owner)).unwrap_or_default()
    }

    fn cache_of(&self, owner: &Owner) -> Option<Arc<dyn Cached>> {
        let caches = self.caches.read().unwrap_or_else(PoisonError::into_inner);
        caches
            .get(&(owner.kind, None))
            .or_else(|| caches.get(&(owner.kind, Some(owner.namespace.to_string()))))
            .cloned()
    }
}

impl Preflight for PreflightChecker {
    fn check<'a>(&'a self, owner: &'a Owner) -> BoxFuture<'a, Result<Connection, Refusal>> {
        async move {
            // No need to ask the API server then.
            if !(self.is_leader)() {
                return Err(Refusal::NotLeading);
            }
            let cache = self.cache_of(owner).ok_or(Refusal::Gone)?;
            cache.check(&self.client, owner).await
        }
        .boxed()
    }

    fn recheck(&self, owner: &Owner) -> Result<ConnectionKey, Refusal> {
        let cache = self.cache_of(owner).ok_or(Refusal::Gone)?;
        cache.connection(owner).map(|connection| connection.key)
    }

    fn may_send(&self) -> bool {
        (self.is_leader)()
    }
}

impl<K: Revocation> Cached for Objects<K> {
    fn check<'a>(&'a self, client: &'a Client, owner: &'a Owner) -> BoxFuture<'a, Result<Connection, Refusal>> {
        async move {
            let tenant = self.wanted(owner)?;
            let confirmed =
                async { tokio::try_join!(self.confirm(client, owner), self.tenants.confirm(client, &tenant)) };
            match tokio::time::timeout(CONFIRM_WITHIN, confirmed).await {
                Ok(confirmed) => confirmed?,
                Err(_) => return Err(Refusal::Unconfirmed),
            };
            // The caches last, so that nothing happens in between.
            self.connection(owner)
        }
        .boxed()
    }

    fn connection(&self, owner: &Owner) -> Result<Connection, Refusal> {
        match self.tenants.tenants.state(&self.wanted(owner)?) {
            TenantState::Ready { connection, .. } => Ok(connection),
            TenantState::Missing | TenantState::Suspended | TenantState::NotReady(_) => Err(Refusal::TenantNotReady),
        }
    }

    fn managers(&self, owner: &Owner) -> Vec<String> {
        let object = self.store.get(&ObjectRef::new(&owner.name).within(&owner.namespace));
        let object = object.filter(|object| object.meta().uid.as_deref() == Some(&*owner.uid));
        let entries = object.iter().flat_map(|object| object.meta().managed_fields.iter().flatten());
        let mut managers: Vec<String> = entries.filter_map(|entry| entry.manager.clone()).collect();
        managers.sort_unstable();
        managers.dedup();
        managers
    }
}

impl<K: Revocation> Objects<K> {
    /// The tenant to use, if the owner is still there, the same, and nothing it says speaks against it.
    fn wanted(&self, owner: &Owner) -> Result<TenantKey, Refusal> {
        let object = self.store.get(&ObjectRef::new(&owner.name).within(&owner.namespace)).ok_or(Refusal::Gone)?;
        let (meta, options) = (object.meta(), object.options());
        if meta.uid.as_deref() != Some(&*owner.uid) || meta.deletion_timestamp.is_some() {
            return Err(Refusal::Gone);
        }
        if meta.generation != Some(owner.generation) || options.suspend || !options.unsupported().is_empty() {
            return Err(Refusal::Changed);
        }
        Ok(Tenants::key(&owner.namespace, &options.tenant_ref))
    }

    /// Whether the object is what the cache says. A changed spec has another generation.
    async fn confirm(&self, client: &Client, owner: &Owner) -> Result<(), Refusal> {
        if (self.fresh)() {
            return Ok(());
        }
        let api: Api<K> = Api::namespaced(client.clone(), &owner.namespace);
        match look(&api, &owner.name, Some(&owner.uid), Some(owner.generation)).await {
            Seen::Same => Ok(()),
            Seen::Edited => Err(Refusal::Changed),
            Seen::Gone => Err(Refusal::Gone),
            Seen::Unknown => Err(Refusal::Unconfirmed),
        }
    }
}

impl TenantCheck {
    /// Looks tenants up in `tenants`, whose watch is fresh when `fresh` says so.
    pub fn new(tenants: Arc<Tenants>, fresh: IsFresh) -> Arc<Self> {
        Arc::new(Self { tenants, fresh, confirmed: Mutex::default() })
    }

    /// Whether the tenant object is what the cache says.
    async fn confirm(&self, client: &Client, key: &TenantKey) -> Result<(), Refusal> {
        let confirmed = || self.confirmed.lock().unwrap_or_else(PoisonError::into_inner);
        if (self.fresh)()
            || confirmed().get(key).is_some_and(|at| clock::steady().saturating_duration_since(*at) < FRESH)
        {
            return Ok(());
        }
        let cached = self.tenants.get(key).ok_or(Refusal::TenantNotReady)?;
        let asked = clock::steady();
        let api: Api<Auth0Tenant> = Api::namespaced(client.clone(), &key.namespace);
        match look(&api, &key.name, cached.metadata.uid.as_deref(), cached.metadata.generation).await {
            Seen::Same => {
                let mut confirmed = confirmed();
                confirmed.retain(|_, at| clock::steady().saturating_duration_since(*at) < FRESH);
                confirmed.insert(key.clone(), asked);
                Ok(())
            }
            Seen::Gone => Err(Refusal::TenantNotReady),
            // The cache has not heard of it yet.
            Seen::Edited | Seen::Unknown => Err(Refusal::Unconfirmed),
        }
    }
}

enum Seen {
    Same,
    Edited,
    Gone,
    Unknown,
}

/// What the API server has under this name.
async fn look<K>(api: &Api<K>, name: &str, uid: Option<&str>, generation: Option<i64>) -> Seen
where
    K: kube::Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    match api.get_metadata(name).await {
        Ok(PartialObjectMeta { metadata, .. }) => match () {
            () if metadata.uid.as_deref() != uid || metadata.deletion_timestamp.is_some() => Seen::Gone,
            () if metadata.generation != generation => Seen::Edited,
            () => Seen::Same,
        },
        Err(kube::Error::Api(response)) if response.is_not_found() => Seen::Gone,
        Err(error) => {
            debug!(kind = %K::kind(&()), name, "could not be confirmed: {error}");
            Seen::Unknown
        }
    }
}
