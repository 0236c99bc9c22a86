//! What must hold between two events. Every run against the model asks after each step; the operator asks in debug builds.

use std::collections::BTreeSet;

use foldhash::{HashMap, HashSet};
use thiserror::Error;

use crate::auth0::Item;
use crate::dispatch::fair_queue::{Ns, Places, Rank};

use super::calls::What;
use super::jobs::{JobId, Phase, State};
use super::queue::Waiter;
use super::{MAX_IN_FLIGHT, Machine};

/// Something that must hold does not: a bug.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct Violation(String);

fn rule(holds: bool, what: &str) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(Violation(what.to_owned())) }
}

/// Who waits where, as the queues and calls say.
#[derive(Default)]
struct Seen {
    waiters: HashMap<(JobId, usize), usize>,
    in_calls: HashMap<JobId, usize>,
    asked: HashMap<JobId, usize>,
}

impl Machine {
    /// Whether everything that must hold does; linear in what there is.
    pub fn check(&self) -> Result<(), Violation> {
        let mut seen = Seen::default();
        self.check_calls(&mut seen)?;
        self.check_queues(&mut seen)?;
        self.check_lists(&mut seen)?;
        self.check_jobs(&seen)?;
        self.check_connections()?;
        let units = self.jobs.len() + self.queues.len() + self.lists.len() + self.conns.len();
        rule(self.timers.len() <= 2 * units + 65, "more timers than things that wait")?;
        self.fair.check().map_err(|what| Violation(what.to_owned()))?;
        self.limiter.check().map_err(|violation| Violation(violation.to_string()))
    }

    fn check_calls(&self, seen: &mut Seen) -> Result<(), Violation> {
        rule(self.calls.len() <= MAX_IN_FLIGHT, "too many calls on their way")?;
        rule(self.first.is_none_or(|first| self.calls.contains_key(&first)), "a first call that is not on its way")?;
        rule(self.limiter.in_flight() == self.calls.len(), "the limiter counts other calls than those on their way")?;
        for call in self.calls.values() {
            let connection = call.class.connection;
            match &call.what {
                What::Delete { queue, parts, .. } => {
                    let queue = self.queues.get(*queue).filter(|queue| queue.connection == connection);
                    let queue = queue.ok_or_else(|| Violation("a call of no queue".to_owned()))?;
                    rule(!parts.is_empty() && parts.len() <= queue.endpoint.max_items(), "a batch of a wrong size")?;
                    for part in parts {
                        let out = queue.entries.get(&part.item).is_some_and(|entry| entry.out);
                        rule(out, "an item in a call that its queue does not know to be there")?;
                        for waiter in &part.waiters {
                            self.check_waiter(*waiter, &part.item, connection, seen)?;
                            *seen.in_calls.entry(waiter.job).or_default() += 1;
                        }
                    }
                }
                What::Page { list } => {
                    let list = self.lists.get(*list).filter(|list| list.connection == connection);
                    rule(list.is_some_and(|list| list.out && list.walk.is_some()), "a page of no walk")?;
                }
            }
        }
        Ok(())
    }

    /// A waiter whose job is gone may only be left in a call.
    fn check_waiter(
        &self,
        waiter: Waiter,
        item: &Item,
        connection: super::ConnectionKey,
        seen: &mut Seen,
    ) -> Result<(), Violation> {
        let Some(job) = self.jobs.get(waiter.job) else { return Ok(()) };
        *seen.waiters.entry((waiter.job, waiter.index)).or_default() += 1;
        rule(job.connection == connection, "jobs of several connections share a call")?;
        rule(job.ns == waiter.ns && job.removal.items.get(waiter.index) == Some(item), "a waiter for something else")?;
        rule(matches!(job.states[waiter.index], State::Open | State::Unseen), "a waiter for what is settled")
    }

