//! Objects that are only observed, or that wait for a time.

use super::*;
use crate::api::{Policy, State};
use crate::auth0::{Missing, Rejection};

pub(super) const OBSERVE: Task = Task::Observe;
pub(super) const HOUR: u64 = 3600;

pub(super) fn observation(case: &Case, left: &[usize]) -> Report {
    let (present, absent): (Vec<Item>, Vec<Item>) = {
        let left: Vec<Item> = left.iter().map(|n| role(*n)).collect();
        case.removal.items.iter().cloned().partition(|item| left.contains(item))
    };
    let end = if present.is_empty() { End::Gone } else { End::Remaining(present) };
    Report { task: OBSERVE, already_absent: absent, seen: true, ..case.report(end) }
}

pub(super) fn observed(mut case: Case) -> Case {
    case.options.mode = Mode::Observe;
    case
}

/// The object as it is once every item was removed and proved.
pub(super) fn removed(mut case: Case) -> Case {
    let report = case.accepted(End::Gone);
    case.apply_report(&report);
    assert_eq!(case.current_reason(), "Removed");
    case
}

fn finished(case: &Case) -> crate::api::Finished {
    case.status.as_ref().unwrap().finished.clone().unwrap()
}

/// One read, which names what is there; nothing more until somebody requests it.
#[test]
fn an_observed_object_says_what_it_would_remove() {
    let mut object = observed(case());
    assert_eq!(task(&object.decide()), OBSERVE);
    object.apply_report(&observation(&object, &[1]));
    let status = object.status.clone().unwrap();
    assert_eq!(words(&status)[..4], [Some("True".into()), None, None, Some("WouldRemove".into())]);
    let result = status.result.clone().unwrap();
    assert_eq!((result.requested, result.accepted, result.already_absent, result.remaining), (2, 0, 1, 1));
    assert_eq!(result.items, [role(1).to_string()]);
    assert!(status.message().contains("Would remove 1 of 2: rol_bN1a2b3c4d5e6f01."), "{}", status.message());
    let both =
        |left: [usize; 2]| Report { end: End::Remaining(left.map(role).into()), ..observation(&object, &[1, 2]) };
    assert_eq!(object.after(&both([1, 2])), object.after(&both([2, 1])), "reads are answered in any order");
    assert_eq!((finished(&object).mode, finished(&object).by_tenant), (Mode::Observe, false));
    assert_eq!(object.decide(), Decision::AwaitChange(None));
    object.request = Some("again");
    assert_eq!(task(&object.decide()), OBSERVE);
    object.submitted_for = object.request;
    object.apply_report(&observation(&object, &[]));
    assert_eq!((object.current_reason(), object.request), ("AlreadyAbsent", None));
    assert!(object.status.as_ref().unwrap().result.as_ref().unwrap().items.is_empty());
    assert_eq!(object.decide(), Decision::AwaitChange(None));
}

/// It acts once: by its own edit, or by the tenant's if that had it observed.
#[test]
fn an_observed_object_acts_after_an_edit() {
    let mut own = observed(case());
    own.apply_report(&observation(&own, &[1, 2]));
    own.options.mode = Mode::Remove;
    assert_eq!(own.decide(), Decision::AwaitChange(None), "a default is no edit");
    own.generation += 1;
    own.tenant_mode = Mode::Observe;
    assert_eq!(own.decide(), Decision::Acknowledge, "the tenant's mode is stricter");
    own.tenant_mode = Mode::Remove;
    let Decision::Submit { task, history, .. } = own.decide() else { panic!("{:?}", own.decide()) };
    assert_eq!((task, history.accepted.len(), history.seen), (REMOVE, 0, true));
    own = removed(own);
    assert_eq!(finished(&own).mode, Mode::Remove);

    let mut by_tenant = Case { tenant_mode: Mode::Observe, ..case() };
    by_tenant.apply_report(&observation(&by_tenant, &[1]));
    assert_eq!((finished(&by_tenant).mode, finished(&by_tenant).by_tenant), (Mode::Observe, true));
    let away = Case { tenant: Connection::NotReady(Reason::SecretNotFound), ..by_tenant.clone() };
    assert_eq!(away.decide(), Decision::AwaitChange(None), "its verdict stands while the mode is not known");
    by_tenant.tenant_mode = Mode::Remove;
    assert_eq!(super::task(&by_tenant.decide()), REMOVE);
    let mut again = removed(by_tenant);
    again.tenant_mode = Mode::Observe;
    assert_eq!(again.decide(), Decision::AwaitChange(None), "what is removed is not observed");
}

