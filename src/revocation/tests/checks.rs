//! Objects of policy Continuous: looked at again and again.

use super::observations::{HOUR, OBSERVE, observation, observed, removed};
use super::*;
use crate::api::Policy;
use crate::auth0::Missing;

pub(super) fn continuous(mut case: Case) -> Case {
    case.options.policy = Policy::Continuous;
    case.check_at = Some(case.now.steady + Duration::from_secs(HOUR));
    case
}

/// Looked at after one interval, and nothing is written while nothing changed.
#[test]
fn a_check_that_finds_nothing_new_writes_nothing() {
    let mut object = continuous(removed(case()));
    assert_eq!(object.decide(), Decision::AwaitChange(Some(Duration::from_secs(HOUR))));
    object.later(HOUR);
    let Decision::Submit { task, history, .. } = object.decide() else { panic!("{:?}", object.decide()) };
    assert_eq!((task, history.accepted.len()), (OBSERVE, 0));
    let before = object.status.clone();
    let applied = object.apply_report(&observation(&object, &[]));
    assert_eq!((Some(applied.status), applied.outcome, applied.is_checked), (before, None, true));
    object.check_at = object.check_at.map(|at| at + Duration::from_secs(HOUR));
    assert_eq!(object.decide(), Decision::AwaitChange(Some(Duration::from_secs(HOUR))));
    object.request = Some("now");
    assert_eq!(super::task(&object.decide()), OBSERVE);
    object.submitted_for = object.request;
    object.apply_report(&observation(&object, &[]));
    assert_eq!(object.request, None);
    let once = Case { options: RemovalOptions { policy: Policy::Once, ..object.options.clone() }, ..object };
    assert_eq!(once.decide(), Decision::AwaitChange(None));
}

/// An edit is acknowledged at once, and does not answer a request that asks for a check.
#[test]
fn an_edit_does_not_answer_a_request() {
    let mut object = continuous(removed(case()));
    (object.generation, object.request) = (GENERATION + 1, Some("now"));
    assert_eq!(object.decide(), Decision::Acknowledge);
    let status = object.shown().unwrap();
    assert_eq!((status.observed_generation, &status.last_handled_reconcile_at), (Some(GENERATION + 1), &None));
    object.status = Some(status);
    assert_eq!(task(&object.decide()), OBSERVE);
}

/// At another domain it is looked for, removed, and said to be there, but nothing came back that was never removed.
#[test]
fn another_domain_is_another_history() {
    let mut object = continuous(removed(case()));
    object.tenant = Connection::Ready { domain: "other.auth0.com".parse().unwrap(), token: "first" };
    object.later(HOUR);
    let gone = object.after(&observation(&object, &[]));
    assert_eq!((gone.reason_text(), gone.domain.as_deref()), (Some("AlreadyAbsent"), Some("other.auth0.com")));
    object.apply_report(&observation(&object, &[1]));
    assert_eq!(task(&object.decide()), REMOVE);
    assert_eq!(object.status.as_ref().unwrap().drift, None);
}

/// What came back is removed again, counted, and shown for a day.
#[test]
fn what_came_back_is_removed_again() {
    let mut object = continuous(removed(case()));
    for n in 1..=5 {
        object.later(HOUR);
        object.check_at = Some(object.now.steady);
        assert_eq!(task(&object.decide()), OBSERVE);
        object.apply_report(&observation(&object, &[2]));
        let Decision::Submit { task, history, .. } = object.decide() else { panic!("{:?}", object.decide()) };
        assert_eq!((task, history.absent, history.accepted), (REMOVE, vec![role(1)], vec![]));
        let report = Report { accepted: vec![role(2)], already_absent: vec![role(1)], ..object.accepted(End::Gone) };
        object.apply_report(&report);
        let status = object.status.clone().unwrap();
        let drifted = status.condition(ConditionType::Drifted).unwrap();
        assert_eq!((status.reason_text(), drifted.status.as_str()), (Some("Removed"), "True"));
        assert_eq!(drifted.reason, if n > 3 { "KeepsComingBack" } else { "CameBack" });
        assert_eq!(status.drift.unwrap().count, n);
        let result = status.result.unwrap();
        assert_eq!((result.accepted, result.already_absent), (1, 1));
    }
    object.later(25 * HOUR);
    object.check_at = Some(object.now.steady);
    object.apply_report(&observation(&object, &[]));
    assert!(object.status.as_ref().unwrap().condition(ConditionType::Drifted).is_none());
    assert_eq!(object.current_reason(), "Removed");
}

