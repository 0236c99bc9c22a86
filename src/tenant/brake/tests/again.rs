//! What is asked for, sent or decided upon a second time.

use super::*;
use crate::api::BrakeId;

/// A tenant that is deleted and applied again has no new budget, however long that takes.
#[test]
fn what_was_sent_counts_after_a_tenant_is_applied_again() {
    let (brakes, key) = (Brakes::default(), TenantKey { namespace: Some("a".into()), name: "t".into() });
    let namespace = Arc::from("a");
    let draw = |numbers| brakes.try_draw(&key, &namespace, &items(numbers), 1);
    let decide = || {
        let demand = [(namespace.clone(), Demand { ready: items(2..3).into_iter().collect(), ..Demand::default() })];
        let facts =
            Facts { generation: 1, max: 2, window: WINDOW, per_minute: 100, demand: demand.into(), ..Facts::default() };
        let plan = brakes.decide(&key, &facts, None).unwrap();
        brakes.written(&key, Some(&plan), None);
    };
    brakes.absorb(&key, "a", Duration::ZERO, || items(0..2));
    brakes.retain(|_| None);
    decide();
    assert_eq!(draw(2..3), Draw::Refused);
    brakes.tenant_deleted(&key);
    brakes.retain(|_| None);
    decide();
    assert_eq!(draw(2..3), Draw::Refused);
}

/// After a write that failed, what waits for an allotment is not asked for a second time by itself.
#[test]
fn a_failed_write_loses_no_wish() {
    let (brakes, key) = (Brakes::default(), TenantKey { namespace: Some("a".into()), name: "t".into() });
    let wanted = items(0..2);
    let facts = Facts { max_total: None, ..facts(10, 100, &[("a", wanted.clone())]) };
    let decide = || brakes.decide(&key, &facts, None).unwrap();
    brakes.written(&key, Some(&decide()), None);
    assert_eq!(brakes.try_draw(&key, &"a".into(), &wanted, 0), Draw::Wanted);
    let plan = decide();
    assert!(plan.is_urgent && !decide().is_urgent);
    brakes.not_written(&key, &plan);
    assert!(brakes.count_after(&key).is_zero());
    assert!(decide().is_urgent);
}

/// Of a release fewer are left than an object names. It waits for another release, and does not ask again and again.
#[test]
fn what_is_left_of_a_release_of_all_is_no_reason_to_ask() {
    let now = Instant::now();
    let mut brake = TenantBrake::default();
    brake.adopt(None, None, WINDOW, now);
    let first = decide(&mut brake, &facts(100, 3, &[("a", items(0..5))]), now);
    let id = first.engaged[0].engagement.id.clone();
    let release = BrakeId { count: 2, ..id };
    let released = Facts { releases: vec![release], ..facts(100, 3, &[("a", items(0..5))]) };
    let plan = decide(&mut brake, &released, now);
    brake.apply(&plan, now);
    let draw = |brake: &mut TenantBrake, numbers| brake.draw(&"a".into(), &items(numbers), &BTreeSet::new(), 0, now);
    assert_eq!(draw(&mut brake, 0..5), Draw::Refused);
    assert!(brake.refuses("a", &items(0..5), now) && !brake.refuses("a", &items(0..2), now));
    assert_eq!(draw(&mut brake, 0..2), Draw::Wanted);
}

/// A tenant for which nothing could be decided is asked for again, by the next object that wants to send.
#[test]
fn an_undecided_tenant_is_asked_for_again() {
    let (brakes, key) = (Brakes::default(), TenantKey { namespace: Some("a".into()), name: "t".into() });
    let mut asked = brakes.asked().unwrap();
    let mut draw = || {
        assert_eq!(brakes.try_draw(&key, &"a".into(), &items(0..1), 1), Draw::Wanted);
        asked.try_recv().is_ok()
    };
    assert!(draw());
    assert!(!draw(), "it is queued already");
    brakes.undecided(&key);
    assert!(draw());
}
