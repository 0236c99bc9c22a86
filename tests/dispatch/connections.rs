//! Connections: those of one domain share Auth0's buckets once they are accepted, and never anything else.

use std::sync::Arc;
use std::time::Duration;

use rescind::auth0::{CallError, Endpoint, Item};
use rescind::dispatch::{End, Limits};

use crate::auth0::Auth0;
use crate::cases::{assert_all_gone, calm, id, leavers, open, organization};
use crate::sim::{Object, Sim, connection};

const GONE_BY: Duration = Duration::from_secs(15);

/// Twenty people of one organization in namespace `a`, with credential 1, and as many of another in `b`, with
/// credential 2.
fn two_tenants() -> Sim {
    let mut sim = Sim::new(Auth0::default(), open(0.0), calm(40));
    for (namespace, credential) in [("a", 1), ("b", 2)] {
        let first = sim.objects.len();
        leavers(&mut sim, namespace, &organization(&format!("org_{namespace}")), 20);
        sim.objects[first..].iter_mut().for_each(|object| object.credential = credential);
    }
    sim
}

fn assert_first_tenant_is_served(sim: &Sim) {
    for object in &sim.objects[..20] {
        let (at, report) = object.ended.as_ref().unwrap();
        assert!(report.end == End::Gone && *at < GONE_BY, "{report:?} at {at:?}");
    }
}

#[test]
fn a_refused_credential_is_nobody_elses_matter() {
    let mut sim = two_tenants();
    sim.auth0.refused.insert(2);
    sim.run(Duration::from_secs(60));
    assert_first_tenant_is_served(&sim);
    for object in &sim.objects[20..] {
        let (_, report) = object.ended.as_ref().unwrap();
        assert!(matches!(report.end, End::Failed(CallError::Unauthorized(_))), "{report:?}");
        assert_eq!(report.connection, Some(connection(2)));
    }
    assert!(sim.machine.accepted(connection(1)) && !sim.machine.accepted(connection(2)));
}

/// A 429 to a credential that is not accepted yet opens only its own circuit breaker.
#[test]
fn a_429_to_an_unaccepted_credential_stops_no_other() {
    let mut sim = two_tenants();
    sim.auth0.throttled.insert(2, 30);
    sim.change(Duration::from_secs(45), Box::new(|auth0: &mut Auth0| auth0.throttled.clear()));
    sim.run(Duration::from_secs(600));
    assert_first_tenant_is_served(&sim);
    assert_all_gone(&sim);
    assert!(sim.objects[20..].iter().all(|object| object.ended.as_ref().unwrap().0 > Duration::from_secs(45)));
}

/// Each connection has its own `maxRequestsPerSecond`, accepted or not; `sim` asserts that it is obeyed.
#[test]
fn a_ceiling_slows_its_own_connection_only() {
    let mut sim = two_tenants();
    sim.own_limits.insert(2, Limits { max_per_second: 0.5, reserve_percent: 90.0 });
    sim.run(Duration::from_secs(600));
    assert_first_tenant_is_served(&sim);
    assert_all_gone(&sim);
}

/// A 429 remembered from a status holds the whole domain only if its connection is accepted.
#[test]
fn a_remembered_429_holds_the_domain_only_if_it_was_accepted() {
    let mut sim = two_tenants();
    sim.machine.hold(connection(2), Duration::from_secs(20), sim.start());
    sim.run(Duration::from_secs(600));
    assert_first_tenant_is_served(&sim);
    assert!(sim.objects[20..].iter().all(|object| object.ended.as_ref().unwrap().0 >= Duration::from_secs(20)));
}

/// A job moves to the new connection with its results: accepted removals are proved there, not sent again.
#[test]
fn a_rotated_credential_costs_no_call_twice() {
    let slow = Limits { max_per_second: 1.0, reserve_percent: 0.0 };
    let mut sim = Sim::new(Auth0::default(), slow, calm(40));
    let members: Vec<Item> = (0..25).map(|n| id(format!("auth0|{n:02}"))).collect();
    let acme = organization("org_acme");
    members.iter().for_each(|member| sim.auth0.give(&acme, member.clone()));
    let mut object = Object::new(&"a".into(), 0, acme, members, true);
    object.rotates = Some((Duration::from_millis(1500), 2));
    sim.add(object, Duration::ZERO);
    sim.run(Duration::from_secs(120));
    assert_all_gone(&sim);
    let (_, report) = sim.objects[0].ended.as_ref().unwrap();
    assert_eq!((report.accepted.len(), report.connection), (25, Some(connection(2))));
    assert_eq!(sim.auth0.calls["DELETE"], 3);
}

