//! Which reason wins when several apply, and what each of them keeps from happening.

use super::*;
use crate::api::{Hold, State, TenantKind};

type Change = (&'static str, fn(&mut Case));

/// Everything that keeps a call from being sent, from the first that wins to the last.
const ORDER: [Change; 14] = [
    ("UnknownField", |case| case.options.unknown = vec!["spec.fromTheFuture".into()]),
    ("NotReplayed", |case| {
        case.created = Some(at(NOW - 60));
        case.options.not_after = Some("2026-01-01T00:00:00Z".into());
    }),
    ("Expired", |case| {
        case.created = None;
        case.options.not_after = Some("2026-01-01T00:00:00Z".into());
    }),
    ("Suspended", |case| case.options.suspend = true),
    ("OnHold", |case| case.options.hold = Some(Box::new(hold()))),
    ("TenantNotReady", |case| case.tenant = Connection::Missing),
    ("NamespaceNotAllowed", |case| case.tenant = Connection::NotAllowed),
    ("Suspended", |case| case.tenant = Connection::Suspended),
    ("OnHold", |case| case.tenant = Connection::OnHold),
    ("TenantNotReady", |case| case.tenant = Connection::NotReady(Reason::SecretNotFound)),
    ("InvalidRequest", |case| case.removal.items.clear()),
    ("Protected", |case| case.protected = Some("user auth0|a")),
    ("Scheduled", |case| case.options.not_before = Some("2030-01-01T00:00:00Z".into())),
    ("BrakeEngaged", |case| case.brake = Some("too many")),
];

fn hold() -> Hold {
    Hold { until: "2030-01-01T00:00:00Z".into(), reason: "handover".into() }
}

/// Each kind of tenant is called by its name.
#[test]
fn a_message_names_the_kind_of_the_tenant() {
    let place = "in this namespace";
    for (kind, name) in
        [(TenantKind::Auth0Tenant, "Auth0Tenant"), (TenantKind::ClusterAuth0Tenant, "ClusterAuth0Tenant")]
    {
        for tenant in [Connection::Missing, Connection::Suspended, Connection::NotReady(Reason::SecretNotFound)] {
            let mut object = Case { tenant: tenant.clone(), ..case() };
            object.options.tenant_ref.kind = kind;
            let message = object.shown().unwrap().message().to_owned();
            assert!(message.contains(&format!("{name} default")), "{message}");
            let is_local = matches!((&tenant, kind), (Connection::Missing, TenantKind::Auth0Tenant));
            assert_eq!(message.contains(place), is_local, "{message}");
        }
    }
}

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
        let wins = if *reason == "BrakeEngaged" { "InsufficientScope" } else { reason };
        assert_eq!(refused.reason().as_deref(), Some(wins), "with what Auth0 refused to others");
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

/// Promise 5, its pure half: a blocked object submits nothing, and a job that still waits is taken back.
#[test]
fn what_is_blocked_is_never_submitted() {
    for (reason, change) in ORDER {
        let mut waits = case().pending(Wait::Queued { calls_before: 1, about: None });
        change(&mut waits);
        assert_eq!(waits.decide(), Decision::TakeReport, "{reason}");
        for status in [None, Some(Reason::Auth0Unavailable), Some(Reason::StillPresent), Some(Reason::RateLimited)] {
            let mut object = status.map_or_else(case, |status| case().with_reason(status, None));
            object.request = Some("now");
            change(&mut object);
            assert!(matches!(object.decide(), Decision::Block(_)), "{reason} after {status:?}");
        }
    }
}

/// Promise 12: a finished object that an older CRD prunes is not written, as that would drop stored fields, whatever
/// was edited or requested meanwhile.
#[test]
fn a_finished_object_that_an_older_crd_serves_is_left_alone() {
    let options: RemovalOptions = serde_json::from_value(
        serde_json::json!({"unknown": ["spec.mode (missing: the CRD is older than this version)"]}),
    )
    .unwrap();
    let mut object = Case { options, ..case() };
    assert_eq!(object.reason().as_deref(), Some("UnknownField"), "an unfinished one");
    object = object.with_reason(Reason::Removed, None);
    for generation in [GENERATION, GENERATION + 1] {
        for request in [None, Some("now")] {
            let object = Case { generation, request, ..object.clone() };
            assert_eq!(object.decide(), Decision::AwaitChange(None), "{generation} {request:?}");
        }
    }
}

/// Promise 13: an object with a field that this version does not know is blocked, and the message names the field.
#[test]
fn an_unknown_field_is_held() {
    let unknown = |case: Case| {
        let unknown = vec!["spec.fromTheFuture".to_owned()];
        Case { options: RemovalOptions { unknown, ..case.options.clone() }, ..case }
    };
    let status = unknown(case()).shown().unwrap();
    let ready = status.condition(ConditionType::Ready).unwrap();
    assert!(ready.reason == "UnknownField" && ready.message.contains("spec.fromTheFuture"), "{ready:?}");
    let finished = unknown(Case { status: Some(case().after(&case().accepted(End::Gone))), ..case() });
    assert_eq!(finished.decide(), Decision::AwaitChange(None), "a finished object stays finished");
}

/// The object whose call found out says `Unauthorized`, the others wait for their tenant. Both keep their reasons when
/// one of them probes later.
#[test]
fn a_rejected_credential_stalls_one_object() {
    let until = Instant::now() + Duration::from_secs(300);
    let by_another = Refused { reason: Reason::Unauthorized, message: "401".into(), until };
    for (tenant, refusal) in [(Connection::NotReady(Reason::Unauthorized), None), (case().tenant, Some(by_another))] {
        let around = |case: Case| Case { tenant: tenant.clone(), refusal: refusal.clone(), ..case };
        let first = around(case().with_reason(Reason::Unauthorized, Some(NOW + 300)));
        assert_eq!(first.reason().as_deref(), Some("Unauthorized"));
        assert_eq!(around(case()).reason().as_deref(), Some("TenantNotReady"));
        let waits = around(case()).shown().unwrap();
        let again = around(Case { status: Some(waits.clone()), ..case() }).shown().unwrap();
        assert_eq!(again.reason_text(), waits.reason_text());
    }
}

/// A refusal ends at once with another credential or a request, else after its time.
#[test]
fn a_refused_object_waits_for_its_next_attempt() {
    for reason in [Reason::Unauthorized, Reason::InsufficientScope, Reason::Denied] {
        let refused = case().with_reason(reason, Some(NOW + 300));
        let own = Case { refused_with: Some(refused.key()), ..refused.clone() };
        let Decision::Block(blocked) = own.decide() else { panic!("{reason}: {:?}", own.decide()) };
        assert_eq!(blocked.recheck_after, Some(Duration::from_secs(300)), "{reason}");
        assert_eq!(own.shown(), own.status, "{reason}: nothing to write");
        let domain = own.domain().unwrap();
        let rotated = Case { tenant: Connection::Ready { domain, token: "second" }, ..own.clone() };
        assert_eq!(task(&rotated.decide()), REMOVE, "{reason}");
        assert_eq!(task(&Case { request: Some("now"), ..own.clone() }.decide()), REMOVE, "{reason}");
        assert_eq!(task(&refused.decide()), REMOVE, "{reason}: not on record after a restart");
        let mut later = own;
        later.later(301);
        assert_eq!(task(&later.decide()), REMOVE, "{reason}");
    }
    let denied = Refused { reason: Reason::Denied, ..no_scope() };
    let waits = Case { refusal: Some(denied), ..case().with_reason(Reason::Denied, None) };
    assert!(matches!(waits.decide(), Decision::Block(_)), "another object probes");
    let pending = waits.pending(Wait::Queued { calls_before: 1, about: None });
    assert_eq!(pending.decide(), Decision::TakeReport);
    let probing = Case { is_probe: true, ..pending };
    assert!(matches!(probing.decide(), Decision::UpdateStatus(..)), "the probe itself is not blocked");
}

/// What Auth0 refused to others takes no job back whose call is in flight: what Auth0 accepts meanwhile would be sent
/// again (promise 8). What forbids every further call does.
#[test]
fn an_answer_that_is_on_its_way_is_waited_for() {
    let in_flight = Case { refusal: Some(no_scope()), ..case() }.pending(Wait::Working);
    assert!(matches!(in_flight.decide(), Decision::UpdateStatus(..)), "{:?}", in_flight.decide());
    let mut suspended = in_flight;
    suspended.options.suspend = true;
    assert_eq!(suspended.decide(), Decision::TakeReport);
}

/// Promise 12. Only the generation that was seen and the request that was answered are written.
#[test]
fn a_finished_object_is_left_alone() {
    for reason in Reason::ALL.iter().filter(|reason| reason.state() == State::Done) {
        let mut finished = case().with_reason(*reason, None);
        assert_eq!(finished.decide(), Decision::AwaitChange(None), "{reason}");
        for (_, change) in ORDER {
            let mut blocked = finished.clone();
            change(&mut blocked);
            assert_eq!(blocked.decide(), Decision::AwaitChange(None), "{reason}");
        }
        if *reason != Reason::RemovedUnverified {
            finished.request = Some("now");
            assert_eq!(finished.decide(), Decision::Acknowledge, "{reason}");
        }
    }
    let before = case().after(&case().accepted(End::Gone));
    let edited = Case { status: Some(before.clone()), generation: GENERATION + 1, request: Some("now"), ..case() };
    let after = edited.shown().unwrap();
    let mut expected = before;
    expected.observed_generation = Some(GENERATION + 1);
    expected.conditions.iter_mut().for_each(|condition| condition.observed_generation = Some(GENERATION + 1));
    expected.last_handled_reconcile_at = Some("now".into());
    assert_eq!(after, expected);
    assert_eq!(Case { status: Some(after), request: None, ..edited }.decide(), Decision::AwaitChange(None));
}

/// Suspended and resumed, with its list in another order or with another `ifNotFound`, an object stays finished. With
/// another tenant it starts over, and nothing that was done at the first one counts.
#[test]
fn another_tenant_starts_over() {
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
        assert_eq!(finished(change).decide(), Decision::Acknowledge);
    }
    let moved = finished(|case| case.options.tenant_ref.name = "other".into());
    let Decision::Submit { task, history, hold } = moved.decide() else { panic!("{:?}", moved.decide()) };
    assert_eq!((task, history, hold), (REMOVE, History::default(), None));
    let gone = moved.after(&moved.report(End::Gone));
    assert_eq!((gone.reason_text(), &gone.last_removal_time), (Some("AlreadyAbsent"), &None));
    assert_eq!(gone.correlation_id, None);
}

