//! The removals of one kind and scope: what of a change is remembered, and what is reconciled for it.

use std::sync::Arc;

use futures::{Stream, StreamExt};
use kube::ResourceExt;
use kube::runtime::reflector::Store;
use tokio_util::sync::CancellationToken;

use crate::api::RECONCILE_ANNOTATION;
use crate::revocation::{Context, Revocation, Shared, is_settled, reason_of, reconcile};
use crate::runtime::cache::{Change, Key, Settled};

use super::controller::{Requested, Requests, run};
use super::guard::ReconcileGuard;
use super::users::UsersOf;

/// One kind in one scope.
pub(crate) struct Removals<K: Revocation> {
    pub(crate) store: Store<K>,
    pub(crate) requests: Requests<K>,
    pub(crate) users: Arc<UsersOf<K>>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) guard: ReconcileGuard,
}

/// Whether nothing is to be done for an object, and the reason that it carries then.
pub(crate) fn settle<K: Revocation>(object: &K) -> Option<Settled> {
    is_settled(object).then(|| Settled { reason: reason_of(object) })
}

impl<K: Revocation> Removals<K> {
    /// Keeps what is remembered about objects in step with the cache, and requests those that changed; for ever.
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
                    self.guard.forget(uid);
                    self.shared.forget(uid);
                // Our own status writes change none of these, so they trigger nothing.
                } else if before.is_none_or(|before| asks(&*before) != asks(&*now)) {
                    self.requests.add(&key);
                }
            }
            Change::Deleted { key, before } => {
                self.users.change(&key, Some(&*before), None);
                self.guard.forget(before.meta().uid.as_deref().unwrap_or_default());
                self.shared.deleted(&*before);
            }
            Change::Listed => {}
        }
    }

    /// Reconciles what is requested until `ended`.
    pub(crate) async fn run(
        self: Arc<Self>,
        context: Arc<Context<K>>,
        requested: Requested<K>,
        concurrency: u16,
        ended: CancellationToken,
    ) {
        let store = self.store.clone();
        let reconcile = move |object: Arc<K>| {
            let (removals, context) = (self.clone(), context.clone());
            async move { removals.guard.run(&*object, reconcile(object.clone(), context)).await }
        };
        run(store, requested, concurrency, ended, reconcile).await;
    }
}

/// What an object asks for, as far as a change of it is a reason to look.
fn asks<K: Revocation>(object: &K) -> (Option<i64>, Option<&String>) {
    (object.meta().generation, object.annotations().get(RECONCILE_ANNOTATION))
}
