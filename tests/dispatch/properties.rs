//! Random runs: nothing is lost, nothing is sent twice at once, no verdict is early, no bound is broken. `sim` asserts
//! what must hold at each call; these tests assert what must hold at the end.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use rescind::auth0::{CallError, Endpoint, Item, Missing, Question};
use rescind::dispatch::{End, Limits, Unverified};

use crate::auth0::{Auth0, Bucket, Fault, Wire};
use crate::sim::{Object, Sim};

pub const CALLS: [(&str, &str); 9] = [
    ("DELETE", "users/{id}/permissions"),
    ("DELETE", "users/{id}/roles"),
    ("DELETE", "organizations/{id}/members"),
    ("DELETE", "organizations/{id}/members/{user_id}/roles"),
    ("GET", "users/{id}/permissions"),
    ("GET", "users/{id}/roles"),
    ("GET", "organizations/{id}/members"),
    ("GET", "organizations/{id}/members/{user_id}/roles"),
    ("GET", "users/{id}/organizations"),
];

#[derive(Clone, Debug)]
struct Plan {
    seed: u64,
    objects: usize,
    namespaces: usize,
    credentials: u64,
    /// The seconds over which objects arrive.
    over: f64,
    buckets: Vec<(f64, f64, bool)>,
    /// Whether all calls also share the first bucket.
    shared: bool,
    reserve: f64,
    ceiling: f64,
    latency_ms: u64,
    hung_percent: u64,
    fault_percent: u64,
    lag: f64,
    skew: f64,
    poison: usize,
    crashing: usize,
    withdrawn: usize,
    verify_off: usize,
    shrink: bool,
    /// The number of objects whose tenant gets another credential meanwhile; whether one credential is refused.
    rotates: usize,
    refused: bool,
    /// The numbers of items that Auth0 does not know and of endpoints that do not exist.
    unknown: usize,
    missing: usize,
    /// The number of objects that only learn something.
    asking: usize,
    /// The longest preflight check in milliseconds, and the number of panics of the machine.
    checks_ms: u64,
    panics: usize,
}

fn plans() -> impl Strategy<Value = Plan> {
    let bucket = (2.0f64..60.0, 0.5f64..50.0, any::<bool>());
    let crowd = (1usize..60, 1usize..5, 1u64..4, prop_oneof![Just(0.0), 0.0f64..40.0]);
    let limits = (prop::collection::vec(bucket, 10), any::<bool>(), 0.0f64..50.0, 2.0f64..200.0, any::<bool>());
    let network = (1u64..600, 0u64..3, prop_oneof![Just(0u64), 0u64..30], 0.0f64..12.0, -4000.0f64..4000.0);
    let trouble = (0usize..3, 0usize..3, 0usize..6, 0usize..6, 0usize..3, 0usize..3, 0usize..8);
    let house = (0usize..8, any::<bool>(), prop_oneof![Just(0u64), 1u64..800], prop_oneof![Just(0usize), 0usize..3]);
    (any::<u64>(), crowd, limits, network, trouble, house).prop_map(|(seed, crowd, limits, network, trouble, house)| {
        let (objects, namespaces, credentials, over) = crowd;
        let (buckets, shared, reserve, ceiling, shrink) = limits;
        let (latency_ms, hung_percent, fault_percent, lag, skew) = network;
        let (poison, crashing, withdrawn, verify_off, unknown, missing, asking) = trouble;
        let (rotates, refused, checks_ms, panics) = house;
        let skew = skew.round();
        Plan {
            seed,
            objects,
            namespaces,
            credentials,
            over,
            buckets,
            shared,
            reserve,
            ceiling,
            latency_ms,
            hung_percent,
            fault_percent,
            lag,
            skew,
            poison,
            crashing,
            withdrawn,
            verify_off,
            shrink,
            rotates,
            refused,
            unknown,
            missing,
            asking,
            checks_ms,
            panics,
        }
    })
}

/// Faults end at this time.
const CALM: Duration = Duration::from_secs(120);

fn endpoint(rng: &mut fastrand::Rng) -> (Endpoint, Vec<Item>) {
    let user = |rng: &mut fastrand::Rng| Arc::<str>::from(format!("auth0|{}", rng.u8(..4)));
    let organization = |rng: &mut fastrand::Rng| Arc::<str>::from(format!("org_{}", rng.u8(..2)));
    let ids = |rng: &mut fastrand::Rng, prefix: &str, of: u8, most: usize| {
        let mut items: Vec<Item> =
            (0..rng.usize(1..=most)).map(|_| Item::Id(format!("{prefix}{}", rng.u8(..of)).into())).collect();
        items.sort_unstable();
        items.dedup();
        items
    };
    match rng.u8(..8) {
        0 => {
            let name =
                |n: u8| Item::Permission { resource_server: "https://api/".into(), name: format!("p{n}").into() };
            (Endpoint::UserPermissions { user: user(rng) }, vec![name(rng.u8(..5))])
        }
        1 | 2 => (Endpoint::UserRoles { user: user(rng) }, ids(rng, "rol_", 60, 55)),
        3 => {
            let endpoint = Endpoint::OrganizationMemberRoles { organization: organization(rng), user: user(rng) };
            (endpoint, ids(rng, "rol_", 9, 3))
        }
        _ => (Endpoint::OrganizationMembers { organization: organization(rng) }, ids(rng, "auth0|m", 120, 12)),
    }
}

