//! The way of an object through time, mostly with its status as the only memory.

use super::*;
use crate::auth0::{CallError, Missing};
use crate::dispatch::Unverified;

/// What happens, and what that changes.
type Change = (&'static str, fn(&mut Case));

fn unavailable() -> CallError {
    CallError::no_answer("the connection broke off")
}

impl Case {
    /// Another process goes on with what the status says.
    fn restart(&mut self) {
        self.items = Items::default();
        (self.refused_with, self.submitted_with, self.submitted_to) = (None, None, None);
        (self.not_before, self.handed_back, self.failures) = (None, None, None);
        self.refusal = None;
    }

    /// Waits until something is submitted; how long that took, which task it is, and what the job is told.
    fn submits(&mut self) -> (u64, Task, History) {
        let begun = self.now.wall;
        loop {
            match self.decide() {
                Decision::AwaitChange(Some(pause)) => self.later(pause.as_secs().max(1)),
                Decision::Submit { task, history, .. } => {
                    let waited = self.now.wall.duration_since(begun).as_secs();
                    return (u64::try_from(waited).unwrap(), task, history);
                }
                other => panic!("{other:?}"),
            }
        }
    }

    fn says_now(&self) -> &str {
        self.status.as_ref().and_then(RemovalStatus::reason_text).unwrap_or_default()
    }

    /// The answer of Auth0 to a job whose effect no read ever shows.
    fn remains(&self, task: Task, history: &History) -> Report {
        let left = End::Remaining(self.removal.items.clone());
        match task {
            Task::Remove { .. } => self.accepted(left),
            Task::Prove => Report {
                accepted: history.accepted.clone(),
                already_absent: history.absent.clone(),
                first_accepted_at: history.first_accepted_at,
                accepted_at: history.accepted_at,
                ..self.report(left)
            },
        }
    }
}

/// Reads on the schedule, one more DELETE after two minutes, a person after ten; then reads only, for a week; one
/// DELETE for each request. A restart after every step changes nothing of it.
#[test]
fn what_stays_is_told_after_ten_minutes() {
    let mut object = case();
    let (mut elapsed, mut calls) = (0, Vec::new());
    while object.says_now() != "StillPresent" {
        let (waited, task, history) = object.submits();
        elapsed += waited;
        calls.push((elapsed, task == Task::Prove));
        let report = object.remains(task, &history);
        object.absorb(&report);
        object.restart();
        assert!(calls.len() < 30, "{calls:?}");
    }
    let reads: Vec<u64> = calls.iter().filter(|(_, reads)| *reads).map(|(at, _)| *at).collect();
    let deletes: Vec<u64> = calls.iter().filter(|(_, reads)| !*reads).map(|(at, _)| *at).collect();
    assert_eq!(deletes, [0, 137]);
    assert_eq!(reads, [2, 7, 17, 37, 77, 197, 257, 317, 377, 437, 497, 557, 600]);

    let mut hours = 0;
    for expected in (1..=163).step_by(6) {
        let (waited, task, history) = object.submits();
        hours += (waited + 1800) / 3600;
        assert_eq!((hours, task), (expected, Task::Prove));
        let report = object.remains(task, &history);
        object.absorb(&report);
        assert_eq!(object.says_now(), "StillPresent");
        object.restart();
    }
    assert_eq!(object.decide(), Decision::AwaitChange(None), "after a week only a request");

    object.asked = Some("again");
    let (_, task, history) = object.submits();
    assert_eq!((task, history.accepted.len()), (REMOVE, 0));
    let report = object.remains(task, &history);
    object.absorb(&report);
    assert_eq!((object.says_now(), object.asked), ("AwaitingConsistency", None));
    object.restart();
    let (waited, task, _) = object.submits();
    assert_eq!((waited, task), (2, Task::Prove), "and once more from the beginning");
}

/// A look that fails tells nothing new of what is still there.
#[test]
fn a_failed_look_keeps_the_verdict() {
    let mut object = case();
    while object.says_now() != "StillPresent" {
        let (_, task, history) = object.submits();
        let report = object.remains(task, &history);
        object.absorb(&report);
    }
    for end in [
        End::Failed(unavailable()),
        End::Unverified(Unverified::MissingScope("read:users".into())),
        End::Failed(CallError::Denied("403")),
    ] {
        let (_, task, history) = object.submits();
        let report = Report { end, ..object.remains(task, &history) };
        object.absorb(&report);
        assert_eq!(
            words(object.status.as_ref().unwrap())[3..],
            [Some("StillPresent".into()), Some("False/ReadAfter".into())]
        );
    }
    let (_, task, history) = object.submits();
    let gone = Report { end: End::Gone, ..object.remains(task, &history) };
    assert_eq!(object.after(&gone).reason_text(), Some("Removed"));
}

/// Whatever comes between an accepted DELETE and its proof, the DELETE is not sent again.
#[test]
fn what_was_accepted_is_proved_and_not_sent_again() {
    let accepted = |end| {
        let mut object = case();
        let report = object.accepted(end);
        object.absorb(&report);
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
            assert_eq!((task, history.accepted.len()), (Task::Prove, 2), "{what}");
            let gone = Report { end: End::Gone, ..object.remains(task, &history) };
            let status = object.after(&gone);
            let result = status.result.unwrap();
            assert_eq!((status.reason_text(), result.accepted), (Some("Removed"), 2), "{what}");
            assert_eq!(status.last_removal_time, Some(time(at(NOW))), "{what}: it was then, not now");
        }
    }
}

