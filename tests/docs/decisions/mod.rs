//! docs/decisions.md: what the operator does next, for every combination of what an object has behind it and of what
//! surrounds it. Each row is decided by the real `decide`; `make docs` writes the page.

mod jobs;
mod merge;
mod object;
mod states;

use std::time::Duration;

use rescind::api::{Hold, Mode, Policy, Reason, RemovalOptions, RemovalStatus};
use rescind::dispatch::Task;
use rescind::revocation::{Decision, Refused};

use merge::{Column, combinations, table};
use object::{INTERVAL, Object, TenantIs, written};
use states::states;

type Change = fn(&mut Object);
/// Cases as indices of the columns, each with what follows.
type Outcomes = Vec<(Vec<usize>, String)>;

/// So many obstacles have rows of their own. The others are what Auth0 refuses, which docs/decisions.md says in words.
const TOLD_APART: usize = 12;

/// What keeps anything from being sent, from the first that is shown to the last.
fn obstacles() -> Vec<(&'static str, Reason, Change)> {
    vec![
        ("a field that this version does not know", Reason::UnknownField, |object| {
            object.options.unknown = vec!["spec.fromTheFuture".into()];
        }),
        ("created after `notAfter`", Reason::NotReplayed, |object| {
            object.options.not_after = written(object.created - Duration::from_secs(1));
        }),
        ("`notAfter` has passed", Reason::Expired, |object| {
            let end = object.now.wall - Duration::from_secs(1);
            (object.created, object.options.not_after) = (end - Duration::from_secs(1), written(end));
        }),
        ("`suspend`", Reason::Suspended, |object| object.options.suspend = true),
        ("`hold`", Reason::OnHold, |object| {
            object.options.hold = Some(Box::new(Hold { until: "2099-01-01T00:00:00Z".into(), reason: "why".into() }));
        }),
        ("no such tenant", Reason::TenantNotReady, |object| object.tenant = TenantIs::Missing),
        ("the tenant does not admit it", Reason::NamespaceNotAllowed, |object| object.tenant = TenantIs::NotAllowed),
        ("`suspend` of the tenant", Reason::Suspended, |object| object.tenant = TenantIs::Suspended),
        ("`hold` of the tenant", Reason::OnHold, |object| object.tenant = TenantIs::OnHold),
        ("the tenant is not ready", Reason::TenantNotReady, |object| object.tenant = TenantIs::NotReady),
        ("the tenant protects what it names", Reason::Protected, |object| object.protected = Some("user auth0|a")),
        ("`notBefore` is to come", Reason::Scheduled, |object| {
            object.options.not_before = written(object.now.wall + Duration::from_secs(60));
        }),
        ("Auth0 refused the token to another object", Reason::TenantNotReady, |object| {
            let until = object.now.steady + Duration::from_secs(300);
            object.refusal = Some(Refused { reason: Reason::Unauthorized, message: "401".into(), until });
        }),
        ("the token lacks the scope", Reason::InsufficientScope, |object| object.scopes = Some(Vec::new())),
        ("the tenant's brake is engaged", Reason::BrakeEngaged, |object| object.brake = Some("too many")),
    ]
}

/// The mode of the object, and that of its tenant.
const MODES: [(&str, Mode, Mode); 3] = [
    ("Remove", Mode::Remove, Mode::Remove),
    ("Observe (object)", Mode::Observe, Mode::Remove),
    ("Observe (tenant)", Mode::Remove, Mode::Observe),
];

/// Until the next check, in seconds; none with policy Once.
const POLICIES: [(&str, Option<i64>); 4] =
    [("Once", None), ("not due", Some(60)), ("due", Some(0)), ("overdue", Some(-(INTERVAL as i64) - 1))];

const NEWS: [(&str, Change); 3] = [
    ("none", |_| {}),
    ("an edit", |object| object.generation += 1),
    ("a request", |object| object.request = Some("now")),
];

fn set_policy(object: &mut Object, check_in: Option<i64>) {
    let Some(seconds) = check_in else {
        (object.options.policy, object.check_at) = (Policy::Once, None);
        return;
    };
    object.options.policy = Policy::Continuous;
    // Steady clocks cannot show a time before they began, so the present moves instead.
    let late = Duration::from_secs(u64::try_from(-seconds).unwrap_or(0));
    let early = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    object.check_at = Some(object.now.steady + early);
    object.now.steady += late;
}

