//! The status writes of waiting objects when Auth0 answers 429: three times, while hundreds wait.

use std::time::{Duration, Instant};

use fake_auth0::{Bucket, Group};

use crate::auth0::{Auth0, Conditions};
use crate::cluster::{Cluster, Kind};
use crate::common::progress;
use crate::operator::{Operator, Who};
use crate::race::prepare;
use crate::watching::Watch;

/// The number of objects that wait.
pub const OBJECTS: usize = 600;
/// The time from the start of the operator to each 429: at the start, in the middle, and after objects say that they
/// wait.
const AT: [Duration; 3] = [Duration::from_secs(2), Duration::from_secs(8), Duration::from_secs(20)];
/// How long the writes are watched.
const UNTIL: Duration = Duration::from_secs(32);
/// The longest time for which another client drains the bucket until a 429 comes.
const PATIENCE: Duration = Duration::from_secs(5);
const SECOND: Duration = Duration::from_secs(1);

pub struct Limited {
    pub limited: usize,
    pub verdicts: usize,
    /// The number of status writes that are not verdicts.
    pub others: usize,
    /// The most of these within a second.
    pub busiest: usize,
}

pub async fn measure(cluster: &Cluster<'_>, auth0: &Auth0) -> Limited {
    progress(&format!("429 while {OBJECTS} objects wait"));
    let ns = prepare(cluster, auth0, "limited", Conditions::limit(Bucket::new(10, 5.0)), OBJECTS).await;
    let watch = Watch::start(cluster, Kind::UserRoles, "limited").await;
    let began = Instant::now();
    let operator = Operator::start(Who::Rescind, &ns).await;
    let limited = || ns.fake.calls().iter().filter(|call| call.status() == Some(429)).count();
    for at in AT {
        tokio::time::sleep_until((began + at).into()).await;
        let (before, patience) = (limited(), Instant::now() + PATIENCE);
        // Another client takes every token until Rescind gets a 429.
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

/// The most of these sorted times within a second.
fn busiest(times: &[Instant]) -> usize {
    let until = |n: usize| times.partition_point(|time| *time < times[n] + SECOND);
    (0..times.len()).map(|n| until(n) - n).max().unwrap_or(0)
}
