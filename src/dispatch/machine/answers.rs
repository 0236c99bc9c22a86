//! What the answer to a call means: for the domain and the connection, and for each item of a DELETE.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::auth0::{Answer, CallError, Missing, Page};
use crate::dispatch::fair_queue::Ns;
use crate::dispatch::limiter::CallEnd;

use super::call::{CallId, What, delete};
use super::jobs::{JobId, Settled, Suspect, Unsure};
use super::pace::SHORT_WAIT;
use super::queue::Part;
use super::state::{Machine, Work};

/// A call that could not leave is tried again so often, after a pause that doubles.
const NOT_SENT_TRIES: u32 = 2;
const NOT_SENT_PAUSE: Duration = Duration::from_secs(1);
/// A call that the peer says it did not begin with is sent again so often in a row before its outcome counts as unknown.
const NOT_PROCESSED_TRIES: u32 = 5;

/// What becomes of the items of a DELETE.
enum Fate {
    /// They are sent again, in the same batches or in smaller ones.
    Again {
        smaller: bool,
    },
    /// Their jobs read before they decide.
    Read(CallError),
    Settled(Settled),
}

impl Machine {
    /// Takes the answer to a call that was sent, at `at` by the clock on the wall.
    pub fn answered(&mut self, id: CallId, answer: Answer<Page>, at: Timestamp, now: Instant) {
        let Some(call) = self.calls.remove(&id) else { return };
        self.wall = (at, now);
        let outcome = answer.outcome;
        let connection = call.class.connection;
        let ours = !matches!(outcome, Err(CallError::Unavailable(_) | CallError::NotSent(_) | CallError::NotProcessed));
        let limited = if let Err(CallError::RateLimited(wait)) = &outcome { Some(*wait) } else { None };
        let accepts = ours && limited.is_none() && !matches!(outcome, Err(CallError::Unauthorized(_)));
        self.finish(id, &call, ours && limited.is_none(), now);
        let accepted = self.conns.get_mut(&connection).is_some_and(|conn| {
            let news = accepts && !conn.accepted;
            conn.accepted |= accepts;
            if news {
                let flavor = conn.flavor();
                self.fair.regroup(connection, flavor);
            }
            conn.accepted
        });
        // One that is not accepted can slow only itself, so its answers teach nothing about the others' buckets.
        let end = match &outcome {
            // A failure may report the bucket that it drew from, too.
            _ if !accepted || !(ours || answer.limits.remaining.is_some()) => CallEnd::Lost,
            Ok(_) => CallEnd::Accepted,
            Err(CallError::RateLimited(_)) => CallEnd::Limited,
            Err(_) => CallEnd::Refused,
        };
        let headers = if accepted { answer.limits } else { Default::default() };
        self.limiter.finished(call.class.call, end, &headers, call.reserved, now);
        if let Some(wait) = limited {
            self.hold(connection, wait, now);
            self.tell_limited(&call.owners, wait);
            return self.put_back(call.what, now);
        }
        match call.what {
            What::Page { list } => self.page(list, outcome, now),
            What::Delete { queue, parts, correlation } => {
                let may_have_worked = outcome.as_ref().err().is_none_or(CallError::may_have_worked);
                for id in call.owners.iter().filter(|_| ours || may_have_worked) {
                    let Some(job) = self.jobs.get_mut(*id) else { continue };
                    job.called();
                    if may_have_worked {
                        job.sent(&correlation);
                    }
                }
                self.delete_answered(queue, parts, outcome, call.begun, now);
            }
        }
    }

    /// A 429 to a call of their own, if it is worth showing.
    fn tell_limited(&mut self, owners: &[JobId], wait: Duration) {
        for id in owners.iter().filter(|_| wait > SHORT_WAIT) {
            if let Some(job) = self.jobs.get_mut(*id) {
                (job.limited, job.shown) = (true, true);
                self.woken.push(job.owner.clone());
            }
        }
    }

