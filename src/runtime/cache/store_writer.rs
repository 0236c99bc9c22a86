//! Fills a cache from a watch. A list is turned into what it changed: the cache never holds everything twice, nobody is
//! bothered with what is as it was, and what vanished unheard is deleted like anything else. What cannot be read is
//! deleted, too: nothing may be done for an object that is no longer what the cache said. What is settled is kept as a
//! few bytes.

use std::collections::HashSet;
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use foldhash::fast::RandomState;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::runtime::reflector::Store;
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher::Event;

use super::freshness::Freshness;
use super::key::Key;
use super::readable::Readable;
use super::settled::{Settled, SettledObjects};

/// What an object is once nothing is to be done for it until it changes; none while there is.
pub(crate) type Settle<K> = fn(&K) -> Option<Settled>;

/// What others should hear of a cache.
#[derive(Debug)]
pub(crate) enum Change<K> {
    /// An object is there, or there in another version.
    Applied {
        /// What the cache held of it; nothing if it is new or was settled.
        before: Option<Arc<K>>,
        now: Arc<K>,
        /// Nothing is to be done for it.
        settled: bool,
    },
    /// The object with this uid is gone, or cannot be read any more.
    Deleted { key: Key, uid: Box<str>, before: Option<Arc<K>> },
    /// A list was taken over.
    Listed,
}

/// How many objects of a cache are more or less than ordinary objects in it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Beside {
    pub(crate) settled: Arc<SettledObjects>,
    unreadable: Arc<AtomicUsize>,
}

impl Beside {
    /// How many objects there are that cannot be read.
    pub(crate) fn unreadable(&self) -> usize {
        self.unreadable.load(Ordering::Relaxed)
    }
}

pub(crate) struct StoreWriter<K: Resource<DynamicType = ()> + Clone + 'static> {
    writer: Writer<K>,
    store: Store<K>,
    settle: Settle<K>,
    beside: Beside,
    unreadable: HashSet<Key>,
    fresh: Arc<Freshness>,
    /// While a list is read: what it has shown.
    shown: Option<Shown>,
    hasher: RandomState,
}

#[derive(Default)]
struct Shown {
    /// Hashes, because the uids of very many would be a burden. Two that are alike would only hide that one of them is
    /// gone, until the next list.
    uids: HashSet<u64, RandomState>,
    unreadable: HashSet<Key>,
}

