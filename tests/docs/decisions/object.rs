//! An object with everything around it, for the real `decide` and `apply_report`.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rescind::api::{Mode, RemovalOptions, RemovalStatus, Rfc3339, Verification};
use rescind::auth0::{Domain, Endpoint, Item, Token};
use rescind::dispatch::{ConnectionKey, End, KnownFacts, Refusal, Removal, Report, Task, View, Wait};
use rescind::revocation::{
    AppliedReport, Decision, Inputs, Items, Now, Refused, Tenant, acknowledged, apply_report, decide,
};

pub const REMOVE: Task = Task::Remove { before: false, after: true };
/// Every object has this `interval`, in seconds.
pub const INTERVAL: u64 = 3600;

pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

pub fn written(at: Timestamp) -> Option<Rfc3339> {
    Some(Rfc3339::from(at.to_string().as_str()))
}

/// What `tenantRef` points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TenantIs {
    Missing,
    NotAllowed,
    Suspended,
    OnHold,
    NotReady,
    Ready,
}

#[derive(Clone, Debug)]
pub struct Object {
    pub generation: i64,
    pub options: RemovalOptions,
    pub status: Option<RemovalStatus>,
    pub items: Items,
    pub tenant: TenantIs,
    pub tenant_mode: Mode,
    /// What the tenant protects of it.
    pub protected: Option<&'static str>,
    pub brake: Option<&'static str>,
    pub domain: Domain,
    pub token: &'static str,
    pub scopes: Option<Vec<String>>,
    pub refusal: Option<Refused>,
    pub refused_with: Option<ConnectionKey>,
    pub submitted_with: Option<ConnectionKey>,
    pub submitted_to: Option<Domain>,
    pub submitted_for: Option<&'static str>,
    pub view: View,
    pub request: Option<&'static str>,
    pub created: Timestamp,
    pub check_at: Option<Instant>,
    pub now: Now,
}

impl Object {
    /// A new object, with a tenant that is ready.
    pub fn new() -> Self {
        Self {
            generation: 3,
            options: RemovalOptions::default(),
            status: None,
            items: Items::default(),
            tenant: TenantIs::Ready,
            tenant_mode: Mode::Remove,
            protected: None,
            brake: None,
            domain: "acme.auth0.com".parse().unwrap(),
            token: "first",
            scopes: None,
            refusal: None,
            refused_with: None,
            submitted_with: None,
            submitted_to: None,
            submitted_for: None,
            view: View::Absent,
            request: None,
            created: at(-60),
            check_at: None,
            now: Now { wall: at(0), steady: Instant::now() },
        }
    }

    pub fn removal() -> Removal {
        let items = ["rol_bN1a2b3c4d5e6f7g", "rol_0123456789abcdef"].map(|role| Item::Id(role.into())).to_vec();
        Removal { endpoint: Endpoint::UserRoles { user: "auth0|a".into() }, items }
    }

    pub fn key(&self) -> ConnectionKey {
        let token = format!("e30.e30.{}", self.token);
        let token = Token::read(token.as_bytes(), &self.domain.default_audience(), at(0)).unwrap();
        ConnectionKey::new(&self.domain, None, token.fingerprint())
    }

    fn with<T>(&self, function: impl FnOnce(&Inputs<'_>) -> T) -> T {
        let tenant = match self.tenant {
            TenantIs::Missing => Tenant::Missing,
            TenantIs::NotAllowed => Tenant::NotAllowed("the namespace is not admitted"),
            TenantIs::Suspended => Tenant::Suspended,
            TenantIs::OnHold => Tenant::OnHold { until: self.now.wall + Duration::from_secs(3600), why: "handover" },
            TenantIs::NotReady => {
                Tenant::NotReady { reason: rescind::api::Reason::SecretNotFound, message: "there is no Secret" }
            }
            TenantIs::Ready => {
                let (verification, scopes) = (Verification::default(), self.scopes.as_deref());
                let (key, domain, mode) = (self.key(), &self.domain, self.tenant_mode);
                let (protected, brake) = (self.protected, self.brake);
                Tenant::Ready { key, domain, verification, mode, protected, brake, questions: &[], scopes }
            }
        };
        function(&Inputs {
            generation: self.generation,
            removal: &Self::removal(),
            options: &self.options,
            created: Some(self.created),
            status: self.status.as_ref(),
            items: &self.items,
            tenant,
            refusal: self.refusal.as_ref(),
            refused_with: self.refused_with,
            is_probe: false,
            submitted_with: self.submitted_with,
            submitted_to: self.submitted_to.as_ref(),
            submitted_for: self.submitted_for,
            facts: KnownFacts::NONE,
            learning_since: None,
            view: &self.view,
            request: self.request,
            handed_back: None,
            failures: None,
            not_before: None,
            check_at: self.check_at,
            now: self.now,
            jitter: 0.0,
        })
    }

    pub fn decide(&self) -> Decision {
        self.with(decide)
    }

    /// The status that the decision leads to; none if nothing is written.
    pub fn shown(&self) -> Option<RemovalStatus> {
        self.with(|inputs| match decide(inputs) {
            Decision::Block(blocked) => Some(blocked.outcome.status(inputs, true)),
            Decision::UpdateStatus(outcome, _) => Some(outcome.status(inputs, false)),
            Decision::Acknowledge => Some(acknowledged(inputs)),
            Decision::AwaitChange(_) | Decision::TakeReport | Decision::Submit { .. } => None,
        })
    }

    /// The same object with the status that it shows now.
    pub fn told(mut self) -> Self {
        self.status = self.shown();
        self
    }

    pub fn later(mut self, seconds: u64) -> Self {
        self.now.wall += Duration::from_secs(seconds);
        self.now.steady += Duration::from_secs(seconds);
        self
    }

    pub fn apply(&self, report: &Report) -> AppliedReport {
        self.with(|inputs| apply_report(inputs, self.generation, report))
    }

    /// The same object after this report.
    pub fn after(mut self, report: &Report) -> Self {
        let applied = self.apply(report);
        (self.status, self.items) = (Some(applied.status), applied.items);
        self
    }

    /// The report of a job of which Auth0 accepted nothing.
    pub fn report(&self, task: Task, end: End) -> Report {
        Report {
            task,
            accepted: Vec::new(),
            accepted_unnamed: 0,
            already_absent: Vec::new(),
            not_found: Vec::new(),
            refused: Vec::new(),
            first_accepted_at: None,
            accepted_at: None,
            lost: false,
            seen: false,
            through_roles: BTreeSet::new(),
            read_at: Some(self.now.wall),
            connection: Some(self.key()),
            domain: Some(self.domain.clone()),
            correlation: None,
            end,
        }
    }

    /// The report of a job of which Auth0 accepted everything, now.
    pub fn accepted(&self, end: End) -> Report {
        Report {
            accepted: Self::removal().items,
            first_accepted_at: Some(self.now.wall),
            accepted_at: Some(self.now.wall),
            seen: true,
            correlation: Some("rescind-1".into()),
            ..self.report(REMOVE, end)
        }
    }

    /// The same object with a job that waits.
    pub fn pending(mut self, task: Task, wait: Wait, accepted: bool) -> Self {
        let end = End::HandedBack(Refusal::Withdrawn);
        let so_far = if accepted { self.accepted(end) } else { self.report(task.clone(), end) };
        let so_far = Box::new(Report { task, ..so_far });
        (self.submitted_with, self.submitted_to) = (Some(self.key()), Some(self.domain.clone()));
        self.view = View::Pending { generation: self.generation, submitted: self.now.steady, wait, so_far };
        self
    }
}
