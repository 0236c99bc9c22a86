//! The result of each answer of Auth0. For every row of the table of answers, every endpoint and every kind of call
//! there is a small world in which Auth0 always gives this answer, and nothing else goes wrong. docs/answers.md is
//! generated from what the operator does and says there; `make docs` writes it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rescind::api::Reason;
use rescind::auth0::{AnswerRow, Call, Endpoint, Example, Item, Meaning, Missing, Read, examples};
use serde_json::{Value, json};

use crate::auth0::{Millis, Wire};
use crate::begin::{defaulted, object, organization, role, user};
use crate::cluster::Key;
use crate::invariants::condition;
use crate::operator::Operator;
use crate::plan::Plan;
use crate::versions::Version;
use crate::world::{Script, World};

/// How long a world is watched: the first reaction of the operator, without later retries.
const WATCHED: Millis = 20_000;

/// The call that gets the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Delete,
    ReadBefore,
    Proof,
}

/// What was observed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    calls: String,
    reason: String,
    message: String,
}

fn endpoints() -> Vec<Endpoint> {
    Endpoint::all(&user(0), &organization(0))
}

fn kind(endpoint: &Endpoint) -> (&'static str, &'static str, Value, Item) {
    let (item, roles) = (Item::Id(role(1).into()), [role(1)]);
    match endpoint {
        Endpoint::UserPermissions { .. } => {
            let (api, name) = ("https://api.test/", "read:x");
            let spec = json!({
                "userId": user(0),
                "permissions": [{ "resourceServerIdentifier": api, "permissionName": name }],
            });
            let item = Item::Permission { resource_server: api.into(), name: name.into() };
            ("userpermissionrevocations", "UserPermissionRevocation", spec, item)
        }
        Endpoint::UserRoles { .. } => {
            ("userrolerevocations", "UserRoleRevocation", json!({ "userId": user(0), "roles": roles }), item)
        }
        Endpoint::OrganizationMembers { .. } => {
            let spec = json!({ "organizationId": organization(0), "members": [user(0)] });
            ("orgmembershipremovals", "OrgMembershipRemoval", spec, Item::Id(user(0).into()))
        }
        Endpoint::OrganizationMemberRoles { .. } => {
            let spec = json!({ "organizationId": organization(0), "userId": user(0), "roles": roles });
            ("orgmemberroleremovals", "OrgMemberRoleRemoval", spec, item)
        }
    }
}

/// Records the calls of a world in order, and gives the prescribed answer to those of the phase.
fn script(phase: Phase, endpoint: &Endpoint, example: &Example, calls: &Arc<Mutex<Vec<&'static str>>>) -> Script {
    let (asked, call) = (read(endpoint), call(phase, endpoint));
    let (example, calls) = (example.clone(), calls.clone());
    Box::new(move |wire| {
        let mut calls = calls.lock().unwrap();
        let is_removed = calls.contains(&"DELETE");
        let (name, fits) = match wire {
            Wire::Delete(..) => ("DELETE", phase == Phase::Delete),
            Wire::Get(read, _) if *read == asked => {
                let here = if is_removed { Phase::Proof } else { Phase::ReadBefore };
                (if is_removed { "GET" } else { "GET before" }, phase == here)
            }
            // What a removal learns before it decides on nothing that this page tells.
            Wire::Get(Read::Answer(_), _) => return None,
            Wire::Get(Read::UserOrganizations { .. }, _) => ("GET the user's organizations", false),
            Wire::Get(..) => ("GET the members", false),
        };
        calls.push(name);
        // Successful answers come from the model.
        (fits && example.meaning(call).is_err()).then(|| example.meaning(call))
    })
}

/// The list that a single item is read from: for a member, the user's organizations.
fn read(endpoint: &Endpoint) -> Read {
    match endpoint {
        Endpoint::OrganizationMembers { .. } => Read::UserOrganizations { user: user(0).into() },
        Endpoint::UserPermissions { .. } | Endpoint::UserRoles { .. } | Endpoint::OrganizationMemberRoles { .. } => {
            Read::List(endpoint.clone())
        }
    }
}

