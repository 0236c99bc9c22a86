//! The pure parts together: an object, everything around it, and what becomes of it.

mod counts;
mod life;
mod order;
mod rows;
mod writes;

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::refusals::Refused;
use super::{Absorbed, Decision, Inputs, Items, Now, Tenant, absorb, decide};
use crate::api::{
    ConditionType, Reason, RemovalOptions, RemovalResult, RemovalStatus, Verification, conditions, time, verdicts,
};
use crate::auth0::{Domain, Endpoint, Item, Token};
use crate::dispatch::{ConnectionKey, End, History, Refusal, Removal, Report, Task, View, Wait};

const NOW: i64 = 1_800_000_000;
const GENERATION: i64 = 3;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn role(n: usize) -> Item {
    Item::Id(format!("rol_bN1a2b3c4d5e6f{n:02}").as_str().into())
}

fn key(domain: &Domain, token: &str) -> ConnectionKey {
    let token = Token::read(token.as_bytes(), &domain.default_audience(), at(NOW)).unwrap();
    ConnectionKey::new(domain, None, &token)
}

/// What its `tenantRef` points to.
#[derive(Clone, Debug)]
enum Connection {
    Missing,
    Suspended,
    NotReady(Reason),
    Ready { domain: Domain, token: &'static str },
}

/// An object and the world around it.
#[derive(Clone, Debug)]
struct Case {
    generation: i64,
    removal: Removal,
    options: RemovalOptions,
    status: Option<RemovalStatus>,
    items: Items,
    tenant: Connection,
    verification: Verification,
    refusal: Option<Refused>,
    refused_with: Option<ConnectionKey>,
    submitted_with: Option<ConnectionKey>,
    submitted_to: Option<Domain>,
    view: View,
    asked: Option<&'static str>,
    unconfirmed: u32,
    not_before: Option<Instant>,
    now: Now,
}

/// An object nobody has looked at that names two roles, with a tenant that is ready.
fn case() -> Case {
    Case {
        generation: GENERATION,
        removal: Removal { endpoint: Endpoint::UserRoles { user: "auth0|a".into() }, items: vec![role(1), role(2)] },
        options: RemovalOptions::default(),
        status: None,
        items: Items::default(),
        tenant: Connection::Ready { domain: "acme.auth0.com".parse().unwrap(), token: "first" },
        verification: Verification::After,
        refusal: None,
        refused_with: None,
        submitted_with: None,
        submitted_to: None,
        view: View::Absent,
        asked: None,
        unconfirmed: 0,
        not_before: None,
        now: Now { wall: at(NOW), steady: Instant::now() },
    }
}

impl Case {
    fn with<T>(&self, use_it: impl FnOnce(&Inputs<'_>) -> T) -> T {
        let tenant = match &self.tenant {
            Connection::Missing => Tenant::Missing,
            Connection::Suspended => Tenant::Suspended,
            Connection::NotReady(reason) => Tenant::NotReady { reason: *reason, message: "no Secret" },
            Connection::Ready { domain, token } => {
                Tenant::Ready { key: key(domain, token), domain, verification: self.verification }
            }
        };
        use_it(&Inputs {
            generation: self.generation,
            removal: &self.removal,
            options: &self.options,
            status: self.status.as_ref(),
            items: &self.items,
            tenant,
            refusal: self.refusal.as_ref(),
            refused_with: self.refused_with,
            submitted_with: self.submitted_with,
            submitted_to: self.submitted_to.as_ref(),
            view: &self.view,
            asked: self.asked,
            unconfirmed: self.unconfirmed,
            not_before: self.not_before,
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

    /// Its status carries this reason.
    fn says(mut self, reason: Reason, next: Option<i64>) -> Self {
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

    /// Takes what came of a job, as the reconcile does.
    fn absorb(&mut self, report: &Report) -> Absorbed {
        let absorbed = self.with(|inputs| absorb(inputs, self.generation, report));
        self.status = Some(absorbed.status.clone());
        self.items = absorbed.items.clone();
        self.view = View::Absent;
        if let (Some(asked), Some(status)) = (self.asked, &self.status) {
            self.asked = (status.last_handled_reconcile_at.as_deref() != Some(asked)).then_some(asked);
        }
        absorbed
    }

    /// What it says when this came of its job.
    fn after(&self, report: &Report) -> RemovalStatus {
        self.clone().absorb(report).status
    }

    /// What it says after the decision.
    fn shown(&self) -> Option<RemovalStatus> {
        self.with(|inputs| match decide(inputs) {
            Decision::Block(blocked) => Some(blocked.outcome.status(inputs, true)),
            Decision::UpdateStatus(outcome, _) => Some(outcome.status(inputs, false)),
            Decision::Acknowledge(_) => Some(super::acknowledged(inputs)),
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

    /// A call was made, and nothing came of it.
    fn report(&self, end: End) -> Report {
        Report {
            accepted: Vec::new(),
            already_absent: Vec::new(),
            not_found: Vec::new(),
            refused: Vec::new(),
            first_accepted_at: None,
            accepted_at: None,
            lost: false,
            seen: false,
            read_at: Some(self.now.wall),
            connection: matches!(self.tenant, Connection::Ready { .. }).then(|| self.key()),
            domain: self.domain(),
            correlation: None,
            end,
        }
    }

    /// Auth0 accepted the DELETE of everything now.
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
}

fn words(status: &RemovalStatus) -> [Option<String>; 5] {
    let of = |kind| status.condition(kind);
    let holds = |kind| of(kind).map(|condition| condition.status.clone());
    let verified = of(ConditionType::Verified).map(|c| format!("{}/{}", c.status, c.reason));
    let (reconciling, stalled) = (holds(ConditionType::Reconciling), holds(ConditionType::Stalled));
    [holds(ConditionType::Ready), reconciling, stalled, status.reason_text().map(str::to_owned), verified]
}

fn task(decision: &Decision) -> Task {
    match decision {
        Decision::Submit { task, .. } => *task,
        other => panic!("{other:?}"),
    }
}

const REMOVE: Task = Task::Remove { before: false, after: true };
