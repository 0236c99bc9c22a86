//! How fast jobs get their turn, in estimates.

use std::time::{Duration, Instant};

use foldhash::{HashMap, HashMapExt};

use crate::dispatch::fair_queue::Ns;

use super::jobs::Progress;

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
    pub(super) per_call: f64,
    pub(super) lines: HashMap<Ns, Line>,
}

/// The jobs of a namespace: how many ever came, how many of them need not be waited for any more, and how many are there.
#[derive(Debug, Default)]
pub(super) struct Line {
    came: u64,
    pub(super) begun: u64,
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

    pub(super) fn rate_at(&self, now: Instant) -> f64 {
        let (rate, at) = self.rate;
        rate * (-now.saturating_duration_since(at).as_secs_f64() / RECENTLY).exp()
    }
}
