//! Reads that fail on the way: which page is asked for again, which walk begins again, and what is not tried again.

use std::time::Duration;

use rescind::auth0::{Endpoint, Item};
use rescind::dispatch::{End, Unverified};

use crate::auth0::{Auth0, Fault, Wire};
use crate::cases::{assert_all_gone, calm, id, leavers, open, organization};
use crate::sim::{NetworkModel, Object, Sim};

fn roles() -> Endpoint {
    Endpoint::UserRoles { user: "auth0|jane".into() }
}

/// This fault of the GET with this number, counted from 1.
fn nth_read(n: u32, fault: Fault) -> NetworkModel {
    let mut reads = 0;
    Box::new(move |_, wire| {
        reads += u32::from(matches!(wire, Wire::Get(..)));
        let fails = matches!(wire, Wire::Get(..)) && reads == n;
        (Duration::from_millis(40), fails.then_some(fault))
    })
}

fn one(network: NetworkModel, endpoint: &Endpoint, items: Vec<Item>) -> Sim {
    let mut sim = Sim::new(Auth0::default(), open(0.0), network);
    items.iter().for_each(|item| sim.auth0.give(endpoint, item.clone()));
    sim.add(Object::new(&"a".into(), 0, endpoint.clone(), items, true), Duration::ZERO);
    sim
}

/// A read before the removal that the peer did not process is sent again at once. It is no attempt.
#[test]
fn a_first_page_that_was_not_processed_is_sent_again() {
    let mut sim = one(nth_read(1, Fault::Declines), &roles(), vec![id("rol_a".into())]);
    sim.objects[0].before = true;
    let report = sim.first_report(Duration::from_secs(60));
    assert_eq!(report.end, End::Gone);
    assert!(sim.now < Duration::from_secs(1), "{:?}", sim.now);
}

/// A page that is refused in the middle of a walk, as with a cursor that has expired, begins the walk again.
#[test]
fn a_refused_page_begins_the_walk_again() {
    let mut sim = Sim::new(Auth0::default(), open(0.0), nth_read(3, Fault::Rejects));
    let acme = organization("org_acme");
    leavers(&mut sim, "a", &acme, 100);
    (0..500).for_each(|n| sim.auth0.give(&acme, id(format!("auth0|stays-{n}"))));
    sim.run(Duration::from_secs(120));
    assert_all_gone(&sim);
    assert_eq!((sim.auth0.calls["DELETE"], sim.auth0.calls["GET"]), (11, 3 + 10));
}

/// A list that is longer than Auth0 lets be read does not become shorter by reading it again.
#[test]
fn a_list_that_is_too_long_is_read_once() {
    let mut sim = one(calm(40), &roles(), vec![id("rol_x".into())]);
    (0..1_100).for_each(|n| sim.auth0.give(&roles(), id(format!("rol_{n}"))));
    let report = sim.first_report(Duration::from_secs(60));
    assert!(matches!(report.end, End::Unverified(Unverified::ReadRefused(_))), "{report:?}");
    assert_eq!(sim.auth0.calls["GET"], 20, "{:?}", sim.auth0.calls);
}

/// How a list is read is decided by those who still want to know.
#[test]
fn those_who_have_gone_need_no_walk() {
    let mut sim = Sim::new(Auth0::default(), open(0.0), calm(40));
    let acme = organization("org_acme");
    (0..2_000).for_each(|n| sim.auth0.give(&acme, id(format!("auth0|{n}"))));
    sim.auth0.give(&organization("org_other"), id("auth0|left-0".into()));
    for n in 0..40 {
        let mut object = Object::new(&"a".into(), n, acme.clone(), vec![id(format!("auth0|left-{n}"))], true);
        object.observes = true;
        sim.add(object, Duration::ZERO);
    }
    // The observations still gather by then.
    sim.change(Duration::from_millis(100), Box::new(|_| ()));
    while sim.now < Duration::from_millis(100) {
        sim.step(Duration::from_secs(60));
    }
    for n in 1..40 {
        let uid = sim.objects[n].owner.uid.clone();
        assert!(sim.machine.take_back(&uid, sim.start() + sim.now).is_some());
    }
    let report = sim.first_report(Duration::from_secs(60));
    assert_eq!(report.end, End::Gone);
    // The organizations of the only one who is left, and whether there is such an organization.
    assert_eq!(sim.auth0.calls["GET"], 2, "{:?}", sim.auth0.calls);
}

