//! What is kept of objects that need nothing any more: enough to notice that one changed or vanished, and to count them.
//! A hundred thousand finished removals are the usual state of a cluster that has used the operator for a while.
//!
//! Names and uids are kept as hashes, in one piece of memory: small pieces of it between all that comes and goes would
//! keep much more from being given back. Two that are alike would only hide a change until the next one.

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::HashMap;
use foldhash::fast::RandomState;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::api::Reason;

use super::key::Key;

/// Smaller tables are not worth being made smaller still.
const SMALL: usize = 1024;

/// An object for which nothing is to be done until it changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settled {
    /// The reason it carries, if this version knows it.
    pub(crate) reason: Option<Reason>,
}

/// Which object it is, and in which version. It is another one if either is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    /// Stands for the uid.
    pub(super) uid: u64,
    /// Resource versions are numbers; one that is none is like no other.
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
    /// By what stands for the name.
    objects: HashMap<u64, (Identity, Settled)>,
    by_reason: BTreeMap<Option<Reason>, usize>,
}

impl SettledObjects {
    pub(super) fn identity(&self, meta: &ObjectMeta) -> Identity {
        let version = meta.resource_version.as_deref().and_then(|version| version.parse().ok());
        Identity { uid: self.hasher.hash_one(&meta.uid), version }
    }

    pub(super) fn get(&self, key: &Key) -> Option<Identity> {
        self.lock().objects.get(&self.hasher.hash_one(key)).map(|(identity, _)| *identity)
    }

    pub(super) fn insert(&self, key: &Key, identity: Identity, settled: Settled) {
        let mut inner = self.lock();
        *inner.by_reason.entry(settled.reason).or_default() += 1;
        if let Some((_, before)) = inner.objects.insert(self.hasher.hash_one(key), (identity, settled)) {
            inner.uncount(before.reason);
        }
    }

    pub(super) fn remove(&self, key: &Key) {
        let mut inner = self.lock();
        if let Some((_, removed)) = inner.objects.remove(&self.hasher.hash_one(key)) {
            inner.uncount(removed.reason);
            inner.shrink();
        }
    }

    /// Forgets those for whose uid `keep` says no.
    pub(super) fn retain(&self, keep: impl Fn(u64) -> bool) {
        let mut inner = self.lock();
        let mut removed = Vec::new();
        inner.objects.retain(|_, (identity, settled)| {
            let kept = keep(identity.uid);
            removed.extend((!kept).then_some(settled.reason));
            kept
        });
        removed.into_iter().for_each(|reason| inner.uncount(reason));
        inner.shrink();
    }

    /// How many carry each reason.
    pub(crate) fn by_reason(&self) -> BTreeMap<Option<Reason>, usize> {
        self.lock().by_reason.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Many may go at once, as with a namespace; their room is given back.
    fn shrink(&mut self) {
        if self.objects.capacity() > SMALL && self.objects.len() < self.objects.capacity() / 4 {
            self.objects.shrink_to_fit();
        }
    }
}
