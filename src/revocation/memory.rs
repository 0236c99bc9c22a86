//! What is known of unfinished objects beyond their statuses. It ends with the process: everything in it that must not be
//! forgotten is written within seconds.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::api::{Reason, RemovalStatus};
use crate::auth0::Domain;
use crate::dispatch::ConnectionKey;

use super::items::Items;
use super::wait_writes::Slot;

/// What is known of one object.
#[derive(Clone, Debug, Default)]
pub(super) struct ObjectMemory {
    /// Its status as it should be, if that is not what is stored.
    pub(super) status: Option<RemovalStatus>,
    /// What is known item by item.
    pub(super) items: Items,
    /// Since when it has been waiting for whatever reason.
    pub(super) waiting_since: Option<Instant>,
    /// When it may ask again to write what it waits for.
    pub(super) slot: Option<Slot>,
    /// The reason that was told of but not written yet.
    pub(super) told: Option<Reason>,
    /// How long after Auth0 accepted the removal it was proved.
    pub(super) proved_after: Option<Duration>,
    /// How often in a row its job was handed back unconfirmed.
    pub(super) unconfirmed: u32,
    /// Its next job is not submitted before.
    pub(super) not_before: Option<Instant>,
    /// The connection of its last job.
    pub(super) submitted_with: Option<ConnectionKey>,
    /// Where it led.
    pub(super) submitted_to: Option<Domain>,
    /// The connection with which Auth0 refused it.
    pub(super) refused_with: Option<ConnectionKey>,
}

/// By uid; bounded by the unfinished objects there are.
#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<HashMap<String, ObjectMemory>>);

impl Memory {
    pub(super) fn get(&self, uid: &str) -> ObjectMemory {
        self.lock().get(uid).cloned().unwrap_or_default()
    }

    pub(super) fn set(&self, uid: &str, memory: ObjectMemory) {
        self.lock().insert(uid.to_owned(), memory);
    }

    /// Forgets the object. What it held is returned, so that it can be given back.
    pub(super) fn forget(&self, uid: &str) -> Option<ObjectMemory> {
        self.lock().remove(uid)
    }

    /// How many verdicts are known and not written.
    pub(super) fn unwritten(&self) -> usize {
        let is_verdict = |memory: &&ObjectMemory| memory.told.is_some() && memory.status.is_some();
        self.lock().values().filter(is_verdict).count()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, ObjectMemory>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
