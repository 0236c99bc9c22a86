//! The check right before a call (promise 5): this process is the leader, the object still exists, unchanged and not
//! suspended, its mode, its times and its hold allow the call, its tenant is ready and admits it (promise 7), and its
//! connection is the one that the call is made with.
//!
//! The caches answer if their watch has heard from the API server within the last second. Otherwise they may be behind
//! without knowing it, so the API server itself is asked (`confirm.rs`); without an answer of it, nothing is sent.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Api, Client};

use crate::api::{Mode, RemovalOptions, requested_by};
use crate::clock;
use crate::dispatch::{Connection, ConnectionKey, Owner, Preflight, Purpose, Refusal, Removal};
use crate::sync::{read, write};
use crate::tenant::{Applicant, TenantKey, TenantState};

use super::confirm::{Comparison, IsFresh, TenantCheck, compare};
use super::kinds::Revocation;

/// How long the API server may take to confirm; then nothing is sent.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(5);

/// A kind, and the namespace that its cache holds (all if none).
type CacheKey = (&'static str, Option<String>);

/// Whether this process is the leader now. Called right before each call to Auth0.
pub type IsLeader = Box<dyn Fn() -> bool + Send + Sync>;

/// Checks removal objects of every kind, in whatever cache they are.
pub struct PreflightChecker {
    client: Client,
    is_leader: IsLeader,
    caches: RwLock<HashMap<CacheKey, Arc<dyn Cached>>>,
}

/// The cache of one kind, without its type.
trait Cached: Send + Sync {
    fn check<'a>(
        &'a self,
        client: &'a Client,
        owner: &'a Owner,
        purpose: Purpose,
    ) -> BoxFuture<'a, Result<Connection, Refusal>>;
    fn connection(&self, owner: &Owner, purpose: Purpose) -> Result<Connection, Refusal>;
    fn origin(&self, owner: &Owner) -> Option<Origin>;
}

/// Where an object comes from, for the audit log. A client can write any name.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The names in its `managedFields`: who claims to have written its spec and metadata.
    pub managers: Vec<String>,
    /// The value of the annotation `rescind.dev/requested-by`, if it is there.
    pub requested_by: Option<String>,
    /// When it was created.
    pub created: Option<Timestamp>,
}

struct Objects<K: Revocation> {
    store: Store<K>,
    is_fresh: IsFresh,
    tenants: Arc<TenantCheck>,
}

impl PreflightChecker {
    /// A checker without caches, which refuses every call.
    pub fn new(client: Client, is_leader: IsLeader) -> Arc<Self> {
        Arc::new(Self { client, is_leader, caches: RwLock::default() })
    }

    /// Adds the cache that holds the objects of `K` in `namespace` (all if none).
    pub fn add<K: Revocation>(
        &self,
        namespace: Option<&str>,
        store: Store<K>,
        is_fresh: IsFresh,
        tenants: Arc<TenantCheck>,
    ) {
        let cached: Arc<dyn Cached> = Arc::new(Objects { store, is_fresh, tenants });
        let key = (K::KIND, namespace.map(str::to_owned));
        write(&self.caches).insert(key, cached);
    }

    /// Where the object comes from, by its metadata; `None` if it is gone.
    pub fn origin(&self, owner: &Owner) -> Option<Origin> {
        self.cache_of(owner)?.origin(owner)
    }

    fn cache_of(&self, owner: &Owner) -> Option<Arc<dyn Cached>> {
        let caches = read(&self.caches);
        caches
            .get(&(owner.kind, None))
            .or_else(|| caches.get(&(owner.kind, Some(owner.namespace.to_string()))))
            .cloned()
    }
}

impl Preflight for PreflightChecker {
    fn check<'a>(&'a self, owner: &'a Owner, purpose: Purpose) -> BoxFuture<'a, Result<Connection, Refusal>> {
        async move {
            // Spares the API server the requests of a replica that may not act anyway.
            if !(self.is_leader)() {
                return Err(Refusal::NotLeading);
            }
            let cache = self.cache_of(owner).ok_or(Refusal::Gone)?;
            cache.check(&self.client, owner, purpose).await
        }
        .boxed()
    }

    fn recheck(&self, owner: &Owner, purpose: Purpose) -> Result<ConnectionKey, Refusal> {
        let cache = self.cache_of(owner).ok_or(Refusal::Gone)?;
        cache.connection(owner, purpose).map(|connection| connection.key)
    }

    fn may_send(&self) -> bool {
        (self.is_leader)()
    }
}

