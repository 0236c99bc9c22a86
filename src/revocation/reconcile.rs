//! The one reconcile of all removal kinds. It gathers the inputs, decides, and carries out the decision. It never waits
//! for Auth0: a job is submitted to the dispatcher, which keeps the result and has the object reconciled again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Client, ResourceExt};
use thiserror::Error;
use tokio::sync::OwnedSemaphorePermit;

use crate::api::{Policy, Reason, RemovalStatus};
use crate::auth0::CallError;
use crate::dispatch::{Connection, ConnectionKey, History, Job, KnownFacts, Owner, Removal, Task, View};
use crate::tenant::{Applicant, TenantKey, TenantState};

use super::checks::{first_check, phase};
use super::decide::decide;
use super::decide_finished::acknowledged;
use super::decision::Decision;
use super::inputs::{Inputs, Now, Tenant};
use super::kinds::Revocation;
use super::memory::ObjectMemory;
use super::mutation_cache::{Current, Stored};
use super::needs::can_need_facts;
use super::refusals::{Calls, Refused, is_refusal};
use super::schedule::resync_after;
use super::settled::{pending_request, stands};
use super::shared::{Shared, owner};

mod guards;
mod report;
mod write;

/// The shortest time after which a reconcile asks to be run again. Zero would make it spin.
const MIN_REQUEUE: Duration = Duration::from_millis(100);
/// The longest one. kube's queue of timers panics at times that are more than two years ahead.
const MAX_REQUEUE: Duration = Duration::from_secs(24 * 3600);
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
    let Some(Current { object, ahead }) = context.shared.state.mutations.current(&context.store, &*object) else {
        return Ok(Progress::Done(None));
    };
    let Some(owner) = owner(&*object) else { return Ok(Progress::Done(None)) };
    // Its job is left alone here: the preflight check refuses every further call for it.
    if object.meta().deletion_timestamp.is_some() {
        return Ok(Progress::Done(None));
    }
    let (removal, now) = (object.removal(), Now::read());
    // The status that the API server has, as far as this process knows: its own last write if the cache is behind it.
    let stored = ahead.unwrap_or_else(|| {
        let version = object.resource_version().unwrap_or_default();
        Arc::new(Stored { version, status: object.status().cloned().unwrap_or_default() })
    });
    let this = Reconciliation { object: &*object, owner: &owner, context: &context, removal, now };
    let progress = this.run(&stored, permit).await;
    progress.map(|progress| match progress {
        Progress::Done(after) => Progress::Done(after.map(|after| after.clamp(MIN_REQUEUE, MAX_REQUEUE))),
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
    async fn run(
        &self,
        stored: &Stored<RemovalStatus>,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Result<Progress, Error> {
        let mut memory = self.context.shared.state.memory.get(&self.owner.uid);
        if stands(self.object, &stored.status) {
            memory.status = memory.status.filter(|status| status.is_ready());
        }
        let plan = self.decide(&stored.status, &mut memory);
        self.write(stored, memory, plan, permit).await
    }

    /// When to look again at a finished object of policy Continuous. Decided once, and once more after each edit.
    fn check_at(&self, status: &RemovalStatus, memory: &mut ObjectMemory) -> Option<Instant> {
        let (options, generation) = (self.object.options(), self.owner.generation);
        if options.policy == Policy::Once || (status.finished.is_none() && !status.is_ready()) {
            return None;
        }
        let known = memory.check.filter(|(decided_for, _)| *decided_for == generation);
        let (_, at) = *memory.check.insert(known.unwrap_or_else(|| {
            let is_edited = status.observed_generation != Some(generation);
            let phase = phase(&self.removal.endpoint);
            let first = first_check(status, is_edited, options.check_interval(), phase, self.now);
            (generation, memory.check.map_or(first, |(_, before)| before.min(first)))
        }));
        Some(at)
    }

    /// Decides until nothing is left to decide, and carries out everything but the write. It awaits nothing, so a
    /// report that was taken out of the dispatcher is in `memory` whatever happens next.
    fn decide(&self, stored: &RemovalStatus, memory: &mut ObjectMemory) -> Plan {
        let shared = &self.context.shared;
        let key = TenantKey::of(&self.owner.namespace, &self.object.options().tenant_ref);
        let applicant = Applicant { namespace: &self.owner.namespace, kind: K::KIND, removal: &self.removal };
        let tenant = shared.tenants.state(&key, &applicant);
        let mut plan = Plan { requeue_after: Some(MIN_REQUEUE), is_predicted: false, submitted_at: None, shows: None };
        for _ in 0..MAX_DECISIONS {
            let view = shared.dispatcher.view(&self.owner.uid);
            let known = memory.clone();
            let status = known.status.as_deref().unwrap_or(stored);
            let request = pending_request(self.object, Some(status));
            let own = status.reason_at(self.owner.generation);
            let check_at = self.check_at(status, memory);
            let facts = self.facts(&tenant);
            let unrefused = self.inputs(&known, status, &tenant, &view, request.as_deref());
            let facts = facts.as_deref().unwrap_or(KnownFacts::NONE);
            let unrefused = Inputs { check_at, facts, ..unrefused };
            let calls = self.calls(&unrefused);
            let refusal = self.refusal(&tenant, calls, own);
            let inputs = Inputs { refusal: refusal.as_ref(), ..unrefused };
            match decide(&inputs) {
                Decision::TakeReport => {
                    self.take_report(&inputs, (calls, own), &key, memory);
                    continue;
                }
                Decision::AwaitChange(pause) => plan.requeue_after = pause,
                Decision::Acknowledge => {
                    memory.status = Some(Arc::new(acknowledged(&inputs)));
                    plan.requeue_after = inputs.check_left();
                }
                Decision::Block(blocked) => {
                    // What it has asked for is asked again, if it is too old by the time that the block ends.
                    memory.learning_since = None;
                    if let (Reason::InsufficientScope, TenantState::Ready { connection, .. }) =
                        (blocked.outcome.reason, &tenant)
                    {
                        self.renew_token(connection, calls);
                    }
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
                    if matches!(task, Task::Remove { .. }) {
                        self.inform_guards(&inputs, &key);
                    }
                    match self.submit(&inputs, &tenant, (calls, own), memory, (task, history, hold)) {
                        Err(wait) => plan.requeue_after = Some(wait),
                        // The job is new, but the wait is not. What earlier jobs achieved is not in the status yet and
                        // has to get there in time, however often jobs are handed back (promise 8).
                        Ok(()) if memory.status.is_some() => continue,
                        Ok(()) => plan.requeue_after = Some(resync_after(inputs.jitter)),
                    }
                }
            }
            if let Some(left) = inputs.next_step() {
                plan.requeue_after = Some(plan.requeue_after.map_or(left, |after| after.min(left)));
            }
            break;
        }
        plan
    }

    /// What is known with the connection of this tenant, if the object can need any of it.
    fn facts(&self, tenant: &TenantState) -> Option<Arc<KnownFacts>> {
        let TenantState::Ready { connection, questions, .. } = tenant else { return None };
        let can_need = can_need_facts(&self.removal) || !questions.is_empty();
        if can_need { self.context.shared.dispatcher.facts(connection) } else { None }
    }

    /// Which calls the object makes next, as far as their scopes matter.
    fn calls(&self, inputs: &Inputs<'_>) -> Calls {
        Calls { kind: K::KIND, observe: inputs.is_observed() || inputs.is_check() }
    }

    /// Lets the credential know that its token lacks a scope, which may have been granted since.
    fn renew_token(&self, connection: &Connection, calls: Calls) {
        let Some(token) = connection.credential.token() else { return };
        let row = self.removal.endpoint.row();
        let scope = if calls.observe { row.list.scopes } else { row.removal_scopes }.join(" ");
        connection.credential.call_ended(&token, Some(&CallError::InsufficientScope(scope)));
    }

    fn inputs<'b>(
        &'b self,
        memory: &'b ObjectMemory,
        status: &'b RemovalStatus,
        tenant: &'b TenantState,
        view: &'b View,
        request: Option<&'b str>,
    ) -> Inputs<'b> {
        Inputs {
            generation: self.owner.generation,
            removal: &self.removal,
            options: self.object.options(),
            created: self.object.meta().creation_timestamp.as_ref().map(|at| at.0),
            status: Some(status),
            items: &memory.items,
            tenant: Tenant::from(tenant),
            refusal: None,
            refused_with: memory.refused_with,
            is_probe: memory.is_probe,
            submitted_with: memory.submitted_with,
            submitted_to: memory.submitted_to.as_ref(),
            submitted_for: memory.submitted_for.as_deref(),
            facts: KnownFacts::NONE,
            learning_since: memory.learning_since,
            view,
            request,
            handed_back: memory.handed_back,
            failures: memory.failures,
            not_before: memory.not_before,
            check_at: None,
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
        (calls, own): (Calls, Option<Reason>),
        memory: &mut ObjectMemory,
        (task, history, hold): (Task, History, Option<Duration>),
    ) -> Result<(), Duration> {
        let shared = &self.context.shared;
        let TenantState::Ready { connection, .. } = tenant else { return Err(MIN_REQUEUE) };
        let is_learning = matches!(task, Task::Learn(_));
        // To learn something needs no scope to remove.
        let refused = self.refused(inputs, &task, own).filter(|_| !is_learning);
        memory.is_probe = match refused {
            Some(refused) if self.may_probe(connection.key, calls, &refused) => true,
            Some(_) => return Err(AWAIT_PROBE.mul_f64(1.0 + inputs.jitter)),
            None => false,
        };
        if let Some(hold) = hold {
            shared.dispatcher.hold(connection, hold);
        }
        let job = Job { owner: self.owner.clone(), removal: self.removal.clone(), task, history };
        shared.dispatcher.submit(connection, job);
        memory.learning_since = is_learning.then(|| memory.learning_since.unwrap_or(self.now.steady));
        memory.submitted_with = Some(connection.key);
        memory.submitted_to = Some(connection.domain.clone());
        memory.submitted_for = inputs.request.map(str::to_owned);
        memory.not_before = None;
        memory.waiting_since.get_or_insert(self.now.steady);
        Ok(())
    }

    /// What Auth0 refuses to such calls with the connection of this tenant.
    fn refusal(&self, tenant: &TenantState, calls: Calls, own: Option<Reason>) -> Option<Refused> {
        let TenantState::Ready { connection, .. } = tenant else { return None };
        self.context.shared.state.refusals.in_force(connection.key, calls, own)
    }

    /// What Auth0 refused to this object or to others of its kind, if that concerns `task`. A request by annotation
    /// goes out whatever was refused.
    fn refused(&self, inputs: &Inputs<'_>, task: &Task, own: Option<Reason>) -> Option<Refused> {
        let own = own.filter(|own| is_refusal(*own)).map(|reason| Refused {
            reason,
            message: inputs.status.map_or("", RemovalStatus::message).to_owned(),
            until: self.now.steady,
        });
        let refused = inputs.refusal.cloned().or(own).filter(|_| inputs.request.is_none())?;
        // A read needs no scope to remove.
        (*task != Task::Prove || refused.reason == Reason::Unauthorized).then_some(refused)
    }

    fn may_probe(&self, key: ConnectionKey, calls: Calls, refused: &Refused) -> bool {
        self.context.shared.state.refusals.may_probe(key, calls, refused, self.now.steady)
    }
}
