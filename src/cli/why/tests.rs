use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::json;

use crate::auth0::{ApiSettings, Item};
use crate::cli::people::{Account, Named, OfApi};
use crate::cli::reads::ReadError;
use crate::cli::screen::Screen;

use super::facts::{Asked, EffectiveRole, Facts, HeldPermission, Known, Member, effective, permissions};
use super::objects::{Mention, Stage};
use super::parts::{Lines, View};
use super::print::{Style, text};
use super::questions::ways;
use super::report::{AccountReport, Report};
use super::tree::{Node, Sign, Ways};
use super::way::Way;

const API: &str = "https://a/";

fn now() -> Timestamp {
    "2026-11-26T12:00:00Z".parse().unwrap()
}

fn item() -> Item {
    Item::Permission { resource_server: API.into(), name: "read:x".into() }
}

fn role(id: &str) -> Named {
    Named { id: id.into(), name: Some(id.to_uppercase()) }
}

fn grouped(id: &str) -> EffectiveRole {
    EffectiveRole { role: role(id), direct: false, grouped: true }
}

fn lacks(scope: &str) -> ReadError {
    ReadError::Scope(scope.to_owned())
}

/// Nothing is held, by complete reads.
fn nothing() -> Facts {
    let mut facts = Facts::unread(&"auth0|a".into());
    facts.roles = Ok(Vec::new());
    facts.effective = Ok(Vec::new());
    facts.permissions = Ok(Vec::new());
    facts.organizations = Ok(Vec::new());
    facts
}

fn member(roles: &[&str]) -> Member {
    let roles: Vec<Named> = roles.iter().map(|id| role(id)).collect();
    Member { roles: Ok(roles), effective: Ok(Vec::new()), login: Ok(BTreeSet::new()) }
}

fn of_api(enforces: Option<bool>, lifetime: Option<u32>) -> OfApi {
    let settings = Ok(ApiSettings { enforces_policies: enforces, token_lifetime: lifetime });
    OfApi { api: API.into(), name: "read:x".into(), settings }
}

fn answer(facts: &Facts, asked: Asked<'_>) -> Ways {
    ways(&View { facts, flags: &[], lines: Lines::Roles }, asked, now())
}

fn about(facts: &Facts) -> Ways {
    answer(facts, Asked::Permission(&of_api(Some(true), Some(3600))))
}

fn gives(facts: &mut Facts, role: &str) {
    facts.gives.insert(role.into(), Ok(BTreeSet::from([item()])));
}

/// The lines as `sign what: detail`.
fn lines(ways: &Ways) -> Vec<String> {
    let line = |node: &&Node| format!("{:?} {}: {}", node.sign, node.what, node.detail);
    ways.nodes().iter().map(line).collect()
}

fn exit_code(ways: Ways) -> u8 {
    let mut report = Report::new(now(), true);
    report.accounts.push(AccountReport::new(&Account::default(), ways));
    report.exit_code()
}

#[test]
fn nothing_held_and_all_read_is_no_way() {
    let found = about(&nothing());
    assert!(found.nodes().iter().all(|node| node.sign == Sign::NotHeld), "{:#?}", lines(&found));
    assert_eq!((found.left(), found.not_looked_at(), exit_code(found)), (0, 0, 0));
}

