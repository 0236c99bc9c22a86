//! The identity of a queue: where a call goes, whom it trusts, and as whom it is made.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, OnceLock};

use crate::auth0::{Domain, ManagementApi, Token};

/// Domain, CA bundle and credential as it stands in the Secret. Jobs whose keys differ never share a call, a read, a
/// proof or a verdict (promise 2). A fingerprint with a random key: it says nothing about the credential, and is not the
/// same in another process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionKey(pub(super) u64);

impl ConnectionKey {
    /// The key of a connection with these three.
    pub fn new(domain: &Domain, ca_bundle: Option<&[u8]>, token: &Token) -> Self {
        static STATE: OnceLock<RandomState> = OnceLock::new();
        Self(STATE.get_or_init(RandomState::new).hash_one((domain, ca_bundle, token.fingerprint())))
    }
}

/// What is needed for a call.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Tells it from all others.
    pub key: ConnectionKey,
    /// Where to.
    pub domain: Domain,
    /// The way there.
    pub client: Arc<dyn ManagementApi>,
    /// As whom.
    pub token: Token,
    /// Which tenant object these are the settings of, as `namespace/name`.
    pub tenant: Arc<str>,
    /// How fast it allows calls.
    pub limits: Limits,
}

/// The tenant's own settings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Never more calls a second than this with one connection.
    pub max_per_second: f64,
    /// Share of each of Auth0's buckets, in percent, that is left to others.
    pub reserve_percent: f64,
}
