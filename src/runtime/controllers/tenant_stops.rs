//! Tells the audit log when a tenant is stopped, by `suspend` or a hold, and when it goes on: once for each change, and
//! not again after a restart.

use jiff::Timestamp;

use crate::api::{Auth0TenantStatus, Reason, State};
use crate::sync::lock;
use crate::tenant::TenantKey;

use super::tenants::{TenantController, TenantResource};

impl TenantController {
    pub(super) fn audit_stop<K: TenantResource>(&self, key: &TenantKey, tenant: &K, now: Timestamp) {
        let spec = tenant.tenant_spec();
        let hold = spec.hold.as_ref().and_then(|hold| Some((hold, hold.in_force(now)?)));
        let stop = match (spec.suspend, hold) {
            (true, _) => Some((Reason::Suspended, "spec.suspend is set".to_owned())),
            (false, Some((hold, until))) => Some((Reason::OnHold, format!("until {until}: {}", hold.reason))),
            (false, None) => None,
        };
        let is_stopped = stop.is_some();
        let before = lock(&self.shown).entry(key.clone()).or_default().stopped.replace(is_stopped);
        let shown = || was_stopped(tenant.status().and_then(Auth0TenantStatus::reason_text), is_stopped);
        if before.unwrap_or_else(shown) != is_stopped {
            let stop = stop.as_ref().map(|(reason, why)| (*reason, why.as_str()));
            self.audit.tenant_stop(key, tenant.meta(), stop);
        }
    }
}

/// Whether a tenant was stopped before this process looked at it, by the reason in its status. A reason that speaks of
/// something else, such as a Secret that is missing, leaves that open; then nothing has changed.
fn was_stopped(reason: Option<&str>, is_stopped: bool) -> bool {
    let Some(reason) = reason else { return false };
    match Reason::parse(reason).map(Reason::state) {
        Some(State::Held) => true,
        Some(State::Done) => false,
        Some(State::Waiting | State::Stalled) | None => is_stopped,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_is_known_by_the_status_of_before() {
        for (reason, was) in [("Suspended", true), ("OnHold", true), ("Connected", false), ("Unproved", false)] {
            for is_stopped in [true, false] {
                assert_eq!(was_stopped(Some(reason), is_stopped), was, "{reason}");
            }
        }
        for is_stopped in [true, false] {
            assert_eq!(was_stopped(Some("SecretNotFound"), is_stopped), is_stopped);
            assert_eq!(was_stopped(Some("FromTheFuture"), is_stopped), is_stopped);
            assert!(!was_stopped(None, is_stopped), "a new tenant was not stopped before");
        }
    }
}
