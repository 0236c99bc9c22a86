//! Statuses that were written but that the cache does not show yet. Without them, a reconcile right after a write would
//! see the object as it was before and do its work again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use kube::Resource;
use kube::runtime::reflector::{ObjectRef, Store};

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

/// An object as it is now.
#[derive(Debug)]
pub struct Current<K, S> {
    /// What the cache holds.
    pub object: Arc<K>,
    /// What was last written for it, if the cache is behind that.
    pub ahead: Option<Arc<Stored<S>>>,
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

    /// The object as it is now, with what was last written for it if the cache is behind that. `object` was looked up a
    /// while ago, when its reconcile was scheduled. None if it has left the cache since.
    pub fn current<K>(&self, store: &Store<K>, object: &K) -> Option<Current<K, S>>
    where
        K: Resource<DynamicType = ()> + Clone + 'static,
    {
        // In this order: a write is forgotten once the cache has it.
        let written = self.ahead_of_cache(object.meta().uid.as_deref()?);
        let current = store.get(&ObjectRef::from_obj(object)).filter(|now| now.meta().uid == object.meta().uid)?;
        let cached = number(current.meta().resource_version.as_deref());
        let ahead = written.filter(|written| cached.is_none_or(|cached| number(Some(&written.version)) > Some(cached)));
        Some(Current { object: current, ahead })
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
    use kube::runtime::watcher::Event;

    use super::*;
    use crate::api::Auth0Tenant;

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
    /// Between the scheduling of a reconcile and its start the cache may get the write, which is forgotten then. The
    /// reconcile must not go on with the object as it was before: it would do its work again.
    #[test]
    fn a_reconcile_begins_with_the_object_as_it_is_then() {
        let tenant = |version: &str, uid: &str| {
            let spec = serde_json::json!({"domain": "acme.eu.auth0.com", "credentials": {}});
            let mut tenant = Auth0Tenant::new("default", serde_json::from_value(spec).unwrap());
            tenant.metadata.namespace = Some("ns".into());
            (tenant.metadata.uid, tenant.metadata.resource_version) = (Some(uid.into()), Some(version.into()));
            tenant
        };
        let (store, mut writer) = kube::runtime::reflector::store();
        let mut apply = |tenant| writer.apply_watcher_event(&Event::Apply(tenant));
        let written = MutationCache::default();
        let scheduled = tenant("9", "u");
        assert!(written.current(&store, &scheduled).is_none(), "it has left the cache");
        apply(scheduled.clone());
        written.insert("u", stored("10"), Some("9"));
        let version = |now: Current<Auth0Tenant, ()>| {
            (now.object.metadata.resource_version.clone().unwrap(), now.ahead.map(|ahead| ahead.version.clone()))
        };
        assert_eq!(version(written.current(&store, &scheduled).unwrap()), ("9".into(), Some("10".into())));
        apply(tenant("10", "u"));
        assert_eq!(version(written.current(&store, &scheduled).unwrap()), ("10".into(), None), "not seen yet");
        written.seen("u", Some("10"));
        assert_eq!(version(written.current(&store, &scheduled).unwrap()), ("10".into(), None));
        apply(tenant("11", "v"));
        assert!(written.current(&store, &scheduled).is_none(), "another one has its name");
    }
}
