//! What the dispatcher reports of its calls goes to the audit log and the metrics, and queues the tenants whose status
//! shows how calls fare.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;

use crate::auth0::CallError;
use crate::dispatch::{DeleteFinished, Observer, Owner, Report, RequestFinished};
use crate::telemetry::audit::AuditRecorder;
use crate::tenant::{TenantKey, Tenants, TokenNews};

use super::tenants::TenantQueues;

/// The dispatcher takes an answer into account right after it has reported it. A tenant reconciled earlier would not
/// see the open circuit breaker yet.
const RECONCILE_DELAY: Duration = Duration::from_millis(200);

pub(crate) struct CallObserver {
    pub(crate) audit: AuditRecorder,
    pub(crate) tenants: Arc<Tenants>,
    pub(crate) queues: Arc<TenantQueues>,
}

impl Observer for CallObserver {
    fn request_finished(&self, call: &RequestFinished<'_>) {
        self.audit.request_finished(call);
        let error = call.answer.outcome.as_ref().err();
        if matches!(error, Some(CallError::RateLimited(_))) {
            self.queue_soon(self.tenants.with_domain(call.domain));
        }
        if self.tenants.call_ended(call.connection, error) {
            self.queue_soon(self.tenants.with_connection(call.connection));
        }
    }

    fn delete_finished(&self, deletion: &DeleteFinished<'_>) {
        self.audit.delete_finished(deletion);
    }

    fn owner_gone(&self, owner: &Owner, partial: &Report) {
        self.audit.owner_gone(owner, partial);
    }

    fn guard_refused(&self, owner: &Owner, why: &str) {
        self.audit.guard_refused(owner, why);
    }

    fn task_restarted(&self) {
        self.audit.task_restarted();
    }
}

impl CallObserver {
    /// Passes on how requests for access tokens end, and queues the tenants that they are for. Runs as long as there are
    /// tenants.
    pub(crate) async fn follow_tokens(&self, mut news: UnboundedReceiver<TokenNews>) {
        while let Some(news) = news.recv().await {
            let tenants = self.tenants.with_connection(news.connection);
            self.audit.token_requested(&news, &tenants);
            tenants.iter().for_each(|key| self.queues.add(key));
        }
        std::future::pending().await
    }

    fn queue_soon(&self, tenants: Vec<TenantKey>) {
        if tenants.is_empty() {
            return;
        }
        let queues = self.queues.clone();
        tokio::spawn(async move {
            tokio::time::sleep(RECONCILE_DELAY).await;
            tenants.iter().for_each(|key| queues.add(key));
        });
    }
}
