//! What the reconciles of all kinds share.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::ObjectReference;

use crate::api::{Reason, RemovalStatus};
use crate::clock;
use crate::dispatch::{ConnectionKey, Dispatcher, Observer, Owner};
use crate::sync::lock;
use crate::tenant::{TenantKey, Tenants};

use super::kinds::Revocation;
use super::memory::{Memory, ObjectMemory};
use super::mutation_cache::MutationCache;
use super::refusals::Refusals;
use super::unproved::unproved_report;
use super::wait_writes::{Slot, WaitClass, WaitWrites};

/// What the reconciles of one scope (a watched namespace, or all) share.
pub struct Shared {
    /// Takes the jobs, makes the calls and keeps the reports.
    pub dispatcher: Arc<Dispatcher>,
    /// The tenant objects and their Secrets.
    pub tenants: Arc<Tenants>,
    /// What is known beyond the caches; one for all scopes.
    pub state: Arc<ReconcileState>,
    /// Is notified when an object is deleted between an accepted DELETE and its proof.
    pub observer: Arc<dyn Observer>,
    /// Called when an object comes to another reason. Must not block.
    pub announce: Box<dyn Fn(ReasonChange) + Send + Sync>,
    /// Called when Auth0 rejected the credential of a tenant, refused a scope to it, or accepts it again: its status
    /// and its objects need a reconcile. Must not block.
    pub tenant_changed: Box<dyn Fn(&TenantKey) + Send + Sync>,
}

/// What is known beyond the caches. Its size is bounded by the objects and connections that exist.
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
    /// The object.
    pub object: ObjectReference,
    /// The new reason.
    pub reason: Reason,
    /// The message of the condition `Ready`.
    pub message: String,
    /// How long after its creation the object came to a verdict, if this is its first one.
    pub verdict_after: Option<Duration>,
    /// How long the proof took, if a read has now proved a removal.
    pub proof: Option<Proof>,
}

/// How long a proof took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// From the creation of the object.
    pub since_created: Duration,
    /// From the time when Auth0 accepted the removal.
    pub since_accepted: Duration,
}

impl ReconcileState {
    /// The cache holds this version of an object now.
    pub fn seen(&self, uid: &str, version: Option<&str>) {
        self.mutations.seen(uid, version);
    }

    /// Forgets the connections that no tenant has any more.
    pub fn retain(&self, alive: &HashSet<ConnectionKey>) {
        self.refusals.retain(alive);
    }

    /// How many announced reasons are not written yet. Shutdown waits for them.
    pub fn unwritten(&self) -> usize {
        self.memory.unwritten()
    }

    /// Whether anything is known of this object beyond the caches.
    pub fn remembers(&self, uid: &str) -> bool {
        self.memory.remembers(uid) || self.mutations.ahead_of_cache(uid).is_some()
    }

    /// Whether a status that only says what an object waits for may be written now; if not, the slot at which to try
    /// again. A slot of another class is given back first.
    pub(super) fn acquire_wait_write(&self, class: WaitClass, held: Option<Slot>, now: Instant) -> Result<(), Slot> {
        let mut limiter = lock(&self.wait_writes);
        let held = match held {
            Some(other) if other.class != class => {
                limiter.give_back(other);
                None
            }
            held => held,
        };
        limiter.acquire(class, held, now)
    }

    pub(super) fn give_back(&self, held: Option<Slot>) {
        if let Some(held) = held {
            lock(&self.wait_writes).give_back(held);
        }
    }

    /// Forgets an object that is finished or gone. Returns what was known of it.
    pub(super) fn forget(&self, uid: &str) -> ObjectMemory {
        let memory = self.memory.forget(uid).unwrap_or_default();
        self.give_back(memory.slot);
        memory
    }
}

impl Shared {
    /// Forgets an object that is finished, or that is not in the cache any more; its job is dropped.
    pub fn forget(&self, uid: &str) {
        self.state.forget(uid);
        self.state.mutations.forget(uid);
        self.dispatcher.forget(uid);
    }

    /// Forgets an object that was deleted; nothing more is sent for it. If Auth0 accepted its removal but no read has
    /// proved it, the observer is notified.
    pub fn deleted<K: Revocation>(&self, object: &K) {
        let Some(owner) = owner(object) else { return };
        let memory = self.state.forget(&owner.uid);
        let ahead = self.state.mutations.ahead_of_cache(&owner.uid);
        self.state.mutations.forget(&owner.uid);
        let report = self.dispatcher.take_back(&owner.uid);
        let status = memory.status.as_deref().or(ahead.as_ref().map(|stored| &stored.status)).or(object.status());
        if let Some(partial) = unproved_report(status, &memory.items, &object.removal(), report, clock::wall()) {
            self.observer.owner_gone(&owner, &partial);
        }
    }
}

/// What the dispatcher needs to know of the object that a job is for. None if the object does not come from the API
/// server.
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
