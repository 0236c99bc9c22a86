//! The labelled Secrets, as far as they are read: in every namespace, or in each of those that were named. One that cannot
//! be read says nothing about the others.

use std::collections::HashMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use kube::runtime::reflector::{ObjectRef, Store};
use tokio::sync::watch::Receiver;

/// Whether a cache holds everything that there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listing {
    /// It is being filled for the first time.
    NotYet,
    /// It could not be filled so far, and why.
    Failing(String),
    /// It was filled once; later trouble does not empty it.
    Complete,
}

/// The Secrets of one namespace, or of all.
struct SecretCache {
    store: Store<Secret>,
    listing: Receiver<Listing>,
}

/// What is found where a Secret should be.
pub(super) enum Found {
    /// Nobody reads Secrets in that namespace.
    NamespaceNotRead,
    /// They have not been read yet.
    NotListed,
    /// They cannot be read, and why.
    Unreadable(String),
    /// There is none.
    Missing,
    /// It is there.
    Secret(Arc<Secret>),
}

/// The caches: one of all namespaces, or one for each that may be read.
#[derive(Default)]
pub struct Secrets(HashMap<Option<String>, SecretCache>);

impl Secrets {
    /// This cache holds the Secrets of `namespace` (all if none).
    pub fn add(&mut self, namespace: Option<&str>, store: Store<Secret>, listing: Receiver<Listing>) {
        self.0.insert(namespace.map(str::to_owned), SecretCache { store, listing });
    }

    pub(super) fn find(&self, namespace: &str, name: &str) -> Found {
        let cache = self.0.get(&None).or_else(|| self.0.get(&Some(namespace.to_owned())));
        let Some(SecretCache { store, listing }) = cache else { return Found::NamespaceNotRead };
        match &*listing.borrow() {
            Listing::NotYet => Found::NotListed,
            Listing::Failing(why) => Found::Unreadable(why.clone()),
            Listing::Complete => {
                store.get(&ObjectRef::new(name).within(namespace)).map_or(Found::Missing, Found::Secret)
            }
        }
    }
}