impl<K: Revocation> Cached for Objects<K> {
    fn check<'a>(
        &'a self,
        client: &'a Client,
        owner: &'a Owner,
        purpose: Purpose,
    ) -> BoxFuture<'a, Result<Connection, Refusal>> {
        async move {
            let (tenant, removal) = self.tenant_of(owner, purpose)?;
            let confirmed = async {
                tokio::try_join!(
                    self.confirm(client, owner),
                    self.tenants.confirm(client, &tenant),
                    self.tenants.confirm_namespace(client, &tenant, &owner.namespace),
                    self.tenants.await_token(&tenant),
                )?;
                match purpose {
                    // Drawn last, so that as little as possible is drawn for what is not sent after all.
                    Purpose::Remove => self.tenants.draw(&tenant, &owner.namespace, &removal).await,
                    Purpose::Read => Ok(()),
                }
            };
            match tokio::time::timeout(CONFIRM_TIMEOUT, confirmed).await {
                Ok(confirmed) => confirmed?,
                Err(_) => return Err(Refusal::Unconfirmed),
            }
            // The caches come last: nothing is awaited between them and the answer.
            self.connection(owner, purpose)
        }
        .boxed()
    }

    fn connection(&self, owner: &Owner, purpose: Purpose) -> Result<Connection, Refusal> {
        let (tenant, removal) = self.tenant_of(owner, purpose)?;
        let applicant = Applicant { namespace: &owner.namespace, kind: K::KIND, removal: &removal };
        match self.tenants.state(&tenant, &applicant) {
            TenantState::Ready { mode: Mode::Observe, .. }
            | TenantState::Ready { protected: Some(_), .. }
            | TenantState::Ready { brake: Some(_), .. }
                if purpose == Purpose::Remove =>
            {
                Err(Refusal::Restrained)
            }
            TenantState::Ready { .. }
                if purpose == Purpose::Remove && !self.tenants.send(&tenant, &owner.namespace, &removal) =>
            {
                Err(Refusal::Unconfirmed)
            }
            TenantState::Ready { connection, .. } => Ok(connection),
            TenantState::NotAllowed(_) => Err(Refusal::NotAllowed),
            TenantState::Missing | TenantState::Suspended | TenantState::OnHold { .. } | TenantState::NotReady(_) => {
                Err(Refusal::TenantNotReady)
            }
        }
    }

    fn origin(&self, owner: &Owner) -> Option<Origin> {
        let object = self.store.get(&ObjectRef::new(&owner.name).within(&owner.namespace))?;
        let meta = object.meta();
        if meta.uid.as_deref() != Some(&*owner.uid) {
            return None;
        }
        let entries = meta.managed_fields.iter().flatten();
        let mut managers: Vec<String> = entries.filter_map(|entry| entry.manager.clone()).collect();
        managers.sort_unstable();
        managers.dedup();
        let created = meta.creation_timestamp.as_ref().map(|time| time.0);
        Some(Origin { managers, requested_by: requested_by(meta), created })
    }
}

/// Whether the object's own fields keep such a call from being made now. What Auth0 has accepted is proved whatever the
/// mode and the times say.
fn is_restrained(options: &RemovalOptions, purpose: Purpose, now: Timestamp) -> bool {
    let is_on_hold = options.hold.as_ref().is_some_and(|hold| hold.in_force(now).is_some());
    let may_not_remove =
        || options.mode == Mode::Observe || options.scheduled_for(now).is_some() || options.has_ended(now);
    is_on_hold || (purpose == Purpose::Remove && may_not_remove())
}

impl<K: Revocation> Objects<K> {
    /// The tenant of the object and what it removes, if the object still exists, unchanged, and its spec
    /// allows that something is sent.
    fn tenant_of(&self, owner: &Owner, purpose: Purpose) -> Result<(TenantKey, Removal), Refusal> {
        let object = self.store.get(&ObjectRef::new(&owner.name).within(&owner.namespace)).ok_or(Refusal::Gone)?;
        let (meta, options) = (object.meta(), object.options());
        if meta.uid.as_deref() != Some(&*owner.uid) || meta.deletion_timestamp.is_some() {
            return Err(Refusal::Gone);
        }
        if meta.generation != Some(owner.generation) || options.suspend || !options.unknown.is_empty() {
            return Err(Refusal::Changed);
        }
        if is_restrained(options, purpose, clock::wall()) {
            return Err(Refusal::Restrained);
        }
        Ok((TenantKey::of(&owner.namespace, &options.tenant_ref), object.removal()))
    }

    /// Confirms with the API server that the object is unchanged, unless the cache is fresh. A changed spec has another
    /// generation.
    async fn confirm(&self, client: &Client, owner: &Owner) -> Result<(), Refusal> {
        if (self.is_fresh)() {
            return Ok(());
        }
        let api: Api<K> = Api::namespaced(client.clone(), &owner.namespace);
        let is_edited = |meta: &ObjectMeta| meta.generation != Some(owner.generation);
        match compare(&api, &owner.name, Some(&owner.uid), is_edited).await {
            Comparison::Same => Ok(()),
            Comparison::Edited => Err(Refusal::Changed),
            Comparison::Gone => Err(Refusal::Gone),
            Comparison::Unknown => Err(Refusal::Unconfirmed),
        }
    }
}
