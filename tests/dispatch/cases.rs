//! Single cases of batching, splitting, limits and outages, each with the number of calls or the time it may take.

use std::sync::Arc;
use std::time::Duration;

use rescind::auth0::{CallError, Endpoint, Item, Missing};
use rescind::dispatch::{End, Limits};

use crate::auth0::{Auth0, Bucket, Fault, Wire, seconds};
use crate::sim::{NetworkModel, Object, Sim};

const MEMBERS: (&str, &str) = ("DELETE", "organizations/{id}/members");
const WALK: (&str, &str) = ("GET", "organizations/{id}/members");
const PERSON: (&str, &str) = ("GET", "users/{id}/organizations");

pub fn open(reserve_percent: f64) -> Limits {
    Limits { max_per_second: 5000.0, reserve_percent }
}

pub fn calm(latency_ms: u64) -> NetworkModel {
    Box::new(move |_, _| (Duration::from_millis(latency_ms), None))
}

pub fn organization(name: &str) -> Endpoint {
    Endpoint::OrganizationMembers { organization: name.into() }
}

pub fn id(text: String) -> Item {
    Item::Id(text.into())
}

/// A calm run in which all calls draw from one bucket.
pub fn limited(bucket: Bucket, reserve_percent: f64, latency_ms: u64) -> Sim {
    let mut auth0 = Auth0::default();
    all_draw_from(&mut auth0, bucket);
    Sim::new(auth0, open(reserve_percent), calm(latency_ms))
}

/// Adds `count` objects, each with one member of the organization, that arrive at 700 a second, as after a start.
pub fn leavers(sim: &mut Sim, namespace: &str, organization: &Endpoint, count: usize) {
    let namespace: Arc<str> = namespace.into();
    let first = sim.objects.len();
    for n in first..first + count {
        let member = id(format!("auth0|{n:06}"));
        sim.auth0.give(organization, member.clone());
        let object = Object::new(&namespace, n, organization.clone(), vec![member], true);
        sim.add(object, Duration::from_secs_f64((n - first) as f64 / 700.0));
    }
}

pub fn all_draw_from(auth0: &mut Auth0, bucket: Bucket) {
    auth0.buckets = vec![bucket];
    for call in crate::properties::CALLS {
        auth0.drawn.insert(call, vec![0]);
    }
}

pub fn assert_all_gone(sim: &Sim) {
    for object in &sim.objects {
        let report = &object.ended.as_ref().unwrap().1;
        assert_eq!(report.end, End::Gone, "{:?}", object.owner);
        assert!(object.removal.items.iter().all(|item| !sim.auth0.holds(&object.removal.endpoint, item)));
    }
}

/// At most 1,020 DELETEs and 1,300 calls in all, and within 5 % of the time that the bucket needs for them.
#[test]
fn ten_thousand_leavers_cost_a_thousand_calls() {
    let mut auth0 = Auth0::default();
    all_draw_from(&mut auth0, Bucket::new(50.0, 50.0));
    auth0.lag = 7.0;
    let mut sim = Sim::new(auth0, open(0.0), calm(40));
    let acme = organization("org_acme");
    leavers(&mut sim, "a", &acme, 10_000);
    // With members who stay, the list has pages to walk even at the end.
    for n in 0..500 {
        sim.auth0.give(&acme, id(format!("auth0|stays-{n}")));
    }
    sim.run(Duration::from_secs(600));
    assert_all_gone(&sim);
    let (deletes, all) = (sim.auth0.calls["DELETE"], sim.auth0.calls.values().sum::<u64>());
    assert!(deletes <= 1020 && all <= 1300 && sim.auth0.limited <= 5, "{deletes}, {all}, {}", sim.auth0.limited);
    let drained = sim.sent.last().unwrap().0;
    let ratio = seconds(drained) / ((deletes as f64 - 50.0) / 50.0);
    assert!(ratio <= 1.05, "{ratio}");
}

