//! The invariants of the machine. The simulations check them after each step, the operator in debug builds.

#![allow(clippy::disallowed_methods, clippy::iter_over_hash_type, reason = "all are checked, in any order")]

use std::collections::BTreeSet;
use std::time::Instant;

use foldhash::{HashMap, HashSet};
use thiserror::Error;

use crate::auth0::Item;
use crate::dispatch::connection::ConnectionKey;
use crate::dispatch::fair_queue::{MAX_IN_FLIGHT, NamespaceId, Positions, Priority};

use super::call::CallKind;
use super::endpoint_queue::Waiter;
use super::jobs::{ItemState, JobId, Phase};
use super::state::{Machine, Timer, WorkSource};

/// An invariant does not hold: a bug.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct Violation(String);

fn rule(holds: bool, violation: &str) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(Violation(violation.to_owned())) }
}

/// What the queues and calls hold for each job, and for each namespace.
#[derive(Default)]
struct Seen {
    references: HashMap<NamespaceId, usize>,
    timers: HashSet<(Instant, Timer)>,
    waiters: HashMap<(JobId, usize), usize>,
    in_calls: HashMap<JobId, usize>,
    answers_due: HashMap<JobId, usize>,
}

impl Seen {
    /// A timer that is set is in the heap, or it would never come.
    fn check_timer(&self, timer: Timer, set: Option<Instant>) -> Result<(), Violation> {
        rule(set.is_none_or(|due| self.timers.contains(&(due, timer))), "a timer that is set and not in the heap")
    }
}

impl Machine {
    /// Checks all invariants. Takes time linear in the number of jobs, items and calls.
    pub fn check(&self) -> Result<(), Violation> {
        let mut seen = Seen { timers: self.timers.iter().map(|timer| timer.0).collect(), ..Seen::default() };
        self.check_calls(&mut seen)?;
        self.check_queues(&mut seen)?;
        self.check_lists(&mut seen)?;
        self.check_jobs(&mut seen)?;
        self.check_connections(&seen)?;
        let references = |ns| seen.references.get(&ns).copied().unwrap_or(0);
        let are_right = self.fair.references().all(|(ns, counted)| counted == references(ns));
        rule(are_right, "the references to a namespace are miscounted")?;
        let units = self.jobs.len() + self.queues.len() + self.read_queues.len() + self.connections.len();
        rule(self.timers.len() <= 2 * units + 65, "more timers than things that wait")?;
        self.fair.check().map_err(|what| Violation(what.to_owned()))?;
        self.limiter.check().map_err(|violation| Violation(violation.to_string()))
    }

    fn check_calls(&self, seen: &mut Seen) -> Result<(), Violation> {
        rule(self.calls.len() <= MAX_IN_FLIGHT, "too many calls in flight")?;
        rule(
            self.unaccepted_call.is_none_or(|call| self.calls.contains_key(&call)),
            "an unaccepted call that is not in flight",
        )?;
        rule(self.limiter.in_flight() == self.calls.len(), "the limiter counts other calls than those in flight")?;
        for call in self.calls.values() {
            let connection = call.class.connection;
            match &call.kind {
                CallKind::Delete { queue, batch, .. } => {
                    let queue = self.queues.get(*queue).filter(|queue| queue.connection == connection);
                    let queue = queue.ok_or_else(|| Violation("a call of no queue".to_owned()))?;
                    rule(!batch.is_empty() && batch.len() <= queue.endpoint.max_items(), "a batch of a wrong size")?;
                    for batched in batch {
                        let out = queue.entries.get(&batched.item).is_some_and(|entry| entry.in_flight);
                        rule(out, "an item in a call is not marked as in flight")?;
                        for waiter in &batched.waiters {
                            self.check_waiter(*waiter, &batched.item, connection, seen)?;
                            *seen.in_calls.entry(waiter.job).or_default() += usize::from(call.sent);
                        }
                    }
                }
                CallKind::Page { list } => {
                    let list = self.read_queues.get(*list).filter(|list| list.connection == connection);
                    rule(list.is_some_and(|list| list.page_in_flight && list.walk.is_some()), "a page of no walk")?;
                }
            }
        }
        Ok(())
    }

    /// A job may end while its items are in a call; then its waiters stay in the call.
    fn check_waiter(
        &self,
        waiter: Waiter,
        item: &Item,
        connection: ConnectionKey,
        seen: &mut Seen,
    ) -> Result<(), Violation> {
        let Some(job) = self.jobs.get(waiter.job) else { return Ok(()) };
        *seen.waiters.entry((waiter.job, waiter.index)).or_default() += 1;
        rule(job.connection == connection, "jobs of several connections share a call")?;
        rule(job.ns == waiter.ns && job.removal.items.get(waiter.index) == Some(item), "a waiter for something else")?;
        rule(
            matches!(job.states[waiter.index], ItemState::Open | ItemState::OpenUnseen),
            "a waiter for what is settled",
        )
    }

