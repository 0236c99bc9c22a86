//! What the answer to a call means for the domain, for the connection, and for each item of a DELETE.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::auth0::{Answer, CallError, ItemKind, Missing, Page, RateHeaders};
use crate::dispatch::connection::ConnectionKey;
use crate::dispatch::fair_queue::NamespaceId;
use crate::dispatch::limiter::{CallOutcome, Route};

use super::call::{CallId, CallKind, delete_route};
use super::endpoint_queue::BatchItem;
use super::estimate::MIN_REPORTED_WAIT;
use super::jobs::{ItemResult, JobId, Suspect, Unresolved};
use super::state::{Machine, WorkSource};

/// How often in a row a DELETE that could not be sent is retried, after a pause that doubles.
const MAX_NOT_SENT_RETRIES: u32 = 2;
const NOT_SENT_PAUSE: Duration = Duration::from_secs(1);
/// How often in a row a DELETE that the peer did not process is sent again, before it counts as unanswered.
const MAX_NOT_PROCESSED_RETRIES: u32 = 5;

/// How to continue with the items of a DELETE.
enum Resolution {
    /// Send them again; if `smaller`, in batches of at most half the size.
    Resend {
        smaller: bool,
    },
    /// Read the list before deciding, because of this error.
    Read(CallError),
    Final(ItemResult),
}

impl Machine {
    /// Takes the answer to a call that was sent. `at` is the time of the wall clock at `now`.
    pub fn answered(&mut self, id: CallId, answer: Answer<Page>, at: Timestamp, now: Instant) {
        self.wall_clock = (at, now);
        let Some(call) = self.calls.remove(&id) else { return self.interrupted_answered(id, &answer, now) };
        let Answer { limits, outcome } = answer;
        let connection = call.class.connection;
        let by_auth0 = outcome.as_ref().err().is_none_or(CallError::is_auth0s_own);
        let rate_limited = if let Err(CallError::RateLimited(wait)) = &outcome { Some(*wait) } else { None };
        self.call_finished(id, &call, by_auth0 && rate_limited.is_none(), now);
        // A connection that Auth0 has not accepted can slow down only itself, so its answers teach the limiter nothing.
        let accepted = self.is_accepted_by(connection, &outcome);
        let for_limiter = match &outcome {
            // A failure can report the bucket that it drew from, too.
            _ if !accepted || !(by_auth0 || limits.remaining.is_some()) => CallOutcome::NoAnswer,
            Ok(_) => CallOutcome::Success,
            Err(CallError::RateLimited(_)) => CallOutcome::RateLimited,
            Err(_) => CallOutcome::Failure,
        };
        let headers = if accepted { limits } else { RateHeaders::default() };
        self.limiter.finished(call.class.route, for_limiter, &headers, call.permit, now);
        if let Some(wait) = rate_limited {
            self.hold(connection, wait, now);
            self.report_rate_limit(&call.owners, wait);
            return self.requeue(call.kind, now);
        }
        match call.kind {
            CallKind::Page { list } => self.page_answered(list, outcome, now),
            CallKind::Delete { queue, batch, correlation } => {
                let may_have_worked = outcome.as_ref().err().is_none_or(CallError::may_have_worked);
                for id in call.owners.iter().filter(|_| by_auth0 || may_have_worked) {
                    let Some(job) = self.jobs.get_mut(*id) else { continue };
                    job.record_call();
                    if may_have_worked {
                        job.record_delete(&correlation);
                    }
                }
                self.delete_answered(queue, batch, outcome, call.started, now);
            }
        }
    }

    /// The answer to a call that was in flight at a panic. What it was for has been queued again.
    fn interrupted_answered(&mut self, id: CallId, answer: &Answer<Page>, now: Instant) {
        if let (Some(connection), Err(CallError::RateLimited(wait))) = (self.interrupted.remove(&id), &answer.outcome) {
            self.hold(connection, *wait, now);
        }
    }

