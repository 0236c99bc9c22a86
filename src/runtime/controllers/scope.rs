//! A scope is all namespaces or, with `--watch-namespaces`, one of them: its watches and caches, and the controllers of
//! the removals in it.
//!
//! A removal, its `Auth0Tenant` and its Secret are always in one namespace, so a scope that cannot be read delays no
//! other. Cluster-scoped tenants are served beside the one scope of all namespaces (`cluster_tenants.rs`).

use std::collections::HashMap;
use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Secret;
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc::{Sender, UnboundedReceiver};
use tokio::sync::watch::Receiver;
use tokio_util::sync::CancellationToken;

use crate::api::{Auth0Tenant, CREDENTIALS_LABEL};
use crate::dispatch::{Dispatcher, Observer, Owner};
use crate::revocation::{
    ClusterIsFresh, Context, ForEachKind, PreflightChecker, ReasonChange, ReconcileState, Revocation, Shared,
    TenantCheck, for_each_kind,
};
use crate::runtime::cache::{Cache, Change, Key, Selection, Settled, watch_kind};
use crate::runtime::settings::Settings;
use crate::runtime::tasks::Tasks;
use crate::telemetry::events;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::readiness::Readiness;
use crate::tenant::{Listing, Secrets};

use super::controller::Queue;
use super::guard::ReconcileGuard;
use super::removals::{Removals, settle};
use super::tenants::TenantController;
use super::write_permits::WritePermits;

/// How long the start of the reconciles waits for the lists of Secrets and of the kind itself.
const LIST_TIMEOUT: Duration = Duration::from_secs(10);

/// What a scope needs. Everything but the namespace is the same for all scopes.
pub(crate) struct Scope {
    /// The namespace; `None` for all.
    pub(crate) namespace: Option<String>,
    pub(crate) client: Client,
    pub(crate) dispatcher: Arc<Dispatcher>,
    pub(crate) checker: Arc<PreflightChecker>,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) state: Arc<ReconcileState>,
    pub(crate) tenants: Arc<TenantController>,
    /// Whether the caches of cluster-scoped tenants are fresh; `None` if they are not served.
    pub(crate) cluster_tenants: Option<ClusterIsFresh>,
    pub(crate) announce: Sender<ReasonChange>,
    pub(crate) metrics: Metrics,
    pub(crate) readiness: Readiness,
    pub(crate) settings: Settings,
    pub(crate) shutdown: CancellationToken,
}

/// Queues an object of a kind.
type Add = Box<dyn Fn(&Key) + Send + Sync>;

/// The queues of a scope, by kind.
pub(crate) struct Queues {
    namespace: Option<String>,
    by_kind: HashMap<&'static str, Add>,
}

/// Queues the objects that the dispatcher wakes, each in the queue of its kind and scope. Runs as long as the
/// dispatcher.
pub(crate) async fn route(mut woken: UnboundedReceiver<Owner>, scopes: Vec<Queues>) {
    while let Some(owner) = woken.recv().await {
        let covers = |scope: &&Queues| scope.namespace.as_deref().is_none_or(|own| own == &*owner.namespace);
        if let Some(add) = scopes.iter().find(covers).and_then(|scope| scope.by_kind.get(owner.kind)) {
            add(&Key { namespace: owner.namespace, name: owner.name });
        }
    }
}

impl Scope {
    /// Starts the watches and the controllers as `tasks`.
    pub(crate) fn start(&self, tasks: &mut Tasks) -> Queues {
        let namespace = self.namespace.as_deref();
        let (tenant_cache, tenant_changes) = self.watch::<Auth0Tenant>(namespace, None, |_| None);
        let (secrets, others) = self.watch_secrets(tasks);
        let listings = Listings { tenants: tenant_cache.listing.clone(), others };
        let (tenants, controller) = (self.tenants.tenants.clone(), self.tenants.clone());
        tenants.add(namespace, tenant_cache.store.clone(), secrets);
        let guard = ReconcileGuard::new("Auth0Tenant", &self.metrics, self.settings.traces.clone());
        let queued = self.tenants.queues.of(namespace);
        let run = controller.clone().run(tenant_cache.store.clone(), queued, guard.clone(), self.shutdown.clone());
        tasks.services.spawn(async move { controller.follow(tenant_changes, guard).await });
        tasks.controllers.spawn(run.boxed());
        self.metrics.object_counts.tenants(tenant_cache.store.clone());

        let (announce, metrics) = (self.announce.clone(), self.metrics.clone());
        let controller = self.tenants.clone();
        let shared = Arc::new(Shared {
            dispatcher: self.dispatcher.clone(),
            tenants: tenants.clone(),
            state: self.state.clone(),
            observer: self.observer.clone(),
            announce: Box::new(move |change| announce_change(&metrics, &announce, change)),
            tenant_changed: Box::new(move |key| controller.credential_changed(key)),
        });
        let check = TenantCheck::new(tenants, tenant_cache.is_fresh(), self.cluster_tenants.clone());
        let mut kinds = Kinds { scope: self, shared, check, listings, by_kind: HashMap::new(), tasks };
        for_each_kind(&mut kinds);
        Queues { namespace: self.namespace.clone(), by_kind: kinds.by_kind }
    }

