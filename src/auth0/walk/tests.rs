use super::*;
use crate::auth0::{ApiSettings, Endpoint};
use proptest::prelude::*;
use serde_json::json;

fn roles() -> Read {
    Read::List(Endpoint::UserRoles { user: "auth0|a".into() })
}

fn members() -> Read {
    Read::List(Endpoint::OrganizationMembers { organization: "org_9ybsU1dN2dKfDkBi".into() })
}

fn items(ids: impl IntoIterator<Item = usize>) -> BTreeSet<Item> {
    ids.into_iter().map(|n| Item::Id(n.to_string().into())).collect()
}

fn page(start: usize, count: usize, total: usize) -> Value {
    let roles: Vec<_> = (start..start + count).map(|n| json!({"id": n.to_string()})).collect();
    json!({"start": start, "limit": 50, "total": total, "roles": roles})
}

#[test]
fn an_offset_walk_ends_where_the_counts_meet() {
    let mut walk = Walk::new(roles(), items([3, 70, 99]));
    assert_eq!(walk.take(&page(0, 25, 75)), Ok(WalkStep::More), "a capped page is not the end");
    assert_eq!(walk.query()[0].1, "1");
    assert_eq!(walk.take(&page(25, 25, 75)), Ok(WalkStep::More));
    assert_eq!(walk.take(&page(50, 25, 75)), Ok(WalkStep::Done(items([3, 70]))));
}

#[test]
fn without_totals_only_an_empty_page_is_the_end() {
    let mut walk = Walk::new(roles(), items([9]));
    assert_eq!(walk.take(&json!([{"id": "1"}])), Ok(WalkStep::More));
    assert_eq!(walk.take(&json!([])), Ok(WalkStep::Done(items([]))));
}

/// Promise 4 of docs/design.md (tests/mutants.sh: 4-incomplete-is-gone).
#[test]
fn what_does_not_add_up_is_an_error() {
    let torn = |pages: &[Value]| {
        let mut walk = Walk::new(roles(), items([5000]));
        pages.iter().map(|p| walk.take(p)).find(|step| !matches!(step, Ok(WalkStep::More)))
    };
    assert_eq!(torn(&[page(0, 50, 60), page(50, 0, 60)]), Some(Err(WalkError::InconsistentPages)), "ends too early");
    assert_eq!(torn(&[page(0, 20, 60), page(50, 10, 60)]), Some(Err(WalkError::InconsistentPages)), "a gap");
    assert_eq!(torn(&[page(0, 50, 60), page(0, 50, 60)]), Some(Err(WalkError::InconsistentPages)), "a page repeats");
    assert_eq!(torn(&[page(0, 50, 60), page(50, 9, 59)]), Some(Err(WalkError::InconsistentPages)), "the list changed");
    for bad in
        [json!(null), json!({}), json!({"roles": null}), json!({"roles": [{"name": "x"}]}), json!("x"), json!([7])]
    {
        assert_eq!(torn(&[bad]), Some(Err(WalkError::Malformed)));
    }
    let long: Vec<_> = (0..20).map(|n| page(n * 50, 50, 1001)).collect();
    assert_eq!(torn(&long), Some(Err(WalkError::TooLong)));
}

/// Promise 4 of docs/design.md: a page that shows what an earlier one has shown counts towards the total, so what it
/// replaces would be missed. It may come from a cache that ignores the query, or from a list without a fixed order.
#[test]
fn what_is_shown_twice_is_not_counted_twice() {
    let bare = |start: usize, count: usize| {
        let mut page = page(start, count, 100);
        page.as_object_mut().unwrap().remove("start");
        page
    };
    for second in [bare(0, 50), bare(49, 50), json!({"start": 50, "total": 100, "roles": bare(49, 50)["roles"]})] {
        let mut walk = Walk::new(roles(), items([99]));
        assert_eq!(walk.take(&bare(0, 50)), Ok(WalkStep::More));
        let query = walk.query();
        assert_eq!(walk.take(&second), Err(WalkError::InconsistentPages), "{second}");
        assert_eq!((walk.query(), walk.seen()), (query, 50));
        assert_eq!(walk.take(&bare(50, 50)), Ok(WalkStep::Done(items([99]))), "the right page is still accepted");
        walk.restart();
        assert_eq!(walk.take(&bare(0, 50)), Ok(WalkStep::More), "what the first reading showed does not count");
    }
    let mut walk = Walk::new(roles(), items([5000]));
    let repeated: Vec<Value> = (0..30).map(|_| bare(0, 50)["roles"].clone()).collect();
    let last = repeated.iter().map(|page| walk.take(page)).find(|step| !matches!(step, Ok(WalkStep::More)));
    assert_eq!((last, walk.pages()), (Some(Err(WalkError::InconsistentPages)), 1), "without totals");
}

