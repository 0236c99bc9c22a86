//! A cache that is filled from a watch. A list that is not the first is turned into what it changed: the cache never holds
//! everything twice, nobody is bothered with what is as it was, and what vanished unheard is deleted like anything else.

use std::collections::HashSet;
use std::sync::Arc;

use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::Event;
use kube::{Resource, ResourceExt};

use super::freshness::Freshness;

pub(crate) struct StoreWriter<K: Resource<DynamicType = ()> + Clone + 'static> {
    writer: Writer<K>,
    store: Store<K>,
    fresh: Arc<Freshness>,
    listed: Listed,
}

enum Listed {
    /// Not completely yet.
    Never,
    /// Once at least, and none is being read.
    Whole,
    /// Another list is being read; these are the uids of what it has shown.
    Again(HashSet<String>),
}

impl<K: Resource<DynamicType = ()> + Clone + 'static> StoreWriter<K> {
    /// Fills the cache behind `writer`, and tells `fresh` when it is to be believed.
    pub(crate) fn new(writer: Writer<K>, fresh: Arc<Freshness>) -> Self {
        Self { store: writer.as_reader(), writer, fresh, listed: Listed::Never }
    }

    /// Takes an event of the watch into the cache; returns what others should hear of it, in order.
    pub(crate) fn take(&mut self, event: Event<K>) -> Vec<Event<K>> {
        match event {
            Event::Init => {
                self.fresh.list_begins();
                match self.listed {
                    Listed::Never => self.pass(vec![Event::Init]),
                    Listed::Whole | Listed::Again(_) => {
                        self.listed = Listed::Again(HashSet::new());
                        Vec::new()
                    }
                }
            }
            Event::InitApply(object) => match &mut self.listed {
                Listed::Again(shown) => {
                    let before = self.store.get(&ObjectRef::from_obj(&object));
                    shown.extend(object.uid());
                    self.pass(difference(before.as_deref(), object))
                }
                Listed::Never | Listed::Whole => self.pass(vec![Event::InitApply(object)]),
            },
            Event::InitDone => {
                let told = match std::mem::replace(&mut self.listed, Listed::Whole) {
                    Listed::Again(shown) => {
                        let vanished = self.store.state().into_iter();
                        let vanished = vanished.filter(|object| !object.uid().is_some_and(|uid| shown.contains(&uid)));
                        let vanished = vanished.map(|object| Event::Delete(Arc::unwrap_or_clone(object)));
                        self.pass(vanished.collect())
                    }
                    Listed::Never | Listed::Whole => self.pass(vec![Event::InitDone]),
                };
                self.fresh.list_ends();
                told
            }
            event @ (Event::Apply(_) | Event::Delete(_)) => {
                let told = self.pass(vec![event]);
                self.fresh.heard();
                told
            }
        }
    }

    fn pass(&mut self, events: Vec<Event<K>>) -> Vec<Event<K>> {
        for event in &events {
            self.writer.apply_watcher_event(event);
        }
        events
    }
}

/// What makes `before` into `now`. Of the same name may be another object.
fn difference<K: Resource<DynamicType = ()> + Clone>(before: Option<&K>, now: K) -> Vec<Event<K>> {
    match before {
        Some(before) if before.uid() != now.uid() => vec![Event::Delete(before.clone()), Event::Apply(now)],
        Some(before) if before.resource_version() == now.resource_version() => Vec::new(),
        _ => vec![Event::Apply(now)],
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
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

    /// The names and uids in the cache.
    fn cached(store: &Store<ConfigMap>) -> Vec<String> {
        let mut names: Vec<_> =
            store.state().iter().map(|o| format!("{} {}", o.name_any(), o.uid().unwrap())).collect();
        names.sort();
        names
    }

    fn told(events: &[Event<ConfigMap>]) -> Vec<String> {
        let line = |event: &Event<ConfigMap>| match event {
            Event::Init => "init".to_owned(),
            Event::InitApply(object) => format!("first {}", object.uid().unwrap()),
            Event::InitDone => "done".to_owned(),
            Event::Apply(object) => format!("apply {}", object.uid().unwrap()),
            Event::Delete(object) => format!("delete {}", object.uid().unwrap()),
        };
        events.iter().map(line).collect()
    }

    fn list(writer: &mut StoreWriter<ConfigMap>, objects: &[ConfigMap]) -> Vec<String> {
        let shown = objects.iter().cloned().map(Event::InitApply);
        let events = [Event::Init].into_iter().chain(shown).chain([Event::InitDone]);
        events.flat_map(|event| told(&writer.take(event))).collect()
    }

    fn store_writer() -> (StoreWriter<ConfigMap>, Store<ConfigMap>, Arc<Freshness>) {
        let (store, writer) = reflector::store();
        let fresh = Arc::new(Freshness::default());
        (StoreWriter::new(writer, fresh.clone()), store, fresh)
    }

    /// Broken on purpose by lists that only add, and by lists that tell everything: it failed (tests/mutants.sh).
    #[test]
    fn a_later_list_tells_what_it_changed() {
        let (mut writer, store, _) = store_writer();
        let first = [
            object("same", "s", "1"),
            object("edited", "e", "1"),
            object("gone", "g", "1"),
            object("made-anew", "old", "1"),
        ];
        assert_eq!(list(&mut writer, &first), ["init", "first s", "first e", "first g", "first old", "done"]);
        let later = [
            object("same", "s", "1"),
            object("edited", "e", "2"),
            object("made-anew", "new", "3"),
            object("more", "m", "4"),
        ];
        // One that breaks off tells only what it has seen.
        assert_eq!(told(&writer.take(Event::Init)), [""; 0]);
        assert_eq!(told(&writer.take(Event::InitApply(later[3].clone()))), ["apply m"]);
        let heard = list(&mut writer, &later);
        assert_eq!(heard, ["apply e", "delete old", "apply new", "delete g"]);
        assert_eq!(cached(&store), ["edited e", "made-anew new", "more m", "same s"]);
        assert_eq!(list(&mut writer, &later), [""; 0]);
        assert_eq!(told(&writer.take(Event::Delete(later[0].clone()))), ["delete s"]);
        assert_eq!(cached(&store).len(), 3);
    }

    /// Broken on purpose by a cache that stays believed while it is listed: it failed (tests/mutants.sh).
    #[test]
    fn a_cache_is_not_believed_while_a_list_is_read() {
        let (mut writer, _, fresh) = store_writer();
        for _ in 0..2 {
            writer.take(Event::Init);
            assert!(!fresh.is_fresh());
            writer.take(Event::InitApply(object("more", "m", &fastrand::u64(..).to_string())));
            assert!(!fresh.is_fresh());
            writer.take(Event::InitDone);
            assert!(fresh.is_fresh());
        }
    }
}
