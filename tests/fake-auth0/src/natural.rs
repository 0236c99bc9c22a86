//! The answer to a call without a fault: it checks token, limit, scope and form, then acts.
//!
//! Synchronous: no lock outlives a call of these functions.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, StatusCode};

use crate::{
    answers::{self, Answer, Problem},
    buckets::Decision,
    clients::Desk,
    endpoints::{Endpoint, ROLE_MEMBERS_SCOPE, Scopes},
    faults::Act,
    kinds::{Group, Kind},
    lists, paging,
    pipeline::{FORM, Payload, Request},
    removals,
    switches::{LimitWording, SizeCheck, Switches, UserRolesScopes, Verdict},
    tenant::Tenant,
    tokens::Issued,
    validate,
};

/// Whether a method could change something.
pub(crate) fn writes(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH | Method::DELETE)
}

/// The answer to a call, which acts as far as `act` allows.
pub(crate) fn answer(tenant: &Tenant, request: &Request, act: Act) -> Answer {
    let switches = tenant.quirks().switches;
    let too_large = matches!(request.payload, Payload::TooLarge);
    if too_large && switches.size_check == SizeCheck::BeforeToken {
        return Problem::TOO_LARGE.into();
    }
    let Some(endpoint) = request.endpoint else {
        let forbidden = writes(&request.call.method);
        return if forbidden { Problem::FORBIDDEN_WRITE } else { Problem::NO_ROUTE }.into();
    };
    let token = if endpoint.kind == Kind::Token {
        None
    } else {
        let header = request.authorization.as_deref();
        match tenant.tokens.admit(header, &tenant.audience, tenant.epoch(), switches.other_scheme) {
            Ok(token) => Some(token),
            Err(problem) => return problem.into(),
        }
    };
    if too_large {
        return Problem::TOO_LARGE.into();
    }
    let decision = tenant.buckets().call(endpoint.group, tenant.elapsed(), switches.global_limit);
    let mut answer = match (decision.allowed, token) {
        (false, _) => refused(decision, endpoint.kind, switches.limit_wording),
        (true, None) => token_request(tenant, request),
        (true, Some(token)) => admitted(tenant, request, endpoint, &token, act, &switches).unwrap_or_else(Answer::from),
    };
    if tells_limits(endpoint.kind, answer.status) {
        answer.headers.extend(limit_headers(decision, tenant.now()));
    }
    answer
}

/// Whether an answer reports rate limits: of the Management API 2xx and 429, of the token endpoint all.
fn tells_limits(kind: Kind, status: StatusCode) -> bool {
    kind == Kind::Token || status.is_success() || status == StatusCode::TOO_MANY_REQUESTS
}

fn refused(decision: Decision, kind: Kind, wording: LimitWording) -> Answer {
    match decision.refused {
        Some((group, per_minute)) if wording == LimitWording::Group && kind != Kind::Token => {
            answers::too_many(group, per_minute)
        }
        _ => answers::usual(StatusCode::TOO_MANY_REQUESTS, kind),
    }
}

fn limit_headers(decision: Decision, now: Duration) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    let report = decision.report.map(|report| {
        // Rounded up: the first whole second at which the bucket is certainly full.
        let reset = (now + report.reset_after + Duration::from_millis(999)).as_secs();
        [
            (HeaderName::from_static("x-ratelimit-limit"), HeaderValue::from(report.limit)),
            (HeaderName::from_static("x-ratelimit-remaining"), HeaderValue::from(report.remaining)),
            (HeaderName::from_static("x-ratelimit-reset"), HeaderValue::from(reset)),
        ]
    });
    let retry_after = decision.retry_after.map(|wait| {
        let seconds = (wait + Duration::from_millis(999)).as_secs();
        (http::header::RETRY_AFTER, HeaderValue::from(seconds))
    });
    report.into_iter().flatten().chain(retry_after)
}

fn token_request(tenant: &Tenant, request: &Request) -> Answer {
    let body = match &request.payload {
        Payload::Json(body) => Some(body),
        Payload::Absent | Payload::Malformed | Payload::TooLarge => None,
    };
    let desk = Desk { tokens: &tenant.tokens, domain: &tenant.domain, now: tenant.epoch() };
    tenant.clients().answer(body, desk)
}

fn admitted(
    tenant: &Tenant,
    request: &Request,
    endpoint: &Endpoint,
    token: &Issued,
    act: Act,
    switches: &Switches,
) -> Result<Answer, Problem> {
    check_scope(endpoint, token, switches)?;
    if endpoint.kind.is_effective() && switches.effective_views == Verdict::Refused {
        return Err(Problem::PLAN);
    }
    if let Some(problem) = &request.path_problem {
        return Err(problem.clone());
    }
    if let Some(rule) = endpoint.body {
        let body = if matches!(act, Act::WithoutBody) { None } else { removal_body(request, switches)? };
        let mut items = validate::body_items(rule, body, switches)?;
        if switches.query_on_delete == Verdict::Refused {
            paging::only(&request.call.query, &[])?;
        }
        if let Act::First(count) = act {
            items.truncate(count);
        }
        return Ok(removals::remove(tenant, &request.call, &items));
    }
    let shown = match endpoint.list {
        Some(rule) => lists::page(tenant, &request.call, rule, token)?,
        None => lists::one(tenant, &request.call)?,
    };
    Ok(Answer::json(StatusCode::OK, &shown))
}

fn check_scope(endpoint: &Endpoint, token: &Issued, switches: &Switches) -> Result<(), Problem> {
    let switched = match endpoint.kind {
        Kind::DeleteUserRoles => switches.role_members_scope == Verdict::Accepted && token.has(ROLE_MEMBERS_SCOPE),
        Kind::GetUserRoles => {
            let two = ["read:users", "read:roles"];
            switches.user_roles_scopes == UserRolesScopes::Two && two.iter().all(|name| token.has(name))
        }
        _ => false,
    };
    let (satisfied, expectation) = match endpoint.scopes {
        Scopes::None => (true, ""),
        Scopes::AnyOf(names) => (names.iter().any(|name| token.has(name)), "any"),
        Scopes::AllOf(names) => (names.iter().all(|name| token.has(name)), "all"),
    };
    if satisfied || switched { Ok(()) } else { Err(Problem::scope(expectation, endpoint.scopes.names())) }
}

/// The body of a removal as JSON; a missing body is `None`, which the form check refuses.
fn removal_body<'a>(request: &'a Request, switches: &Switches) -> Result<Option<&'a serde_json::Value>, Problem> {
    let content_type = request.call.content_type.as_deref();
    let media_type = content_type.map(|name| name.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
    let known = match media_type.as_deref() {
        None => switches.untyped_body == Verdict::Accepted,
        Some(name) => matches!(name, "application/json" | FORM),
    };
    match &request.payload {
        Payload::Absent => Ok(None),
        Payload::TooLarge => Err(Problem::TOO_LARGE),
        _ if !known => Err(Problem::MEDIA_TYPE),
        Payload::Json(body) => Ok(Some(body)),
        Payload::Malformed => Err(Problem::bad_request("invalid_body", "Invalid request payload JSON format")),
    }
}

/// The group a call outside the table belongs to.
pub(crate) fn group(endpoint: Option<&Endpoint>) -> Group {
    endpoint.map_or(Group::Global, |endpoint| endpoint.group)
}
