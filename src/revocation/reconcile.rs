//! The one reconcile of all removal kinds. It gathers the inputs, decides, and carries out the decision. It never waits
//! for Auth0: a job is submitted to the dispatcher, which keeps the result and has the object reconciled again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Client, ResourceExt};
use thiserror::Error;
use tokio::sync::OwnedSemaphorePermit;
use tracing::warn;

use crate::api::{Mode, Reason, RemovalStatus};
use crate::auth0::CallError;
use crate::dispatch::{ConnectionKey, End, History, Job, Owner, Removal, Report, Task, View};
use crate::tenant::{TenantKey, TenantState};

use super::decide::{AppliedReport, Decision, HANDED_BACK_SHOWN, acknowledged, apply_report, decide};
use super::finished::{is_finished, target};
use super::inputs::{Inputs, Now, Tenant};
use super::kinds::Revocation;
use super::memory::ObjectMemory;
use super::mutation_cache::Stored;
use super::outcome::Outcome;
use super::refusals::{Refused, is_refusal};
use super::schedule::resync_after;
use super::settled::pending_request;
use super::shared::{Shared, owner};

mod write;

/// The shortest time after which a reconcile asks to be run again. Zero would make it spin.
const MIN_REQUEUE: Duration = Duration::from_millis(100);
/// While another object finds out whether Auth0 still refuses, the others come back after this long, and up to twice as
/// long.
const AWAIT_PROBE: Duration = Duration::from_secs(30);
/// One reconcile never needs more decisions than this; the bound keeps a defect in them from becoming an endless loop.
const MAX_DECISIONS: usize = 6;

/// What every reconcile of one kind needs.
pub struct Context<K: Revocation> {
    /// The client for the API server.
    pub client: Client,
    /// The cache of this kind.
    pub store: Store<K>,
    /// What the reconciles of all kinds share.
    pub shared: Arc<Shared>,
}

impl<K: Revocation> Context<K> {
    /// Forgets the object if it is not in the cache any more, and says so. To be called after each reconcile, however
    /// it ended: an object may leave the cache meanwhile, because it is deleted or because the watch delivers its final
    /// status before the write is answered, and what was kept since then would never be forgotten (promise 14).
    pub fn forget_if_gone(&self, object: &K) -> bool {
        let cached = self.store.get(&ObjectRef::from_obj(object));
        let is_gone = cached.is_none_or(|cached| cached.meta().uid != object.meta().uid);
        if is_gone {
            self.shared.forget(object.meta().uid.as_deref().unwrap_or_default());
        }
        is_gone
    }
}

/// How far a reconcile came.
#[derive(Debug)]
pub enum Progress {
    /// It is done. It is to be repeated after this time if nothing wakes the object earlier; none: never.
    Done(Option<Duration>),
    /// Its status is to be written, but there was no permit. It is to be repeated with one.
    AwaitPermit,
}

/// Why a reconcile failed. Nothing is lost by it: what is known of the object is kept in memory.
#[derive(Debug, Error)]
pub enum Error {
    /// The API server did not take the status. The caller retries.
    #[error("cannot write the status: {0}")]
    Write(#[source] Box<kube::Error>),
}

/// Reconciles one object. Everything but the write of the status is done without waiting; the write needs `permit`,
/// which limits how many are in flight.
pub async fn reconcile<K: Revocation>(
    object: Arc<K>,
    context: Arc<Context<K>>,
    permit: Option<OwnedSemaphorePermit>,
) -> Result<Progress, Error> {
    let Some(owner) = owner(&*object) else { return Ok(Progress::Done(None)) };
    // Its job is left alone here: the preflight check refuses every further call for it.
    if object.meta().deletion_timestamp.is_some() {
        return Ok(Progress::Done(None));
    }
    let (removal, now) = (object.removal(), Now::read());
    let progress =
        Reconciliation { object: &*object, owner: &owner, context: &context, removal, now }.run(permit).await;
    progress.map(|progress| match progress {
        Progress::Done(after) => Progress::Done(after.map(|after| after.max(MIN_REQUEUE))),
        Progress::AwaitPermit => progress,
    })
}

/// One reconcile of one object, at one moment.
struct Reconciliation<'a, K: Revocation> {
    object: &'a K,
    owner: &'a Owner,
    context: &'a Context<K>,
    removal: Removal,
    now: Now,
}

/// What is left to do after the decision: the status, and when to come back.
struct Plan {
    /// Reconcile again after this.
    requeue_after: Option<Duration>,
    /// The status follows from the object's surroundings and not from an answer to a call of its own.
    is_predicted: bool,
    /// When the job that the object waits for was submitted.
    submitted_at: Option<Instant>,
    /// The status to show for now. None: the one in memory, if there is one. This one is not kept in memory, because
    /// what is known of the object does not depend on it.
    shows: Option<RemovalStatus>,
}

