//! The caches of labelled Secrets: one for all namespaces, or one for each namespace that was named. If one namespace
//! cannot be read, the others still can.

use std::collections::HashMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use kube::runtime::reflector::{ObjectRef, Store};
use tokio::sync::watch::Receiver;

/// Whether a cache was filled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listing {
    /// The first list is not complete yet.
    NotYet,
    /// The first list failed so far, for this reason.
    Failing(String),
    /// The first list was complete. It stays so, whatever fails later.
    Complete,
}

/// The Secrets of one namespace, or of all.
struct SecretCache {
    store: Store<Secret>,
    listing: Receiver<Listing>,
}

/// The result of looking a Secret up.
pub(super) enum SecretLookup {
    /// The operator is not configured to read Secrets in that namespace.
    NamespaceNotRead,
    /// The Secrets of that namespace are not listed yet.
    NotListed,
    /// The Secrets of that namespace cannot be read, for this reason.
    Unreadable(String),
    /// There is no labelled Secret of that name.
    Missing,
    /// The Secret.
    Found(Arc<Secret>),
}

/// The caches by namespace; the one without a namespace holds all.
#[derive(Default)]
pub struct Secrets(HashMap<Option<String>, SecretCache>);

impl Secrets {
    /// Adds the cache that holds the Secrets of `namespace` (all if none).
    pub fn add(&mut self, namespace: Option<&str>, store: Store<Secret>, listing: Receiver<Listing>) {
        self.0.insert(namespace.map(str::to_owned), SecretCache { store, listing });
    }

    pub(super) fn find(&self, namespace: &str, name: &str) -> SecretLookup {
        let cache = self.0.get(&None).or_else(|| self.0.get(&Some(namespace.to_owned())));
        let Some(SecretCache { store, listing }) = cache else { return SecretLookup::NamespaceNotRead };
        match &*listing.borrow() {
            Listing::NotYet => SecretLookup::NotListed,
            Listing::Failing(why) => SecretLookup::Unreadable(why.clone()),
            Listing::Complete => {
                let secret = store.get(&ObjectRef::new(name).within(namespace));
                secret.map_or(SecretLookup::Missing, SecretLookup::Found)
            }
        }
    }
}
