//! What of a tenant matters to the removals that depend on it.

use std::sync::Arc;

use crate::api::{Hold, Mode, Protected, TenantObject};
use crate::clock;
use crate::dispatch::ConnectionKey;
use crate::tenant::{TenantError, Usable};

/// What of a tenant matters to the removals that depend on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Usability {
    Suspended,
    OnHold(Hold),
    NotReady(TenantError),
    Ready(ConnectionKey, Guards, Option<Arc<[String]>>),
}

/// What a tenant that can be used keeps from being removed.
type Guards = (Mode, Protected);

impl Usability {
    /// That of this tenant; none while it is not known whether it can be used.
    pub(super) fn of(tenant: &dyn TenantObject, usable: &Usable) -> Option<Self> {
        let spec = tenant.tenant_spec();
        let hold = spec.hold.as_ref().filter(|hold| hold.in_force(clock::wall()).is_some());
        Some(match usable {
            Usable::NotKnown => return None,
            _ if spec.suspend => Self::Suspended,
            _ if let Some(hold) = hold => Self::OnHold(hold.clone()),
            Usable::No(problem) => Self::NotReady(problem.clone()),
            Usable::Yes(connection, _) => {
                let scopes = connection.credential.token().and_then(|token| token.scopes().cloned());
                Self::Ready(connection.key, (spec.mode, spec.protected.clone()), scopes)
            }
        })
    }

    /// Whether removals have to know. Scopes that become known change nothing for them.
    pub(super) fn differs_from(&self, before: &Self) -> bool {
        match (self, before) {
            (Self::Ready(now, guards, _), Self::Ready(then, before, None)) => (now, guards) != (then, before),
            _ => self != before,
        }
    }
}