fn call(phase: Phase, endpoint: &Endpoint) -> Call {
    match phase {
        Phase::Delete => Call::removal(endpoint),
        Phase::ReadBefore | Phase::Proof => Call::page(&read(endpoint)),
    }
}

fn watch(phase: Phase, endpoint: &Endpoint, example: &Example) -> Seen {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        rescind::clock::begin_at(jiff::Timestamp::from_second(crate::auth0::EPOCH).unwrap());
        let calls: Arc<Mutex<Vec<&'static str>>> = Arc::default();
        let plan = Plan { before_and_after: phase == Phase::ReadBefore, ..Plan::quiet() };
        let world = World::new(plan, Some(script(phase, endpoint, example, &calls)));
        let (plural, kind, spec, item) = kind(endpoint);
        let named = item.to_string();
        let key: Key = (plural, "ns0".to_owned(), "jane".to_owned());
        {
            let mut inner = world.inner();
            let auth0 = inner.auth0.get_mut("one.test").unwrap();
            if let Endpoint::OrganizationMemberRoles { organization, user } = endpoint {
                let members = Endpoint::OrganizationMembers { organization: organization.clone() };
                auth0.give(&members, &Item::Id(user.clone()), 0);
            }
            auth0.give(endpoint, &item, 0);
            let mut made = object(kind, "uid-1".to_owned(), defaulted(plural, spec), 0);
            made.target = Some((endpoint.clone(), vec![item]));
            inner.cluster.change(0, &key, true, |_| Some(made));
        }
        let mut operator = Operator::start(&world, Version::THIS);
        while world.now() < WATCHED {
            operator.feed();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        operator.crash();
        let inner = world.inner();
        let ready = condition(&inner.cluster.now[&key].status, "Ready").expect("it says something").clone();
        let text = |name: &str| ready[name].as_str().unwrap_or_default().replace(&named, "ITEM");
        let calls = in_words(&calls.lock().unwrap());
        Seen { calls, reason: text("reason"), message: text("message") }
    })
}