    /// Watches `K` in `namespace` (in all if none), and counts the objects that cannot be read.
    fn watch<K>(
        &self,
        namespace: Option<&str>,
        labels: Option<&str>,
        settle: fn(&K) -> Option<Settled>,
    ) -> (Cache<K>, BoxStream<'static, Change<K>>)
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
        K: Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    {
        let selection = Selection { namespace, labels, timing: self.settings.watches };
        let (cache, changes) = watch_kind(&self.client, selection, settle, &self.readiness);
        let (uncached, kind) = (cache.uncached.clone(), K::kind(&()));
        self.metrics.object_counts.add(move |counts| counts.unreadable(&kind, uncached.unreadable()));
        (cache, changes.boxed())
    }

    /// Watches the labelled Secrets of this scope that may be read: one watch for the whole scope, or one for each
    /// namespace that `--secret-namespaces` names. Where cluster-scoped tenants are served, the operator's own namespace
    /// is always one of them, because their Secrets are there.
    fn watch_secrets(&self, tasks: &mut Tasks) -> (Secrets, Vec<Receiver<Listing>>) {
        let mut namespaces: Vec<Option<&str>> = match (self.settings.secret_namespaces.as_slice(), &self.namespace) {
            ([], namespace) => vec![namespace.as_deref()],
            (some, None) => some.iter().map(|namespace| Some(&**namespace)).collect(),
            (some, Some(own)) => some.iter().filter(|namespace| *namespace == own).map(|n| Some(&**n)).collect(),
        };
        let own = Some(&*self.settings.namespace);
        if self.cluster_tenants.is_some() && !namespaces.contains(&None) && !namespaces.contains(&own) {
            namespaces.push(own);
        }
        let consent = format!("{CREDENTIALS_LABEL}=true");
        let (mut secrets, mut listings) = (Secrets::default(), Vec::new());
        for namespace in namespaces {
            let (cache, changes) = self.watch::<Secret>(namespace, Some(&consent), |_| None);
            secrets.add(namespace, cache.store, cache.listing.clone());
            listings.push(cache.listing.clone());
            let (controller, namespace) = (self.tenants.clone(), namespace.map(str::to_owned));
            tasks.services.spawn(async move { controller.follow_secrets(namespace, changes, cache.listing).await });
        }
        (secrets, listings)
    }
}

/// Whether the caches that the reconciles of a kind depend on are filled.
#[derive(Clone)]
struct Listings {
    tenants: Receiver<Listing>,
    others: Vec<Receiver<Listing>>,
}

/// Starts the controller of each removal kind.
struct Kinds<'a> {
    scope: &'a Scope,
    shared: Arc<Shared>,
    check: Arc<TenantCheck>,
    listings: Listings,
    by_kind: HashMap<&'static str, Add>,
    tasks: &'a mut Tasks,
}

impl ForEachKind for Kinds<'_> {
    fn visit<K: Revocation>(&mut self) {
        let Scope { namespace, client, checker, settings, shutdown, metrics, tenants, .. } = self.scope;
        let (cache, changes) = self.scope.watch::<K>(namespace.as_deref(), None, settle);
        let store = cache.store.clone();
        checker.add(namespace.as_deref(), store.clone(), cache.is_fresh(), self.check.clone());
        metrics.object_counts.removals(store.clone());
        let settled = cache.uncached.settled;
        metrics.object_counts.add(move |counts| {
            settled.by_reason().into_iter().for_each(|(reason, count)| counts.finished(K::KIND, reason, count));
        });
        let (queue, queued) = Queue::new();
        let add = queue.clone();
        self.by_kind.insert(K::KIND, Box::new(move |key| add.add(key)));
        let guard = ReconcileGuard::new(K::KIND, metrics, settings.traces.clone());
        let (dependents, shared) =
            (tenants.dependents.of(store.clone(), queue.clone(), cache.listing.clone()), self.shared.clone());
        let permits = WritePermits::new(settings.max_concurrent_reconciles);
        let removals = Arc::new(Removals { store: store.clone(), queue, dependents, shared, guard, permits });
        let follower = removals.clone();
        self.tasks.services.spawn(async move { follower.follow(changes).await });

        let context = Arc::new(Context { client: client.clone(), store, shared: self.shared.clone() });
        let run = removals.run(context, queued, shutdown.clone());
        // Not before the tenants are listed, or removals would report their tenant as missing; nor before the kind is
        // listed itself, because until then each call costs a request to the API server (`revocation/preflight.rs`).
        let mut listings = self.listings.clone();
        listings.others.push(cache.listing);
        self.tasks.controllers.spawn(once_listed(listings, shutdown.clone(), run).boxed());
    }
}

/// Runs `run` once the tenants and the others are listed, unless `ended` comes first. A list of the others that fails
/// or takes long is not waited for: without Secrets, removals report that their tenant is not ready.
async fn once_listed(listings: Listings, ended: CancellationToken, run: impl Future<Output = ()>) {
    let Listings { mut tenants, others } = listings;
    let listed = async {
        let _ = tenants.wait_for(|listing| *listing == Listing::Complete).await;
        let others = others.into_iter().map(|mut listing| async move {
            let _ = listing.wait_for(|listing| *listing != Listing::NotYet).await;
        });
        let _ = tokio::time::timeout(LIST_TIMEOUT, futures::future::join_all(others)).await;
    };
    if ended.run_until_cancelled(listed).await.is_some() {
        run.await;
    }
}

/// Counts a change of reason, and makes an event of it.
fn announce_change(metrics: &Metrics, events: &Sender<ReasonChange>, change: ReasonChange) {
    metrics.reason_changed(&change);
    events::announce(events, change);
}
