//! What is known of unfinished objects beyond their statuses. It ends with the process: what a restart must not forget
//! is written into the status within seconds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::api::{Reason, RemovalStatus};
use crate::auth0::Domain;
use crate::capacity::shrink_map;
use crate::dispatch::{ConnectionKey, Refusal};
use crate::sync::lock;

use super::inputs::Failures;
use super::items::Items;
use super::wait_writes::Slot;

/// What is known of one object.
#[derive(Clone, Debug, Default)]
pub(super) struct ObjectMemory {
    /// The status that the object should have, if another one is stored.
    pub(super) status: Option<Arc<RemovalStatus>>,
    /// What is known item by item.
    pub(super) items: Items,
    /// Since when the object has been waiting, for whatever reasons.
    pub(super) waiting_since: Option<Instant>,
    /// When the status may be written that says what the object waits for.
    pub(super) slot: Option<Slot>,
    /// The reason that was announced but is not stored yet.
    pub(super) announced: Option<Reason>,
    /// How long the proof took, from the time when Auth0 accepted the removal.
    pub(super) proved_after: Option<Duration>,
    /// Why the preflight check refused the last call, and how often in a row.
    pub(super) handed_back: Option<(Refusal, u32)>,
    /// Failures in a row.
    pub(super) failures: Option<Failures>,
    /// The earliest time at which to submit the next job.
    pub(super) not_before: Option<Instant>,
    /// When to look again at a finished object of policy Continuous, and for which generation that was decided.
    pub(super) check: Option<(i64, Instant)>,
    /// Its job is the probe that finds out whether Auth0 still refuses.
    pub(super) is_probe: bool,
    /// Since when it has been learning what it needs for its next job.
    pub(super) learning_since: Option<Instant>,
    /// The connection of the last job.
    pub(super) submitted_with: Option<ConnectionKey>,
    /// The domain of that connection.
    pub(super) submitted_to: Option<Domain>,
    /// The request of the annotation that it answers.
    pub(super) submitted_for: Option<String>,
    /// The connection with which Auth0 last refused a call of this object.
    pub(super) refused_with: Option<ConnectionKey>,
}

/// The memory of every unfinished object, by uid.
#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<HashMap<String, Box<ObjectMemory>>>);

impl Memory {
    pub(super) fn get(&self, uid: &str) -> ObjectMemory {
        lock(&self.0).get(uid).map(|memory| ObjectMemory::clone(memory)).unwrap_or_default()
    }

    pub(super) fn set(&self, uid: &str, memory: ObjectMemory) {
        lock(&self.0).insert(uid.to_owned(), Box::new(memory));
    }

    /// Forgets the object. Returns what was known, so that the caller can give its slot back.
    pub(super) fn forget(&self, uid: &str) -> Option<ObjectMemory> {
        let mut memory = lock(&self.0);
        let known = memory.remove(uid);
        shrink_map(&mut memory);
        known.map(|known| *known)
    }

    pub(super) fn remembers(&self, uid: &str) -> bool {
        lock(&self.0).contains_key(uid)
    }

    /// How many reasons were announced and are not written yet.
    #[allow(clippy::disallowed_methods, reason = "a count has no order")]
    pub(super) fn unwritten(&self) -> usize {
        lock(&self.0).values().filter(|memory| memory.announced.is_some() && memory.status.is_some()).count()
    }
}
