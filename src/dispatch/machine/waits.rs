//! What each job waits for, and which owners are woken to show it.

use std::time::{Duration, Instant};

use crate::dispatch::breaker::State;
use crate::dispatch::connection::ConnectionKey;
use crate::dispatch::job::{End, Refusal, Report, Wait};

use super::jobs::{JobId, JobState, Phase};
use super::state::Machine;

impl Machine {
    /// What the job of the owner with this `uid` waits for, and what it has achieved so far.
    pub fn view(&self, uid: &str, now: Instant) -> Option<(Wait, Report)> {
        let job = self.jobs.get(self.jobs.find(uid)?)?;
        Some((self.wait(job, now), job.report(End::HandedBack(Refusal::Withdrawn), &self.domain)))
    }

    fn wait(&self, job: &JobState, now: Instant) -> Wait {
        match self.open_until(job.connection, now) {
            Some(until) if job.rate_limited => Wait::RateLimited { until, own: true },
            _ if job.phase == Phase::Proving => Wait::AwaitingProof,
            _ if job.items_in_flight > 0 || job.is_being_read() => Wait::Working,
            Some(until) => Wait::RateLimited { until, own: false },
            None => self.queued(job, now),
        }
    }

    /// Estimates the calls that are sent before the job's own: those for earlier jobs of its namespace, several jobs a
    /// call, and as many of each other namespace that waits. Jobs that are merged, split or held back later are not
    /// foreseen.
    fn queued(&self, job: &JobState, now: Instant) -> Wait {
        let before =
            self.estimator.namespaces.get(&job.ns).map_or(0, |counts| job.number.saturating_sub(counts.started));
        let of_all = self.jobs.len().saturating_sub(1) as f64;
        let own = before as f64 / self.estimator.per_call;
        let calls = (own * self.fair.waiting().max(1) as f64).min(of_all / self.estimator.per_call).ceil();
        let rate = self.estimator.rate_at(now);
        let about = (rate > 0.01).then(|| Duration::try_from_secs_f64(calls / rate).ok()).flatten();
        Wait::Queued { calls_before: calls as usize, about }
    }

    /// Until when the circuit breaker that this connection obeys is open; `None` if it is not open.
    pub fn open_until(&self, connection: ConnectionKey, now: Instant) -> Option<Instant> {
        let until = |state| if let State::Open(until) = state { Some(until) } else { None };
        let own = self.connections.get(&connection).filter(|conn| !conn.accepted).map(|conn| conn.breaker.state(now));
        until(self.breaker.state(now)).max(own.and_then(until))
    }

    /// How long the domain's circuit breaker stays open; zero if it is not open.
    pub fn open_for(&self, now: Instant) -> Duration {
        self.breaker.open_for(now).unwrap_or_default()
    }

    /// The time since the oldest job was submitted; zero if there is none.
    pub fn oldest(&self, now: Instant) -> Duration {
        let oldest = self.jobs.iter().map(|(_, job)| job.submitted).min();
        oldest.map_or(Duration::ZERO, |at| now.saturating_duration_since(at))
    }

    /// The job has waited so long that its owner is woken to show it.
    pub(super) fn report_wait(&mut self, id: JobId) {
        if let Some(job) = self.jobs.get_mut(id) {
            job.wait_reported = true;
            self.woken.push(job.owner.clone());
        }
    }
}
