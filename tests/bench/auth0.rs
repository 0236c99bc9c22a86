//! The fake Auth0s, on a thread of their own, under the conditions of a measurement.

use std::time::Duration;

use fake_auth0::{Bucket, Edit, FakeAuth0, Fault, Group, Kind, Lag};
use tokio::runtime::{Builder, Runtime};

use crate::counters::FAKE_THREAD;

/// The runtime of all fakes.
pub struct Auth0(Runtime);

/// How a tenant behaves. By default it has no limits, reports none, answers at once, and its lists are always current.
#[derive(Default)]
pub struct Conditions {
    pub limits: Vec<(Group, Bucket)>,
    /// How long an answer takes.
    pub latency: Duration,
    /// How long the lists of members go on showing who was removed.
    pub lag: Duration,
}

impl Conditions {
    /// One limit for all calls together.
    pub fn limit(bucket: Bucket) -> Self {
        Self { limits: vec![(Group::Global, bucket)], ..Self::default() }
    }

    /// A limit that is never reached, but reported.
    pub fn large() -> Self {
        Self::limit(Bucket::new(100_000, 100_000.0))
    }
}

impl Auth0 {
    pub fn new() -> Self {
        // One thread, whose name identifies its CPU time.
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name(FAKE_THREAD).enable_all().build();
        Self(runtime.expect("a runtime"))
    }

    /// Starts a tenant with this content.
    pub async fn tenant(&self, conditions: Conditions, fill: impl FnOnce(&mut Edit<'_>)) -> FakeAuth0 {
        let fake = self.0.spawn(FakeAuth0::start()).await.expect("a fake Auth0");
        for group in Group::ALL {
            fake.limit(group, None);
        }
        for (group, bucket) in conditions.limits {
            fake.limit(group, bucket);
        }
        for kind in Kind::ALL.into_iter().filter(|kind| kind.is_read()) {
            fake.lag(kind, None);
        }
        fake.edit(fill);
        if !conditions.lag.is_zero() {
            fake.lag(Kind::GetMembers, Lag::For(conditions.lag));
        }
        fake.clear_faults();
        if !conditions.latency.is_zero() {
            fake.fault(Fault::delay(conditions.latency));
        }
        fake
    }
}
