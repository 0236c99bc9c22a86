//! When the credentials of an application are tried out, by asking for a token, although no removal needs one yet.

use crate::api::{ConditionType, CredentialKind, TenantObject, reconcile_request};
use crate::clock;
use crate::sync::lock;
use crate::tenant::{TenantKey, Usable};

use super::tenants::TenantController;

impl TenantController {
    /// Whether the tenant waits for a token that shows whether its credentials are good. They are tried out if they are
    /// new, and when somebody asks for it, but not after every restart.
    pub(super) fn proves_credential(&self, key: &TenantKey, tenant: &dyn TenantObject, usable: &Usable) -> bool {
        let is_stopped = tenant.tenant_spec().stopped_until(clock::wall()).is_some();
        if is_stopped || tenant.tenant_spec().credentials.kind() == CredentialKind::Token {
            return false;
        }
        let (status, metadata) = (tenant.tenant_status(), tenant.metadata());
        let asked = reconcile_request(metadata);
        let is_new_request = asked.is_some() && status.and_then(|s| s.last_handled_reconcile_at.clone()) != asked;
        let mut shown = lock(&self.shown);
        let shown = shown.entry(key.clone()).or_default();
        if is_new_request && shown.refreshed_for != asked {
            shown.refreshed_for = asked;
            self.tenants.refresh_token(key);
        }
        let Usable::Yes(connection, _) = usable else { return false };
        let is_rotated = shown.pace.connection().is_some_and(|before| *before != Ok(connection.key));
        let was_ready = status.is_some_and(|status| {
            let ready = status.condition(ConditionType::Ready);
            status.observed_generation == metadata.generation && ready.is_some_and(|ready| ready.status == "True")
        });
        if !(is_rotated || !was_ready || is_new_request) || !self.tenants.awaits_token(key) {
            return false;
        }
        self.tenants.want_token(key);
        true
    }
}