/// A check that cannot be made leaves the verdict for one interval. What a person has to mend is shown at once.
#[test]
fn a_check_that_cannot_be_made_is_shown_in_time() {
    let mut object = continuous(removed(case()));
    object.later(HOUR);
    let failed = |object: &Case, error| Report { task: OBSERVE, ..object.report(End::Failed(error)) };
    let applied = object.apply_report(&failed(&object, unavailable()));
    assert_eq!((object.current_reason(), applied.outcome), ("Removed", None));
    assert!(applied.pause.is_some_and(|pause| pause >= Duration::from_secs(1)) && !applied.is_checked);
    let away = Case { tenant: Connection::NotReady(Reason::SecretNotFound), ..object.clone() };
    assert!(matches!(away.decide(), Decision::AwaitChange(Some(_))));
    let mut late = away.clone();
    late.later(HOUR + 1);
    assert_eq!(late.reason().as_deref(), Some("TenantNotReady"));
    let suspended = Case { options: RemovalOptions { suspend: true, ..object.options.clone() }, ..late.clone() };
    assert!(matches!(suspended.decide(), Decision::AwaitChange(_)), "{:?}", suspended.decide());
    late.status = late.shown();
    late.tenant = object.tenant.clone();
    assert_eq!(task(&late.decide()), OBSERVE, "it looks before it removes");
    late.apply_report(&observation(&late, &[]));
    assert_eq!(late.current_reason(), "Removed");

    let refused = object.after(&failed(&object, CallError::InsufficientScope("read:users".into())));
    assert_eq!(refused.reason_text(), Some("InsufficientScope"));
    let lost = object.after(&Report { task: OBSERVE, ..object.report(End::NotFound(Missing::Subject)) });
    assert_eq!(lost.reason_text(), Some("SubjectGone"));
    object.later(HOUR + 1);
    object.apply_report(&failed(&object, unavailable()));
    assert_eq!(object.current_reason(), "Auth0Unavailable");
    let (_, task, _) = object.submits();
    assert_eq!(task, OBSERVE);
}

/// Members may be read by the list of the organization or user by user, and only the list shows that the organization is
/// gone. Either way an object that knows it says the same, and one that has never seen the organization says that.
#[test]
fn an_organization_that_is_gone_is_the_same_however_it_is_read() {
    let endpoint = Endpoint::OrganizationMembers { organization: "org_9ybsU1dN2dKfDkBi".into() };
    let members = vec![Item::Id("auth0|a".into())];
    let of_members = || Case { removal: Removal { endpoint: endpoint.clone(), items: members.clone() }, ..case() };
    let subject = |object: &Case| Report { task: OBSERVE, ..object.report(End::NotFound(Missing::Subject)) };
    let known_gone = |object: &Case| match object.decide() {
        Decision::Submit { task: OBSERVE, history, .. } => history.known_gone,
        other => panic!("{other:?}"),
    };
    let mut seen = continuous(removed(of_members()));
    seen.later(HOUR);
    assert!(known_gone(&seen));
    for report in [subject(&seen), observation(&seen, &[])] {
        assert_eq!(seen.after(&report), seen.status.clone().unwrap());
    }
    let mut unseen = continuous(of_members().with_reason(Reason::AlreadyAbsent, None));
    unseen.later(HOUR);
    assert!(!known_gone(&unseen));
    assert_eq!(unseen.after(&subject(&unseen)).reason_text(), Some("SubjectNotFound"));
    let mut present = observed(continuous(of_members()));
    let left = End::Remaining(members.clone());
    present.apply_report(&Report { task: OBSERVE, seen: true, ..present.report(left) });
    assert_eq!(present.current_reason(), "WouldRemove");
    present.later(HOUR);
    assert!(!known_gone(&present), "what is not said yet is found out");
    assert_eq!(present.after(&subject(&present)).reason_text(), Some("SubjectGone"));
}

/// A membership may have ended since Auth0 accepted something there, so a 404 of which no more is known is about no role.
#[test]
fn a_404_about_a_membership_is_about_no_role() {
    let unclear = |object: &Case| object.report(End::Failed(CallError::NotFound(Missing::Unclear)));
    let (organization, user) = ("org_9ybsU1dN2dKfDkBi".into(), "auth0|a".into());
    let endpoint = Endpoint::OrganizationMemberRoles { organization, user };
    let of_member = continuous(removed(Case { removal: Removal { endpoint, items: vec![role(1)] }, ..case() }));
    let status = of_member.after(&Report { task: OBSERVE, ..unclear(&of_member) });
    assert_eq!(status.reason_text(), Some("SubjectNotFound"));
    let left = Report { not_found: vec![role(1)], ..of_member.report(End::NotFound(Missing::Unclear)) };
    let left = Report { accepted_at: Some(of_member.now.wall), ..left };
    assert_eq!(of_member.clone().apply_report(&left).items.unknown.len(), 0);
    let of_user = removed(case());
    assert_eq!(
        of_user.clone().with_reason(Reason::Queued, None).after(&unclear(&of_user)).reason_text(),
        Some("SubjectNotFound")
    );
}