fn build(plan: &Plan) -> Sim {
    let mut rng = fastrand::Rng::with_seed(plan.seed);
    let mut auth0 = Auth0::default();
    (auth0.lag, auth0.skew) = (plan.lag, plan.skew);
    for (n, (burst, refill, reported)) in plan.buckets.iter().enumerate() {
        let bucket = Bucket::new(burst.floor(), refill.max(burst / 60.0));
        // The last bucket is the shared one.
        auth0.buckets.push(if *reported && n < 9 { bucket } else { bucket.hidden() });
    }
    for (n, call) in CALLS.iter().enumerate() {
        auth0.drawn.insert(*call, if plan.shared { vec![9, n] } else { vec![n] });
    }
    let namespaces: Vec<Arc<str>> = (0..plan.namespaces).map(|n| format!("ns{n}").into()).collect();
    let mut objects: Vec<Object> = (0..plan.objects)
        .map(|n| {
            let (endpoint, items) = endpoint(&mut rng);
            let mut object =
                Object::new(&namespaces[rng.usize(..namespaces.len())], n, endpoint, items, n >= plan.verify_off);
            object.credential = rng.u64(1..=plan.credentials);
            object.before = rng.u8(..4) == 0;
            object
        })
        .collect();
    for (n, object) in objects.iter_mut().rev().take(plan.asking).enumerate() {
        let organization: Arc<str> = "org_0".into();
        object.asks = Some(match n % 4 {
            0 => Question::ApiSettings { identifier: "https://api/".into() },
            1 => Question::ApiSettings { identifier: "unknown".into() },
            2 => Question::LoginMembership { organization },
            _ => Question::MemberCount { organization },
        });
    }
    let missing: Vec<&Endpoint> = objects.iter().rev().take(plan.missing).map(|o| &o.removal.endpoint).collect();
    for object in &objects {
        // Some items are held and some never were; some endpoints do not exist.
        if missing.contains(&&object.removal.endpoint) {
            continue;
        }
        auth0.held.entry(object.removal.endpoint.clone()).or_default();
        for item in &object.removal.items {
            if rng.u8(..4) > 0 {
                auth0.give(&object.removal.endpoint, item.clone());
            }
        }
    }
    for (n, object) in objects.iter().enumerate() {
        let item = object.removal.items[0].clone();
        if n < plan.poison {
            auth0.poison.insert(item);
        } else if n < plan.poison + plan.crashing {
            auth0.crashing.insert(item);
        } else if n < plan.poison + plan.crashing + plan.unknown {
            // An item that does not exist is not held.
            auth0.held.values_mut().for_each(|held| held.retain(|other| *other != item));
            auth0.unknown.insert(item, if n % 2 == 0 { Missing::Item } else { Missing::Unclear });
        }
    }
    if plan.refused {
        auth0.refused.insert(plan.credentials);
    }
    let (latency, hung, faults) = (plan.latency_ms, plan.hung_percent, plan.fault_percent);
    let mut weather_rng = rng.fork();
    let network = move |now: Duration, _: &Wire| {
        let rng = &mut weather_rng;
        if now > CALM {
            return (Duration::from_millis(latency), None);
        }
        if rng.u64(..100) < hung {
            // Our own timeout; the call may have been carried out or not.
            let fault = if rng.bool() { Fault::Forgets } else { Fault::Refuses };
            return (Duration::from_secs(30), Some(fault));
        }
        let fault = (rng.u64(..100) < faults).then(|| match rng.u8(..8) {
            0 | 1 => Fault::Forgets,
            2 | 3 => Fault::Refuses,
            4 => Fault::Stays,
            5 => Fault::Declines,
            6 => Fault::Garbles,
            _ => Fault::Limits(rng.u64(1..20)),
        });
        (Duration::from_millis(rng.u64(1..=latency)), fault)
    };
    let limits = Limits { max_per_second: plan.ceiling, reserve_percent: plan.reserve };
    let mut sim = Sim::new(auth0, limits, Box::new(network));
    let (mut checks_rng, most) = (rng.fork(), plan.checks_ms);
    sim.checks = Box::new(move || Duration::from_millis(if most == 0 { 0 } else { checks_rng.u64(..most) }));
    for (n, mut object) in objects.into_iter().enumerate() {
        let at = Duration::from_secs_f64(plan.over * rng.f64());
        if n < plan.rotates {
            let to = rng.u64(1..=plan.credentials);
            let when = Duration::from_secs_f64((plan.over + 5.0) * rng.f64());
            object.rotates = (to != object.credential).then_some((when, to));
        }
        sim.add(object, at);
    }
    for _ in 0..plan.panics {
        sim.panic(Duration::from_secs_f64((plan.over + 20.0) * rng.f64()));
    }
    for _ in 0..plan.withdrawn {
        let at = Duration::from_secs_f64((plan.over + 10.0) * rng.f64());
        sim.withdraw(rng.usize(..plan.objects), at);
    }
    if plan.shrink {
        let shrink = |auth0: &mut Auth0| {
            auth0.buckets.iter_mut().for_each(|b| b.resize((b.burst / 2.0).floor().max(2.0), b.refill / 2.0))
        };
        sim.change(Duration::from_secs(10), Box::new(shrink));
    }
    sim.change(CALM, Box::new(|auth0: &mut Auth0| auth0.crashing.clear()));
    sim
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_wanted_removal_reaches_a_true_verdict(plan in plans()) {
        let mut sim = build(&plan);
        sim.run(Duration::from_secs(4 * 3600));
        for (n, object) in sim.objects.iter().enumerate().filter(|(_, object)| !object.withdrawn) {
            let (endpoint, items) = (&object.removal.endpoint, &object.removal.items);
            let named = |of: &dyn Fn(&Item) -> bool| items.iter().any(of);
            let poisoned = named(&|item| sim.auth0.poison.contains(item));
            let unknown = named(&|item| sim.auth0.unknown.contains_key(item));
            let exists = sim.auth0.held.contains_key(endpoint);
            let (_, report) = object.ended.as_ref().unwrap();
            let still: Vec<_> = items.iter().filter(|item| sim.auth0.holds(endpoint, item)).collect();
            match &report.end {
                End::Gone => {
                    prop_assert!(still.is_empty(), "{still:?} is still there");
                    prop_assert!(sim.read_in_time(n), "a read that began too early: {report:?}");
                }
                End::Unverified(Unverified::Never) => prop_assert!(!object.verify && still.is_empty()),
                End::Unverified(_) => prop_assert!(plan.fault_percent > 0 && still.is_empty(), "{report:?}"),
                // The items of one object are not split, so its other items may be left.
                End::Failed(CallError::Rejected(_)) => prop_assert!(poisoned, "the bad one fails alone: {report:?}"),
                End::Failed(CallError::Unauthorized(_)) => prop_assert!(sim.auth0.refused.contains(&object.credential)),
                End::NotFound(Missing::Subject) => prop_assert!(!exists, "{report:?}"),
                End::NotFound(Missing::Item) => {
                    prop_assert!(unknown && exists, "{report:?}");
                    prop_assert!(report.not_found.iter().all(|item| sim.auth0.unknown.contains_key(item)));
                    prop_assert!(still.iter().all(|item| report.not_found.contains(item)));
                }
                End::Learned => {
                    let question = object.asks.as_ref().unwrap();
                    let facts = sim.machine.facts(crate::sim::connection(object.credential));
                    let is_known = facts.is_some_and(|facts| facts.get(question).is_some());
                    prop_assert!(is_known || plan.panics > 0, "{question:?} has no answer");
                }
                End::NotFound(Missing::Unclear) => prop_assert!(plan.fault_percent > 0 && (unknown || !exists)),
                other => prop_assert!(false, "{other:?}"),
            }
            prop_assert!(report.accepted.len() + report.already_absent.len() <= items.len());
        }
    }

    /// The reserve of every reported bucket stays for others, whether each kind of call has its own bucket or all share
    /// one; no call of ours gets a 429.
    #[test]
    fn the_reserve_is_kept(plan in plans(), one in any::<bool>()) {
        let plan = Plan { fault_percent: 0, hung_percent: 0, shrink: false, shared: false, panics: 0, ..plan };
        let mut sim = build(&plan);
        for bucket in &mut sim.auth0.buckets {
            bucket.reported = true;
        }
        if one {
            sim.auth0.drawn.values_mut().for_each(|drawn| *drawn = vec![0]);
        }
        sim.run(Duration::from_secs(4 * 3600));
        for bucket in &sim.auth0.buckets {
            let reserve = (bucket.burst * plan.reserve / 100.0).floor().min(bucket.burst - 2.0);
            // Two calls of a kind may leave before its first answer; headers count whole tokens and whole seconds.
            let fair = (bucket.burst - if one { 8.0 } else { 2.0 }).min(reserve) - 2.0;
            prop_assert!(bucket.lowest >= fair, "{} left of {}, {} are reserved", bucket.lowest, bucket.burst, reserve);
        }
    }
}