/// Promise 5: a job that was submitted to remove is taken back once the object is only observed.
#[test]
fn a_mode_that_becomes_stricter_stops_the_job() {
    let mut queued = case().pending(Wait::Queued { calls_before: 1, about: None });
    queued.tenant_mode = Mode::Observe;
    assert_eq!(queued.decide(), Decision::TakeReport);
    queued.view = View::Absent;
    assert_eq!(task(&queued.decide()), OBSERVE);
    let mut in_flight = case().pending(Wait::Working);
    in_flight.tenant_mode = Mode::Observe;
    assert!(matches!(in_flight.decide(), Decision::UpdateStatus(..)), "its answer is waited for");
}

/// A read that fails says why; a missing scope is that of the read.
#[test]
fn an_observation_that_fails_says_why() {
    let object = observed(case());
    let rows = [
        (End::Failed(CallError::InsufficientScope("read:users".into())), "InsufficientScope", "read:users"),
        (End::Failed(unavailable()), "Auth0Unavailable", "retry"),
        (End::Failed(CallError::Denied("403")), "Denied", "403"),
        (End::Failed(CallError::Rejected(Rejection::Paging)), "Auth0Unavailable", "retry"),
        (End::Failed(CallError::Rejected(Rejection::Uri)), "InvalidRequest", "correct ids"),
        (End::NotFound(Missing::Subject), "SubjectNotFound", "user"),
        (End::Failed(CallError::NotFound(Missing::Unclear)), "SubjectNotFound", "404"),
    ];
    for (end, reason, words) in rows {
        let status = object.after(&Report { task: OBSERVE, seen: false, ..object.report(end) });
        assert_eq!(status.reason_text(), Some(reason));
        assert!(status.message().contains(words), "{}", status.message());
        assert_eq!(status.finished, None);
    }
    let scopes = |scopes: &[&str]| Some(scopes.iter().map(|s| (*s).to_owned()).collect());
    let blind = Case { scopes: scopes(&["update:users"]), ..object.clone() };
    assert_eq!(blind.reason().as_deref(), Some("InsufficientScope"));
    let seeing = Case { scopes: scopes(&["read:users"]), ..object };
    assert_eq!(task(&seeing.decide()), OBSERVE, "it needs no scope to remove");
}

/// What Auth0 accepted before the mode changed is proved all the same, and not sent again.
#[test]
fn what_was_accepted_is_proved_in_any_mode() {
    let mut object = case();
    let report = object.accepted(End::Failed(unavailable()));
    object.apply_report(&report);
    object.tenant_mode = Mode::Observe;
    let (_, task, history) = object.submits();
    assert_eq!(task, Task::Prove);
    let gone = Report { end: End::Gone, ..object.still_shown(task, &history) };
    object.apply_report(&gone);
    assert_eq!((object.current_reason(), finished(&object).mode), ("Removed", Mode::Remove));
}

/// The more that either asks for.
#[test]
fn the_object_can_ask_for_more_verification() {
    use Verification::{After, BeforeAndAfter, Never};
    for (tenant, own, before, after) in [
        (Never, None, false, false),
        (Never, Some(After), false, true),
        (After, Some(BeforeAndAfter), true, true),
        (BeforeAndAfter, Some(After), true, true),
    ] {
        let mut object = Case { verification: tenant, ..case() };
        object.options.verification = own;
        assert_eq!(task(&object.decide()), Task::Remove { before, after });
    }
}