/// The wait for lists to settle after a 404 is not cut short by another call that could not be sent.
#[test]
fn a_call_that_was_not_sent_shortens_no_pause() {
    let member_roles = Endpoint::OrganizationMemberRoles { organization: "org_a".into(), user: "auth0|jane".into() };
    let network: NetworkModel = Box::new(|_, wire| match wire {
        Wire::Delete(_, items) if *items == [id("rol_b".into())] => (Duration::from_secs(6), Some(Fault::Stays)),
        Wire::Delete(..) => (Duration::from_secs(1), None),
        Wire::Get(..) => (Duration::from_millis(400), None),
    });
    let mut sim = Sim::new(Auth0::default(), open(0.0), network);
    let (acme, jane) = (organization("org_a"), id("auth0|jane".into()));
    sim.auth0.give(&acme, jane.clone());
    sim.auth0.give(&acme, id("auth0|jack".into()));
    // Her own list learns late that she has left.
    sim.auth0.leave(&acme, &jane, true);
    let learns = |auth0: &mut Auth0| auth0.leave(&organization("org_a"), &id("auth0|jane".into()), false);
    sim.change(Duration::from_secs(11), Box::new(learns));
    for (n, role, at) in [(0, "rol_a", 0), (1, "rol_b", 100)] {
        let object = Object::new(&"a".into(), n, member_roles.clone(), vec![id(role.into())], true);
        sim.add(object, Duration::from_millis(at));
    }
    let report = sim.first_report(Duration::from_secs(60));
    assert_eq!((report.end, report.already_absent.len()), (End::Gone, 1));
}

/// A job that is taken back while its call is still being checked has sent nothing.
#[test]
fn what_is_still_being_checked_is_not_lost() {
    let mut sim = one(calm(40), &roles(), vec![id("rol_a".into())]);
    sim.checks = Box::new(|| Duration::from_secs(1));
    sim.change(Duration::from_millis(500), Box::new(|_| ()));
    sim.change(Duration::from_millis(1020), Box::new(|_| ()));
    let uid = sim.objects[0].owner.uid.clone();
    for (at, lost) in [(500, false), (1020, true)] {
        while sim.now < Duration::from_millis(at) {
            sim.step(Duration::from_secs(60));
        }
        assert_eq!(sim.machine.in_flight(), 1);
        let (_, so_far) = sim.machine.view(&uid, sim.start() + sim.now).unwrap();
        assert_eq!(so_far.lost, lost, "at {at} ms");
    }
}

/// Three members of a large organization are read one by one, and each answer counts: one who is there again is named,
/// and one who cannot be read about leaves nothing verified, whatever the others' lists say.
#[test]
fn each_of_several_members_has_to_be_read() {
    let members = || (0..3).map(|n| id(format!("auth0|{n}"))).collect::<Vec<_>>();
    let acme = organization("org_acme");
    for again in 0..3 {
        let mut sim = one(calm(40), &acme, members());
        (0..500).for_each(|n| sim.auth0.give(&acme, id(format!("auth0|stays-{n}"))));
        let (of, member) = (acme.clone(), members()[again].clone());
        sim.change(Duration::from_millis(60), Box::new(move |auth0: &mut Auth0| auth0.give(&of, member)));
        let report = sim.first_report(Duration::from_secs(60));
        assert_eq!(report.end, End::Remaining(vec![members()[again].clone()]));
    }
    for refused in 0..3 {
        let mut reads = 0;
        let network: NetworkModel = Box::new(move |_, wire| {
            let is_of_user = wire.name() == ("GET", "users/{id}/organizations");
            reads += i32::from(is_of_user);
            (Duration::from_millis(40), (is_of_user && reads == refused + 1).then_some(Fault::Rejects))
        });
        let mut sim = one(network, &acme, members());
        (0..500).for_each(|n| sim.auth0.give(&acme, id(format!("auth0|stays-{n}"))));
        let report = sim.first_report(Duration::from_secs(60));
        assert!(matches!(report.end, End::Unverified(Unverified::ReadRefused(_))), "{report:?}");
        assert_eq!(report.accepted.len(), 3);
    }
}

/// Somebody has more organizations than Auth0 lets be read, so the list of the organization's members has to tell.
#[test]
fn a_member_of_too_many_organizations_is_read_by_the_list_of_members() {
    let acme = organization("org_acme");
    let mut sim = one(calm(40), &acme, vec![id("auth0|jane".into())]);
    (0..1_100).for_each(|n| sim.auth0.give(&organization(&format!("org_{n}")), id("auth0|jane".into())));
    (0..120).for_each(|n| sim.auth0.give(&acme, id(format!("auth0|stays-{n}"))));
    let report = sim.first_report(Duration::from_secs(60));
    assert_eq!((report.end, report.accepted.len()), (End::Gone, 1));
    assert_eq!(sim.auth0.calls["GET"], 20 + 3, "{:?}", sim.auth0.calls);
}
