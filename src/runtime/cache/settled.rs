//! What is kept of settled objects, which need no reconcile until they change: enough to notice that one changed or
//! vanished, and to count them by reason. A cluster that has used the operator for a while may have a hundred thousand
//! finished removals.
//!
//! Names and uids are kept as 64-bit hashes in one table. Many small allocations, scattered among those of objects that
//! come and go, would keep the allocator from returning much more memory. If two hashes collide, one change goes
//! unnoticed until the next one.

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::sync::Mutex;

use foldhash::HashMap;
use foldhash::fast::RandomState;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::api::Reason;
use crate::capacity::shrink_map;
use crate::sync::lock;

use super::key::Key;

/// What is counted of a settled object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settled {
    /// The reason in its status, if this version knows it.
    pub(crate) reason: Option<Reason>,
}

/// Which object it is, in which version. If the uid differs, it is another object of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    /// Hash of the uid.
    pub(super) uid: u64,
    /// The resource version. `None` if it is not a number; the object then counts as changed.
    pub(super) version: Option<u64>,
}

/// The settled objects of one cache.
#[derive(Debug, Default)]
pub(crate) struct SettledObjects {
    inner: Mutex<Inner>,
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct Inner {
    /// By the hash of the key.
    objects: HashMap<u64, (Identity, Settled)>,
    by_reason: BTreeMap<Option<Reason>, usize>,
}

impl SettledObjects {
    pub(super) fn identity(&self, meta: &ObjectMeta) -> Identity {
        let version = meta.resource_version.as_deref().and_then(|version| version.parse().ok());
        Identity { uid: self.hasher.hash_one(&meta.uid), version }
    }

    pub(super) fn get(&self, key: &Key) -> Option<Identity> {
        lock(&self.inner).objects.get(&self.hasher.hash_one(key)).map(|(identity, _)| *identity)
    }

    pub(super) fn insert(&self, key: &Key, identity: Identity, settled: Settled) {
        let mut inner = lock(&self.inner);
        *inner.by_reason.entry(settled.reason).or_default() += 1;
        if let Some((_, before)) = inner.objects.insert(self.hasher.hash_one(key), (identity, settled)) {
            inner.uncount(before.reason);
        }
    }

    pub(super) fn remove(&self, key: &Key) {
        let mut inner = lock(&self.inner);
        if let Some((_, removed)) = inner.objects.remove(&self.hasher.hash_one(key)) {
            inner.uncount(removed.reason);
            shrink_map(&mut inner.objects);
        }
    }

    /// Forgets the objects whose hashed uid `keep` rejects.
    pub(super) fn retain(&self, keep: impl Fn(u64) -> bool) {
        let mut inner = lock(&self.inner);
        let mut removed = Vec::new();
        inner.objects.retain(|_, (identity, settled)| {
            let kept = keep(identity.uid);
            removed.extend((!kept).then_some(settled.reason));
            kept
        });
        removed.into_iter().for_each(|reason| inner.uncount(reason));
        shrink_map(&mut inner.objects);
    }

    /// The number of objects by reason.
    pub(crate) fn by_reason(&self) -> BTreeMap<Option<Reason>, usize> {
        lock(&self.inner).by_reason.clone()
    }
}

impl Inner {
    fn uncount(&mut self, reason: Option<Reason>) {
        if let Some(count) = self.by_reason.get_mut(&reason) {
            *count -= 1;
            if *count == 0 {
                self.by_reason.remove(&reason);
            }
        }
    }
}