impl<K: Resource<DynamicType = ()> + Clone + 'static> StoreWriter<K> {
    /// Fills the cache behind `writer`, and tells `fresh` when it is to be believed.
    pub(crate) fn new(writer: Writer<K>, fresh: Arc<Freshness>, settle: Settle<K>) -> Self {
        let store = writer.as_reader();
        let (beside, hasher) = (Beside::default(), RandomState::default());
        Self { writer, store, settle, beside, unreadable: HashSet::new(), fresh, shown: None, hasher }
    }

    pub(crate) fn beside(&self) -> Beside {
        self.beside.clone()
    }

    /// Takes an event of the watch into the cache; returns what others should hear of it, in order.
    pub(crate) fn take(&mut self, event: Event<Readable<K>>) -> Vec<Change<K>> {
        match event {
            Event::Init => {
                self.fresh.list_begins();
                self.shown = Some(Shown::default());
                Vec::new()
            }
            Event::InitApply(object) => self.apply(object),
            Event::InitDone => {
                let told = self.end_list();
                self.fresh.list_ends();
                told
            }
            Event::Apply(object) => {
                let told = self.apply(object);
                self.fresh.heard();
                told
            }
            Event::Delete(object) => {
                let key = Key::of(object.meta());
                self.readable(&key);
                let told = self.forget(key);
                self.fresh.heard();
                told
            }
        }
    }

    fn apply(&mut self, object: Readable<K>) -> Vec<Change<K>> {
        let key = Key::of(object.meta());
        let Ok(object) = object.0 else {
            if let Some(shown) = &mut self.shown {
                shown.unreadable.insert(key.clone());
            }
            self.unreadable.insert(key.clone());
            self.count_unreadable();
            return self.forget(key);
        };
        if let Some(shown) = &mut self.shown {
            shown.uids.insert(id(&self.hasher, object.meta().uid.as_deref()));
        }
        self.readable(&key);
        let (uid, version) = (object.meta().uid.as_deref(), number(object.meta()));
        let before = self.store.get(&key.reference());
        let (uid_before, version_before) = match (&before, self.beside.settled.get(&key)) {
            (Some(before), _) => (before.meta().uid.clone().map(String::into_boxed_str), number(before.meta())),
            (None, Some(settled)) => (Some(settled.uid), settled.version),
            (None, None) => (None, None),
        };
        let mut told = Vec::new();
        let same = uid_before.as_deref() == uid;
        if same && version.is_some() && version_before == version {
            return told;
        }
        // Of the same name may be another object.
        if uid_before.is_some() && !same {
            told.extend(self.forget(key.clone()));
        }
        let before = before.filter(|_| same);
        let settled = (self.settle)(&object);
        let is_settled = settled.is_some();
        let now = Arc::new(object);
        match settled {
            Some(settled) => {
                if before.is_some() {
                    self.writer.apply_watcher_event(&Event::Delete(K::clone(&now)));
                }
                self.beside.settled.insert(key, settled);
            }
            None => {
                self.beside.settled.remove(&key);
                self.writer.apply_watcher_event(&Event::Apply(K::clone(&now)));
            }
        }
        told.push(Change::Applied { before, now, settled: is_settled });
        told
    }

    /// What the list did not show is gone.
    fn end_list(&mut self) -> Vec<Change<K>> {
        let shown = self.shown.take().unwrap_or_default();
        self.unreadable = shown.unreadable;
        self.count_unreadable();
        let was_shown = |uid: Option<&str>| shown.uids.contains(&id(&self.hasher, uid));
        let cached = self.store.state_filter(|object| !was_shown(object.meta().uid.as_deref()));
        let mut vanished: Vec<Key> = cached.iter().map(|object| Key::of(object.meta())).collect();
        vanished.extend(self.beside.settled.all_but(|settled| was_shown(Some(&settled.uid))));
        vanished.sort_unstable();
        let mut told: Vec<_> = vanished.into_iter().flat_map(|key| self.forget(key)).collect();
        told.push(Change::Listed);
        told
    }

    fn forget(&mut self, key: Key) -> Vec<Change<K>> {
        let settled = self.beside.settled.remove(&key);
        let before = self.store.get(&key.reference());
        let uid =
            settled.map(|settled| settled.uid).or_else(|| before.as_deref()?.meta().uid.as_deref().map(Box::from));
        if let Some(before) = &before {
            self.writer.apply_watcher_event(&Event::Delete(K::clone(before)));
        }
        uid.map(|uid| Change::Deleted { key, uid, before }).into_iter().collect()
    }
    fn readable(&mut self, key: &Key) {
        if self.unreadable.remove(key) {
            self.count_unreadable();
        }
    }

    fn count_unreadable(&self) {
        self.beside.unreadable.store(self.unreadable.len(), Ordering::Relaxed);
    }
}

/// Stands for an object in what a list has shown.
fn id(hasher: &RandomState, uid: Option<&str>) -> u64 {
    hasher.hash_one(uid)
}

