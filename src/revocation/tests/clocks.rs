//! Objects whose status says times that are still to come, because the wall clock was set back.

use super::*;

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
