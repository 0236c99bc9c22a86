//! How well the calls that Auth0 allows are used: one bucket for all calls, slow answers, headers in whole seconds, no
//! reserve. In real time, all limits at once, each with an operator of its own, because they wait most of the time.

use std::time::Duration;

use fake_auth0::Bucket;
use futures::future::join_all;

use crate::auth0::{Auth0, Conditions};
use crate::cluster::{Cluster, Kind, Namespace};
use crate::common::progress;
use crate::operator::{Operator, Who};
use crate::race::prepare;
use crate::watching::Watch;

const LATENCY: Duration = Duration::from_millis(150);

struct Limit {
    namespace: &'static str,
    what: &'static str,
    bucket: Bucket,
    /// How much longer than the others it is drained, because figures of few calls say little.
    stretch: f64,
}

fn limits() -> [Limit; 3] {
    let limit = |namespace, what, bucket, stretch| Limit { namespace, what, bucket, stretch };
    [
        limit("drain-slow", "20 and 200 a minute", Bucket::per_minute(20, 200.0), 2.0),
        limit("drain-usual", "50 and 16 a second", Bucket::new(50, 16.0), 1.0),
        limit("drain-fast", "100 and 250 a second", Bucket::new(100, 250.0), 1.0),
    ]
}

pub struct Drain {
    pub what: &'static str,
    /// The calls that got through.
    pub calls: usize,
    pub limited: usize,
    /// The time from the first call to the last.
    pub took: Duration,
    /// The shortest time in which the bucket allows these calls.
    pub at_best: Duration,
}

/// Drains each limit for about this many seconds.
pub async fn measure(cluster: &Cluster<'_>, auth0: &Auth0, seconds: f64) -> Vec<Drain> {
    progress(&format!("three limits, drained for {seconds:.0} s and longer"));
    let mut namespaces = Vec::new();
    let limits = limits();
    for limit in &limits {
        // A DELETE and a read for each object.
        let objects = (f64::from(limit.bucket.burst) + seconds * limit.stretch * limit.bucket.per_second) as usize / 2;
        let conditions = Conditions { latency: LATENCY, ..Conditions::limit(limit.bucket) };
        namespaces.push((prepare(cluster, auth0, limit.namespace, conditions, objects).await, limit, objects));
    }
    join_all(namespaces.iter().map(|(ns, limit, objects)| drain(ns, limit, *objects))).await
}

async fn drain(ns: &Namespace<'_>, limit: &Limit, objects: usize) -> Drain {
    let mut watch = Watch::start(ns.cluster, Kind::UserRoles, ns.name).await;
    let operator = Operator::start(Who::Rescind, ns).await;
    watch.wait(objects).await;
    operator.stop();
    let calls = ns.fake.calls();
    let limited = calls.iter().filter(|call| call.status() == Some(429)).count();
    let through = calls.len() - limited;
    let took = calls.last().zip(calls.first()).map_or(Duration::ZERO, |(last, first)| last.at - first.at);
    let at_best =
        Duration::from_secs_f64((through as f64 - f64::from(limit.bucket.burst)).max(0.0) / limit.bucket.per_second);
    Drain { what: limit.what, calls: through, limited, took, at_best }
}
