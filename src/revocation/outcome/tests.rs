use super::*;
use crate::auth0::Rejection;
use proptest::prelude::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn endpoint() -> Endpoint {
    Endpoint::UserRoles { user: "auth0|a".into() }
}

fn report(end: End) -> Report {
    let (correlation, refused) = (Some("rescind-1".into()), Vec::new());
    Report {
        accepted_at: Some(at(100)),
        removed: 2,
        already_absent: 0,
        seen: true,
        token: None,
        correlation,
        refused,
        end,
    }
}

fn nothing_sent(end: End) -> Report {
    let (correlation, refused) = (None, Vec::new());
    Report { accepted_at: None, removed: 0, already_absent: 0, seen: false, token: None, correlation, refused, end }
}

fn outcome_after(report: &Report, if_not_found: IfNotFound, old: Option<&RemovalStatus>, now: Timestamp) -> Outcome {
    Outcome::of_report(report, &endpoint(), 2, if_not_found, old, now, 0.0)
}

fn outcome(report: &Report) -> Outcome {
    outcome_after(report, IfNotFound::Fail, None, at(100))
}

fn status(outcome: &Outcome, old: Option<&RemovalStatus>, now: Timestamp) -> RemovalStatus {
    outcome.status(old, 1, now)
}

/// A DELETE left, its answer was lost, and a later read finds nothing: that was us. Without the DELETE it was not.
#[test]
fn a_lost_answer_is_not_taken_for_nothing_to_do() {
    let lost =
        Report { correlation: Some("rescind-1".into()), ..nothing_sent(End::Failed(CallError::Unavailable("5xx"))) };
    let waiting = status(&outcome(&lost), None, at(100));
    let read = Report { already_absent: 2, seen: true, ..nothing_sent(End::Gone) };
    let after = outcome_after(&read, IfNotFound::Fail, Some(&waiting), at(102));
    assert_eq!((after.reason, after.result.map(|r| (r.accepted, r.already_absent))), (Reason::Removed, Some((2, 0))));
    let never_left = status(&outcome(&nothing_sent(End::Failed(CallError::Unavailable("no route")))), None, at(100));
    let after = outcome_after(&read, IfNotFound::Fail, Some(&never_left), at(102));
    assert_eq!(
        (after.reason, after.result.map(|r| (r.accepted, r.already_absent))),
        (Reason::AlreadyAbsent, Some((0, 2)))
    );
}

/// Of several items the message names one that was refused.
#[test]
fn a_refusal_names_what_was_refused() {
    let refused = Report {
        refused: vec![crate::auth0::Item::Id("rol_bad".into())],
        ..report(End::Failed(CallError::Rejected(Rejection::Body)))
    };
    let message = outcome(&refused).message;
    assert!(message.contains("1 of 2") && message.contains("rol_bad"), "{message}");
}

/// DESIGN section 2: each row that a lane's report can reach.
#[test]
fn every_report_has_its_row() {
    let failed = |error| nothing_sent(End::Failed(error));
    let rows: Vec<(Report, Reason)> = vec![
        (report(End::Gone), Reason::Removed),
        (report(End::Unproven(Unproven::Off)), Reason::RemovedUnverified),
        (report(End::Unproven(Unproven::MissingScope("read:users".into()))), Reason::RemovedUnverified),
        (nothing_sent(End::Gone), Reason::AlreadyAbsent),
        (report(End::Remaining(1)), Reason::AwaitingConsistency),
        (report(End::NotFound), Reason::SubjectGone),
        (nothing_sent(End::NotFound), Reason::SubjectNotFound),
        (failed(CallError::Rejected(Rejection::Body)), Reason::InvalidRequest),
        (failed(CallError::Unauthorized("401")), Reason::Unauthorized),
        (failed(CallError::InsufficientScope("update:users".into())), Reason::InsufficientScope),
        (failed(CallError::RateLimited(Duration::from_secs(9))), Reason::RateLimited),
        (failed(CallError::Unavailable("5xx")), Reason::Auth0Unavailable),
        (report(End::Failed(CallError::Unavailable("5xx"))), Reason::Auth0Unavailable),
    ];
    for (report, reason) in rows {
        let outcome = outcome(&report);
        assert_eq!(outcome.reason, reason, "{report:?}");
        let again = matches!(reason.state(), State::Waiting)
            || matches!(reason, Reason::Unauthorized | Reason::InsufficientScope);
        assert_eq!(outcome.next_attempt.is_some(), again, "{reason}");
        let written = status(&outcome, None, at(101));
        assert_eq!(written.reason_at(1), Some(reason));
        // Promise 3, its pure half: only a complete read of nothing proves anything.
        let proven = written.condition(ConditionType::Verified).is_some_and(|c| c.status == "True");
        assert_eq!(proven, matches!(report.end, End::Gone) || reason == Reason::SubjectGone, "{reason}");
        assert_eq!(written.verified_time.is_some(), proven);
        assert_eq!(status(&outcome, Some(&written), at(101)), status(&outcome, Some(&written), at(101)));
    }
    let ignored = outcome_after(&nothing_sent(End::NotFound), IfNotFound::Ignore, None, at(100));
    assert_eq!(ignored.reason, Reason::SubjectGone);
}