/// A token that says that it holds no scope of which any source says that it is enough is not tried. Unknown scopes are
/// not missing, one of several is enough, a proof needs none of them, and a request is tried all the same.
#[test]
fn a_scope_that_the_token_is_known_to_lack_is_not_tried() {
    let holding = |scopes: &[&str]| Case { scopes: Some(scopes.iter().map(|s| (*s).to_owned()).collect()), ..case() };
    let lacking = holding(&["read:users", "delete:organization_members"]);
    let Decision::Block(blocked) = lacking.decide() else { panic!("{:?}", lacking.decide()) };
    assert_eq!(blocked.outcome.reason, Reason::InsufficientScope);
    assert!(blocked.outcome.message.contains("update:users") && blocked.recheck_after.is_some());
    for enough in [holding(&["update:users"]), holding(&["delete:role_members"]), case()] {
        assert_eq!(task(&enough.decide()), REMOVE);
    }
    let asked = Case { request: Some("now"), ..lacking.clone() };
    assert_eq!(task(&asked.decide()), REMOVE);
    let mut to_prove = lacking.clone();
    to_prove.apply_report(&case().accepted(End::Failed(unavailable())));
    assert!(!matches!(to_prove.decide(), Decision::Block(_)), "{:?}", to_prove.decide());
    let refused = Case { refusal: Some(Refused { reason: Reason::Unauthorized, ..no_scope() }), ..lacking };
    assert_eq!(refused.reason().as_deref(), Some("TenantNotReady"), "a rejected credential is said first");
}
