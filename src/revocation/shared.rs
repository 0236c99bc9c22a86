//! What the reconciles of all kinds share.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::ObjectReference;

use crate::api::{Reason, RemovalStatus};
use crate::clock;
use crate::dispatch::{ConnectionKey, Dispatcher, Observer, Owner};
use crate::tenant::{TenantKey, Tenants};

use super::history::unproved;
use super::kinds::Revocation;
use super::memory::{Memory, ObjectMemory};
use super::mutation_cache::MutationCache;
use super::refusals::Refusals;
use super::wait_writes::{Slot, WaitClass, WaitWrites};

/// What the reconciles of one scope share.
pub struct Shared {
    /// The way to Auth0.
    pub dispatcher: Arc<Dispatcher>,
    /// The tenants.
    pub tenants: Arc<Tenants>,
    /// What is known beyond the caches, of all scopes.
    pub state: Arc<ReconcileState>,
    /// Hears when an object is deleted between an accepted DELETE and its proof.
    pub observer: Arc<dyn Observer>,
    /// Where changes of reasons are told. Must not wait.
    pub tell: Box<dyn Fn(ReasonChange) + Send + Sync>,
    /// Called when what is known of a tenant's credential has changed: look at it, and wake its objects. Must not wait.
    pub tenant_changed: Box<dyn Fn(&TenantKey) + Send + Sync>,
}

/// What is known beyond the caches; everything in it is bounded by the objects and connections there are.
#[derive(Default)]
pub struct ReconcileState {
    pub(super) mutations: MutationCache<RemovalStatus>,
    pub(super) memory: Memory,
    pub(super) refusals: Refusals,
    wait_writes: Mutex<WaitWrites>,
}

/// An object came to another reason.
#[derive(Clone, Debug)]
pub struct ReasonChange {
    /// Which object.
    pub object: ObjectReference,
    /// The new reason.
    pub reason: Reason,
    /// In words.
    pub message: String,
    /// If it is its first verdict: how long after it was created.
    pub verdict_after: Option<Duration>,
    /// If a read has now proved a removal.
    pub proof: Option<Proof>,
}

/// How long a proof took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Since the object was created.
    pub since_created: Duration,
    /// Since Auth0 accepted the removal.
    pub since_accepted: Duration,
}

impl ReconcileState {
    /// The cache holds this version of an object now.
    pub fn seen(&self, uid: &str, version: Option<&str>) {
        self.mutations.seen(uid, version);
    }

    /// Forgets connections that no tenant has any more.
    pub fn retain(&self, alive: &HashSet<ConnectionKey>) {
        self.refusals.retain(alive);
    }

    /// How many verdicts are not written yet.
    pub fn unwritten(&self) -> usize {
        self.memory.unwritten()
    }

    pub(super) fn ask(&self, class: WaitClass, held: Option<Slot>, now: Instant) -> Result<(), Slot> {
        let mut budget = self.wait_writes();
        let held = match held {
            Some(other) if other.class != class => {
                budget.give_back(other);
                None
            }
            held => held,
        };
        budget.ask(class, held, now)
    }

    pub(super) fn give_back(&self, held: Option<Slot>) {
        if let Some(held) = held {
            self.wait_writes().give_back(held);
        }
    }

    fn wait_writes(&self) -> MutexGuard<'_, WaitWrites> {
        self.wait_writes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing is left to do for the object, or it is gone.
    pub(super) fn forget(&self, uid: &str) -> ObjectMemory {
        let memory = self.memory.forget(uid).unwrap_or_default();
        self.give_back(memory.slot);
        memory
    }
}

impl Shared {
    /// Forgets an object for which nothing is left to do, or that is not in the cache any more.
    pub fn forget(&self, uid: &str) {
        self.state.forget(uid);
        self.state.mutations.forget(uid);
        self.dispatcher.forget(uid);
    }

    /// The object was deleted: nothing more is sent for it, and nothing of it is kept. If Auth0 accepted its removal and
    /// no read has proved it, that is told.
    pub fn deleted<K: Revocation>(&self, object: &K) {
        let Some(owner) = owner(object) else { return };
        let memory = self.state.forget(&owner.uid);
        let ahead = self.state.mutations.ahead_of_cache(&owner.uid);
        self.state.mutations.forget(&owner.uid);
        let report = self.dispatcher.take_back(&owner.uid);
        let status = memory.status.as_ref().or(ahead.as_ref().map(|stored| &stored.status)).or(object.status());
        if let Some(partial) = unproved(status, &memory.items, &object.removal(), report, clock::wall()) {
            self.observer.owner_gone(&owner, &partial);
        }
    }
}

/// Whose job it is.
pub(super) fn owner<K: Revocation>(object: &K) -> Option<Owner> {
    let meta = object.meta();
    Some(Owner {
        kind: K::KIND,
        namespace: meta.namespace.as_deref()?.into(),
        name: meta.name.as_deref()?.into(),
        uid: meta.uid.as_deref()?.into(),
        generation: meta.generation?,
    })
}
