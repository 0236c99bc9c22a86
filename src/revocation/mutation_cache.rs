//! Statuses that were written but that the cache does not show yet. Without them, a reconcile right after a write would
//! see the object as it was before and do its work again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::capacity::shrink_map;
use crate::sync::lock;

/// A status, and the version of the object that has it.
#[derive(Debug)]
pub struct Stored<S> {
    /// `metadata.resourceVersion`.
    pub version: String,
    /// The whole status.
    pub status: S,
}

/// The last write of each object, by uid, until the cache has caught up with it.
#[derive(Debug)]
pub struct MutationCache<S>(Mutex<Writes<S>>);

/// By uid, with the resource version as a number: the API server takes it from etcd, whose revisions grow.
type Writes<S> = HashMap<String, (u64, Arc<Stored<S>>)>;

impl<S> Default for MutationCache<S> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<S> MutationCache<S> {
    /// What was last written for `uid`, while the cache is behind it.
    pub fn ahead_of_cache(&self, uid: &str) -> Option<Arc<Stored<S>>> {
        lock(&self.0).get(uid).map(|(_, stored)| stored.clone())
    }

    /// Remembers a write that succeeded, unless the cache, which holds the version `cached`, already has it.
    pub fn insert(&self, uid: &str, stored: Stored<S>, cached: Option<&str>) {
        let Some(version) = number(Some(&stored.version)) else { return };
        if number(cached).is_none_or(|cached| cached < version) {
            lock(&self.0).insert(uid.to_owned(), (version, Arc::new(stored)));
        }
    }

    /// The cache holds this version of the object now.
    pub fn seen(&self, uid: &str, version: Option<&str>) {
        let mut written = lock(&self.0);
        if written.get(uid).is_some_and(|(ours, _)| number(version).is_none_or(|seen| seen >= *ours)) {
            written.remove(uid);
            shrink_map(&mut written);
        }
    }

    /// Forgets an object that is gone.
    pub fn forget(&self, uid: &str) {
        let mut written = lock(&self.0);
        written.remove(uid);
        shrink_map(&mut written);
    }
}

fn number(version: Option<&str>) -> Option<u64> {
    version?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(version: &str) -> Stored<()> {
        Stored { version: version.into(), status: () }
    }

    #[test]
    fn a_write_is_remembered_until_the_cache_has_it() {
        let written = MutationCache::default();
        written.insert("u", stored("10"), Some("9"));
        written.seen("u", Some("9"));
        assert!(written.ahead_of_cache("u").is_some(), "an older event does not end it");
        written.seen("u", Some("10"));
        assert!(written.ahead_of_cache("u").is_none());
        written.insert("u", stored("11"), Some("12"));
        assert!(written.ahead_of_cache("u").is_none(), "the event overtook the answer");
    }
}
