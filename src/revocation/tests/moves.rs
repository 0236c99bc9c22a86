//! Jobs that end, or are taken back, for another domain, connection or generation than the object has now.

use super::*;
use crate::auth0::Missing;
use crate::revocation::unproved::unproved_report;

/// Nothing that is known of one domain is used for another, and an object that was finished at one stays finished.
#[test]
fn another_domain_starts_over() {
    let elsewhere = |mut object: Case| {
        object.tenant = Connection::Ready { domain: "other.auth0.com".parse().unwrap(), token: "first" };
        object.restart();
        object
    };
    let mut object = case();
    let report = object.accepted(End::Failed(unavailable()));
    object.apply_report(&report);
    let mut moved = elsewhere(object);
    let (waited, task, history) = moved.submits();
    assert_eq!((waited, task, history), (0, REMOVE, History::default()), "not even the wait");
    let status = moved.after(&moved.report(End::Gone));
    assert_eq!((status.reason_text(), status.domain.as_deref()), (Some("AlreadyAbsent"), Some("other.auth0.com")));
    assert_eq!((status.last_removal_time, status.correlation_id), (None, None));
    let status = moved.after(&moved.report(End::NotFound(Missing::Subject)));
    assert_eq!(status.reason_text(), Some("SubjectNotFound"), "seen at the other domain only");

    let limited = case().with_reason(Reason::RateLimited, Some(NOW + 60));
    let hold = |object: &Case| match object.decide() {
        Decision::Submit { hold, .. } => hold,
        other => panic!("{other:?}"),
    };
    assert_eq!(hold(&limited), Some(Duration::from_secs(60)));
    assert_eq!(hold(&Case { generation: GENERATION + 1, ..limited.clone() }), Some(Duration::from_secs(60)), "edited");
    assert_eq!(hold(&elsewhere(limited.clone())), None);
    let known = Case { submitted_with: Some(limited.key()), ..limited.clone() };
    assert_eq!(hold(&known), None, "the dispatcher knows the wait by now");
    assert_eq!(
        hold(&case().with_reason(Reason::RateLimited, Some(NOW + 7200))),
        Some(Duration::from_secs(661)),
        "clamped"
    );
    assert_eq!(hold(&case().with_reason(Reason::RateLimited, Some(NOW - 1))), None);
    assert_eq!(hold(&case().with_reason(Reason::Queued, Some(NOW + 60))), None);

    let finished = Case { status: Some(case().after(&case().accepted(End::Gone))), ..case() };
    assert_eq!(elsewhere(finished).decide(), Decision::AwaitChange(None));
}

/// What this process knows item by item belongs to the domain as well, also after the status speaks of no domain any
/// more.
#[test]
fn the_items_of_another_domain_are_forgotten() {
    let mut object = case();
    let report = object.accepted(End::Failed(unavailable()));
    object.apply_report(&report);
    object.tenant = Connection::Ready { domain: "other.auth0.com".parse().unwrap(), token: "first" };
    object.status = Case { items: Items::default(), ..object.clone() }.pending(Wait::Working).shown();
    assert_eq!(object.status.as_ref().unwrap().domain, None);
    let (_, task, history) = object.submits();
    assert_eq!((task, history), (REMOVE, History::default()));
}

/// A verdict from a domain that the tenant does not have any more is dropped, and the next job goes to the new one.
#[test]
fn a_verdict_counts_for_its_domain_and_generation() {
    let report = case().accepted(End::Gone);
    let mut moved = case().pending(Wait::Working);
    moved.tenant = Connection::Ready { domain: "other.auth0.com".parse().unwrap(), token: "first" };
    assert_eq!(moved.decide(), Decision::TakeReport);
    assert_eq!(moved.apply_report(&report).outcome, None);
    assert_eq!(task(&moved.decide()), REMOVE);

    let mut edited = Case { generation: GENERATION + 1, ..case() };
    let applied = edited.with(|inputs| apply_report(inputs, GENERATION, &report));
    assert_eq!((applied.outcome, applied.pause), (None, None));
    edited.status = Some(applied.status);
    assert_eq!(task(&edited.decide()), Task::Prove);
}

