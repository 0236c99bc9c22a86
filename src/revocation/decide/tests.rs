use super::*;
use crate::api::{RemovalResult, TenantRef, conditions, time, verdicts};
use crate::auth0::{CallError, Client, Endpoint, Item, Timeouts, Token};
use crate::dispatch::{Connection, End};
use crate::tenant::Problem;

const NOW: i64 = 1_000_000;
const GENERATION: i64 = 3;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// The facts of an object nobody has looked at, with a tenant that is ready.
struct Case {
    removal: Removal,
    options: RemovalOptions,
    status: Option<RemovalStatus>,
    tenant: TenantState,
    lane: LaneView,
    credential_changed: bool,
    asked: bool,
}

fn case() -> Case {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let domain: crate::auth0::Domain = "acme.auth0.com".parse().unwrap();
    let client = Client::new(&domain, None, Timeouts::default()).unwrap();
    let token = Token::read(b"token", &domain.default_audience(), at(NOW)).unwrap();
    let limits = crate::dispatch::Limits { max_per_second: 10.0, reserve_percent: 20.0 };
    let connection = Connection { client, token, tenant: "a/b".into(), limits };
    Case {
        removal: Removal {
            endpoint: Endpoint::UserRoles { user: "auth0|a".into() },
            items: vec![Item::Id("rol_bN1a2b3c4d5e6f7g".into())],
        },
        options: RemovalOptions { tenant_ref: TenantRef::default(), ..RemovalOptions::default() },
        status: None,
        tenant: TenantState::Ready { domain, connection, verification: Verification::After },
        lane: LaneView::Absent,
        credential_changed: false,
        asked: false,
    }
}

impl Case {
    fn decide(&self) -> Decision {
        decide(&Facts {
            generation: GENERATION,
            removal: &self.removal,
            options: &self.options,
            status: self.status.as_ref(),
            tenant: &self.tenant,
            lane: &self.lane,
            credential_changed: self.credential_changed,
            asked: self.asked,
            now: at(NOW),
            jitter: 0.0,
        })
    }

    fn with(mut self, reason: Reason, generation: i64, next: Option<i64>) -> Self {
        self.status = Some(RemovalStatus {
            observed_generation: Some(generation),
            conditions: conditions(&[], &verdicts(reason, "x"), generation, at(NOW - 9)),
            next_attempt_time: next.map(|second| time(at(second))),
            ..RemovalStatus::default()
        });
        self
    }

    fn reason(&self) -> Option<Reason> {
        match self.decide() {
            Decision::Hold(outcome) | Decision::Conclude(outcome) | Decision::Show(outcome) => Some(outcome.reason),
            Decision::Rest | Decision::Wait(_) | Decision::Answer(_) | Decision::Submit { .. } => None,
        }
    }
}

fn done(generation: i64, end: End) -> LaneView {
    let report = Report {
        accepted_at: Some(at(NOW)),
        removed: 1,
        already_absent: 0,
        seen: true,
        token: None,
        correlation: None,
        refused: Vec::new(),
        end,
    };
    LaneView::Done { generation, report: Box::new(report) }
}

const REMOVE: Task = Task::Remove { before: false, after: true };

#[test]
fn a_new_object_is_handed_to_the_lane() {
    assert_eq!(case().decide(), Decision::Submit { task: REMOVE, not_before: None });
}

/// Promise 12. Broken on purpose by leaving out the first check of `decide`, this fails.
#[test]
fn a_finished_object_rests_whatever_else_is_true() {
    for reason in Reason::ALL.iter().filter(|reason| reason.state() == State::Done) {
        let mut finished = case().with(*reason, GENERATION, None);
        assert_eq!(finished.decide(), Decision::Rest, "{reason}");
        finished.options.suspend = true;
        finished.tenant = TenantState::Missing;
        assert_eq!(finished.decide(), Decision::Rest, "{reason}");
        let mut edited = case().with(*reason, GENERATION - 1, None);
        assert_ne!(edited.decide(), Decision::Rest, "another generation");
        edited.options.suspend = true;
        assert_eq!(edited.decide(), Decision::Rest, "suspended after it finished: unchanged");
    }
}