/// Of a job that failed for a part, the rest is not sent again: neither what was accepted, nor what was not there and
/// was accepted all the same.
#[test]
fn only_what_is_open_is_sent_again() {
    let mut object = case();
    object.removal.items = (0..3).map(role).collect();
    let failed = object.accepted(End::Failed(unavailable()));
    object.absorb(&Report { accepted: vec![role(0)], already_absent: vec![role(1)], ..failed });
    let (_, task, history) = object.submits();
    assert_eq!((task, history.accepted, history.absent), (REMOVE, vec![role(0)], vec![role(1)]));
}

/// At an organization the DELETE goes out also for what a read before it did not show. Where the read may spare it,
/// what shows later was given since, and is removed at once.
#[test]
fn what_was_absent_and_shows_later() {
    let shown_later = |endpoint| {
        let mut object = case();
        object.removal.endpoint = endpoint;
        let half = object.accepted(End::Remaining(vec![role(2)]));
        object.absorb(&Report { accepted: vec![role(1)], already_absent: vec![role(2)], ..half });
        let (_, task, history) = object.submits();
        (task, history.accepted.len())
    };
    let (organization, user) = ("org_9ybsU1dN2dKfDkBi".into(), "auth0|a".into());
    assert_eq!(shown_later(Endpoint::OrganizationMemberRoles { organization, user }), (Task::Prove, 2));
    assert_eq!(shown_later(Endpoint::UserRoles { user: "auth0|a".into() }), (REMOVE, 1));
}

/// A role that Auth0 does not know costs no DELETE with each look at the others, and is told in the end.
#[test]
fn what_auth0_does_not_know_is_not_sent_again() {
    let mut object = case();
    let half = object.accepted(End::Remaining(vec![role(1)]));
    object.absorb(&Report { accepted: vec![role(1)], not_found: vec![role(2)], ..half });
    let (_, task, history) = object.submits();
    assert_eq!(task, Task::Prove);
    let gone = Report { end: End::Gone, ..object.remains(task, &history) };
    let status = object.absorb(&gone).status;
    let result = status.result.unwrap();
    assert_eq!((status.reason_text(), result.accepted, result.already_absent), (Some("ItemNotFound"), 1, 1));
    object.asked = Some("again");
    let (_, task, history) = object.submits();
    assert_eq!((task, history.accepted), (REMOVE, vec![role(1)]));
}