/// Those of a crowd whom the list of members has had the time to forget are proved by an early walk, unless the list is
/// too long for one.
#[test]
fn most_of_a_crowd_is_proved_early() {
    for (stay, pages, early) in [(300, 80, 1_500), (8_000, 300, 0)] {
        let mut auth0 = Auth0::default();
        all_draw_from(&mut auth0, Bucket::new(30.0, 30.0));
        auth0.lag = 7.0;
        let mut sim = Sim::new(auth0, open(0.0), calm(40));
        let acme = organization("org_acme");
        leavers(&mut sim, "a", &acme, 6_000);
        for n in 0..stay {
            sim.auth0.give(&acme, id(format!("auth0|stays-{n}")));
        }
        sim.run(Duration::from_secs(600));
        assert_all_gone(&sim);
        let last_delete = sim.sent.iter().filter(|(_, jobs)| jobs.len() > 1).map(|(at, _)| *at).max().unwrap();
        let is_early = |object: &&Object| object.ended.as_ref().unwrap().0 < last_delete + Duration::from_secs(9);
        let proved_early = sim.objects.iter().filter(is_early).count();
        assert!(proved_early >= early && (early > 0 || proved_early == 0), "{proved_early} of those beside {stay}");
        assert!(sim.auth0.calls["GET"] <= pages, "{:?}", sim.auth0.calls);
    }
}

/// A list that is too long for an early walk is not walked in vain after each removal that follows, and the walk of all
/// comes in time.
#[test]
fn an_early_walk_is_not_given_up_again_and_again() {
    let mut auth0 = Auth0::default();
    auth0.lag = 7.0;
    let mut sim = Sim::new(auth0, open(0.0), calm(40));
    let acme = organization("org_acme");
    leavers(&mut sim, "a", &acme, 200);
    for n in 0..2_000 {
        sim.auth0.give(&acme, id(format!("auth0|stays-{n}")));
    }
    let team: Arc<str> = "a".into();
    for n in 200..360 {
        let member = id(format!("auth0|{n:06}"));
        sim.auth0.give(&acme, member.clone());
        let object = Object::new(&team, n, acme.clone(), vec![member], true);
        sim.add(object, Duration::from_secs(5 * (n as u64 - 198)));
    }
    sim.run(Duration::from_secs(3600));
    assert_all_gone(&sim);
    let last = sim.objects[..200].iter().map(|object| object.ended.as_ref().unwrap().0).max().unwrap();
    assert!(last < Duration::from_secs(650), "{last:?}");
    assert!(sim.auth0.calls["GET"] < 250, "{:?}", sim.auth0.calls);
}

/// The few whom an early walk leaves over are not read about before the list has settled.
#[test]
fn what_an_early_walk_leaves_over_waits_for_the_list() {
    let mut auth0 = Auth0::default();
    auth0.lag = 7.0;
    let mut sim = Sim::new(auth0, open(0.0), calm(40));
    let acme = organization("org_acme");
    leavers(&mut sim, "a", &acme, 200);
    let team: Arc<str> = "a".into();
    for n in 200..205 {
        let member = id(format!("auth0|{n:06}"));
        sim.auth0.give(&acme, member.clone());
        sim.add(Object::new(&team, n, acme.clone(), vec![member], true), Duration::from_secs(9));
    }
    sim.run(Duration::from_secs(600));
    assert_all_gone(&sim);
    let early = sim.objects[0].ended.as_ref().unwrap().0;
    assert!(early < Duration::from_secs(13), "{early:?}");
    assert_eq!(sim.auth0.calls["GET"], 2, "{:?}", sim.auth0.calls);
}

/// Promise 10.
#[test]
fn one_object_does_not_wait_behind_ten_thousand() {
    let mut sim = limited(Bucket::new(10.0, 2.0), 0.0, 40);
    // Five thousand objects at one endpoint, and five thousand at an endpoint each.
    leavers(&mut sim, "a", &organization("org_a"), 5_000);
    let crowd: Arc<str> = "a".into();
    for n in 5_000..10_000 {
        let endpoint = Endpoint::UserRoles { user: format!("auth0|{n}").into() };
        sim.auth0.give(&endpoint, id("rol_a".into()));
        sim.add(Object::new(&crowd, n, endpoint, vec![id("rol_a".into())], false), Duration::ZERO);
    }
    let b = organization("org_b");
    sim.auth0.give(&b, id("auth0|b".into()));
    let late = Duration::from_secs(60);
    let own = sim.add(Object::new(&"b".into(), 99_999, b, vec![id("auth0|b".into())], true), late);
    sim.run(Duration::from_secs(3 * 3600));
    let before = sim.sent.iter().filter(|(at, _)| *at >= late);
    let before = before.take_while(|(_, objects)| !objects.contains(&own)).count();
    assert!(before <= 2, "{before} calls of others");
}

