//! The controllers: which stream triggers which reconcile, and how many at once.

use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use futures::channel::mpsc::UnboundedReceiver;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use kube::ResourceExt;
use kube::runtime::controller::Config;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{Controller, Predicate, WatchStreamExt, predicates};
use tokio_util::sync::CancellationToken;

use crate::api::RECONCILE_ANNOTATION;
use crate::dispatch::Owner;
use crate::revocation::{Context, Revocation, reconcile};

use super::guard::{Never, ReconcileGuard};

/// The reference by which a controller knows an owner.
pub(crate) fn reference<K: Revocation>(owner: &Owner) -> ObjectRef<K> {
    ObjectRef::new(&owner.name).within(&owner.namespace)
}

/// Reconciles one removal kind until `shutdown`: on a new object or generation, and when woken.
pub(crate) fn run_removals<K: Revocation>(
    context: Arc<Context<K>>,
    events: BoxStream<'static, watcher::Result<Event<K>>>,
    woken: UnboundedReceiver<ObjectRef<K>>,
    guard: ReconcileGuard,
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
        let guard = guard.clone();
        async move { guard.run(&*object, reconcile(object.clone(), context)).await }
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
