//! Every situation that an object can be in, and the conditions it then has.

use super::*;
use crate::api::{Hold, IfNotFound, Mode};
use crate::auth0::{Missing, Rejection};
use crate::dispatch::Unverified;

/// `Ready`, `Reconciling`, `Stalled`, the reason, and `Verified` with its own reason; `-` for what is absent.
type Row = (&'static str, [&'static str; 5], RemovalStatus);

fn failed(error: CallError) -> RemovalStatus {
    case().after(&case().report(End::Failed(error)))
}

fn shown(case: &Case) -> RemovalStatus {
    case.shown().unwrap()
}

/// A new object after this change.
fn with(change: impl FnOnce(&mut Case)) -> Case {
    let mut object = case();
    change(&mut object);
    object
}

fn ignoring() -> Case {
    let mut ignoring = case();
    ignoring.options.if_not_found = IfNotFound::Ignore;
    ignoring
}

/// An object whose removal was sent twice, and which a read still shows ten minutes later.
fn still_present() -> RemovalStatus {
    let mut object = case();
    object.apply_report(&object.accepted(End::Remaining(vec![role(1)])));
    object.later(137);
    let sent_again = object.accepted(End::Remaining(vec![role(1)]));
    object.apply_report(&sent_again);
    object.later(463);
    object.after(&Report { read_at: Some(object.now.wall), ..sent_again })
}

fn done() -> Vec<Row> {
    let lost =
        Report { lost: true, correlation: Some("rescind-1".into()), ..case().report(End::Failed(unavailable())) };
    let mut after_lost = case();
    after_lost.apply_report(&lost);
    let found_gone = Report { accepted: vec![role(1), role(2)], lost: true, ..case().report(End::Gone) };
    let gone = End::NotFound(Missing::Subject);
    let mut seen = case();
    seen.apply_report(&seen.accepted(End::Failed(unavailable())));
    let unverified = |why| case().after(&case().accepted(End::Unverified(why)));
    let unknown_role = Report { not_found: vec![role(1), role(2)], ..case().report(End::NotFound(Missing::Item)) };
    let half = Report { accepted: vec![role(1)], ..case().accepted(End::NotFound(Missing::Item)) };
    let half_unknown = Report { not_found: vec![role(2)], ..half };
    let observed = with(|case| case.options.mode = Mode::Observe);
    let all_absent = case().removal.items;
    let all_absent = Report { accepted: Vec::new(), already_absent: all_absent, ..case().accepted(End::Gone) };
    vec![
        ("removed", ["True", "-", "-", "Removed", "True/ReadAfter"], case().after(&case().accepted(End::Gone))),
        (
            "verification Never",
            ["True", "-", "-", "RemovedUnverified", "False/VerificationNever"],
            unverified(Unverified::Never),
        ),
        (
            "no read scope",
            ["True", "-", "-", "RemovedUnverified", "False/ReadRefused"],
            unverified(Unverified::MissingScope("read:users".into())),
        ),
        (
            "read refused",
            ["True", "-", "-", "RemovedUnverified", "False/ReadRefused"],
            unverified(Unverified::ReadRefused(CallError::Rejected(Rejection::Paging))),
        ),
        (
            "nothing was there",
            ["True", "-", "-", "AlreadyAbsent", "True/ReadBefore"],
            case().after(&case().report(End::Gone)),
        ),
        (
            "gone after a DELETE without an answer",
            ["True", "-", "-", "AlreadyAbsent", "True/ReadBefore"],
            after_lost.after(&found_gone),
        ),
        (
            "the subject is gone that was seen before",
            ["True", "-", "-", "SubjectGone", "True/ReadAfter"],
            seen.after(&seen.report(gone.clone())),
        ),
        (
            "the same, but no read of the subject",
            ["True", "-", "-", "SubjectGone", "-"],
            seen.after(&Report { read_at: None, ..seen.report(gone.clone()) }),
        ),
        (
            "not found, to be ignored",
            ["True", "-", "-", "SubjectGone", "True/ReadBefore"],
            ignoring().after(&case().report(gone)),
        ),
        (
            "404 without a cause, to be ignored",
            ["True", "-", "-", "SubjectGone", "-"],
            ignoring().after(&case().report(End::NotFound(Missing::Unclear))),
        ),
        (
            "gone although an earlier answer of the same job showed it",
            ["True", "-", "-", "SubjectGone", "True/ReadBefore"],
            case().after(&Report { seen: true, ..case().report(End::NotFound(Missing::Subject)) }),
        ),
        (
            "one role unknown, to be ignored, the other removed",
            ["True", "-", "-", "Removed", "True/ReadAfter"],
            ignoring().after(&half_unknown),
        ),
        (
            "absent before, and its DELETE accepted all the same",
            ["True", "-", "-", "AlreadyAbsent", "True/ReadBefore"],
            case().after(&all_absent),
        ),
        (
            "observed, and there",
            ["True", "-", "-", "WouldRemove", "-"],
            observed.after(&Report { task: Task::Observe, ..observed.report(End::Remaining(vec![role(1)])) }),
        ),
        (
            "observed, and not there",
            ["True", "-", "-", "AlreadyAbsent", "True/ReadBefore"],
            observed.after(&Report { task: Task::Observe, ..observed.report(End::Gone) }),
        ),
        (
            "created after its notAfter",
            ["True", "-", "-", "NotReplayed", "-"],
            shown(&with(|case| case.options.not_after = Some("2026-01-01T00:00:00Z".into()))),
        ),
        (
            "unknown role, to be ignored",
            ["True", "-", "-", "AlreadyAbsent", "True/ReadBefore"],
            ignoring().after(&unknown_role),
        ),
    ]
}