#[test]
fn each_relation_is_a_way() {
    let mut facts = nothing();
    facts.permissions = Ok(vec![HeldPermission { item: item(), direct: true, roles: Vec::new() }]);
    facts.roles = Ok(vec![role("r"), role("other")]);
    facts.effective = Ok(vec![grouped("g"), EffectiveRole { role: role("r"), direct: true, grouped: true }]);
    facts.groups.insert("g".into(), Ok(vec![Named { id: "grp".into(), name: Some("Staff".into()) }]));
    facts.organizations = Ok(vec![role("o")]);
    let login = BTreeSet::from(["okta".to_owned()]);
    facts.members.insert("o".into(), Member { effective: Ok(vec![grouped("m")]), login: Ok(login), ..member(&["m"]) });
    for id in ["r", "g", "m"] {
        gives(&mut facts, id);
    }
    facts.gives.insert("other".into(), Ok(BTreeSet::new()));
    let found = about(&facts);
    assert_eq!((found.left(), found.not_looked_at()), (6, 0), "{:#?}", lines(&found));
    let commands: Vec<Option<&str>> = found.nodes().iter().map(|node| node.command.as_deref()).collect();
    let command = |rest: &str| format!("kubectl rescind new 'auth0|a' {rest}");
    for rest in ["--permission https://a/:read:x", "--role r", "--org o --role m"] {
        assert!(commands.contains(&Some(&*command(rest))), "{rest}: {commands:#?}");
    }
    assert_eq!(commands.iter().flatten().count(), 3, "groups have no command");
    let all = lines(&found);
    assert!(all.iter().any(|line| line.contains("through group Staff; ask who administers it")), "{all:#?}");
    assert_eq!(all.iter().filter(|line| line.contains("connection okta gives membership")).count(), 2);
    assert_eq!(exit_code(found), 1);
    let overview = answer(&facts, Asked::All);
    assert_eq!(overview.left(), 8, "and the other role, and the membership: {:#?}", lines(&overview));
    let of_role = answer(&facts, Asked::Role(&role("m")));
    assert_eq!(of_role.left(), 2, "{:#?}", lines(&of_role));
}

#[test]
fn what_was_not_read_is_neither_held_nor_absent() {
    type Change = fn(&mut Facts);
    let reads: [(&str, Change); 5] = [
        ("tenant-wide roles", |facts| (facts.roles, facts.effective) = (Err(lacks("s")), Err(lacks("t")))),
        ("directly", |facts| facts.permissions = Err(lacks("s"))),
        ("roles in organizations", |facts| facts.organizations = Err(lacks("s"))),
        ("groups", |facts| facts.effective = Err(lacks("s"))),
        ("what roles give", |facts| {
            facts.roles = Ok(vec![role("r")]);
            facts.gives.insert("r".into(), Err(lacks("s")));
        }),
    ];
    for (what, change) in reads {
        let mut facts = nothing();
        change(&mut facts);
        let found = about(&facts);
        let gap = found.nodes().into_iter().find(|node| node.sign == Sign::Unknown && node.what == what).cloned();
        let gap = gap.unwrap_or_else(|| panic!("{what}: {:#?}", lines(&found)));
        assert!(gap.detail.starts_with("not looked at") && gap.detail.contains("needs s"), "{gap:?}");
        let absent = |node: &&Node| node.sign == Sign::NotHeld && node.what == what;
        assert!(!found.nodes().iter().any(absent), "{what}: {:#?}", lines(&found));
        assert_eq!(exit_code(found), 2, "{what}");
    }
}

#[test]
fn the_effective_view_is_enough_to_know_the_assigned_roles() {
    let mut facts = nothing();
    facts.roles = Err(lacks("s"));
    facts.effective = Ok(vec![EffectiveRole { role: role("r"), direct: true, grouped: false }]);
    gives(&mut facts, "r");
    let found = about(&facts);
    assert_eq!((found.left(), found.not_looked_at()), (1, 0), "{:#?}", lines(&found));
}

#[test]
fn a_role_that_only_the_permissions_name_counts() {
    let mut facts = nothing();
    facts.permissions = Ok(vec![HeldPermission { item: item(), direct: false, roles: vec![role("r")] }]);
    let found = about(&facts);
    assert_eq!(found.left(), 1);
    assert!(found.nodes().iter().all(|node| node.command.is_none()), "it was not assigned");
    facts.roles = Err(lacks("s"));
    facts.effective = Err(lacks("s"));
    let found = about(&facts);
    assert!(found.nodes().iter().any(|node| node.command.is_some()), "it may have been assigned");
}