/// Exactly at its time, shown as it was written; a moved time counts from the edit on.
#[test]
fn a_scheduled_object_waits_for_its_time() {
    let mut object = case();
    let time = at(NOW + 90_000);
    object.options.not_before = Some(format!("{time}").replace('Z', "+00:00").as_str().into());
    let Decision::Block(blocked) = object.decide() else { panic!("{:?}", object.decide()) };
    assert_eq!((blocked.outcome.reason, blocked.recheck_after), (Reason::Scheduled, Some(Duration::from_secs(90_000))));
    let status = object.shown().unwrap();
    assert!(status.message().contains("+00:00"), "{}", status.message());
    assert_eq!(status.next_attempt(), Some(time));
    object.status = Some(status);
    object.restart();
    object.later(89_999);
    assert_eq!(object.reason().as_deref(), Some("Scheduled"));
    // The clock jumps back, and forward again.
    object.now.wall -= Duration::from_secs(HOUR);
    let Decision::Block(blocked) = object.decide() else { panic!("{:?}", object.decide()) };
    assert_eq!(blocked.recheck_after, Some(Duration::from_secs(HOUR + 1)));
    object.now.wall = time;
    assert_eq!(task(&object.decide()), REMOVE);
    let later = |case: &Case| Case { generation: GENERATION + 1, ..case.clone() };
    let mut moved = later(&object);
    moved.options.not_before = Some("2030-01-01T00:00:00+01:00".into());
    assert_eq!(moved.reason().as_deref(), Some("Scheduled"));
}

/// Nothing is removed after the end, but what Auth0 accepted is proved; an object that has expired never acts again.
#[test]
fn an_object_that_has_expired_never_acts() {
    let until = |case: &Case, end: i64| {
        let mut case = case.clone();
        case.options.not_after = Some(at(end).to_string().as_str().into());
        case
    };
    let mut object = until(&case(), NOW + 10);
    assert_eq!(task(&object.decide()), REMOVE);
    object.later(10);
    assert_eq!(task(&object.decide()), REMOVE, "the end itself is not past it");
    object.later(1);
    object.status = object.shown();
    assert_eq!(object.current_reason(), "Expired");
    let mut unknown = object.clone();
    unknown.options.unknown = vec!["spec.fromTheFuture".into()];
    for mut again in [until(&object, NOW + 1_000_000), Case { request: Some("now"), ..object.clone() }, unknown] {
        again.generation += 1;
        assert_eq!(again.reason().as_deref(), Some("Expired"));
    }
    let queued = until(&case(), NOW - 1).pending(Wait::Queued { calls_before: 1, about: None });
    assert_eq!(Case { created: None, ..queued }.decide(), Decision::TakeReport);

    let mut accepted = until(&case(), NOW + 10);
    let report = accepted.accepted(End::Failed(unavailable()));
    accepted.apply_report(&report);
    accepted.later(60);
    accepted.restart();
    let (_, task, history) = accepted.submits();
    assert_eq!(task, Task::Prove);
    let shown = accepted.still_shown(task, &history);
    accepted.apply_report(&shown);
    while accepted.current_reason() != "StillPresent" {
        let (_, task, history) = accepted.submits();
        assert_eq!(task, Task::Prove, "no DELETE is sent once more");
        let shown = accepted.still_shown(task, &history);
        accepted.apply_report(&shown);
    }

    let replayed = until(&case(), NOW - 100);
    let status = replayed.shown().unwrap();
    assert_eq!(words(&status)[..4], [Some("True".into()), None, None, Some("NotReplayed".into())]);
    let mut replayed = Case { status: Some(status), ..replayed };
    assert_eq!(replayed.decide(), Decision::AwaitChange(None));
    replayed.request = Some("now");
    assert_eq!(replayed.decide(), Decision::Acknowledge);
}

