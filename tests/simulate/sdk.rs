//! The client that Rescind is compared with: one DELETE and one read for each object, ten at a time. It retries as the
//! official Node SDK does: twice, after a wait until `X-RateLimit-Reset` with up to a fifth of jitter, at most a
//! minute. After three 429s it gives up, and the removal is lost.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use rescind::auth0::{CallError, Endpoint, Item, Read};

use crate::auth0::{Wire, seconds};
use crate::plans::Plan;
use crate::{Cost, Kind, LATENCY};

/// The number of concurrent calls.
const WORKERS: usize = 10;
const ATTEMPTS: u32 = 3;
const LONGEST: f64 = 60.0;

/// The next call of a worker: its time, its object, which of the two calls it is, and how often it was refused.
type Next = Reverse<(Duration, usize, u8, u32)>;

pub fn run(plan: &Plan, kind: Kind, objects: usize) -> Cost {
    let mut auth0 = crate::tenant(plan, kind, objects);
    let mut rng = fastrand::Rng::with_seed(7);
    let mut queue: BinaryHeap<Next> = (0..WORKERS.min(objects)).map(|n| Reverse((Duration::ZERO, n, 0, 0))).collect();
    let (mut next, mut lost, mut took) = (WORKERS, 0, Duration::ZERO);
    while let Some(Reverse((at, n, step, refused))) = queue.pop() {
        let (endpoint, item) = kind.removal(n);
        let wire =
            if step == 0 { Wire::Delete(endpoint, vec![item]) } else { Wire::Get(verify(endpoint, item), page()) };
        let answer = auth0.call(&wire, 1, None, seconds(at));
        let done = at + LATENCY;
        took = took.max(done);
        let again = match answer.outcome {
            Err(CallError::RateLimited(_)) if refused + 1 < ATTEMPTS => {
                let to_reset = answer.limits.reset.zip(answer.limits.date).map_or(1.0, |(r, d)| (r - d) as f64);
                let wait = (to_reset * (1.0 + 0.2 * rng.f64())).min(LONGEST);
                Some((done + Duration::from_secs_f64(wait.max(0.0)), n, step, refused + 1))
            }
            Err(_) => {
                lost += usize::from(step == 0);
                None
            }
            Ok(_) if step == 0 => Some((done, n, 1, 0)),
            Ok(_) => None,
        };
        if let Some(again) = again {
            queue.push(Reverse(again));
        } else if next < objects {
            queue.push(Reverse((done, next, 0, 0)));
            next += 1;
        }
    }
    Cost { calls: auth0.calls.values().sum(), limited: auth0.limited, lost, took }
}

fn verify(endpoint: Endpoint, item: Item) -> Read {
    match (endpoint, item) {
        (Endpoint::OrganizationMembers { .. }, Item::Id(user)) => Read::UserOrganizations { user },
        (endpoint, _) => Read::List(endpoint),
    }
}

fn page() -> Vec<(&'static str, String)> {
    vec![("page", "0".into()), ("per_page", "50".into()), ("include_totals", "true".into())]
}