/// As recorded from `users/{id}/organizations`: a total of 0 next to an organization, and a `start` of 50 on the page
/// after it.
#[test]
fn a_total_below_what_was_seen_is_no_total() {
    let mut walk = Walk::new(roles(), items([1, 7]));
    assert_eq!(walk.take(&json!({"start": 0, "limit": 50, "total": 0, "roles": [{"id": "7"}]})), Ok(WalkStep::More));
    let end = json!({"start": 50, "limit": 50, "total": 0, "roles": []});
    assert_eq!(walk.take(&end), Ok(WalkStep::Done(items([7]))));

    let mut walk = Walk::new(roles(), items([7]));
    assert_eq!(walk.take(&json!({"start": 0, "total": 0, "roles": [{"id": "7"}]})), Ok(WalkStep::Done(items([7]))));
    let mut walk = Walk::new(roles(), items([7]));
    assert_eq!(walk.take(&page(0, 0, 0)), Ok(WalkStep::Done(items([]))), "of an empty list it is right");
    let mut walk = Walk::new(roles(), items([5000]));
    assert_eq!(walk.take(&page(0, 50, 60)), Ok(WalkStep::More));
    assert_eq!(walk.take(&page(50, 11, 60)), Ok(WalkStep::More), "it shows more than it says");
    assert_eq!(walk.take(&page(61, 0, 60)), Ok(WalkStep::Done(items([]))));
}

/// A failed page can be requested any number of times. After inconsistent pages the walk has to be restarted.
#[test]
fn a_page_can_be_asked_for_again() {
    let mut walk = Walk::new(roles(), items([3, 70]));
    assert_eq!(walk.take(&page(0, 50, 75)), Ok(WalkStep::More));
    let query = walk.query();
    for _ in 0..3 {
        assert_eq!(walk.take(&json!({"roles": [{"id": "70"}, {"name": "x"}], "total": 75})), Err(WalkError::Malformed));
        assert_eq!(walk.query(), query);
    }
    assert_eq!(walk.take(&page(0, 50, 75)), Err(WalkError::InconsistentPages), "an earlier page once more");
    assert_eq!(walk.query(), query);
    walk.restart();
    assert_eq!((walk.pages(), walk.query()[0].1.as_str()), (0, "0"));
    assert_eq!(walk.take(&page(0, 3, 3)), Ok(WalkStep::Done(items([]))), "what the first reading found does not count");
}

#[test]
fn a_first_page_walk_takes_one_page_and_nothing_wanted_takes_all() {
    let mut first = Walk::first_page(roles());
    assert_eq!(first.take(&json!({"message": "x"})), Err(WalkError::Malformed));
    assert_eq!(first.take(&page(0, 50, 75)), Ok(WalkStep::Done(items([]))));
    let mut nothing = Walk::new(roles(), items([]));
    assert_eq!(nothing.take(&page(0, 50, 75)), Ok(WalkStep::More));
    assert_eq!(nothing.take(&page(50, 25, 75)), Ok(WalkStep::Done(items([]))));
}

#[test]
fn a_walk_shows_nobody() {
    let members = Endpoint::OrganizationMembers { organization: "org_canary".into() };
    let mut walk = Walk::new(Read::List(members), [Item::Id("auth0|canary".into())].into());
    walk.take(&json!({"members": [{"user_id": "auth0|canary2"}], "next": "canary"})).unwrap();
    assert_eq!(walk.query()[1].1, "canary");
    assert!(!format!("{walk:?} {:?}", walk.query()).contains("canary"));
}

#[test]
fn a_checkpoint_walk_ends_when_next_is_missing() {
    let entry = |id: &str| json!({"user_id": id});
    let mut walk = Walk::new(members(), items([1, 2]));
    assert_eq!(*walk.query(), [("take", "50".to_owned())]);
    assert_eq!(walk.take(&json!({"members": [entry("1")], "next": "c1"})), Ok(WalkStep::More));
    assert_eq!(walk.query()[1], ("from", "c1".to_owned()));
    assert_eq!(walk.take(&json!({"members": [], "next": "c2"})), Ok(WalkStep::More), "an empty page is not the end");
    assert_eq!(walk.take(&json!({"members": []})), Ok(WalkStep::Done(items([1]))));

    let torn = |pages: &[Value]| {
        let mut walk = Walk::new(members(), items([9]));
        pages.iter().map(|p| walk.take(p)).find(|step| !matches!(step, Ok(WalkStep::More)))
    };
    assert_eq!(
        torn(&[json!({"members": [], "next": "a"}), json!({"members": [], "next": "a"})]),
        Some(Err(WalkError::InconsistentPages))
    );
    assert_eq!(torn(&[json!({"members": [], "next": ""})]), Some(Err(WalkError::Malformed)));
    assert_eq!(torn(&[json!([])]), Some(Err(WalkError::Malformed)), "an array says nothing about the end");
    let offset = json!({"start": 0, "limit": 1, "total": 2, "members": [entry("1")]});
    assert_eq!(torn(&[offset]), Some(Err(WalkError::InconsistentPages)), "the first page of another paging");
}