/// Nothing of one domain is used for another, and what is finished stays finished where it was.
#[test]
fn another_domain_knows_nothing() {
    let elsewhere = |mut object: Case| {
        object.tenant = Connection::Ready { domain: "other.auth0.com".parse().unwrap(), token: "first" };
        object.restart();
        object
    };
    let mut object = case();
    let report = object.accepted(End::Failed(unavailable()));
    object.absorb(&report);
    let mut moved = elsewhere(object);
    let (waited, task, history) = moved.submits();
    assert_eq!((waited, task, history), (0, REMOVE, History::default()), "not even the wait");
    let status = moved.after(&moved.report(End::Gone));
    assert_eq!((status.reason_text(), status.domain.as_deref()), (Some("AlreadyAbsent"), Some("other.auth0.com")));
    assert_eq!((status.last_removal_time, status.correlation_id), (None, None));
    let status = moved.after(&moved.report(End::NotFound(Missing::Subject)));
    assert_eq!(status.reason_text(), Some("SubjectNotFound"), "seen at the other domain only");

    let limited = case().says(Reason::RateLimited, Some(NOW + 60));
    let hold = |object: &Case| match object.decide() {
        Decision::Submit { hold, .. } => hold,
        other => panic!("{other:?}"),
    };
    assert_eq!(hold(&limited), Some(Duration::from_secs(60)));
    assert_eq!(hold(&Case { generation: GENERATION + 1, ..limited.clone() }), Some(Duration::from_secs(60)), "edited");
    assert_eq!(hold(&elsewhere(limited.clone())), None);
    let known = Case { submitted_with: Some(limited.key()), ..limited.clone() };
    assert_eq!(hold(&known), None, "the dispatcher knows better by now");
    assert_eq!(hold(&case().says(Reason::RateLimited, Some(NOW + 7200))), Some(Duration::from_secs(661)), "clamped");
    assert_eq!(hold(&case().says(Reason::RateLimited, Some(NOW - 1))), None);
    assert_eq!(hold(&case().says(Reason::Queued, Some(NOW + 60))), None);

    let finished = Case { status: Some(case().after(&case().accepted(End::Gone))), ..case() };
    assert_eq!(elsewhere(finished).decide(), Decision::AwaitChange(None));
}

/// A verdict that was found at a domain that is not the tenant's any more is none, and the job goes where it belongs.
#[test]
fn a_verdict_counts_for_its_domain_and_generation() {
    let report = case().accepted(End::Gone);
    let mut moved = case().pending(Wait::Working);
    moved.tenant = Connection::Ready { domain: "other.auth0.com".parse().unwrap(), token: "first" };
    assert_eq!(moved.decide(), Decision::TakeReport);
    assert_eq!(moved.absorb(&report).outcome, None);
    assert_eq!(task(&moved.decide()), REMOVE);

    let mut edited = Case { generation: GENERATION + 1, ..case() };
    let absorbed = edited.with(|inputs| absorb(inputs, GENERATION, &report));
    assert_eq!((absorbed.outcome, absorbed.pause), (None, None));
    edited.status = Some(absorbed.status);
    assert_eq!(task(&edited.decide()), Task::Prove);
}

/// A job that was taken back before it made a call tells only what it was told, and that is of its own domain.
#[test]
fn a_job_without_a_call_tells_nothing_of_another_domain() {
    let mut object = case();
    let report = object.accepted(End::Failed(unavailable()));
    object.absorb(&report);
    let mut waits = object.pending(Wait::AwaitingProof);
    waits.tenant = Connection::Ready { domain: "other.auth0.com".parse().unwrap(), token: "first" };
    assert_eq!(waits.decide(), Decision::TakeReport);
    let told = Report { connection: None, domain: None, ..report };
    let taken_back = Report { end: End::HandedBack(Refusal::Withdrawn), ..told };
    assert_eq!(waits.absorb(&taken_back).status.domain.as_deref(), Some("acme.auth0.com"));
    let (_, task, history) = waits.submits();
    assert_eq!((task, history), (REMOVE, History::default()));
}

