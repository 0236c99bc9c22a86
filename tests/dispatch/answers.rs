//! What an answer means, and for which objects: 404s, lists that cannot be read, answers that never came.

use std::sync::Arc;
use std::time::Duration;

use rescind::auth0::{CallError, Endpoint, Item, Missing};
use rescind::dispatch::{End, History, Report, Task, Unverified};

use crate::auth0::{Auth0, Fault, Wire};
use crate::cases::{assert_all_gone, calm, id, leavers, open, organization};
use crate::sim::{NetworkModel, Object, Sim};

/// Runs one object that names these items and returns its report.
fn one(auth0: Auth0, network: NetworkModel, endpoint: &Endpoint, items: &[&str], before: bool) -> (Report, Sim) {
    let mut sim = Sim::new(auth0, open(0.0), network);
    let items = items.iter().map(|item| id((*item).to_owned())).collect();
    let mut object = Object::new(&"a".into(), 0, endpoint.clone(), items, true);
    object.before = before;
    sim.add(object, Duration::ZERO);
    sim.run(Duration::from_secs(600));
    (sim.objects[0].ended.as_ref().unwrap().1.clone(), sim)
}

fn roles() -> Endpoint {
    Endpoint::UserRoles { user: "auth0|jane".into() }
}

fn member_roles() -> Endpoint {
    Endpoint::OrganizationMemberRoles { organization: "org_a".into(), user: "auth0|jane".into() }
}

fn items(report: &[Item]) -> Vec<String> {
    report.iter().map(Item::to_string).collect()
}

/// Jane holds two roles, and is a member of an organization, where she holds one.
fn janes() -> Auth0 {
    let mut auth0 = Auth0::default();
    auth0.give(&roles(), id("rol_a".into()));
    auth0.give(&roles(), id("rol_b".into()));
    auth0.give(&organization("org_a"), id("auth0|jane".into()));
    auth0.give(&member_roles(), id("rol_a".into()));
    auth0
}

/// Each row: Auth0, the removal, how it ends, and how many calls that takes.
#[test]
fn a_404_is_looked_into_once() {
    let subject = End::NotFound(Missing::Subject);
    let without_membership = |other: bool| {
        let mut auth0 = Auth0::default();
        auth0.give(&organization("org_b"), id("auth0|jane".into()));
        if other {
            auth0.give(&organization("org_a"), id("auth0|jack".into()));
        }
        auth0
    };
    let table: [(Auth0, Endpoint, &str, End, u64); 6] = [
        (Auth0::default(), roles(), "rol_a", subject.clone(), 2),
        (Auth0::default(), organization("org_a"), "auth0|jane", subject.clone(), 2),
        // The DELETE, then reads of the roles and of the user.
        (Auth0::default(), member_roles(), "rol_a", subject.clone(), 3),
        // The DELETE, then reads of the roles, of the user's organizations and of the organization.
        (without_membership(false), member_roles(), "rol_a", subject, 4),
        // Somebody who is not a member has no roles of a member.
        (without_membership(true), member_roles(), "rol_a", End::Gone, 4),
        (janes(), member_roles(), "rol_a", End::Gone, 2),
    ];
    for (auth0, endpoint, item, end, calls) in table {
        for before in [false, true] {
            let (report, sim) = one(auth0.clone(), calm(40), &endpoint, &[item], before);
            assert_eq!(report.end, end, "{endpoint:?}");
            assert_eq!(sim.auth0.calls.values().sum::<u64>(), calls + u64::from(before), "{:?}", sim.auth0.calls);
            assert!(report.read_at.is_some());
            let absent = end == End::Gone && calls == 4;
            assert_eq!((report.already_absent.len(), report.seen), (usize::from(absent), end == End::Gone));
        }
    }
}

/// The report names a role that does not exist; the others are removed and verified.
#[test]
fn an_unknown_item_fails_alone() {
    for missing in [Missing::Item, Missing::Unclear] {
        for endpoint in [roles(), member_roles()] {
            let mut auth0 = janes();
            auth0.unknown.insert(id("rol_x".into()), missing);
            let (report, sim) = one(auth0, calm(40), &endpoint, &["rol_a", "rol_x"], false);
            assert_eq!(report.end, End::NotFound(Missing::Item), "{report:?}");
            assert_eq!(
                (items(&report.not_found), items(&report.accepted)),
                (vec!["rol_x".into()], vec!["rol_a".into()])
            );
            assert!(sim.read_in_time(0) && !sim.auth0.holds(&endpoint, &id("rol_a".into())));
        }
    }
}

