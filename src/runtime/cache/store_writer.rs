//! Writes the events of a watch into a cache, and says what changed.
//!
//! - A list is turned into its changes: unchanged objects yield none, and objects that the list does not contain are
//!   deleted. kube's own store buffers a whole list beside the old objects, and so holds everything twice meanwhile.
//! - An object that cannot be read is deleted from the cache, because it is no longer what the cache said.
//! - Of a settled object a few bytes are kept (`settled.rs`).

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kube::Resource;
use kube::runtime::reflector::Store;
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher::Event;

use super::freshness::Freshness;
use super::key::Key;
use super::readable::Readable;
use super::settled::{Identity, Settled, SettledObjects};

/// What is kept of an object that needs no reconcile until it changes; `None` while it needs one.
pub(crate) type Settle<K> = fn(&K) -> Option<Settled>;

/// A change of a cache.
#[derive(Debug)]
pub(crate) enum Change<K> {
    /// An object is new, or has another version.
    Applied {
        /// What the cache held before; `None` if the object is new or was settled.
        before: Option<Arc<K>>,
        now: Arc<K>,
        /// Whether it needs no reconcile until it changes.
        settled: bool,
    },
    /// An object is gone, or cannot be read any more. Not reported for one that was settled.
    Deleted { key: Key, before: Arc<K> },
    /// A list is complete.
    Listed,
}

/// What is known of objects that are not in the store.
#[derive(Clone, Debug, Default)]
pub(crate) struct Uncached {
    pub(crate) settled: Arc<SettledObjects>,
    unreadable: Arc<AtomicUsize>,
}

impl Uncached {
    /// The number of objects that cannot be read.
    pub(crate) fn unreadable(&self) -> usize {
        self.unreadable.load(Ordering::Relaxed)
    }
}

/// Fills one cache.
pub(crate) struct StoreWriter<K: Resource<DynamicType = ()> + Clone + 'static> {
    writer: Writer<K>,
    store: Store<K>,
    settle: Settle<K>,
    uncached: Uncached,
    unreadable: HashSet<Key>,
    fresh: Arc<Freshness>,
    /// While a list is read: the objects that it has contained so far.
    listed: Option<Listed>,
}

#[derive(Default)]
struct Listed {
    /// Hashes of the uids, which take less memory.
    uids: foldhash::HashSet<u64>,
    unreadable: HashSet<Key>,
}