/// Whatever keeps the preflight check from letting a DELETE out, the decision does not ask for one: the job would be
/// handed back again and again.
#[test]
fn no_delete_is_asked_for_that_the_preflight_check_would_refuse() {
    let restraints: [fn(&mut Case); 5] = [
        |case| case.tenant_mode = Mode::Observe,
        |case| case.protected = Some("user auth0|a"),
        |case| case.brake = Some("too many"),
        |case| case.options.not_before = Some("2099-01-01T00:00:00Z".into()),
        |case| case.options.not_after = Some("2020-01-01T00:00:00Z".into()),
    ];
    let failed = |_| (Vec::new(), End::Failed(unavailable()));
    type Ended = fn(usize) -> (Vec<Item>, End);
    let ends: [Ended; 2] = [failed, |items| ((items + 1..=2).map(role).collect(), End::NotFound(Missing::Item))];
    for (restrain, end) in restraints.into_iter().flat_map(|restrain| ends.map(|end| (restrain, end))) {
        for policy in [Policy::Once, Policy::Continuous] {
            for items in [1, 2] {
                let mut object = case();
                object.options.policy = policy;
                let (not_found, end) = end(items);
                let accepted = (1..=items).map(role).collect();
                let partly = Report { accepted, not_found, ..object.accepted(end) };
                object.apply_report(&partly);
                restrain(&mut object);
                object.request = Some("now");
                for _ in 0..20 {
                    if let Decision::Submit { task, history, .. } = object.decide() {
                        assert!(!matches!(task, Task::Remove { .. }), "{policy:?} {items}");
                        object.submitted_for = object.request;
                        let report = Report { task: task.clone(), ..object.still_shown(task, &history) };
                        object.apply_report(&report);
                    }
                    object.later(60);
                }
            }
        }
    }
}

/// A hold ends by itself.
#[test]
fn a_hold_ends_at_its_time() {
    let mut object = case();
    let until = at(NOW + 120).to_string();
    object.options.hold =
        Some(Box::new(crate::api::Hold { until: until.as_str().into(), reason: "handover, asked by IT".into() }));
    let Decision::Block(blocked) = object.decide() else { panic!("{:?}", object.decide()) };
    assert_eq!((blocked.outcome.reason, blocked.recheck_after), (Reason::OnHold, Some(Duration::from_secs(120))));
    assert!(blocked.outcome.message.contains(&until) && blocked.outcome.message.contains("asked by IT"));
    object.status = object.shown();
    object.later(120);
    assert_eq!(task(&object.decide()), REMOVE);
}

/// Every combination of policy, mode of the object, mode of the tenant and time ends in a decision that keeps promise 5.
#[test]
fn every_combination_keeps_promise_5() {
    let times = [None, Some("2020-01-01T00:00:00Z"), Some("2099-01-01T00:00:00Z")];
    for policy in [Policy::Once, Policy::Continuous] {
        for (own, tenant_mode) in
            [Mode::Remove, Mode::Observe].map(|own| [(own, Mode::Remove), (own, Mode::Observe)]).concat()
        {
            for (before, after) in times.iter().flat_map(|before| times.iter().map(move |after| (before, after))) {
                for status in [None, Some(Reason::Removed), Some(Reason::WouldRemove), Some(Reason::StillPresent)] {
                    let mut object =
                        Case { tenant_mode, ..status.map_or_else(case, |status| case().with_reason(status, None)) };
                    object.options.policy = policy;
                    object.options.mode = own;
                    object.options.not_before = before.map(Into::into);
                    object.options.not_after = after.map(Into::into);
                    object.request = Some("now");
                    let may_remove = own == Mode::Remove
                        && tenant_mode == Mode::Remove
                        && before.is_none_or(|before| before < "2030")
                        && after.is_none_or(|after| after > "2030");
                    if let Decision::Submit { task: Task::Remove { .. }, .. } = object.decide() {
                        assert!(may_remove, "{policy:?} {own:?} {tenant_mode:?} {before:?} {after:?} {status:?}");
                    }
                    if let Some(reason) = object.reason().and_then(|reason| Reason::parse(&reason)) {
                        assert!(reason.state() != State::Waiting, "{reason}");
                    }
                }
            }
        }
    }
}

/// The end of the tenant's hold has the object decided upon again, whatever else would.
#[test]
fn the_hold_of_a_tenant_ends_at_its_time() {
    let held = Case { tenant: Connection::OnHold, ..case() };
    assert_eq!(held.with(|inputs| inputs.next_instant()), Some(Duration::from_secs(3600)));
    assert_eq!(case().with(|inputs| inputs.next_instant()), None);
}
