//! Which reason wins when several apply, and what each of them lets happen.

use super::*;
use crate::api::{Mode, Policy, State, TenantKind};

type Change = (&'static str, fn(&mut Case));

/// From the first that wins to the last; each is something that speaks against sending.
const ORDER: [Change; 6] = [
    ("UnknownField", |case| case.options.mode = Mode::Observe),
    ("Suspended", |case| case.options.suspend = true),
    ("TenantNotReady", |case| case.tenant = Connection::Missing),
    ("Suspended", |case| case.tenant = Connection::Suspended),
    ("TenantNotReady", |case| case.tenant = Connection::NotReady(Reason::SecretNotFound)),
    ("InvalidRequest", |case| case.removal.items.clear()),
];

#[test]
fn the_first_that_applies_wins() {
    for (first, (reason, change)) in ORDER.iter().enumerate() {
        for (_, later) in &ORDER[first + 1..] {
            let mut both = case();
            later(&mut both);
            change(&mut both);
            assert_eq!(both.reason().as_deref(), Some(*reason));
        }
        let mut refused = Case { refusal: Some(no_scope()), ..case() };
        change(&mut refused);
        assert_eq!(refused.reason().as_deref(), Some(*reason), "before what Auth0 refused to others");
    }
    let refused = Case { refusal: Some(no_scope()), ..case() };
    assert_eq!(refused.reason().as_deref(), Some("InsufficientScope"));
    assert_eq!(task(&case().decide()), REMOVE);
}

fn no_scope() -> Refused {
    Refused {
        reason: Reason::InsufficientScope,
        message: "403".into(),
        until: Instant::now() + Duration::from_secs(300),
    }
}

/// Promise 5, its pure half: whatever is going on, nothing is submitted, and a job that waits is taken back first.
#[test]
fn what_is_blocked_is_never_submitted() {
    for (reason, change) in ORDER {
        let mut waits = case().pending(Wait::Queued { calls_before: 1, about: None });
        change(&mut waits);
        assert_eq!(waits.decide(), Decision::TakeReport, "{reason}");
        for status in [None, Some(Reason::Auth0Unavailable), Some(Reason::StillPresent), Some(Reason::RateLimited)] {
            let mut object = status.map_or_else(case, |status| case().says(status, None));
            object.asked = Some("now");
            change(&mut object);
            assert!(matches!(object.decide(), Decision::Block(_)), "{reason} after {status:?}");
        }
    }
}

/// Promise 12: what an older CRD serves of a finished object is not all that is stored, so nothing is written over it,
/// whatever was edited or asked for meanwhile.
#[test]
fn a_finished_object_that_an_older_crd_serves_is_left_alone() {
    let options: RemovalOptions = serde_json::from_value(
        serde_json::json!({"unknown": ["spec.mode (missing: the CRD is older than this version)"]}),
    )
    .unwrap();
    let mut object = Case { options, ..case() };
    assert_eq!(object.reason().as_deref(), Some("UnknownField"), "as long as it is not finished");
    object = object.says(Reason::Removed, None);
    for generation in [GENERATION, GENERATION + 1] {
        for asked in [None, Some("now")] {
            let object = Case { generation, asked, ..object.clone() };
            assert_eq!(object.decide(), Decision::AwaitChange(None), "{generation} {asked:?}");
        }
    }
}

/// Promise 13: nothing is done for what this version does not act on, and the message names it.
#[test]
fn what_is_not_acted_on_is_held() {
    let changes: [Change; 8] = [
        ("spec.fromTheFuture", |case| case.options.unknown = vec!["spec.fromTheFuture".into()]),
        ("spec.mode", |case| case.options.mode = Mode::Observe),
        ("spec.policy", |case| case.options.policy = Policy::Continuous),
        ("spec.interval", |case| case.options.interval = Some("1h".into())),
        ("spec.verification", |case| case.options.verification = Some(Verification::BeforeAndAfter)),
        ("spec.notBefore", |case| case.options.not_before = Some("2030-01-01T00:00:00Z".into())),
        ("spec.notAfter", |case| case.options.not_after = Some("2030-01-01T00:00:00Z".into())),
        ("spec.tenantRef.kind", |case| case.options.tenant_ref.kind = TenantKind::ClusterAuth0Tenant),
    ];
    for (field, change) in changes {
        let mut object = case();
        change(&mut object);
        let status = object.shown().unwrap();
        let ready = status.condition(ConditionType::Ready).unwrap();
        assert!(ready.reason == "UnknownField" && ready.message.contains(field), "{field}: {ready:?}");
        let mut finished = Case { status: Some(case().after(&case().accepted(End::Gone))), ..case() };
        change(&mut finished);
        let is_another = field == "spec.tenantRef.kind";
        assert_eq!(finished.decide() == Decision::AwaitChange(None), !is_another, "{field}: finished stays finished");
    }
}

/// The object that found out says so, the others wait for another credential; both stay what they are when its time
/// comes and one of them tries.
#[test]
fn a_refused_credential_is_told_once() {
    let until = Instant::now() + Duration::from_secs(300);
    let by_another = Refused { reason: Reason::Unauthorized, message: "401".into(), until };
    for (tenant, refusal) in [(Connection::NotReady(Reason::Unauthorized), None), (case().tenant, Some(by_another))] {
        let around = |case: Case| Case { tenant: tenant.clone(), refusal: refusal.clone(), ..case };
        let first = around(case().says(Reason::Unauthorized, Some(NOW + 300)));
        assert_eq!(first.reason().as_deref(), Some("Unauthorized"));
        assert_eq!(around(case()).reason().as_deref(), Some("TenantNotReady"));
        let told = around(case()).shown().unwrap();
        let again = around(Case { status: Some(told.clone()), ..case() }).shown().unwrap();
        assert_eq!(again.reason_text(), told.reason_text());
    }
}

/// What ends a refusal: another credential and a request at once, else its time.
#[test]
fn what_was_refused_waits_for_its_time() {
    for reason in [Reason::Unauthorized, Reason::InsufficientScope, Reason::Denied] {
        let refused = case().says(reason, Some(NOW + 300));
        let own = Case { refused_with: Some(refused.key()), ..refused.clone() };
        let Decision::Block(blocked) = own.decide() else { panic!("{reason}: {:?}", own.decide()) };
        assert_eq!(blocked.again, Some(Duration::from_secs(300)), "{reason}");
        assert_eq!(own.shown(), own.status, "{reason}: nothing to write");
        let domain = own.domain().unwrap();
        let rotated = Case { tenant: Connection::Ready { domain, token: "second" }, ..own.clone() };
        assert_eq!(task(&rotated.decide()), REMOVE, "{reason}");
        assert_eq!(task(&Case { asked: Some("now"), ..own.clone() }.decide()), REMOVE, "{reason}");
        assert_eq!(task(&refused.decide()), REMOVE, "{reason}: nobody knows of it after a restart");
        let mut later = own;
        later.later(301);
        assert_eq!(task(&later.decide()), REMOVE, "{reason}");
    }
    let denied = Refused { reason: Reason::Denied, ..no_scope() };
    let waits = Case { refusal: Some(denied), ..case().says(Reason::Denied, None) };
    assert!(matches!(waits.decide(), Decision::Block(_)), "another one tries");
}

/// Promise 12, and what may be written: the generation that was seen, the request that was answered, nothing else.
#[test]
fn a_finished_object_rests_whatever_else_is_true() {
    for reason in Reason::ALL.iter().filter(|reason| reason.state() == State::Done) {
        let mut finished = case().says(*reason, None);
        assert_eq!(finished.decide(), Decision::AwaitChange(None), "{reason}");
        for (_, change) in ORDER {
            let mut blocked = finished.clone();
            change(&mut blocked);
            assert_eq!(blocked.decide(), Decision::AwaitChange(None), "{reason}");
        }
        if *reason != Reason::RemovedUnverified {
            finished.asked = Some("now");
            assert_eq!(finished.decide(), Decision::Acknowledge(None), "{reason}");
        }
    }
    let before = case().after(&case().accepted(End::Gone));
    let edited = Case { status: Some(before.clone()), generation: GENERATION + 1, asked: Some("now"), ..case() };
    let after = edited.shown().unwrap();
    let mut expected = before;
    expected.observed_generation = Some(GENERATION + 1);
    expected.conditions.iter_mut().for_each(|condition| condition.observed_generation = Some(GENERATION + 1));
    expected.last_handled_reconcile_at = Some("now".into());
    assert_eq!(after, expected);
    assert_eq!(Case { status: Some(after), asked: None, ..edited }.decide(), Decision::AwaitChange(None));
}

/// Suspended and resumed, in another order, with another `ifNotFound`: it stays finished. With another tenant it begins
/// anew, and nothing of what was done at the first counts there.
#[test]
fn another_tenant_begins_anew() {
    let finished = |change: fn(&mut Case)| {
        let mut edited = Case { status: Some(case().after(&case().accepted(End::Gone))), ..case() };
        edited.generation += 1;
        change(&mut edited);
        edited
    };
    let harmless: [fn(&mut Case); 4] = [
        |case| case.options.suspend = true,
        |case| case.options.suspend = false,
        |case| case.removal.items.reverse(),
        |case| case.options.if_not_found = crate::api::IfNotFound::Ignore,
    ];
    for change in harmless {
        assert_eq!(finished(change).decide(), Decision::Acknowledge(None));
    }
    let moved = finished(|case| case.options.tenant_ref.name = "other".into());
    let Decision::Submit { task, history, hold } = moved.decide() else { panic!("{:?}", moved.decide()) };
    assert_eq!((task, history, hold), (REMOVE, History::default(), None));
    let gone = moved.after(&moved.report(End::Gone));
    assert_eq!((gone.reason_text(), &gone.last_removal_time), (Some("AlreadyAbsent"), &None));
    assert_eq!(gone.correlation_id, None);
}