fn columns() -> [Column; 4] {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let numbers = (1..=TOLD_APART).map(|number| number.to_string());
    [
        Column {
            title: "In the way",
            values: ["nothing".to_owned()].into_iter().chain(numbers).collect(),
            groups: &[],
        },
        Column { title: "Mode", values: names(&MODES.map(|(name, ..)| name)), groups: &[(&[1, 2], "Observe")] },
        Column {
            title: "Check",
            values: names(&POLICIES.map(|(name, _)| name)),
            groups: &[(&[1, 2, 3], "Continuous")],
        },
        Column { title: "News", values: names(&NEWS.map(|(name, _)| name)), groups: &[] },
    ]
}

/// The object in the situation that these indices say.
fn situated(state: &Object, case: &[usize]) -> Object {
    let mut object = Object { options: RemovalOptions::default(), tenant: TenantIs::Ready, ..state.clone() };
    (object.options.mode, object.tenant_mode) = (MODES[case[1]].1, MODES[case[1]].2);
    set_policy(&mut object, POLICIES[case[2]].1);
    (NEWS[case[3]].1)(&mut object);
    if let Some((_, _, change)) = obstacle(case) {
        change(&mut object);
    }
    object
}

/// The obstacle of these indices.
fn obstacle(case: &[usize]) -> Option<(&'static str, Reason, Change)> {
    obstacles().into_iter().nth(case[0].checked_sub(1)?)
}

fn in_words(object: &Object, own: Option<Reason>) -> String {
    let is_ready = object.status.as_ref().is_some_and(|status| status.is_ready());
    match object.decide() {
        Decision::Submit { task: Task::Remove { .. }, .. } => "**DELETE**, then a read".to_owned(),
        Decision::Submit { task: Task::Prove, .. } => "a read, to prove what was accepted".to_owned(),
        Decision::Submit { task: Task::Learn(_), .. } => "a read, to learn what it needs".to_owned(),
        Decision::Submit { task: Task::Observe, .. } => "a read, to see what is there".to_owned(),
        Decision::Block(blocked) if Some(blocked.outcome.reason) == own => "that reason".to_owned(),
        Decision::Block(blocked) => {
            let stays = object.status.as_ref().and_then(RemovalStatus::reason_text);
            assert_eq!(stays, Some(blocked.outcome.reason.as_str()));
            "its reason stays".to_owned()
        }
        Decision::AwaitChange(_) | Decision::Acknowledge if is_ready => "stays as it is".to_owned(),
        Decision::AwaitChange(Some(_)) => "waits for its time".to_owned(),
        Decision::AwaitChange(None) => "waits for a request or an edit".to_owned(),
        Decision::Acknowledge => panic!("{object:?} is not finished"),
        other @ (Decision::TakeReport | Decision::UpdateStatus(..)) => panic!("{other:?}, without a job"),
    }
}

/// The first obstacle is the one that is shown, whatever else is in the way.
fn order() -> String {
    let mut text = String::new();
    let obstacles = obstacles();
    for (first, (name, reason, change)) in obstacles.iter().enumerate() {
        for (_, _, later) in &obstacles[first..] {
            let mut object = Object::new();
            later(&mut object);
            change(&mut object);
            let shown = object.shown().unwrap();
            assert_eq!(shown.reason_text(), Some(reason.as_str()), "{name}");
        }
        text += &format!("{}. {name}: `{reason}`\n", first + 1);
    }
    text
}

/// A section for all states from which the same follows, whatever is around them.
fn next() -> String {
    let columns = columns();
    let cases = combinations(&columns);
    let own = |case: &[usize]| obstacle(case).map(|(_, reason, _)| reason);
    let mut sections: Vec<(Vec<&str>, Outcomes)> = Vec::new();
    for (name, state) in states() {
        let outcome = |case: &Vec<usize>| (case.clone(), in_words(&situated(&state, case), own(case)));
        let outcomes: Outcomes = cases.iter().map(outcome).collect();
        match sections.iter_mut().find(|(_, other)| *other == outcomes) {
            Some((names, _)) => names.push(name),
            None => sections.push((vec![name], outcomes)),
        }
    }
    let section = |(names, outcomes): &(Vec<&str>, Outcomes)| {
        format!("\n### {}\n\n{}", names.join("; "), table(&columns, outcomes))
    };
    sections.iter().map(section).collect()
}

