//! The counts of a status: each item once, whatever the number of attempts.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::api::{IfNotFound, State};
use crate::auth0::{Missing, Rejection};
use crate::dispatch::Unverified;

/// Any report that the dispatcher might make, about some of four items.
fn reports() -> impl Strategy<Value = (Report, bool, bool)> {
    let items = || proptest::collection::btree_set(0usize..4, 0..4);
    (items(), items(), items(), 0usize..11, any::<[bool; 5]>()).prop_map(|(accepted, absent, left, end, flags)| {
        let [lost, seen, restart, edited, read] = flags;
        let named = |numbers: &BTreeSet<usize>| numbers.iter().map(|n| role(*n)).collect::<Vec<_>>();
        let end = match end {
            0 => End::Gone,
            1 => End::Unverified(Unverified::Never),
            2 => End::Remaining(named(&left)),
            3 => End::NotFound(Missing::Subject),
            4 => End::NotFound(Missing::Item),
            5 => End::NotFound(Missing::Unclear),
            6 => End::Failed(CallError::no_answer("x")),
            7 => End::Failed(CallError::Rejected(Rejection::Uri)),
            8 => End::Failed(CallError::InsufficientScope("x".into())),
            9 => End::Failed(CallError::RateLimited(Duration::from_secs(5))),
            _ => End::HandedBack(Refusal::Changed),
        };
        let accepted_at = (!accepted.is_empty()).then(|| at(NOW));
        let report = Report {
            not_found: named(&left),
            accepted: named(&accepted),
            already_absent: named(&absent),
            first_accepted_at: accepted_at,
            accepted_at,
            lost,
            seen,
            read_at: read.then(|| at(NOW)),
            ..case().report(end)
        };
        (report, restart, edited)
    })
}

proptest! {
    /// After any sequence of reports, the counts of the status add up to no more than the items of the spec,
    /// Reconciling and Stalled are never both present, a finished object says so, and `Verified` is true only after a
    /// read.
    #[test]
    fn statuses_stay_well_formed(reports in proptest::collection::vec(reports(), 1..12)) {
        let mut object = case();
        object.removal.items = (0..4).map(role).collect();
        let mut certain = BTreeSet::new();
        for (mut report, restart, edited) in reports {
            if restart {
                object.items = Items::default();
            }
            report.accepted_unnamed = object.report(End::Gone).accepted_unnamed;
            certain.extend(match &report.end {
                End::Gone => object.removal.items.clone(),
                End::Remaining(left) => left.clone(),
                _ => Vec::new(),
            });
            certain.extend([&report.accepted, &report.already_absent, &report.not_found].into_iter().flatten().cloned());
            object.generation += i64::from(edited);
            report.accepted_at = report.accepted_at.map(|_| object.now.wall);
            let reason = object.status.as_ref().and_then(RemovalStatus::reason_text);
            let is_unverified = reason == Some("RemovedUnverified");
            let finished = object.status.clone().filter(|_| object.with(|inputs| inputs.is_finished()));
            let outcome = object.apply_report(&report).outcome;
            let status = object.status.clone().unwrap();
            if let Some(finished) = finished.filter(|_| !is_unverified) {
                prop_assert_eq!(&status, &finished, "a finished object stays as it is");
            }
            let result = status.result.clone().unwrap_or_default();
            let counts = [result.accepted, result.already_absent, result.remaining];
            prop_assert!(counts.iter().all(|count| *count >= 0), "{:?}", result);
            let sum = usize::try_from(counts.iter().sum::<i32>()).unwrap();
            prop_assert!(sum <= certain.len(), "an item that is counted too early gets no DELETE: {:?}", result);
            let Some(outcome) = outcome else { continue };
            if let End::Remaining(left) = &report.end {
                let known = left.iter().filter(|item| !object.items.unknown.contains(*item)).count();
                prop_assert_eq!(usize::try_from(result.remaining).unwrap(), known, "items still there are remaining");
            }
            let [ready, reconciling, stalled, _, verified] = words(&status);
            let state = outcome.reason.state();
            prop_assert_eq!(ready.as_deref(), Some(if state == State::Done { "True" } else { "False" }));
            let expected = (state == State::Waiting, state == State::Stalled);
            prop_assert_eq!((reconciling.is_some(), stalled.is_some()), expected);
            prop_assert_eq!(status.finished.is_some(), state == State::Done);
            prop_assert!(status.next_attempt_time.is_none_or(|next| next.0 > object.now.wall));
            if outcome.reason == Reason::Removed {
                prop_assert!(status.last_removal_time.is_some() && report.end == End::Gone);
                prop_assert_eq!(verified.as_deref(), Some("True/ReadAfter"));
            }
            object.later(10);
        }
    }
}