/// Promise 5, its pure half (tests/mutants.sh: 4-empty-list, 5-suspend-ignored).
#[test]
fn what_is_held_is_never_handed_over() {
    let lanes = || {
        [
            LaneView::Absent,
            LaneView::Dropped { generation: GENERATION },
            LaneView::Pending { generation: GENERATION, closed_for: None },
        ]
    };
    for lane in lanes() {
        let hold = |change: fn(&mut Case)| {
            let mut case = case();
            case.lane = lane.clone();
            change(&mut case);
            case.reason()
        };
        assert_eq!(hold(|c| c.options.suspend = true), Some(Reason::Suspended));
        assert_eq!(hold(|c| c.tenant = TenantState::Suspended), Some(Reason::Suspended));
        assert_eq!(hold(|c| c.tenant = TenantState::Missing), Some(Reason::TenantNotReady));
        let problem = Problem { reason: Reason::SecretNotFound, message: "no Secret".into() };
        let mut not_ready = case();
        not_ready.lane = lane.clone();
        not_ready.tenant = TenantState::NotReady(problem);
        assert_eq!(not_ready.reason(), Some(Reason::TenantNotReady));
        assert_eq!(hold(|c| c.removal.items.clear()), Some(Reason::InvalidRequest), "promise 4: empty is not all");
        assert_eq!(hold(|c| c.removal.items = vec![Item::Id("admin".into())]), Some(Reason::InvalidRequest));
    }
}

#[test]
fn a_report_counts_for_its_generation_only() {
    let mut current = case();
    current.lane = done(GENERATION, End::Gone);
    assert_eq!(current.reason(), Some(Reason::Removed));
    let mut stale = case();
    stale.lane = done(GENERATION - 1, End::Gone);
    assert_eq!(stale.decide(), Decision::Submit { task: REMOVE, not_before: None });
}

#[test]
fn a_shut_lane_is_shown_and_steady() {
    let mut waiting = case();
    waiting.lane = LaneView::Pending { generation: GENERATION, closed_for: Some(Duration::from_millis(29_500)) };
    let Decision::Show(outcome) = waiting.decide() else { panic!("not shown") };
    assert_eq!(outcome.reason, Reason::RateLimited);
    let shown = outcome.status(None, GENERATION, at(NOW));
    waiting.status = Some(shown.clone());
    // A moment later the rest of the wait has another fraction of a second.
    waiting.lane = LaneView::Pending { generation: GENERATION, closed_for: Some(Duration::from_millis(29_100)) };
    let Decision::Show(outcome) = waiting.decide() else { panic!("not shown") };
    assert_eq!(outcome.status(Some(&shown), GENERATION, at(NOW)), shown, "so that nothing is written");
}

/// Promise 11 over restarts and edits: the wait in the status counts, whatever generation it was written for.
#[test]
fn a_wait_for_a_rate_limit_outlives_restarts_and_edits() {
    for generation in [GENERATION, GENERATION - 1] {
        let waiting = case().with(Reason::RateLimited, generation, Some(NOW + 60));
        assert_eq!(waiting.decide(), Decision::Submit { task: REMOVE, not_before: Some(at(NOW + 60)) });
    }
    let over = case().with(Reason::RateLimited, GENERATION, Some(NOW - 1));
    assert_eq!(over.decide(), Decision::Submit { task: REMOVE, not_before: None });
}

#[test]
fn failures_wait_for_their_time() {
    for reason in
        [Reason::Auth0Unavailable, Reason::AwaitingConsistency, Reason::Unauthorized, Reason::InsufficientScope]
    {
        let waiting = case().with(reason, GENERATION, Some(NOW + 30));
        assert_eq!(waiting.decide(), Decision::Wait(Duration::from_secs(30)), "{reason}");
        let jumped = case().with(reason, GENERATION, Some(NOW + 1_000_000));
        assert_eq!(jumped.decide(), Decision::Wait(LONGEST_WAIT), "{reason}: the clock jumped");
        assert!(matches!(case().with(reason, GENERATION, Some(NOW)).decide(), Decision::Submit { .. }), "{reason}");
    }
}

#[test]
fn a_fresh_credential_ends_the_waits_it_can_end() {
    for (reason, ends) in
        [(Reason::Unauthorized, true), (Reason::InsufficientScope, true), (Reason::Auth0Unavailable, false)]
    {
        let mut waiting = case().with(reason, GENERATION, Some(NOW + 300));
        waiting.credential_changed = true;
        assert_eq!(matches!(waiting.decide(), Decision::Submit { .. }), ends, "{reason}");
    }
}

/// While the tenant is closed to a refused credential, the object that found out keeps saying so.
#[test]
fn the_one_that_was_refused_keeps_its_reason() {
    let refused = || TenantState::NotReady(Problem { reason: Reason::Unauthorized, message: "401".into() });
    let mut first = case().with(Reason::Unauthorized, GENERATION, Some(NOW + 300));
    first.tenant = refused();
    assert_eq!(first.decide(), Decision::Wait(Duration::from_secs(300)));
    let mut other = case();
    other.tenant = refused();
    assert_eq!(other.reason(), Some(Reason::TenantNotReady));
}

