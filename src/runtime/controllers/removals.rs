//! The controller of one removal kind in one scope: which changes queue an object, and how it is reconciled.

use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, Stream, StreamExt};
use kube::ResourceExt;
use kube::runtime::reflector::Store;
use tokio_util::sync::CancellationToken;

use crate::api::{RECONCILE_ANNOTATION, RemovalStatus};
use crate::clock;
use crate::revocation::{Context, Progress, Revocation, Shared, is_settled, is_verdict_changed, reason_of, reconcile};
use crate::runtime::cache::{Change, Key, Settled};
use crate::tenant::{ItemId, TenantKey};

use super::controller::{Queue, Queued, run};
use super::dependents::DependentsOf;
use super::guard::ReconcileGuard;
use super::write_permits::WritePermits;

/// As many reconciles at once as there are objects.
const UNLIMITED: u16 = 0;

/// The controller of one kind in one scope.
pub(crate) struct Removals<K: Revocation> {
    pub(crate) store: Store<K>,
    pub(crate) queue: Queue<K>,
    pub(crate) dependents: Arc<DependentsOf<K>>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) guard: ReconcileGuard,
    pub(crate) permits: Arc<WritePermits>,
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
                self.count(&key, before.as_deref(), &now, settled);
                if settled {
                    self.forget(uid);
                    self.shared.forget(uid);
                // Our own status writes change neither of them, so they queue nothing.
                } else if before.is_none_or(|before| {
                    request_of(&*before) != request_of(&*now) || is_verdict_changed(&*before, &*now)
                }) {
                    self.queue.add(&key);
                }
            }
            Change::Deleted { key, before } => {
                self.dependents.change(&key, Some(&*before), None);
                self.forget(before.meta().uid.as_deref().unwrap_or_default());
                self.shared.deleted(&*before);
            }
            Change::Listed => {}
        }
    }

    /// Lets the brake of the tenant know what was sent for the object, and that it may want something removed.
    fn count(&self, key: &Key, before: Option<&K>, now: &K, settled: bool) {
        let brakes = self.shared.tenants.brakes();
        let tenant = TenantKey::of(&key.namespace, &now.options().tenant_ref);
        let sent_at = |object: &K| object.status().and_then(RemovalStatus::removed_at);
        if let Some(at) = sent_at(now).filter(|at| before.and_then(sent_at) != Some(*at)) {
            let age = clock::wall().duration_since(at).try_into().unwrap_or_default();
            brakes.absorb(&tenant, &key.namespace, age, || ItemId::of(&now.removal()));
        }
        if !settled && before.is_none_or(|before| before.meta().generation != now.meta().generation) {
            brakes.object_changed(&tenant);
        }
    }

    /// Forgets what this controller itself knows of the object.
    fn forget(&self, uid: &str) {
        self.guard.forget(uid);
        self.permits.forget(uid);
    }

    /// Reconciles what is queued until `ended`.
    pub(crate) async fn run(self: Arc<Self>, context: Arc<Context<K>>, queued: Queued<K>, ended: CancellationToken) {
        let store = self.store.clone();
        let reconcile = move |object| {
            let (removals, context) = (self.clone(), context.clone());
            async move { removals.reconcile(object, context).await }
        };
        // Only status writes are limited, so that one never holds up an object that has a removal to submit.
        run(store, queued, UNLIMITED, ended, reconcile).await;
    }

    /// Reconciles one object. Returns after which time to do so again.
    async fn reconcile(&self, object: Arc<K>, context: Arc<Context<K>>) -> Option<Duration> {
        let uid = object.meta().uid.as_deref().unwrap_or_default();
        // On the heap, because it is large and passes through several hands.
        let reconcile = reconcile(object.clone(), context.clone(), self.permits.take(uid)).boxed();
        let requeue_after = match self.guard.run(&*object, reconcile).await {
            Ok(Progress::Done(after)) => after,
            Ok(Progress::AwaitPermit) => {
                let (queue, key) = (self.queue.clone(), Key::of(object.meta()));
                self.permits.wait(uid, move || queue.add(&key));
                None
            }
            Err(pause) => Some(pause),
        };
        if context.forget_if_gone(&object) {
            self.forget(uid);
        }
        requeue_after
    }
}

/// What a user changes to ask for something: the spec, by its generation, and the annotation.
fn request_of<K: Revocation>(object: &K) -> (Option<i64>, Option<&String>) {
    (object.meta().generation, object.annotations().get(RECONCILE_ANNOTATION))
}
