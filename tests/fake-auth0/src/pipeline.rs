//! One call from its first byte to its answer: it is read, logged, possibly given a fault, and answered.

use std::{
    error::Error,
    sync::{Arc, OnceLock, atomic::Ordering::Relaxed},
    time::Instant,
};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, Version, header, request::Parts};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use serde_json::Value;
use tokio::sync::Notify;

use crate::{
    answers::{Answer, Problem, usual},
    body::{self, Out},
    clients,
    endpoints::{self, Endpoint, Format},
    faults::{Act, Hold, Plan, Reply, Shape},
    form,
    kinds::Kind,
    log::Call,
    natural,
    rules::Rule,
    streams::{Stream, Streams},
    switches::PathNames,
    tenant::Tenant,
    tokens, validate,
};

/// The connection a call came over.
#[derive(Clone)]
pub(crate) struct Connection {
    pub number: u64,
    /// Notified when the connection is to be broken.
    pub cut: Arc<Notify>,
    /// Notified when an answer is about to be written.
    pub answered: Arc<Notify>,
    pub streams: Arc<Streams>,
}

/// A call, with what the answer needs beyond the entry in the log.
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
    /// JSON, or a form as JSON.
    Json(Value),
    Malformed,
    /// Larger than Auth0 reads.
    TooLarge,
}

/// The media type of forms.
pub(crate) const FORM: &str = "application/x-www-form-urlencoded";

/// Auth0's limit for a whole request.
const MAX_BODY: usize = 1024 * 1024;

/// The result of a call with a fault.
enum Faulted {
    Answer(Answer),
    /// The connection is closed.
    Hangup,
    /// The client is told that the call was not processed.
    Unprocessed {
        go_away: bool,
    },
}

/// Answers one call. An error resets its stream (over HTTP/1.1, closes the connection).
pub(crate) async fn handle(
    tenant: Arc<Tenant>,
    connection: Connection,
    stream: Stream,
    request: http::Request<Incoming>,
) -> Result<Response<Out>, Box<dyn Error + Send + Sync>> {
    let (parts, incoming) = request.into_parts();
    let body = Limited::new(incoming, MAX_BODY).collect().await.map(|body| body.to_bytes()).ok();
    if !stream.begin() {
        return std::future::pending().await;
    }
    let request = read(&tenant, &connection, &parts, body.as_ref());
    let forbidden = request.endpoint.is_none() && natural::writes(&parts.method);
    let flight = tenant.log.arrive(&request.call, forbidden);
    let rule = tenant.faults.pick(&request.call);
    let outcome = match &rule {
        None => Faulted::Answer(natural::answer(&tenant, &request, Act::Fully)),
        Some(rule) => faulted(&tenant, &request, rule).await,
    };
    let answer = match outcome {
        Faulted::Answer(answer) => answer,
        Faulted::Unprocessed { go_away } if parts.version == Version::HTTP_2 => {
            if go_away && stream.go_away_before() {
                return std::future::pending().await;
            }
            return Err(Box::new(h2::Error::from(h2::Reason::REFUSED_STREAM)));
        }
        Faulted::Hangup | Faulted::Unprocessed { .. } => {
            connection.cut.notify_one();
            return std::future::pending().await;
        }
    };
    flight.answered(answer.status.as_u16(), answer.removed);
    connection.answered.notify_one();
    let plan = rule.as_ref().map(|rule| &rule.fault.plan);
    let shape = plan.map_or(Shape::Whole, |plan| plan.shape);
    Ok(body::response(answer, shape, plan.map_or(&[], |plan| &plan.headers), tenant.date()))
}

async fn faulted(tenant: &Tenant, request: &Request, rule: &Rule) -> Faulted {
    let plan = &rule.fault.plan;
    rule.waiting.arrive();
    if !plan.delay.is_zero() {
        tokio::time::sleep(plan.delay).await;
    }
    if plan.hold == Hold::BeforeActing {
        rule.waiting.pass().await;
    }
    let natural = (plan.act != Act::Not).then(|| natural::answer(tenant, request, plan.act));
    if plan.hold == Hold::AfterActing {
        rule.waiting.pass().await;
    }
    reply(plan, natural, request.call.kind)
}