proptest! {
    /// A complete walk finds exactly what is in the list, whatever the page size.
    #[test]
    fn a_complete_walk_is_exact(
        total in 0usize..400, size in 1usize..60, wanted in proptest::collection::btree_set(0usize..800, 1..20),
    ) {
        let mut walk = Walk::new(roles(), items(wanted.iter().copied()));
        let mut start = 0;
        let found = loop {
            let count = size.min(total - start);
            match walk.take(&page(start, count, total)).unwrap() {
                WalkStep::More => start += count,
                WalkStep::Done(found) => break found,
            }
        };
        prop_assert_eq!(found, items(wanted.into_iter().filter(|n| *n < total)));
    }

    /// The same for a checkpoint list whose last page also has a cursor, which leads to an empty page without one.
    #[test]
    fn a_complete_checkpoint_walk_is_exact(
        total in 0usize..300, size in 1usize..60, cursor_on_last in any::<bool>(),
        wanted in proptest::collection::btree_set(0usize..600, 0..20),
    ) {
        let mut walk = Walk::new(members(), items(wanted.iter().copied()));
        let mut start = 0;
        let found = loop {
            let end = (start + size).min(total);
            let entries: Vec<_> = (start..end).map(|n| json!({"user_id": n.to_string()})).collect();
            let has_next = if cursor_on_last { start < total } else { end < total };
            let mut page = json!({ "members": entries });
            if has_next {
                page["next"] = format!("c{end}").into();
            }
            match walk.take(&page).unwrap() {
                WalkStep::More => start = end,
                WalkStep::Done(found) => break found,
            }
        };
        prop_assert_eq!(found, items(wanted.into_iter().filter(|n| *n < total)));
    }

    /// Promise 4 of docs/design.md: whatever the pages contain, an item that was seen is never reported as absent, and
    /// the walk never ends before the list does.
    #[test]
    fn nothing_shown_is_called_absent(
        pages in proptest::collection::vec(any_page(), 1..8), checkpoint in any::<bool>(),
        wanted in proptest::collection::btree_set(0usize..6, 0..4),
    ) {
        let (read, key, id) = if checkpoint { (members(), "members", "user_id") } else { (roles(), "roles", "id") };
        let mut walk = Walk::new(read, items(wanted.iter().copied()));
        let (mut shown, mut counted) = (BTreeSet::new(), false);
        for AnyPage { entries, start, total, next } in pages {
            let listed: Vec<_> = entries.iter().map(|n| json!({ id: n.to_string() })).collect();
            let page = json!({ key: listed, "start": start, "total": total, "next": next });
            let before = walk.query();
            match walk.take(&page) {
                Ok(step) => {
                    shown.extend(entries.iter().copied());
                    counted |= total.is_some();
                    let WalkStep::Done(found) = step else { continue };
                    let there = items(wanted.iter().copied().filter(|n| shown.contains(n)));
                    prop_assert_eq!(&found, &there);
                    let all = found.len() == wanted.len() && !wanted.is_empty();
                    let ended = if checkpoint { next.is_none() } else { entries.is_empty() || counted };
                    prop_assert!(all || ended);
                    break;
                }
                Err(WalkError::TooLong) => break,
                Err(_) => prop_assert_eq!(walk.query(), before),
            }
        }
    }
}

#[derive(Clone, Debug)]
struct AnyPage {
    entries: Vec<usize>,
    start: Option<u64>,
    total: Option<u64>,
    next: Option<String>,
}

fn any_page() -> impl Strategy<Value = AnyPage> {
    let number = || proptest::option::of(0u64..6);
    (proptest::collection::vec(0usize..6, 0..4), number(), number(), proptest::option::of("[a-c]"))
        .prop_map(|(entries, start, total, next)| AnyPage { entries, start, total, next })
}