/// The version of an object. It is text to its readers, but the API's concepts now say that it is a number that grows.
pub(crate) fn number(meta: &ObjectMeta) -> Option<u64> {
    meta.resource_version.as_deref()?.parse().ok()
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

    /// Settled are those that are immutable.
    fn settled(name: &str, uid: &str, version: &str) -> ConfigMap {
        ConfigMap { immutable: Some(true), ..object(name, uid, version) }
    }

    fn settle(object: &ConfigMap) -> Option<Settled> {
        let uid = object.uid().unwrap().into_boxed_str();
        object.immutable.map(|_| Settled { uid, version: number(&object.metadata), reason: None })
    }

    fn unreadable(object: &ConfigMap) -> Readable<ConfigMap> {
        Readable(Err(Box::new(object.metadata.clone())))
    }

    struct Rig {
        writer: StoreWriter<ConfigMap>,
        store: Store<ConfigMap>,
        beside: Beside,
        fresh: Arc<Freshness>,
    }

    impl Rig {
        fn new() -> Self {
            let ((store, writer), fresh) = (reflector::store(), Arc::new(Freshness::default()));
            let writer = StoreWriter::new(writer, fresh.clone(), settle);
            Self { beside: writer.beside(), writer, store, fresh }
        }

        /// The names and uids of everything that is known, the settled in brackets.
        fn known(&self) -> Vec<String> {
            let cached = self.store.state();
            let cached = cached.iter().map(|object| format!("{} {}", object.name_any(), object.uid().unwrap()));
            let settled = self.beside.settled.all_but(|_| false);
            let settled = settled.iter().map(|key| format!("({})", key.name));
            let mut known: Vec<_> = cached.chain(settled).collect();
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
                Change::Deleted { uid, .. } => format!("deleted {uid}"),
            };
            self.writer.take(event).iter().map(line).collect()
        }

        fn list(&mut self, objects: &[ConfigMap]) -> Vec<String> {
            let shown = objects.iter().map(|object| Event::InitApply(Readable(Ok(object.clone()))));
            let events = [Event::Init].into_iter().chain(shown).chain([Event::InitDone]);
            events.flat_map(|event| self.take(event)).collect()
        }
    }

    fn applied(object: ConfigMap) -> Event<Readable<ConfigMap>> {
        Event::Apply(Readable(Ok(object)))
    }

    #[test]
    fn a_later_list_tells_what_it_changed() {
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
        let told = rig.list(&first);
        let expected =
            ["applied s", "applied e", "applied g", "applied old", "settled d", "settled dg", "settled dold", "listed"];
        assert_eq!(told, expected);
        let later = [
            object("same", "s", "1"),
            object("edited", "e", "2"),
            object("made-anew", "new", "3"),
            object("more", "m", "4"),
            settled("done", "d", "1"),
            object("done-anew", "dnew", "5"),
        ];
        // One that breaks off tells only what it has seen.
        assert_eq!(rig.take(Event::Init), [""; 0]);
        assert_eq!(rig.take(Event::InitApply(Readable(Ok(later[3].clone())))), ["applied m"]);
        let told = rig.list(&later);
        let expected = [
            "changed e",
            "deleted old",
            "applied new",
            "deleted dold",
            "applied dnew",
            "deleted dg",
            "deleted g",
            "listed",
        ];
        assert_eq!(told, expected);
        assert_eq!(rig.known(), ["(done)", "done-anew dnew", "edited e", "made-anew new", "more m", "same s"]);
        assert_eq!(rig.list(&later), ["listed"]);
        assert_eq!(rig.take(Event::Delete(Readable(Ok(later[0].clone())))), ["deleted s"]);
        assert_eq!(rig.known().len(), 5);
    }

    /// It is counted by its reason, woken by nothing, and found again when it changes.
    #[test]
    fn a_settled_object_leaves_the_cache_and_comes_back() {
        let mut rig = Rig::new();
        rig.list(&[object("a", "a", "1")]);
        assert_eq!(rig.take(applied(settled("a", "a", "2"))), ["settled a"]);
        assert_eq!((rig.store.len(), rig.beside.settled.by_reason()), (0, [(None, 1)].into()));
        assert_eq!(rig.take(applied(settled("a", "a", "2"))), [""; 0]);
        assert_eq!(rig.take(applied(object("a", "a", "3"))), ["applied a"]);
        assert_eq!((rig.store.len(), rig.beside.settled.by_reason()), (1, [].into()));
    }

    #[test]
    fn what_cannot_be_read_any_more_is_gone_and_counted() {
        let mut rig = Rig::new();
        rig.list(&[object("a", "a", "1"), settled("b", "b", "1"), object("c", "c", "1")]);
        assert_eq!(rig.take(Event::Apply(unreadable(&object("a", "a", "2")))), ["deleted a"]);
        assert_eq!(rig.take(Event::Apply(unreadable(&object("b", "b", "2")))), ["deleted b"]);
        assert_eq!((rig.known(), rig.beside.unreadable()), (vec!["c c".to_owned()], 2));
        assert_eq!(rig.take(applied(object("a", "a", "3"))), ["applied a"]);
        assert_eq!(rig.take(Event::Delete(unreadable(&object("b", "b", "4")))), [""; 0]);
        assert_eq!(rig.beside.unreadable(), 0);
        rig.take(Event::Init);
        rig.take(Event::InitApply(unreadable(&object("c", "c", "5"))));
        assert_eq!(rig.take(Event::InitDone), ["deleted a", "listed"]);
        assert_eq!((rig.known().len(), rig.beside.unreadable()), (0, 1));
        // One that vanished unheard is not counted for ever.
        rig.list(&[]);
        assert_eq!(rig.beside.unreadable(), 0);
    }

    #[test]
    fn a_cache_is_not_believed_while_a_list_is_read() {
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