/// A check that waits in the queue for longer than an interval is shown, too. What was proved before is not unproved by
/// it.
#[test]
fn a_check_that_waits_too_long_is_shown() {
    let mut object = continuous(removed(case()));
    object.later(HOUR);
    let waits = |object: &Case| {
        let mut pending = object.clone().pending(Wait::Queued { calls_before: 7, about: None });
        if let View::Pending { so_far, .. } = &mut pending.view {
            so_far.task = OBSERVE;
        }
        pending
    };
    assert!(matches!(waits(&object).decide(), Decision::AwaitChange(Some(_))));
    object.later(HOUR + 1);
    let shown = waits(&object).shown().unwrap();
    assert_eq!(words(&shown)[3..], [Some("Queued".into()), None]);
    assert_eq!(
        (shown.verified_time, shown.finished.is_some()),
        (object.status.as_ref().unwrap().verified_time.clone(), true)
    );
}

/// `Drifted` does not stay for ever on an object that is not looked at any more.
#[test]
fn drifted_ends_with_the_checks() {
    let mut object = continuous(removed(case()));
    object.apply_report(&observation(&object, &[2]));
    let report = Report { accepted: vec![role(2)], already_absent: vec![role(1)], ..object.accepted(End::Gone) };
    object.apply_report(&report);
    assert!(object.status.as_ref().unwrap().condition(ConditionType::Drifted).is_some());
    let mut once = Case { generation: GENERATION + 1, ..object.clone() };
    once.options.policy = Policy::Once;
    let status = once.shown().unwrap();
    assert!(status.condition(ConditionType::Drifted).is_none() && status.drift.is_none());
    object.options.not_after = Some(at(NOW + 10).to_string().as_str().into());
    object.later(HOUR);
    assert_eq!(object.decide(), Decision::AwaitChange(Some(Duration::from_secs(23 * HOUR))));
    object.later(23 * HOUR);
    let status = object.shown().unwrap();
    assert_eq!(status.condition(ConditionType::Drifted), None);
    assert_eq!(Case { status: Some(status), ..object }.decide(), Decision::AwaitChange(None));
}

/// After its end, an object of policy Continuous is finished for good; on hold or suspended, its verdict stands.
#[test]
fn a_continuous_object_ends() {
    let mut object = continuous(removed(case()));
    object.options.not_after = Some(at(NOW + 10).to_string().as_str().into());
    object.later(2 * HOUR);
    assert_eq!(object.decide(), Decision::AwaitChange(None));
    object.request = Some("now");
    assert_eq!(object.decide(), Decision::Acknowledge);
}

/// Observed continuously, it writes only what is new.
#[test]
fn a_continuous_observation_writes_only_news() {
    let mut object = continuous(observed(case()));
    object.apply_report(&observation(&object, &[1]));
    let first = object.status.clone();
    object.later(HOUR);
    assert_eq!(task(&object.decide()), OBSERVE);
    object.apply_report(&observation(&object, &[1]));
    assert_eq!(object.status, first);
    object.apply_report(&observation(&object, &[1, 2]));
    assert_eq!(object.status.as_ref().unwrap().result.as_ref().unwrap().remaining, 2);
    assert!(object.status.as_ref().unwrap().drift.is_none(), "nothing was removed, so nothing came back");
}

/// A removal that stays without effect is repeated in every interval, as the policy says.
#[test]
fn a_continuous_object_goes_on_after_still_present() {
    let mut object = continuous(case());
    while object.current_reason() != "StillPresent" {
        let (_, task, history) = object.submits();
        let report = object.still_shown(task, &history);
        object.apply_report(&report);
    }
    let (waited, task, history) = object.submits();
    assert_eq!((task, history.accepted.len()), (REMOVE, 0));
    assert!((HOUR..=HOUR * 11 / 10 + 1).contains(&waited), "{waited}");
    // The job ends before its read: what was accepted is proved, and not sent again.
    let handed_back = object.accepted(End::HandedBack(Refusal::Unconfirmed));
    object.apply_report(&handed_back);
    let (_, task, history) = object.submits();
    assert_eq!((task, history.accepted.len()), (Task::Prove, 2));
    let late = object.still_shown(Task::Prove, &history);
    assert_eq!(object.after(&late).reason_text(), Some("AwaitingConsistency"));
}