#[test]
fn tokens_and_rbac() {
    let mut facts = nothing();
    let ask = |facts: &Facts, on, lifetime| answer(facts, Asked::Permission(&of_api(on, lifetime)));
    let off = ask(&facts, Some(false), Some(60));
    assert_eq!(lines(&off)[0], "Warning permissions do not limit anything here: RBAC is off for https://a/ in Auth0");
    assert_eq!(exit_code(off), 1);
    assert_eq!(exit_code(ask(&facts, Some(true), None)), 2);
    assert_eq!(ask(&facts, Some(true), Some(0)).notes.len(), 0);
    assert!(ask(&facts, Some(true), Some(60)).notes[0].ends_with("(this API's token lifetime: 1 min)."));
    let mention = |hours: i64| Mention {
        way: Way::permission(&item()).unwrap(),
        object: "UserPermissionRevocation n/x".to_owned(),
        stage: Stage::Done { removed: Some(now() - SignedDuration::from_hours(hours)), proved: None },
    };
    facts.mentions = vec![mention(30), mention(2)];
    let valid = ask(&facts, Some(true), Some(10_800));
    let last = lines(&valid).pop().unwrap();
    assert!(
        last.starts_with("Warning tokens already issued: valid until 2026-11-26T13:00:00Z at the latest, "),
        "{last}"
    );
    let ended = lines(&ask(&facts, Some(true), Some(7200))).pop().unwrap();
    assert!(ended.starts_with("NotHeld tokens already issued: ended 2026-11-26T12:00:00Z"), "{ended}");
    facts.permissions = Ok(vec![HeldPermission { item: item(), direct: true, roles: Vec::new() }]);
    let held = lines(&ask(&facts, Some(true), Some(7200)));
    assert!(held.iter().any(|line| line.contains("there again: removed 2026-11-26T10:00:00Z by User")), "{held:#?}");
    assert!(held.last().unwrap().contains("until 2026-11-26T14:00:00Z"), "{held:#?}");
}

#[test]
fn a_membership_and_what_brings_it_back() {
    let org = role("o");
    let mut facts = nothing();
    facts.organizations = Ok(vec![org.clone()]);
    facts.members.insert("o".into(), member(&["r", "s"]));
    let held = answer(&facts, Asked::Organization(&org));
    assert!(lines(&held)[1].starts_with("Held member: with it go the roles in it: R, S"), "{:#?}", lines(&held));
    facts.organizations = Ok(Vec::new());
    let gone = answer(&facts, Asked::Organization(&org));
    assert_eq!(exit_code(gone), 0);
    let of = |login: Known<BTreeSet<String>>| Member { login, ..member(&[]) };
    facts.members.insert("o".into(), of(Ok(BTreeSet::from(["okta".to_owned()]))));
    assert_eq!(exit_code(answer(&facts, Asked::Organization(&org))), 1);
    facts.members.insert("o".into(), of(Err(lacks("s"))));
    assert_eq!(exit_code(answer(&facts, Asked::Organization(&org))), 2);
}

#[test]
fn what_objects_removed_is_listed_as_absent() {
    let mut facts = nothing();
    let mention = |way, stage| Mention { way, object: "Kind n/x".to_owned(), stage };
    let done = Stage::Done { removed: Some(now()), proved: Some(now()) };
    let member_role = Way::MemberRole { organization: "o".into(), role: "r".into() };
    facts.mentions = vec![
        mention(Way::Role { role: "r".into() }, done.clone()),
        mention(member_role, Stage::Stalled("Protected".to_owned())),
        mention(Way::Membership { organization: "o".into() }, Stage::Pending("Scheduled".to_owned())),
        mention(Way::permission(&item()).unwrap(), done),
    ];
    let overview = answer(&facts, Asked::All);
    assert_eq!(overview.left(), 0);
    let all = lines(&overview).join("\n");
    for says in [
        "NotHeld role r: tenant-wide; removed 2026-11-26T12:00:00Z, proved 2026-11-26T12:00:00Z by Kind n/x",
        "NotHeld read:x on https://a/: directly; removed",
        "NotHeld role r: in o; stalled (Protected) in Kind n/x",
        "NotHeld o: member; pending (Scheduled) in Kind n/x",
    ] {
        assert!(all.contains(says), "{says} in\n{all}");
    }
    let of_role = lines(&answer(&facts, Asked::Role(&role("r")))).join("\n");
    assert!(of_role.contains("NotHeld directly: removed 2026") && of_role.contains("in o: stalled"), "{of_role}");
}