#[test]
fn messages_name_the_remedy() {
    let scope = outcome(&nothing_sent(End::Failed(CallError::InsufficientScope("update:users".into()))));
    assert!(scope.message.contains("update:users") && scope.message.contains("grant it"));
    assert!(outcome(&nothing_sent(End::NotFound)).message.contains("ifNotFound: Ignore"));
}

/// A user who was seen once and is gone now needs no person's attention, also in a later attempt.
#[test]
fn what_was_seen_before_may_be_gone() {
    let removed = status(&outcome(&report(End::Remaining(1))), None, at(100));
    let later = outcome_after(&nothing_sent(End::NotFound), IfNotFound::Fail, Some(&removed), at(110));
    assert_eq!(later.reason, Reason::SubjectGone);
}

#[test]
fn a_look_keeps_what_the_removal_counted() {
    let waiting = status(&outcome(&report(End::Remaining(1))), None, at(100));
    assert_eq!(waiting.result, Some(RemovalResult { requested: 2, accepted: 2, already_absent: 0, remaining: 1 }));
    let gone = outcome_after(&nothing_sent(End::Gone), IfNotFound::Fail, Some(&waiting), at(103));
    assert_eq!(gone.reason, Reason::Removed);
    let done = status(&gone, Some(&waiting), at(103));
    assert_eq!(done.result, Some(RemovalResult { requested: 2, accepted: 2, already_absent: 0, remaining: 0 }));
    assert_eq!(done.last_removal_time, Some(time(at(100))), "the removal was then, not now");
    assert_eq!(done.attempts, None);
}

#[test]
fn nothing_there_counts_as_absent() {
    let mut absent = nothing_sent(End::Gone);
    absent.already_absent = 2;
    let result = status(&outcome(&absent), None, at(100)).result;
    assert_eq!(result, Some(RemovalResult { requested: 2, accepted: 0, already_absent: 2, remaining: 0 }));
}

/// The schedule: 2, 5, 10, 20, 40 s after each other, then each minute.
#[test]
fn looks_follow_the_schedule() {
    let mut now = at(100);
    let mut pauses = Vec::new();
    for _ in 0..8 {
        let next = next_look(at(100), now);
        pauses.push(next.duration_since(now).as_secs());
        now = next;
    }
    assert_eq!(pauses, [2, 5, 10, 20, 40, 60, 60, 60]);
    assert_eq!(next_look(at(100), at(107) + jiff::SignedDuration::from_millis(300)), at(117), "a late look");
}

#[test]
fn failures_back_off_to_ten_minutes() {
    let pauses: Vec<_> = (0..14).map(|attempts| backoff(attempts).as_secs()).collect();
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600, 600, 600]);
    let mut old = None;
    for attempt in 1..5 {
        let failed = nothing_sent(End::Failed(CallError::Unavailable("x")));
        let outcome = outcome_after(&failed, IfNotFound::Fail, old.as_ref(), at(100));
        let written = status(&outcome, old.as_ref(), at(100));
        assert_eq!(written.attempts, Some(attempt));
        old = Some(written);
    }
}

#[test]
fn a_written_wait_is_not_shorter_than_the_wait() {
    let shown = |millis| {
        let until = at(100) + jiff::SignedDuration::from_millis(millis);
        status(&Outcome::rate_limited(until), None, at(90)).next_attempt_time.unwrap().0
    };
    assert_eq!((shown(0), shown(100), shown(999)), (at(100), at(101), at(101)));
    assert_eq!(shown(20), at(100), "the whole second at which the lane opens, seen a moment late");
}

proptest! {
    /// However a status came about, Reconciling and Stalled are never both there, and Ready always is.
    #[test]
    fn statuses_stay_well_formed(ends in proptest::collection::vec(0usize..7, 1..12)) {
        let mut old: Option<RemovalStatus> = None;
        for (second, end) in ends.into_iter().enumerate() {
            let end = match end {
                0 => End::Gone,
                1 => End::Unproven(Unproven::Off),
                2 => End::Remaining(1),
                3 => End::NotFound,
                4 => End::Failed(CallError::Unavailable("x")),
                5 => End::Failed(CallError::Rejected(Rejection::Uri)),
                _ => End::Failed(CallError::RateLimited(Duration::from_secs(5))),
            };
            let now = at(100 + i64::try_from(second).unwrap());
            let outcome = outcome_after(&report(end), IfNotFound::Fail, old.as_ref(), now);
            let new = status(&outcome, old.as_ref(), now);
            prop_assert!(new.condition(ConditionType::Ready).is_some());
            let both = new.condition(ConditionType::Reconciling).is_some() && new.condition(ConditionType::Stalled).is_some();
            prop_assert!(!both);
            prop_assert_eq!(new.condition(ConditionType::Ready).unwrap().status == "True", outcome.reason.state() == State::Done);
            old = Some(new);
        }
    }
}
