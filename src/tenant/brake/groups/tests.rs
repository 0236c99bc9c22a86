//! Tables of what the guards of groups allow.

use super::*;

const ORGANIZATION: Group = Group::Organization(1);
const ROLE: Group = Group::Role(1);
const WINDOW: Duration = Duration::from_secs(3600);

fn ids(group: Group, numbers: std::ops::Range<u64>) -> Vec<ItemId> {
    numbers.map(|number| ItemId::test(number, group)).collect()
}

/// Namespace `a` asks for these items of an organization with this many members; some were sent before.
fn asked(groups: &mut Groups, share: usize, (asked, sent): (u64, usize), now: Instant) {
    let rules = GroupRules { share, keep: [(ROLE, 2)].into() };
    let asked = [("a".into(), ids(ORGANIZATION, 0..asked).into_iter().collect())].into();
    groups.decide(&rules, &asked, |name, _| if name == "a" { sent } else { 0 }, |_| false, now);
}

fn refusal(groups: &Groups, namespace: &str) -> Option<GroupRefusal> {
    groups.refusal(namespace, &ItemId::test(0, ORGANIZATION))
}

#[test]
fn the_share_of_an_organization_is_kept() {
    let now = Instant::now();
    // The length, the share, how many are asked for and were sent, and whether they may go.
    type Row = (Option<usize>, usize, (u64, usize), bool);
    let rows: &[Row] = &[
        (Some(100), 25, (25, 0), true),
        (Some(100), 25, (26, 0), false),
        (Some(100), 25, (1, 25), false),
        (Some(100), 25, (5, 20), true),
        (Some(100), 100, (100, 0), true),
        (Some(9), 25, (9, 0), true),
        (Some(10), 25, (2, 0), true),
        (Some(10), 25, (3, 0), false),
        (Some(10), 1, (1, 0), true),
        (None, 25, (1, 0), true),
        (None, 25, (2, 0), false),
        (None, 25, (1, 1), false),
        (None, 100, (50, 0), true),
        (Some(usize::MAX), 25, (50, 0), true),
    ];
    for (length, share, (count, sent), may) in rows {
        let mut groups = Groups::default();
        groups.know_length(ORGANIZATION, *length, now, WINDOW, now);
        asked(&mut groups, *share, (*count, *sent), now);
        let expected = (!may).then_some(GroupRefusal::Share { is_known: length.is_some() });
        let row = (length, share, count, sent);
        assert_eq!(refusal(&groups, "a"), expected, "{row:?}");
        assert_eq!(refusal(&groups, "b"), None);
        let new = ids(ORGANIZATION, 0..1);
        let allowed = groups.allow((&"a".into(), &new), |_| *sent, |_| false, |_| false, now);
        assert_eq!(allowed, *may, "{row:?}");
    }
}

/// What comes between two decisions counts as well.
#[test]
fn a_draw_counts_what_was_not_decided_upon() {
    let now = Instant::now();
    let mut groups = Groups::default();
    groups.know_length(ORGANIZATION, Some(20), now, WINDOW, now);
    asked(&mut groups, 25, (4, 0), now);
    let allow = |numbers| groups.allow((&"a".into(), &ids(ORGANIZATION, numbers)), |_| 0, |_| false, |_| false, now);
    assert!(allow(0..4) && allow(7..8) && allow(3..5));
    assert!(!allow(7..9));
}

/// Nobody asks for the length while the objects are stopped, so they are let go to do so from time to time, but their
/// items are not sent and do not count.
#[test]
fn the_length_of_a_stopped_organization_is_found_out_again() {
    let begin = Instant::now();
    let mut groups = Groups::default();
    groups.know_length(ORGANIZATION, None, begin, WINDOW, begin);
    asked(&mut groups, 25, (2, 0), begin);
    assert!(refusal(&groups, "a").is_some() && groups.shut().len() == 1);
    let later = begin + LOOK_AGAIN;
    asked(&mut groups, 25, (2, 0), later);
    assert_eq!((refusal(&groups, "a"), groups.shut().len()), (None, 0));
    assert!(groups.is_shut(&"a".into(), &ItemId::test(0, ORGANIZATION)));
    assert_eq!(groups.shut_organizations().count(), 1);
    assert!(!groups.allow((&"a".into(), &ids(ORGANIZATION, 0..1)), |_| 0, |_| false, |_| false, later));
    // The answer is as before.
    groups.know_length(ORGANIZATION, None, later, WINDOW, later);
    asked(&mut groups, 25, (2, 0), later);
    assert!(refusal(&groups, "a").is_some());
    groups.know_length(ORGANIZATION, Some(8), later, WINDOW, later);
    asked(&mut groups, 25, (2, 0), later);
    assert_eq!((refusal(&groups, "a"), groups.shut_organizations().count()), (None, 0));
}

