//! kube's `Controller`, for objects that are queued by key.
//!
//! kube-runtime 5 has three traps that shape this: a reconcile that panics ends its whole controller, so `guard.rs`
//! catches panics; a controller whose cache never becomes ready never shuts down, so our caches are ready from the
//! start and a key is queued once its object is there; and a failing watch slows down every trigger of its controller,
//! so watches are read elsewhere and only keys come in here.

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

/// Queues objects of one kind and scope for their controller. A key that waits already is not queued twice.
#[derive(Debug)]
pub(crate) struct Queue<K: Resource<DynamicType = ()>>(UnboundedSender<ObjectRef<K>>);

/// The other end of a [`Queue`], for [`run`].
pub(crate) type Queued<K> = UnboundedReceiver<ObjectRef<K>>;

impl<K: Resource<DynamicType = ()>> Clone for Queue<K> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K: Resource<DynamicType = ()>> Queue<K> {
    /// A queue and its other end.
    pub(crate) fn new() -> (Self, Queued<K>) {
        let (sender, receiver) = unbounded();
        (Self(sender), receiver)
    }

    /// Has the object reconciled as soon as possible; if it is being reconciled now, once more afterwards. A key that
    /// is not in the cache is ignored.
    pub(crate) fn add(&self, key: &Key) {
        // This fails only once the controller has ended.
        let _ = self.0.unbounded_send(key.reference());
    }
}

/// Reconciles what is queued, `concurrency` objects at once, until `ended`; a reconcile that runs then is finished.
/// `reconcile` returns after which time it wants to run again if nothing queues the object before.
pub(crate) async fn run<K, F>(
    store: Store<K>,
    queued: Queued<K>,
    concurrency: u16,
    ended: CancellationToken,
    reconcile: impl Fn(Arc<K>) -> F + Send + Sync + 'static,
) where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    F: Future<Output = Option<Duration>> + Send + 'static,
{
    let reconcile = move |object: Arc<K>, _: Arc<()>| {
        let pause = reconcile(object);
        async move { Ok::<_, Infallible>(pause.await.map_or_else(Action::await_change, Action::requeue)) }
    };
    Controller::for_stream(stream::pending(), store)
        .with_config(Config::default().concurrency(concurrency))
        .reconcile_on(queued)
        .graceful_shutdown_on(ended.cancelled_owned())
        .run(reconcile, |_, error, _| match *error {}, Arc::new(()))
        .for_each(|_| std::future::ready(()))
        .await;
}