/// The reserve of the bucket is there for the customer's own calls.
#[test]
fn a_fifth_of_the_bucket_is_left_to_others() {
    let mut sim = limited(Bucket::new(50.0, 50.0), 20.0, 40);
    leavers(&mut sim, "a", &organization("org_a"), 5_000);
    // Logins come in bursts: here nearly a fifth of the bucket at once.
    sim.competitor = Some((Duration::from_secs(1), 8, WALK));
    sim.run(Duration::from_secs(600));
    let (got, refused) = sim.competed;
    assert!(refused * 100 <= got && sim.auth0.limited <= 5, "{got} got through, {refused} not; {}", sim.auth0.limited);
}

/// A refused batch is split: the bad item fails alone and the others succeed, in few calls.
#[test]
fn a_bad_item_of_a_batch_fails_alone() {
    let mut sim = Sim::new(Auth0::default(), open(0.0), calm(40));
    leavers(&mut sim, "a", &organization("org_a"), 11);
    let bad = sim.objects[5].removal.items[0].clone();
    sim.auth0.poison.insert(bad);
    sim.run(Duration::from_secs(60));
    for (n, object) in sim.objects.iter().enumerate() {
        let report = &object.ended.as_ref().unwrap().1;
        assert_eq!(matches!(report.end, End::Failed(CallError::Rejected(_))), n == 5, "{report:?}");
    }
    // One call for the first object, one for the other ten, and two for each halving.
    assert!(sim.auth0.calls["DELETE"] <= 10, "{:?}", sim.auth0.calls);
}

/// So does an item that Auth0 says it does not know.
#[test]
fn an_unknown_item_of_a_batch_fails_alone() {
    let mut sim = Sim::new(Auth0::default(), open(0.0), calm(40));
    same_person(&mut sim, 11);
    let unknown = sim.objects[5].removal.items[0].clone();
    sim.auth0.unknown.insert(unknown.clone(), Missing::Item);
    sim.run(Duration::from_secs(60));
    for (n, object) in sim.objects.iter().enumerate() {
        let report = &object.ended.as_ref().unwrap().1;
        assert_eq!(report.end == End::NotFound(Missing::Item), n == 5, "{report:?}");
        assert_eq!(report.not_found, if n == 5 { vec![unknown.clone()] } else { vec![] });
    }
}

/// An object that makes Auth0 fail does not hold up those in the same batch.
#[test]
fn an_object_that_breaks_auth0_holds_up_no_other() {
    let mut sim = Sim::new(Auth0::default(), open(0.0), calm(40));
    leavers(&mut sim, "a", &organization("org_a"), 21);
    let bad = sim.objects[5].removal.items[0].clone();
    sim.auth0.crashing.insert(bad);
    sim.change(Duration::from_secs(100), Box::new(|auth0: &mut Auth0| auth0.crashing.clear()));
    sim.run(Duration::from_secs(900));
    assert_all_gone(&sim);
    for (n, object) in sim.objects.iter().enumerate().filter(|(n, _)| *n != 5) {
        assert!(object.ended.as_ref().unwrap().0 < Duration::from_secs(10), "object {n} was held up");
    }
}

/// Eleven objects, each with one role of the same person.
fn same_person(sim: &mut Sim, count: usize) -> Endpoint {
    let endpoint = Endpoint::UserRoles { user: "auth0|person".into() };
    let namespace: Arc<str> = "a".into();
    for n in 0..count {
        let role = id(format!("rol_{n}"));
        sim.auth0.give(&endpoint, role.clone());
        sim.add(Object::new(&namespace, n, endpoint.clone(), vec![role], true), Duration::from_millis(n as u64));
    }
    endpoint
}

/// After a lost answer the list is read before the DELETE is repeated. Here the removal was done, so it is not repeated
/// where lists do not lag. At an organization it is repeated all the same, in smaller calls.
#[test]
fn a_lost_answer_is_read_before_it_is_repeated() {
    for roles in [true, false] {
        let mut lost = false;
        let network: NetworkModel = Box::new(move |_, wire| {
            let fault = match wire {
                Wire::Delete(_, items) if items.len() > 1 && !lost => {
                    lost = true;
                    Some(Fault::Forgets)
                }
                _ => None,
            };
            (Duration::from_millis(40), fault)
        });
        let mut sim = Sim::new(Auth0::default(), open(0.0), network);
        if roles {
            same_person(&mut sim, 11);
        } else {
            leavers(&mut sim, "a", &organization("org_a"), 11);
        }
        sim.run(Duration::from_secs(60));
        assert_all_gone(&sim);
        let accepted = sim.objects.iter().filter(|object| !object.ended.as_ref().unwrap().1.accepted.is_empty());
        assert_eq!(accepted.count(), if roles { 1 } else { 11 }, "what a read found gone was accepted");
        assert_eq!(sim.auth0.calls["DELETE"], if roles { 2 } else { 4 });
    }
}

