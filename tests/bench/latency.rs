//! How long a removal takes on an idle system: from just before the apply request to the DELETE on the wire.

use std::time::{Duration, Instant};

use fake_auth0::{Call, Kind};

use crate::load::Finished;
use crate::world::{NAMESPACE, World, apply, manifest, name};
use crate::{ONE_BY_ONE, progress};

/// With a pause before each, after which the operator's caches are not believed any more and the API server is asked.
const AFTER_SILENCE: usize = 20;
const SILENCE: Duration = Duration::from_millis(1200);
const WITH_KUBECTL: usize = 5;
const PATIENCE: Duration = Duration::from_secs(30);

/// Sorted, in milliseconds.
pub struct Idle {
    pub one_by_one: Vec<f64>,
    /// Of these, how long the apply request itself took.
    pub applies: Vec<f64>,
    pub after_silence: Vec<f64>,
    pub with_kubectl: Vec<f64>,
}

pub async fn measure(world: &mut World<'_>) -> Idle {
    progress(&format!("latency of {} objects, one after another", ONE_BY_ONE + AFTER_SILENCE + WITH_KUBECTL));
    let mut idle = Idle { one_by_one: vec![], applies: vec![], after_silence: vec![], with_kubectl: vec![] };
    let mut finished = Finished::count(world.api(NAMESPACE)).await;
    for number in 0..ONE_BY_ONE + AFTER_SILENCE + WITH_KUBECTL {
        let (one_by_one, after_silence) = (number < ONE_BY_ONE, number < ONE_BY_ONE + AFTER_SILENCE);
        if !one_by_one {
            tokio::time::sleep(SILENCE).await;
        }
        let began = Instant::now();
        if after_silence {
            apply(&world.api(NAMESPACE), NAMESPACE, number).await;
            idle.applies.push(milliseconds(began.elapsed()));
        } else {
            let text = manifest(NAMESPACE, number).to_string();
            tokio::task::block_in_place(|| world.plane.apply(&text)).expect("kubectl applies");
        }
        let latency = milliseconds(arrival(world, number + 1).await - began);
        match (one_by_one, after_silence) {
            (true, _) => idle.one_by_one.push(latency),
            (_, true) => idle.after_silence.push(latency),
            _ => idle.with_kubectl.push(latency),
        }
        finished.wait(number + 1).await;
        world.used += 1;
    }
    let sample = world.api(NAMESPACE).get(&name(0)).await.expect("a finished object");
    world.status = serde_json::to_value(sample.status).unwrap();
    for latencies in [&mut idle.one_by_one, &mut idle.applies, &mut idle.after_silence, &mut idle.with_kubectl] {
        latencies.sort_by(f64::total_cmp);
    }
    idle
}

/// When the DELETE with this number, counted from 1, came in.
async fn arrival(world: &World<'_>, number: usize) -> Instant {
    let count = u64::try_from(number).unwrap();
    let calls = world.fake.wait_for_count(Kind::DeleteUserRoles, count, PATIENCE).await.expect("a DELETE");
    let mut deletes = calls.iter().filter(|call: &&std::sync::Arc<Call>| call.kind == Kind::DeleteUserRoles);
    deletes.nth(number - 1).expect("the log holds it").at
}

/// The value below which this share of the sorted values lies.
pub fn percentile(sorted: &[f64], share: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * share).ceil() as usize]
}

pub fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
