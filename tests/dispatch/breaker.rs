//! What a 429 to an accepted credential stops, for how long, and how calls begin again.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use rescind::auth0::{Answer, CallError, Endpoint};
use rescind::dispatch::machine::{Outgoing, Step};
use rescind::dispatch::{History, Job, Task};

use crate::auth0::{Auth0, Fault};
use crate::cases::{assert_all_gone, calm, id, open};
use crate::sim::{NetworkModel, Object, Sim, connection};

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Twenty people with a role each, whose removals begin a tenth of a second apart.
fn twenty(network: NetworkModel) -> Sim {
    let mut sim = Sim::new(Auth0::default(), open(0.0), network);
    for n in 0..20 {
        let roles = Endpoint::UserRoles { user: format!("auth0|{n}").into() };
        sim.auth0.give(&roles, id("rol_a".into()));
        let object = Object::new(&"a".into(), n, roles, vec![id("rol_a".into())], true);
        sim.add(object, Duration::from_millis(100 * n as u64));
    }
    sim
}

/// The second call is answered with a 429 that names ten seconds.
fn second_is_limited() -> NetworkModel {
    let mut calls = 0;
    Box::new(move |_, _| {
        calls += 1;
        (Duration::from_millis(40), (calls == 2).then_some(Fault::Limits(10)))
    })
}

/// `sim` asserts that nothing leaves before.
#[test]
fn calls_begin_again_when_the_named_time_has_come() {
    let mut sim = twenty(second_is_limited());
    sim.run(seconds(60));
    assert_all_gone(&sim);
    let after = sim.sent.iter().map(|(at, _)| *at).find(|at| *at > seconds(5)).unwrap();
    assert!((seconds(10)..seconds(12)).contains(&after), "{after:?}");
}

#[test]
fn a_panic_forgets_no_429() {
    let mut sim = twenty(second_is_limited());
    sim.panic(seconds(3));
    sim.run(seconds(60));
    assert_all_gone(&sim);
    assert!(sim.now >= seconds(10), "{:?}", sim.now);
}

/// While Auth0 does not answer the probes, there is one at a time.
#[test]
fn a_probe_without_an_answer_lets_no_others_through() {
    let sent = Rc::new(RefCell::new(Vec::new()));
    let (calls, mut count) = (sent.clone(), 0);
    let network: NetworkModel = Box::new(move |now, _| {
        count += 1;
        calls.borrow_mut().push(now);
        match now {
            _ if count == 2 => (Duration::from_millis(40), Some(Fault::Limits(10))),
            now if now > seconds(5) && now < seconds(30) => (seconds(2), Some(Fault::Refuses)),
            _ => (Duration::from_millis(40), None),
        }
    });
    let mut sim = twenty(network);
    sim.run(seconds(600));
    assert_all_gone(&sim);
    let probes: Vec<_> = sent.borrow().iter().copied().filter(|at| (seconds(5)..seconds(30)).contains(at)).collect();
    assert!(probes.len() >= 5, "{probes:?}");
    assert!(probes.windows(2).all(|pair| pair[1] - pair[0] >= seconds(2)), "{probes:?}");
}

/// Calls that were being checked when the 429 came do not all leave with the probe.
#[test]
fn what_was_being_checked_waits_for_the_probe() {
    let sent = Rc::new(RefCell::new(Vec::new()));
    let (calls, mut limited) = (sent.clone(), second_is_limited());
    let network: NetworkModel = Box::new(move |now, wire| {
        calls.borrow_mut().push(now);
        limited(now, wire)
    });
    let (mut sim, mut checks) = (twenty(network), 0);
    // They begin a tenth of a second apart, and end together.
    sim.checks = Box::new(move || {
        checks += 1;
        if checks <= 2 { Duration::ZERO } else { Duration::from_millis(12_000_u64.saturating_sub(100 * checks)) }
    });
    sim.run(seconds(600));
    assert_all_gone(&sim);
    let after: Vec<_> = sent.borrow().iter().copied().filter(|at| *at > seconds(5)).take(2).collect();
    assert!(after[1] - after[0] >= Duration::from_millis(40), "{after:?}");
}

/// The answer to a call that was in flight at a panic is not taken for that of a later one.
#[test]
fn an_answer_from_before_a_panic_is_nobodys() {
    let mut sim = Sim::new(Auth0::default(), open(0.0), calm(40));
    let roles = Endpoint::UserRoles { user: "auth0|a".into() };
    let Object { owner, removal, .. } = Object::new(&"a".into(), 0, roles, vec![id("rol_a".into())], true);
    let (now, uid) = (sim.start(), owner.uid.clone());
    let task = Task::Remove { before: false, after: true };
    sim.machine.submit(connection(1), Job { owner, removal, task, history: History::default() }, now);
    let send = |sim: &mut Sim| {
        let Step::Check(call) = sim.machine.next(now) else { panic!("nothing to send") };
        sim.machine.preflighted(call.id, &[Ok(connection(1))], now).unwrap();
        let (outgoing, _) = sim.machine.send(call.id, &[Ok(connection(1))], now).unwrap();
        assert!(matches!(outgoing, Outgoing::Remove { .. }));
        call.id
    };
    let before = send(&mut sim);
    sim.machine.rebuild(now);
    // It may have worked, so the list is read first.
    let Step::Check(read) = sim.machine.next(now) else { panic!("nothing to send") };
    sim.machine.answered(
        before,
        Answer { limits: Default::default(), outcome: Ok(serde_json::Value::Null) },
        wall(),
        now,
    );
    assert_ne!(read.id, before);
    let (_, report) = sim.machine.view(&uid, now).unwrap();
    assert!(report.lost && report.accepted.is_empty(), "{report:?}");
}

/// Nothing is sent before the time that a 429 names, also if its call was in flight at a panic.
#[test]
fn a_429_from_before_a_panic_is_obeyed() {
    let mut sim = Sim::new(Auth0::default(), open(0.0), calm(40));
    let roles = Endpoint::UserRoles { user: "auth0|a".into() };
    let Object { owner, removal, .. } = Object::new(&"a".into(), 0, roles, vec![id("rol_a".into())], true);
    let now = sim.start();
    let task = Task::Remove { before: false, after: true };
    sim.machine.submit(connection(1), Job { owner, removal, task, history: History::default() }, now);
    let Step::Check(call) = sim.machine.next(now) else { panic!("nothing to send") };
    sim.machine.preflighted(call.id, &[Ok(connection(1))], now).unwrap();
    assert!(sim.machine.send(call.id, &[Ok(connection(1))], now).is_some());
    sim.machine.rebuild(now);
    sim.machine.rebuild(now);
    assert_eq!(sim.machine.in_flight(), 1, "the call is still on its way");
    let refused = || Answer { limits: Default::default(), outcome: Err(CallError::RateLimited(seconds(9))) };
    sim.machine.answered(call.id, refused(), wall(), now);
    assert_eq!(sim.machine.in_flight(), 0);
    assert!(matches!(sim.machine.next(now), Step::Wait(until) if until >= now + seconds(9)));
    assert!(matches!(sim.machine.next(now + seconds(10)), Step::Check(_)));
}

fn wall() -> jiff::Timestamp {
    jiff::Timestamp::from_second(1_800_000_000).unwrap()
}