/// Another version's verdict has no target. It is looked at again like any other.
#[test]
fn the_verdict_of_another_version_is_checked() {
    let mut object = continuous(case().with_reason(Reason::AlreadyAbsent, None));
    assert_eq!(object.decide(), Decision::AwaitChange(Some(Duration::from_secs(HOUR))));
    object.later(HOUR);
    assert_eq!(task(&object.decide()), OBSERVE);
    object.apply_report(&observation(&object, &[1]));
    assert_eq!(task(&object.decide()), REMOVE);
    let mut edited = continuous(case().with_reason(Reason::AlreadyAbsent, None));
    edited.generation += 1;
    assert_eq!(task(&edited.decide()), REMOVE, "it begins again");
}

/// What its tenant has had observed is looked at again once the tenant's hold has ended, and removed if the tenant has it
/// observed no more. No change of the tenant object tells of that end.
#[test]
fn the_end_of_a_tenants_hold_brings_the_next_step() {
    for policy in [Policy::Once, Policy::Continuous] {
        let mut object = Case { tenant_mode: Mode::Observe, ..case() };
        object.options.policy = policy;
        object.apply_report(&observation(&object, &[1]));
        assert_eq!(object.current_reason(), "WouldRemove");
        object.check_at = Some(object.now.steady);
        let ready = std::mem::replace(&mut object.tenant, Connection::OnHold);
        assert!(matches!(object.decide(), Decision::AwaitChange(_)), "{:?}", object.decide());
        assert_eq!(object.with(|inputs| inputs.next_step()), Some(Duration::from_secs(HOUR)), "{policy:?}");
        object.generation += 1;
        object.status = object.shown();
        assert_eq!(object.with(|inputs| inputs.next_step()), Some(Duration::from_secs(HOUR)), "{policy:?}, edited");
        object.later(HOUR);
        object.tenant = ready;
        if policy == Policy::Continuous {
            assert_eq!(task(&object.decide()), OBSERVE);
        } else {
            assert_eq!(
                (object.decide(), object.with(|inputs| inputs.next_step())),
                (Decision::AwaitChange(None), None)
            );
        }
        object.tenant_mode = Mode::Remove;
        assert_eq!(task(&object.decide()), REMOVE, "{policy:?}");
    }
}

/// What was absent without any removal has not come back when it is there.
#[test]
fn what_was_never_removed_does_not_come_back() {
    let mut object = continuous(case());
    object.apply_report(&object.report(End::Gone));
    assert_eq!(object.current_reason(), "AlreadyAbsent");
    object.later(HOUR);
    object.apply_report(&observation(&object, &[1]));
    assert_eq!(object.status.as_ref().unwrap().drift, None);
    object.apply_report(&object.accepted(End::Gone));
    assert_eq!(object.current_reason(), "Removed");
    object.apply_report(&observation(&object, &[1]));
    assert_eq!(object.status.unwrap().drift.unwrap().count, 1);
}

/// What came back at one tenant says nothing of another, nor of another domain.
#[test]
fn returns_belong_to_their_tenant_and_domain() {
    let mut object = continuous(removed(case()));
    object.apply_report(&observation(&object, &[1]));
    object.apply_report(&object.accepted(End::Gone));
    assert_eq!(object.status.as_ref().unwrap().drift.as_ref().unwrap().count, 1);
    object.check_at = Some(object.now.steady);
    let mut of_other = Case { generation: GENERATION + 1, ..object.clone() };
    of_other.options.tenant_ref.name = "other".into();
    let mut at_other = object;
    at_other.tenant = Connection::Ready { domain: "other.auth0.com".parse().unwrap(), token: "first" };
    let waits = Case { tenant: Connection::Missing, ..of_other.clone() }.shown().unwrap();
    let there = at_other.after(&observation(&at_other, &[1]));
    let none = [
        waits,
        of_other.after(&of_other.accepted(End::Gone)),
        of_other.after(&of_other.accepted(End::HandedBack(Refusal::Unconfirmed))),
        at_other.after(&observation(&at_other, &[])),
        there.clone(),
        Case { status: Some(there), ..at_other.clone() }.after(&at_other.accepted(End::Gone)),
    ];
    for (row, status) in none.iter().enumerate() {
        assert_eq!((&status.drift, status.condition(ConditionType::Drifted)), (&None, None), "{row}");
    }
}
