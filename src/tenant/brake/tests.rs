//! What the brake of a tenant decides in given situations.

use jiff::Timestamp;

use super::*;
use crate::api::NamespaceBrake;

mod again;

const WINDOW: Duration = Duration::from_secs(3600);

fn items(numbers: std::ops::Range<u64>) -> Vec<ItemId> {
    numbers.map(|number| ItemId::test(number, Group::None)).collect()
}

/// What a `ClusterAuth0Tenant` whose namespaces want these items decides.
fn facts(max: usize, max_total: usize, wanted: &[(&str, Vec<ItemId>)]) -> Facts {
    let demand = |items: &Vec<ItemId>| Demand { ready: items.iter().copied().collect(), ..Demand::default() };
    Facts {
        max,
        max_total: Some(max_total),
        window: WINDOW,
        per_minute: 1000,
        demand: wanted.iter().map(|(name, items)| ((*name).into(), demand(items))).collect(),
        ..Facts::default()
    }
}

fn decide(brake: &mut TenantBrake, facts: &Facts, now: Instant) -> Plan {
    let mut words = ["aaaa", "aaaa", "bbbb", "cccc"].into_iter().map(str::to_owned).cycle();
    brake.decide(facts, &BTreeSet::new(), Timestamp::UNIX_EPOCH, &mut || words.next().unwrap(), now)
}

fn entry(name: &str, used: i32) -> NamespaceBrake {
    NamespaceBrake { name: name.to_owned(), used, ..NamespaceBrake::default() }
}

/// An earlier leader sent five items in namespaces that its record does not name.
fn successor(now: Instant) -> TenantBrake {
    let mut brake = TenantBrake::default();
    // The status of an object that still exists gives one of them away.
    brake.counts_of(&"x".into(), now).absorb(&items(0..1), now);
    let record =
        BrakeStatus { namespaces: vec![entry("a", 1), entry(BrakeStatus::OTHERS, 5)], ..BrakeStatus::default() };
    brake.adopt(Some(&record), None, WINDOW, now);
    brake
}

fn engaged(plan: &Plan) -> Vec<(Option<&str>, usize)> {
    plan.engaged.iter().map(|engaged| (engaged.namespace.as_deref(), engaged.engagement.id.count)).collect()
}

#[test]
fn what_was_sent_in_unnamed_namespaces_counts_in_each_of_them() {
    let now = Instant::now();
    for (name, wanted, expected) in
        [("x", 5, vec![]), ("x", 6, vec![(Some("x"), 11)]), ("new", 6, vec![(Some("new"), 11)])]
    {
        let plan = decide(&mut successor(now), &facts(10, 100, &[(name, items(10..10 + wanted))]), now);
        assert_eq!(engaged(&plan), expected, "{name} {wanted}");
    }
}

#[test]
fn what_was_sent_in_unnamed_namespaces_counts_once_in_all() {
    let now = Instant::now();
    let wanted = |count: u64| [("a", items(10..10 + count)), ("x", items(30..31)), ("y", items(40..41))];
    assert_eq!(engaged(&decide(&mut successor(now), &facts(10, 10, &wanted(1)), now)), []);
    let plan = decide(&mut successor(now), &facts(10, 10, &wanted(2)), now);
    assert_eq!(engaged(&plan), [(None, 11)]);
    // The next leader finds the same.
    let names: Vec<_> = plan.record.unwrap().namespaces.into_iter().map(|one| (one.name, one.used)).collect();
    assert_eq!(names, [("a".to_owned(), 1), (BrakeStatus::OTHERS.to_owned(), 6)]);
}

#[test]
fn a_record_names_no_more_namespaces_than_fit() {
    let now = Instant::now();
    let mut brake = TenantBrake::default();
    for n in 0..600_u64 {
        brake.counts_of(&format!("n{n}").into(), now).absorb(&items(n..n + 1), now);
    }
    let names: Vec<String> = (0..600).map(|n| format!("n{n}")).collect();
    let wanted: Vec<(&str, Vec<ItemId>)> =
        names.iter().zip(0..).map(|(name, n)| (name.as_str(), items(1000 + n..1001 + n))).collect();
    brake.adopt(None, None, WINDOW, now);
    for (name, items) in &wanted {
        brake.draw(&(*name).into(), items, &BTreeSet::new(), 0, now);
    }
    let record = decide(&mut brake, &facts(1000, 10_000, &wanted), now).record.unwrap();
    assert_eq!(record.namespaces.len(), BrakeStatus::MAX_NAMESPACES + 1);
    let total: i32 = record.namespaces.iter().map(|one| one.used + one.allotted).sum();
    assert_eq!(total, record.used + record.allotted);
    assert!(total >= 1200, "{total}");
}

