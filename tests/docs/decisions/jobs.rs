//! What follows while a job waits, and once it has ended.

use std::time::Duration;

use rescind::api::{IfNotFound, Mode};
use rescind::auth0::{CallError, Missing, Rejection};
use rescind::dispatch::{End, Report, Task, Unverified, Wait};
use rescind::revocation::Decision;

use super::merge::{Column, combinations, table};
use super::object::{INTERVAL, Object, REMOVE, at};
use super::states::{accepted, continuous, observing};
use super::{Change, obstacles};

fn waits(object: &Object) -> Vec<(&'static str, Wait, bool)> {
    let until = object.now.steady + Duration::from_secs(60);
    vec![
        ("its turn", Wait::Queued { calls_before: 7, about: None }, false),
        ("a 429 to others", Wait::RateLimited { until, own: false }, false),
        ("a 429 to its own call", Wait::RateLimited { until, own: true }, false),
        ("its proof", Wait::AwaitingProof, true),
        ("the answer to its call", Wait::Working, false),
    ]
}

const CHANGES: [(&str, Change); 4] = [
    ("an edit", |object| object.generation += 1),
    ("mode Observe", |object| object.options.mode = Mode::Observe),
    ("another credential", |object| object.token = "second"),
    ("another domain", |object| object.domain = "other.auth0.com".parse().unwrap()),
];

/// What follows for a job to remove, whatever changes meanwhile.
pub fn while_it_waits() -> String {
    let changes: Vec<Change> = CHANGES.iter().map(|(_, change)| *change).collect();
    let changes: Vec<Change> = obstacles().iter().map(|(_, _, change)| *change).chain(changes).collect();
    let names = (1..=obstacles().len()).map(|number| number.to_string());
    let names = ["nothing".to_owned()].into_iter().chain(names).chain(CHANGES.map(|(name, _)| name.to_owned()));
    let waits_for = waits(&Object::new()).into_iter().map(|(name, ..)| name.to_owned()).collect();
    let columns = [
        Column { title: "It waits for", values: waits_for, groups: &[] },
        Column { title: "What changed", values: names.collect(), groups: &[] },
    ];
    let outcome = |case: &[usize]| {
        let object = Object::new();
        let (_, wait, accepted) = waits(&object)[case[0]];
        let mut object = object.pending(REMOVE, wait, accepted);
        if case[1] > 0 {
            changes[case[1] - 1](&mut object);
        }
        match object.decide() {
            Decision::TakeReport => "it is taken back".to_owned(),
            Decision::UpdateStatus(outcome, _) => format!("`{}`, and it goes on", outcome.reason),
            other => panic!("{other:?}"),
        }
    };
    let cases: Vec<_> = combinations(&columns).into_iter().map(|case| (case.clone(), outcome(&case))).collect();
    table(&columns, &cases)
}

fn left() -> End {
    End::Remaining(Object::removal().items)
}

/// Every way in which a job can end, and whether Auth0 accepted all of it before.
fn ends() -> Vec<(&'static str, bool, End)> {
    let failed = End::Failed;
    vec![
        ("it is gone, and a DELETE was accepted", true, End::Gone),
        ("it is not there, and no DELETE was accepted", false, End::Gone),
        ("accepted, with verification Never", true, End::Unverified(Unverified::Never)),
        ("accepted, and the read is refused", true, End::Unverified(Unverified::MissingScope("read:users".into()))),
        ("a read shows it", false, left()),
        ("accepted, and a read still shows it", true, left()),
        ("404: no such user or organization", false, End::NotFound(Missing::Subject)),
        ("404: no such role, API or permission", false, End::NotFound(Missing::Item)),
        ("404, and it is not clear what is missing", false, End::NotFound(Missing::Unclear)),
        ("400", false, failed(CallError::Rejected(Rejection::Body))),
        ("401", false, failed(CallError::Unauthorized("401"))),
        ("403 for a scope", false, failed(CallError::InsufficientScope("update:users".into()))),
        ("any other 403", false, failed(CallError::Denied("403"))),
        ("429, when the job ends with it", false, failed(CallError::RateLimited(Duration::from_secs(9)))),
        ("5xx, or no answer", false, failed(CallError::no_answer("the connection broke off"))),
        ("5xx, or no answer, to the proof", true, failed(CallError::no_answer("the connection broke off"))),
    ]
}

/// A column: which job it was, of which object.
type Job = (&'static str, Task, fn() -> Object);

const JOBS: [Job; 4] = [
    ("DELETE and read", REMOVE, Object::new),
    ("Read, mode Observe", Task::Observe, || observing(Object::new())),
    ("Check of what was removed", Task::Observe, || continuous(accepted(End::Gone)).later(INTERVAL)),
    ("Requested proof", Task::Prove, || accepted(End::Unverified(Unverified::Never)).later(60)),
];

fn ended(job: &Job, (_, is_accepted, end): &(&str, bool, End), ignore: bool) -> String {
    let (_, task, object) = job;
    let can_be = match (task, end) {
        (Task::Remove { .. }, End::Remaining(_)) => *is_accepted,
        (Task::Remove { .. }, _) => true,
        (Task::Observe, End::Unverified(_)) => false,
        (Task::Observe, _) => !is_accepted,
        (Task::Prove, End::NotFound(Missing::Item) | End::Failed(CallError::Rejected(_))) => false,
        (Task::Learn(_), _) => false,
        (Task::Prove, _) => *is_accepted || matches!(end, End::Failed(_) | End::NotFound(_)),
    };
    if !can_be {
        return String::new();
    }
    let mut object = object();
    if ignore {
        object.options.if_not_found = IfNotFound::Ignore;
    }
    let report = if *is_accepted { object.accepted(end.clone()) } else { object.report(task.clone(), end.clone()) };
    let first = if *task == Task::Prove { at(0) } else { object.now.wall };
    let accepted_at = (*is_accepted).then_some(first);
    let report = Report { task: task.clone(), first_accepted_at: accepted_at, accepted_at, ..report };
    let applied = object.apply(&report);
    match applied.status.reason_text() {
        _ if Some(&applied.status) == object.status.as_ref() => "stays as it is".to_owned(),
        Some(reason) => format!("`{reason}`"),
        None => "`Drifted`; it is removed again".to_owned(),
    }
}

/// What the report of a job comes to.
pub fn once_it_has_ended() -> String {
    let titles = JOBS.map(|(title, ..)| title);
    let mut text = format!("| How it ended | {} |\n|{}\n", titles.join(" | "), "---|".repeat(titles.len() + 1));
    for end in ends() {
        let cells = JOBS.map(|job| {
            let (fail, ignore) = (ended(&job, &end, false), ended(&job, &end, true));
            if fail == ignore { fail } else { format!("{fail}; with `ifNotFound: Ignore` {ignore}") }
        });
        text += &format!("| {} | {} |\n", end.0, cells.join(" | "));
    }
    text
}