#[test]
fn an_entry_that_cannot_be_read_makes_the_list_unknown() {
    let entry = |sources: serde_json::Value| effective(&[json!({"id": "r", "name": "R", "sources": sources})]);
    let both = EffectiveRole { role: Named { id: "r".into(), name: Some("R".into()) }, direct: true, grouped: true };
    assert_eq!(entry(json!(["direct", "groups"])).unwrap(), [both]);
    for odd in [json!(null), json!([]), json!(["other"]), json!([1])] {
        assert!(entry(odd.clone()).is_err(), "{odd}");
    }
    assert!(permissions(&[json!({"permission_name": 1})]).is_err());
}

/// A text of every kind of character, from Auth0.
fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), "[\\p{C}\\p{Z}a-z]{0,12}", Just("\u{1b}[2J\n├─ ✓ forged\u{202e}".to_owned())]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    /// Whatever Auth0's texts are, each node is one line, in which nothing is unseen.
    #[test]
    fn each_node_is_one_line_in_which_everything_is_seen(
        texts in prop::collection::vec(hostile(), 12), style in any::<bool>(),
    ) {
        let id = |at: usize| -> Arc<str> { texts[at].as_str().into() };
        let named = |at: usize| Named { id: id(at), name: Some(texts[at + 1].clone()) };
        let mut facts = nothing();
        facts.user = id(0);
        facts.roles = Ok(vec![named(1)]);
        facts.effective = Ok(vec![EffectiveRole { role: named(2), direct: false, grouped: true }]);
        facts.groups.insert(id(2), Ok(vec![named(3)]));
        facts.organizations = Ok(vec![named(5)]);
        let login = Ok(BTreeSet::from([texts[6].clone()]));
        let roles = Ok(vec![named(7)]);
        facts.members.insert(id(5), Member { roles, effective: Err(lacks(&texts[8])), login });
        let item = Item::Permission { resource_server: id(9), name: id(10) };
        facts.permissions = Ok(vec![HeldPermission { item: item.clone(), direct: true, roles: vec![named(4)] }]);
        for role in [1, 2, 7] {
            facts.gives.insert(id(role), Ok(BTreeSet::from([item.clone()])));
        }
        let of_api = OfApi { api: id(9), name: id(10), settings: Err(lacks(&texts[8])) };
        let (name, linked) = (Some(texts[11].clone()), vec![texts[3].clone()]);
        let account = Account { id: id(0), name, linked, ..Account::default() };
        for asked in [Asked::All, Asked::Permission(&of_api), Asked::Role(&named(7)), Asked::Organization(&named(5))] {
            let found = answer(&facts, asked);
            let (nodes, trees) = (found.nodes().len(), found.trees.len());
            let mut report = Report::new(now(), true);
            report.accounts.push(AccountReport::new(&account, found));
            let notes = report.accounts[0].ways.notes.len();
            let out = text(&Screen::detect(true), if style { Style::UNICODE } else { Style::ASCII }, &report);
            // The heading, an empty line before each tree and one after the last, the notes, the sums.
            prop_assert_eq!(out.lines().count(), 1 + trees + nodes + 1 + notes + 1, "{}", out);
            prop_assert!(out.lines().all(|line| crate::api::escaped(line) == line), "{:?}", out);
        }
    }
}
