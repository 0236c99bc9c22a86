//! When a status is worth a write.

use super::*;
use crate::revocation::Outcome;
use crate::revocation::due::{Due, due};
use crate::revocation::wait_writes::WaitClass;

fn after(case: &Case, end: End) -> RemovalStatus {
    case.after(&case.report(end))
}

fn unavailable(case: &Case) -> RemovalStatus {
    after(case, End::Failed(CallError::no_answer("x")))
}

fn waited(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn of(stored: &RemovalStatus, wanted: &RemovalStatus, seconds: u64) -> Due {
    due(stored, wanted, waited(seconds), false, at(NOW))
}

#[test]
fn verdicts_are_written_at_once_and_once() {
    let new = RemovalStatus::default();
    for end in [End::Gone, End::NotFound(crate::auth0::Missing::Subject), End::Failed(CallError::Denied("403"))] {
        let verdict = after(&case(), end);
        assert_eq!(of(&new, &verdict, 0), Due::Now);
        assert_eq!(of(&verdict, &verdict, 0), Due::Nothing);
        let mut others = verdict.clone();
        others.conditions.reverse();
        others.conditions.push(k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition {
            type_: "OfOthers".into(),
            ..verdict.conditions[0].clone()
        });
        others.unknown.insert("fromTheFuture".into(), 1.into());
        assert_eq!(of(&others, &verdict, 0), Due::Nothing, "what others wrote is no change");
    }
}

/// A wait is not written in its first 15 seconds, so an object that is removed quickly costs one write.
#[test]
fn short_waits_are_not_written() {
    let new = RemovalStatus::default();
    let tenant = Case { tenant: Connection::Missing, ..case() }.shown().unwrap();
    let queued = case().pending(Wait::Queued { calls_before: 1, about: None }).shown().unwrap();
    for wait in [&tenant, &queued, &unavailable(&case())] {
        assert_eq!(of(&new, wait, 0), Due::After(waited(15)));
        assert_eq!(of(&new, wait, 14), Due::After(waited(1)));
        assert_eq!(of(&new, wait, 15), Due::Throttled(WaitClass::Waiting));
    }
    let until = case().now.steady + waited(30);
    let limited = case().pending(Wait::RateLimited { until, own: true }).shown().unwrap();
    assert_eq!(of(&new, &limited, 0), Due::Throttled(WaitClass::Accepted), "its own 429 must outlive a restart");
    let mut suspended = case();
    suspended.options.suspend = true;
    let suspended = suspended.shown().unwrap();
    assert_eq!(due(&new, &suspended, waited(0), true, at(NOW)), Due::Throttled(WaitClass::Stopped));
    let partial = RemovalStatus { result: Some(RemovalResult::default()), ..new.clone() };
    assert_eq!(of(&new, &partial, 99), Due::Nothing, "without a reason nothing is written");
}

/// A removal that was accepted more than 15 seconds ago must outlive a crash.
#[test]
fn what_was_accepted_is_written_first() {
    let new = RemovalStatus::default();
    let accepted_ago = |seconds: i64| {
        let mut object = case();
        object.now.wall = at(NOW - seconds);
        object.after(&object.accepted(End::Failed(CallError::no_answer("x"))))
    };
    assert_eq!(of(&new, &accepted_ago(3), 60), Due::After(waited(12)), "its proof usually comes in a moment");
    assert_eq!(of(&new, &accepted_ago(15), 60), Due::Throttled(WaitClass::Accepted));
    let (first, again) = (accepted_ago(137), accepted_ago(16));
    assert_eq!(first.reason_text(), again.reason_text());
    assert_eq!(of(&first, &again, 137), Due::Throttled(WaitClass::Accepted), "a second DELETE under the same reason");
}

/// Within one reason a new time is worth a write only if it is a minute ahead.
#[test]
fn attempts_are_written_at_long_pauses_only() {
    let mut object = case();
    let mut stored = unavailable(&object);
    object.status = Some(stored.clone());
    let mut written = Vec::new();
    for attempt in 2..12 {
        let wanted = unavailable(&object);
        object.status = Some(wanted.clone());
        if of(&stored, &wanted, 60) != Due::Nothing {
            written.push(attempt);
            stored = wanted;
        }
    }
    assert_eq!(written, [7, 8, 9, 10, 11]);
}

#[test]
fn a_wait_is_written_again_when_it_changes() {
    let wait = |wait| case().pending(wait).shown().unwrap();
    let queued = |calls_before| wait(Wait::Queued { calls_before, about: None });
    assert_eq!(of(&queued(7), &queued(3), 60), Due::Nothing, "the place in the queue is not kept up to date");
    assert_eq!(of(&queued(7), &unavailable(&case()), 60), Due::Throttled(WaitClass::Waiting));
    let not_ready = |reason| Case { tenant: reason, ..case() }.shown().unwrap();
    let (missing, secret) = (not_ready(Connection::Missing), not_ready(Connection::NotReady(Reason::SecretNotFound)));
    assert_eq!(
        of(&missing, &secret, 60),
        Due::Throttled(WaitClass::Waiting),
        "the user has to mend something else now"
    );
    let answered = RemovalStatus { last_handled_reconcile_at: Some("now".into()), ..missing.clone() };
    assert_eq!(of(&missing, &answered, 60), Due::Throttled(WaitClass::Stopped));
}

/// Somebody else may have written conditions that contradict the wait.
#[test]
fn conditions_that_contradict_a_wait_are_mended() {
    let wanted = unavailable(&case());
    let mut stored = wanted.clone();
    for condition in stored.conditions.iter_mut().filter(|c| c.type_ == ConditionType::Reconciling.as_str()) {
        condition.type_ = ConditionType::Stalled.as_str().into();
    }
    assert_eq!(of(&stored, &wanted, 60), Due::Throttled(WaitClass::Waiting));
    assert_eq!(of(&wanted, &wanted, 60), Due::Nothing);
}

/// The time of the next attempt is still to come when it is written.
#[test]
fn a_time_that_has_come_is_not_written() {
    for (next, expected) in [(-1, None), (0, None), (1, Some(at(NOW + 1)))] {
        let plain = Outcome::plain(Reason::AwaitingConsistency, "x", case().with(|inputs| inputs.known()));
        let outcome = Outcome { next_attempt: Some(at(NOW + next)), ..plain };
        assert_eq!(case().with(|inputs| outcome.status(inputs, false)).next_attempt(), expected, "{next}");
    }
}

/// The end of a wait is read from the monotonic clock each time, and comes out a moment later or earlier.
#[test]
fn the_same_wait_is_shown_the_same() {
    let limited = |mut object: Case, millis| {
        let until = object.now.steady + Duration::from_millis(millis);
        object.view = object.clone().pending(Wait::RateLimited { until, own: true }).view;
        object.shown().unwrap()
    };
    let stored = limited(case(), 30_000);
    let object = Case { status: Some(stored.clone()), ..case() };
    for (millis, is_same) in [(28_900, true), (29_990, true), (30_000, true), (30_990, false), (25_000, false)] {
        let shown = limited(object.clone(), millis);
        assert_eq!(shown.next_attempt() == stored.next_attempt(), is_same, "{millis}: {shown:?}");
    }
}
