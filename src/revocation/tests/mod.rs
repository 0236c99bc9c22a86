//! The pure parts together: a [`Case`] is an object with everything around it, to which reports and time are added.

mod checks;
mod clocks;
mod counts;
mod effects;
mod ends;
mod fifth_kind;
mod life;
mod moves;
mod observations;
mod observed_again;
mod order;
mod reconciled;
mod requests;
mod rows;
mod still_present;
mod writes;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::refusals::Refused;
use super::{AppliedReport, Decision, Inputs, Items, Now, Tenant, apply_report, decide};
use crate::api::{
    ConditionType, Mode, Reason, RemovalOptions, RemovalResult, RemovalStatus, Verification, conditions, time, verdicts,
};
use crate::auth0::{CallError, Domain, Endpoint, Item, Token};
use crate::dispatch::{ConnectionKey, End, History, KnownFacts, Refusal, Removal, Report, Task, View, Wait};

const NOW: i64 = 1_800_000_000;
const GENERATION: i64 = 3;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn role(n: usize) -> Item {
    Item::Id(format!("rol_bN1a2b3c4d5e6f{n:02}").as_str().into())
}

fn key(domain: &Domain, token: &str) -> ConnectionKey {
    let token = Token::read(format!("e30.e30.{token}").as_bytes(), &domain.default_audience(), at(NOW)).unwrap();
    ConnectionKey::new(domain, None, token.fingerprint())
}

