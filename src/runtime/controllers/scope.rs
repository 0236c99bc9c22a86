//! One scope, all namespaces or one of them: its watches, caches and controllers.
//!
//! A removal, its tenant and its Secret are always in one namespace, so scopes share nothing but the lanes.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;

use futures::channel::mpsc;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use k8s_openapi::api::core::v1::Secret;
use kube::runtime::watcher::{self, Event};
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc::{Sender, UnboundedReceiver};
use tokio::sync::watch::Receiver;
use tokio_util::sync::CancellationToken;

use crate::api::{Auth0Tenant, CREDENTIALS_LABEL};
use crate::dispatch::{Dispatcher, Observer, Owner};
use crate::revocation::{
    Context, ForEachKind, PreflightChecker, ReasonChange, ReconcileState, Revocation, Shared, TenantCheck,
    for_each_kind,
};
use crate::tenant::{Secrets, TenantKey, Tenants};

use crate::runtime::cache::{Cache, Namespaced, watch_kind};
use crate::runtime::settings::Settings;
use crate::runtime::tasks::Tasks;
use crate::telemetry::events;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::readiness::Readiness;

use super::guard::ReconcileGuard;
use super::removals::{reference, run_removals};
use super::tenants::{Dependents, TenantContext, run_tenants, tenant_changes};

/// Everything a scope is made of.
pub(crate) struct Scope {
    pub(crate) namespace: Option<String>,
    pub(crate) client: Client,
    pub(crate) lanes: Arc<Dispatcher>,
    pub(crate) checker: Arc<PreflightChecker>,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) state: Arc<ReconcileState>,
    pub(crate) announce: Sender<ReasonChange>,
    pub(crate) metrics: Metrics,
    pub(crate) readiness: Readiness,
    pub(crate) settings: Settings,
    pub(crate) shutdown: CancellationToken,
}

/// Wakes owners of one kind.
type Waker = Box<dyn Fn(Owner) + Send + Sync>;

/// The ways to wake owners of a scope, by kind.
pub(crate) struct Wakers {
    namespace: Option<String>,
    by_kind: HashMap<&'static str, Waker>,
}

/// Brings what the lanes say to the controllers it is for.
pub(crate) async fn route(mut woken: UnboundedReceiver<Owner>, scopes: Vec<Wakers>) {
    while let Some(owner) = woken.recv().await {
        let covers = |scope: &&Wakers| scope.namespace.as_deref().is_none_or(|own| own == &*owner.namespace);
        if let Some(wake) = scopes.iter().find(covers).and_then(|scope| scope.by_kind.get(owner.kind)) {
            wake(owner);
        }
    }
}

impl Scope {
    /// Starts everything; what runs is put into `tasks`.
    pub(crate) fn start(&self, tasks: &mut Tasks) -> Wakers {
        let namespace = self.namespace.as_deref();
        let (tenant_cache, tenant_events) = self.watch::<Auth0Tenant>(namespace, None);
        let SecretWatches { secrets, mut listed, events: secret_events } = self.watch_secrets();
        listed.push(tenant_cache.listed.clone());
        let tenants = Tenants::new(
            self.settings.allowed_domains.clone(),
            self.settings.timeouts,
            tenant_cache.store.clone(),
            secrets,
        );
        let (changed, changes) = mpsc::unbounded::<TenantKey>();
        let refused = changed.clone();
        let (announce, metrics) = (self.announce.clone(), self.metrics.clone());
        self.metrics.object_counts.tenants(tenant_cache.store.clone());
        let shared = Arc::new(Shared {
            dispatcher: self.lanes.clone(),
            tenants: tenants.clone(),
            state: self.state.clone(),
            observer: self.observer.clone(),
            tell: Box::new(move |news| tell(&metrics, &announce, news)),
            tenant_changed: Box::new(move |key| drop(refused.unbounded_send(key.clone()))),
        });
        let dependents = Arc::new(Dependents::default());
        let mut kinds = Kinds {
            scope: self,
            shared,
            check: TenantCheck::new(tenants.clone(), tenant_cache.is_fresh()),
            listed: listed.clone(),
            dependents: dependents.clone(),
            wakers: HashMap::new(),
            tasks,
        };
        for_each_kind(&mut kinds);
        let wakers = Wakers { namespace: self.namespace.clone(), by_kind: kinds.wakers };

        let context =
            TenantContext { client: self.client.clone(), tenants, dependents, announce: self.announce.clone() };
        let guard = ReconcileGuard::new("Auth0Tenant", &self.metrics, self.settings.traces.clone());
        tasks.services.spawn(tenant_changes(tenant_events, secret_events, changed, context.tenants.clone()).boxed());
        // Not before the Secrets are known: a tenant would be told that its Secret is missing.
        let run = run_tenants(context, tenant_cache.store, changes, guard, self.shutdown.clone());
        tasks.controllers.spawn(once_listed(listed, self.shutdown.clone(), run).boxed());
        wakers
    }

