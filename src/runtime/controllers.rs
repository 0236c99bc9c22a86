//! The controllers: which stream triggers which reconcile, and how many at once.

use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use futures::channel::mpsc::UnboundedReceiver;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use kube::ResourceExt;
use kube::runtime::controller::{Action, Config};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{Controller, Predicate, WatchStreamExt, predicates};
use tokio_util::sync::CancellationToken;

use crate::api::{Auth0Tenant, RECONCILE_ANNOTATION};
use crate::lane::Owner;
use crate::revocation::{Context, Revocation, reconcile};
use crate::tenant::TenantKey;

use super::barrier::{Barrier, Never};
use super::tenants::{TenantContext, reconcile_tenant};

/// The reference by which a controller knows an owner.
pub(super) fn reference<K: Revocation>(owner: &Owner) -> ObjectRef<K> {
    ObjectRef::new(&owner.name).within(&owner.namespace)
}

/// Reconciles one removal kind until `shutdown`: on a new object or generation, and when woken.
pub(super) fn run_removals<K: Revocation>(
    context: Arc<Context<K>>,
    events: BoxStream<'static, watcher::Result<Event<K>>>,
    woken: UnboundedReceiver<ObjectRef<K>>,
    barrier: Barrier,
    concurrency: u16,
    shutdown: CancellationToken,
) -> impl Future<Output = ()> + Send + 'static {
    // Our own status writes change none of these, so they trigger nothing.
    let trigger = predicates::generation.combine(asked);
    let changes = events.applied_objects().predicate_filter(trigger, Default::default());
    let controller = Controller::for_stream(changes, context.store.clone())
        .with_config(Config::default().concurrency(concurrency))
        .reconcile_on(woken)
        .graceful_shutdown_on(shutdown.cancelled_owned());
    let guarded = move |object: Arc<K>, context: Arc<Context<K>>| {
        let barrier = barrier.clone();
        async move { barrier.guard(&*object, reconcile(object.clone(), context)).await }
    };
    controller.run(guarded, |_, error: &Never, _| match *error {}, context).for_each(|_| std::future::ready(())).boxed()
}

/// A stand-in for what the object's annotation asks.
fn asked<K: Revocation>(object: &K) -> Option<u64> {
    object.annotations().get(RECONCILE_ANNOTATION).map(|asked| {
        let mut hasher = DefaultHasher::new();
        asked.hash(&mut hasher);
        hasher.finish()
    })
}

/// Keeps the status of tenants until `shutdown`.
pub(super) fn run_tenants(
    context: TenantContext,
    store: Store<Auth0Tenant>,
    changes: UnboundedReceiver<TenantKey>,
    barrier: Barrier,
    shutdown: CancellationToken,
) -> impl Future<Output = ()> + Send + 'static {
    let context = Arc::new(context);
    let wake_users = context.clone();
    let changed = changes.map(move |key| {
        // A tenant that is gone is not reconciled; those who used it have to learn of it all the same.
        if wake_users.tenants.get(&key).is_none() {
            wake_users.dependents.wake(&key);
        }
        ObjectRef::new(&key.name).within(&key.namespace)
    });
    let controller = Controller::for_stream(futures::stream::pending(), store)
        .with_config(Config::default().concurrency(4))
        .reconcile_on(changed)
        .graceful_shutdown_on(shutdown.cancelled_owned());
    let guarded = move |tenant: Arc<Auth0Tenant>, context: Arc<TenantContext>| {
        let barrier = barrier.clone();
        async move { barrier.guard(&*tenant, reconcile_tenant(tenant.clone(), context)).await }
    };
    controller
        .run(guarded, |_, error: &Never, _| -> Action { match *error {} }, context)
        .for_each(|_| std::future::ready(()))
        .boxed()
}