/// What its `tenantRef` points to.
#[derive(Clone, Debug)]
enum Connection {
    Missing,
    NotAllowed,
    Suspended,
    OnHold,
    NotReady(Reason),
    Ready { domain: Domain, token: &'static str },
}

/// The inputs of a decision, owned.
#[derive(Clone, Debug)]
struct Case {
    generation: i64,
    removal: Removal,
    options: RemovalOptions,
    status: Option<RemovalStatus>,
    items: Items,
    tenant: Connection,
    verification: Verification,
    tenant_mode: Mode,
    protected: Option<&'static str>,
    brake: Option<&'static str>,
    scopes: Option<Vec<String>>,
    refusal: Option<Refused>,
    refused_with: Option<ConnectionKey>,
    is_probe: bool,
    submitted_with: Option<ConnectionKey>,
    submitted_to: Option<Domain>,
    submitted_for: Option<&'static str>,
    facts: KnownFacts,
    learning_since: Option<Instant>,
    view: View,
    request: Option<&'static str>,
    handed_back: Option<(Refusal, u32)>,
    failures: Option<crate::revocation::Failures>,
    not_before: Option<Instant>,
    created: Option<Timestamp>,
    check_at: Option<Instant>,
    now: Now,
}

/// A new object that names two roles, with a tenant that is ready.
fn case() -> Case {
    Case {
        generation: GENERATION,
        removal: Removal { endpoint: Endpoint::UserRoles { user: "auth0|a".into() }, items: vec![role(1), role(2)] },
        options: RemovalOptions::default(),
        status: None,
        items: Items::default(),
        tenant: Connection::Ready { domain: "acme.auth0.com".parse().unwrap(), token: "first" },
        verification: Verification::After,
        tenant_mode: Mode::Remove,
        protected: None,
        brake: None,
        scopes: None,
        refusal: None,
        refused_with: None,
        is_probe: false,
        submitted_with: None,
        submitted_to: None,
        submitted_for: None,
        facts: KnownFacts::default(),
        learning_since: None,
        view: View::Absent,
        request: None,
        handed_back: None,
        failures: None,
        not_before: None,
        created: Some(at(NOW - 60)),
        check_at: None,
        now: Now { wall: at(NOW), steady: Instant::now() },
    }
}

impl Case {
    fn with<T>(&self, function: impl FnOnce(&Inputs<'_>) -> T) -> T {
        let tenant = match &self.tenant {
            Connection::Missing => Tenant::Missing,
            Connection::NotAllowed => Tenant::NotAllowed("the namespace is not admitted"),
            Connection::Suspended => Tenant::Suspended,
            Connection::OnHold => Tenant::OnHold { until: at(NOW + 3600), why: "handover" },
            Connection::NotReady(reason) => Tenant::NotReady { reason: *reason, message: "no Secret" },
            Connection::Ready { domain, token } => {
                let (key, scopes) = (key(domain, token), self.scopes.as_deref());
                Tenant::Ready {
                    key,
                    domain,
                    verification: self.verification,
                    mode: self.tenant_mode,
                    protected: self.protected,
                    brake: self.brake,
                    questions: &[],
                    scopes,
                }
            }
        };
        function(&Inputs {
            generation: self.generation,
            removal: &self.removal,
            options: &self.options,
            status: self.status.as_ref(),
            items: &self.items,
            tenant,
            refusal: self.refusal.as_ref(),
            refused_with: self.refused_with,
            is_probe: self.is_probe,
            submitted_with: self.submitted_with,
            submitted_to: self.submitted_to.as_ref(),
            submitted_for: self.submitted_for,
            facts: &self.facts,
            learning_since: self.learning_since,
            view: &self.view,
            request: self.request,
            handed_back: self.handed_back,
            failures: self.failures,
            not_before: self.not_before,
            created: self.created,
            check_at: self.check_at,
            now: self.now,
            jitter: 0.0,
        })
    }

    fn decide(&self) -> Decision {
        self.with(decide)
    }

    fn key(&self) -> ConnectionKey {
        match &self.tenant {
            Connection::Ready { domain, token } => key(domain, token),
            other => panic!("{other:?} has no key"),
        }
    }

    fn domain(&self) -> Option<Domain> {
        match &self.tenant {
            Connection::Ready { domain, .. } => Some(domain.clone()),
            _ => None,
        }
    }

    /// The same object with this reason in its status, and this time of the next attempt in seconds.
    fn with_reason(mut self, reason: Reason, next: Option<i64>) -> Self {
        self.status = Some(RemovalStatus {
            observed_generation: Some(self.generation),
            conditions: conditions(&[], &verdicts(reason, "x"), self.generation, at(NOW - 9)),
            next_attempt_time: next.map(|second| time(at(second))),
            domain: Some("acme.auth0.com".into()),
            result: Some(RemovalResult { requested: 2, ..RemovalResult::default() }),
            ..RemovalStatus::default()
        });
        self
    }

    /// Applies the report of a job, as the reconcile does.
    fn apply_report(&mut self, report: &Report) -> AppliedReport {
        let applied = self.with(|inputs| apply_report(inputs, self.generation, report));
        self.status = Some(applied.status.clone());
        self.items = applied.items.clone();
        (self.failures, self.handed_back) = (applied.failures.or(self.failures), applied.handed_back);
        self.view = View::Absent;
        if let (Some(request), Some(status)) = (self.request, &self.status) {
            self.request = (status.last_handled_reconcile_at.as_deref() != Some(request)).then_some(request);
        }
        applied
    }

    /// The status of the object after this report.
    fn after(&self, report: &Report) -> RemovalStatus {
        self.clone().apply_report(report).status
    }

    /// The status that the decision leads to, if it leads to one.
    fn shown(&self) -> Option<RemovalStatus> {
        self.with(|inputs| match decide(inputs) {
            Decision::Block(blocked) => Some(blocked.outcome.status(inputs, true)),
            Decision::UpdateStatus(outcome, _) => Some(outcome.status(inputs, false)),
            Decision::Acknowledge => Some(super::acknowledged(inputs)),
            Decision::AwaitChange(_) | Decision::TakeReport | Decision::Submit { .. } => None,
        })
    }

    fn reason(&self) -> Option<String> {
        self.shown().and_then(|status| status.reason_text().map(str::to_owned))
    }

    fn pending(mut self, wait: Wait) -> Self {
        self.submitted_with = Some(self.key());
        self.submitted_to = self.domain();
        let so_far =
            Box::new(Report { connection: None, domain: None, ..self.report(End::HandedBack(Refusal::Withdrawn)) });
        self.view = View::Pending { generation: self.generation, submitted: self.now.steady, wait, so_far };
        self
    }

    fn later(&mut self, seconds: u64) {
        self.now.wall += Duration::from_secs(seconds);
        self.now.steady += Duration::from_secs(seconds);
    }

    /// The report of a job that made a read and no DELETE.
    fn report(&self, end: End) -> Report {
        Report {
            task: REMOVE,
            accepted: Vec::new(),
            accepted_unnamed: self.with(|inputs| inputs.known().history(inputs.removal, false)).accepted_unnamed,
            already_absent: Vec::new(),
            not_found: Vec::new(),
            refused: Vec::new(),
            first_accepted_at: None,
            accepted_at: None,
            lost: false,
            seen: false,
            through_roles: BTreeSet::new(),
            read_at: Some(self.now.wall),
            connection: matches!(self.tenant, Connection::Ready { .. }).then(|| self.key()),
            domain: self.domain(),
            correlation: None,
            end,
        }
    }

    /// The report of a job of which Auth0 accepted every DELETE now.
    fn accepted(&self, end: End) -> Report {
        Report {
            accepted: self.removal.items.clone(),
            first_accepted_at: Some(self.now.wall),
            accepted_at: Some(self.now.wall),
            seen: true,
            correlation: Some("rescind-1".into()),
            ..self.report(end)
        }
    }

    /// Another process takes over, which knows only the status.
    fn restart(&mut self) {
        self.items = Items::default();
        (self.refused_with, self.submitted_with, self.submitted_to) = (None, None, None);
        self.submitted_for = None;
        (self.not_before, self.handed_back, self.failures) = (None, None, None);
        self.refusal = None;
    }

    /// Waits until a job is submitted. Returns after how many seconds, its task, and the history it is given.
    fn submits(&mut self) -> (u64, Task, History) {
        let begun = self.now.wall;
        loop {
            match self.decide() {
                Decision::AwaitChange(Some(pause)) => self.later(pause.as_secs().max(1)),
                Decision::Submit { task, history, .. } => {
                    self.submitted_for = self.request;
                    let waited = self.now.wall.duration_since(begun).as_secs();
                    return (u64::try_from(waited).unwrap(), task, history);
                }
                other => panic!("{other:?}"),
            }
        }
    }

    fn current_reason(&self) -> &str {
        self.status.as_ref().and_then(RemovalStatus::reason_text).unwrap_or_default()
    }

    /// The report of a job for which a read still shows every item.
    fn still_shown(&self, task: Task, history: &History) -> Report {
        let left = End::Remaining(self.removal.items.clone());
        match task {
            Task::Remove { .. } => self.accepted(left),
            Task::Learn(_) => panic!("it shows no items"),
            Task::Observe => Report { task, ..self.report(left) },
            Task::Prove => Report {
                task,
                accepted: history.accepted.clone(),
                already_absent: history.absent.clone(),
                first_accepted_at: history.first_accepted_at,
                accepted_at: history.accepted_at,
                ..self.report(left)
            },
        }
    }
}

/// `Ready`, `Reconciling`, `Stalled`, the reason, and `Verified` with its own reason.
fn words(status: &RemovalStatus) -> [Option<String>; 5] {
    let of = |kind| status.condition(kind);
    let holds = |kind| of(kind).map(|condition| condition.status.clone());
    let verified = of(ConditionType::Verified).map(|c| format!("{}/{}", c.status, c.reason));
    let (reconciling, stalled) = (holds(ConditionType::Reconciling), holds(ConditionType::Stalled));
    [holds(ConditionType::Ready), reconciling, stalled, status.reason_text().map(str::to_owned), verified]
}

fn unavailable() -> CallError {
    CallError::no_answer("the connection broke off")
}

fn task(decision: &Decision) -> Task {
    match decision {
        Decision::Submit { task, .. } => task.clone(),
        other => panic!("{other:?}"),
    }
}

const REMOVE: Task = Task::Remove { before: false, after: true };