    fn watch<K>(
        &self,
        namespace: Option<&str>,
        labels: Option<&str>,
    ) -> (Cache<K>, BoxStream<'static, watcher::Result<Event<K>>>)
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
        K::Scope: Namespaced<K>,
    {
        let (cache, events) = watch_kind(&self.client, namespace, labels, self.settings.watches, &self.readiness);
        (cache, events.boxed())
    }

    /// Watches the labelled Secrets wherever this scope may read them: a watch for all its namespaces, or one for each
    /// that was named.
    fn watch_secrets(&self) -> SecretWatches {
        let namespaces: Vec<Option<&str>> = match (self.settings.secret_namespaces.as_slice(), &self.namespace) {
            ([], namespace) => vec![namespace.as_deref()],
            (some, None) => some.iter().map(|namespace| Some(&**namespace)).collect(),
            (some, Some(own)) => some.iter().filter(|namespace| *namespace == own).map(|n| Some(&**n)).collect(),
        };
        let consent = format!("{CREDENTIALS_LABEL}=true");
        let (mut secrets, mut listed) = (Secrets::default(), Vec::new());
        // It never ends, also when it has nothing to tell.
        let mut all = vec![futures::stream::pending().boxed()];
        for namespace in namespaces {
            let (cache, events) = self.watch::<Secret>(namespace, Some(&consent));
            secrets.add(namespace, cache.store);
            listed.push(cache.listed);
            all.push(events);
        }
        SecretWatches { secrets, listed, events: futures::stream::select_all(all).boxed() }
    }
}

struct SecretWatches {
    secrets: Secrets,
    listed: Vec<Receiver<bool>>,
    events: BoxStream<'static, watcher::Result<Event<Secret>>>,
}

struct Kinds<'a> {
    scope: &'a Scope,
    shared: Arc<Shared>,
    check: Arc<TenantCheck>,
    listed: Vec<Receiver<bool>>,
    dependents: Arc<Dependents>,
    wakers: HashMap<&'static str, Waker>,
    tasks: &'a mut Tasks,
}

impl ForEachKind for Kinds<'_> {
    fn visit<K: Revocation>(&mut self) {
        let Scope { namespace, client, checker, settings, shutdown, .. } = self.scope;
        let (cache, events) = self.scope.watch::<K>(namespace.as_deref(), None);
        let store = cache.store.clone();
        checker.add(namespace.as_deref(), store.clone(), cache.is_fresh(), self.check.clone());
        let (wake, woken) = mpsc::unbounded();
        self.scope.metrics.object_counts.removals(store.clone());
        let guard = ReconcileGuard::new(K::KIND, &self.scope.metrics, settings.traces.clone());
        let events = bookkeeping(events, self.shared.clone(), guard.clone());
        self.dependents.add(store.clone(), wake.clone());
        self.wakers.insert(K::KIND, Box::new(move |owner| drop(wake.unbounded_send(reference::<K>(&owner)))));

        let context = Arc::new(Context { client: client.clone(), store, shared: self.shared.clone() });
        let concurrency = settings.max_concurrent_reconciles;
        let run = run_removals(context, events, woken, guard, concurrency, shutdown.clone());
        // Not before the tenants are known: a removal would be told that its tenant is missing.
        self.tasks.controllers.spawn(once_listed(self.listed.clone(), shutdown.clone(), run));
    }
}

/// Runs this once everything was listed, unless the end comes first.
async fn once_listed(listed: Vec<Receiver<bool>>, ended: CancellationToken, run: impl Future<Output = ()>) {
    for mut listed in listed {
        tokio::select! {
            listed = listed.wait_for(|listed| *listed) => drop(listed),
            () = ended.cancelled() => return,
        }
    }
    run.await;
}

/// Counts a change of reason, then makes an event of it.
fn tell(metrics: &Metrics, events: &Sender<ReasonChange>, news: ReasonChange) {
    metrics.announced(&news);
    events::announce(events, news);
}

/// Keeps what is remembered about objects in step with the cache.
fn bookkeeping<K: Revocation>(
    events: BoxStream<'static, watcher::Result<Event<K>>>,
    shared: Arc<Shared>,
    guard: ReconcileGuard,
) -> BoxStream<'static, watcher::Result<Event<K>>> {
    let watched = events.inspect(move |event| match event {
        Ok(Event::Apply(object) | Event::InitApply(object)) => {
            let meta = object.meta();
            shared.state.seen(meta.uid.as_deref().unwrap_or_default(), meta.resource_version.as_deref());
        }
        Ok(Event::Delete(object)) => {
            shared.deleted(object);
            guard.forget(object.meta().uid.as_deref().unwrap_or_default());
        }
        Ok(Event::Init | Event::InitDone) | Err(_) => {}
    });
    watched.boxed()
}