/// What could not be found out of one item is not said of it when another one fails.
#[test]
fn a_404_that_is_not_explained_names_no_item() {
    let mut auth0 = janes();
    auth0.unknown.insert(id("rol_a".into()), Missing::Unclear);
    auth0.unreadable = true;
    let network: NetworkModel = Box::new(|_, wire| {
        let alone = matches!(wire, Wire::Delete(_, items) if *items == [id("rol_b".into())]);
        (Duration::from_millis(40), alone.then_some(Fault::Refuses))
    });
    let mut sim = Sim::new(auth0, open(0.0), network);
    let roles = vec![id("rol_a".into()), id("rol_b".into())];
    sim.add(Object::new(&"a".into(), 0, member_roles(), roles, true), Duration::ZERO);
    let report = sim.first_report(Duration::from_secs(60));
    assert!(matches!(report.end, End::Failed(CallError::Unavailable(_))), "{report:?}");
    assert_eq!((report.not_found, report.accepted), (vec![], vec![]));
}

/// Somebody has just left the organization, and the list of that user's organizations does not know it yet: nothing is
/// left to remove, and no role is unknown. A list that never learns it decides nothing.
#[test]
fn a_list_that_lags_makes_no_role_unknown() {
    let left = || {
        let mut auth0 = Auth0::default();
        let (acme, jane) = (organization("org_a"), id("auth0|jane".into()));
        auth0.give(&acme, jane.clone());
        auth0.give(&acme, id("auth0|jack".into()));
        auth0.leave(&acme, &jane, true);
        auth0
    };
    let removal = |auth0: Auth0| {
        let mut sim = Sim::new(auth0, open(0.0), calm(40));
        sim.add(Object::new(&"a".into(), 0, member_roles(), vec![id("rol_a".into())], true), Duration::ZERO);
        sim
    };
    let mut sim = removal(left());
    let learns = |auth0: &mut Auth0| auth0.leave(&organization("org_a"), &id("auth0|jane".into()), false);
    sim.change(Duration::from_secs(9), Box::new(learns));
    sim.run(Duration::from_secs(60));
    let report = sim.objects[0].ended.as_ref().unwrap().1.clone();
    assert_eq!((report.end, report.already_absent.len(), report.seen, report.lost), (End::Gone, 1, true, false));
    // The DELETE and two reads, and then once more, with a read of the organization.
    assert_eq!(sim.auth0.calls.values().sum::<u64>(), 7, "{:?}", sim.auth0.calls);
    let report = removal(left()).first_report(Duration::from_secs(60));
    assert!(matches!(report.end, End::Failed(CallError::Unavailable(_))), "{report:?}");
    assert!(report.not_found.is_empty() && !report.lost && report.accepted_at.is_none(), "{report:?}");
    // After a DELETE that was accepted, the proof waits as well, but no longer than lists lag.
    for (accepted_before, is_unverified) in [(0, false), (61, true)] {
        let mut sim = removal(left());
        sim.now = Duration::from_secs(accepted_before);
        let report = sim.prove(0);
        let ends_unverified = matches!(report.end, End::Unverified(Unverified::ReadRefused(_)));
        assert_eq!(ends_unverified, is_unverified, "{report:?}");
        assert!(is_unverified || matches!(report.end, End::Failed(CallError::Unavailable(_))), "{report:?}");
    }
}

/// A role of a member is unknown if Auth0 says so twice, and lists had the time to show a change in between.
#[test]
fn a_404_about_a_change_is_asked_for_again() {
    let mut auth0 = janes();
    auth0.unknown.insert(id("rol_a".into()), Missing::Unclear);
    let mut sim = Sim::new(auth0.clone(), open(0.0), calm(40));
    sim.add(Object::new(&"a".into(), 0, member_roles(), vec![id("rol_a".into())], true), Duration::ZERO);
    sim.change(Duration::from_secs(9), Box::new(|auth0: &mut Auth0| auth0.unknown.clear()));
    sim.run(Duration::from_secs(60));
    assert_all_gone(&sim);
    assert_eq!(sim.auth0.calls["DELETE"], 2, "{:?}", sim.auth0.calls);
    let (report, sim) = one(auth0, calm(40), &member_roles(), &["rol_a"], false);
    assert_eq!((report.end, items(&report.not_found)), (End::NotFound(Missing::Item), vec!["rol_a".into()]));
    assert_eq!(sim.auth0.calls.values().sum::<u64>(), 4, "{:?}", sim.auth0.calls);
}