/// A release names an engagement by its word alone.
#[test]
fn no_two_engagements_have_the_same_word() {
    let now = Instant::now();
    let mut brake = TenantBrake::default();
    brake.adopt(None, None, WINDOW, now);
    let plan = decide(&mut brake, &facts(1, 1, &[("a", items(0..2)), ("b", items(2..4))]), now);
    let words: BTreeSet<&str> = plan.engaged.iter().map(|engaged| engaged.engagement.id.word.as_str()).collect();
    assert_eq!((plan.engaged.len(), words.len()), (2, 2), "{:?}", plan.engaged);
}

#[test]
fn a_window_without_end_is_no_overflow() {
    let mut brake = TenantBrake::default();
    brake.adopt(
        Some(&BrakeStatus { namespaces: vec![entry("*", i32::MAX)], ..BrakeStatus::default() }),
        None,
        Duration::MAX,
        Instant::now(),
    );
    brake.counts_of(&"a".into(), Instant::now());
    assert_eq!(brake.namespaces["a"].used(), i32::MAX as usize);
}

/// The answer to a conflict is newer than the cache. If the older one were taken for news, this process would write and
/// fail at once again, as fast as the API server answers, until its watch delivers.
#[test]
fn a_cache_that_is_behind_is_no_news() {
    let (brakes, key) = (Brakes::default(), TenantKey { namespace: Some("a".into()), name: "t".into() });
    let (older, newer) =
        (BrakeStatus { used: 1, ..BrakeStatus::default() }, BrakeStatus { used: 2, ..BrakeStatus::default() });
    brakes.adopt(&key, Some(&older), WINDOW, Some(5));
    brakes.adopt(&key, Some(&newer), WINDOW, Some(7));
    assert!(!brakes.is_foreign(&key, Some(&older), Some(5)));
    assert!(!brakes.is_foreign(&key, Some(&newer), Some(7)));
    assert!(brakes.is_foreign(&key, Some(&older), Some(8)));
}

/// The status of an object can tell of a removal between two decisions.
#[test]
fn what_was_sent_before_counts_for_its_organization_at_once() {
    let (now, organization) = (Instant::now(), Group::of_organization("org_a"));
    let member = |number| ItemId::test(number, organization);
    let mut brake = TenantBrake::default();
    brake.adopt(None, Some(&"a".into()), WINDOW, now);
    brake.know_length(organization, Some(10), now, now);
    let rules = GroupRules { share: 25, ..GroupRules::default() };
    let facts = Facts { max: 100, window: WINDOW, per_minute: 100, groups: rules, ..Facts::default() };
    decide(&mut brake, &facts, now);
    brake.know_length(organization, Some(10), now, now);
    let draw = |brake: &mut TenantBrake, number| brake.draw(&"a".into(), &[member(number)], &BTreeSet::new(), 0, now);
    assert_eq!(draw(&mut brake, 1), Draw::Wanted);
    brake.counts_of(&"a".into(), now).absorb(&[member(7), member(8)], now);
    assert_eq!(draw(&mut brake, 1), Draw::Refused);
}

/// What a crash left undrawn counts as used.
#[test]
fn an_allotment_is_written_and_counts_for_the_next_leader() {
    let (now, name) = (Instant::now(), Arc::from("a"));
    let mut brake = TenantBrake::default();
    brake.adopt(None, None, WINDOW, now);
    assert_eq!(brake.draw(&name, &items(0..2), &BTreeSet::new(), 0, now), Draw::Wanted);
    let record = decide(&mut brake, &facts(10, 100, &[("a", items(0..4))]), now).record.unwrap();
    assert_eq!((record.used, record.allotted), (0, 4));
    let mut next = TenantBrake::default();
    next.adopt(Some(&record), None, WINDOW, now);
    assert_eq!(next.namespaces["a"].used(), 4);
    assert_eq!(engaged(&decide(&mut next, &facts(10, 100, &[("a", items(10..17))]), now)), [(Some("a"), 11)]);
}

/// The annotation stays where it is.
#[test]
fn a_release_lets_an_engagement_through_once() {
    let now = Instant::now();
    let mut brake = TenantBrake::default();
    brake.adopt(None, None, WINDOW, now);
    let first = decide(&mut brake, &facts(1, 100, &[("a", items(0..3))]), now);
    let releases: Vec<_> = first.engaged.iter().map(|engaged| engaged.engagement.id.clone()).collect();
    let more = Facts { releases, ..facts(1, 100, &[("a", items(0..5))]) };
    let second = decide(&mut brake, &more, now);
    brake.apply(&second, now);
    let third = decide(&mut brake, &more, now);
    let word = |plan: &Plan| plan.engaged[0].engagement.id.word.clone();
    assert!(word(&first) != word(&second) && word(&second) == word(&third));
    assert_eq!(second.record.unwrap().namespaces[0].released, 3);
    assert_eq!(third.record.unwrap().namespaces[0].released, 3);
}

