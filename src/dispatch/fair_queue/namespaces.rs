//! The namespaces of the fair queue: numbered while anything refers to them, and forgotten afterwards.

use std::ops::{Index, IndexMut};
use std::sync::Arc;

use foldhash::{HashMap, HashMapExt};
use slab::Slab;

/// The number of a namespace. It is reused once nothing refers to the namespace any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NamespaceId(pub(crate) u32);

/// A namespace that waits in classes of type `C`.
#[derive(Debug)]
pub(super) struct Namespace<C> {
    name: Arc<str>,
    /// Jobs of this namespace, and whatever else keeps its number.
    pub(super) references: usize,
    pub(super) positions: usize,
    pub(super) in_flight: usize,
    /// When it was last served, in calls since the queue began.
    pub(super) last_served: u64,
    /// The classes in which it waits; there are only a few.
    pub(super) classes: Vec<C>,
    /// It has as many calls in flight as its share allows.
    pub(super) at_limit: bool,
}

#[derive(Debug)]
pub(super) struct Namespaces<C> {
    slab: Slab<Namespace<C>>,
    by_name: HashMap<Arc<str>, NamespaceId>,
}

impl<C> Namespaces<C> {
    pub(super) fn new() -> Self {
        Self { slab: Slab::new(), by_name: HashMap::new() }
    }

    /// The number of the namespace with this name, with one reference more.
    pub(super) fn register(&mut self, name: &Arc<str>) -> NamespaceId {
        let slab = &mut self.slab;
        let ns = *self.by_name.entry(name.clone()).or_insert_with(|| {
            let new = Namespace {
                name: name.clone(),
                references: 0,
                positions: 0,
                in_flight: 0,
                last_served: 0,
                classes: Vec::new(),
                at_limit: false,
            };
            NamespaceId(u32::try_from(slab.insert(new)).unwrap_or(u32::MAX))
        });
        self.retain(ns);
        ns
    }

    pub(super) fn retain(&mut self, ns: NamespaceId) {
        self[ns].references += 1;
    }

    pub(super) fn release(&mut self, ns: NamespaceId) {
        self[ns].references -= 1;
        self.forget_unused(ns);
    }

    /// Forgets this namespace unless something refers to it, waits in it, or is in flight for it.
    pub(super) fn forget_unused(&mut self, ns: NamespaceId) {
        let namespace = &self[ns];
        if namespace.references == 0 && namespace.positions == 0 && namespace.in_flight == 0 {
            let gone = self.slab.remove(ns.0 as usize);
            self.by_name.remove(&gone.name);
        }
    }

    pub(super) fn get(&self, ns: NamespaceId) -> Option<&Namespace<C>> {
        self.slab.get(ns.0 as usize)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (NamespaceId, &Namespace<C>)> {
        self.slab.iter().map(|(n, namespace)| (NamespaceId(n as u32), namespace))
    }
}

impl<C> Index<NamespaceId> for Namespaces<C> {
    type Output = Namespace<C>;

    fn index(&self, ns: NamespaceId) -> &Namespace<C> {
        &self.slab[ns.0 as usize]
    }
}

impl<C> IndexMut<NamespaceId> for Namespaces<C> {
    fn index_mut(&mut self, ns: NamespaceId) -> &mut Namespace<C> {
        &mut self.slab[ns.0 as usize]
    }
}
