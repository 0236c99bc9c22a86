//! The one reconcile of all removal kinds: gathers the inputs, decides, acts. It never waits for Auth0.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Client, ResourceExt};
use thiserror::Error;
use tracing::{info, warn};

use crate::api::{ConditionType, Reason, RemovalStatus, State};
use crate::auth0::CallError;
use crate::dispatch::{End, Job, Owner, Refusal, Removal, Report, View};
use crate::tenant::{TenantKey, TenantState, Tenants};

use super::decide::{Absorbed, Decision, absorb, acknowledged, decide};
use super::inputs::{Inputs, Now, Tenant};
use super::kinds::Revocation;
use super::memory::ObjectMemory;
use super::mutation_cache::Stored;
use super::outcome::Outcome;
use super::publish::{Due, due};
use super::refusals::{Refused, is_refusal};
use super::settled::asked;
use super::shared::{Proof, ReasonChange, Shared, owner};
use super::status_writer::{Target, Written, write_status};

/// Shortest pause before coming back: a pause of zero would never end.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
/// Whoever waits for another object to find out what Auth0 refuses looks again after this long, and up to twice as long.
const OTHERS_TRY: Duration = Duration::from_secs(30);
/// After a job was submitted it is looked at again, should its wake-up get lost.
const SUBMITTED: Duration = Duration::from_secs(600);
/// More decisions than this for one look would be a circle.
const MOST_DECISIONS: usize = 6;

/// What every reconcile of one kind needs.
pub struct Context<K: Revocation> {
    /// The cluster.
    pub client: Client,
    /// This kind's cache.
    pub store: Store<K>,
    /// What all kinds share.
    pub shared: Arc<Shared>,
}

/// Why a reconcile did not finish. Nothing was lost: what is known is kept.
#[derive(Debug, Error)]
pub enum Error {
    /// The status could not be written: try again.
    #[error("cannot write the status: {0}")]
    Write(#[source] Box<kube::Error>),
}

/// Brings one object a step further; says after which pause to look again, if nothing wakes it.
pub async fn reconcile<K: Revocation>(object: Arc<K>, context: Arc<Context<K>>) -> Result<Option<Duration>, Error> {
    let Some(owner) = owner(&*object) else { return Ok(None) };
    let shared = &context.shared;
    // The check before each call sees to it that nothing more is sent.
    if object.meta().deletion_timestamp.is_some() {
        return Ok(None);
    }
    let turn = Turn { object: &*object, owner: &owner, context: &context, removal: object.removal(), now: Now::read() };
    let written = turn.run().await;
    // What was deleted meanwhile is not remembered.
    let reference = ObjectRef::new(&owner.name).within(&owner.namespace);
    if context.store.get(&reference).and_then(|object| object.uid()).as_deref() != Some(&*owner.uid) {
        shared.forget(&owner.uid);
    }
    written.map(|pause| pause.map(|pause| pause.max(SHORTEST_PAUSE)))
}

/// One look at one object.
struct Turn<'a, K: Revocation> {
    object: &'a K,
    owner: &'a Owner,
    context: &'a Context<K>,
    removal: Removal,
    now: Now,
}

/// What was decided, as far as it has to do with the status.
struct Decided {
    /// Come back after this.
    pause: Option<Duration>,
    /// It follows from something else than an answer to a call of its own.
    predicted: bool,
    /// Since when its job has been waiting.
    submitted: Option<Instant>,
}

