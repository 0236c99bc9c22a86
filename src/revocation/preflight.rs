//! The last look, right before a call leaves: may this process act, is the object still there, the same, not suspended,
//! its tenant neither (promise 5)?
//!
//! The caches answer if they have heard from the API server within the last second. If they have not, they may be
//! behind without knowing it, so the API server itself is asked, and no answer means no.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Api, Client};

use crate::api::Auth0Tenant;
use crate::dispatch::{Connection, LastLook, Owner};
use crate::tenant::{TenantKey, TenantState, Tenants};

use super::Revocation;

/// One confirmation by the API server serves all calls of this time.
const FRESH: Duration = Duration::from_secs(1);
/// The API server is given this long to confirm; a removal can wait.
const CONFIRM_WITHIN: Duration = Duration::from_secs(5);

/// A kind, and the namespace its cache holds (all if none).
type CacheKey = (&'static str, Option<String>);

/// Whether a cache has heard from the API server a moment ago, so that it may be believed.
pub type IsFresh = Arc<dyn Fn() -> bool + Send + Sync>;

/// Whether this process may act now, as far as other replicas are concerned. Asked right before each call.
pub type MayAct = Box<dyn Fn() -> bool + Send + Sync>;

/// Looks at every removal object, wherever it is cached.
pub struct Looker {
    client: Client,
    may_act: MayAct,
    caches: RwLock<HashMap<CacheKey, Arc<dyn Cached>>>,
}

/// The tenants of a scope, as far as a last look needs them.
pub struct TenantLook {
    /// The cached tenants.
    pub tenants: Arc<Tenants>,
    /// Their watch.
    pub fresh: IsFresh,
    /// When the API server last confirmed a tenant.
    pub confirmed: Mutex<HashMap<TenantKey, Instant>>,
}

trait Cached: Send + Sync {
    fn look<'a>(&'a self, client: &'a Client, owner: &'a Owner) -> BoxFuture<'a, Option<Connection>>;
    fn managers(&self, owner: &Owner) -> Vec<String>;
}

struct Objects<K: Revocation> {
    store: Store<K>,
    fresh: IsFresh,
    tenants: Arc<TenantLook>,
}

impl Looker {
    /// A looker that knows no objects yet.
    pub fn new(client: Client, may_act: MayAct) -> Arc<Self> {
        Arc::new(Self { client, may_act, caches: RwLock::default() })
    }

    /// From now on it looks at objects of `K` in this cache, which holds `namespace` (all if none).
    pub fn add<K: Revocation>(
        &self,
        namespace: Option<&str>,
        store: Store<K>,
        fresh: IsFresh,
        tenants: Arc<TenantLook>,
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

impl LastLook for Looker {
    fn look<'a>(&'a self, owner: &'a Owner) -> BoxFuture<'a, Option<Connection>> {
        async move {
            // No need to ask the API server then.
            (self.may_act)().then_some(())?;
            self.cache_of(owner)?.look(&self.client, owner).await
        }
        .boxed()
    }

    fn may_send(&self) -> bool {
        (self.may_act)()
    }
}

impl<K: Revocation> Cached for Objects<K> {
    fn look<'a>(&'a self, client: &'a Client, owner: &'a Owner) -> BoxFuture<'a, Option<Connection>> {
        async move {
            // First the API server where it must be asked, then the caches, so that nothing happens in between.
            if !(self.fresh)() {
                let api: Api<K> = Api::namespaced(client.clone(), &owner.namespace);
                is_live(&api, &owner.name, Some(&owner.uid), Some(owner.generation)).await.then_some(())?;
            }
            let tenant = self.wanted(owner)?;
            self.tenants.confirm(client, &tenant).await.then_some(())?;
            match self.tenants.tenants.state(&self.wanted(owner)?) {
                TenantState::Ready { connection, .. } => Some(connection),
                TenantState::Missing | TenantState::Suspended | TenantState::NotReady(_) => None,
            }
        }
        .boxed()
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
    /// The tenant to use, if the owner is still there, the same, and not suspended.
    fn wanted(&self, owner: &Owner) -> Option<TenantKey> {
        let object = self.store.get(&ObjectRef::new(&owner.name).within(&owner.namespace))?;
        let meta = object.meta();
        let same = meta.uid.as_deref() == Some(&*owner.uid) && meta.generation == Some(owner.generation);
        let wanted = same && meta.deletion_timestamp.is_none() && !object.options().suspend;
        wanted.then(|| Tenants::key(&owner.namespace, &object.options().tenant_ref))
    }
}

impl TenantLook {
    /// Whether the tenant object is what the cache says. One confirmation serves all calls of a second.
    async fn confirm(&self, client: &Client, key: &TenantKey) -> bool {
        let confirmed = || self.confirmed.lock().unwrap_or_else(PoisonError::into_inner);
        if (self.fresh)() || confirmed().get(key).is_some_and(|at| at.elapsed() < FRESH) {
            return true;
        }
        let Some(cached) = self.tenants.get(key) else { return false };
        let asked = Instant::now();
        let api: Api<Auth0Tenant> = Api::namespaced(client.clone(), &key.namespace);
        let same = is_live(&api, &key.name, cached.metadata.uid.as_deref(), cached.metadata.generation).await;
        if same {
            confirmed().insert(key.clone(), asked);
        }
        same
    }
}

/// Whether the API server still has this very object, not being deleted. A changed spec has another generation.
async fn is_live<K>(api: &Api<K>, name: &str, uid: Option<&str>, generation: Option<i64>) -> bool
where
    K: kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    match tokio::time::timeout(CONFIRM_WITHIN, api.get_metadata(name)).await {
        Ok(Ok(PartialObjectMeta { metadata, .. })) => {
            metadata.uid.as_deref() == uid && metadata.generation == generation && metadata.deletion_timestamp.is_none()
        }
        _ => false,
    }
}
