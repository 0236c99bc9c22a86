//! Who hears of calls: the audit, and the tenants whose status tells how calls fare.

use std::sync::Arc;
use std::time::Duration;

use crate::auth0::CallError;
use crate::dispatch::{DeleteFinished, Observer, Owner, Report, RequestFinished};
use crate::runtime::cache::Key;
use crate::telemetry::audit::AuditRecorder;
use crate::tenant::{TenantKey, Tenants};

use super::workqueue::WorkQueue;

/// The dispatcher takes note of a call right after this is told of it.
const SETTLES: Duration = Duration::from_millis(200);

pub(crate) struct Calls {
    pub(crate) audit: AuditRecorder,
    pub(crate) tenants: Arc<Tenants>,
    pub(crate) queue: Arc<WorkQueue>,
}

impl Observer for Calls {
    fn request_finished(&self, call: &RequestFinished<'_>) {
        self.audit.request_finished(call);
        let error = call.answer.outcome.as_ref().err();
        if matches!(error, Some(CallError::RateLimited(_))) {
            self.look(self.tenants.with_domain(call.domain));
        }
        if self.tenants.call_ended(call.connection, error) {
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
        for TenantKey { namespace, name } in tenants {
            self.queue.add_after(Key::new(&namespace, &name), SETTLES);
        }
    }
}
