//! What a call is answered when nothing goes wrong on purpose: token, limit, scope, form, then the deed.
//!
//! Synchronous: no lock outlives a call of these functions.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, StatusCode};

use crate::{
    answers::{Answer, Problem},
    buckets::Decision,
    clients::Desk,
    endpoints::{Endpoint, Group, Kind, Scopes},
    faults::Act,
    lists, paging,
    pipeline::{Payload, Request},
    removals,
    tenant::Tenant,
    tokens::Issued,
    validate,
};

/// Whether a method could change something.
pub(crate) fn writes(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH | Method::DELETE)
}

/// The answer to a call that may act as far as `act` says.
pub(crate) fn answer(tenant: &Tenant, request: &Request, act: Act) -> Answer {
    let Some(endpoint) = request.endpoint else {
        let forbidden = writes(&request.call.method);
        return if forbidden { Problem::FORBIDDEN_WRITE } else { Problem::NO_ROUTE }.into();
    };
    let token = if endpoint.kind == Kind::Token {
        None
    } else {
        match tenant.tokens.admit(request.authorization.as_deref(), &tenant.audience, tenant.epoch()) {
            Ok(token) => Some(token),
            Err(problem) => return problem.into(),
        }
    };
    let decision = tenant.buckets().call(endpoint.group, tenant.elapsed());
    let mut answer = match (decision.allowed, token) {
        (false, _) => crate::answers::usual(StatusCode::TOO_MANY_REQUESTS, endpoint.kind),
        (true, None) => token_request(tenant, request),
        (true, Some(token)) => admitted(tenant, request, endpoint, &token, act).unwrap_or_else(Answer::from),
    };
    answer.headers.extend(limit_headers(decision, tenant.now()));
    answer
}

fn limit_headers(decision: Decision, now: Duration) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    let report = decision.report.map(|report| {
        // Rounded up, as a whole second later is the first at which the bucket is surely full.
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
        Payload::Absent | Payload::Malformed => None,
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
) -> Result<Answer, Problem> {
    check_scope(endpoint.scopes, token)?;
    if let Some(problem) = &request.path_problem {
        return Err(problem.clone());
    }
    if let Some(rule) = endpoint.body {
        paging::only(&request.call.query, &[])?;
        let mut items = validate::body_items(rule, removal_body(request)?)?;
        if let Act::First(count) = act {
            items.truncate(count);
        }
        return removals::remove(tenant, &request.call, &items).map(Answer::no_content);
    }
    let shown = match endpoint.list {
        Some(rule) => lists::page(tenant, &request.call, rule, token)?,
        None => lists::one(tenant, &request.call)?,
    };
    Ok(Answer::json(StatusCode::OK, &shown))
}

fn check_scope(scopes: Scopes, token: &Issued) -> Result<(), Problem> {
    let (satisfied, expectation) = match scopes {
        Scopes::None => (true, ""),
        Scopes::AnyOf(names) => (names.iter().any(|name| token.has(name)), "any"),
        Scopes::AllOf(names) => (names.iter().all(|name| token.has(name)), "all"),
    };
    if satisfied { Ok(()) } else { Err(Problem::scope(expectation, scopes.names())) }
}

/// The body of a removal as JSON; a body that got lost is `None`, which the form check refuses.
fn removal_body(request: &Request) -> Result<Option<&serde_json::Value>, Problem> {
    let json = request.call.content_type.as_deref().is_some_and(|content_type| {
        content_type.split(';').next().is_some_and(|name| name.trim().eq_ignore_ascii_case("application/json"))
    });
    match &request.payload {
        Payload::Absent => Ok(None),
        _ if !json => Err(Problem::MEDIA_TYPE),
        Payload::Json(body) => Ok(Some(body)),
        Payload::Malformed => Err(Problem::bad_request("invalid_body", "Invalid request payload JSON format")),
    }
}

/// The group a call outside the table belongs to.
pub(crate) fn group(endpoint: Option<&Endpoint>) -> Group {
    endpoint.map_or(Group::Global, |endpoint| endpoint.group)
}
