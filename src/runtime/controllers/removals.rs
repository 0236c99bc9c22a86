//! The controller of one removal kind in one scope: which changes queue an object, and how it is reconciled.

use std::sync::Arc;

use futures::{Stream, StreamExt};
use kube::ResourceExt;
use kube::runtime::reflector::Store;
use tokio_util::sync::CancellationToken;

use crate::api::RECONCILE_ANNOTATION;
use crate::revocation::{Context, Revocation, Shared, is_settled, reason_of, reconcile};
use crate::runtime::cache::{Change, Key, Settled};

use super::controller::{Queue, Queued, run};
use super::dependents::DependentsOf;
use super::guard::ReconcileGuard;

/// The controller of one kind in one scope.
pub(crate) struct Removals<K: Revocation> {
    pub(crate) store: Store<K>,
    pub(crate) queue: Queue<K>,
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
                    self.guard.forget(uid);
                    self.shared.forget(uid);
                // Our own status writes change neither of them, so they queue nothing.
                } else if before.is_none_or(|before| request_of(&*before) != request_of(&*now)) {
                    self.queue.add(&key);
                }
            }
            Change::Deleted { key, before } => {
                self.dependents.change(&key, Some(&*before), None);
                self.guard.forget(before.meta().uid.as_deref().unwrap_or_default());
                self.shared.deleted(&*before);
            }
            Change::Listed => {}
        }
    }

    /// An object may leave the cache while it is reconciled, because it is deleted or because the watch delivers its
    /// final status before the write is answered. What the reconcile has kept since then would never be forgotten
    /// (promise 14).
    fn forget_if_gone(&self, object: &K) {
        let cached = self.store.get(&Key::of(object.meta()).reference());
        if cached.is_none_or(|cached| cached.meta().uid != object.meta().uid) {
            let uid = object.meta().uid.as_deref().unwrap_or_default();
            self.guard.forget(uid);
            self.shared.forget(uid);
        }
    }

    /// Reconciles what is queued, this many objects at once, until `ended`.
    pub(crate) async fn run(
        self: Arc<Self>,
        context: Arc<Context<K>>,
        queued: Queued<K>,
        concurrency: u16,
        ended: CancellationToken,
    ) {
        let store = self.store.clone();
        let reconcile = move |object: Arc<K>| {
            let (removals, context) = (self.clone(), context.clone());
            async move {
                let pause = removals.guard.run(&*object, reconcile(object.clone(), context)).await;
                removals.forget_if_gone(&object);
                pause
            }
        };
        run(store, queued, concurrency, ended, reconcile).await;
    }
}

/// What a user changes to ask for something: the spec, by its generation, and the annotation.
fn request_of<K: Revocation>(object: &K) -> (Option<i64>, Option<&String>) {
    (object.meta().generation, object.annotations().get(RECONCILE_ANNOTATION))
}
