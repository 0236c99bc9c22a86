//! Estimates of how long jobs wait for their turn.

use std::time::{Duration, Instant};

use foldhash::{HashMap, HashMapExt};

use crate::dispatch::fair_queue::NamespaceId;

use super::jobs::JobState;

/// A job that still waits after this long has its owner woken, whatever it waits for.
pub(super) const REPORT_WAIT_AFTER: Duration = Duration::from_secs(15);
/// A wait after a 429 is shown only if it is longer than this.
pub(super) const MIN_REPORTED_WAIT: Duration = Duration::from_secs(2);

/// The rate of calls is averaged over about this many seconds.
const AVERAGED_SECONDS: f64 = 10.0;

/// Estimates how many calls are sent before that of a job.
#[derive(Debug)]
pub(super) struct WaitEstimator {
    /// The average number of calls per second, and when it was computed.
    rate: (f64, Instant),
    /// The average number of jobs that a DELETE serves.
    pub(super) per_call: f64,
    pub(super) namespaces: HashMap<NamespaceId, NamespaceCounts>,
}

/// The jobs of a namespace: how many were submitted so far, for how many of those a call was sent or is no longer
/// needed, and how many have not ended.
#[derive(Debug, Default)]
pub(super) struct NamespaceCounts {
    submitted: u64,
    pub(super) started: u64,
    present: usize,
}

impl WaitEstimator {
    pub(super) fn new(now: Instant) -> Self {
        Self { rate: (0.0, now), per_call: 1.0, namespaces: HashMap::new() }
    }

    pub(super) fn job_submitted(&mut self, job: &mut JobState) {
        let counts = self.namespaces.entry(job.ns).or_default();
        (job.number, counts.submitted, counts.present) = (counts.submitted, counts.submitted + 1, counts.present + 1);
    }

    /// A call for this job is sent.
    pub(super) fn job_started(&mut self, job: &mut JobState) {
        if let Some(counts) = self.namespaces.get_mut(&job.ns).filter(|_| !std::mem::replace(&mut job.started, true)) {
            counts.started += 1;
        }
    }

    pub(super) fn job_ended(&mut self, job: &mut JobState) {
        self.job_started(job);
        if let Some(counts) = self.namespaces.get_mut(&job.ns) {
            counts.present -= 1;
            if counts.present == 0 {
                self.namespaces.remove(&job.ns);
            }
        }
    }

    /// A call is sent; if it is a DELETE, it is for this many jobs.
    pub(super) fn call_sent(&mut self, jobs: Option<usize>, now: Instant) {
        self.rate = (self.rate_at(now) + 1.0 / AVERAGED_SECONDS, now);
        if let Some(jobs) = jobs {
            self.per_call += (jobs as f64 - self.per_call) / 8.0;
        }
    }

    pub(super) fn rate_at(&self, now: Instant) -> f64 {
        let (rate, at) = self.rate;
        rate * (-now.saturating_duration_since(at).as_secs_f64() / AVERAGED_SECONDS).exp()
    }
}