/// A user that does not exist is not a member; the others of the call are removed.
#[test]
fn an_unknown_member_is_absent() {
    let mut auth0 = janes();
    auth0.unknown.insert(id("auth0|nobody".into()), Missing::Unclear);
    let (report, _) = one(auth0, calm(40), &organization("org_a"), &["auth0|jane", "auth0|nobody"], false);
    assert_eq!((report.end, items(&report.already_absent)), (End::Gone, vec!["auth0|nobody".into()]));
}

/// Auth0 may say of a member that there is no such user. Then nothing is wrong with the others of the same call, nor
/// with those that the same object names.
#[test]
fn an_unknown_user_among_members_fails_alone() {
    let acme = organization("org_acme");
    let mut sim = Sim::new(Auth0::default(), open(0.0), calm(40));
    leavers(&mut sim, "a", &acme, 11);
    let unknown = sim.objects[5].removal.items[0].clone();
    sim.auth0.unknown.insert(unknown, Missing::Subject);
    sim.run(Duration::from_secs(60));
    for (n, object) in sim.objects.iter().enumerate() {
        let expected = if n == 5 { End::NotFound(Missing::Subject) } else { End::Gone };
        assert_eq!(object.ended.as_ref().unwrap().1.end, expected, "{n}");
    }
    let mut auth0 = janes();
    auth0.unknown.insert(id("auth0|nobody".into()), Missing::Subject);
    let (report, sim) = one(auth0, calm(40), &organization("org_a"), &["auth0|nobody", "auth0|jane"], false);
    assert_eq!((&report.end, items(&report.not_found)), (&End::NotFound(Missing::Item), vec!["auth0|nobody".into()]));
    assert_eq!(items(&report.accepted), ["auth0|jane"]);
    assert!(sim.read_in_time(0) && !sim.auth0.holds(&organization("org_a"), &id("auth0|jane".into())));
}

/// Without the right to read, the removal is done all the same, but neither verified nor investigated after a 404.
#[test]
fn a_removal_without_the_right_to_read_ends_unverified() {
    for before in [false, true] {
        let mut auth0 = janes();
        auth0.unreadable = true;
        let (report, _) = one(auth0, calm(40), &roles(), &["rol_a", "rol_b"], before);
        assert!(matches!(&report.end, End::Unverified(Unverified::MissingScope(_))), "{report:?}");
        assert_eq!(report.accepted.len(), 2);
        let mut unreadable = Auth0::default();
        unreadable.unreadable = true;
        let (report, _) = one(unreadable, calm(40), &roles(), &["rol_a", "rol_b"], before);
        assert_eq!(report.end, End::NotFound(Missing::Unclear));
        assert_eq!(report.not_found.len(), 2);
    }
}

/// A read before the removal spares the DELETE at a user; at an organization it only counts.
#[test]
fn a_read_before_spares_only_where_lists_do_not_lag() {
    let mut auth0 = janes();
    auth0.held.entry(organization("org_b")).or_default();
    let (report, sim) = one(auth0, calm(40), &organization("org_b"), &["auth0|jane"], true);
    assert_eq!((&report.end, report.already_absent.len(), sim.auth0.calls["DELETE"]), (&End::Gone, 1, 1));
    let (report, sim) = one(janes(), calm(40), &roles(), &["rol_x"], true);
    assert_eq!((&report.end, report.already_absent.len()), (&End::Gone, 1));
    assert_eq!(sim.auth0.calls.get("DELETE"), None);
}

/// A page that fails is requested again, without losing the pages before it.
#[test]
fn a_failed_page_costs_one_page() {
    let mut pages = 0;
    let network: NetworkModel = Box::new(move |_, wire| {
        pages += u32::from(matches!(wire, Wire::Get(..)));
        let fails = matches!(wire, Wire::Get(..)) && [2, 3, 9].contains(&pages);
        (Duration::from_millis(40), fails.then_some(Fault::Refuses))
    });
    let mut sim = Sim::new(Auth0::default(), open(0.0), network);
    let acme = organization("org_acme");
    leavers(&mut sim, "a", &acme, 100);
    (0..500).for_each(|n| sim.auth0.give(&acme, id(format!("auth0|stays-{n}"))));
    sim.run(Duration::from_secs(120));
    assert_all_gone(&sim);
    assert_eq!((sim.auth0.calls["DELETE"], sim.auth0.calls["GET"]), (11, 10 + 3));
}