/// After a DELETE without an answer the next job reads first, whatever the object said in between, and what is gone
/// then is not called removed.
#[test]
fn a_lost_answer_is_remembered() {
    let mut object = case();
    let lost =
        Report { lost: true, correlation: Some("rescind-1".into()), ..object.report(End::Failed(unavailable())) };
    object.absorb(&lost);
    object.options.suspend = true;
    object.status = object.shown();
    object.options.suspend = false;
    object.restart();
    let (_, task, history) = object.submits();
    assert!(task == REMOVE && history.lost);
    let gone = Report { lost: true, accepted: object.removal.items.clone(), ..object.report(End::Gone) };
    let status = object.after(&gone);
    let ready = status.condition(ConditionType::Ready).unwrap();
    assert!(ready.reason == "AlreadyAbsent" && ready.message.contains("an earlier DELETE"), "{ready:?}");
    assert_eq!(status.result.map(|result| (result.accepted, result.already_absent)), Some((0, 2)));

    let mut in_flight = case().pending(Wait::Working);
    let taken_back = Report { lost: true, ..in_flight.report(End::HandedBack(Refusal::Withdrawn)) };
    in_flight.absorb(&Report { connection: None, domain: None, ..taken_back });
    assert!(in_flight.submits().2.lost, "its answer goes to nobody");

    let mut never_left = case();
    never_left.absorb(&never_left.report(End::Failed(CallError::NotSent("no route"))));
    let (_, _, history) = never_left.submits();
    assert!(!history.lost, "what never left had no effect");
}

/// On request one read and no DELETE; whatever comes of it, Ready stays True unless the read shows it.
#[test]
fn a_proof_can_be_asked_for() {
    let unverified = case().after(&case().accepted(End::Unverified(Unverified::Never)));
    let asked = Case { status: Some(unverified.clone()), asked: Some("prove"), ..case() };
    let Decision::Submit { task: Task::Prove, history, hold: None } = asked.decide() else {
        panic!("{:?}", asked.decide())
    };
    assert_eq!(history.accepted.len(), 2);
    let waits = asked.clone().pending(Wait::Queued { calls_before: 9, about: None });
    assert!(matches!(waits.decide(), Decision::AwaitChange(Some(_))), "nothing is written while it waits");
    for change in [(|case| case.options.suspend = true) as fn(&mut Case), |case| case.tenant = Connection::Missing] {
        let mut held = asked.clone();
        change(&mut held);
        assert_eq!(held.decide(), Decision::Acknowledge(None));
    }
    let answered = |end: End, later: u64| {
        let mut asked = asked.clone();
        asked.later(later);
        let mut report = asked.remains(Task::Prove, &history);
        report.end = end;
        let absorbed = asked.absorb(&report);
        assert_eq!(asked.asked, None, "answered");
        let [ready, .., reason, verified] = words(&absorbed.status);
        [ready, reason, verified].map(Option::unwrap_or_default)
    };
    let left = || End::Remaining(vec![role(1)]);
    assert_eq!(answered(End::Gone, 9), ["True", "Removed", "True/ReadAfter"]);
    let failures = [End::Failed(unavailable()), End::Failed(CallError::Denied("403")), End::NotFound(Missing::Unclear)];
    for end in failures {
        assert_eq!(answered(end, 9), ["True", "RemovedUnverified", "False/ReadRefused"]);
    }
    assert_eq!(answered(left(), 9)[1], "AwaitingConsistency");
    assert_eq!(answered(left(), 700), ["False", "StillPresent", "False/ReadAfter"]);
    let no_answer = asked.clone().absorb(&asked.report(End::HandedBack(Refusal::Unconfirmed)));
    assert_eq!(no_answer.status, unverified);
}