impl<K: Revocation> Turn<'_, K> {
    async fn run(&self) -> Result<Option<Duration>, Error> {
        let state = &self.context.shared.state;
        let stored = self.stored();
        let mut memory = state.memory.get(&self.owner.uid);
        let decided = self.decide(&stored.status, &mut memory);
        self.publish(&stored, memory, decided).await
    }

    /// The status that is stored, also if the cache does not show it yet.
    fn stored(&self) -> Arc<Stored<RemovalStatus>> {
        let ahead = self.context.shared.state.mutations.ahead_of_cache(&self.owner.uid);
        ahead.unwrap_or_else(|| {
            let version = self.object.resource_version().unwrap_or_default();
            Arc::new(Stored { version, status: self.object.status().cloned().unwrap_or_default() })
        })
    }

    /// Decides until there is nothing to decide, and does what was decided but for the write. Waits for nothing, so that
    /// what was taken out of the dispatcher is in the memory whatever happens next.
    fn decide(&self, stored: &RemovalStatus, memory: &mut ObjectMemory) -> Decided {
        let shared = &self.context.shared;
        let key = Tenants::key(&self.owner.namespace, &self.object.options().tenant_ref);
        let tenant = shared.tenants.state(&key);
        let mut decided = Decided { pause: Some(SHORTEST_PAUSE), predicted: false, submitted: None };
        for _ in 0..MOST_DECISIONS {
            let view = shared.dispatcher.view(&self.owner.uid);
            let known = memory.clone();
            let status = known.status.as_ref().unwrap_or(stored);
            let asked = asked(self.object, Some(status));
            let own = status.reason_at(self.owner.generation);
            let refusal = self.refusal(&tenant, own);
            let inputs = self.inputs(&known, status, &tenant, &view, refusal.as_ref(), asked.as_deref());
            let decision = decide(&inputs);
            match decision {
                Decision::TakeReport => {
                    self.take_report(&inputs, own, &key, memory);
                    continue;
                }
                Decision::AwaitChange(pause) => decided.pause = pause,
                Decision::Acknowledge(pause) => {
                    memory.status = Some(acknowledged(&inputs));
                    decided.pause = pause;
                }
                Decision::Block(blocked) => {
                    memory.status = Some(blocked.outcome.status(&inputs, true));
                    (decided.pause, decided.predicted) = (blocked.again, true);
                }
                Decision::UpdateStatus(outcome, pause) => {
                    memory.status = Some(outcome.status(&inputs, false));
                    decided.pause = pause;
                    if let View::Pending { submitted, .. } = &view {
                        decided.submitted = Some(*submitted);
                    }
                }
                Decision::Submit { task, history, hold } => {
                    let TenantState::Ready { connection, .. } = &tenant else { break };
                    if !self.may_submit(&inputs, own) {
                        decided.pause = Some(OTHERS_TRY.mul_f64(1.0 + inputs.jitter));
                        break;
                    }
                    if let Some(hold) = hold {
                        shared.dispatcher.hold(connection, hold);
                    }
                    let job = Job { owner: self.owner.clone(), removal: self.removal.clone(), task, history };
                    shared.dispatcher.submit(connection, job);
                    memory.submitted_with = Some(connection.key);
                    memory.submitted_to = Some(connection.domain.clone());
                    memory.not_before = None;
                    memory.waiting_since.get_or_insert(self.now.steady);
                    decided.pause = Some(SUBMITTED.mul_f64(1.0 + inputs.jitter));
                }
            }
            break;
        }
        decided
    }

    fn inputs<'b>(
        &'b self,
        memory: &'b ObjectMemory,
        status: &'b RemovalStatus,
        tenant: &'b TenantState,
        view: &'b View,
        refusal: Option<&'b Refused>,
        asked: Option<&'b str>,
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
            submitted_with: memory.submitted_with,
            submitted_to: memory.submitted_to.as_ref(),
            view,
            asked,
            unconfirmed: memory.unconfirmed,
            not_before: memory.not_before,
            now: self.now,
            jitter: fastrand::f64(),
        }
    }

    fn refusal(&self, tenant: &TenantState, own: Option<Reason>) -> Option<Refused> {
        let TenantState::Ready { connection, .. } = tenant else { return None };
        self.context.shared.state.refusals.get(connection.key, K::KIND, own)
    }

    /// Whether it is this object's turn to find out whether Auth0 still refuses.
    fn may_submit(&self, inputs: &Inputs<'_>, own: Option<Reason>) -> bool {
        let Tenant::Ready { key, .. } = inputs.tenant else { return false };
        let own = own.filter(|own| is_refusal(*own)).map(|reason| Refused {
            reason,
            message: message(inputs.status).to_owned(),
            until: self.now.steady,
        });
        let Some(refused) = inputs.refusal.cloned().or(own).filter(|_| inputs.asked.is_none()) else { return true };
        self.context.shared.state.refusals.may_try(key, K::KIND, refused, self.now.steady)
    }

    /// Takes what came of the job and makes it part of what is known.
    fn take_report(&self, inputs: &Inputs<'_>, own: Option<Reason>, key: &TenantKey, memory: &mut ObjectMemory) {
        let (View::Ended { generation, .. } | View::Pending { generation, .. }) = inputs.view else { return };
        let Some(report) = self.context.shared.dispatcher.take_back(&self.owner.uid) else { return };
        let Absorbed { status, items, outcome, pause } = absorb(inputs, *generation, &report);
        memory.status = Some(status);
        memory.items = items;
        memory.not_before = pause.map(|pause| self.now.steady + pause);
        memory.unconfirmed = match report.end {
            End::HandedBack(Refusal::Unconfirmed) => memory.unconfirmed.saturating_add(1),
            _ => 0,
        };
        if memory.unconfirmed == 3 {
            let Owner { kind, namespace, name, .. } = self.owner;
            warn!(kind, %namespace, %name, "the API server does not confirm, so nothing is sent; see the debug log for why");
        }
        let Some(outcome) = outcome else { return };
        if outcome.reason == Reason::Removed {
            let accepted_at = report.accepted_at.or(outcome.known.accepted_at);
            memory.proved_after = accepted_at.and_then(|at| self.now.wall.duration_since(at).try_into().ok());
        }
        memory.refused_with = report.connection.filter(|_| is_refusal(outcome.reason));
        let is_new = report.accepted_at > inputs.status.and_then(|s| s.last_removal_time.as_ref()).map(|at| at.0);
        self.learn(&report, &outcome, own, is_new, key);
    }

    /// What Auth0 refused, or not any more, counts for others as well. `deleted` says that a DELETE was accepted now.
    fn learn(&self, report: &Report, outcome: &Outcome, own: Option<Reason>, deleted: bool, key: &TenantKey) {
        let shared = &self.context.shared;
        let Some(connection) = report.connection else { return };
        let Outcome { reason, message, .. } = outcome;
        let refuse = || shared.state.refusals.refuse(connection, K::KIND, *reason, message, self.now.steady);
        let is_news = match &report.end {
            End::Failed(CallError::Unauthorized(_)) => {
                let is_news = shared.tenants.refuse(connection, message.clone());
                refuse() || is_news
            }
            End::Failed(CallError::InsufficientScope(_) | CallError::Denied(_)) => refuse(),
            // Auth0 looks at the credential first. A read alone says nothing of the scope of the removal.
            End::NotFound(_) | End::Failed(CallError::Rejected(_) | CallError::NotFound(_)) => {
                shared.state.refusals.accept(connection, K::KIND, own)
            }
            _ if deleted => shared.state.refusals.accept(connection, K::KIND, own),
            _ => {
                shared.state.refusals.release(connection, K::KIND, self.now.steady);
                false
            }
        };
        if is_news {
            (shared.tenant_changed)(key);
        }
    }

    /// Writes the status if that is worth it now, and says when to come back.
    async fn publish(
        &self,
        stored: &Stored<RemovalStatus>,
        mut memory: ObjectMemory,
        decided: Decided,
    ) -> Result<Option<Duration>, Error> {
        let state = &self.context.shared.state;
        let Some(wanted) = memory.status.clone() else {
            self.keep(memory, &stored.status);
            return Ok(decided.pause);
        };
        let waiting_for = self.waiting_for(&wanted, &mut memory, decided.submitted);
        let due = due(&stored.status, &wanted, waiting_for, decided.predicted, self.now.wall);
        let (writes, sooner) = self.is_granted(due, &mut memory);
        let pause = [decided.pause, sooner].into_iter().flatten().min();
        if writes {
            self.tell(&stored.status, &wanted, &mut memory);
        }
        // What is known stays known if the write fails.
        self.keep(memory, &stored.status);
        if !writes {
            return Ok(pause);
        }
        let written = write_status::<K>(&self.context.client, self.target(), Some(stored), &wanted).await;
        let now = match written.map_err(|error| Error::Write(Box::new(error)))? {
            Written::Written(now) => now,
            Written::Unchanged => Stored { version: stored.version.clone(), status: wanted },
            Written::Gone | Written::Successor => return Ok(None),
            Written::Edited => return Ok(Some(SHORTEST_PAUSE)),
        };
        let mut memory = state.memory.get(&self.owner.uid);
        (memory.status, memory.told, memory.proved_after) = (None, None, None);
        self.keep(memory, &now.status);
        state.mutations.insert(&self.owner.uid, now, self.cached_version().as_deref());
        Ok(pause)
    }

    /// Whether to write now, and if not when to ask again.
    fn is_granted(&self, due: Due, memory: &mut ObjectMemory) -> (bool, Option<Duration>) {
        let state = &self.context.shared.state;
        let slot = memory.slot.take();
        match due {
            Due::Ask(class) => match state.ask(class, slot, self.now.steady) {
                Ok(()) => (true, None),
                Err(slot) => {
                    memory.slot = Some(slot);
                    (false, Some(slot.at.saturating_duration_since(self.now.steady)))
                }
            },
            Due::Nothing | Due::Now | Due::After(_) => {
                state.give_back(slot);
                let sooner = if let Due::After(left) = due { Some(left) } else { None };
                (due == Due::Now, sooner)
            }
        }
    }

    /// How long the object has been waiting, for whatever reason.
    fn waiting_for(&self, wanted: &RemovalStatus, memory: &mut ObjectMemory, submitted: Option<Instant>) -> Duration {
        let reason = wanted.reason_text().and_then(Reason::parse);
        if reason.is_some_and(|reason| reason.state() != State::Waiting) {
            memory.waiting_since = None;
            return Duration::ZERO;
        }
        let begun = *memory.waiting_since.get_or_insert(self.now.steady);
        self.now.since(submitted.map_or(begun, |submitted| submitted.min(begun)))
    }

    /// Keeps what is known beyond the status that is stored, if anything is left to do.
    fn keep(&self, mut memory: ObjectMemory, stored: &RemovalStatus) {
        let state = &self.context.shared.state;
        memory.status = memory.status.filter(|status| status != stored);
        let is_done = stored.condition(ConditionType::Ready).is_some_and(|ready| ready.status == "True");
        if memory.status.is_none() && is_done && memory.submitted_with.is_none_or(|_| self.has_no_job()) {
            state.forget(&self.owner.uid);
        } else {
            state.memory.set(&self.owner.uid, memory);
        }
    }

    fn has_no_job(&self) -> bool {
        matches!(self.context.shared.dispatcher.view(&self.owner.uid), View::Absent)
    }

    fn cached_version(&self) -> Option<String> {
        let reference = ObjectRef::new(&self.owner.name).within(&self.owner.namespace);
        self.context.store.get(&reference).and_then(|object| object.resource_version())
    }

    fn target(&self) -> Target<'_> {
        let Owner { namespace, name, uid, generation, .. } = self.owner;
        Target { namespace: Some(namespace), name, uid, generation: *generation }
    }

    /// Tells of another reason, whether or not it can be written.
    fn tell(&self, stored: &RemovalStatus, wanted: &RemovalStatus, memory: &mut ObjectMemory) {
        let Some(reason) = wanted.reason_text().and_then(Reason::parse) else { return };
        if stored.reason_text() == Some(reason.as_str()) || memory.told == Some(reason) {
            return;
        }
        memory.told = Some(reason);
        let Owner { kind, namespace, name, uid, generation } = self.owner;
        let message = message(Some(wanted));
        let correlation = wanted.correlation_id.as_deref();
        let stalled = reason.state() == State::Stalled;
        info!(kind, %namespace, %name, %uid, generation, correlation, reason = reason.as_str(), stalled, "{message}");
        let is_verdict = |reason: Reason| matches!(reason.state(), State::Done | State::Stalled);
        let before = stored.reason_text().and_then(Reason::parse);
        let created = self.object.meta().creation_timestamp.as_ref();
        let age = created.and_then(|at| self.now.wall.duration_since(at.0).try_into().ok());
        let proof = memory.proved_after.take().filter(|_| reason == Reason::Removed);
        (self.context.shared.tell)(ReasonChange {
            object: self.object.object_ref(&()),
            reason,
            message: message.to_owned(),
            verdict_after: age.filter(|_| is_verdict(reason) && !before.is_some_and(is_verdict)),
            proof: proof.and_then(|since_accepted| Some(Proof { since_created: age?, since_accepted })),
        });
    }
}

fn message(status: Option<&RemovalStatus>) -> &str {
    status.and_then(|status| status.condition(ConditionType::Ready)).map_or("", |ready| ready.message.as_str())
}
