//! The active faults of one tenant: which of them applies to a call, and how often each has.
//!
//! `faults.rs` defines faults.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::{Fault, hold::Waiting, log::Call};

/// An active fault.
#[derive(Debug)]
pub(crate) struct Rule {
    pub fault: Fault,
    pub waiting: Waiting,
    counters: Mutex<Counters>,
}

#[derive(Debug, Default)]
struct Counters {
    seen: u64,
    hits: u64,
}

impl Rule {
    /// Whether it applies to this call, which is then counted.
    fn hit(&self, call: &Call) -> bool {
        if !self.fault.fits(call) {
            return false;
        }
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        counters.seen += 1;
        let number = counters.seen.saturating_sub(self.fault.skip);
        let due = number > 0 && number.is_multiple_of(self.fault.every.max(1));
        let hit = due && self.fault.times.is_none_or(|times| counters.hits < times);
        counters.hits += u64::from(hit);
        hit
    }

    pub(crate) fn hits(&self) -> u64 {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner).hits
    }
}

/// The faults of one tenant, in the order they were added.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    rules: RwLock<Vec<Arc<Rule>>>,
}

impl Faults {
    pub(crate) fn add(&self, fault: Fault) -> Arc<Rule> {
        let rule = Arc::new(Rule { fault, waiting: Waiting::default(), counters: Mutex::default() });
        self.rules.write().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&rule));
        rule
    }

    pub(crate) fn remove(&self, rule: &Arc<Rule>) {
        self.rules.write().unwrap_or_else(PoisonError::into_inner).retain(|other| !Arc::ptr_eq(other, rule));
    }

    /// Removes all faults and releases the calls that they hold.
    pub(crate) fn clear(&self) {
        for rule in self.rules.write().unwrap_or_else(PoisonError::into_inner).drain(..) {
            rule.waiting.open();
        }
    }

    pub(crate) fn pick(&self, call: &Call) -> Option<Arc<Rule>> {
        // Copied, because a predicate is code of a test and may add or remove faults.
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner).clone();
        rules.into_iter().find(|rule| rule.hit(call))
    }
}