/// A job that was taken back before it made a call reports only its history, which belongs to its own domain.
#[test]
fn a_job_without_a_call_says_nothing_of_another_domain() {
    let mut object = case();
    let report = object.accepted(End::Failed(unavailable()));
    object.apply_report(&report);
    let mut waits = object.pending(Wait::AwaitingProof);
    waits.tenant = Connection::Ready { domain: "other.auth0.com".parse().unwrap(), token: "first" };
    assert_eq!(waits.decide(), Decision::TakeReport);
    let history_alone = Report { connection: None, domain: None, ..report };
    let taken_back = Report { end: End::HandedBack(Refusal::Withdrawn), ..history_alone };
    assert_eq!(waits.apply_report(&taken_back).status.domain.as_deref(), Some("acme.auth0.com"));
    let (_, task, history) = waits.submits();
    assert_eq!((task, history), (REMOVE, History::default()));
}

/// A job that waits with a connection or for a generation that changed is taken back.
#[test]
fn an_outdated_job_is_taken_back() {
    let waits = case().pending(Wait::Queued { calls_before: 3, about: None });
    let Decision::UpdateStatus(..) = waits.decide() else { panic!("{:?}", waits.decide()) };
    let domain = waits.domain().unwrap();
    let rotated = Case { tenant: Connection::Ready { domain, token: "second" }, ..waits.clone() };
    assert_eq!(rotated.decide(), Decision::TakeReport);
    assert_eq!(Case { generation: GENERATION + 1, ..waits }.decide(), Decision::TakeReport);
}

/// A job that is handed back is submitted again: at once with another connection, else after a pause. After several
/// times in a row the status says so.
#[test]
fn nothing_is_handed_back_silently() {
    for (refusal, waits) in [
        (Refusal::Unconfirmed, true),
        (Refusal::TenantNotReady, true),
        (Refusal::Changed, true),
        (Refusal::Gone, true),
        (Refusal::NotLeading, true),
        (Refusal::OtherConnection, false),
        (Refusal::Withdrawn, false),
    ] {
        let applied = case().apply_report(&case().report(End::HandedBack(refusal)));
        assert_eq!((applied.outcome, applied.pause.is_some()), (None, waits), "{refusal:?}");
    }
    let mut object = case();
    for times in 1..4 {
        let report = object.report(End::HandedBack(Refusal::OtherConnection));
        let applied = object.apply_report(&report);
        assert_eq!(
            (applied.handed_back, applied.pause.is_some()),
            (Some((Refusal::OtherConnection, times)), times > 1)
        );
    }
    object.handed_back = None;
    object.not_before = Some(object.now.steady + Duration::from_secs(2));
    assert_eq!(object.decide(), Decision::AwaitChange(Some(Duration::from_secs(2))));
    object.handed_back = Some((Refusal::Unconfirmed, 3));
    let status = object.shown().unwrap();
    let ready = status.condition(ConditionType::Ready).unwrap();
    assert!(ready.reason == "Queued" && ready.message.contains("did not confirm"), "{ready:?}");
    object.later(2);
    assert_eq!(task(&object.decide()), REMOVE);
}

/// What one domain does not know, or still shows, says nothing of another. Nobody has to ask for the attempt there.
#[test]
fn a_verdict_of_another_domain_stops_nothing() {
    for reason in [Reason::SubjectNotFound, Reason::ItemNotFound, Reason::InvalidRequest, Reason::StillPresent] {
        let stalled = case().with_reason(reason, None);
        assert_eq!(stalled.decide(), Decision::AwaitChange(None), "{reason}");
        let other = "other.auth0.com".parse().unwrap();
        let mut moved = Case { tenant: Connection::Ready { domain: other, token: "first" }, ..stalled };
        assert_eq!(moved.submits(), (0, REMOVE, History::default()), "{reason}");
        moved.brake = Some("too many");
        assert_eq!(moved.reason().as_deref(), Some("BrakeEngaged"), "{reason}");
    }
}

/// An object may be deleted between a DELETE and its proof although its status is a verdict: that on another target, or
/// on what was observed before an edit. A look at what is finished is no DELETE.
#[test]
fn a_verdict_does_not_hide_what_was_removed_after_it() {
    let finished = Case { status: Some(case().after(&case().accepted(End::Gone))), ..case() };
    let is_told = |report: Report| {
        let Case { status, items, removal, .. } = &finished;
        unproved_report(status.as_ref(), items, removal, Some(report), at(NOW)).is_some()
    };
    let in_flight = || case().accepted(End::HandedBack(Refusal::Withdrawn));
    assert!(is_told(in_flight()));
    assert!(!is_told(Report { accepted: Vec::new(), accepted_at: None, first_accepted_at: None, ..in_flight() }));
    assert!(!is_told(Report { task: Task::Prove, ..in_flight() }));
    assert!(!is_told(Report { task: Task::Observe, ..in_flight() }));
    assert!(!is_told(case().accepted(End::Gone)), "it is proved");
}
