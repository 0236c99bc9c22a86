//! Every status that the operator's code can produce, and how Argo CD and kstatus must judge it: the table of reasons.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rescind::api::{
    Auth0Tenant, Hold, Mode, Reason, RemovalOptions, RemovalStatus, Rfc3339, Verification, conditions, verdicts,
};
use rescind::auth0::{CallError, Domain, Endpoint, Item, Missing, Rejection, Token};
use rescind::dispatch::{ConnectionKey, End, KnownFacts, Refusal, Removal, Report, Task, Unverified, View, Wait};
use rescind::revocation::{Decision, Inputs, Items, Now, Tenant, acknowledged, apply_report, decide};
use rescind::tenant::{TenantError, TenantFacts, tenant_status};
use serde_json::{Value, json};

use crate::lua::kinds;

const GENERATION: i64 = 3;
/// When the objects were created, in seconds.
const CREATED: i64 = -60;
const DOMAIN: &str = "acme.eu.auth0.com";

/// An object, its expected health, and its expected kstatus.
#[derive(Clone, Debug)]
pub struct Case {
    /// How the object got this status, for messages of failures.
    pub name: String,
    pub reason: Reason,
    pub object: Value,
    pub health: &'static str,
    pub kstatus: &'static str,
}

/// The expected health and kstatus of each reason, independent of the code under test. A new reason does not compile
/// without its row.
fn expected(reason: Reason) -> (&'static str, &'static str) {
    use Reason as R;
    match reason {
        R::Removed | R::RemovedUnverified | R::AlreadyAbsent | R::WouldRemove | R::SubjectGone | R::NotReplayed => {
            ("Healthy", "Current")
        }
        R::Connected | R::Unproved => ("Healthy", "Current"),
        R::Queued | R::AwaitingProof | R::TenantNotReady | R::RateLimited | R::Auth0Unavailable => {
            ("Progressing", "InProgress")
        }
        R::AwaitingConsistency | R::SecretNotFound => ("Progressing", "InProgress"),
        R::SubjectNotFound | R::ItemNotFound | R::Expired | R::StillPresent | R::InvalidRequest => {
            ("Degraded", "Failed")
        }
        R::Unauthorized | R::InsufficientScope | R::Denied => ("Degraded", "Failed"),
        R::Protected | R::NamespaceNotAllowed | R::BrakeEngaged | R::UnknownField => ("Degraded", "Failed"),
        R::InvalidCredentials | R::DomainNotAllowed | R::InvalidConnection => ("Degraded", "Failed"),
        R::Scheduled | R::Suspended | R::OnHold => ("Suspended", "InProgress"),
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

/// The ways in which an object gets a status.
#[derive(Clone, Debug)]
enum Way {
    /// Its job ended with this report.
    Ends(Box<Report>),
    /// Its job waits for this.
    Waits(Wait),
    /// These options or this tenant allow no call.
    Blocked(RemovalOptions, Tenant<'static>),
    /// The same, with a tenant that is ready.
    Scheduled(RemovalOptions),
    /// No outcome of this version has this reason, but another version may write it.
    Told(Reason),
}

fn removal() -> Removal {
    let items = ["rol_bN1a2b3c4d5e6f7g", "rol_0123456789abcdef"].map(|role| Item::Id(role.into())).to_vec();
    Removal { endpoint: Endpoint::UserRoles { user: "auth0|5f7c8ec7c33c6c004bbafe82".into() }, items }
}

fn report(accepted: bool, end: End) -> Report {
    let task = Task::Remove { before: false, after: true };
    Report {
        task,
        accepted: if accepted { removal().items } else { Vec::new() },
        accepted_unnamed: 0,
        already_absent: Vec::new(),
        not_found: match end {
            End::NotFound(Missing::Item) => removal().items,
            _ => Vec::new(),
        },
        refused: Vec::new(),
        first_accepted_at: accepted.then(|| at(0)),
        accepted_at: accepted.then(|| at(0)),
        lost: false,
        seen: accepted,
        through_roles: BTreeSet::new(),
        read_at: Some(at(1)),
        connection: None,
        domain: Some(DOMAIN.parse().unwrap()),
        correlation: Some("rescind-1".into()),
        end,
    }
}

/// At least one way to each reason that an object can have.
fn ways() -> Vec<Way> {
    let failed = |error| report(false, End::Failed(error));
    let reports = [
        report(true, End::Gone),
        report(false, End::Gone),
        report(true, End::Unverified(Unverified::Never)),
        report(true, End::Unverified(Unverified::MissingScope("read:users".into()))),
        report(true, End::Remaining(removal().items)),
        report(true, End::NotFound(Missing::Subject)),
        report(false, End::NotFound(Missing::Subject)),
        report(false, End::NotFound(Missing::Item)),
        failed(CallError::Rejected(Rejection::Body)),
        failed(CallError::Unauthorized("401")),
        failed(CallError::Denied("403")),
        failed(CallError::InsufficientScope("delete:organization_members".into())),
        failed(CallError::RateLimited(Duration::from_secs(9))),
        failed(CallError::no_answer("it does not answer")),
    ];
    let observed = Report { task: Task::Observe, ..report(false, End::Remaining(removal().items)) };
    let (an_hour_ago, shown) = (Some(at(-3600)), End::Remaining(removal().items));
    let still_present = Report { first_accepted_at: an_hour_ago, accepted_at: an_hour_ago, ..report(true, shown) };
    let options = RemovalOptions::default;
    let suspended = RemovalOptions { suspend: true, ..options() };
    let unknown = RemovalOptions { unknown: vec!["spec.fromTheFuture".into()], ..options() };
    let time = |second| Some(Rfc3339::from(at(second).to_string().as_str()));
    let hold = Hold { until: "2099-01-01T00:00:00Z".into(), reason: "handover".into() };
    let on_hold = RemovalOptions { hold: Some(Box::new(hold)), ..options() };
    let no_secret = Tenant::NotReady { reason: Reason::SecretNotFound, message: "there is no Secret" };
    let blocked = [
        (suspended, Tenant::Missing),
        (unknown, Tenant::Missing),
        (on_hold, Tenant::Missing),
        (RemovalOptions { not_after: time(CREATED - 1), ..options() }, Tenant::Missing),
        (RemovalOptions { not_after: time(CREATED + 1), ..options() }, Tenant::Missing),
        (options(), Tenant::OnHold { until: at(60), why: "handover" }),
        (options(), Tenant::Missing),
        (options(), Tenant::NotAllowed("the namespace is not admitted")),
        (options(), Tenant::Suspended),
        (options(), no_secret),
    ];
    let waits = [
        Wait::Queued { calls_before: 7, about: Some(Duration::from_secs(4)) },
        Wait::AwaitingProof,
        Wait::Working,
        Wait::RateLimited { until: Instant::now() + Duration::from_secs(60), own: true },
    ];
    let of_others = [Reason::Protected, Reason::BrakeEngaged];
    let blocked = blocked.into_iter().map(|(options, tenant)| Way::Blocked(options, tenant));
    let later = Way::Scheduled(RemovalOptions { not_before: time(60), ..options() });
    let reports = reports.into_iter().chain([still_present, observed]).map(|report| Way::Ends(Box::new(report)));
    reports.chain(waits.map(Way::Waits)).chain(blocked).chain([later]).chain(of_others.map(Way::Told)).collect()
}

impl Way {
    /// The status, and its reason, that an object with status `old` has next.
    fn status(&self, old: Option<&RemovalStatus>, generation: i64) -> (Reason, RemovalStatus) {
        let domain: Domain = DOMAIN.parse().unwrap();
        let token = Token::read(b"e30.e30.token", &domain.default_audience(), at(0)).unwrap();
        let key = ConnectionKey::new(&domain, None, token.fingerprint());
        let now = Now { wall: at(2), steady: Instant::now() };
        let mode = Mode::Remove;
        let ready = Tenant::Ready {
            key,
            domain: &domain,
            verification: Verification::default(),
            mode,
            protected: None,
            brake: None,
            questions: &[],
            scopes: None,
        };
        let observing = RemovalOptions { mode: Mode::Observe, ..RemovalOptions::default() };
        let (options, tenant) = match self {
            Self::Blocked(options, tenant) => (options.clone(), *tenant),
            Self::Scheduled(options) => (options.clone(), ready),
            Self::Ends(report) if report.task == Task::Observe => (observing, ready),
            _ => (RemovalOptions::default(), ready),
        };
        let view = match self {
            Self::Waits(wait) => {
                let so_far = Box::new(report(*wait == Wait::AwaitingProof, End::HandedBack(Refusal::Withdrawn)));
                View::Pending { generation, submitted: now.steady, wait: *wait, so_far }
            }
            _ => View::Absent,
        };
        let (removal, items) = (removal(), Items::default());
        let inputs = Inputs {
            generation,
            removal: &removal,
            options: &options,
            status: old,
            items: &items,
            tenant,
            refusal: None,
            refused_with: None,
            is_probe: false,
            submitted_with: Some(key),
            submitted_to: Some(&domain),
            submitted_for: None,
            facts: KnownFacts::NONE,
            learning_since: None,
            view: &view,
            request: None,
            handed_back: None,
            failures: None,
            not_before: None,
            check_at: None,
            created: Some(at(CREATED)),
            now,
            jitter: 0.0,
        };
        let status = match (self, decide(&inputs)) {
            (Self::Ends(report), _) => {
                let status = apply_report(&inputs, generation, report).status;
                acknowledged(&Inputs { status: Some(&status), ..inputs })
            }
            (Self::Told(reason), _) => {
                let before = old.map(|old| old.conditions.clone()).unwrap_or_default();
                RemovalStatus {
                    observed_generation: Some(generation),
                    conditions: conditions(&before, &verdicts(*reason, "why"), generation, at(2)),
                    ..RemovalStatus::default()
                }
            }
            (_, Decision::Block(blocked)) => blocked.outcome.status(&inputs, true),
            (_, Decision::UpdateStatus(outcome, _)) => outcome.status(&inputs, false),
            // A finished object stays finished.
            _ => acknowledged(&inputs),
        };
        let reason = status.reason_text().and_then(Reason::parse);
        (reason.unwrap_or_else(|| panic!("{self:?} says nothing: {status:?}")), status)
    }
}

fn object(kind: &str, status: Option<Value>) -> Value {
    let mut spec = match kind {
        "UserPermissionRevocation" => json!({
            "userId": "auth0|5f7c8ec7c33c6c004bbafe82",
            "permissions": [{"resourceServerIdentifier": "https://api.example.com/", "permissionName": "read:x"}],
        }),
        "UserRoleRevocation" => json!({"userId": "auth0|5f7c8ec7c33c6c004bbafe82", "roles": ["rol_bN1a2b3c4d5e6f7g"]}),
        "OrgMembershipRemoval" => {
            json!({"organizationId": "org_9ybsU1dN2dKfDkBi", "members": ["auth0|5f7c8ec7c33c6c004bbafe82"]})
        }
        "OrgMemberRoleRemoval" => json!({
            "organizationId": "org_9ybsU1dN2dKfDkBi",
            "userId": "auth0|5f7c8ec7c33c6c004bbafe82",
            "roles": ["rol_bN1a2b3c4d5e6f7g"],
        }),
        _ => json!({
            "domain": "acme.eu.auth0.com",
            "credentials": {"tokenSecretRef": {"name": "auth0-management", "key": "token"}},
            "rateLimit": {"maxRequestsPerSecond": 10, "reservePercent": 20},
            "verification": "After",
            "brake": {"maxRemovals": 1000, "window": "1h", "maxShareOfOrganization": 25},
            "protected": {"userIds": [], "roleIds": [], "organizationIds": [], "keepHolders": []},
        }),
    };
    // The defaults of the schema.
    spec["mode"] = json!("Remove");
    spec["suspend"] = json!(false);
    if kind == "ClusterAuth0Tenant" {
        spec["allowedNamespaces"] = json!({"matchLabels": {"identity/tenant": "acme"}});
    }
    if !is_tenant(kind) {
        spec["tenantRef"] = json!({"kind": "Auth0Tenant", "name": "default"});
        spec["policy"] = json!("Once");
        spec["ifNotFound"] = json!("Fail");
    }
    let name = if is_tenant(kind) { "default" } else { "jane" };
    let mut object = json!({
        "apiVersion": "rescind.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "identity", "generation": GENERATION},
        "spec": spec,
        "status": status.unwrap_or_else(|| default_status(kind)),
    });
    if kind == "ClusterAuth0Tenant" {
        object["metadata"].as_object_mut().unwrap().remove("namespace");
    }
    object
}

pub fn is_tenant(kind: &str) -> bool {
    kind.ends_with("Auth0Tenant")
}

/// The default of the status in the schema.
fn default_status(kind: &str) -> Value {
    let crd = rescind::api::crds().into_iter().find(|crd| crd.definition.spec.names.kind == kind).unwrap();
    let crd = serde_json::to_value(crd.definition).unwrap();
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]["default"].clone()
}

/// An object of this kind that the operator has not looked at.
pub fn fresh(kind: &str) -> Value {
    object(kind, None)
}

fn case(kind: &str, name: String, reason: Reason, status: Value) -> Case {
    let (health, kstatus) = expected(reason);
    Case { name, reason, object: object(kind, Some(status)), health, kstatus }
}

/// The statuses of a tenant of this kind. Both kinds have the same.
pub fn of_tenant(kind: &str) -> Vec<Case> {
    let problems = [
        Reason::SecretNotFound,
        Reason::InvalidCredentials,
        Reason::DomainNotAllowed,
        Reason::InvalidConnection,
        Reason::Unauthorized,
        Reason::UnknownField,
        Reason::TenantNotReady,
        Reason::SecretNotFound,
    ];
    let problems = problems.map(|reason| Some(TenantError { reason, message: format!("why it is {reason}") }));
    let quiet = TenantFacts {
        error: None,
        credential: None,
        kinds: &[],
        accepted: false,
        unreachable: None,
        open_until: None,
        brake: None,
        engaged: &[],
        organizations: &[],
        request: None,
    };
    let accepted = TenantFacts { accepted: true, ..quiet };
    let problems = problems.iter().map(|problem| (TenantFacts { error: problem.as_ref(), ..quiet }, false));
    let mut tenant: Auth0Tenant = serde_json::from_value(fresh("Auth0Tenant")).unwrap();
    tenant.status = None;
    let mut cases = Vec::new();
    for (facts, suspend) in problems.chain([(accepted, false), (quiet, false), (accepted, true)]) {
        tenant.spec.tenant.suspend = suspend;
        let status = tenant_status(&tenant, GENERATION, facts, at(1));
        let reason = status.conditions.iter().find(|condition| condition.type_ == "Ready").unwrap().reason.clone();
        let reason = Reason::parse(&reason).unwrap();
        let name = format!("tenant, {reason}");
        let mut case = case(kind, name, reason, serde_json::to_value(&status).unwrap());
        if suspend {
            // A suspended tenant stays as ready as it was; nothing waits for it to go on.
            case.kstatus = "Current";
        }
        cases.push(case);
        tenant.status = Some(status);
    }
    cases
}

fn to_case(kind: &str, name: &str, (reason, status): (Reason, RemovalStatus)) -> Case {
    case(kind, format!("{name}{reason}"), reason, serde_json::to_value(status).unwrap())
}

/// Every outcome of an object of `kind`, once each.
pub fn of_removal(kind: &str) -> Vec<Case> {
    ways().iter().map(|way| to_case(kind, &format!("{kind}, "), way.status(None, GENERATION))).collect()
}

/// Every status: for one kind, each outcome on a new object and after each other outcome, of this generation and of the
/// one before (other kinds have the same statuses); and the statuses of the tenant.
pub fn all() -> Vec<Case> {
    let removals = kinds().into_iter().filter(|kind| !is_tenant(kind));
    let mut cases: Vec<Case> = removals.flat_map(|kind| of_removal(&kind)).collect();
    cases.extend(["Auth0Tenant", "ClusterAuth0Tenant"].into_iter().flat_map(of_tenant));
    let ways = ways();
    for first in &ways {
        for generation in [GENERATION - 1, GENERATION] {
            let (reason, old) = first.status(None, generation);
            // What Auth0 has accepted is proved whatever the time, and an object that has expired submits nothing.
            let is_possible = |way: &&Way| match way {
                Way::Scheduled(_) => old.last_removal_time.is_none(),
                Way::Waits(_) => reason != Reason::Expired,
                Way::Ends(_) | Way::Blocked(..) | Way::Told(_) => true,
            };
            for way in ways.iter().filter(is_possible) {
                let name = format!("{reason} of {generation}, then ");
                let after = way.status(Some(&old), GENERATION);
                cases.push(to_case("UserRoleRevocation", &name, after));
            }
        }
    }
    cases
}

#[test]
fn every_reason_is_among_the_cases() {
    let cases = all();
    for reason in Reason::ALL {
        assert!(cases.iter().any(|case| case.reason == *reason), "no way leads to {reason}");
    }
}