impl<K: Resource<DynamicType = ()> + Clone + 'static> StoreWriter<K> {
    /// Fills the cache behind `writer`, and keeps `fresh` current.
    pub(crate) fn new(mut writer: Writer<K>, fresh: Arc<Freshness>, settle: Settle<K>) -> Self {
        let store = writer.as_reader();
        // kube's controller waits for a cache that is ready. This one is from the start: whether it is complete is for
        // `fresh` to tell.
        writer.apply_watcher_event(&Event::Init);
        writer.apply_watcher_event(&Event::InitDone);
        Self { writer, store, settle, uncached: Uncached::default(), unreadable: HashSet::new(), fresh, listed: None }
    }

    pub(crate) fn uncached(&self) -> Uncached {
        self.uncached.clone()
    }

    /// Takes an event of the watch into the cache. Returns the changes in order.
    pub(crate) fn take(&mut self, event: Event<Readable<K>>) -> Vec<Change<K>> {
        match event {
            Event::Init => {
                self.fresh.list_begins();
                self.listed = Some(Listed::default());
                Vec::new()
            }
            Event::InitApply(object) => self.apply(object),
            Event::InitDone => {
                let changes = self.end_list();
                self.fresh.list_ends();
                changes
            }
            Event::Apply(object) => {
                let changes = self.apply(object);
                self.fresh.heard();
                changes
            }
            Event::Delete(object) => {
                let key = Key::of(object.meta());
                self.mark_readable(&key);
                let changes = self.forget(key);
                self.fresh.heard();
                changes
            }
        }
    }

    fn apply(&mut self, object: Readable<K>) -> Vec<Change<K>> {
        let key = Key::of(object.meta());
        let Ok(object) = object.0 else {
            if let Some(listed) = &mut self.listed {
                listed.unreadable.insert(key.clone());
            }
            self.unreadable.insert(key.clone());
            self.count_unreadable();
            return self.forget(key);
        };
        self.mark_readable(&key);
        let identity = self.identity(&object);
        if let Some(listed) = &mut self.listed {
            listed.uids.insert(identity.uid);
        }
        let before = self.store.get(&key.reference());
        let identity_before =
            before.as_deref().map_or_else(|| self.uncached.settled.get(&key), |b| Some(self.identity(b)));
        let same = identity_before.is_some_and(|before| before.uid == identity.uid);
        if same && identity.version.is_some() && identity_before == Some(identity) {
            return Vec::new();
        }
        // Another object of the same name: the old one was deleted.
        let mut changes = if same { Vec::new() } else { self.forget(key.clone()) };
        let before = before.filter(|_| same);
        changes.extend(self.keep(&key, identity, object, before));
        changes
    }

    /// Puts the object into the store, or among the settled ones.
    fn keep(&mut self, key: &Key, identity: Identity, object: K, before: Option<Arc<K>>) -> Option<Change<K>> {
        let Some(settled) = (self.settle)(&object) else {
            self.uncached.settled.remove(key);
            self.writer.apply_watcher_event(&Event::Apply(object));
            let now = self.store.get(&key.reference())?;
            return Some(Change::Applied { before, now, settled: false });
        };
        if let Some(before) = &before {
            self.writer.apply_watcher_event(&Event::Delete(K::clone(before)));
        }
        self.uncached.settled.insert(key, identity, settled);
        Some(Change::Applied { before, now: Arc::new(object), settled: true })
    }

    /// Deletes the objects that the list did not contain.
    fn end_list(&mut self) -> Vec<Change<K>> {
        let listed = self.listed.take().unwrap_or_default();
        self.unreadable = listed.unreadable;
        self.count_unreadable();
        let was_listed = |uid: u64| listed.uids.contains(&uid);
        self.uncached.settled.retain(was_listed);
        let vanished = self.store.state_filter(|object| !was_listed(self.identity(object).uid));
        let mut vanished: Vec<Key> = vanished.iter().map(|object| Key::of(object.meta())).collect();
        vanished.sort_unstable();
        let mut changes: Vec<_> = vanished.into_iter().filter_map(|key| self.forget(key).pop()).collect();
        changes.push(Change::Listed);
        changes
    }

    /// Removes the object from the cache, wherever it is.
    fn forget(&mut self, key: Key) -> Vec<Change<K>> {
        self.uncached.settled.remove(&key);
        let before = self.store.get(&key.reference());
        if let Some(before) = &before {
            self.writer.apply_watcher_event(&Event::Delete(K::clone(before)));
        }
        before.map(|before| Change::Deleted { key, before }).into_iter().collect()
    }

    fn identity(&self, object: &K) -> Identity {
        self.uncached.settled.identity(object.meta())
    }

    fn mark_readable(&mut self, key: &Key) {
        if self.unreadable.remove(key) {
            self.count_unreadable();
        }
    }

    fn count_unreadable(&self) {
        self.uncached.unreadable.store(self.unreadable.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::ResourceExt;
    use kube::runtime::reflector;

    use super::*;

    fn object(name: &str, uid: &str, version: &str) -> ConfigMap {
        let mut object = ConfigMap::default();
        object.metadata.name = Some(name.to_owned());
        object.metadata.namespace = Some("default".to_owned());
        object.metadata.uid = Some(uid.to_owned());
        object.metadata.resource_version = Some(version.to_owned());
        object
    }

    /// In these tests the immutable objects are the settled ones.
    fn settled(name: &str, uid: &str, version: &str) -> ConfigMap {
        ConfigMap { immutable: Some(true), ..object(name, uid, version) }
    }

    fn settle(object: &ConfigMap) -> Option<Settled> {
        object.immutable.map(|_| Settled { reason: None })
    }

    fn unreadable(object: &ConfigMap) -> Readable<ConfigMap> {
        Readable(Err(Box::new(object.metadata.clone())))
    }

    struct Rig {
        writer: StoreWriter<ConfigMap>,
        store: Store<ConfigMap>,
        uncached: Uncached,
        fresh: Arc<Freshness>,
    }

    impl Rig {
        fn new() -> Self {
            let ((store, writer), fresh) = (reflector::store(), Arc::new(Freshness::default()));
            let writer = StoreWriter::new(writer, fresh.clone(), settle);
            Self { uncached: writer.uncached(), writer, store, fresh }
        }

        /// The names and uids in the store, and the number of settled objects.
        fn known(&self) -> Vec<String> {
            let cached = self.store.state();
            let cached = cached.iter().map(|object| format!("{} {}", object.name_any(), object.uid().unwrap()));
            let settled: usize = self.uncached.settled.by_reason().values().sum();
            let mut known: Vec<_> = cached.chain((settled > 0).then(|| format!("{settled} settled"))).collect();
            known.sort();
            known
        }

        fn take(&mut self, event: Event<Readable<ConfigMap>>) -> Vec<String> {
            let line = |change: &Change<ConfigMap>| match change {
                Change::Listed => "listed".to_owned(),
                Change::Applied { before, now, settled } => {
                    let word = match (before.is_some(), settled) {
                        (true, false) => "changed",
                        (false, false) => "applied",
                        (_, true) => "settled",
                    };
                    format!("{word} {}", now.uid().unwrap())
                }
                Change::Deleted { before, .. } => format!("deleted {}", before.uid().unwrap()),
            };
            self.writer.take(event).iter().map(line).collect()
        }

        fn list(&mut self, objects: &[ConfigMap]) -> Vec<String> {
            let items = objects.iter().map(|object| Event::InitApply(Readable(Ok(object.clone()))));
            let events = [Event::Init].into_iter().chain(items).chain([Event::InitDone]);
            events.flat_map(|event| self.take(event)).collect()
        }
    }

    fn applied(object: ConfigMap) -> Event<Readable<ConfigMap>> {
        Event::Apply(Readable(Ok(object)))
    }

    #[test]
    fn a_later_list_yields_only_its_changes() {
        let mut rig = Rig::new();
        let first = [
            object("same", "s", "1"),
            object("edited", "e", "1"),
            object("gone", "g", "1"),
            object("made-anew", "old", "1"),
            settled("done", "d", "1"),
            settled("done-gone", "dg", "1"),
            settled("done-anew", "dold", "1"),
        ];
        let changes = rig.list(&first);
        let expected =
            ["applied s", "applied e", "applied g", "applied old", "settled d", "settled dg", "settled dold", "listed"];
        assert_eq!(changes, expected);
        let later = [
            object("same", "s", "1"),
            object("edited", "e", "2"),
            object("made-anew", "new", "3"),
            object("more", "m", "4"),
            settled("done", "d", "1"),
            object("done-anew", "dnew", "5"),
        ];
        // A list that breaks off yields only what it has contained.
        assert_eq!(rig.take(Event::Init), [""; 0]);
        assert_eq!(rig.take(Event::InitApply(Readable(Ok(later[3].clone())))), ["applied m"]);
        let changes = rig.list(&later);
        assert_eq!(changes, ["changed e", "deleted old", "applied new", "applied dnew", "deleted g", "listed"]);
        assert_eq!(rig.known(), ["1 settled", "done-anew dnew", "edited e", "made-anew new", "more m", "same s"]);
        assert_eq!(rig.list(&later), ["listed"]);
        assert_eq!(rig.take(Event::Delete(Readable(Ok(later[0].clone())))), ["deleted s"]);
        assert_eq!(rig.known().len(), 5);
    }

    /// While settled it is counted by its reason; when it changes it is in the store again.
    #[test]
    fn a_settled_object_leaves_the_cache_and_comes_back() {
        let mut rig = Rig::new();
        rig.list(&[object("a", "a", "1")]);
        assert_eq!(rig.take(applied(settled("a", "a", "2"))), ["settled a"]);
        assert_eq!((rig.store.len(), rig.uncached.settled.by_reason()), (0, [(None, 1)].into()));
        assert_eq!(rig.take(applied(settled("a", "a", "2"))), [""; 0]);
        assert_eq!(rig.take(applied(object("a", "a", "3"))), ["applied a"]);
        assert_eq!((rig.store.len(), rig.uncached.settled.by_reason()), (1, [].into()));
    }

    #[test]
    fn an_object_that_becomes_unreadable_is_deleted_and_counted() {
        let mut rig = Rig::new();
        rig.list(&[object("a", "a", "1"), settled("b", "b", "1"), object("c", "c", "1")]);
        assert_eq!(rig.take(Event::Apply(unreadable(&object("a", "a", "2")))), ["deleted a"]);
        assert_eq!(rig.take(Event::Apply(unreadable(&object("b", "b", "2")))), [""; 0]);
        assert_eq!((rig.known(), rig.uncached.unreadable()), (vec!["c c".to_owned()], 2));
        assert_eq!(rig.take(applied(object("a", "a", "3"))), ["applied a"]);
        assert_eq!(rig.take(Event::Delete(unreadable(&object("b", "b", "4")))), [""; 0]);
        assert_eq!(rig.uncached.unreadable(), 0);
        rig.take(Event::Init);
        rig.take(Event::InitApply(unreadable(&object("c", "c", "5"))));
        assert_eq!(rig.take(Event::InitDone), ["deleted a", "listed"]);
        assert_eq!((rig.known().len(), rig.uncached.unreadable()), (0, 1));
        // One that was deleted while the watch was cut off is not counted for ever.
        rig.list(&[]);
        assert_eq!(rig.uncached.unreadable(), 0);
    }

    #[test]
    fn a_cache_is_not_fresh_while_a_list_is_read() {
        let mut rig = Rig::new();
        for _ in 0..2 {
            rig.take(Event::Init);
            assert!(!rig.fresh.is_fresh());
            rig.take(Event::InitApply(Readable(Ok(object("more", "m", &fastrand::u64(..).to_string())))));
            assert!(!rig.fresh.is_fresh());
            rig.take(Event::InitDone);
            assert!(rig.fresh.is_fresh());
        }
    }
}
