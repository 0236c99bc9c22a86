//! One call from its first byte to its answer: read, enter in the log, befall with a fault, answer.

use std::{
    io,
    sync::{Arc, OnceLock, atomic::Ordering::Relaxed},
    time::Instant,
};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, header, request::Parts};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use serde_json::Value;
use tokio::sync::Notify;

use crate::{
    answers::{Answer, Problem, usual},
    body::{self, Out},
    clients,
    endpoints::{self, Endpoint, Format, Kind},
    faults::{Act, Hold, Plan, Reply, Shape},
    log::Call,
    natural,
    rules::Rule,
    tenant::Tenant,
    tokens, validate,
};

/// The connection a call came over.
#[derive(Clone)]
pub(crate) struct Connection {
    pub number: u64,
    /// Told when the connection is to be broken.
    pub cut: Arc<Notify>,
}

/// A call with what the answer needs beyond the log's entry.
pub(crate) struct Request {
    pub call: Arc<Call>,
    pub endpoint: Option<&'static Endpoint>,
    pub path_problem: Option<Problem>,
    pub authorization: Option<String>,
    pub payload: Payload,
}

/// The body of a call.
pub(crate) enum Payload {
    Absent,
    Json(Value),
    Malformed,
}

/// Auth0's limit for a whole request.
const MAX_BODY: usize = 1024 * 1024;

/// Answers one call.
pub(crate) async fn handle(
    tenant: Arc<Tenant>,
    connection: Connection,
    request: http::Request<Incoming>,
) -> io::Result<Response<Out>> {
    let (parts, incoming) = request.into_parts();
    let Ok(body) = Limited::new(incoming, MAX_BODY).collect().await else {
        let problem = Problem::new(StatusCode::PAYLOAD_TOO_LARGE, None, "Payload content length greater than maximum");
        return Ok(body::response(problem.into(), Shape::Whole, &[], tenant.date()));
    };
    let request = read(&tenant, &connection, &parts, &body.to_bytes());
    let forbidden = request.endpoint.is_none() && natural::writes(&parts.method);
    let flight = tenant.log.arrive(&request.call, forbidden);
    let rule = tenant.faults.pick(&request.call);
    let answer = match &rule {
        None => natural::answer(&tenant, &request, Act::Fully),
        Some(rule) => match befallen(&tenant, &request, rule).await {
            Some(answer) => answer,
            None => {
                connection.cut.notify_one();
                return std::future::pending().await;
            }
        },
    };
    flight.answered(answer.status.as_u16(), answer.removed);
    let plan = rule.as_ref().map(|rule| &rule.fault.plan);
    let shape = plan.map_or(Shape::Whole, |plan| plan.shape);
    Ok(body::response(answer, shape, plan.map_or(&[], |plan| &plan.headers), tenant.date()))
}

/// The answer to a call that a fault befell; `None` to close the connection.
async fn befallen(tenant: &Tenant, request: &Request, rule: &Rule) -> Option<Answer> {
    let plan = &rule.fault.plan;
    rule.gate.arrive();
    if !plan.delay.is_zero() {
        tokio::time::sleep(plan.delay).await;
    }
    if plan.hold == Hold::BeforeActing {
        rule.gate.pass().await;
    }
    let natural = (plan.act != Act::Not).then(|| natural::answer(tenant, request, plan.act));
    if plan.hold == Hold::AfterActing {
        rule.gate.pass().await;
    }
    reply(plan, natural, request.call.kind)
}

fn reply(plan: &Plan, natural: Option<Answer>, kind: Kind) -> Option<Answer> {
    let removed = natural.as_ref().map_or(0, |answer| answer.removed);
    let answer = match &plan.reply {
        Reply::Hangup => return None,
        Reply::Natural => natural.unwrap_or_else(|| usual(StatusCode::INTERNAL_SERVER_ERROR, kind)),
        Reply::Status(status) => usual(*status, kind),
        Reply::Text { status, content_type, body } => Answer::new(*status, *content_type, body.clone()),
    };
    Some(Answer { removed, ..answer })
}

fn read(tenant: &Tenant, connection: &Connection, parts: &Parts, body: &Bytes) -> Request {
    let text = |name| text(&parts.headers, name);
    let path = parts.uri.path();
    let (endpoint, ids) = endpoints::route(&parts.method, path).unzip();
    let kind = endpoint.map_or(Kind::Other, |endpoint| endpoint.kind);
    let content_type = text(header::CONTENT_TYPE);
    let payload = payload(kind, content_type.as_deref(), body);
    let authorization = text(header::AUTHORIZATION);
    let mut call = Call {
        seq: tenant.log.next_seq(),
        at: Instant::now(),
        wall: std::time::SystemTime::now(),
        method: parts.method.clone(),
        path: path.to_owned(),
        kind,
        group: natural::group(endpoint),
        user: None,
        organization: None,
        role: None,
        query: query(parts.uri.query().unwrap_or("")),
        body: logged(kind, &payload),
        body_length: body.len(),
        content_type,
        correlation_id: text(header::HeaderName::from_static("x-correlation-id")),
        user_agent: text(header::USER_AGENT),
        token: authorization.as_deref().and_then(|header| fingerprint(tenant, header)),
        version: parts.version,
        connection: connection.number,
        answer: OnceLock::new(),
    };
    let mut path_problem = None;
    for id in ids.unwrap_or_default() {
        let decoded = validate::decode_once(id.raw).map(|id| id.into_owned());
        match id.format {
            Format::User => call.user = decoded,
            Format::Organization => call.organization = decoded,
            Format::Role | Format::Permission => call.role = decoded,
        }
        path_problem = path_problem.or(validate::path_id(id).err());
    }
    Request { call: Arc::new(call), endpoint, path_problem, authorization, payload }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

fn fingerprint(tenant: &Tenant, header: &str) -> Option<String> {
    let token = tokens::bearer(header)?;
    Some(tenant.tokens.find(token).map_or_else(|| tokens::fingerprint(token), |issued| issued.fingerprint.clone()))
}

fn payload(kind: Kind, content_type: Option<&str>, body: &[u8]) -> Payload {
    if body.is_empty() {
        return Payload::Absent;
    }
    let form = content_type.is_some_and(|name| name.starts_with("application/x-www-form-urlencoded"));
    let parsed =
        if kind == Kind::Token && form { clients::parse_form(body) } else { serde_json::from_slice(body).ok() };
    parsed.map_or(Payload::Malformed, Payload::Json)
}

fn logged(kind: Kind, payload: &Payload) -> Option<Value> {
    match payload {
        Payload::Json(body) if kind == Kind::Token => Some(clients::without_secrets(body)),
        Payload::Json(body) => Some(body.clone()),
        Payload::Absent | Payload::Malformed => None,
    }
}

fn query(text: &str) -> Vec<(String, String)> {
    let decode = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(key, value)| (decode(key), decode(value)))
        .collect()
}

/// Counts a connection as open until it is dropped.
pub(crate) struct Open(pub Arc<Tenant>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}
