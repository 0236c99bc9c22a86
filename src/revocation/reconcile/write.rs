//! The end of a reconcile: the status is written if that is worth it now, and a new reason is announced.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use tokio::sync::OwnedSemaphorePermit;
use tracing::info;

use crate::api::{Policy, Reason, RemovalStatus, State};
use crate::dispatch::{Owner, View};

use super::{Error, MIN_REQUEUE, Plan, Progress, Reconciliation};
use crate::revocation::due::{Due, due};
use crate::revocation::kinds::Revocation;
use crate::revocation::memory::ObjectMemory;
use crate::revocation::mutation_cache::Stored;
use crate::revocation::settled::stands;
use crate::revocation::shared::{Proof, ReasonChange};
use crate::revocation::status_writer::{StatusTarget, Written, write_status};

impl<K: Revocation> Reconciliation<'_, K> {
    /// Writes the status if that is worth it now and a permit is to be had.
    pub(super) async fn write(
        &self,
        stored: &Stored<RemovalStatus>,
        mut memory: ObjectMemory,
        plan: Plan,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Result<Progress, Error> {
        // A process that was stopped for a while must not write over what another one has learned since.
        if !self.context.shared.dispatcher.is_leader() {
            self.keep(memory, &stored.status);
            return Ok(Progress::Done(Some(MIN_REQUEUE)));
        }
        let Some(wanted) = plan.shows.map(Arc::new).or_else(|| memory.status.clone()) else {
            self.keep(memory, &stored.status);
            return Ok(Progress::Done(plan.requeue_after));
        };
        if self.object.options().is_pruned() && stored.status.is_written() {
            // A write through an older CRD would drop from what is stored all that this CRD does not know: `mode`,
            // `notBefore` and `hold`, and with them what keeps the object from acting once its own CRD is back.
            self.announce(&stored.status, &wanted, &mut memory);
            self.keep(memory, &stored.status);
            return Ok(Progress::Done(plan.requeue_after));
        }
        let waiting_for = self.waiting_for(&wanted, &mut memory, plan.submitted_at);
        let due = due(&stored.status, &wanted, waiting_for, plan.is_predicted, self.now.wall);
        if permit.is_none() && matches!(due, Due::Now | Due::Throttled(_)) {
            if due == Due::Now {
                self.announce(&stored.status, &wanted, &mut memory);
            }
            self.keep(memory, &stored.status);
            return Ok(Progress::AwaitPermit);
        }
        let (writes, write_after) = self.may_write(due, &mut memory);
        let requeue_after = [plan.requeue_after, write_after].into_iter().flatten().min();
        if writes {
            self.announce(&stored.status, &wanted, &mut memory);
        }
        // Kept before the write, which may fail or be cancelled.
        self.keep(memory, &stored.status);
        if !writes {
            return Ok(Progress::Done(requeue_after));
        }
        let stands = |theirs: &RemovalStatus| !wanted.is_ready() && stands(self.object, theirs);
        let (client, target) = (&self.context.client, self.status_target());
        let written = write_status::<K>(client, target, Some(stored), &wanted, stands).await;
        let state = &self.context.shared.state;
        let now = match written.map_err(|error| Error::Write(Box::new(error)))? {
            Written::Written(now) => now,
            Written::Superseded(theirs) => {
                state.mutations.insert(&self.owner.uid, theirs, self.cached_version().as_deref());
                return Ok(Progress::Done(Some(MIN_REQUEUE)));
            }
            Written::Unchanged => Stored { version: stored.version.clone(), status: RemovalStatus::clone(&wanted) },
            Written::Gone | Written::Successor => return Ok(Progress::Done(None)),
            Written::Edited => return Ok(Progress::Done(Some(MIN_REQUEUE))),
        };
        let mut memory = state.memory.get(&self.owner.uid);
        (memory.status, memory.announced, memory.proved_after) = (None, None, None);
        self.keep(memory, &now.status);
        state.mutations.insert(&self.owner.uid, now, self.cached_version().as_deref());
        Ok(Progress::Done(requeue_after))
    }

    /// Whether to write now, and if not, after how long to try again.
    fn may_write(&self, due: Due, memory: &mut ObjectMemory) -> (bool, Option<Duration>) {
        let state = &self.context.shared.state;
        let slot = memory.slot.take();
        match due {
            Due::Throttled(class) => match state.acquire_wait_write(class, slot, self.now.steady) {
                Ok(()) => (true, None),
                Err(slot) => {
                    memory.slot = Some(slot);
                    (false, Some(slot.at.saturating_duration_since(self.now.steady)))
                }
            },
            Due::Nothing | Due::Now | Due::After(_) => {
                state.give_back(slot);
                let later = if let Due::After(left) = due { Some(left) } else { None };
                (due == Due::Now, later)
            }
        }
    }

    /// How long the object has been waiting without a break, for whatever reasons. Zero if `wanted` is no wait.
    fn waiting_for(&self, wanted: &RemovalStatus, memory: &mut ObjectMemory, submitted: Option<Instant>) -> Duration {
        let reason = wanted.reason_text().and_then(Reason::parse);
        if reason.is_some_and(|reason| reason.state() != State::Waiting) {
            memory.waiting_since = None;
            return Duration::ZERO;
        }
        let begun = *memory.waiting_since.get_or_insert(self.now.steady);
        self.now.since(submitted.map_or(begun, |submitted| submitted.min(begun)))
    }

    /// Keeps what is known beyond the status that is stored. If that status is final, the object waits for nothing and
    /// no job is left, nothing is kept but when an object of policy Continuous is looked at again. A final status may be
    /// about another target; then the object waits like a new one.
    fn keep(&self, mut memory: ObjectMemory, stored: &RemovalStatus) {
        let state = &self.context.shared.state;
        memory.status = memory.status.filter(|status| **status != *stored);
        let waits = memory.waiting_since.is_some() || memory.slot.is_some();
        let is_over = stored.is_ready() && !waits && self.object.options().policy == Policy::Once;
        if memory.status.is_none() && is_over && memory.submitted_with.is_none_or(|_| self.has_no_job()) {
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

    fn status_target(&self) -> StatusTarget<'_> {
        let Owner { namespace, name, uid, generation, .. } = self.owner;
        StatusTarget { namespace: Some(namespace), name, uid, generation: *generation }
    }

    /// Logs and announces a new reason, once, even if the write of it fails.
    fn announce(&self, stored: &RemovalStatus, wanted: &RemovalStatus, memory: &mut ObjectMemory) {
        let Some(reason) = wanted.reason_text().and_then(Reason::parse) else { return };
        if stored.reason_text() == Some(reason.as_str()) || memory.announced == Some(reason) {
            return;
        }
        memory.announced = Some(reason);
        let Owner { kind, namespace, name, uid, generation } = self.owner;
        let message = wanted.message();
        let correlation = wanted.correlation_id.as_deref();
        let (stalled, reason_text) = (reason.state() == State::Stalled, reason.as_str());
        info!(kind, %namespace, %name, %uid, generation, correlation, reason = reason_text, stalled, "{message}");
        if matches!(reason, Reason::Protected | Reason::BrakeEngaged) {
            self.context.shared.observer.guard_refused(self.owner, message);
        }
        let is_verdict = |reason: Reason| matches!(reason.state(), State::Done | State::Stalled);
        let before = stored.reason_text().and_then(Reason::parse);
        let created = self.object.meta().creation_timestamp.as_ref();
        let age = created.and_then(|at| self.now.wall.duration_since(at.0).try_into().ok());
        let proof = memory.proved_after.take().filter(|_| reason == Reason::Removed);
        (self.context.shared.announce)(ReasonChange {
            object: self.object.object_ref(&()),
            reason,
            message: message.to_owned(),
            verdict_after: age.filter(|_| is_verdict(reason) && !before.is_some_and(is_verdict)),
            proof: proof.and_then(|since_accepted| Some(Proof { since_created: age?, since_accepted })),
        });
    }
}