    /// Whether Auth0 has accepted this connection, with this answer or an earlier one.
    fn is_accepted_by(&mut self, connection: ConnectionKey, outcome: &Result<Page, CallError>) -> bool {
        use CallError::{
            Denied, InsufficientScope, NotFound, NotProcessed, NotSent, RateLimited, Rejected, TokenReplaced,
            Unauthorized, Unavailable,
        };
        let accepts = match outcome {
            Ok(_) | Err(Rejected(_) | Denied(_) | InsufficientScope(_) | NotFound(_)) => true,
            Err(Unauthorized(_) | RateLimited(_) | Unavailable(_) | NotSent(_) | NotProcessed | TokenReplaced) => false,
        };
        let Some(conn) = self.connections.get_mut(&connection) else { return false };
        if accepts && !conn.accepted {
            conn.accepted = true;
            self.fair.regroup(connection, conn.limit_profile());
        }
        conn.accepted
    }

    /// Wakes the owners whose own call was answered with 429, if the wait is long enough to be shown.
    fn report_rate_limit(&mut self, owners: &[JobId], wait: Duration) {
        for id in owners.iter().filter(|_| wait > MIN_REPORTED_WAIT) {
            if let Some(job) = self.jobs.get_mut(*id) {
                (job.rate_limited, job.wait_reported) = (true, true);
                self.woken.push(job.owner.clone());
            }
        }
    }

    fn delete_answered(
        &mut self,
        key: usize,
        batch: Vec<BatchItem>,
        outcome: Result<Page, CallError>,
        started: Instant,
        now: Instant,
    ) {
        let resolution = self.resolve(key, &batch, outcome, now);
        // The items of a failed batch travel in batches of at most half its size from now on.
        let max_batch = if batch.len() > 1 { batch.len().div_ceil(2) } else { 0 };
        let suspect = |batched: &BatchItem| {
            let first_failed_at = batched.suspect.map_or(started, |before| before.first_failed_at.min(started));
            let asked_again = batched.suspect.is_some_and(|before| before.asked_again);
            Suspect { max_batch, asked_again, first_failed_at }
        };
        let result = match resolution {
            Resolution::Resend { smaller } => {
                let again = batch.into_iter().map(|batched| {
                    let suspect = if smaller { Some(suspect(&batched)) } else { batched.suspect };
                    (batched, suspect)
                });
                return self.requeue_items(key, again.collect(), now);
            }
            Resolution::Read(error) => Err(error),
            Resolution::Final(result) => Ok(result),
        };
        let mut changed = Vec::new();
        let mut touched: Vec<JobId> = Vec::new();
        for batched in &batch {
            self.release_item(key, batched, &mut changed);
            for waiter in &batched.waiters {
                let Some(job) = self.jobs.get_mut(waiter.job) else { continue };
                let index = waiter.index;
                let unresolved = |error| Unresolved { index, error, suspect: suspect(batched) };
                job.settle(index, result.clone().unwrap_or_else(|error| ItemResult::Unresolved(unresolved(error))));
                touched.push(waiter.job);
            }
        }
        touched.sort_unstable();
        touched.dedup();
        // The queue must not become empty before the jobs have advanced, so the call still counts as in flight.
        for id in touched {
            self.advance(id, now);
        }
        if let Some(queue) = self.queues.get_mut(key) {
            queue.calls_in_flight -= 1;
        }
        self.refresh(WorkSource::Removals(key), &changed, now);
    }