    fn check_queues(&self, seen: &mut Seen) -> Result<(), Violation> {
        rule(self.queue_at.len() == self.queues.len(), "a queue that nobody finds")?;
        for (key, queue) in &self.queues {
            rule(!queue.is_empty(), "an empty queue is kept")?;
            let parts = |what: &What| match what {
                What::Delete { queue, parts, .. } if *queue == key => Some(parts.len()),
                _ => None,
            };
            let calls: Vec<usize> = self.calls.values().filter_map(|call| parts(&call.what)).collect();
            let out = queue.entries.values().filter(|entry| entry.out).count();
            rule(calls.len() == queue.out && calls.iter().sum::<usize>() == out, "items out without a call")?;
            let mut waiting = BTreeSet::new();
            for (item, entry) in &queue.entries {
                rule(entry.out || !entry.waiters.is_empty(), "an item without a waiter")?;
                for waiter in &entry.waiters {
                    rule(self.jobs.get(waiter.job).is_some(), "a waiter whose job is gone")?;
                    self.check_waiter(*waiter, item, queue.connection, seen)?;
                }
                if !entry.out {
                    waiting.extend(&entry.waiters);
                }
            }
            rule(waiting == queue.waiting, "the waiters are not those of the items")?;
            rule(queue.items + out == queue.entries.len(), "the count of waiting items is wrong")?;
            let front = |ns| queue.front(ns).map(|waiter| (Rank::Removal, waiter.job.stamp));
            check_places(&queue.places, &queue.namespaces(), front)?;
        }
        Ok(())
    }

    fn check_lists(&self, seen: &mut Seen) -> Result<(), Violation> {
        rule(self.list_at.len() == self.lists.len(), "a list that nobody finds")?;
        for (_, list) in &self.lists {
            rule(!list.is_empty(), "an empty list is kept")?;
            let walking = list.walk.iter().flat_map(|walking| &walking.askers);
            for asker in list.askers.iter().chain(walking) {
                let Some(job) = self.jobs.get(asker.job) else { continue };
                rule(job.connection == list.connection, "jobs of several connections share a read")?;
                *seen.asked.entry(asker.job).or_default() += if asker.about.is_some() { 1 } else { asker.wanted.len() };
            }
            if list.walk.is_none() {
                check_places(&list.places, &list.namespaces(), |ns| list.front(ns))?;
            } else {
                rule(list.places.taken.len() <= 1, "a page has several places")?;
            }
        }
        Ok(())
    }

    fn check_jobs(&self, seen: &Seen) -> Result<(), Violation> {
        for (id, job) in self.jobs.iter() {
            let open: Vec<usize> = job.opened().into_iter().map(|(index, _)| index).collect();
            let removing = job.phase != Phase::Proving;
            rule(!removing || open.len() == job.open, "the count of open items is wrong")?;
            rule(job.out == seen.in_calls.get(&id).copied().unwrap_or(0), "the count of items in calls is wrong")?;
            let held: HashSet<usize> = job.held().collect();
            let phase_reads = job.phase == Phase::ReadBefore;
            for index in open.into_iter().filter(|_| removing) {
                let places = seen.waiters.get(&(id, index)).copied().unwrap_or(0) + usize::from(held.contains(&index));
                rule(places == usize::from(!phase_reads), "an item waits nowhere, or twice")?;
            }
            match job.asks() {
                Some(answers) => {
                    rule(seen.asked.get(&id).copied().unwrap_or(0) == answers, "a question that nobody will answer")?;
                }
                None => rule(removing && job.open > 0, "a job that waits for nothing")?,
            }
        }
        Ok(())
    }

    fn check_connections(&self) -> Result<(), Violation> {
        for (key, conn) in &self.conns {
            let jobs = self.jobs.iter().filter(|(_, job)| job.connection == *key).count();
            let calls = self.calls.values().filter(|call| call.class.connection == *key).count();
            rule(conn.jobs == jobs && conn.calls == calls, "the counts of a connection are wrong")?;
            rule(conn.checking as usize <= calls, "more calls are checked than are on their way")?;
        }
        Ok(())
    }
}

/// Each namespace that waits for something ready has one place for it, and the right one.
fn check_places(
    places: &Places,
    namespaces: &[Ns],
    front: impl Fn(Ns) -> Option<(Rank, u64)>,
) -> Result<(), Violation> {
    if !places.ready {
        return rule(places.taken.is_empty(), "something has a place and is not ready");
    }
    let right = namespaces.iter().all(|ns| places.taken.get(ns).copied() == front(*ns));
    let fronts: Vec<_> = namespaces.iter().map(|ns| (ns, front(*ns))).collect();
    rule(
        right && places.taken.len() == namespaces.len(),
        &format!("something that is ready has no place, or a wrong one: {places:?}, not {fronts:?}"),
    )
}