impl<K: Revocation> Reconciliation<'_, K> {
    async fn run(&self, permit: Option<OwnedSemaphorePermit>) -> Result<Progress, Error> {
        let stored = self.stored();
        let mut memory = self.context.shared.state.memory.get(&self.owner.uid);
        if self.stands(&stored.status) {
            memory.status = memory.status.filter(RemovalStatus::is_ready);
        }
        let plan = self.decide(&stored.status, &mut memory);
        self.write(&stored, memory, plan, permit).await
    }

    /// Whether this status is a verdict that nothing may take back, whichever process wrote it (promise 12). A process
    /// that does not know yet that another one leads knows less than that one.
    fn stands(&self, stored: &RemovalStatus) -> bool {
        let target = || target(&self.object.options().tenant_ref, &self.removal);
        is_finished(stored, self.owner.generation, Mode::Remove, target)
            && (stored.reason_text() != Some(Reason::RemovedUnverified.as_str())
                || pending_request(self.object, Some(stored)).is_none())
    }

    /// The status that the API server has, as far as this process knows: its own last write if the cache is behind it.
    fn stored(&self) -> Arc<Stored<RemovalStatus>> {
        let ahead = self.context.shared.state.mutations.ahead_of_cache(&self.owner.uid);
        ahead.unwrap_or_else(|| {
            let version = self.object.resource_version().unwrap_or_default();
            Arc::new(Stored { version, status: self.object.status().cloned().unwrap_or_default() })
        })
    }

    /// Decides until nothing is left to decide, and carries out everything but the write. It awaits nothing, so a
    /// report that was taken out of the dispatcher is in `memory` whatever happens next.
    fn decide(&self, stored: &RemovalStatus, memory: &mut ObjectMemory) -> Plan {
        let shared = &self.context.shared;
        let key = TenantKey::of(&self.owner.namespace, &self.object.options().tenant_ref);
        let tenant = shared.tenants.state(&key);
        let mut plan = Plan { requeue_after: Some(MIN_REQUEUE), is_predicted: false, submitted_at: None, shows: None };
        for _ in 0..MAX_DECISIONS {
            let view = shared.dispatcher.view(&self.owner.uid);
            let known = memory.clone();
            let status = known.status.as_ref().unwrap_or(stored);
            let request = pending_request(self.object, Some(status));
            let own = status.reason_at(self.owner.generation);
            let refusal = self.refusal(&tenant, own);
            let inputs = self.inputs(&known, status, &tenant, &view, refusal.as_ref(), request.as_deref());
            match decide(&inputs) {
                Decision::TakeReport => {
                    self.take_report(&inputs, own, &key, memory);
                    continue;
                }
                Decision::AwaitChange(pause) => plan.requeue_after = pause,
                Decision::Acknowledge => {
                    memory.status = Some(acknowledged(&inputs));
                    plan.requeue_after = None;
                }
                Decision::Block(blocked) => {
                    plan.shows = Some(blocked.outcome.status(&inputs, true));
                    (plan.requeue_after, plan.is_predicted) = (blocked.recheck_after, true);
                }
                Decision::UpdateStatus(outcome, pause) => {
                    plan.shows = Some(outcome.status(&inputs, false));
                    plan.requeue_after = pause;
                    if let View::Pending { submitted, .. } = &view {
                        plan.submitted_at = Some(*submitted);
                    }
                }
                Decision::Submit { task, history, hold } => {
                    match self.submit(&inputs, &tenant, own, memory, (task, history, hold)) {
                        Err(wait) => plan.requeue_after = Some(wait),
                        // The job is new, but the wait is not. What earlier jobs achieved is not in the status yet and
                        // has to get there in time, however often jobs are handed back (promise 8).
                        Ok(()) if memory.status.is_some() => continue,
                        Ok(()) => plan.requeue_after = Some(resync_after(inputs.jitter)),
                    }
                }
            }
            break;
        }
        plan
    }

    fn inputs<'b>(
        &'b self,
        memory: &'b ObjectMemory,
        status: &'b RemovalStatus,
        tenant: &'b TenantState,
        view: &'b View,
        refusal: Option<&'b Refused>,
        request: Option<&'b str>,
    ) -> Inputs<'b> {
        Inputs {
            generation: self.owner.generation,
            removal: &self.removal,
            options: self.object.options(),
            status: Some(status),
            items: &memory.items,
            tenant: Tenant::from(tenant),
            refusal,
            refused_with: memory.refused_with,
            is_probe: memory.is_probe,
            submitted_with: memory.submitted_with,
            submitted_to: memory.submitted_to.as_ref(),
            submitted_for: memory.submitted_for.as_deref(),
            view,
            request,
            handed_back: memory.handed_back,
            failures: memory.failures,
            not_before: memory.not_before,
            now: self.now,
            jitter: fastrand::f64(),
        }
    }

    /// Submits a job, unless Auth0 refuses such calls and another object is finding out whether it still does; then
    /// returns after how long to decide again.
    fn submit(
        &self,
        inputs: &Inputs<'_>,
        tenant: &TenantState,
        own: Option<Reason>,
        memory: &mut ObjectMemory,
        (task, history, hold): (Task, History, Option<Duration>),
    ) -> Result<(), Duration> {
        let shared = &self.context.shared;
        let TenantState::Ready { connection, .. } = tenant else { return Err(MIN_REQUEUE) };
        memory.is_probe = match self.refused(inputs, task, own) {
            Some(refused) if self.may_probe(connection.key, &refused) => true,
            Some(_) => return Err(AWAIT_PROBE.mul_f64(1.0 + inputs.jitter)),
            None => false,
        };
        if let Some(hold) = hold {
            shared.dispatcher.hold(connection, hold);
        }
        let job = Job { owner: self.owner.clone(), removal: self.removal.clone(), task, history };
        shared.dispatcher.submit(connection, job);
        memory.submitted_with = Some(connection.key);
        memory.submitted_to = Some(connection.domain.clone());
        memory.submitted_for = inputs.request.map(str::to_owned);
        memory.not_before = None;
        memory.waiting_since.get_or_insert(self.now.steady);
        Ok(())
    }

    /// What Auth0 refuses to objects of this kind with the connection of this tenant.
    fn refusal(&self, tenant: &TenantState, own: Option<Reason>) -> Option<Refused> {
        let TenantState::Ready { connection, .. } = tenant else { return None };
        self.context.shared.state.refusals.in_force(connection.key, K::KIND, own)
    }

    /// What Auth0 refused to this object or to others of its kind, if that concerns `task`. A request by annotation
    /// goes out whatever was refused.
    fn refused(&self, inputs: &Inputs<'_>, task: Task, own: Option<Reason>) -> Option<Refused> {
        let own = own.filter(|own| is_refusal(*own)).map(|reason| Refused {
            reason,
            message: inputs.status.map_or("", RemovalStatus::message).to_owned(),
            until: self.now.steady,
        });
        let refused = inputs.refusal.cloned().or(own).filter(|_| inputs.request.is_none())?;
        // A read needs no scope to remove.
        (task != Task::Prove || refused.reason == Reason::Unauthorized).then_some(refused)
    }

    fn may_probe(&self, key: ConnectionKey, refused: &Refused) -> bool {
        self.context.shared.state.refusals.may_probe(key, K::KIND, refused, self.now.steady)
    }

    /// Takes the report of the job out of the dispatcher and adds it to what is known.
    fn take_report(&self, inputs: &Inputs<'_>, own: Option<Reason>, key: &TenantKey, memory: &mut ObjectMemory) {
        let (View::Ended { generation, .. } | View::Pending { generation, .. }) = inputs.view else { return };
        let Some(report) = self.context.shared.dispatcher.take_back(&self.owner.uid) else { return };
        let AppliedReport { status, items, outcome, failures, handed_back, pause } =
            apply_report(inputs, *generation, &report);
        memory.status = Some(status);
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
        self.share_refusal(&report, &outcome, own, is_new, key);
    }

    /// Lets the other objects know what Auth0 refused, or that it no longer does. `own` is the reason that this object
    /// carried before; `deleted` says that Auth0 has just accepted a DELETE.
    fn share_refusal(&self, report: &Report, outcome: &Outcome, own: Option<Reason>, deleted: bool, key: &TenantKey) {
        let shared = &self.context.shared;
        let (refusals, now) = (&shared.state.refusals, self.now.steady);
        let Some(connection) = report.connection else { return };
        let Outcome { reason, message, .. } = outcome;
        let record = || refusals.record(connection, K::KIND, *reason, message, now);
        let is_news = match &report.end {
            End::Failed(CallError::Unauthorized(_)) => {
                let is_news = shared.tenants.credential_rejected(connection, message.clone());
                record() || is_news
            }
            End::Failed(CallError::InsufficientScope(_) | CallError::Denied(_)) => record(),
            // Auth0 checks credential and scope before it looks at what a call names.
            End::NotFound(_) | End::Failed(CallError::Rejected(_) | CallError::NotFound(_)) => {
                refusals.lift(connection, K::KIND, own)
            }
            // A successful read would say nothing of the scope to remove.
            _ if deleted => refusals.lift(connection, K::KIND, own),
            End::Gone | End::Remaining(_) | End::Unverified(_) | End::HandedBack(_) | End::Failed(_) => {
                refusals.end_probe(connection, K::KIND, now);
                false
            }
        };
        if is_news {
            (shared.tenant_changed)(key);
        }
    }
}
