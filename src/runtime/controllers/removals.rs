//! The controller of one removal kind in one scope: which changes queue an object, and what the workers do with it.

use std::future::Future;
use std::sync::Arc;

use futures::{Stream, StreamExt};
use kube::ResourceExt;
use kube::runtime::reflector::Store;
use tokio_util::sync::CancellationToken;

use crate::api::RECONCILE_ANNOTATION;
use crate::revocation::{Context, Revocation, Shared, is_settled, reason_of, reconcile};
use crate::runtime::cache::{Change, Key, Settled};

use super::dependents::DependentsOf;
use super::guard::ReconcileGuard;
use super::workers::work;
use super::workqueue::WorkQueue;

/// The controller of one kind in one scope.
pub(crate) struct Removals<K: Revocation> {
    pub(crate) store: Store<K>,
    pub(crate) queue: Arc<WorkQueue>,
    pub(crate) dependents: Arc<DependentsOf<K>>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) guard: ReconcileGuard,
}

/// What the cache keeps of an object that needs no reconcile until it changes; `None` while it needs one.
pub(crate) fn settle<K: Revocation>(object: &K) -> Option<Settled> {
    is_settled(object).then(|| Settled { reason: reason_of(object) })
}

impl<K: Revocation> Removals<K> {
    /// Follows the changes of the cache: queues the objects that need a reconcile, and forgets those that do not. Runs
    /// as long as the watch.
    pub(crate) async fn follow(&self, changes: impl Stream<Item = Change<K>>) {
        changes.for_each(async |change| self.follow_one(change)).await;
    }

    fn follow_one(&self, change: Change<K>) {
        match change {
            Change::Applied { before, now, settled } => {
                let (key, meta) = (Key::of(now.meta()), now.meta());
                let uid = meta.uid.as_deref().unwrap_or_default();
                self.shared.state.seen(uid, meta.resource_version.as_deref());
                self.dependents.change(&key, before.as_deref(), (!settled).then_some(&*now));
                if settled {
                    self.queue.forget(&key);
                    self.guard.forget(uid);
                    self.shared.forget(uid);
                // Our own status writes change neither of them, so they queue nothing.
                } else if before.is_none_or(|before| request_of(&*before) != request_of(&*now)) {
                    self.queue.add(key);
                }
            }
            Change::Deleted { key, before } => {
                self.dependents.change(&key, Some(&*before), None);
                self.queue.forget(&key);
                self.guard.forget(before.meta().uid.as_deref().unwrap_or_default());
                self.shared.deleted(&*before);
            }
            Change::Listed => {}
        }
    }

    /// Reconciles what is queued, with this many workers, until `ended`.
    pub(crate) fn run(
        self: Arc<Self>,
        context: Arc<Context<K>>,
        workers: usize,
        ended: CancellationToken,
    ) -> impl Future<Output = ()> + Send + 'static {
        let queue = self.queue.clone();
        work(queue, workers, ended, move |key| {
            let (removals, context) = (self.clone(), context.clone());
            async move {
                let object = removals.store.get(&key.reference())?;
                removals.guard.run(&*object, reconcile(object.clone(), context)).await
            }
        })
    }
}

/// What a user changes to ask for something: the spec, by its generation, and the annotation.
fn request_of<K: Revocation>(object: &K) -> (Option<i64>, Option<&String>) {
    (object.meta().generation, object.annotations().get(RECONCILE_ANNOTATION))
}
