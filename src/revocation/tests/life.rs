//! From a DELETE to its proof, mostly with the status as the only memory.

use super::*;
use crate::api::IfNotFound;
use crate::auth0::{CallError, Missing};
use crate::dispatch::Unverified;

/// What happens to an object, and how that changes the case.
pub(super) type Change = (&'static str, fn(&mut Case));

/// Reads on the schedule, one more DELETE after two minutes, `StillPresent` after ten; then reads alone for a week, and
/// one DELETE for each request. A restart after every step changes none of it.
#[test]
fn after_ten_minutes_it_is_still_present() {
    let mut object = case();
    let (mut elapsed, mut calls) = (0, Vec::new());
    while object.current_reason() != "StillPresent" {
        let (waited, task, history) = object.submits();
        elapsed += waited;
        calls.push((elapsed, task == Task::Prove));
        let report = object.still_shown(task, &history);
        object.apply_report(&report);
        object.restart();
        assert!(calls.len() < 30, "{calls:?}");
    }
    let reads: Vec<u64> = calls.iter().filter(|(_, reads)| *reads).map(|(at, _)| *at).collect();
    let deletes: Vec<u64> = calls.iter().filter(|(_, reads)| !*reads).map(|(at, _)| *at).collect();
    assert_eq!(deletes, [0, 141]);
    assert_eq!(reads, [2, 8, 11, 21, 41, 81, 201, 261, 321, 381, 441, 501, 561, 600]);

    let mut hours = 0;
    for expected in (1..=163).step_by(6) {
        let (waited, task, history) = object.submits();
        hours += (waited + 1800) / 3600;
        assert_eq!((hours, task.clone()), (expected, Task::Prove));
        let report = object.still_shown(task, &history);
        object.apply_report(&report);
        assert_eq!(object.current_reason(), "StillPresent");
        object.restart();
    }
    assert_eq!(object.decide(), Decision::AwaitChange(None), "after a week only a request can change it");

    object.request = Some("again");
    let (_, task, history) = object.submits();
    assert_eq!((&task, history.accepted.len()), (&REMOVE, 0));
    let report = object.still_shown(task, &history);
    object.apply_report(&report);
    assert_eq!((object.current_reason(), object.request), ("AwaitingConsistency", None));
    object.restart();
    let (waited, task, _) = object.submits();
    assert_eq!((waited, task), (2, Task::Prove), "the schedule starts over");
}

/// Whatever happens between an accepted DELETE and its proof, the DELETE is not sent again.
#[test]
fn an_accepted_removal_is_proved_and_not_sent_again() {
    let accepted = |end| {
        let mut object = case();
        let report = object.accepted(end);
        object.apply_report(&report);
        object.restart();
        object
    };
    let interruptions: [Change; 5] = [
        ("the read failed", |_| {}),
        ("edited", |case| case.generation += 1),
        ("another credential", |case| {
            case.tenant = Connection::Ready { domain: case.domain().unwrap(), token: "second" };
        }),
        ("suspended and resumed", |case| {
            case.options.suspend = true;
            case.generation += 1;
            case.status = case.shown();
            assert_eq!(
                words(case.status.as_ref().unwrap())[3..],
                [Some("Suspended".into()), Some("Unknown/ProofPending".into())]
            );
            case.options.suspend = false;
            case.generation += 1;
        }),
        ("the Secret was away", |case| {
            let tenant = std::mem::replace(&mut case.tenant, Connection::NotReady(Reason::SecretNotFound));
            case.status = case.shown();
            case.tenant = tenant;
        }),
    ];
    for (what, change) in interruptions {
        for end in [End::Failed(unavailable()), End::HandedBack(Refusal::TenantNotReady)] {
            let mut object = accepted(end);
            change(&mut object);
            let (_, task, history) = object.submits();
            assert_eq!((&task, history.accepted.len()), (&Task::Prove, 2), "{what}");
            let gone = Report { end: End::Gone, ..object.still_shown(task, &history) };
            let status = object.after(&gone);
            let result = status.result.clone().unwrap();
            assert_eq!((status.reason_text(), result.accepted), (Some("Removed"), 2), "{what}");
            assert_eq!(
                status.last_removal_time,
                Some(time(at(NOW))),
                "{what}: the time of the DELETE, not of the proof"
            );
        }
    }
}

/// After a job that failed in part, only the failed items are sent again: neither those that were accepted nor those
/// that were absent.
#[test]
fn only_failed_items_are_sent_again() {
    let mut object = case();
    object.removal.items = (0..3).map(role).collect();
    let failed = object.accepted(End::Failed(unavailable()));
    object.apply_report(&Report { accepted: vec![role(0)], already_absent: vec![role(1)], ..failed });
    let (_, task, history) = object.submits();
    assert_eq!((task, history.accepted, history.absent), (REMOVE, vec![role(0)], vec![role(1)]));
}

/// At an organization the DELETE includes items that the read before did not show. Where that read may spare the
/// DELETE, an item that shows up later was assigned since, and is removed at once.
#[test]
fn absent_items_that_show_up_later() {
    let shown_later = |endpoint| {
        let mut object = case();
        object.removal.endpoint = endpoint;
        let half = object.accepted(End::Remaining(vec![role(2)]));
        object.apply_report(&Report { accepted: vec![role(1)], already_absent: vec![role(2)], ..half });
        let (_, task, history) = object.submits();
        (task, history.accepted.len())
    };
    let (organization, user) = ("org_9ybsU1dN2dKfDkBi".into(), "auth0|a".into());
    assert_eq!(shown_later(Endpoint::OrganizationMemberRoles { organization, user }), (Task::Prove, 2));
    assert_eq!(shown_later(Endpoint::UserRoles { user: "auth0|a".into() }), (REMOVE, 1));
}

/// A role that Auth0 does not know is not sent again with each read of the others, and the verdict names it.
#[test]
fn unknown_items_are_not_sent_again() {
    let mut object = case();
    let half = object.accepted(End::Remaining(vec![role(1)]));
    object.apply_report(&Report { accepted: vec![role(1)], not_found: vec![role(2)], ..half });
    let (_, task, history) = object.submits();
    assert_eq!(task, Task::Prove);
    let gone = Report { end: End::Gone, ..object.still_shown(task, &history) };
    let status = object.apply_report(&gone).status;
    let result = status.result.clone().unwrap();
    assert_eq!((status.reason_text(), result.accepted, result.already_absent), (Some("ItemNotFound"), 1, 1));
    object.request = Some("again");
    let (_, task, history) = object.submits();
    assert_eq!((task, history.accepted), (REMOVE, vec![role(1)]));
}

/// After a DELETE without an answer the next job reads first, whatever the status said in between. What is gone then is
/// `AlreadyAbsent`, not `Removed`.
#[test]
fn a_lost_answer_is_remembered() {
    let mut object = case();
    let lost =
        Report { lost: true, correlation: Some("rescind-1".into()), ..object.report(End::Failed(unavailable())) };
    object.apply_report(&lost);
    object.options.suspend = true;
    object.status = object.shown();
    object.options.suspend = false;
    object.restart();
    let (_, task, history) = object.submits();
    assert!(task == REMOVE && history.lost);
    let gone = Report { lost: true, accepted: object.removal.items.clone(), ..object.report(End::Gone) };
    let status = object.after(&gone);
    let ready = status.condition(ConditionType::Ready).unwrap();
    assert!(ready.reason == "AlreadyAbsent" && ready.message.contains("An earlier DELETE"), "{ready:?}");
    assert_eq!(status.result.map(|result| (result.accepted, result.already_absent)), Some((0, 2)));

    let mut in_flight = case().pending(Wait::Working);
    let taken_back = Report { lost: true, ..in_flight.report(End::HandedBack(Refusal::Withdrawn)) };
    in_flight.apply_report(&Report { connection: None, domain: None, ..taken_back });
    assert!(in_flight.submits().2.lost, "its answer is not awaited any more");

    let mut never_left = case();
    never_left.apply_report(&never_left.report(End::Failed(CallError::NotSent("no route"))));
    let (_, _, history) = never_left.submits();
    assert!(!history.lost, "a call that was never sent had no effect");
}

/// The tenant decides which reads accompany a removal.
#[test]
fn verification_decides_on_reads() {
    let of = |verification| task(&Case { verification, ..case() }.decide());
    assert_eq!(of(Verification::Never), Task::Remove { before: false, after: false });
    assert_eq!(of(Verification::After), REMOVE);
    assert_eq!(of(Verification::BeforeAndAfter), Task::Remove { before: true, after: true });
}

/// The role is deleted in Auth0 after its removal was accepted, before a read has proved it.
#[test]
fn what_does_not_exist_any_more_is_not_sent_for_ever() {
    let mut object = case();
    object.options.if_not_found = IfNotFound::Ignore;
    let report = object.accepted(End::Remaining(object.removal.items.clone()));
    object.apply_report(&report);
    object.later(300);
    let (_, task, history) = object.submits();
    assert_eq!((task, history.accepted.len()), (REMOVE, 0), "sent once more");
    let History { first_accepted_at, accepted_at, .. } = history;
    let all_unknown = Report {
        not_found: object.removal.items.clone(),
        read_at: None,
        first_accepted_at,
        accepted_at,
        ..object.report(End::NotFound(Missing::Item))
    };
    let status = object.after(&all_unknown);
    assert_eq!(status.reason_text(), Some("AlreadyAbsent"));
    assert_eq!(status.result.clone().unwrap().remaining, 0);
}

/// Somebody who was no member, and so had no role to lose, has it when a read looks again. The DELETE is sent.
#[test]
fn what_was_absent_and_is_there_is_sent() {
    let mut object = case();
    let (organization, user) = ("org_9ybsU1dN2dKfDkBi".into(), "auth0|a".into());
    object.removal.endpoint = Endpoint::OrganizationMemberRoles { organization, user };
    let absent = object.removal.items.clone();
    let report = Report { already_absent: absent, ..object.report(End::Failed(unavailable())) };
    object.apply_report(&report);
    let (_, _, history) = object.submits();
    assert_eq!(history.absent.len(), 2);
    let report = Report { already_absent: history.absent, ..object.report(End::Remaining(vec![role(1)])) };
    object.apply_report(&report);
    object.later(10);
    let (_, task, history) = object.submits();
    assert_eq!((task, history.accepted, history.absent), (REMOVE, Vec::new(), vec![role(2)]));
}

/// A role that Auth0 does not know is named, also where no read can prove that the others are gone.
#[test]
fn an_unknown_role_is_named_without_a_proof() {
    for why in [Unverified::Never, Unverified::MissingScope("read:users".into())] {
        let accepted = case().accepted(End::Unverified(why));
        let half = Report { accepted: vec![role(1)], not_found: vec![role(2)], ..accepted };
        let status = case().after(&half);
        let expected = ["False", "-", "True", "ItemNotFound", "Unknown/ProofPending"];
        assert_eq!(words(&status).map(|word| word.unwrap_or_else(|| "-".into())), expected);
        assert!(status.message().contains(&role(2).to_string()), "{}", status.message());
        let mut ignoring = case();
        ignoring.options.if_not_found = IfNotFound::Ignore;
        assert_eq!(ignoring.after(&half).reason_text(), Some("RemovedUnverified"));
    }
}
