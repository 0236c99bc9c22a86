//! How calls with each connection fare, as far as the status of the tenant object shows it.

use std::collections::{HashMap, HashSet};

use crate::auth0::CallError;
use crate::dispatch::ConnectionKey;

/// Why the last call could not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreachable {
    /// The cause, for users.
    pub why: &'static str,
    /// Whether the cause is the certificate of the domain. Somebody has to mend that; other causes may pass by
    /// themselves.
    pub certificate: bool,
}

/// What is known of each connection with which a call was attempted.
#[derive(Debug, Default)]
pub(super) struct Health(HashMap<ConnectionKey, Known>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Known {
    /// At least one call succeeded.
    has_succeeded: bool,
    unreachable: Option<Unreachable>,
}

impl Health {
    /// Records how a call ended; no error: it succeeded. Returns whether the status of its tenants may change.
    pub(super) fn record(&mut self, key: ConnectionKey, error: Option<&CallError>) -> bool {
        let known = self.0.entry(key).or_default();
        let before = *known;
        match error {
            Some(CallError::NotSent(why)) => {
                known.unreachable = Some(Unreachable { why, certificate: why.contains("certificate") });
            }
            // No answer of Auth0's own, so nothing is known of the connection.
            Some(CallError::Unavailable(_) | CallError::NotProcessed | CallError::TokenReplaced) => {}
            Some(
                CallError::Rejected(_)
                | CallError::Unauthorized(_)
                | CallError::Denied(_)
                | CallError::InsufficientScope(_)
                | CallError::RateLimited(_)
                | CallError::NotFound(_),
            ) => known.unreachable = None,
            None => *known = Known { has_succeeded: true, unreachable: None },
        }
        *known != before
    }

    /// Whether a call with this connection succeeded since the operator started.
    pub(super) fn has_succeeded(&self, key: ConnectionKey) -> bool {
        self.0.get(&key).is_some_and(|known| known.has_succeeded)
    }

    /// Why the last call could not be sent, if it could not.
    pub(super) fn unreachable(&self, key: ConnectionKey) -> Option<Unreachable> {
        self.0.get(&key)?.unreachable
    }

    /// Forgets the connections that no tenant has any more.
    pub(super) fn retain(&mut self, alive: &HashSet<ConnectionKey>) {
        self.0.retain(|key, _| alive.contains(key));
    }
}