#[test]
fn what_only_a_person_can_mend_rests() {
    for reason in [Reason::SubjectNotFound, Reason::InvalidRequest] {
        assert_eq!(case().with(reason, GENERATION, None).decide(), Decision::Rest, "{reason}");
        assert!(matches!(case().with(reason, GENERATION - 1, None).decide(), Decision::Submit { .. }), "edited");
    }
}

#[test]
fn an_accepted_removal_is_looked_at_before_it_is_repeated() {
    let accepted = |age: i64, removed: i32| {
        let mut case = case().with(Reason::AwaitingConsistency, GENERATION, Some(NOW));
        let status = case.status.as_mut().unwrap();
        status.last_removal_time = Some(time(at(NOW - age)));
        status.result = Some(RemovalResult { requested: 1, removed, already_absent: 0, remaining: 1 });
        case
    };
    let task = |case: &Case| match case.decide() {
        Decision::Submit { task, .. } => task,
        other => panic!("{other:?}"),
    };
    assert_eq!(task(&accepted(7, 1)), Task::Look);
    assert_eq!(task(&accepted(130, 1)), REMOVE, "long enough: once more");
    assert_eq!(task(&accepted(7, 0)), REMOVE, "not all of it was accepted");
    let mut off = accepted(7, 1);
    if let TenantState::Ready { verification, .. } = &mut off.tenant {
        *verification = Verification::Off;
    }
    assert_eq!(task(&off), Task::Remove { before: false, after: false });
}

#[test]
fn what_the_last_look_refused_is_not_asked_again_at_once() {
    let mut dropped = case();
    dropped.lane = LaneView::Dropped { generation: GENERATION };
    assert_eq!(dropped.decide(), Decision::Wait(BEHIND));
    // If it was edited meanwhile, that is why, and the new spec need not wait.
    dropped.lane = LaneView::Dropped { generation: GENERATION - 1 };
    assert!(matches!(dropped.decide(), Decision::Submit { .. }));
}

#[test]
fn a_failed_call_is_concluded_with_its_reason() {
    let mut failed = case();
    failed.lane = done(GENERATION, End::Failed(CallError::Unavailable("x")));
    assert_eq!(failed.reason(), Some(Reason::Auth0Unavailable));
}

fn asked(reason: Reason, next: Option<i64>) -> Case {
    Case { asked: true, ..case().with(reason, GENERATION, next) }
}

/// Promise 12: somebody who asks about a finished object gets an answer, and Auth0 no call.
#[test]
fn asking_starts_nothing_finished_again() {
    for reason in Reason::ALL.iter().filter(|reason| reason.state() == State::Done) {
        assert_eq!(asked(*reason, None).decide(), Decision::Answer(None), "{reason}");
    }
}

/// Promise 11, for those who ask by annotation.
#[test]
fn asking_shortens_no_wait() {
    for reason in [Reason::Auth0Unavailable, Reason::AwaitingConsistency] {
        let wait = Duration::from_secs(30);
        assert_eq!(asked(reason, Some(NOW + 30)).decide(), Decision::Answer(Some(wait)), "{reason}");
    }
    let limited = Decision::Submit { task: REMOVE, not_before: Some(at(NOW + 30)) };
    assert_eq!(asked(Reason::RateLimited, Some(NOW + 30)).decide(), limited);
    let mut closed = asked(Reason::Unauthorized, Some(NOW + 30));
    closed.tenant = TenantState::NotReady(Problem { reason: Reason::Unauthorized, message: "401".into() });
    assert_eq!(closed.decide(), Decision::Answer(Some(Duration::from_secs(30))));
}

#[test]
fn a_stalled_object_is_tried_again_when_asked() {
    let reasons = [Reason::SubjectNotFound, Reason::InvalidRequest, Reason::Unauthorized, Reason::InsufficientScope];
    for reason in reasons {
        let mut stalled = asked(reason, Some(NOW + 300));
        assert_eq!(stalled.decide(), Decision::Submit { task: REMOVE, not_before: None }, "{reason}");
        stalled.lane = LaneView::Pending { generation: GENERATION, closed_for: None };
        assert_eq!(stalled.decide(), Decision::Rest, "{reason}: it is on its way");
        stalled.options.suspend = true;
        assert_eq!(stalled.reason(), Some(Reason::Suspended), "{reason}");
    }
}
