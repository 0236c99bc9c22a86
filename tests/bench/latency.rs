//! The latency of a removal on an idle system: from just before the apply request until the DELETE arrives.

use std::time::{Duration, Instant};

use fake_auth0::{Call, Kind as CallKind};

use crate::cluster::{Kind, Namespace, Removal};
use crate::common::progress;
use crate::watching::Watch;

/// Objects applied one after the other without a pause.
const ONE_BY_ONE: usize = 200;
/// Objects with a pause before each, after which the operator's caches are not fresh and it asks the API server.
const AFTER_SILENCE: usize = 20;
const SILENCE: Duration = Duration::from_millis(1200);
const WITH_KUBECTL: usize = 5;
/// All objects of this measurement.
pub const OBJECTS: usize = ONE_BY_ONE + AFTER_SILENCE + WITH_KUBECTL;
const PATIENCE: Duration = Duration::from_secs(30);

/// Latencies in milliseconds, sorted.
pub struct Idle {
    pub one_by_one: Vec<f64>,
    /// How long the apply requests of `one_by_one` took.
    pub applies: Vec<f64>,
    pub after_silence: Vec<f64>,
    pub with_kubectl: Vec<f64>,
}

/// Measures while an operator runs and is ready, with the objects from number `first` on.
pub async fn measure(ns: &Namespace<'_>, first: usize) -> Idle {
    progress(&format!("latency of {OBJECTS} objects, one after another"));
    ns.fake.reset_calls();
    let mut idle = Idle { one_by_one: vec![], applies: vec![], after_silence: vec![], with_kubectl: vec![] };
    let mut watch = Watch::start(ns.cluster, Kind::UserRoles, ns.name).await;
    for n in 0..OBJECTS {
        let number = first + n;
        let (one_by_one, after_silence) = (n < ONE_BY_ONE, n < ONE_BY_ONE + AFTER_SILENCE);
        if !one_by_one {
            tokio::time::sleep(SILENCE).await;
        }
        let began = Instant::now();
        if after_silence {
            ns.apply(Removal::Role, number..number + 1).await;
            idle.applies.push(milliseconds(began.elapsed()));
        } else {
            let mut manifest = Removal::Role.manifest(number);
            manifest["metadata"]["namespace"] = ns.name.into();
            let applied = tokio::task::block_in_place(|| ns.cluster.plane.apply(&manifest.to_string()));
            applied.expect("kubectl applies");
        }
        let latency = milliseconds(arrival(ns, n + 1).await - began);
        match (one_by_one, after_silence) {
            (true, _) => idle.one_by_one.push(latency),
            (_, true) => idle.after_silence.push(latency),
            _ => idle.with_kubectl.push(latency),
        }
        watch.wait(n + 1).await;
    }
    for latencies in [&mut idle.one_by_one, &mut idle.applies, &mut idle.after_silence, &mut idle.with_kubectl] {
        latencies.sort_by(f64::total_cmp);
    }
    idle
}

/// When the DELETE with this number, counted from 1, arrived.
async fn arrival(ns: &Namespace<'_>, number: usize) -> Instant {
    let count = u64::try_from(number).unwrap();
    let calls = ns.fake.wait_for_count(CallKind::DeleteUserRoles, count, PATIENCE).await.expect("a DELETE");
    let mut deletes = calls.iter().filter(|call: &&std::sync::Arc<Call>| call.kind == CallKind::DeleteUserRoles);
    deletes.nth(number - 1).expect("the log holds it").at
}

/// The percentile `share` (0 to 1) of sorted values.
pub fn percentile(sorted: &[f64], share: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * share).ceil() as usize]
}

pub fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
