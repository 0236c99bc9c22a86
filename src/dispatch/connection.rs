//! A connection: where a call goes, which certificates it trusts, and which credential it carries.

use std::fmt::Debug;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, OnceLock};

use crate::api::CredentialKind;
use crate::auth0::{CallError, Domain, ManagementApi, Token};

/// Identifies a connection by domain, CA bundle and the credential as it is written in the Secret. Jobs with different
/// keys never share a call, a read, a proof or a verdict (docs/design.md, promise 2). The key is a hash with a random
/// state: it reveals nothing about the credential and differs from process to process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionKey(pub(super) u64);

impl ConnectionKey {
    /// The key of the connection with these three properties. `credential` is the fingerprint of what the Secret holds.
    pub fn new(domain: &Domain, ca_bundle: Option<&[u8]>, credential: u64) -> Self {
        static STATE: OnceLock<RandomState> = OnceLock::new();
        Self(STATE.get_or_init(RandomState::new).hash_one((domain, ca_bundle, credential)))
    }
}

/// Where the token of a call comes from.
pub trait Credential: Debug + Send + Sync {
    /// What stands in the Secret.
    fn kind(&self) -> CredentialKind;

    /// The token to send now. `None`: there is none at the moment, so nothing can be sent.
    fn token(&self) -> Option<Token>;

    /// A call that carried `token` has ended; no error: it succeeded. Returns whether Auth0 rejected the token and the
    /// credential gets another one, so that the call is worth one more attempt.
    fn call_ended(&self, token: &Token, error: Option<&CallError>) -> bool;
}

/// A token that stands in the Secret itself.
impl Credential for Token {
    fn kind(&self) -> CredentialKind {
        CredentialKind::Token
    }

    fn token(&self) -> Option<Token> {
        Some(self.clone())
    }

    fn call_ended(&self, _: &Token, _: Option<&CallError>) -> bool {
        false
    }
}

/// Everything that a call needs.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Identifies the connection.
    pub key: ConnectionKey,
    /// Where calls go.
    pub domain: Domain,
    /// Sends them.
    pub client: Arc<dyn ManagementApi>,
    /// The credential, whose token they carry.
    pub credential: Arc<dyn Credential>,
    /// The tenant object that `limits` come from, as `namespace/name`.
    pub tenant: Arc<str>,
    /// How fast calls may be sent.
    pub limits: Limits,
}

/// The rate limits that a tenant object sets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// The ceiling on calls per second with this connection.
    pub max_per_second: f64,
    /// The percentage of each of Auth0's buckets that is left to other clients.
    pub reserve_percent: f64,
}
