//! One scope, all namespaces or one of them: its watches and caches, and what is done for the removals in them.
//!
//! A removal, its tenant and its Secret are always in one namespace, so a scope that cannot be read holds up no other.

use std::collections::HashMap;
use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use k8s_openapi::api::core::v1::Secret;
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
use crate::runtime::cache::{Cache, Change, Key, Namespaced, Selection, Settled, watch_kind};
use crate::runtime::settings::Settings;
use crate::runtime::tasks::Tasks;
use crate::telemetry::events;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::readiness::Readiness;
use crate::tenant::{Listing, Secrets};

use super::guard::ReconcileGuard;
use super::removals::{Removals, settle};
use super::tenants::TenantController;
use super::workqueue::WorkQueue;

/// Lists of Secrets are waited for so long at the start.
const SECRETS_WITHIN: Duration = Duration::from_secs(10);

/// Everything a scope is made of.
pub(crate) struct Scope {
    pub(crate) namespace: Option<String>,
    pub(crate) client: Client,
    pub(crate) dispatcher: Arc<Dispatcher>,
    pub(crate) checker: Arc<PreflightChecker>,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) state: Arc<ReconcileState>,
    pub(crate) tenants: Arc<TenantController>,
    pub(crate) announce: Sender<ReasonChange>,
    pub(crate) metrics: Metrics,
    pub(crate) readiness: Readiness,
    pub(crate) settings: Settings,
    pub(crate) shutdown: CancellationToken,
}

/// The queues of a scope, by kind.
pub(crate) struct Queues {
    namespace: Option<String>,
    by_kind: HashMap<&'static str, Arc<WorkQueue>>,
}

/// Brings what the dispatcher says to the queues it is for.
pub(crate) async fn route(mut woken: UnboundedReceiver<Owner>, scopes: Vec<Queues>) {
    while let Some(owner) = woken.recv().await {
        let covers = |scope: &&Queues| scope.namespace.as_deref().is_none_or(|own| own == &*owner.namespace);
        if let Some(queue) = scopes.iter().find(covers).and_then(|scope| scope.by_kind.get(owner.kind)) {
            queue.add(Key { namespace: owner.namespace, name: owner.name });
        }
    }
}

impl Scope {
    /// Starts everything; what runs is put into `tasks`.
    pub(crate) fn start(&self, tasks: &mut Tasks) -> Queues {
        let namespace = self.namespace.as_deref();
        let (tenant_cache, tenant_changes) = self.watch::<Auth0Tenant>(namespace, None, |_| None);
        let (secrets, listings) = self.watch_secrets(tasks);
        let listings = Listings { tenants: tenant_cache.listing.clone(), secrets: listings };
        let (tenants, controller) = (self.tenants.tenants.clone(), self.tenants.clone());
        tenants.add(namespace, tenant_cache.store.clone(), secrets);
        tasks.services.spawn(async move { controller.follow(tenant_changes).await });
        self.metrics.object_counts.tenants(tenant_cache.store.clone());

        let (announce, metrics) = (self.announce.clone(), self.metrics.clone());
        let controller = self.tenants.clone();
        let shared = Arc::new(Shared {
            dispatcher: self.dispatcher.clone(),
            tenants: tenants.clone(),
            state: self.state.clone(),
            observer: self.observer.clone(),
            announce: Box::new(move |news| tell(&metrics, &announce, news)),
            tenant_changed: Box::new(move |key| controller.credential_changed(key)),
        });
        let check = TenantCheck::new(tenants, tenant_cache.is_fresh());
        let mut kinds = Kinds { scope: self, shared, check, listings, by_kind: HashMap::new(), tasks };
        for_each_kind(&mut kinds);
        Queues { namespace: self.namespace.clone(), by_kind: kinds.by_kind }
    }

