//! Requests by annotation, and failures in a row.

use super::*;
use crate::auth0::{CallError, Missing};
use crate::dispatch::Unverified;
use crate::revocation::is_verdict_changed;

/// A request has an unverified object read once, without a DELETE. Ready stays True unless the read shows an item.
#[test]
fn a_proof_can_be_requested() {
    let unverified = case().after(&case().accepted(End::Unverified(Unverified::Never)));
    let requested = Case { status: Some(unverified.clone()), request: Some("prove"), ..case() };
    let Decision::Submit { task: Task::Prove, history, hold: None } = requested.decide() else {
        panic!("{:?}", requested.decide())
    };
    assert_eq!(history.accepted.len(), 2);
    let waits = requested.clone().pending(Wait::Queued { calls_before: 9, about: None });
    assert!(matches!(waits.decide(), Decision::AwaitChange(Some(_))), "nothing is written while it waits");
    for change in [(|case| case.options.suspend = true) as fn(&mut Case), |case| case.tenant = Connection::Missing] {
        let mut held = requested.clone();
        change(&mut held);
        assert_eq!(held.decide(), Decision::Acknowledge);
    }
    let mut moved = requested.clone();
    moved.tenant = Connection::Ready { domain: "other.auth0.com".parse().unwrap(), token: "first" };
    assert_eq!(moved.decide(), Decision::Acknowledge, "another domain proves nothing");
    let answered = |end: End, later: u64| {
        let mut requested = Case { submitted_for: requested.request, ..requested.clone() };
        requested.later(later);
        let mut report = requested.still_shown(Task::Prove, &history);
        report.end = end;
        let applied = requested.apply_report(&report);
        assert_eq!(requested.request, None, "answered");
        let [ready, .., reason, verified] = words(&applied.status);
        [ready, reason, verified].map(Option::unwrap_or_default)
    };
    let left = || End::Remaining(vec![role(1)]);
    assert_eq!(answered(End::Gone, 9), ["True", "Removed", "True/ReadAfter"]);
    let failures = [End::Failed(unavailable()), End::Failed(CallError::Denied("403")), End::NotFound(Missing::Unclear)];
    for end in failures {
        assert_eq!(answered(end, 9), ["True", "RemovedUnverified", "False/ReadRefused"]);
    }
    assert_eq!(answered(left(), 9)[1], "AwaitingConsistency");
    assert_eq!(answered(left(), 700), ["False", "StillPresent", "False/ReadAfter"]);
    let no_answer = requested.clone().apply_report(&requested.report(End::HandedBack(Refusal::Unconfirmed)));
    assert_eq!(no_answer.status, unverified);
}

/// Reads are no failures, a failure counts for its own reason, and another generation starts over.
#[test]
fn attempts_are_counted_by_reason() {
    let mut object = case();
    for _ in 0..5 {
        let (_, task, history) = object.submits();
        let report = object.still_shown(task, &history);
        object.apply_report(&report);
    }
    assert_eq!(object.status.as_ref().unwrap().attempts, None);
    for attempt in 1..4 {
        object.later(60);
        let report = Report { end: End::Failed(unavailable()), ..object.still_shown(Task::Prove, &History::default()) };
        object.apply_report(&report);
        let status = object.status.as_ref().unwrap();
        assert_eq!(status.attempts, Some(attempt));
        let pause = status.next_attempt_time.as_ref().unwrap().0.duration_since(object.now.wall).as_secs();
        assert_eq!(pause, 1 << (attempt - 1));
    }
    let waits = object.clone().pending(Wait::Queued { calls_before: 1, about: None });
    object.status = waits.shown();
    assert_eq!((object.current_reason(), object.status.as_ref().unwrap().attempts), ("Queued", None));
    object.apply_report(&object.report(End::Failed(unavailable())));
    assert_eq!(object.status.as_ref().unwrap().attempts, Some(4), "that it waited for its turn changes nothing");
    object.generation += 1;
    object.apply_report(&object.report(End::Failed(unavailable())));
    assert_eq!(object.status.unwrap().attempts, Some(1));
}

