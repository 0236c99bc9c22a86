//! kube's controller, for objects that are reconciled by name.
//!
//! kube-runtime 5 has traps that this is written around: a reconcile that panics takes its whole controller with it (so
//! [`super::guard`] catches panics), a controller whose cache never fills cannot be shut down (so it is started when the
//! cache is filled), and one failing watch slows down all triggers of a controller (so watches are read elsewhere, and
//! only names come in here).

use std::convert::Infallible;
use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures::{StreamExt, stream};
use kube::Resource;
use kube::runtime::Controller;
use kube::runtime::controller::{Action, Config};
use kube::runtime::reflector::{ObjectRef, Store};
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use crate::runtime::cache::Key;

/// Names that a controller is to reconcile; a name that waits already is not added twice.
#[derive(Debug)]
pub(crate) struct Requests<K: Resource<DynamicType = ()>>(UnboundedSender<ObjectRef<K>>);

/// The other end, for [`run`].
pub(crate) type Requested<K> = UnboundedReceiver<ObjectRef<K>>;

impl<K: Resource<DynamicType = ()>> Clone for Requests<K> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K: Resource<DynamicType = ()>> Requests<K> {
    /// Both ends.
    pub(crate) fn new() -> (Self, Requested<K>) {
        let (sender, receiver) = unbounded();
        (Self(sender), receiver)
    }

    /// To be reconciled as soon as possible, and if that is going on, once more. Nothing happens while the cache has no
    /// such object.
    pub(crate) fn add(&self, key: &Key) {
        // Once the controller has ended nobody reconciles anything.
        let _ = self.0.unbounded_send(key.reference());
    }
}

/// Reconciles what is requested, so many at once, until `ended`; what is in progress then is finished. `reconcile` returns
/// after which time it wants to see the object again, if nothing requests it before.
pub(crate) async fn run<K, F>(
    store: Store<K>,
    requested: Requested<K>,
    concurrency: u16,
    ended: CancellationToken,
    reconcile: impl Fn(Arc<K>) -> F + Send + Sync + 'static,
) where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    F: Future<Output = Option<Duration>> + Send + 'static,
{
    if ended.run_until_cancelled(store.wait_until_ready()).await.is_none() {
        return;
    }
    let reconcile = move |object: Arc<K>, _: Arc<()>| {
        let pause = reconcile(object);
        async move { Ok::<_, Infallible>(pause.await.map_or_else(Action::await_change, Action::requeue)) }
    };
    Controller::for_stream(stream::pending(), store)
        .with_config(Config::default().concurrency(concurrency))
        .reconcile_on(requested)
        .graceful_shutdown_on(ended.cancelled_owned())
        .run(reconcile, |_, error, _| match *error {}, Arc::new(()))
        .for_each(|_| std::future::ready(()))
        .await;
}