/// A rule on holders that comes after the first attempt counts for the second one.
#[test]
fn a_role_that_must_be_kept_is_asked_about_at_every_attempt() {
    let (now, role) = (Instant::now(), Group::Role(1));
    let holders: Vec<ItemId> = (0..2).map(|user| ItemId::test(user, role)).collect();
    let (mut brake, leaver) = (TenantBrake::default(), holders[..1].to_vec());
    brake.adopt(None, None, WINDOW, now);
    let mut facts = facts(10, 100, &[("a", leaver.clone())]);
    let draw = |brake: &mut TenantBrake, facts: &Facts| {
        let namespace = "a".into();
        brake.draw(&namespace, &leaver, &BTreeSet::new(), 0, now);
        let plan = decide(brake, facts, now);
        brake.apply(&plan, now);
        brake.draw(&namespace, &leaver, &BTreeSet::new(), 0, now)
    };
    assert_eq!(draw(&mut brake, &facts), Draw::Granted);
    facts.groups.keep = [(role, 1)].into();
    brake.groups.know_holders(role, Some(holders.into_iter().collect()), now);
    assert_eq!(draw(&mut brake, &facts), Draw::Granted, "one is left");
    facts.groups.keep = [(role, 2)].into();
    assert_eq!(draw(&mut brake, &facts), Draw::Refused);
}

/// Of two tenant objects of a domain each could leave one holder, so that together they would leave none.
#[test]
fn what_another_tenant_takes_away_counts() {
    let (now, role) = (Instant::now(), Group::Role(1));
    let holders: BTreeSet<ItemId> = (0..2).map(|user| ItemId::test(user, role)).collect();
    let (leaver, other) = (ItemId::test(0, role), ItemId::test(1, role));
    for (elsewhere, expected) in [(BTreeSet::new(), Draw::Granted), ([other].into(), Draw::Refused)] {
        let mut brake = TenantBrake::default();
        brake.adopt(None, None, WINDOW, now);
        let mut facts = facts(10, 100, &[("a", vec![leaver])]);
        facts.groups.keep = [(role, 1)].into();
        brake.groups.know_holders(role, Some(holders.clone()), now);
        let draw = |brake: &mut TenantBrake| brake.draw(&"a".into(), &[leaver], &elsewhere, 0, now);
        draw(&mut brake);
        let plan = decide(&mut brake, &facts, now);
        brake.apply(&plan, now);
        assert_eq!(draw(&mut brake), expected);
    }
}

/// A preflight check that began before an edit of the tenant takes what was allotted after it. Otherwise it would ask
/// again and again.
#[test]
fn an_allotment_is_good_for_what_asked_before_an_edit() {
    let (now, wanted) = (Instant::now(), items(0..1));
    let mut brake = TenantBrake::default();
    brake.adopt(None, None, WINDOW, now);
    let mut draw = |generation, after| {
        let namespace = "a".into();
        brake.draw(&namespace, &wanted, &BTreeSet::new(), generation, now);
        let facts = Facts { generation: after, ..facts(10, 100, &[("a", wanted.clone())]) };
        let plan = decide(&mut brake, &facts, now);
        brake.apply(&plan, now);
        brake.draw(&namespace, &wanted, &BTreeSet::new(), generation, now)
    };
    assert_eq!(draw(3, 2), Draw::Wanted, "the limit may have changed since");
    assert_eq!(draw(1, 2), Draw::Granted);
}

/// What was sent before a restart costs nothing when it is sent again, but the guards of its role have to be known.
#[test]
fn nothing_is_drawn_before_the_brake_was_decided_upon() {
    let (brakes, key) = (Brakes::default(), TenantKey { namespace: Some("a".into()), name: "t".into() });
    let (namespace, role) = (Arc::from("a"), Group::Role(1));
    let item = [ItemId::test(1, role)];
    let draw = |generation| brakes.try_draw(&key, &namespace, &item, generation);
    let decide = |generation, keep: &[(Group, usize)]| {
        let groups = GroupRules { keep: keep.iter().copied().collect(), ..GroupRules::default() };
        let facts = Facts { generation, max: 10, window: WINDOW, per_minute: 100, groups, ..Facts::default() };
        brakes.decide(&key, &facts, None).unwrap();
    };
    brakes.absorb(&key, "a", Duration::from_secs(9), || item.to_vec());
    assert_eq!(draw(1), Draw::Wanted);
    decide(1, &[]);
    assert_eq!(draw(1), Draw::Granted);
    assert_eq!(draw(2), Draw::Wanted, "the tenant was edited");
    decide(2, &[(role, 1)]);
    assert_eq!(draw(2), Draw::Refused, "who holds the role is not known");
    // A preflight check that began before the edit.
    assert_eq!(draw(1), Draw::Refused);
}