fn reply(plan: &Plan, natural: Option<Answer>, kind: Kind) -> Faulted {
    let removed = natural.as_ref().map_or(0, |answer| answer.removed);
    let answer = match &plan.reply {
        Reply::Hangup => return Faulted::Hangup,
        Reply::Unprocessed { go_away } => return Faulted::Unprocessed { go_away: *go_away },
        Reply::Natural => natural.unwrap_or_else(|| usual(StatusCode::INTERNAL_SERVER_ERROR, kind)),
        Reply::Status(status) => usual(*status, kind),
        Reply::Text { status, content_type, body } => Answer::new(*status, *content_type, body.clone()),
    };
    let body = if plan.fields.is_empty() { answer.body } else { with_fields(&answer.body, &plan.fields) };
    Faulted::Answer(Answer { removed, body, ..answer })
}

/// A JSON object with some of its fields replaced; anything else as it was.
fn with_fields(body: &Bytes, fields: &[(String, Value)]) -> Bytes {
    let Ok(Value::Object(mut object)) = serde_json::from_slice(body) else { return body.clone() };
    object.extend(fields.iter().cloned());
    Value::Object(object).to_string().into()
}

fn read(tenant: &Tenant, connection: &Connection, parts: &Parts, body: Option<&Bytes>) -> Request {
    let text = |name| text(&parts.headers, name);
    let path = parts.uri.path();
    let (endpoint, ids) = endpoints::route(&parts.method, path).unzip();
    let kind = endpoint.map_or(Kind::Other, |endpoint| endpoint.kind);
    let content_type = text(header::CONTENT_TYPE);
    let payload = body.map_or(Payload::TooLarge, |body| payload(content_type.as_deref(), body));
    let query = query(parts.uri.query().unwrap_or(""));
    let names = tenant.quirks().switches.path_names;
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
        resource_server: None,
        page: endpoint.and_then(|endpoint| endpoint.list).map(|_| page(tenant, &query)),
        query,
        body: logged(kind, &payload),
        body_length: body.map_or(0, Bytes::len),
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
            Format::Organization => call.organization = decoded.map(|id| organization(tenant, id, names)),
            Format::OrganizationName => call.organization = decoded,
            Format::ResourceServer => call.resource_server = decoded,
            Format::Role | Format::AnyRole | Format::Permission => call.role = decoded,
        }
        path_problem = path_problem.or(validate::path_id(id, names).err());
    }
    Request { call: Arc::new(call), endpoint, path_problem, authorization, payload }
}

/// The id of the organization that a path names.
fn organization(tenant: &Tenant, named: String, names: PathNames) -> String {
    if names != PathNames::Found || Format::Organization.fits(&named) {
        return named;
    }
    tenant.state().organization_named(&named).map(str::to_owned).unwrap_or(named)
}

/// Which page of a walk a read asks for, from 0.
fn page(tenant: &Tenant, query: &[(String, String)]) -> u64 {
    let value = |name| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    match value("from") {
        Some(cursor) => tenant.page_of(cursor).unwrap_or(0),
        None if value("take").is_some() => 0,
        None => value("page").and_then(|page| page.parse().ok()).unwrap_or(0),
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

fn fingerprint(tenant: &Tenant, header: &str) -> Option<String> {
    let token = tokens::bearer(header)?;
    Some(tenant.tokens.find(token).map_or_else(|| tokens::fingerprint(token), |issued| issued.fingerprint.clone()))
}

fn payload(content_type: Option<&str>, body: &[u8]) -> Payload {
    if body.is_empty() {
        return Payload::Absent;
    }
    let is_form = content_type.is_some_and(|name| name.starts_with(FORM));
    let parsed = if is_form { form::parse(body) } else { serde_json::from_slice(body).ok() };
    parsed.map_or(Payload::Malformed, Payload::Json)
}

fn logged(kind: Kind, payload: &Payload) -> Option<Value> {
    match payload {
        Payload::Json(body) if kind == Kind::Token => Some(clients::without_secrets(body)),
        Payload::Json(body) => Some(body.clone()),
        Payload::Absent | Payload::Malformed | Payload::TooLarge => None,
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