/// A request shortens no wait, and is answered with the result of the next attempt. A stalled object is retried once.
#[test]
fn a_request_shortens_no_wait() {
    for reason in [Reason::Auth0Unavailable, Reason::AwaitingConsistency, Reason::RateLimited] {
        let mut requested = Case { request: Some("now"), ..case().with_reason(reason, Some(NOW + 30)) };
        match requested.decide() {
            Decision::AwaitChange(left) => assert_eq!(left, Some(Duration::from_secs(30)), "{reason}"),
            Decision::Submit { hold, .. } => assert_eq!(hold, Some(Duration::from_secs(30)), "{reason}"),
            other => panic!("{reason}: {other:?}"),
        }
        requested.submits();
        let limited = Wait::RateLimited { until: requested.now.steady + Duration::from_secs(30), own: true };
        for wait in [limited, Wait::Working] {
            let shown = requested.clone().pending(wait).shown().unwrap();
            assert_eq!(shown.last_handled_reconcile_at, None, "{reason}: not while the attempt waits");
        }
        for end in [End::Failed(unavailable()), End::Gone] {
            let after = requested.after(&requested.report(end));
            assert_eq!(after.last_handled_reconcile_at.as_deref(), Some("now"), "{reason}");
        }
    }
    for reason in [Reason::SubjectNotFound, Reason::ItemNotFound, Reason::InvalidRequest] {
        let stalled = case().with_reason(reason, None);
        assert_eq!(stalled.decide(), Decision::AwaitChange(None), "{reason}");
        let mut requested = Case { request: Some("now"), ..stalled.clone() };
        assert_eq!(requested.submits().1, REMOVE, "{reason}");
        let shown = requested.clone().pending(Wait::Working).shown().unwrap();
        assert_eq!(shown.last_handled_reconcile_at, None, "{reason}: not before the retry ends");
        assert!(requested.after(&requested.report(End::Gone)).last_handled_reconcile_at.is_some(), "{reason}");
        assert_eq!(task(&Case { generation: GENERATION + 1, ..stalled }.decide()), REMOVE, "{reason}: edited");
    }
}

/// A job that was submitted before the request was made is no attempt because of it: its result is shown, and an
/// attempt follows. Of what is finished then, nothing is left to attempt.
#[test]
fn what_was_in_flight_does_not_answer_a_request() {
    let mut in_flight = case();
    in_flight.submits();
    in_flight.request = Some("now");
    let mut unknown = in_flight.clone();
    unknown.apply_report(&unknown.report(End::NotFound(Missing::Subject)));
    assert_eq!((unknown.current_reason(), unknown.request), ("SubjectNotFound", Some("now")));
    assert_eq!(unknown.submits().1, REMOVE);
    unknown.apply_report(&unknown.report(End::NotFound(Missing::Subject)));
    assert_eq!((unknown.current_reason(), unknown.request), ("SubjectNotFound", None));
    let mut finished = in_flight;
    finished.apply_report(&finished.accepted(End::Gone));
    assert_eq!((finished.current_reason(), finished.request), ("Removed", Some("now")));
    assert_eq!(finished.decide(), Decision::Acknowledge);
}

/// A time that was written while a clock was ahead makes no wait endless.
#[test]
fn a_wait_from_another_clock_is_not_believed() {
    for reason in [Reason::Auth0Unavailable, Reason::AwaitingConsistency] {
        let waits = case().with_reason(reason, Some(NOW + 30));
        assert_eq!(waits.decide(), Decision::AwaitChange(Some(Duration::from_secs(30))));
        assert_eq!(task(&case().with_reason(reason, Some(NOW + 1_000_000)).decide()), REMOVE, "{reason}");
        assert_eq!(task(&case().with_reason(reason, Some(NOW)).decide()), REMOVE, "{reason}");
    }
}

/// What reaches the cache of a process that made nothing wait for it: the verdict of an object is gone, or has come.
#[test]
fn a_verdict_of_another_process_is_noticed() {
    let object = |reason: &str| {
        let meant = Reason::parse(reason).unwrap_or(Reason::Queued);
        let mut conditions = conditions(&[], &verdicts(meant, "x"), 1, at(NOW));
        conditions[0].reason = reason.to_owned();
        let status = RemovalStatus { conditions, ..RemovalStatus::default() };
        let spec = serde_json::json!({ "userId": "auth0|x", "roles": ["rol_bN1a2b3c4d5e6f7g"] });
        let mut object = crate::api::UserRoleRevocation::new("jane", serde_json::from_value(spec).unwrap());
        object.status = Some(status);
        object
    };
    let rows = [
        ("SubjectNotFound", "Auth0Unavailable", true),
        ("SubjectNotFound", "Denied", true),
        ("Suspended", "OfAnotherVersion", true),
        ("SubjectNotFound", "SubjectNotFound", false),
        ("Queued", "SubjectNotFound", false),
        ("Queued", "AwaitingProof", false),
        ("Queued", "WouldRemove", true),
        ("WouldRemove", "WouldRemove", false),
    ];
    for (before, now, expected) in rows {
        assert_eq!(is_verdict_changed(&object(before), &object(now)), expected, "{before} became {now}");
    }
}

/// The week of late reads begins with the verdict, however long ago the removal was accepted without a proof.
#[test]
fn late_reads_follow_a_requested_proof_for_a_week() {
    let unverified = case().after(&case().accepted(End::Unverified(Unverified::Never)));
    let mut object = Case { status: Some(unverified), request: Some("prove"), ..case() };
    object.later(8 * 24 * 3600);
    let mut waits = Vec::new();
    for _ in 0..3 {
        let (waited, task, history) = object.submits();
        waits.push((waited, task.clone()));
        let report = object.still_shown(task, &history);
        object.apply_report(&report);
        assert_eq!(object.current_reason(), "StillPresent");
        object.restart();
    }
    assert_eq!(waits, [(0, Task::Prove), (3600, Task::Prove), (6 * 3600, Task::Prove)]);
}