/// Another tenant object of the same name has other limits, whatever its generation.
#[test]
fn an_allotment_ends_with_its_tenant() {
    let (brakes, key) = (Brakes::default(), TenantKey { namespace: Some("a".into()), name: "t".into() });
    let namespace = Arc::from("a");
    let draw = |numbers| brakes.try_draw(&key, &namespace, &items(numbers), 1);
    let decide = |max| {
        let facts = Facts { generation: 1, max, window: WINDOW, per_minute: 100, ..Facts::default() };
        let plan = brakes.decide(&key, &facts, None).unwrap();
        brakes.written(&key, Some(&plan), None);
    };
    decide(1000);
    assert_eq!(draw(0..1), Draw::Wanted);
    decide(1000);
    assert_eq!(draw(0..1), Draw::Granted);
    brakes.tenant_deleted(&key);
    assert_eq!(draw(0..1), Draw::Wanted);
    decide(1);
    assert_eq!(draw(0..2), Draw::Wanted, "one of them is new");
    decide(1);
    assert_eq!(draw(0..2), Draw::Refused);
}

/// Each allotment is larger than what asks for it, so several together could be more than the tenant allows.
#[test]
fn allotments_together_are_no_more_than_all_namespaces_may() {
    let now = Instant::now();
    let wanted = [("a", items(0..10)), ("b", items(10..20))];
    let mut brake = TenantBrake::default();
    brake.adopt(None, None, WINDOW, now);
    for (name, items) in &wanted {
        assert_eq!(brake.draw(&(*name).into(), items, &BTreeSet::new(), 0, now), Draw::Wanted);
    }
    let record = decide(&mut brake, &facts(100, 20, &wanted), now).record.unwrap();
    assert_eq!((record.id, record.allotted), (None, 20));
}

/// An earlier leader may use its last allotment as long as that is valid, so what it wrote counts for that much longer.
#[test]
fn what_an_earlier_leader_wrote_counts_from_the_end_of_its_allotment() {
    let now = Instant::now();
    let record = BrakeStatus { used: 1, allotted: 3, ..BrakeStatus::default() };
    let name = Arc::from("a");
    let mut brake = TenantBrake::default();
    brake.adopt(Some(&record), Some(&name), WINDOW, now);
    for (later, used) in [(0, 4), (59, 4), (60, 0)] {
        brake.expire(WINDOW, now + WINDOW + Duration::from_secs(later));
        assert_eq!(brake.namespaces.get(&name).map_or(0, |counts| counts.used()), used, "{later}");
    }
}

/// What waits for the first decision needs no write of the status.
#[tokio::test(start_paused = true)]
async fn who_waits_for_a_decision_learns_of_it() {
    let (brakes, key) = (Brakes::default(), TenantKey { namespace: Some("a".into()), name: "t".into() });
    let (namespace, sent) = (Arc::from("a"), items(0..1));
    brakes.absorb(&key, "a", Duration::from_secs(9), || sent.clone());
    let draw = brakes.draw(&key, &namespace, &sent, 1);
    tokio::pin!(draw);
    assert!(tokio::time::timeout(Duration::from_secs(1), &mut draw).await.is_err());
    let facts = Facts { generation: 1, max: 10, window: WINDOW, per_minute: 100, ..Facts::default() };
    brakes.decide(&key, &facts, None).unwrap();
    assert_eq!(tokio::time::timeout(Duration::from_secs(1), draw).await, Ok(Ok(())));
}

/// What engages while another engagement is over is in force at once, whether the status can be written or not. What
/// follows a release is not.
#[test]
fn what_begins_waits_for_no_write_but_that_of_its_release() {
    let now = Instant::now();
    let begun = |plan: &Plan, after_release| {
        let begun = plan.begun(after_release).map(|new| new.namespace.as_ref().unwrap().to_string());
        begun.collect::<Vec<_>>()
    };
    let mut brake = TenantBrake::default();
    brake.adopt(None, None, WINDOW, now);
    let first = decide(&mut brake, &facts(1, 100, &[("a", items(0..3))]), now);
    assert_eq!((begun(&first, false), begun(&first, true)), (vec!["a".to_owned()], vec![]));
    let second = decide(&mut brake, &facts(1, 100, &[("b", items(3..6))]), now);
    assert_eq!(second.ended.len(), 1);
    assert_eq!((begun(&second, false), begun(&second, true)), (vec!["b".to_owned()], vec![]));
    let releases = second.engaged.iter().map(|engaged| engaged.engagement.id.clone()).collect();
    let third = decide(&mut brake, &Facts { releases, ..facts(1, 100, &[("b", items(3..9))]) }, now);
    assert_eq!((begun(&third, false), begun(&third, true)), (vec![], vec!["b".to_owned()]));
}
