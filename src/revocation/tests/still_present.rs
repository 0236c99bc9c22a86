//! What a read long after the removal still shows.

use super::life::Change;
use super::*;
use crate::api::Policy;
use crate::auth0::{CallError, Missing};
use crate::dispatch::Unverified;

/// The object as it is once late reads have shown every item.
pub(super) fn still_present(mut object: Case) -> Case {
    while object.current_reason() != "StillPresent" {
        let (_, task, history) = object.submits();
        let report = object.still_shown(task, &history);
        object.apply_report(&report);
    }
    object
}

/// A late read that fails leaves the verdict as it is.
#[test]
fn a_failed_late_read_keeps_the_verdict() {
    let mut object = still_present(case());
    for end in [
        End::Failed(unavailable()),
        End::Unverified(Unverified::MissingScope("read:users".into())),
        End::Failed(CallError::Denied("403")),
    ] {
        let (_, task, history) = object.submits();
        let report = Report { end, ..object.still_shown(task, &history) };
        object.apply_report(&report);
        assert_eq!(
            words(object.status.as_ref().unwrap())[3..],
            [Some("StillPresent".into()), Some("False/ReadAfter".into())]
        );
    }
    let (_, task, history) = object.submits();
    let gone = Report { end: End::Gone, ..object.still_shown(task, &history) };
    assert_eq!(object.after(&gone).reason_text(), Some("Removed"));
}

/// A DELETE of what is still present that fails has a reason of its own, and is sent again by itself, also after a
/// restart. A credential that the tenant does not have any more decides nothing.
#[test]
fn a_failed_delete_of_what_is_still_present_is_retried() {
    let failures = [
        (unavailable(), "Auth0Unavailable"),
        (CallError::RateLimited(Duration::from_secs(5)), "RateLimited"),
        (CallError::Unauthorized("401"), "Unauthorized"),
        (CallError::InsufficientScope("delete:users".into()), "InsufficientScope"),
    ];
    for (error, reason) in failures {
        let mut object = still_present(case());
        object.request = Some("again");
        assert_eq!(object.submits().1, REMOVE);
        let (known, answer) = (object.status.clone().unwrap(), object.report(End::Failed(error)));
        let (first_accepted_at, accepted_at) = (Some(at(NOW)), known.removed_at());
        let failed = Report { read_at: None, first_accepted_at, accepted_at, ..answer };
        if reason == "Unauthorized" {
            let mut rotated = object.clone();
            rotated.tenant = Connection::Ready { domain: object.domain().unwrap(), token: "second" };
            rotated.apply_report(&failed);
            assert_eq!(rotated.submits().1, REMOVE, "{reason}");
        }
        object.apply_report(&failed);
        assert_eq!((object.current_reason(), object.request), (reason, None));
        object.restart();
        let (_, task, history) = object.submits();
        assert_eq!((task, history.accepted.len()), (REMOVE, 0), "{reason}");
        object.apply_report(&object.accepted(End::Gone));
        assert_eq!(object.current_reason(), "Removed", "{reason}");
    }
    let mut unknown = still_present(case());
    unknown.request = Some("again");
    unknown.submits();
    for missing in [Missing::Item, Missing::Unclear] {
        let not_found = if missing == Missing::Item { unknown.removal.items.clone() } else { Vec::new() };
        let status = unknown.after(&Report { not_found, ..unknown.report(End::NotFound(missing)) });
        assert_eq!(status.reason_text(), Some("ItemNotFound"), "{missing:?}");
    }
    let mut repeats = case();
    repeats.options.policy = Policy::Continuous;
    let mut repeats = still_present(repeats);
    let (_, task, _) = repeats.submits();
    assert_eq!(task, REMOVE);
    repeats.apply_report(&repeats.report(End::Failed(CallError::InsufficientScope("delete:users".into()))));
    assert_eq!(repeats.current_reason(), "InsufficientScope");
}

/// However late the first read that still shows an item, the DELETE is sent once more before the verdict.
#[test]
fn the_first_read_is_no_verdict_however_late() {
    let mut object = case();
    object.apply_report(&object.accepted(End::HandedBack(Refusal::NotLeading)));
    object.restart();
    object.later(3600);
    let (_, task, history) = object.submits();
    assert_eq!(task, Task::Prove);
    object.apply_report(&object.still_shown(task, &history));
    assert_eq!(object.current_reason(), "AwaitingConsistency");
    object.restart();
    let (_, task, history) = object.submits();
    assert_eq!((task, history.accepted.len()), (REMOVE, 0));
}

/// What forbids another DELETE is not said to send one.
#[test]
fn still_present_promises_no_delete_that_may_not_be_sent() {
    let changes: [Change; 4] = [
        ("observed", |case| case.tenant_mode = Mode::Observe),
        ("protected", |case| case.protected = Some("it")),
        ("braked", |case| case.brake = Some("too many")),
        ("not yet", |case| case.options.not_before = Some(at(NOW + 999_999).to_string().as_str().into())),
    ];
    for repeats in [false, true] {
        let mut object = case();
        object.options.policy = if repeats { Policy::Continuous } else { Policy::Once };
        let object = still_present(object);
        let promises = |object: &Case| {
            let report = object.still_shown(Task::Prove, &History::default());
            let status = object.after(&Report { accepted: object.removal.items.clone(), ..report });
            let message = status.message().to_owned();
            assert_eq!(status.reason_text(), Some("StillPresent"));
            message.contains("reconcile-requested-at") || message.contains("removes it again")
        };
        assert!(promises(&object));
        for (what, change) in changes {
            let mut object = object.clone();
            change(&mut object);
            assert!(!promises(&object), "{what}");
        }
    }
}

/// Late reads send no DELETE after a restart either, though one of the items is unknown to Auth0.
#[test]
fn a_restart_sends_no_delete_of_what_is_still_present() {
    let mut object = case();
    while object.current_reason() != "StillPresent" {
        let (_, task, history) = object.submits();
        let shown = Report { end: End::Remaining(vec![role(1)]), ..object.still_shown(task.clone(), &history) };
        let unknown = if task == REMOVE { vec![role(2)] } else { Vec::new() };
        object.apply_report(&Report { accepted: vec![role(1)], not_found: unknown, ..shown });
    }
    object.restart();
    let mut ended = object.clone();
    ended.options.not_after = Some(ended.now.wall.to_string().as_str().into());
    for mut object in [object, ended] {
        assert_eq!(object.submits().1, Task::Prove);
    }
}

/// Of a DELETE that failed in part, only what Auth0 accepted is done.
#[test]
fn a_delete_that_fails_in_part_is_retried() {
    let mut object = still_present(case());
    object.request = Some("again");
    object.submits();
    let half = object.accepted(End::Failed(unavailable()));
    object.apply_report(&Report { accepted: vec![role(1)], read_at: None, ..half });
    let (_, task, history) = object.submits();
    assert_eq!((task, history.accepted), (REMOVE, vec![role(1)]));
}
