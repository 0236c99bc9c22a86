//! The removals of one kind and scope: what of a change is remembered, and what is reconciled for it.

use std::future::Future;
use std::sync::Arc;

use futures::{Stream, StreamExt};
use kube::ResourceExt;
use kube::runtime::reflector::Store;
use tokio_util::sync::CancellationToken;

use crate::api::RECONCILE_ANNOTATION;
use crate::revocation::{Context, Revocation, Shared, is_settled, reason_of, reconcile};
use crate::runtime::cache::{Change, Key, Settled, number};

use super::guard::ReconcileGuard;
use super::users::UsersOf;
use super::workers::work;
use super::workqueue::WorkQueue;

/// One kind in one scope.
pub(crate) struct Removals<K: Revocation> {
    pub(crate) store: Store<K>,
    pub(crate) queue: Arc<WorkQueue>,
    pub(crate) users: Arc<UsersOf<K>>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) guard: ReconcileGuard,
}

/// What is kept of an object for which nothing is to be done.
pub(crate) fn settle<K: Revocation>(object: &K) -> Option<Settled> {
    let meta = object.meta();
    let uid = meta.uid.as_deref()?.into();
    is_settled(object).then(|| Settled { uid, version: number(meta), reason: reason_of(object) })
}

impl<K: Revocation> Removals<K> {
    /// Keeps what is remembered about objects in step with the cache, and queues those that changed; for ever.
    pub(crate) async fn follow(&self, changes: impl Stream<Item = Change<K>>) {
        changes.for_each(async |change| self.follow_one(change)).await;
    }

    fn follow_one(&self, change: Change<K>) {
        match change {
            Change::Applied { before, now, settled } => {
                let (key, meta) = (Key::of(now.meta()), now.meta());
                let uid = meta.uid.as_deref().unwrap_or_default();
                self.shared.state.seen(uid, meta.resource_version.as_deref());
                self.users.change(&key, before.as_deref(), (!settled).then_some(&*now));
                if settled {
                    self.queue.forget(&key);
                    self.guard.forget(uid);
                    self.shared.forget(uid);
                // Our own status writes change none of these, so they trigger nothing.
                } else if before.is_none_or(|before| asks(&*before) != asks(&*now)) {
                    self.queue.add(key);
                }
            }
            Change::Deleted { key, uid, before } => {
                self.users.change(&key, before.as_deref(), None);
                self.queue.forget(&key);
                self.guard.forget(&uid);
                match before {
                    Some(before) => self.shared.deleted(&*before),
                    None => self.shared.forget(&uid),
                }
            }
            Change::Listed => {}
        }
    }

    /// Reconciles what is queued until `ended`.
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

/// What an object asks for, as far as a change of it is a reason to look.
fn asks<K: Revocation>(object: &K) -> (Option<i64>, Option<&String>) {
    (object.meta().generation, object.annotations().get(RECONCILE_ANNOTATION))
}
