//! Requests by annotation, and failures in a row.

use super::*;
use crate::auth0::{CallError, Missing};
use crate::dispatch::Unverified;

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
        assert_eq!(held.decide(), Decision::Acknowledge(None));
    }
    let answered = |end: End, later: u64| {
        let mut requested = requested.clone();
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

/// A request shortens no wait, but it is answered. A stalled object is retried once.
#[test]
fn a_request_shortens_no_wait() {
    for reason in [Reason::Auth0Unavailable, Reason::AwaitingConsistency] {
        let requested = Case { request: Some("now"), ..case().with_reason(reason, Some(NOW + 30)) };
        assert_eq!(requested.decide(), Decision::Acknowledge(Some(Duration::from_secs(30))), "{reason}");
        let before = requested.status.clone().unwrap();
        let answered = RemovalStatus { last_handled_reconcile_at: Some("now".into()), ..before };
        assert_eq!(requested.shown(), Some(answered), "{reason}");
    }
    for reason in [Reason::SubjectNotFound, Reason::ItemNotFound, Reason::InvalidRequest] {
        let stalled = case().with_reason(reason, None);
        assert_eq!(stalled.decide(), Decision::AwaitChange(None), "{reason}");
        let requested = Case { request: Some("now"), ..stalled.clone() };
        assert_eq!(task(&requested.decide()), REMOVE, "{reason}");
        let shown = requested.clone().pending(Wait::Working).shown().unwrap();
        assert_eq!(shown.last_handled_reconcile_at, None, "{reason}: not before the retry ends");
        assert!(requested.after(&requested.report(End::Gone)).last_handled_reconcile_at.is_some(), "{reason}");
        assert_eq!(task(&Case { generation: GENERATION + 1, ..stalled }.decide()), REMOVE, "{reason}: edited");
    }
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
