//! The fair queue: namespaces take turns, at one endpoint as at many, whatever hangs or is slow to be checked.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::auth0::{Auth0, Bucket, Wire};
use crate::cases::{all_draw_from, assert_all_gone, calm, id, leavers, open, organization};
use crate::sim::{NetworkModel, Object, Sim};

/// The number of calls between the moment an object asked and the call that serves it.
fn passed_over(sim: &Sim, asked: Duration, object: usize) -> usize {
    let since = sim.sent.iter().filter(|(at, _)| *at >= asked);
    since.take_while(|(_, objects)| !objects.contains(&object)).count()
}

fn slow() -> Sim {
    let mut auth0 = Auth0::default();
    all_draw_from(&mut auth0, Bucket::new(10.0, 2.0));
    Sim::new(auth0, open(0.0), calm(40))
}

/// While a crowd leaves an organization, an object of another namespace at the same organization is in the next call
/// but one, even if its member is the crowd's last.
#[test]
fn a_crowd_at_one_organization_holds_up_nobody_there() {
    for shared in [false, true] {
        let mut sim = slow();
        let acme = organization("org_acme");
        leavers(&mut sim, "crowd", &acme, 3_000);
        let member = if shared { id("auth0|002999".into()) } else { id("auth0|other".into()) };
        sim.auth0.give(&acme, member.clone());
        let late = Duration::from_secs(30);
        let other = sim.add(Object::new(&"other".into(), 9_999, acme, vec![member], true), late);
        sim.run(Duration::from_secs(3600));
        assert!(passed_over(&sim, late, other) <= 1, "{}", passed_over(&sim, late, other));
    }
}

/// With `n` namespaces waiting at one organization, at most `n - 1` calls without any object of a given namespace leave
/// between two calls that have one.
#[test]
fn namespaces_take_turns_at_one_organization() {
    let mut sim = slow();
    let acme = organization("org_acme");
    for namespace in 0..5 {
        leavers(&mut sim, &format!("ns{namespace}"), &acme, if namespace == 0 { 500 } else { 50 });
    }
    sim.run(Duration::from_secs(3600));
    assert_all_gone(&sim);
    let mut since: HashMap<&Arc<str>, usize> = HashMap::new();
    let all_there = Duration::from_secs(2);
    for (_, objects) in sim.sent.iter().filter(|(at, _)| *at > all_there) {
        let served: Vec<&Arc<str>> = objects.iter().map(|n| &sim.objects[*n].owner.namespace).collect();
        let waiting = sim.objects.iter().map(|object| &object.owner.namespace);
        for namespace in waiting.collect::<std::collections::HashSet<_>>() {
            let passed = since.entry(namespace).or_default();
            *passed = if served.contains(&namespace) { 0 } else { *passed + 1 };
        }
        // The four small namespaces are done after some 25 calls; until then the bound applies to all.
        if sim.sent.iter().position(|(_, other)| other == objects).is_some_and(|at| at < 20) {
            assert!(since.values().all(|passed| *passed <= 4), "{since:?}");
        }
    }
    assert_eq!(sim.auth0.calls["DELETE"], 71, "merged over namespaces");
}

/// When calls of one namespace hang, other namespaces get places at once.
#[test]
fn hanging_calls_of_one_namespace_leave_places_to_others() {
    let network: NetworkModel = Box::new(|now, wire| {
        let hangs =
            matches!(wire, Wire::Delete(endpoint, _) if endpoint.user().is_some_and(|user| user.contains("hangs")));
        let hangs = hangs && (2..60).contains(&now.as_secs());
        let latency = if hangs { 30_000 } else { 40 };
        (Duration::from_millis(latency), None)
    });
    let mut auth0 = Auth0::default();
    all_draw_from(&mut auth0, Bucket::new(1000.0, 1000.0));
    let mut sim = Sim::new(auth0, open(0.0), network);
    let roles = |user: String| rescind::auth0::Endpoint::UserRoles { user: user.into() };
    for n in 0..300 {
        let (namespace, endpoint) =
            if n < 200 { ("hangs", roles(format!("hangs|{n}"))) } else { ("other", roles(format!("auth0|{n}"))) };
        sim.auth0.give(&endpoint, id("rol_a".into()));
        let object = Object::new(&namespace.into(), n, endpoint, vec![id("rol_a".into())], false);
        sim.add(
            object,
            Duration::from_secs(if n < 20 {
                0
            } else if n < 200 {
                2
            } else {
                5
            }),
        );
    }
    sim.run(Duration::from_secs(3600));
    let late = sim.objects[200..].iter().map(|object| object.ended.as_ref().unwrap().0).max().unwrap();
    assert!(late < Duration::from_secs(7), "{late:?}");
}

/// With slow preflight checks, `maxRequestsPerSecond` counts at the send (asserted in `sim`), so the rate does not
/// drop.
#[test]
fn slow_checks_do_not_lower_the_rate() {
    let limits = rescind::dispatch::Limits { max_per_second: 10.0, reserve_percent: 0.0 };
    let mut sim = Sim::new(Auth0::default(), limits, calm(40));
    sim.checks = Box::new(|| Duration::from_millis(200));
    for n in 0..200 {
        let endpoint = rescind::auth0::Endpoint::UserRoles { user: format!("auth0|{n}").into() };
        sim.auth0.give(&endpoint, id("rol_a".into()));
        sim.add(Object::new(&"a".into(), n, endpoint, vec![id("rol_a".into())], false), Duration::ZERO);
    }
    sim.run(Duration::from_secs(3600));
    assert!(sim.now < Duration::from_secs(22), "{:?}", sim.now);
}