    fn resolve(
        &mut self,
        key: usize,
        batch: &[BatchItem],
        outcome: Result<Page, CallError>,
        now: Instant,
    ) -> Resolution {
        let Some(queue) = self.queues.get_mut(key) else { return Resolution::Resend { smaller: false } };
        let unsent = std::mem::take(&mut queue.consecutive_unsent);
        let route = (delete_route(&queue.endpoint), queue.connection);
        // Jobs that have ended meanwhile count, too: their items were in the batch.
        let mut owners = batch.iter().flat_map(|batched| &batched.waiters).map(|waiter| waiter.job);
        let first = owners.next();
        let several = batch.len() > 1 && owners.any(|job| Some(job) != first);
        match outcome {
            Ok(_) => {
                self.last_accepted.insert(route, now);
                Resolution::Final(ItemResult::Accepted(self.wall_clock.0))
            }
            Err(CallError::NotSent(_)) if unsent < MAX_NOT_SENT_RETRIES => {
                queue.consecutive_unsent = unsent + 1;
                // It may already wait longer, for lists to settle.
                queue.pause = queue.pause.max(Some(now + NOT_SENT_PAUSE * 2_u32.pow(unsent)));
                Resolution::Resend { smaller: false }
            }
            Err(CallError::NotProcessed | CallError::TokenReplaced) if unsent < MAX_NOT_PROCESSED_RETRIES => {
                queue.consecutive_unsent = unsent + 1;
                Resolution::Resend { smaller: false }
            }
            Err(CallError::Rejected(rejection)) if several && rejection.depends_on_items() => {
                Resolution::Resend { smaller: true }
            }
            Err(CallError::NotFound(Missing::Item)) if batch.len() > 1 => Resolution::Resend { smaller: true },
            // Where users are the items, it is one of them that does not exist.
            Err(CallError::NotFound(Missing::Subject))
                if batch.len() > 1 && queue.endpoint.items() == ItemKind::Member =>
            {
                Resolution::Resend { smaller: true }
            }
            Err(error @ CallError::NotFound(Missing::Unclear)) => Resolution::Read(error),
            Err(CallError::NotFound(missing @ (Missing::Subject | Missing::Item))) => {
                Resolution::Final(ItemResult::NotFound(missing))
            }
            Err(CallError::NotProcessed | CallError::TokenReplaced) => {
                let error = CallError::no_answer("Auth0 closed the connection, or refused the token, again and again");
                self.resolve_failure(route, batch, several, error)
            }
            Err(
                error @ (CallError::Rejected(_)
                | CallError::Unauthorized(_)
                | CallError::Denied(_)
                | CallError::InsufficientScope(_)
                | CallError::RateLimited(_)
                | CallError::Unavailable(_)
                | CallError::NotSent(_)),
            ) => self.resolve_failure(route, batch, several, error),
        }
    }

    /// A batch that is the result of a split is split further only if other DELETEs on this route succeeded since it
    /// first failed. Otherwise Auth0 as a whole is failing, and each job fails and is retried at its own pace.
    fn resolve_failure(
        &self,
        route: (Route, ConnectionKey),
        batch: &[BatchItem],
        several_jobs: bool,
        error: CallError,
    ) -> Resolution {
        let first_failed_at =
            batch.iter().filter_map(|batched| batched.suspect).map(|suspect| suspect.first_failed_at).min();
        let last_accepted = self.last_accepted.get(&route);
        let others_succeed = first_failed_at.is_none_or(|at| last_accepted.is_some_and(|accepted| *accepted >= at));
        if error.may_have_worked() && several_jobs && others_succeed {
            Resolution::Read(error)
        } else {
            Resolution::Final(ItemResult::Failed(error))
        }
    }

    /// An item's call has ended. Adds the namespaces of its waiters to `changed`, including those that came while it
    /// was in flight.
    pub(super) fn release_item(&mut self, key: usize, batched: &BatchItem, changed: &mut Vec<NamespaceId>) {
        let Some(queue) = self.queues.get_mut(key) else { return };
        let late = queue.entries.get(&batched.item).into_iter().flat_map(|entry| &entry.waiters);
        changed.extend(batched.waiters.iter().chain(late).map(|waiter| waiter.ns));
        queue.release(&batched.item);
    }

    /// Puts the items of a call back into their queue, where they keep their order of arrival.
    pub(super) fn requeue_items(&mut self, key: usize, batch: Vec<(BatchItem, Option<Suspect>)>, now: Instant) {
        let mut changed = Vec::new();
        for (batched, suspect) in batch {
            self.release_item(key, &batched, &mut changed);
            let Some(queue) = self.queues.get_mut(key) else { continue };
            for waiter in batched.waiters.into_iter().filter(|waiter| self.jobs.get(waiter.job).is_some()) {
                queue.add(batched.item.clone(), waiter, suspect);
            }
        }
        if let Some(queue) = self.queues.get_mut(key) {
            queue.calls_in_flight -= 1;
        }
        self.refresh(WorkSource::Removals(key), &changed, now);
    }
}
