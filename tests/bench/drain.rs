//! How well the calls that Auth0 allows are used: one bucket for all calls, slow answers, headers in whole seconds,
//! nothing held back for others. In real time, all limits at once, each with an operator of its own: they wait, most of
//! the time.

use std::time::Duration;

use fake_auth0::Bucket;
use futures::future::join_all;

use crate::auth0::{Auth0, Conditions};
use crate::cluster::{Cluster, Kind, Site};
use crate::common::progress;
use crate::operator::{Operator, Who};
use crate::race::prepare;
use crate::watching::Watch;

const LATENCY: Duration = Duration::from_millis(150);

struct Limit {
    namespace: &'static str,
    what: &'static str,
    bucket: Bucket,
    /// How long it is drained for, compared to the others: fewer calls need longer to say something.
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
    /// Calls that got through.
    pub calls: usize,
    pub limited: usize,
    /// From the first call to the last.
    pub took: Duration,
    /// How long the bucket takes for these calls at best.
    pub at_best: Duration,
}

/// Each limit for about so many seconds.
pub async fn measure(cluster: &Cluster<'_>, auth0: &Auth0, seconds: f64) -> Vec<Drain> {
    progress(&format!("three limits, drained for {seconds:.0} s and longer"));
    let mut sites = Vec::new();
    let limits = limits();
    for limit in &limits {
        // A DELETE and a read for each object.
        let objects = (f64::from(limit.bucket.burst) + seconds * limit.stretch * limit.bucket.per_second) as usize / 2;
        let conditions = Conditions { latency: LATENCY, ..Conditions::limit(limit.bucket) };
        sites.push((prepare(cluster, auth0, limit.namespace, conditions, objects).await, limit, objects));
    }
    join_all(sites.iter().map(|(site, limit, objects)| drain(site, limit, *objects))).await
}

async fn drain(site: &Site<'_>, limit: &Limit, objects: usize) -> Drain {
    let mut watch = Watch::start(site.cluster, Kind::UserRoles, site.namespace).await;
    let operator = Operator::start(Who::Rescind, site).await;
    watch.wait(objects).await;
    operator.stop();
    let calls = site.fake.calls();
    let limited = calls.iter().filter(|call| call.status() == Some(429)).count();
    let through = calls.len() - limited;
    let took = calls.last().zip(calls.first()).map_or(Duration::ZERO, |(last, first)| last.at - first.at);
    let at_best = Duration::from_secs_f64((through as f64 - f64::from(limit.bucket.burst)).max(0.0) / limit.bucket.per_second);
    Drain { what: limit.what, calls: through, limited, took, at_best }
}
