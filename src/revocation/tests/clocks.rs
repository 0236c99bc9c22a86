//! Objects whose status says times that are still to come, because the wall clock was set back.

use super::*;
use crate::api::Policy;
use crate::revocation::schedule::REMOVE_AGAIN_AFTER;

fn set_back(case: &mut Case, seconds: u64) {
    case.now.wall -= Duration::from_secs(seconds);
}

/// Reads after a removal neither wait until the clock is there again, nor come without a pause.
#[test]
fn reads_go_on_after_the_clock_was_set_back() {
    let mut object = case();
    let report = object.accepted(End::Remaining(object.removal.items.clone()));
    object.apply_report(&report);
    assert_eq!(object.current_reason(), "AwaitingConsistency");
    set_back(&mut object, 3600);
    let (_, task, history) = object.submits();
    assert_eq!(task, Task::Prove);
    let report = object.still_shown(task, &history);
    object.apply_report(&report);
    let (waited, task, history) = object.submits();
    assert!((10..=60).contains(&waited), "{waited} s");
    assert_eq!(task, Task::Prove);
    let gone = Report { end: End::Gone, ..object.still_shown(task, &history) };
    object.apply_report(&gone);
    assert_eq!(object.current_reason(), "Removed");
}

/// A process that knows only the status proves what was accepted at once, and says so.
#[test]
fn what_was_accepted_in_the_future_is_proved_now() {
    let mut object = case();
    let report = object.accepted(End::Failed(unavailable()));
    object.apply_report(&report);
    set_back(&mut object, 3600);
    object.restart();
    let (_, task, history) = object.submits();
    assert_eq!(task, Task::Prove);
    assert!(history.accepted_at.unwrap() < object.now.wall);
    let gone = Report { end: End::Gone, ..object.still_shown(task, &history) };
    object.apply_report(&gone);
    assert_eq!(object.current_reason(), "Removed");
}

/// What Auth0 accepted after the clock was set back counts as new.
#[test]
fn a_removal_after_the_clock_was_set_back_is_a_new_one() {
    let mut object = case();
    while object.current_reason() != "StillPresent" {
        let (_, task, history) = object.submits();
        let shown = object.still_shown(task, &history);
        object.apply_report(&shown);
    }
    set_back(&mut object, 3600);
    object.request = Some("again");
    assert_eq!(task(&object.decide()), REMOVE);
    let report = object.accepted(End::Remaining(object.removal.items.clone()));
    object.apply_report(&report);
    assert_eq!(object.current_reason(), "AwaitingConsistency");
}

/// A DELETE that was sent once more after the clock had been set back counts as that, however the status rounds its
/// times, and none follows.
#[test]
fn a_delete_is_sent_once_more_only_once() {
    let mut object = case();
    let report = object.accepted(End::Remaining(object.removal.items.clone()));
    object.apply_report(&report);
    object.later(REMOVE_AGAIN_AFTER.as_secs());
    let (_, task, _) = object.submits();
    assert_eq!(task, REMOVE);
    set_back(&mut object, 3600);
    object.now.wall += Duration::from_millis(900);
    let report = object.accepted(End::Remaining(object.removal.items.clone()));
    object.later(1);
    object.apply_report(&report);
    while object.current_reason() != "StillPresent" {
        object.restart();
        let (_, task, history) = object.submits();
        assert_eq!(task, Task::Prove);
        let shown = object.still_shown(task, &history);
        object.apply_report(&shown);
    }
}

/// How late a read began is not told by a clock that was ahead then, which the dispatcher follows until the next answer.
#[test]
fn a_read_from_before_the_clock_was_set_back_is_not_late() {
    let mut object = case();
    let report = object.accepted(End::Remaining(object.removal.items.clone()));
    object.apply_report(&report);
    set_back(&mut object, 3600);
    let (_, task, history) = object.submits();
    let began = object.now.wall + Duration::from_secs(3600);
    let report = Report { read_at: Some(began), ..object.still_shown(task, &history) };
    object.apply_report(&report);
    assert_eq!(object.current_reason(), "AwaitingConsistency");
}

/// An object of policy Continuous removes again after its interval, not when the clock is there again.
#[test]
fn an_interval_is_not_longer_because_the_clock_was_set_back() {
    let mut object = case();
    object.options.policy = Policy::Continuous;
    object.options.interval = Some(serde_json::from_value("10m".into()).unwrap());
    while object.current_reason() != "StillPresent" {
        let (_, task, history) = object.submits();
        let shown = object.still_shown(task, &history);
        object.apply_report(&shown);
    }
    set_back(&mut object, 3000);
    let (waited, task, _) = object.submits();
    assert!(waited <= 1200 && task == REMOVE, "{waited} s, {task:?}");
}