#[test]
fn the_largest_length_of_a_window_counts_and_not_for_ever() {
    let begin = Instant::now();
    let mut groups = Groups::default();
    let mut limit = |length, after| {
        groups.know_length(ORGANIZATION, length, begin + after, WINDOW, begin + after);
        asked(&mut groups, 25, (1, 0), begin + after);
        groups.limit(ORGANIZATION)
    };
    assert_eq!(limit(Some(100), Duration::ZERO), Some(25));
    assert_eq!(limit(Some(40), WINDOW / 2), Some(25));
    assert_eq!(limit(None, WINDOW / 2), Some(25));
    assert_eq!(limit(Some(40), WINDOW), Some(10));
    assert_eq!(limit(None, WINDOW * 2), Some(1));
}

#[test]
fn the_last_holders_of_a_role_stay() {
    let begin = Instant::now();
    let (holders, holder) = (ids(ROLE, 0..4), |number| ItemId::test(number, ROLE));
    let rules = GroupRules { share: 25, keep: [(ROLE, 2)].into() };
    // Who is asked for, who is leaving by somebody else, how old the list is, and whether they may go.
    let rows: &[(std::ops::Range<u64>, Option<u64>, u64, bool)] = &[
        (0..2, None, 0, true),
        (0..3, None, 0, false),
        (0..2, Some(3), 0, false),
        (0..2, Some(1), 0, true),
        // Who does not hold the role leaves nobody fewer.
        (7..9, None, 0, true),
        (3..9, None, 0, true),
        (0..2, None, 59, true),
        (0..2, None, 60, false),
    ];
    for (asked, leaving, age, may) in rows {
        let now = begin + Duration::from_secs(*age);
        let is_leaving = |item: &ItemId| leaving.is_some_and(|number| *item == holder(number));
        let mut groups = Groups::default();
        groups.know_holders(ROLE, Some(holders.iter().copied().collect()), begin);
        let wanted = ids(ROLE, asked.clone());
        let by_namespace = [("a".into(), wanted.iter().copied().collect())].into();
        groups.decide(&rules, &by_namespace, |_, _| 0, is_leaving, now);
        let allowed = groups.allow((&"a".into(), &wanted[..1]), |_| 0, |_| false, is_leaving, now);
        assert_eq!(allowed, *may, "{asked:?} {leaving:?} {age}");
        // A list that is too old is read again, so it stops nobody.
        let is_shut = groups.refusal("a", &wanted[0]).is_some();
        assert_eq!(is_shut, !may && *age == 0, "{asked:?} {leaving:?} {age}");
    }
}

#[test]
fn without_a_list_of_holders_nobody_goes() {
    let begin = Instant::now();
    let rules = GroupRules { share: 25, keep: [(ROLE, 1)].into() };
    let asked = |groups: &mut Groups, now| {
        let asked = [("a".into(), ids(ROLE, 0..1).into_iter().collect())].into();
        groups.decide(&rules, &asked, |_, _| 0, |_| false, now);
        let may = groups.allow((&"a".into(), &ids(ROLE, 0..1)), |_| 0, |_| false, |_| false, now);
        (groups.refusal("a", &ItemId::test(0, ROLE)), may)
    };
    let refused = Some(GroupRefusal::Holders { at_least: 1, is_known: false });
    let mut groups = Groups::default();
    assert_eq!(asked(&mut groups, begin), (None, false));
    groups.know_holders(ROLE, None, begin);
    assert_eq!(asked(&mut groups, begin), (refused.clone(), false));
    // An older answer is no news.
    groups.know_holders(ROLE, Some(ids(ROLE, 0..9).into_iter().collect()), begin - Duration::from_secs(1));
    assert_eq!(asked(&mut groups, begin), (refused, false));
    assert_eq!(asked(&mut groups, begin + LOOK_AGAIN), (None, false));
    let later = begin + LOOK_AGAIN;
    groups.know_holders(ROLE, Some(ids(ROLE, 0..9).into_iter().collect()), later);
    assert_eq!(asked(&mut groups, later), (None, true));
}