fn stalled() -> Vec<Row> {
    let not_found = |missing| case().report(End::NotFound(missing));
    let unknown_role = Report { not_found: vec![role(2)], seen: true, ..not_found(Missing::Item) };
    let mut unknown_field = case();
    unknown_field.options.unknown = vec!["spec.fromTheFuture".into()];
    let mut empty = case();
    empty.removal.items.clear();
    let no_scope = Refused {
        reason: Reason::InsufficientScope,
        message: "The token lacks the scope update:users".into(),
        until: case().now.steady + Duration::from_secs(60),
    };
    let others = Case { refusal: Some(no_scope), ..case() };
    vec![
        ("not found", ["False", "-", "True", "SubjectNotFound", "-"], case().after(&not_found(Missing::Subject))),
        (
            "404 without a cause",
            ["False", "-", "True", "SubjectNotFound", "-"],
            case().after(&not_found(Missing::Unclear)),
        ),
        ("unknown role", ["False", "-", "True", "ItemNotFound", "-"], case().after(&unknown_role)),
        ("still present", ["False", "-", "True", "StillPresent", "False/ReadAfter"], still_present()),
        ("400", ["False", "-", "True", "InvalidRequest", "-"], failed(CallError::Rejected(Rejection::Body))),
        ("nothing to remove", ["False", "-", "True", "InvalidRequest", "-"], shown(&empty)),
        ("401", ["False", "-", "True", "Unauthorized", "-"], failed(CallError::Unauthorized("401"))),
        (
            "403 for a scope",
            ["False", "-", "True", "InsufficientScope", "-"],
            failed(CallError::InsufficientScope("update:users".into())),
        ),
        ("the same to another object", ["False", "-", "True", "InsufficientScope", "-"], shown(&others)),
        ("any other 403", ["False", "-", "True", "Denied", "-"], failed(CallError::Denied("403"))),
        (
            "past notAfter",
            ["False", "-", "True", "Expired", "-"],
            shown(&with(|case| {
                (case.created, case.options.not_after) = (None, Some("2026-01-01T00:00:00Z".into()));
            })),
        ),
        ("unknown field", ["False", "-", "True", "UnknownField", "-"], shown(&unknown_field)),
    ]
}

fn waiting() -> Vec<Row> {
    let until = case().now.steady + Duration::from_secs(30);
    let wait = |wait| shown(&case().pending(wait));
    let tenant = |tenant| shown(&Case { tenant, ..case() });
    let mut proving = case().pending(Wait::AwaitingProof);
    if let View::Pending { so_far, .. } = &mut proving.view {
        **so_far = case().accepted(End::HandedBack(Refusal::Withdrawn));
    }
    let suspended = {
        let mut suspended = case();
        suspended.options.suspend = true;
        suspended
    };
    let queued = ["False", "True", "-", "Queued", "-"];
    vec![
        ("queued", queued, wait(Wait::Queued { calls_before: 7, about: Some(Duration::from_secs(3)) })),
        ("behind a 429 to others", queued, wait(Wait::RateLimited { until, own: false })),
        ("its call is in flight", queued, wait(Wait::Working)),
        ("awaiting proof", ["False", "True", "-", "AwaitingProof", "Unknown/ProofPending"], shown(&proving)),
        (
            "429 to its own call",
            ["False", "True", "-", "RateLimited", "-"],
            wait(Wait::RateLimited { until, own: true }),
        ),
        ("no tenant", ["False", "True", "-", "TenantNotReady", "-"], tenant(Connection::Missing)),
        (
            "no Secret",
            ["False", "True", "-", "TenantNotReady", "-"],
            tenant(Connection::NotReady(Reason::SecretNotFound)),
        ),
        ("5xx", ["False", "True", "-", "Auth0Unavailable", "-"], failed(unavailable())),
        ("never left", ["False", "True", "-", "Auth0Unavailable", "-"], failed(CallError::NotSent("no route"))),
        (
            "5xx to the proof",
            ["False", "True", "-", "Auth0Unavailable", "Unknown/ProofPending"],
            case().after(&case().accepted(End::Failed(unavailable()))),
        ),
        (
            "a read still shows it",
            ["False", "True", "-", "AwaitingConsistency", "Unknown/ProofPending"],
            case().after(&case().accepted(End::Remaining(vec![role(1)]))),
        ),
        ("suspended", ["False", "-", "-", "Suspended", "-"], shown(&suspended)),
        (
            "on hold",
            ["False", "-", "-", "OnHold", "-"],
            shown(&with(|case| {
                let (until, reason) = ("2030-01-01T00:00:00Z".into(), "handover".into());
                case.options.hold = Some(Box::new(Hold { until, reason }));
            })),
        ),
        ("tenant on hold", ["False", "-", "-", "OnHold", "-"], tenant(Connection::OnHold)),
        (
            "its time has not come",
            ["False", "-", "-", "Scheduled", "-"],
            shown(&with(|case| case.options.not_before = Some("2030-01-01T00:00:00Z".into()))),
        ),
        ("tenant suspended", ["False", "-", "-", "Suspended", "-"], tenant(Connection::Suspended)),
    ]
}