/// A hundred namespaces remove a role from the same person, each with a credential of its own: one call each.
#[test]
fn equal_removals_with_other_credentials_are_other_calls() {
    let mut sim = Sim::new(Auth0::default(), open(0.0), calm(40));
    let endpoint = Endpoint::UserRoles { user: "auth0|a".into() };
    sim.auth0.give(&endpoint, id("rol_a".into()));
    for n in 0..100 {
        let namespace: Arc<str> = format!("ns{n}").into();
        let mut object = Object::new(&namespace, n, endpoint.clone(), vec![id("rol_a".into())], true);
        object.credential = n as u64;
        sim.add(object, Duration::ZERO);
    }
    sim.run(Duration::from_secs(120));
    assert_all_gone(&sim);
    assert_eq!((sim.auth0.calls["DELETE"], sim.auth0.calls["GET"]), (100, 100));
}

/// A connection that no tenant has any more is forgotten once it is idle.
#[test]
fn connections_that_are_gone_are_forgotten() {
    let mut sim = two_tenants();
    sim.run(Duration::from_secs(60));
    let now = sim.start() + sim.now;
    assert!(sim.machine.retain(&[connection(1)].into(), now));
    assert!(sim.machine.accepted(connection(1)) && !sim.machine.accepted(connection(2)));
    assert!(!sim.machine.retain(&[].into(), now));
}

/// As when a tenant's CA bundle is replaced again and again: what waited for the connections goes with them.
#[test]
fn many_connections_that_are_gone_leave_no_timers() {
    let mut sim = Sim::new(Auth0::default(), open(0.0), calm(40));
    for n in 0..200 {
        let endpoint = Endpoint::UserRoles { user: format!("auth0|{n}").into() };
        sim.auth0.give(&endpoint, id("rol_a".into()));
        let mut object = Object::new(&"ns".into(), n, endpoint, vec![id("rol_a".into())], true);
        object.credential = n as u64;
        sim.add(object, Duration::from_millis(300 * n as u64));
    }
    sim.run(Duration::from_secs(120));
    assert_all_gone(&sim);
    let now = sim.start() + sim.now;
    sim.machine.retain(&[].into(), now);
    assert_eq!(sim.machine.check(), Ok(()));
}

/// Of the limits of several tenant objects with one connection the strictest count, until that object has gone unused
/// for five minutes.
#[test]
fn the_strictest_limits_of_a_connection_count_while_they_are_used() {
    let mut sim = Sim::new(Auth0::default(), open(0.0), calm(40));
    let strict = Limits { max_per_second: 0.5, reserve_percent: 0.0 };
    sim.machine.set_limits(connection(1), &"b/strict".into(), strict, sim.start());
    for n in 0..10 {
        let endpoint = Endpoint::UserRoles { user: format!("auth0|{n}").into() };
        sim.auth0.give(&endpoint, id("rol_a".into()));
        let at = if n < 5 { 0 } else { 400 };
        sim.add(Object::new(&"a".into(), n, endpoint, vec![id("rol_a".into())], false), Duration::from_secs(at));
    }
    sim.run(Duration::from_secs(600));
    let times: Vec<Duration> = sim.sent.iter().map(|(at, _)| *at).collect();
    assert_eq!(times.len(), 10);
    assert!(times[..5].windows(2).all(|pair| pair[1] - pair[0] >= Duration::from_millis(1999)), "{times:?}");
    assert!(times[9] < Duration::from_secs(403), "{times:?}");
}

/// What Auth0 answers to a credential that it has not accepted teaches nothing about the domain.
#[test]
fn refusals_of_an_unaccepted_credential_slow_nobody() {
    let mut sim = Sim::new(Auth0::default(), open(0.0), calm(40));
    sim.auth0.throttled.insert(2, 1);
    sim.change(Duration::from_secs(60), Box::new(|auth0: &mut Auth0| auth0.throttled.clear()));
    for n in 0..201 {
        let endpoint = Endpoint::UserRoles { user: format!("auth0|{n}").into() };
        sim.auth0.give(&endpoint, id("rol_a".into()));
        let mut object = Object::new(&"a".into(), n, endpoint, vec![id("rol_a".into())], true);
        object.credential = if n == 0 { 2 } else { 1 };
        sim.add(object, Duration::from_secs(if n == 0 { 0 } else { 10 }));
    }
    sim.run(Duration::from_secs(600));
    assert_all_gone(&sim);
    let last = sim.objects[1..].iter().map(|object| object.ended.as_ref().unwrap().0).max().unwrap();
    assert!(last < Duration::from_secs(14), "{last:?}");
}
