//! Statuses that were written but that the cache does not show yet. Without them a reconcile right after a write would
//! see the object as it was before, and do its work again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::api::RemovalStatus;

/// The writes on their way back to us. An entry lives until the cache has caught up with it.
#[derive(Default)]
pub struct Written(Mutex<HashMap<String, (u64, Arc<RemovalStatus>)>>);

impl Written {
    /// The status last written for `uid`, if the cache is behind it.
    pub(super) fn ahead_of_cache(&self, uid: &str) -> Option<Arc<RemovalStatus>> {
        self.lock().get(uid).map(|(_, status)| status.clone())
    }

    /// A write was answered with this resource version; the cache holds `cached`.
    pub(super) fn insert(&self, uid: &str, version: Option<&str>, status: RemovalStatus, cached: Option<&str>) {
        let Some(version) = number(version) else { return };
        if number(cached).is_none_or(|cached| cached < version) {
            self.lock().insert(uid.to_owned(), (version, Arc::new(status)));
        }
    }

    /// The cache holds this version of the object now. Resource versions are numbers that grow (Kubernetes API concepts).
    pub fn seen(&self, uid: &str, version: Option<&str>) {
        let mut written = self.lock();
        if written.get(uid).is_some_and(|(ours, _)| number(version).is_none_or(|seen| seen >= *ours)) {
            written.remove(uid);
        }
    }

    /// The object is gone.
    pub fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, (u64, Arc<RemovalStatus>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn number(version: Option<&str>) -> Option<u64> {
    version?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_is_remembered_until_the_cache_has_it() {
        let written = Written::default();
        written.insert("u", Some("10"), RemovalStatus::default(), Some("9"));
        written.seen("u", Some("9"));
        assert!(written.ahead_of_cache("u").is_some(), "an older event does not end it");
        written.seen("u", Some("10"));
        assert!(written.ahead_of_cache("u").is_none());
        written.insert("u", Some("11"), RemovalStatus::default(), Some("12"));
        assert!(written.ahead_of_cache("u").is_none(), "the event overtook the answer");
    }
}