/// What a permission comes through is remembered for what is wanted, also if the entry is none that a DELETE removes.
#[test]
fn the_roles_that_give_wanted_permissions_are_collected() {
    let read = Read::List(Endpoint::UserPermissions { user: "auth0|a".into() });
    let permission = |name: &str| Item::Permission { resource_server: "https://api/".into(), name: name.into() };
    let entry = |name: &str, sources: &[&str]| {
        let source = |id: &&str| match *id {
            "" => json!({"source_type": "DIRECT", "source_id": ""}),
            id => json!({"source_type": "ROLE", "source_id": id}),
        };
        let sources: Vec<_> = sources.iter().map(source).collect();
        json!({"permission_name": name, "resource_server_identifier": "https://api/", "sources": sources})
    };
    let roles = |walk: &Walk, names: &[&str]| -> Vec<String> {
        let items: Vec<_> = names.iter().map(|name| permission(name)).collect();
        walk.through_roles(&items).iter().map(ToString::to_string).collect()
    };
    let entries =
        [entry("a", &["rol_1", "rol_2"]), entry("b", &["", "rol_3"]), entry("c", &["rol_4"]), entry("d", &[""])];
    let mut walk = Walk::new(read, BTreeSet::from(["a", "b", "d"].map(permission)));
    let done = WalkStep::Done(BTreeSet::from(["b", "d"].map(permission)));
    let page = json!({"start": 0, "limit": 50, "total": 4, "permissions": entries});
    assert_eq!((walk.take(&page), walk.is_exhausted()), (Ok(done), true));
    assert_eq!(roles(&walk, &["a"]), ["rol_1", "rol_2"]);
    assert_eq!(roles(&walk, &["b", "d"]), ["rol_3"]);
    assert!(roles(&walk, &["c"]).is_empty(), "nobody asked about it");
    walk.restart();
    assert!(roles(&walk, &["a", "b"]).is_empty());
    let many: Vec<String> = (0..500).map(|n| format!("rol_{n}")).collect();
    let many = entry("a", &many.iter().map(String::as_str).collect::<Vec<_>>());
    walk.take(&json!({"permissions": [many]})).unwrap();
    assert_eq!(roles(&walk, &["a"]).len(), 10);
}

#[test]
fn questions_are_answered_by_as_much_as_they_need() {
    let answer = |question: Question, pages: &[Value]| {
        let mut walk = Walk::new(Read::Answer(question), BTreeSet::new());
        let mut steps = pages.iter().map(|page| walk.take(page));
        let last = steps.find(|step| !matches!(step, Ok(WalkStep::More)));
        (last.map(|step| step.map(drop)), walk.pages(), walk.fact().cloned())
    };
    let names = |names: &[&str]| Arc::new(names.iter().map(|name| Arc::from(*name)).collect::<BTreeSet<Arc<str>>>());
    let settings = Question::ApiSettings { identifier: "a".into() };
    let object = json!({"identifier": "a", "enforce_policies": true, "token_lifetime": 86400});
    let read = Fact::ApiSettings(ApiSettings { enforces_policies: Some(true), token_lifetime: Some(86400) });
    assert_eq!(answer(settings.clone(), &[object]), (Some(Ok(())), 1, Some(read)));
    assert_eq!(answer(settings, &[json!([])]), (Some(Err(WalkError::Malformed)), 0, None));

    let login = || Question::LoginMembership { organization: "org_1".into() };
    let connection = |n: usize, assigns: bool| {
        let (id, connection) = (format!("con_{n}"), json!({"name": format!("c{n}")}));
        json!({"connection_id": id, "assign_membership_on_login": assigns, "connection": connection})
    };
    let first =
        json!({"start": 0, "limit": 2, "total": 3, "enabled_connections": [connection(1, true), connection(2, false)]});
    let second = json!({"start": 2, "limit": 2, "total": 3, "enabled_connections": [connection(3, true)]});
    let read = Some(Fact::LoginMembership(names(&["c1", "c3"])));
    assert_eq!(answer(login(), &[first.clone(), second]), (Some(Ok(())), 2, read));
    assert_eq!(answer(login(), &[first]).2, None, "half of a list answers nothing");

    let count = || Question::MemberCount { organization: "org_1".into() };
    let page =
        |total: Value, entries: usize| json!({"total": total, "members": vec![json!({"user_id": "a"}); entries]});
    for (page, expected) in [
        (page(json!(5000), 50), 5000),
        (page(json!(0), 3), 3),
        (page(Value::Null, 50), 50),
        (page(json!("x"), 1), 1),
        (json!([{"user_id": "a"}]), 1),
    ] {
        assert_eq!(answer(count(), &[page]), (Some(Ok(())), 1, Some(Fact::MemberCount(expected))));
    }

    let holders = || Question::RoleHolders { role: "rol_1".into() };
    let page = |user: &str, next: Value| json!({"users": [{"user_id": user}], "next": next});
    let pages = [page("auth0|a", json!("x")), page("auth0|b", Value::Null)];
    assert_eq!(answer(holders(), &pages).2, Some(Fact::RoleHolders(names(&["auth0|a", "auth0|b"]))));
    assert_eq!(answer(holders(), &pages[..1]).2, None);
    assert_eq!(answer(holders(), &[json!({"users": [{"id": "a"}]})]).0, Some(Err(WalkError::Malformed)));
}
