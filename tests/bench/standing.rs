//! The cost of an operator with nothing to do: its memory, and the requests of a restart over finished objects.

use std::time::{Duration, Instant};

use crate::cluster::Namespace;
use crate::common::progress;
use crate::counters::{Counts, Mark, memory};
use crate::operator::{Operator, Who};

/// A start over finished objects, until there is nothing more to do.
pub struct Restart {
    /// The time from the start of the process until it was ready.
    pub ready_after: Duration,
    /// Resident memory in megabytes; `peak`, the most.
    pub resident: f64,
    pub peak: f64,
    /// The number of calls to Auth0.
    pub calls: u64,
    pub counts: Counts,
}

impl Restart {
    /// The number of writes to our objects and of events.
    pub fn writes(&self) -> u64 {
        let ours = |resource: &str| {
            ["revocations", "removals", "auth0tenants", "events"].iter().any(|part| resource.contains(part))
        };
        let is_write = |verb: &str| !["GET", "LIST", "WATCH"].contains(&verb);
        let writes = self.counts.requests.iter().filter(|((verb, resource), _)| is_write(verb) && ours(resource));
        writes.map(|(_, count)| *count as u64).sum()
    }
}

/// Starts Rescind over the finished objects of this namespace and waits until it has nothing more to do.
pub async fn restart(ns: &Namespace<'_>) -> Restart {
    progress("a start over what is finished");
    ns.fake.reset_calls();
    let mark = Mark::now(&ns.cluster.client).await;
    let mut operator = Operator::start(Who::Rescind, ns).await;
    let ready_after = operator.ready().await;
    operator.quiet().await;
    let counts = mark.until(Instant::now(), Some(operator.pid), &ns.cluster.client).await;
    let (resident, peak) = (memory(operator.pid, "VmRSS"), memory(operator.pid, "VmHWM"));
    operator.stop();
    Restart { ready_after, resident, peak, calls: ns.fake.total(), counts }
}
