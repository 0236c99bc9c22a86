//! What waiting objects are told, and what survives a panic.

use std::time::Duration;

use rescind::dispatch::{End, Wait};

use crate::auth0::{Auth0, Bucket, Fault};
use crate::cases::{all_draw_from, assert_all_gone, calm, id, leavers, limited, open, organization};
use crate::sim::{NetworkModel, Object, Sim};

fn wait(sim: &Sim, n: usize) -> Option<Wait> {
    sim.machine.view(&sim.objects[n].owner.uid, sim.start() + sim.now).map(|(wait, _)| wait)
}

fn until(sim: &mut Sim, time: Duration) {
    while sim.now < time {
        sim.step(Duration::from_secs(3600));
    }
}

/// After 15 s each waiting object is woken once, and once more when only its proof is outstanding.
#[test]
fn a_long_wait_wakes_each_object_once() {
    let mut sim = limited(Bucket::new(2.0, 1.0), 0.0, 40);
    leavers(&mut sim, "a", &organization("org_a"), 400);
    until(&mut sim, Duration::from_secs(14));
    assert!(sim.objects.iter().all(|object| object.woken.is_empty()));
    until(&mut sim, Duration::from_secs(18));
    for (n, object) in sim.objects.iter().enumerate().filter(|(_, object)| object.ended.is_none()) {
        let told = if matches!(wait(&sim, n), Some(Wait::AwaitingProof)) { 1..=2 } else { 1..=1 };
        assert!(told.contains(&object.woken.len()), "{n}: {:?} {:?}", object.woken, wait(&sim, n));
    }
    sim.run(Duration::from_secs(3600));
    assert_all_gone(&sim);
    assert!(sim.objects.iter().all(|object| object.woken.len() <= 2));
}

/// An object that was told to wait is woken for each part of it that Auth0 accepts, so that its status can say so.
#[test]
fn what_is_accepted_in_part_wakes_the_object() {
    let mut auth0 = Auth0::default();
    all_draw_from(&mut auth0, Bucket::new(2.0, 0.05));
    let mut sim = Sim::new(auth0, open(0.0), calm(40));
    let members: Vec<_> = (0..45).map(|n| id(format!("auth0|{n:02}"))).collect();
    members.iter().for_each(|member| sim.auth0.give(&organization("org_a"), member.clone()));
    sim.add(Object::new(&"a".into(), 0, organization("org_a"), members, true), Duration::ZERO);
    let (mut accepted, mut times) = (0, Vec::new());
    while sim.objects[0].ended.is_none() {
        sim.step(Duration::from_secs(3600));
        let view = sim.machine.view(&sim.objects[0].owner.uid, sim.start() + sim.now);
        let now = view.map_or(accepted, |(_, so_far)| so_far.accepted.len());
        times.extend((now > accepted).then_some(sim.now));
        accepted = now;
    }
    assert_eq!((accepted, times.len()), (45, 5));
    for time in times.iter().filter(|time| **time > Duration::from_secs(15)) {
        assert!(sim.objects[0].woken.iter().any(|woken| woken.abs_diff(*time) < Duration::from_secs(1)), "{time:?}");
    }
}

/// The number of calls ahead and the expected time are right within a factor of two.
#[test]
fn the_announced_wait_is_right_within_a_factor_of_two() {
    let mut sim = limited(Bucket::new(10.0, 5.0), 0.0, 40);
    leavers(&mut sim, "a", &organization("org_a"), 4_000);
    until(&mut sim, Duration::from_secs(30));
    let asked = sim.now;
    let Some(Wait::Queued { calls_before, about: Some(about) }) = wait(&sim, 3_000) else { panic!("it waits") };
    let before = sim.sent.len();
    while !sim.sent.iter().any(|(_, objects)| objects.contains(&3_000)) {
        sim.step(Duration::from_secs(3600));
    }
    let (calls, took) = (sim.sent.len() - before, sim.now - asked);
    assert!((calls / 2..=calls * 2).contains(&calls_before), "{calls_before}, it were {calls}");
    assert!((took / 2..=took * 2).contains(&about), "{about:?}, it were {took:?}");
}

/// A 429 wakes the objects of that call at once, and no others.
#[test]
fn a_429_wakes_the_objects_of_its_call_only() {
    let mut calls = 0;
    let network: NetworkModel = Box::new(move |_, _| {
        calls += 1;
        (Duration::from_millis(40), (calls == 2).then_some(Fault::Limits(20)))
    });
    let mut sim = Sim::new(Auth0::default(), open(0.0), network);
    leavers(&mut sim, "a", &organization("org_a"), 200);
    until(&mut sim, Duration::from_secs(5));
    let told: Vec<usize> = (0..200).filter(|n| !sim.objects[*n].woken.is_empty()).collect();
    assert!((1..=10).contains(&told.len()), "{told:?}");
    for n in 0..200 {
        match wait(&sim, n) {
            Some(Wait::RateLimited { own, .. }) => assert_eq!(own, told.contains(&n)),
            Some(Wait::AwaitingProof) => {}
            other => panic!("{other:?}"),
        }
    }
    sim.run(Duration::from_secs(3600));
    assert_all_gone(&sim);
}

/// The report of a job that is taken back says what was done so far.
#[test]
fn a_partial_report_says_what_was_accepted() {
    let mut sim = limited(Bucket::new(2.0, 0.5), 0.0, 40);
    leavers(&mut sim, "a", &organization("org_a"), 100);
    until(&mut sim, Duration::from_secs(5));
    let accepted = (0..100).find(|n| matches!(wait(&sim, *n), Some(Wait::AwaitingProof))).unwrap();
    let uid = sim.objects[accepted].owner.uid.clone();
    let report = sim.machine.take_back(&uid, sim.start() + sim.now).unwrap();
    assert!(matches!(report.end, End::HandedBack(_)) && report.accepted.len() == 1 && report.accepted_at.is_some());
    assert!(report.correlation.is_some() && report.domain.is_some() && report.read_at.is_none());
}

/// After a panic the machine goes on with its jobs.
#[test]
fn a_panic_loses_nothing() {
    let mut sim = limited(Bucket::new(10.0, 10.0), 0.0, 400);
    leavers(&mut sim, "a", &organization("org_a"), 500);
    for at in [1, 2, 5, 9] {
        sim.panic(Duration::from_millis(at * 1000 + 123));
    }
    sim.run(Duration::from_secs(600));
    assert_all_gone(&sim);
    assert!(sim.auth0.calls["DELETE"] <= 50 + 4 * 10, "{:?}", sim.auth0.calls);
}
