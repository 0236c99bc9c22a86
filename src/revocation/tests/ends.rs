//! Objects of policy Continuous at their `notAfter`.

use super::checks::continuous;
use super::observations::{HOUR, OBSERVE, observation, removed};
use super::still_present::still_present;
use super::*;
use crate::api::IfNotFound;
use crate::auth0::Missing;

/// After its end, an object of policy Continuous that is still shown is no longer removed: it is read as any other is,
/// and says so.
#[test]
fn a_continuous_object_that_is_still_present_ends() {
    let mut object = still_present(continuous(case()));
    object.options.not_after = Some(object.now.wall.to_string().as_str().into());
    let mut waits = Vec::new();
    for _ in 0..3 {
        let (waited, task, history) = object.submits();
        assert_eq!(task, Task::Prove);
        let report = object.still_shown(task, &history);
        object.apply_report(&report);
        let message = object.status.as_ref().unwrap().message();
        assert!(message.contains("every six hours") && !message.contains("spec.interval"), "{message}");
        waits.push(waited / 3600);
    }
    assert_eq!(waits[1..], [6, 6], "{waits:?}");
}

/// What had been removed and came back was not "never removed".
#[test]
fn a_continuous_object_that_ends_after_a_return_says_so() {
    let mut object = continuous(removed(case()));
    object.apply_report(&observation(&object, &[1]));
    object.options.not_after = Some(at(NOW + 10).to_string().as_str().into());
    object.later(HOUR);
    let status = object.shown().unwrap();
    assert_eq!(status.reason_text(), Some("Expired"));
    assert!(status.message().contains("before what had come back was removed again"), "{}", status.message());
}

/// A check that could not be made before the end is made afterwards, as it only reads, and the verdict stands again.
#[test]
fn a_check_that_is_late_at_the_end_is_made() {
    for end in [End::Gone, End::NotFound(Missing::Subject)] {
        let mut object = continuous(case());
        object.options.if_not_found = IfNotFound::Ignore;
        object.apply_report(&object.report(end.clone()));
        let done = object.current_reason().to_owned();
        object.later(3 * HOUR);
        object.status = Case { tenant: Connection::Missing, ..object.clone() }.shown();
        assert_eq!(object.current_reason(), "TenantNotReady");
        object.options.not_after = Some(object.now.wall.to_string().as_str().into());
        object.later(HOUR);
        assert_eq!(task(&object.decide()), OBSERVE, "{done}");
        let mut back = object.clone();
        back.apply_report(&observation(&back, &[1]));
        assert_eq!(back.reason().as_deref(), Some("Expired"));
        object.apply_report(&Report { task: OBSERVE, ..object.report(end) });
        assert_eq!((object.current_reason(), object.decide()), (&*done, Decision::AwaitChange(None)));
    }
}
