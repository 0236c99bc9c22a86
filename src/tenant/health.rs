//! What the calls with a connection said of it, as far as its tenant object shows it.

use std::collections::{HashMap, HashSet};

use crate::auth0::CallError;
use crate::dispatch::ConnectionKey;

/// Why the last call could not even be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreachable {
    /// In words.
    pub why: &'static str,
    /// The certificate is the cause, which a person has to mend.
    pub certificate: bool,
}

/// What is known of each connection with which a call was tried.
#[derive(Debug, Default)]
pub(super) struct Health(HashMap<ConnectionKey, Known>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Known {
    /// Auth0 did at least once what it was asked.
    obeyed: bool,
    unreachable: Option<Unreachable>,
}

impl Health {
    /// A call ended. Returns whether its tenants should be looked at again.
    pub(super) fn hear(&mut self, key: ConnectionKey, error: Option<&CallError>) -> bool {
        let known = self.0.entry(key).or_default();
        let before = *known;
        match error {
            Some(CallError::NotSent(why)) => {
                known.unreachable = Some(Unreachable { why, certificate: why.contains("certificate") });
            }
            // No answer, or not Auth0's: says nothing of this.
            Some(CallError::Unavailable(_) | CallError::NotProcessed) => {}
            Some(_) => known.unreachable = None,
            None => *known = Known { obeyed: true, unreachable: None },
        }
        *known != before
    }

    /// Whether Auth0 did with it at least once what it was asked.
    pub(super) fn obeyed(&self, key: ConnectionKey) -> bool {
        self.0.get(&key).is_some_and(|known| known.obeyed)
    }

    /// Why its last call could not be sent, if that is how it ended.
    pub(super) fn unreachable(&self, key: ConnectionKey) -> Option<Unreachable> {
        self.0.get(&key)?.unreachable
    }

    /// Forgets what no tenant has any more.
    pub(super) fn retain(&mut self, alive: &HashSet<ConnectionKey>) {
        self.0.retain(|key, _| alive.contains(key));
    }
}
