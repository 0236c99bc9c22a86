//! Jobs that only find out what is there: what they report, what they cost, and in whose way they are.

use std::sync::Arc;
use std::time::Duration;

use rescind::auth0::{Endpoint, Missing};
use rescind::dispatch::{End, Task};

use crate::auth0::{Auth0, Bucket};
use crate::cases::{all_draw_from, calm, id, leavers, limited, open, organization};
use crate::sim::{Object, Sim};

fn observer(namespace: &str, n: usize, endpoint: &Endpoint, members: &[&str]) -> Object {
    let items = members.iter().map(|member| id((*member).to_owned())).collect();
    let mut object = Object::new(&Arc::from(namespace), n, endpoint.clone(), items, true);
    object.observes = true;
    object
}

/// It names exactly what is there and removes nothing, whatever it is about.
#[test]
fn an_observation_says_what_is_there() {
    let mut sim = limited(Bucket::new(100.0, 100.0), 0.0, 40);
    let acme = organization("org_acme");
    sim.auth0.give(&acme, id("auth0|in".into()));
    let roles = Endpoint::UserRoles { user: "auth0|in".into() };
    sim.auth0.give(&roles, id("rol_a".into()));
    let of = |sim: &mut Sim, n, endpoint: &Endpoint, items: &[&str]| {
        sim.add(observer("a", n, endpoint, items), Duration::ZERO)
    };
    let both = of(&mut sim, 0, &acme, &["auth0|in", "auth0|out"]);
    let role = of(&mut sim, 1, &roles, &["rol_a", "rol_b"]);
    let none = of(&mut sim, 2, &roles, &["rol_b"]);
    sim.run(Duration::from_secs(60));
    assert!(!sim.auth0.calls.contains_key("DELETE"), "{:?}", sim.auth0.calls);
    let report = |n: usize| sim.objects[n].ended.as_ref().unwrap().1.clone();
    assert_eq!(report(both).end, End::Remaining(vec![id("auth0|in".into())]));
    assert_eq!(report(both).already_absent, [id("auth0|out".into())]);
    assert_eq!(report(role).end, End::Remaining(vec![id("rol_a".into())]));
    assert_eq!((report(none).end, report(none).task), (End::Gone, Task::Observe));
    assert!((0..3).all(|n| report(n).read_at.is_some() && report(n).accepted.is_empty()));
    assert!(sim.auth0.holds(&acme, &id("auth0|in".into())) && sim.auth0.holds(&roles, &id("rol_a".into())));
}

/// Three thousand checks of one organization that are due at the same time are one walk.
#[test]
fn checks_of_one_organization_are_one_walk() {
    let mut auth0 = Auth0::default();
    all_draw_from(&mut auth0, Bucket::new(50.0, 50.0));
    let mut sim = Sim::new(auth0, open(0.0), calm(40));
    let acme = organization("org_acme");
    for n in 0..3_000 {
        let member = format!("auth0|{n:06}");
        if n % 10 == 0 {
            sim.auth0.give(&acme, id(member.clone()));
        }
        sim.add(observer("a", n, &acme, &[&member]), Duration::from_micros(n as u64 * 100));
    }
    sim.run(Duration::from_secs(600));
    let remaining =
        sim.objects.iter().filter(|object| matches!(object.ended.as_ref().unwrap().1.end, End::Remaining(_)));
    assert_eq!(remaining.count(), 300);
    // Three hundred members are on six pages.
    assert!(sim.auth0.calls["GET"] <= 7, "{:?}", sim.auth0.calls);
}

/// Removals take no longer because of any number of observations than the stated share.
#[test]
fn observations_are_in_nobodys_way() {
    let drained = |observers: usize| {
        let mut sim = limited(Bucket::new(10.0, 10.0), 0.0, 40);
        for n in 0..observers {
            let roles = Endpoint::UserRoles { user: format!("auth0|seen-{n}").into() };
            sim.auth0.give(&roles, id("rol_a".into()));
            sim.add(observer("a", 100_000 + n, &roles, &["rol_a"]), Duration::ZERO);
        }
        leavers(&mut sim, "b", &organization("org_b"), 1_000);
        sim.run(Duration::from_secs(3600));
        sim.sent.last().unwrap().0.as_secs_f64()
    };
    let (alone, beside) = (drained(0), drained(600));
    assert!(beside <= alone * 1.1 + 2.0, "{beside} s instead of {alone} s");
}

/// A proof at a list that is being observed waits for the end of that walk, which then is as urgent as the proof.
#[test]
fn a_proof_does_not_wait_behind_an_observation() {
    let mut sim = limited(Bucket::new(10.0, 10.0), 0.0, 40);
    let acme = organization("org_acme");
    for n in 0..1_000 {
        sim.auth0.give(&acme, id(format!("auth0|stays-{n}")));
        sim.add(observer("a", 100_000 + n, &acme, &[&format!("auth0|stays-{n}")]), Duration::ZERO);
    }
    sim.auth0.give(&acme, id("auth0|leaves".into()));
    let leaves = Object::new(&"c".into(), 1, acme, vec![id("auth0|leaves".into())], true);
    let leaves = sim.add(leaves, Duration::from_secs(2));
    for n in 0..1_200 {
        let roles = Endpoint::UserRoles { user: format!("auth0|busy-{n}").into() };
        sim.auth0.give(&roles, id("rol_a".into()));
        let busy = Object::new(&"b".into(), 200_000 + n, roles, vec![id("rol_a".into())], false);
        sim.add(busy, Duration::from_secs(1));
    }
    sim.run(Duration::from_secs(3600));
    let (ended, report) = sim.objects[leaves].ended.as_ref().unwrap();
    assert_eq!(report.end, End::Gone);
    assert!(*ended < Duration::from_secs(60), "{ended:?}");
}

/// What does not exist is told apart from what is not held.
#[test]
fn an_observation_of_what_does_not_exist_says_so() {
    let unknown = organization("org_unknown");
    // One person is read alone, and two by the list of the organization.
    for members in [&["auth0|a"][..], &["auth0|a", "auth0|b"]] {
        let mut sim = limited(Bucket::new(100.0, 100.0), 0.0, 40);
        let n = sim.add(observer("a", 0, &unknown, members), Duration::ZERO);
        sim.run(Duration::from_secs(60));
        let report = &sim.objects[n].ended.as_ref().unwrap().1;
        assert_eq!((&report.end, report.seen), (&End::NotFound(Missing::Subject), false));
        assert!(sim.auth0.calls["GET"] <= 2, "{:?}", sim.auth0.calls);
    }
}

/// Whether there is an organization costs one more read, once for all who ask, unless the object knows it and has
/// nothing else to say.
#[test]
fn an_organization_without_the_members_is_seen() {
    for known_gone in [false, true] {
        let mut sim = limited(Bucket::new(100.0, 100.0), 0.0, 40);
        let acme = organization("org_acme");
        sim.auth0.give(&acme, id("auth0|stays".into()));
        let mut out = observer("a", 0, &acme, &["auth0|out"]);
        out.history.known_gone = known_gone;
        sim.add(out, Duration::ZERO);
        sim.run(Duration::from_secs(60));
        let report = &sim.objects[0].ended.as_ref().unwrap().1;
        assert_eq!((&report.end, report.already_absent.len(), report.seen), (&End::Gone, 1, !known_gone));
        assert_eq!(sim.auth0.calls["GET"], if known_gone { 1 } else { 2 }, "{:?}", sim.auth0.calls);
    }
}