    fn delete_answered(
        &mut self,
        key: usize,
        parts: Vec<Part>,
        outcome: Result<Page, CallError>,
        begun: Instant,
        now: Instant,
    ) {
        let fate = self.fate(key, &parts, outcome, now);
        // So many may travel together after this.
        let most = if parts.len() > 1 { parts.len().div_ceil(2) } else { 0 };
        let suspect =
            |part: &Part| Suspect { most, since: part.suspect.map_or(begun, |suspect| suspect.since.min(begun)) };
        let settled = match fate {
            Fate::Again { smaller } => {
                let again = parts.into_iter().map(|part| {
                    let suspect = if smaller { Some(suspect(&part)) } else { part.suspect };
                    (part, suspect)
                });
                return self.send_again(key, again.collect(), now);
            }
            Fate::Read(error) => Err(error),
            Fate::Settled(settled) => Ok(settled),
        };
        let mut changed = Vec::new();
        let mut touched: Vec<JobId> = Vec::new();
        for part in &parts {
            self.release(key, part, &mut changed);
            for waiter in &part.waiters {
                let Some(job) = self.jobs.get_mut(waiter.job) else { continue };
                let index = waiter.index;
                let unsure = |error: &CallError| Unsure { index, error: error.clone(), suspect: suspect(part) };
                job.settle(index, settled.clone().unwrap_or_else(|error| Settled::Unsure(unsure(&error))));
                touched.push(waiter.job);
            }
        }
        touched.sort_unstable();
        touched.dedup();
        // While this call still counts as on its way, its queue stays.
        for id in touched {
            self.advance(id, now);
        }
        if let Some(queue) = self.queues.get_mut(key) {
            queue.out -= 1;
        }
        self.refresh(Work::Queue(key), &changed, now);
    }

    fn fate(&mut self, key: usize, parts: &[Part], outcome: Result<Page, CallError>, now: Instant) -> Fate {
        let Some(queue) = self.queues.get_mut(key) else { return Fate::Again { smaller: false } };
        let strikes = std::mem::take(&mut queue.strikes);
        let kind = (delete(&queue.endpoint), queue.connection);
        // Those who are gone meanwhile were part of it, too.
        let mut owners = parts.iter().flat_map(|part| &part.waiters).map(|waiter| waiter.job);
        let first = owners.next();
        let several = parts.len() > 1 && owners.any(|job| Some(job) != first);
        match outcome {
            Ok(_) => {
                self.worked.insert(kind, now);
                Fate::Settled(Settled::Accepted(self.wall.0))
            }
            Err(CallError::NotSent(_)) if strikes < NOT_SENT_TRIES => {
                queue.strikes = strikes + 1;
                queue.pause = Some(now + NOT_SENT_PAUSE * 2_u32.pow(strikes));
                Fate::Again { smaller: false }
            }
            Err(CallError::NotProcessed) if strikes < NOT_PROCESSED_TRIES => {
                queue.strikes = strikes + 1;
                Fate::Again { smaller: false }
            }
            Err(CallError::Rejected(rejection)) if several && rejection.depends_on_items() => {
                Fate::Again { smaller: true }
            }
            Err(CallError::NotFound(Missing::Item)) if parts.len() > 1 => Fate::Again { smaller: true },
            Err(error @ CallError::NotFound(Missing::Unclear)) => Fate::Read(error),
            Err(CallError::NotFound(what)) => Fate::Settled(Settled::NotFound(what)),
            Err(error) => {
                let error = match error {
                    CallError::NotProcessed => CallError::no_answer("Auth0 closed the connection again and again"),
                    error => error,
                };
                // A call that was split already is split further only while others of its kind succeed; otherwise it is
                // Auth0 that fails, and each object comes back in its own time.
                let since = parts.iter().filter_map(|part| part.suspect).map(|suspect| suspect.since).min();
                let worked = since.is_none_or(|since| self.worked.get(&kind).is_some_and(|worked| *worked >= since));
                if error.may_have_worked() && several && worked {
                    Fate::Read(error)
                } else {
                    Fate::Settled(Settled::Failed(error))
                }
            }
        }
    }

    /// A call with this item ended; who asked for it meanwhile waits for the next one.
    pub(super) fn release(&mut self, key: usize, part: &Part, changed: &mut Vec<Ns>) {
        let Some(queue) = self.queues.get_mut(key) else { return };
        let late = queue.entries.get(&part.item).into_iter().flat_map(|entry| &entry.waiters);
        changed.extend(part.waiters.iter().chain(late).map(|waiter| waiter.ns));
        queue.release(&part.item);
    }

    /// The items of a call wait again, before all that came later.
    pub(super) fn send_again(&mut self, key: usize, parts: Vec<(Part, Option<Suspect>)>, now: Instant) {
        let mut changed = Vec::new();
        for (part, suspect) in parts {
            self.release(key, &part, &mut changed);
            let Some(queue) = self.queues.get_mut(key) else { continue };
            for waiter in part.waiters.into_iter().filter(|waiter| self.jobs.get(waiter.job).is_some()) {
                queue.want(part.item.clone(), waiter, suspect);
            }
        }
        if let Some(queue) = self.queues.get_mut(key) {
            queue.out -= 1;
        }
        self.refresh(Work::Queue(key), &changed, now);
    }
}
