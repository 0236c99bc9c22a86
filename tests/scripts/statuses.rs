//! Every status the operator's own code can produce, and what others are to make of it: the table of DESIGN section 2.

use std::time::Duration;

use jiff::Timestamp;
use rescind::api::{IfNotFound, Reason, RemovalStatus};
use rescind::auth0::{CallError, Endpoint, Rejection};
use rescind::dispatch::{End, Report, Unproven};
use rescind::revocation::Outcome;
use rescind::tenant::{Problem, tenant_status};
use serde_json::{Value, json};

use crate::lua::KINDS;

const GENERATION: i64 = 3;

/// An object and the verdicts on it.
#[derive(Clone, Debug)]
pub struct Case {
    /// How it came to this, for failures.
    pub name: String,
    pub reason: Reason,
    pub object: Value,
    pub health: &'static str,
    pub kstatus: &'static str,
}

/// Written down once more, on purpose; a new reason does not compile without its row.
fn verdicts(reason: Reason) -> (&'static str, &'static str) {
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

/// One way to each reason an object can have, some reasons by several ways.
fn outcomes(old: Option<&RemovalStatus>) -> Vec<Outcome> {
    let report = |accepted: bool, end| Report {
        accepted_at: accepted.then(|| at(0)),
        removed: usize::from(accepted),
        already_absent: 0,
        seen: accepted,
        token: None,
        correlation: Some("rescind-1".into()),
        refused: Vec::new(),
        end,
    };
    let failed = |error| report(false, End::Failed(error));
    let reports = [
        report(true, End::Gone),
        report(false, End::Gone),
        report(true, End::Unproven(Unproven::Off)),
        report(true, End::Unproven(Unproven::MissingScope("read:users".into()))),
        report(true, End::Remaining(1)),
        report(true, End::NotFound),
        report(false, End::NotFound),
        failed(CallError::Rejected(Rejection::Body)),
        failed(CallError::Unauthorized("401")),
        failed(CallError::Denied("403")),
        failed(CallError::InsufficientScope("delete:organization_members".into())),
        failed(CallError::RateLimited(Duration::from_secs(9))),
        failed(CallError::no_answer("it does not answer")),
    ];
    let endpoint = Endpoint::UserRoles { user: "auth0|5f7c8ec7c33c6c004bbafe82".into() };
    let concluded = |report: &Report| Outcome::of_report(report, &endpoint, 1, IfNotFound::Fail, old, at(1), 0.0);
    let held = [
        Outcome::plain(Reason::Suspended, "Auth0Tenant default is suspended: nothing is sent"),
        Outcome::plain(Reason::TenantNotReady, "There is no Auth0Tenant default in this namespace; create it"),
        Outcome::plain(Reason::InvalidRequest, "Nothing was sent: the list of what to remove is empty"),
        Outcome::rate_limited(at(60)),
    ];
    reports.iter().map(concluded).chain(held).collect()
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
    // What the schema fills in.
    spec["mode"] = json!("Remove");
    spec["suspend"] = json!(false);
    if kind != "Auth0Tenant" {
        spec["tenantRef"] = json!({"kind": "Auth0Tenant", "name": "default"});
        spec["policy"] = json!("Once");
        spec["ifNotFound"] = json!("Fail");
    }
    let name = if kind == "Auth0Tenant" { "default" } else { "jane" };
    json!({
        "apiVersion": "rescind.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "identity", "generation": GENERATION},
        "spec": spec,
        "status": status.unwrap_or_else(|| default_status(kind)),
    })
}

/// What the schema makes of an object without a status.
fn default_status(kind: &str) -> Value {
    let crd = rescind::api::crds().into_iter().find(|crd| crd.definition.spec.names.kind == kind).unwrap();
    let crd = serde_json::to_value(crd.definition).unwrap();
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]["default"].clone()
}

/// An object of this kind that nobody has looked at.
pub fn fresh(kind: &str) -> Value {
    object(kind, None)
}

fn case(kind: &str, name: String, reason: Reason, status: Value) -> Case {
    let (health, kstatus) = verdicts(reason);
    Case { name, reason, object: object(kind, Some(status)), health, kstatus }
}

/// The statuses of the tenant.
pub fn of_tenant() -> Vec<Case> {
    let problems =
        [Reason::SecretNotFound, Reason::InvalidCredentials, Reason::DomainNotAllowed, Reason::InvalidConnection];
    let problems = problems.into_iter().chain([Reason::Unauthorized, Reason::SecretNotFound]);
    let problem = |reason| Some(Problem { reason, message: format!("why it is {reason}") });
    let mut old = None;
    let mut cases = Vec::new();
    for problem in problems.map(problem).chain([None]) {
        let reason = problem.as_ref().map_or(Reason::Connected, |problem| problem.reason);
        let status = tenant_status(old.as_ref(), GENERATION, "acme.eu.auth0.com", false, problem.as_ref(), at(1));
        cases.push(case("Auth0Tenant", format!("tenant, {reason}"), reason, serde_json::to_value(&status).unwrap()));
        old = Some(status);
    }
    cases
}

/// Each outcome of an object of `kind`, once.
pub fn of_removal(kind: &str) -> Vec<Case> {
    let status = |outcome: &Outcome| serde_json::to_value(outcome.status(None, GENERATION, at(2))).unwrap();
    let case = |outcome: &Outcome| case(kind, format!("{kind}, {}", outcome.reason), outcome.reason, status(outcome));
    outcomes(None).iter().map(case).collect()
}

/// Every status: each outcome on a new object and after each other outcome, of this generation and of the one before, for
/// a kind; the others' statuses are the same; and the tenant's.
pub fn all() -> Vec<Case> {
    let mut cases: Vec<Case> = KINDS[..4].iter().flat_map(|kind| of_removal(kind)).collect();
    cases.extend(of_tenant());
    for first in outcomes(None) {
        for generation in [GENERATION - 1, GENERATION] {
            let old = first.status(None, generation, at(2));
            for outcome in outcomes(Some(&old)) {
                let status = serde_json::to_value(outcome.status(Some(&old), GENERATION, at(3))).unwrap();
                let name = format!("{} of {generation}, then {}", first.reason, outcome.reason);
                cases.push(case("UserRoleRevocation", name, outcome.reason, status));
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