/// A job that is handed back is submitted again: at once where it belongs, else after a pause, and one that nobody
/// confirms says so after a while.
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
        let absorbed = case().absorb(&case().report(End::HandedBack(refusal)));
        assert_eq!((absorbed.outcome, absorbed.pause.is_some()), (None, waits), "{refusal:?}");
    }
    let mut object = case();
    for times in 1..4 {
        let report = object.report(End::HandedBack(Refusal::OtherConnection));
        let absorbed = object.absorb(&report);
        assert_eq!(
            (absorbed.handed_back, absorbed.pause.is_some()),
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

/// Looks are no failures, a failure counts for its own reason, and another generation begins anew.
#[test]
fn attempts_are_counted_by_reason() {
    let mut object = case();
    for _ in 0..5 {
        let (_, task, history) = object.submits();
        let report = object.remains(task, &history);
        object.absorb(&report);
    }
    assert_eq!(object.status.as_ref().unwrap().attempts, None);
    for attempt in 1..4 {
        object.later(60);
        let report = Report { end: End::Failed(unavailable()), ..object.remains(Task::Prove, &History::default()) };
        object.absorb(&report);
        let status = object.status.as_ref().unwrap();
        assert_eq!(status.attempts, Some(attempt));
        let pause = status.next_attempt_time.as_ref().unwrap().0.duration_since(object.now.wall).as_secs();
        assert_eq!(pause, 1 << (attempt - 1));
    }
    let waits = object.clone().pending(Wait::Queued { calls_before: 1, about: None });
    object.status = waits.shown();
    assert_eq!((object.says_now(), object.status.as_ref().unwrap().attempts), ("Queued", None));
    object.absorb(&object.report(End::Failed(unavailable())));
    assert_eq!(object.status.as_ref().unwrap().attempts, Some(4), "that it waited for its turn changes nothing");
    object.generation += 1;
    object.absorb(&object.report(End::Failed(unavailable())));
    assert_eq!(object.status.unwrap().attempts, Some(1));
}

/// Being asked shortens no wait, and is answered all the same; what a person can end is tried again once.
#[test]
fn requests_are_answered() {
    for reason in [Reason::Auth0Unavailable, Reason::AwaitingConsistency] {
        let asked = Case { asked: Some("now"), ..case().says(reason, Some(NOW + 30)) };
        assert_eq!(asked.decide(), Decision::Acknowledge(Some(Duration::from_secs(30))), "{reason}");
        let before = asked.status.clone().unwrap();
        let answered = RemovalStatus { last_handled_reconcile_at: Some("now".into()), ..before };
        assert_eq!(asked.shown(), Some(answered), "{reason}");
    }
    for reason in [Reason::SubjectNotFound, Reason::ItemNotFound, Reason::InvalidRequest] {
        let stalled = case().says(reason, None);
        assert_eq!(stalled.decide(), Decision::AwaitChange(None), "{reason}");
        let asked = Case { asked: Some("now"), ..stalled.clone() };
        assert_eq!(task(&asked.decide()), REMOVE, "{reason}");
        let shown = asked.clone().pending(Wait::Working).shown().unwrap();
        assert_eq!(shown.last_handled_reconcile_at, None, "{reason}: not while it is tried");
        assert!(asked.after(&asked.report(End::Gone)).last_handled_reconcile_at.is_some(), "{reason}");
        assert_eq!(task(&Case { generation: GENERATION + 1, ..stalled }.decide()), REMOVE, "{reason}: edited");
    }
}

/// A clock that was ahead makes no wait endless.
#[test]
fn a_wait_from_another_clock_is_not_believed() {
    for reason in [Reason::Auth0Unavailable, Reason::AwaitingConsistency] {
        let waits = case().says(reason, Some(NOW + 30));
        assert_eq!(waits.decide(), Decision::AwaitChange(Some(Duration::from_secs(30))));
        assert_eq!(task(&case().says(reason, Some(NOW + 1_000_000)).decide()), REMOVE, "{reason}");
        assert_eq!(task(&case().says(reason, Some(NOW)).decide()), REMOVE, "{reason}");
    }
}

/// A job that waits where it does not belong any more is taken back.
#[test]
fn a_job_goes_where_it_belongs() {
    let waits = case().pending(Wait::Queued { calls_before: 3, about: None });
    let Decision::UpdateStatus(..) = waits.decide() else { panic!("{:?}", waits.decide()) };
    let domain = waits.domain().unwrap();
    let rotated = Case { tenant: Connection::Ready { domain, token: "second" }, ..waits.clone() };
    assert_eq!(rotated.decide(), Decision::TakeReport);
    assert_eq!(Case { generation: GENERATION + 1, ..waits }.decide(), Decision::TakeReport);
}

/// Which reads accompany a removal is the tenant's to say.
#[test]
fn verification_decides_on_reads() {
    let of = |verification| task(&Case { verification, ..case() }.decide());
    assert_eq!(of(Verification::Never), Task::Remove { before: false, after: false });
    assert_eq!(of(Verification::After), REMOVE);
    assert_eq!(of(Verification::BeforeAndAfter), Task::Remove { before: true, after: true });
}