/// What docs/decisions.md says of 13 to 15 in words.
#[test]
fn what_auth0_refuses_is_as_the_page_says() {
    let (token, scope, brake) = (TOLD_APART + 1, TOLD_APART + 2, TOLD_APART + 3);
    assert_eq!(obstacles().len(), brake);
    let is_read_or_delete = |outcome: &str| outcome.contains("a read");
    for (name, state) in states() {
        for case in combinations(&columns()).into_iter().filter(|case| case[0] == 0) {
            let free = situated(&state, &case);
            let refused = |number: usize| {
                let (_, reason, change) = obstacles()[number - 1];
                let mut object = free.clone();
                change(&mut object);
                in_words(&object, Some(reason))
            };
            let (free_words, news) = (in_words(&free, None), NEWS[case[3]].0);
            let (of_token, of_scope, of_brake) = (refused(token), refused(scope), refused(brake));
            assert!(!of_brake.contains("DELETE"), "{name}: {of_brake}");
            let is_proof = of_brake == "a read, to prove what was accepted";
            let is_kept = is_proof || of_brake == "that reason" || of_brake == free_words;
            assert!(is_kept, "{name}: {of_brake}, not {free_words}");
            if news == "a request" {
                assert_eq!((&of_token, &of_scope), (&free_words, &free_words), "{name}");
                continue;
            }
            assert!(!is_read_or_delete(&of_token), "{name}: {of_token}");
            let is_accepted = free.status.as_ref().is_some_and(|status| status.last_removal_time.is_some());
            assert!(!is_read_or_delete(&of_scope) || (is_accepted && of_scope == free_words), "{name}: {of_scope}");
            let is_ready = free.status.as_ref().is_some_and(|status| status.is_ready());
            let check = POLICIES[case[2]].0;
            if is_ready && check != "Once" && free_words == "a read, to see what is there" {
                assert_eq!(of_token == "that reason", check == "overdue", "{name}");
                assert_eq!(of_scope, "that reason", "{name}");
            }
        }
    }
}

const HEAD: &str = include_str!("head.txt");

#[test]
fn every_decision_is_the_one_on_the_page() {
    let text = HEAD
        .replace("{ORDER}", order().trim_end())
        .replace("{NEXT}", next().trim())
        .replace("{WAITS}", jobs::while_it_waits().trim_end())
        .replace("{ENDED}", jobs::once_it_has_ended().trim_end());
    for reason in Reason::ALL.iter().filter(|reason| can_be_of_removals(**reason)) {
        assert!(text.contains(&format!("`{reason}`")), "{reason} is missing");
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/decisions.md");
    crate::generated_file::assert_up_to_date(path, &text, "docs");
}

/// Whether a removal can have this reason: it is not one of tenants.
pub fn can_be_of_removals(reason: Reason) -> bool {
    use Reason as R;
    match reason {
        R::Connected | R::Unproved | R::SecretNotFound | R::InvalidCredentials => false,
        R::DomainNotAllowed | R::InvalidConnection => false,
        R::Removed | R::RemovedUnverified | R::AlreadyAbsent | R::WouldRemove | R::SubjectGone => true,
        R::NotReplayed | R::SubjectNotFound | R::ItemNotFound | R::Expired | R::StillPresent => true,
        R::InvalidRequest | R::Unauthorized | R::InsufficientScope | R::Denied => true,
        R::NamespaceNotAllowed | R::UnknownField | R::Queued | R::AwaitingProof | R::TenantNotReady => true,
        R::RateLimited | R::Auth0Unavailable | R::AwaitingConsistency => true,
        R::Scheduled | R::Suspended | R::OnHold | R::Protected | R::BrakeEngaged => true,
    }
}