    fn check_queues(&self, seen: &mut Seen) -> Result<(), Violation> {
        rule(self.queue_at.len() == self.queues.len(), "a queue that cannot be found")?;
        for (key, queue) in &self.queues {
            rule(!queue.is_empty(), "an empty queue is kept")?;
            let batch = |kind: &CallKind| match kind {
                CallKind::Delete { queue, batch, .. } if *queue == key => Some(batch.len()),
                CallKind::Delete { .. } | CallKind::Page { .. } => None,
            };
            let calls: Vec<usize> = self.calls.values().filter_map(|call| batch(&call.kind)).collect();
            let out = queue.entries.values().filter(|entry| entry.in_flight).count();
            rule(
                calls.len() == queue.calls_in_flight && calls.iter().sum::<usize>() == out,
                "items in flight without a call",
            )?;
            let mut waiting = BTreeSet::new();
            for (item, entry) in &queue.entries {
                rule(entry.in_flight || !entry.waiters.is_empty(), "an item without a waiter")?;
                for waiter in &entry.waiters {
                    rule(self.jobs.get(waiter.job).is_some(), "a waiter whose job is gone")?;
                    self.check_waiter(*waiter, item, queue.connection, seen)?;
                }
                if !entry.in_flight {
                    waiting.extend(&entry.waiters);
                }
            }
            rule(waiting == queue.waiting, "the waiters are not those of the items")?;
            rule(queue.items + out == queue.entries.len(), "the count of waiting items is wrong")?;
            seen.check_timer(Timer::Source(WorkSource::Removals(key)), queue.timer)?;
            let is_coming = queue.items == 0 || queue.positions.ready || queue.timer.is_some();
            rule(is_coming, "items that wait for nothing")?;
            let front = |ns| queue.front(ns).map(|waiter| (Priority::Removal, waiter.job.stamp));
            check_places(&queue.positions, &queue.namespaces(), front)?;
        }
        Ok(())
    }

    fn check_lists(&self, seen: &mut Seen) -> Result<(), Violation> {
        rule(self.read_queue_at.len() == self.read_queues.len(), "a read queue that cannot be found")?;
        for (key, list) in &self.read_queues {
            rule(!list.is_empty(), "an empty read queue is kept")?;
            seen.check_timer(Timer::Source(WorkSource::Reads(key)), list.timer)?;
            let is_coming = list.page_in_flight || list.positions.ready || list.timer.is_some();
            rule(is_coming, "a read that waits for nothing")?;
            let active = list.walk.iter().flat_map(|active| &active.waiters);
            for waiter in list.waiters.iter().chain(active) {
                *seen.references.entry(waiter.ns).or_default() += 1;
                let Some(job) = self.jobs.get(waiter.job) else { continue };
                rule(job.connection == list.connection, "jobs of several connections share a read")?;
                *seen.answers_due.entry(waiter.job).or_default() +=
                    if waiter.member.is_some() { 1 } else { waiter.wanted.len() };
            }
            if list.walk.is_none() {
                check_places(&list.positions, &list.namespaces(), |ns| list.front(ns))?;
            } else {
                rule(list.positions.by_namespace.len() <= 1, "a page has several positions")?;
            }
        }
        Ok(())
    }

    fn check_jobs(&self, seen: &mut Seen) -> Result<(), Violation> {
        for (id, job) in self.jobs.iter() {
            *seen.references.entry(job.ns).or_default() += 1;
            let open: Vec<usize> = job.all_open().into_iter().map(|(index, _)| index).collect();
            let removing = job.phase != Phase::Proving;
            rule(!removing || open.len() == job.open_items, "the count of open items is wrong")?;
            rule(
                job.items_in_flight == seen.in_calls.get(&id).copied().unwrap_or(0),
                "the count of items in calls is wrong",
            )?;
            let held: HashSet<usize> = job.held_items().collect();
            let reads_before = job.phase == Phase::ReadBefore;
            for index in open.into_iter().filter(|_| removing) {
                let positions =
                    seen.waiters.get(&(id, index)).copied().unwrap_or(0) + usize::from(held.contains(&index));
                rule(positions == usize::from(!reads_before), "an item waits nowhere, or twice")?;
            }
            match job.answers_due() {
                Some(answers) => {
                    rule(seen.answers_due.get(&id).copied().unwrap_or(0) == answers, "a read without a waiter")?;
                }
                None => rule(removing && job.open_items > 0, "a job that waits for nothing")?,
            }
        }
        Ok(())
    }

    fn check_connections(&self, seen: &Seen) -> Result<(), Violation> {
        for (key, conn) in &self.connections {
            let jobs = self.jobs.iter().filter(|(_, job)| job.connection == *key).count();
            let calls = || self.calls.values().filter(|call| call.class.connection == *key);
            let checking = calls().filter(|call| !call.scheduled).count();
            rule(conn.jobs == jobs && conn.calls == calls().count(), "the counts of a connection are wrong")?;
            rule(conn.checking as usize == checking, "the count of calls that are being checked is wrong")?;
            seen.check_timer(Timer::Connection(*key), conn.timer)?;
        }
        Ok(())
    }
}

/// A work source that is ready has exactly one position for each namespace that waits for it, at its front.
fn check_places(
    positions: &Positions,
    namespaces: &[NamespaceId],
    front: impl Fn(NamespaceId) -> Option<(Priority, u64)>,
) -> Result<(), Violation> {
    if !positions.ready {
        return rule(positions.by_namespace.is_empty(), "something has a position and is not ready");
    }
    let right = namespaces.iter().all(|ns| positions.by_namespace.get(ns).copied() == front(*ns));
    let fronts: Vec<_> = namespaces.iter().map(|ns| (ns, front(*ns))).collect();
    rule(
        right && positions.by_namespace.len() == namespaces.len(),
        &format!("something that is ready has no position, or a wrong one: {positions:?}, not {fronts:?}"),
    )
}
