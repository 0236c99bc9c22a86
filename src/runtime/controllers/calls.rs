//! Who hears of calls: the audit, and the tenants whose status tells how calls fare.

use std::sync::Arc;
use std::time::Duration;

use crate::auth0::CallError;
use crate::dispatch::{DeleteFinished, Observer, Owner, Report, RequestFinished};
use crate::telemetry::audit::AuditRecorder;
use crate::tenant::{TenantKey, Tenants};

use super::tenants::TenantRequests;

/// The dispatcher takes note of a call right after this is told of it.
const SETTLES: Duration = Duration::from_millis(200);

pub(crate) struct Calls {
    pub(crate) audit: AuditRecorder,
    pub(crate) tenants: Arc<Tenants>,
    pub(crate) requests: Arc<TenantRequests>,
}

impl Observer for Calls {
    fn request_finished(&self, call: &RequestFinished<'_>) {
        self.audit.request_finished(call);
        let error = call.answer.outcome.as_ref().err();
        if matches!(error, Some(CallError::RateLimited(_))) {
            self.look(self.tenants.with_domain(call.domain));
        }
        if self.tenants.hear(call.connection, error) {
            self.look(self.tenants.with_connection(call.connection));
        }
    }

    fn delete_finished(&self, deletion: &DeleteFinished<'_>) {
        self.audit.delete_finished(deletion);
    }

    fn owner_gone(&self, owner: &Owner, partial: &Report) {
        self.audit.owner_gone(owner, partial);
    }

    fn task_restarted(&self) {
        self.audit.task_restarted();
    }
}

impl Calls {
    fn look(&self, tenants: Vec<TenantKey>) {
        if tenants.is_empty() {
            return;
        }
        let requests = self.requests.clone();
        tokio::spawn(async move {
            tokio::time::sleep(SETTLES).await;
            tenants.iter().for_each(|key| requests.add(key));
        });
    }
}