#[test]
fn each_item_counts_once() {
    let counts = |status: &RemovalStatus| {
        let result = status.result.clone().unwrap();
        (result.requested, result.accepted, result.already_absent, result.remaining)
    };
    let mut object = case();
    object.removal.items = (0..4).map(role).collect();
    let handed_back = Report { accepted: vec![role(0), role(1)], ..object.accepted(End::HandedBack(Refusal::Changed)) };
    assert_eq!(counts(&object.apply_report(&handed_back).status), (4, 2, 0, 0));
    let all = object.accepted(End::Remaining(vec![role(3)]));
    let waits = object.apply_report(&all).status;
    assert_eq!(counts(&waits), (4, 3, 0, 1), "an item that a read still shows is not counted twice");
    assert_eq!(counts(&object.after(&Report { end: End::Gone, ..all })), (4, 4, 0, 0));

    let mut looked = Case { verification: Verification::BeforeAndAfter, ..case() };
    let absent = Report { already_absent: vec![role(2)], ..looked.accepted(End::Gone) };
    assert_eq!(
        counts(&looked.apply_report(&absent).status),
        (2, 1, 1, 0),
        "absent before, and its DELETE accepted all the same"
    );

    // After a restart only numbers are known: an item that is gone now is taken for one that was removed before.
    let mut half = case();
    let one = Report { accepted: vec![role(1)], ..half.accepted(End::Failed(CallError::no_answer("x"))) };
    half.apply_report(&one);
    half.items = Items::default();
    let other = Report { accepted: vec![role(2)], already_absent: vec![role(1)], ..half.accepted(End::Gone) };
    assert_eq!(counts(&half.apply_report(&other).status), (2, 2, 0, 0));
    assert_eq!(counts(&case().after(&case().report(End::Gone))), (2, 0, 2, 0));
}

/// A status that is written while a job goes on says what the job has achieved so far, and the job's own report does
/// not count it once more. Otherwise the last item would seem to be done, and get no DELETE (promise 4).
#[test]
fn what_is_shown_while_a_job_goes_on_is_not_counted_again() {
    let mut object = case();
    object.removal.items = (0..3).map(role).collect();
    let achieved = Report {
        accepted: vec![role(0)],
        already_absent: vec![role(1)],
        ..object.accepted(End::HandedBack(Refusal::Withdrawn))
    };
    object = object.pending(Wait::Queued { calls_before: 1, about: None });
    let View::Pending { so_far, .. } = &mut object.view else { panic!("it is pending") };
    **so_far = achieved.clone();
    let counts = |object: &Case| {
        let result = object.status.as_ref().unwrap().result.clone().unwrap();
        (result.accepted, result.already_absent)
    };
    for _ in 0..3 {
        object.status = object.shown();
        assert_eq!(counts(&object), (1, 1));
    }
    object.apply_report(&Report { end: End::Failed(unavailable()), ..achieved });
    assert_eq!(counts(&object), (1, 1));
    let (_, task, history) = object.submits();
    assert_eq!((task, history.accepted, history.absent), (REMOVE, vec![role(0)], vec![role(1)]));
}

/// Two roles that Auth0's list shows although it answers their DELETE with 404 are not tried in turn for ever.
#[test]
fn a_list_that_shows_what_auth0_does_not_know_ends_it() {
    let mut object = case();
    let shown = |tried: usize, object: &Case| Report {
        not_found: vec![role(tried)],
        already_absent: object.items.unknown.iter().cloned().collect(),
        ..object.report(End::Remaining(vec![role(1), role(2)]))
    };
    for tried in [1, 2] {
        object.apply_report(&shown(tried, &object));
        object.later(10);
    }
    assert_eq!(object.current_reason(), "ItemNotFound");
}

/// A role that was deleted in Auth0 can still be listed. Once it is not, what was accepted is removed, and not still there.
#[test]
fn what_does_not_exist_does_not_remain() {
    let counts = |object: &Case| {
        let result = object.status.as_ref().unwrap().result.clone().unwrap();
        (result.accepted, result.already_absent, result.remaining)
    };
    for (if_not_found, reason) in [(IfNotFound::Ignore, "Removed"), (IfNotFound::Fail, "ItemNotFound")] {
        let mut object = case();
        object.options.if_not_found = if_not_found;
        let one = |end| Report { accepted: vec![role(1)], not_found: vec![role(2)], ..case().accepted(end) };
        object.apply_report(&one(End::Remaining(vec![role(1)])));
        object.later(10);
        object.apply_report(&Report { not_found: Vec::new(), ..object.accepted(End::Remaining(vec![role(2)])) });
        assert_eq!(counts(&object), (1, 0, 1));
        object.later(10);
        let proof = Report { read_at: Some(object.now.wall), ..one(End::NotFound(Missing::Item)) };
        object.apply_report(&proof);
        assert_eq!((object.current_reason(), counts(&object)), (reason, (1, 1, 0)));
    }
}

/// What this process knows item by item counts only as long as the status says when it was accepted. Otherwise the item
/// would be read for ever and never sent.
#[test]
fn items_count_only_together_with_the_status() {
    let mut object = case().with_reason(Reason::UnknownField, None);
    object.items.accepted.insert(role(1));
    object.items.domain = object.domain();
    let (_, task, history) = object.submits();
    assert_eq!((task, history.accepted), (REMOVE, Vec::new()));
}