/// Calls in order, repetitions counted.
fn in_words(calls: &[&'static str]) -> String {
    let runs = calls.chunk_by(|a, b| a == b);
    let words =
        runs.map(|run| if run.len() == 1 { run[0].to_owned() } else { format!("{}, {} times", run[0], run.len()) });
    let words: Vec<_> = words.collect();
    if words.is_empty() { "none".to_owned() } else { words.join("; ") }
}

/// The expected reason of each meaning, independent of the code under test.
fn expected(phase: Phase, endpoint: &Endpoint, meaning: Meaning) -> Reason {
    use Reason::{
        AlreadyAbsent, Auth0Unavailable, Denied, InsufficientScope, InvalidRequest, ItemNotFound, RateLimited, Removed,
        RemovedUnverified, SubjectGone, SubjectNotFound, Unauthorized,
    };
    match (meaning, phase) {
        (Meaning::Success, _) => Removed,
        (Meaning::RateLimited, _) => RateLimited,
        (Meaning::Unauthorized(_), _) => Unauthorized,
        (Meaning::Unavailable(_), _) => Auth0Unavailable,
        // Somebody who does not exist was not a member, so there was nothing to remove.
        (Meaning::NotFound(_), Phase::ReadBefore) if matches!(endpoint, Endpoint::OrganizationMembers { .. }) => {
            AlreadyAbsent
        }
        // Without the first read the removal goes on, and its own answer decides.
        (_, Phase::ReadBefore) => Removed,
        // The list of a member's roles is missing if the user is no member; the list of the user's organizations says
        // the contrary, so one of the two lags.
        (Meaning::NotFound(_), Phase::Proof) => match endpoint {
            Endpoint::OrganizationMemberRoles { .. } => Auth0Unavailable,
            // Somebody who does not exist is not a member.
            Endpoint::OrganizationMembers { .. } => Removed,
            Endpoint::UserPermissions { .. } | Endpoint::UserRoles { .. } => SubjectGone,
        },
        (_, Phase::Proof) => RemovedUnverified,
        (Meaning::Rejected(_) | Meaning::RejectedOther, Phase::Delete) => InvalidRequest,
        (Meaning::Denied(_), Phase::Delete) => Denied,
        (Meaning::InsufficientScope, Phase::Delete) => InsufficientScope,
        (Meaning::NotFound(Missing::Subject), Phase::Delete) => SubjectNotFound,
        (Meaning::NotFound(Missing::Item), Phase::Delete) => ItemNotFound,
        // The reads that follow find the user and the organization.
        (Meaning::NotFound(Missing::Unclear), Phase::Delete) => match endpoint {
            Endpoint::OrganizationMembers { .. } => AlreadyAbsent,
            _ => ItemNotFound,
        },
    }
}

fn statuses(row: &AnswerRow) -> String {
    let range = |range: &std::ops::RangeInclusive<u16>| match (range.start(), range.end()) {
        (start, end) if start == end => start.to_string(),
        (100, 999) => "any".to_owned(),
        (start, end) => format!("{start} to {end}"),
    };
    row.statuses.iter().map(range).collect::<Vec<_>>().join(", ")
}

const HEAD: &str = "\
# What each answer of Auth0 comes to

Written by `make docs` from what the operator does and says in the suite `worlds`; a test compares it.

An answer is compared with the rows from the top; the first that fits decides. Each line shows what happens if Auth0
answers one kind of call so every time and all else goes well: the calls of the first twenty seconds, and the reason and
message of the condition `Ready` after them. \"Auth0's own\" is JSON whose `statusCode` is the status; everything else
was written by something in between, such as a proxy, and says nothing about the removal.
[troubleshooting.md](troubleshooting.md) says what a reason means and what ends it. ITEM stands for the role, the
permission or the member that is to be removed. Where the kinds differ, each has a line of its own.
";

#[test]
fn every_answer_comes_to_what_the_table_says() {
    let mut text = HEAD.to_owned();
    for (phase, title) in [
        (Phase::Delete, "To the DELETE"),
        (Phase::Proof, "To the read that proves it"),
        (Phase::ReadBefore, "To the read before (`verification: BeforeAndAfter`)"),
    ] {
        write!(
            text,
            "\n## {title}\n\n| Status | Body | Kinds | Calls | Reason | Message |\n|---|---|---|---|---|---|\n"
        )
        .unwrap();
        let endpoints = endpoints();
        let mut lines: BTreeMap<usize, Vec<(Seen, Vec<&'static str>)>> = BTreeMap::new();
        let mut rows: BTreeMap<usize, &AnswerRow> = BTreeMap::new();
        for endpoint in &endpoints {
            for (row, example) in examples(call(phase, endpoint)) {
                let seen = watch(phase, endpoint, &example);
                let reason = expected(phase, endpoint, row.meaning);
                assert_eq!(seen.reason, reason.as_str(), "{phase:?} at {endpoint:?}: {row:?} {seen:?}");
                let place = std::ptr::from_ref(row) as usize;
                rows.insert(place, row);
                let same = lines.entry(place).or_default();
                match same.iter_mut().find(|(other, _)| *other == seen) {
                    Some((_, kinds)) => kinds.push(kind(endpoint).1),
                    None => same.push((seen, vec![kind(endpoint).1])),
                }
            }
        }
        for (place, lines) in &lines {
            let row = rows[place];
            for (seen, kinds) in lines {
                let kinds = if kinds.len() == endpoints.len() { "all".to_owned() } else { kinds.join(", ") };
                let Seen { calls, reason, message } = seen;
                let message = message.replace('|', "\\|");
                writeln!(text, "| {} | {} | {kinds} | {calls} | `{reason}` | {message} |", statuses(row), row.body)
                    .unwrap();
            }
        }
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/answers.md");
    crate::generated_file::assert_up_to_date(path, &text, "docs");
}
