//! What an operator costs that has nothing to do: memory, and what a restart over finished objects causes.

use std::time::{Duration, Instant};

use crate::cluster::Namespace;
use crate::common::progress;
use crate::counters::{Counts, Mark, memory};
use crate::operator::{Operator, Who};

/// What a start over finished objects took, until there was nothing more to do.
pub struct Restart {
    /// From the start of the process until it was ready.
    pub ready_after: Duration,
    /// Megabytes of memory, now and at most.
    pub resident: f64,
    pub peak: f64,
    /// Calls to Auth0.
    pub calls: u64,
    pub counts: Counts,
}

impl Restart {
    /// Writes to our objects, and events.
    pub fn writes(&self) -> u64 {
        let ours = |resource: &str| {
            ["revocations", "removals", "auth0tenants", "events"].iter().any(|part| resource.contains(part))
        };
        let is_write = |verb: &str| !["GET", "LIST", "WATCH"].contains(&verb);
        let writes = self.counts.requests.iter().filter(|((verb, resource), _)| is_write(verb) && ours(resource));
        writes.map(|(_, count)| *count as u64).sum()
    }
}

/// Starts Rescind over everything that is finished at this ns and waits until it has nothing more to do.
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