/// A list whose pages contradict each other is read again from its beginning; then the removal ends unverified.
#[test]
fn an_unreadable_list_is_no_verdict_on_the_removal() {
    let network: NetworkModel = Box::new(|_, wire| {
        let garbles = matches!(wire, Wire::Get(..)).then_some(Fault::Garbles);
        (Duration::from_millis(40), garbles)
    });
    let (report, sim) = one(janes(), network, &roles(), &["rol_a"], true);
    assert!(matches!(report.end, End::Unverified(Unverified::ReadRefused(_))), "{report:?}");
    assert_eq!((report.accepted.len(), sim.auth0.calls["DELETE"]), (1, 1));
}

/// A call that was not sent had no effect and no correlation id in Auth0's logs. A call that was declined is sent again
/// at once.
#[test]
fn what_did_not_reach_auth0_is_no_attempt() {
    let during = |fault: Fault, seconds: u64| -> NetworkModel {
        Box::new(move |now, _| (Duration::from_millis(40), (now < Duration::from_secs(seconds)).then_some(fault)))
    };
    let mut sim = Sim::new(janes(), open(0.0), during(Fault::Stays, 3600));
    sim.add(Object::new(&"a".into(), 0, roles(), vec![id("rol_a".into())], true), Duration::ZERO);
    let report = sim.first_report(Duration::from_secs(60));
    assert!(matches!(report.end, End::Failed(CallError::NotSent(_))), "{report:?}");
    assert!(!report.lost && report.correlation.is_none() && report.connection.is_none());
    for (fault, seconds, by) in [(Fault::Stays, 2, 4), (Fault::Declines, 0, 1)] {
        let mut declined = 0;
        let mut network = during(fault, seconds);
        let network: NetworkModel = Box::new(move |now, wire| {
            declined += 1;
            let fault = if fault == Fault::Declines { (declined < 4).then_some(fault) } else { network(now, wire).1 };
            (Duration::from_millis(40), fault)
        });
        let (report, sim) = one(janes(), network, &roles(), &["rol_a"], false);
        assert!(report.end == End::Gone && !report.lost, "{report:?}");
        assert!(sim.now < Duration::from_secs(by), "{:?}", sim.now);
        assert_eq!(sim.auth0.calls["DELETE"], 1);
    }
}

/// An object that asks while a call or a walk is in flight is not answered by that one.
#[test]
fn an_object_that_joins_late_is_answered_by_the_next_call() {
    let mut sim = Sim::new(janes(), open(0.0), calm(1000));
    let namespace: Arc<str> = "a".into();
    for (n, at) in [(0, 0), (1, 600), (2, 1600)] {
        let object = Object::new(&namespace, n, roles(), vec![id("rol_a".into())], true);
        sim.add(object, Duration::from_millis(at));
    }
    // Somebody gives the role back before the last object asks.
    let back = |auth0: &mut Auth0| auth0.give(&roles(), id("rol_a".into()));
    sim.change(Duration::from_millis(1550), Box::new(back));
    sim.run(Duration::from_secs(60));
    for n in 0..3 {
        assert!(sim.objects[n].ended.as_ref().unwrap().1.end == End::Gone && sim.read_in_time(n), "{n}");
    }
    assert!(!sim.auth0.holds(&roles(), &id("rol_a".into())));
    assert_eq!(sim.auth0.calls["DELETE"], 3, "each waits for the answer of the one before");
}

/// After an earlier accepted DELETE the list is only read; a user who is gone by then is reported as seen.
#[test]
fn a_proof_sends_nothing() {
    for (auth0, end) in
        [(janes(), End::Remaining(vec![id("rol_a".into())])), (Auth0::default(), End::NotFound(Missing::Subject))]
    {
        let mut sim = Sim::new(auth0, open(0.0), calm(40));
        let object = Object::new(&"a".into(), 0, roles(), vec![id("rol_a".into())], true);
        sim.add(object, Duration::from_secs(3600));
        let report = sim.prove(0);
        assert_eq!((report.end, report.seen), (end, true));
        assert_eq!((sim.auth0.calls.get("DELETE"), sim.auth0.calls["GET"]), (None, 1));
    }
    assert_ne!(Task::Prove, Task::Remove { before: false, after: true });
}

/// Where nothing was accepted, no removal is left unverified, whatever an earlier job found absent.
#[test]
fn what_was_absent_before_is_not_unverified() {
    let mut sim = Sim::new(janes(), open(0.0), calm(40));
    let object = Object::new(&"a".into(), 0, roles(), vec![id("rol_x".into())], false);
    sim.add(object, Duration::from_secs(3600));
    let history = History { absent: vec![id("rol_x".into())], ..History::default() };
    let report = sim.resume(0, Task::Remove { before: false, after: false }, history);
    assert_eq!((report.end, report.accepted_at), (End::Gone, None));
}
