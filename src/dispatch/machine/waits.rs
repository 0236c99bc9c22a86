//! What each job waits for, as far as it can be told without counting, and who is told of it.

use std::time::{Duration, Instant};

use foldhash::{HashMap, HashMapExt};

use crate::dispatch::breaker::State;
use crate::dispatch::connection::ConnectionKey;
use crate::dispatch::fair_queue::Ns;
use crate::dispatch::job::{End, Refusal, Report, Wait};

use super::Machine;
use super::jobs::{JobId, Phase, Progress};

/// After so long the owner of a job that waits is told, whatever it waits for.
pub const WAIT_SHOWN: Duration = Duration::from_secs(15);
/// A 429 that names a wait up to this is not worth telling anybody.
pub const SHORT_WAIT: Duration = Duration::from_secs(2);
/// How fast calls leave is counted over about this long.
const RECENTLY: f64 = 10.0;

/// How fast jobs get their turn. Estimates.
#[derive(Debug)]
pub(super) struct Pace {
    /// Calls a second of late, as of when.
    rate: (f64, Instant),
    /// Jobs that a DELETE serves.
    per_call: f64,
    lines: HashMap<Ns, Line>,
}

/// The jobs of a namespace: how many ever came, how many of them need not be waited for any more, and how many are there.
#[derive(Debug, Default)]
struct Line {
    came: u64,
    begun: u64,
    here: usize,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self { rate: (0.0, now), per_call: 1.0, lines: HashMap::new() }
    }

    pub(super) fn came(&mut self, job: &mut Progress) {
        let line = self.lines.entry(job.ns).or_default();
        (job.number, line.came, line.here) = (line.came, line.came + 1, line.here + 1);
    }

    /// A call for this job leaves.
    pub(super) fn begun(&mut self, job: &mut Progress) {
        if let Some(line) = self.lines.get_mut(&job.ns).filter(|_| !std::mem::replace(&mut job.begun, true)) {
            line.begun += 1;
        }
    }

    pub(super) fn left(&mut self, job: &mut Progress) {
        self.begun(job);
        if let Some(line) = self.lines.get_mut(&job.ns) {
            line.here -= 1;
            if line.here == 0 {
                self.lines.remove(&job.ns);
            }
        }
    }

    /// A call leaves; a DELETE for so many jobs.
    pub(super) fn sent(&mut self, jobs: Option<usize>, now: Instant) {
        self.rate = (self.rate_at(now) + 1.0 / RECENTLY, now);
        if let Some(jobs) = jobs {
            self.per_call += (jobs as f64 - self.per_call) / 8.0;
        }
    }

    fn rate_at(&self, now: Instant) -> f64 {
        let (rate, at) = self.rate;
        rate * (-now.saturating_duration_since(at).as_secs_f64() / RECENTLY).exp()
    }
}

impl Machine {
    /// What the job of the owner with this `uid` waits for, and what came of it so far.
    pub fn view(&self, uid: &str, now: Instant) -> Option<(Wait, Report)> {
        let job = self.jobs.get(self.jobs.find(uid)?)?;
        Some((self.wait(job, now), job.report(End::HandedBack(Refusal::Withdrawn), &self.domain)))
    }

    fn wait(&self, job: &Progress, now: Instant) -> Wait {
        match self.open_until(job.connection, now) {
            Some(until) if job.limited => Wait::RateLimited { until, own: true },
            _ if job.phase == Phase::Proving => Wait::AwaitingProof,
            _ if job.out > 0 || job.is_read() => Wait::Working,
            Some(until) => Wait::RateLimited { until, own: false },
            None => self.queued(job, now),
        }
    }

    /// Those of its namespace that came before it, several to a call, and in between those of the other namespaces that
    /// wait. What is merged, split, or held back meanwhile is not foreseen.
    fn queued(&self, job: &Progress, now: Instant) -> Wait {
        let before = self.pace.lines.get(&job.ns).map_or(0, |line| job.number.saturating_sub(line.begun));
        let of_all = self.jobs.len().saturating_sub(1) as f64;
        let own = before as f64 / self.pace.per_call;
        let calls = (own * self.fair.waiting().max(1) as f64).min(of_all / self.pace.per_call).ceil();
        let rate = self.pace.rate_at(now);
        let about = (rate > 0.01).then(|| Duration::try_from_secs_f64(calls / rate).ok()).flatten();
        Wait::Queued { calls_before: calls as usize, about }
    }

    /// Until when nothing is sent with this connection, as after a 429.
    pub fn open_until(&self, connection: ConnectionKey, now: Instant) -> Option<Instant> {
        let until = |state| if let State::Open(until) = state { Some(until) } else { None };
        let own = self.conns.get(&connection).filter(|conn| !conn.accepted).map(|conn| conn.breaker.state(now));
        until(self.breaker.state(now)).max(own.and_then(until))
    }

    /// How long nothing is sent to the domain, however short; zero if its breaker is closed.
    pub fn open_for(&self, now: Instant) -> Duration {
        self.breaker.open_for(now).unwrap_or_default()
    }

    /// How long the oldest job has been there.
    pub fn oldest(&self, now: Instant) -> Duration {
        let oldest = self.jobs.iter().map(|(_, job)| job.submitted).min();
        oldest.map_or(Duration::ZERO, |at| now.saturating_duration_since(at))
    }

    /// This job has waited long enough for its owner to be told.
    pub(super) fn show(&mut self, id: JobId) {
        if let Some(job) = self.jobs.get_mut(id) {
            job.shown = true;
            self.woken.push(job.owner.clone());
        }
    }
}
