//! The report of a job: what it means for its object, and what the other objects learn from it.

use std::sync::Arc;

use tracing::warn;

use crate::api::{Reason, RemovalStatus};
use crate::auth0::CallError;
use crate::dispatch::{End, Owner, Report, View};
use crate::revocation::answers::refusal;
use crate::revocation::apply_report::apply_report;
use crate::revocation::checks::{next_check, phase};
use crate::revocation::decide::HANDED_BACK_SHOWN;
use crate::revocation::decision::AppliedReport;
use crate::revocation::inputs::Inputs;
use crate::revocation::kinds::Revocation;
use crate::revocation::memory::ObjectMemory;
use crate::revocation::refusals::{Calls, is_refusal, shows_access};
use crate::tenant::TenantKey;

use super::Reconciliation;

impl<K: Revocation> Reconciliation<'_, K> {
    /// Takes the report of the job out of the dispatcher and adds it to what is known.
    pub(super) fn take_report(
        &self,
        inputs: &Inputs<'_>,
        (calls, own): (Calls, Option<Reason>),
        key: &TenantKey,
        memory: &mut ObjectMemory,
    ) {
        let (View::Ended { generation, .. } | View::Pending { generation, .. }) = inputs.view else { return };
        let Some(report) = self.context.shared.dispatcher.take_back(&self.owner.uid) else { return };
        if report.end == End::Learned {
            return;
        }
        memory.learning_since = None;
        let AppliedReport { status, items, outcome, failures, handed_back, pause, is_checked } =
            apply_report(inputs, *generation, &report);
        if is_checked {
            let interval = inputs.options.check_interval();
            let next = next_check(interval, phase(&self.removal.endpoint), self.now);
            memory.check = Some((self.owner.generation, next));
        }
        memory.status = Some(Arc::new(status));
        (memory.items, memory.is_probe) = (items, false);
        memory.not_before = pause.map(|pause| self.now.steady + pause);
        (memory.failures, memory.handed_back) = (failures.or(memory.failures), handed_back);
        if let Some((refusal, HANDED_BACK_SHOWN)) = handed_back {
            let Owner { kind, namespace, name, .. } = self.owner;
            warn!(kind, %namespace, %name, ?refusal, "the preflight check refuses every call for this object");
        }
        let Some(outcome) = outcome else { return };
        if !outcome.is_failure {
            memory.failures = None;
        }
        if outcome.reason == Reason::Removed {
            let accepted_at = report.accepted_at.or(outcome.known.accepted_at);
            memory.proved_after = accepted_at.and_then(|at| self.now.wall.duration_since(at).try_into().ok());
        }
        memory.refused_with = report.connection.filter(|_| is_refusal(outcome.reason));
        let is_new = report.accepted_at > inputs.status.and_then(RemovalStatus::removed_at);
        self.share_refusal(&report, (calls, own), is_new, key);
    }

    /// Lets the other objects know what Auth0 refused, or that it no longer does. `own` is the reason that this object
    /// carried before; `deleted` says that Auth0 has just accepted a DELETE.
    fn share_refusal(&self, report: &Report, (calls, own): (Calls, Option<Reason>), deleted: bool, key: &TenantKey) {
        let shared = &self.context.shared;
        let (refusals, now) = (&shared.state.refusals, self.now.steady);
        let Some(connection) = report.connection else { return };
        // The verdict may say something else: that of a finished object stands whatever a late read meets.
        let refused = if let End::Failed(error) = &report.end { refusal(error) } else { None };
        let is_news = match (&report.end, refused) {
            (_, Some((reason, message))) => {
                let is_recorded = refusals.record(connection, calls, reason, &message, now);
                let is_rejected = reason == Reason::Unauthorized;
                (is_rejected && shared.tenants.credential_rejected(connection, message)) || is_recorded
            }
            // Auth0 checks credential and scope before it looks at what a call names.
            (End::NotFound(_) | End::Failed(CallError::Rejected(_) | CallError::NotFound(_)), None) => {
                refusals.lift(connection, calls, own)
            }
            _ if deleted || shows_access(report, calls) => refusals.lift(connection, calls, own),
            (End::Learned, None) => false,
            (End::Gone | End::Remaining(_) | End::Unverified(_) | End::HandedBack(_) | End::Failed(_), None) => {
                refusals.end_probe(connection, calls, now);
                false
            }
        };
        if is_news {
            (shared.tenant_changed)(key);
        }
    }
}
