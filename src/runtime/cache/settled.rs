//! What is kept of objects that need nothing any more: enough to notice that one changed or vanished, and to count them.
//! A hundred thousand finished removals are the usual state of a cluster that has used the operator for a while.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::api::Reason;

use super::key::Key;

/// What is left of such an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settled {
    pub(crate) uid: Box<str>,
    /// Resource versions are numbers; one that is none is never taken for another.
    pub(crate) version: Option<u64>,
    /// The reason it carries, if this version knows it.
    pub(crate) reason: Option<Reason>,
}

/// The settled objects of one cache.
#[derive(Debug, Default)]
pub(crate) struct SettledObjects(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    objects: HashMap<Key, Settled>,
    by_reason: BTreeMap<Option<Reason>, usize>,
}

impl SettledObjects {
    pub(crate) fn get(&self, key: &Key) -> Option<Settled> {
        self.lock().objects.get(key).cloned()
    }

    pub(crate) fn insert(&self, key: Key, settled: Settled) {
        let mut inner = self.lock();
        *inner.by_reason.entry(settled.reason).or_default() += 1;
        if let Some(before) = inner.objects.insert(key, settled) {
            inner.uncount(before.reason);
        }
    }

    pub(crate) fn remove(&self, key: &Key) -> Option<Settled> {
        let mut inner = self.lock();
        let removed = inner.objects.remove(key)?;
        inner.uncount(removed.reason);
        // Many may go at once, as with a namespace; their room is given back.
        if inner.objects.capacity() > 1024 && inner.objects.len() < inner.objects.capacity() / 4 {
            inner.objects.shrink_to_fit();
        }
        Some(removed)
    }

    /// Those for which `keep` says no, by name.
    pub(crate) fn all_but(&self, keep: impl Fn(&Settled) -> bool) -> Vec<Key> {
        let inner = self.lock();
        inner.objects.iter().filter(|(_, settled)| !keep(settled)).map(|(key, _)| key.clone()).collect()
    }

    /// How many carry each reason.
    pub(crate) fn by_reason(&self) -> BTreeMap<Option<Reason>, usize> {
        self.lock().by_reason.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