/// A failing Auth0 costs fewer calls than a healthy one.
#[test]
fn an_outage_costs_few_calls() {
    let network: NetworkModel = Box::new(|now, _| {
        let down = now < Duration::from_secs(300);
        (Duration::from_millis(40), down.then_some(Fault::Refuses))
    });
    let mut sim = Sim::new(Auth0::default(), open(0.0), network);
    leavers(&mut sim, "a", &organization("org_a"), 1000);
    sim.run(Duration::from_secs(3600));
    assert_all_gone(&sim);
    // Until then, nine attempts each, at two calls for ten objects.
    assert!(sim.auth0.calls.values().sum::<u64>() <= 1000 * 4, "{:?}", sim.auth0.calls);
}

/// At an organization that does not exist: one DELETE and one read for each ten objects.
#[test]
fn a_missing_organization_costs_two_calls_for_ten() {
    let mut sim = Sim::new(Auth0::default(), open(0.0), calm(40));
    let namespace: Arc<str> = "a".into();
    for n in 0..101 {
        let object = Object::new(&namespace, n, organization("org_none"), vec![id(format!("auth0|{n}"))], true);
        sim.add(object, Duration::ZERO);
    }
    sim.run(Duration::from_secs(60));
    assert!(sim.objects.iter().all(|object| object.ended.as_ref().unwrap().1.end == End::NotFound(Missing::Subject)));
    assert!(sim.auth0.calls.values().sum::<u64>() <= 24, "{:?}", sim.auth0.calls);
}

/// Few members of a large organization are verified one by one, many by one walk of its list.
#[test]
fn members_are_verified_the_cheaper_way() {
    for (leaving, most) in [(3, 3 * 2 + 1), (400, 40 + 60)] {
        let mut sim = Sim::new(Auth0::default(), open(0.0), calm(40));
        let acme = organization("org_acme");
        leavers(&mut sim, "a", &acme, leaving);
        for n in 0..2_000 {
            sim.auth0.give(&acme, id(format!("auth0|stays-{n}")));
        }
        sim.auth0.drawn.extend([(MEMBERS, vec![]), (WALK, vec![]), (PERSON, vec![])]);
        sim.run(Duration::from_secs(60));
        assert_all_gone(&sim);
        let calls: u64 = sim.auth0.calls.values().sum();
        assert!(calls <= most + 8, "{calls} for {leaving}: {:?}", sim.auth0.calls);
    }
}

/// Jobs with different credentials never share a call, and jobs whose tenant gets another credential move with their
/// results so far. `sim` asserts this for every call; here all are removed, once.
#[test]
fn credentials_do_not_mix() {
    let mut sim = Sim::new(Auth0::default(), open(0.0), calm(40));
    leavers(&mut sim, "a", &organization("org_a"), 80);
    for n in 0..40 {
        sim.objects[n].credential = 1 + n as u64 % 2;
    }
    // These get another credential between their submission and their call.
    for n in 40..80 {
        sim.objects[n].rotates = Some((Duration::from_millis(n as u64 * 3 / 2 + 5), 3 + n as u64 % 2));
    }
    sim.run(Duration::from_secs(60));
    assert_all_gone(&sim);
    for (_, objects) in &sim.sent {
        let credential = |n: usize| sim.objects[n].credential;
        assert!(objects.iter().all(|n| credential(*n) == credential(objects[0])), "{objects:?}");
    }
    assert!(sim.auth0.calls["DELETE"] <= 24, "{:?}", sim.auth0.calls);
}

/// The smallest plan: a bucket of two calls, two a second, for all calls together.
#[test]
fn the_smallest_bucket_is_learned() {
    let mut sim = limited(Bucket::new(2.0, 2.0), 20.0, 150);
    leavers(&mut sim, "a", &organization("org_a"), 1000);
    sim.run(Duration::from_secs(600));
    assert_all_gone(&sim);
    assert!(sim.auth0.limited <= 5, "{}", sim.auth0.limited);
}
