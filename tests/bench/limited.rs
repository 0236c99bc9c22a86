//! What is written to objects that wait when Auth0 says 429: three times, while hundreds wait.

use std::time::{Duration, Instant};

use fake_auth0::Group;

use crate::auth0::{Auth0, Conditions};
use crate::cluster::{Cluster, Kind};
use crate::common::progress;
use crate::operator::{Operator, Who};
use crate::race::prepare;
use crate::watching::Watch;

/// Objects that wait.
pub const OBJECTS: usize = 600;
/// From the start of the operator to each 429: at once, in the midst, and when people are told how long they wait.
const AT: [Duration; 3] = [Duration::from_secs(2), Duration::from_secs(8), Duration::from_secs(20)];
/// How long it is watched.
const UNTIL: Duration = Duration::from_secs(32);
/// Longest another client drains the bucket until it happens.
const PATIENCE: Duration = Duration::from_secs(5);
const SECOND: Duration = Duration::from_secs(1);

pub struct Limited {
    pub limited: usize,
    pub verdicts: usize,
    /// Status writes beside the verdicts.
    pub others: usize,
    /// The most of them within a second.
    pub busiest: usize,
}

pub async fn measure(cluster: &Cluster<'_>, auth0: &Auth0) -> Limited {
    progress(&format!("429 while {OBJECTS} objects wait"));
    let ns = prepare(cluster, auth0, "limited", Conditions::limit(10, 5.0), OBJECTS).await;
    let watch = Watch::start(cluster, Kind::UserRoles, "limited").await;
    let began = Instant::now();
    let operator = Operator::start(Who::Rescind, &ns).await;
    let limited = || ns.fake.calls().iter().filter(|call| call.status() == Some(429)).count();
    for at in AT {
        tokio::time::sleep_until((began + at).into()).await;
        let (before, patience) = (limited(), Instant::now() + PATIENCE);
        // Another client takes everything, until we are told.
        while limited() == before && Instant::now() < patience {
            ns.fake.drain(Group::Global, 10);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    tokio::time::sleep_until((began + UNTIL).into()).await;
    operator.stop();
    watch.look(|seen| Limited {
        limited: limited(),
        verdicts: seen.ready.len(),
        others: seen.others.len(),
        busiest: busiest(&seen.others),
    })
}

/// The most of these times, which are in order, within a second.
fn busiest(times: &[Instant]) -> usize {
    let until = |n: usize| times.partition_point(|time| *time < times[n] + SECOND);
    (0..times.len()).map(|n| until(n) - n).max().unwrap_or(0)
}
