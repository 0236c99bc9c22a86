//! What an operator costs that has nothing to do: memory, and what a restart over finished objects causes.

use std::time::{Duration, Instant};

use crate::counters::{Counts, Mark, memory};
use crate::operator::Operator;
use crate::progress;
use crate::world::{NAMESPACE, World};

/// A process at rest.
pub struct Standing {
    /// From the start of the process until it was ready.
    pub ready_after: Duration,
    /// Megabytes now.
    pub resident: f64,
    /// Megabytes at most so far.
    pub peak: f64,
}

impl Standing {
    pub fn of(operator: &Operator, ready_after: Duration) -> Self {
        Self { ready_after, resident: memory(operator.pid, "VmRSS"), peak: memory(operator.pid, "VmHWM") }
    }
}

pub struct Restart {
    pub standing: Standing,
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

/// Starts an operator over everything that is finished and waits until it has nothing more to do.
pub async fn restart(world: &World<'_>) -> Restart {
    progress("a restart over all finished objects");
    world.fake.reset_calls();
    let mark = Mark::now(&world.client).await;
    let (operator, ready_after) = Operator::start(world.plane, world.fake.domain(), NAMESPACE).await;
    operator.quiet().await;
    let counts = mark.until(Instant::now(), &world.client).await;
    let restart = Restart { standing: Standing::of(&operator, ready_after), calls: world.fake.total(), counts };
    operator.stop();
    restart
}