#[test]
fn every_situation_has_its_conditions() {
    for (situation, wanted, status) in [done(), stalled(), waiting()].concat() {
        let found = words(&status).map(|word| word.unwrap_or_else(|| "-".to_owned()));
        assert_eq!(found, wanted, "{situation}: {status:#?}");
        assert_eq!(status.verified_time.is_some(), wanted[4].starts_with("True"), "{situation}");
        assert_eq!(status.finished.is_some(), wanted[0] == "True", "{situation}");
        assert_eq!(status.observed_generation, Some(GENERATION), "{situation}");
        let accepted = ["Removed", "RemovedUnverified", "AwaitingProof", "AwaitingConsistency", "StillPresent"];
        if accepted.contains(&wanted[3]) {
            assert!(status.last_removal_time.is_some() && status.correlation_id.is_some(), "{situation}");
            assert_eq!(status.domain.as_deref(), Some("acme.auth0.com"), "{situation}");
        }
        let result = status.result.unwrap_or_default();
        assert!(result.accepted + result.already_absent + result.remaining <= 2, "{situation}: {result:?}");
    }
}

#[test]
fn messages_name_cause_code_and_remedy() {
    let message = |status: RemovalStatus| status.condition(ConditionType::Ready).unwrap().message.clone();
    let has = |status: RemovalStatus, words: &[&str]| {
        let message = message(status);
        assert!(words.iter().all(|word| message.contains(word)), "{message}");
    };
    has(failed(CallError::InsufficientScope("update:users".into())), &["update:users", "Grant it"]);
    has(failed(CallError::Denied("403: the plan")), &["403", "Ask an administrator of the Auth0 tenant"]);
    has(failed(CallError::Unauthorized("401: expired")), &["401", "fresh"]);
    has(failed(CallError::unusable(http::StatusCode::BAD_GATEWAY, "not Auth0's own answer (HTML)")), &["502", "HTML"]);
    has(case().after(&case().report(End::NotFound(Missing::Subject))), &["404", "ifNotFound: Ignore", "user"]);
    let unknown = Report { not_found: vec![role(2)], ..case().report(End::NotFound(Missing::Item)) };
    has(case().after(&unknown), &["404", "role rol_bN1a2b3c4d5e6f02", "misspelt"]);
    let refused = Report { refused: vec![role(2)], ..case().report(End::Failed(CallError::Rejected(Rejection::Body))) };
    has(case().after(&refused), &["1 of 2", "rol_bN1a2b3c4d5e6f02", "400", "new object"]);
    has(case().after(&case().accepted(End::Gone)), &["Removed 2 of 2", "was not checked"]);
    let looked = Case { verification: Verification::BeforeAndAfter, ..case() };
    assert!(!message(looked.after(&looked.accepted(End::Gone))).contains("not checked"));
    let mut unknown_field = case();
    unknown_field.options.unknown = vec!["spec.fromTheFuture".into()];
    has(shown(&unknown_field), &["spec.fromTheFuture", "nothing is sent"]);
    let queued = case().pending(Wait::Queued { calls_before: 7, about: Some(Duration::from_secs(90)) });
    has(shown(&queued), &["7 calls", "1m 30s", "as of 2027-01-15T08:00:00Z"]);
}

/// Promise 3, its pure half: only a read that began after the last accepted DELETE is a proof.
#[test]
fn a_read_from_before_proves_nothing() {
    let early = Report { read_at: Some(at(NOW - 1)), ..case().accepted(End::Gone) };
    let mut object = case();
    let applied = object.apply_report(&early);
    assert_eq!((applied.outcome, applied.pause.is_some()), (None, true));
    assert_eq!(task(&object.decide()), Task::Prove);
}
