//! What a 429 to an accepted credential stops, for how long, and how calls begin again.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

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

/// Of the calls that were being checked when the 429 came, none leaves once the named time has come: only a probe does.
#[test]
fn what_was_being_checked_waits_for_the_probe() {
    let mut sim = Sim::new(Auth0::default(), open(0.0), calm(40));
    let now = sim.start();
    let answer = |outcome| Answer { limits: Default::default(), outcome };
    for n in 0..9 {
        submit(&mut sim, n, now);
    }
    let check = |sim: &mut Sim, at| match sim.machine.next(at) {
        Step::Check(call) => {
            sim.machine.preflighted(call.id, &[Ok(connection(1))], at).unwrap();
            call.id
        }
        other => panic!("{other:?}"),
    };
    let send = |sim: &mut Sim, call, at| sim.machine.send(call, &[Ok(connection(1))], at).is_some();
    let first = check(&mut sim, now);
    assert!(send(&mut sim, first, now));
    sim.machine.answered(first, answer(Ok(serde_json::Value::Null)), wall(), now);

    let now = now + seconds(2);
    let [limited, waiting, other] = [0; 3].map(|_| check(&mut sim, now));
    assert!(send(&mut sim, limited, now));
    sim.machine.answered(limited, answer(Err(CallError::RateLimited(seconds(9)))), wall(), now);
    let now = now + seconds(20);
    assert!(!send(&mut sim, waiting, now) && !send(&mut sim, other, now));
    let probe = check(&mut sim, now);
    assert!(send(&mut sim, probe, now));
    assert!(!matches!(sim.machine.next(now), Step::Check(_)), "one at a time");
}

/// The answer to a call that was in flight at a panic is not taken for that of a later one.
#[test]
fn an_answer_from_before_a_panic_is_nobodys() {
    let mut sim = Sim::new(Auth0::default(), open(0.0), calm(40));
    let now = sim.start();
    let uid = submit(&mut sim, 0, now);
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
    let now = sim.start();
    submit(&mut sim, 0, now);
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

/// Submits the removal of one role of this person, and returns the uid of its owner.
fn submit(sim: &mut Sim, person: usize, now: Instant) -> Arc<str> {
    let roles = Endpoint::UserRoles { user: format!("auth0|{person}").into() };
    let Object { owner, removal, .. } = Object::new(&"a".into(), person, roles, vec![id("rol_a".into())], true);
    let (uid, task) = (owner.uid.clone(), Task::Remove { before: false, after: true });
    sim.machine.submit(connection(1), Job { owner, removal, task, history: History::default() }, now);
    uid
}

fn wall() -> jiff::Timestamp {
    jiff::Timestamp::from_second(1_800_000_000).unwrap()
}