/// The two minutes before a DELETE is sent once more begin when the last item was accepted, also if its job was handed
/// back before a read.
#[test]
fn the_last_acceptance_counts_whatever_becomes_of_the_job() {
    let mut object = case();
    let half = Report { accepted: vec![role(1)], ..object.accepted(End::HandedBack(Refusal::Unconfirmed)) };
    object.apply_report(&half);
    object.status = object.clone().pending(Wait::Queued { calls_before: 1, about: None }).shown();
    object.later(90);
    let first = half.first_accepted_at;
    object.apply_report(&Report { first_accepted_at: first, ..object.accepted(End::HandedBack(Refusal::Unconfirmed)) });
    object.later(60);
    let (_, task, history) = object.submits();
    assert_eq!(task, Task::Prove);
    assert_eq!(history.first_accepted_at, Some(at(NOW + 90)));
}

/// What Auth0 accepts at last it knows, although it did not before: it is not sent again while its job is handed back.
#[test]
fn what_auth0_accepts_is_not_unknown_to_it() {
    let mut object = case();
    object.removal.items = vec![role(1)];
    let unknown = Report { not_found: vec![role(1)], ..object.report(End::NotFound(Missing::Item)) };
    object.apply_report(&unknown);
    object.request = Some("again");
    assert_eq!(task(&object.decide()), REMOVE);
    object.apply_report(&object.accepted(End::HandedBack(Refusal::Unconfirmed)));
    let (_, task, history) = object.submits();
    assert_eq!((task, history.accepted), (Task::Prove, vec![role(1)]));
}

/// What Auth0 does not know is not done for a process that knows only the status: neither before the verdict, nor for
/// a request after it.
#[test]
fn unknown_items_are_not_done_after_a_restart() {
    let mut object = case();
    let half = object.accepted(End::Remaining(vec![role(1)]));
    object.apply_report(&Report { accepted: vec![role(1)], not_found: vec![role(2)], ..half.clone() });
    let counts = |object: &Case| object.status.as_ref().unwrap().result.clone().unwrap().already_absent;
    assert_eq!(counts(&object), 0);
    let mut waits = object.clone();
    waits.restart();
    assert_eq!(waits.submits().1, REMOVE);

    let proof = Report { task: Task::Prove, ..half };
    object.apply_report(&Report { accepted: vec![role(1)], end: End::Gone, not_found: vec![role(2)], ..proof });
    assert_eq!((object.current_reason(), counts(&object)), ("ItemNotFound", 1));
    object.restart();
    assert_eq!(object.decide(), Decision::AwaitChange(None));
    let mut requested = Case { request: Some("again"), ..object.clone() };
    assert_eq!(requested.clone().submits().1, REMOVE);
    let mut known = requested.clone();
    known.apply_report(&known.accepted(End::Gone));
    assert_eq!((known.current_reason(), counts(&known)), ("Removed", 0));
    requested.options.not_before = Some(at(NOW + 99).to_string().as_str().into());
    assert_eq!(requested.submits().1, Task::Prove);
    requested.apply_report(&Report { task: Task::Prove, accepted: vec![role(1)], ..object.accepted(End::Gone) });
    assert_eq!(requested.current_reason(), "ItemNotFound");
    let message = requested.status.as_ref().unwrap().message();
    assert!(message.contains(&role(2).to_string()), "{message}");
    let mut ended = object.clone();
    ended.options.not_after = Some(object.now.wall.to_string().as_str().into());
    ended.later(9);
    assert_eq!(ended.decide(), Decision::AwaitChange(None), "as before the restart");
    object.options.suspend = true;
    object.status = object.shown();
    object.options.suspend = false;
    assert_eq!(object.submits().1, REMOVE, "the item that is left is removed, not taken for done");
}

/// An item that Auth0 does not know stays counted while a list shows another that it does not know either. Otherwise all
/// would be sent again after each read, and the ten minutes to the verdict would begin anew each time.
#[test]
fn what_auth0_does_not_know_stays_counted() {
    let mut object = case();
    object.removal.items = (1..4).map(role).collect();
    let shown = || End::Remaining(vec![role(1), role(2)]);
    let sent = Report { accepted: vec![role(2)], not_found: vec![role(1), role(3)], ..object.accepted(shown()) };
    object.apply_report(&sent);
    for _ in 0..3 {
        let (_, task, _) = object.submits();
        assert_eq!(task, Task::Prove);
        let proof = Report { task, not_found: Vec::new(), seen: true, ..sent.clone() };
        object.apply_report(&Report { read_at: Some(object.now.wall), ..proof });
    }
}

/// A request has an item that Auth0 did not know tried again. If that fails, it is tried once more, and not counted.
#[test]
fn a_failed_retry_of_an_unknown_item_is_retried() {
    let mut object = case();
    let unknown = Report { not_found: object.removal.items.clone(), ..object.report(End::NotFound(Missing::Item)) };
    object.apply_report(&unknown);
    object.request = Some("again");
    object.submits();
    object.apply_report(&object.report(End::Failed(unavailable())));
    assert_eq!((object.current_reason(), object.request), ("Auth0Unavailable", None));
    let (_, task, history) = object.submits();
    assert_eq!((task, history.absent), (REMOVE, Vec::new()));
}