    fn watch<K>(
        &self,
        namespace: Option<&str>,
        labels: Option<&str>,
        settle: fn(&K) -> Option<Settled>,
    ) -> (Cache<K>, BoxStream<'static, Change<K>>)
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
        K::Scope: Namespaced<K>,
    {
        let selection = Selection { namespace, labels, timing: self.settings.watches };
        let (cache, changes) = watch_kind(&self.client, selection, settle, &self.readiness);
        let (beside, kind) = (cache.beside.clone(), K::kind(&()));
        self.metrics.object_counts.add(move |counts| counts.unreadable(&kind, beside.unreadable()));
        (cache, changes.boxed())
    }

    /// Watches the labelled Secrets wherever this scope may read them: a watch for all its namespaces, or one for each
    /// that was named.
    fn watch_secrets(&self, tasks: &mut Tasks) -> (Secrets, Vec<Receiver<Listing>>) {
        let namespaces: Vec<Option<&str>> = match (self.settings.secret_namespaces.as_slice(), &self.namespace) {
            ([], namespace) => vec![namespace.as_deref()],
            (some, None) => some.iter().map(|namespace| Some(&**namespace)).collect(),
            (some, Some(own)) => some.iter().filter(|namespace| *namespace == own).map(|n| Some(&**n)).collect(),
        };
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

/// Whether the caches that every kind depends on are filled.
#[derive(Clone)]
struct Listings {
    tenants: Receiver<Listing>,
    secrets: Vec<Receiver<Listing>>,
}

struct Kinds<'a> {
    scope: &'a Scope,
    shared: Arc<Shared>,
    check: Arc<TenantCheck>,
    listings: Listings,
    by_kind: HashMap<&'static str, Arc<WorkQueue>>,
    tasks: &'a mut Tasks,
}

impl ForEachKind for Kinds<'_> {
    fn visit<K: Revocation>(&mut self) {
        let Scope { namespace, client, checker, settings, shutdown, metrics, tenants, .. } = self.scope;
        let (cache, changes) = self.scope.watch::<K>(namespace.as_deref(), None, settle);
        let store = cache.store.clone();
        checker.add(namespace.as_deref(), store.clone(), cache.is_fresh(), self.check.clone());
        metrics.object_counts.removals(store.clone());
        let settled = cache.beside.settled;
        metrics.object_counts.add(move |counts| {
            settled.by_reason().into_iter().for_each(|(reason, count)| counts.finished(K::KIND, reason, count));
        });
        let queue = Arc::new(WorkQueue::default());
        self.by_kind.insert(K::KIND, queue.clone());
        let guard = ReconcileGuard::new(K::KIND, metrics, settings.traces.clone());
        let (users, shared) = (tenants.users.of(store.clone(), queue.clone()), self.shared.clone());
        let removals = Arc::new(Removals { store: store.clone(), queue, users, shared, guard });
        let follower = removals.clone();
        self.tasks.services.spawn(async move { follower.follow(changes).await });

        let context = Arc::new(Context { client: client.clone(), store, shared: self.shared.clone() });
        let workers = usize::from(settings.max_concurrent_reconciles);
        let run = removals.run(context, workers, shutdown.clone());
        // Not before the tenants are known: a removal would be told that its tenant is missing.
        self.tasks.controllers.spawn(once_listed(self.listings.clone(), shutdown.clone(), run).boxed());
    }
}

/// Runs this once the tenants were listed, and the Secrets, unless the end comes first. A list that fails is not waited
/// for, nor one of Secrets that hangs: what is not known of a tenant is said to those who use it.
async fn once_listed(listings: Listings, ended: CancellationToken, run: impl Future<Output = ()>) {
    let Listings { mut tenants, secrets } = listings;
    let listed = async {
        let _ = tenants.wait_for(|listing| *listing == Listing::Complete).await;
        let secrets = secrets.into_iter().map(|mut listing| async move {
            let _ = listing.wait_for(|listing| *listing != Listing::NotYet).await;
        });
        let _ = tokio::time::timeout(SECRETS_WITHIN, futures::future::join_all(secrets)).await;
    };
    if ended.run_until_cancelled(listed).await.is_some() {
        run.await;
    }
}

/// Counts a change of reason, then makes an event of it.
fn tell(metrics: &Metrics, events: &Sender<ReasonChange>, news: ReasonChange) {
    metrics.reason_changed(&news);
    events::announce(events, news);
}
