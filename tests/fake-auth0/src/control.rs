//! The control API of the program: plain HTTP on loopback, JSON in and out, for tests in other processes.
//!
//! It only translates; the README of this crate lists the calls.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::{
    Bucket, Call, Client, FakeAuth0, Fault, FaultHandle, Group, Kind, Lag, PagingQuirks, Relation, State, Switches,
    TokenSpec, fault_spec::FaultSpec, serve::AFTER_FAILED_ACCEPT,
};

struct Control {
    fake: FakeAuth0,
    faults: Mutex<BTreeMap<u64, FaultHandle>>,
}

type Outcome = Result<Value, (StatusCode, String)>;

/// Serves the control API until dropped.
pub async fn serve_control(listener: TcpListener, fake: FakeAuth0) {
    let control = Arc::new(Control { fake, faults: Mutex::default() });
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(AFTER_FAILED_ACCEPT).await;
            continue;
        };
        let control = Arc::clone(&control);
        tokio::spawn(async move {
            let service = service_fn(|request| control.answer(request));
            // A client that went away will connect again.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TokenRequest {
    scopes: Option<Vec<String>>,
    expires_in: Option<i64>,
    audience: Option<String>,
    canary: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ClientRequest {
    id: String,
    secret: String,
    scopes: Option<Vec<String>>,
    expires_in: Option<i64>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct EditRequest {
    remove: Vec<Relation>,
    add: Vec<Relation>,
    /// Whether lists show the changes with their lag.
    late: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct LimitRequest {
    group: Group,
    burst: Option<u32>,
    #[serde(default)]
    per_second: f64,
    per_minute: Option<f64>,
    #[serde(default)]
    unreported: bool,
    #[serde(default)]
    retry_after: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct LagRequest {
    list: Kind,
    millis: Option<u64>,
    /// With `millis`: the longest lag.
    up_to_millis: Option<u64>,
    reads: Option<u32>,
    flicker: Option<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ApiRequest {
    identifier: String,
    enforce_policies: bool,
    token_lifetime: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ConnectionRequest {
    organization: String,
    name: String,
    assign_membership_on_login: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SeedRequest {
    seed: u64,
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, (StatusCode, String)> {
    serde_json::from_slice(body).map_err(bad_request)
}

fn bad_request(error: impl ToString) -> (StatusCode, String) {
    (StatusCode::BAD_REQUEST, error.to_string())
}

fn not_found() -> (StatusCode, String) {
    (StatusCode::NOT_FOUND, "no such control call".into())
}

impl Control {
    async fn answer(&self, request: http::Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let (status, body) = match self.dispatch(&parts.method, parts.uri.path(), &body) {
            Ok(value) => (StatusCode::OK, value),
            Err((status, error)) => (status, json!({"error": error})),
        };
        let mut response = Response::new(Full::from(body.to_string()));
        *response.status_mut() = status;
        response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
        Ok(response)
    }

    fn dispatch(&self, method: &Method, path: &str, body: &[u8]) -> Outcome {
        let path: Vec<&str> = path.trim_matches('/').split('/').collect();
        match (method.as_str(), path.as_slice()) {
            ("GET", rest) => self.read(rest),
            ("POST", ["tokens"]) => parse(body).map(|request| self.token(request)),
            ("POST", ["clients"]) => parse(body).map(|request| self.client(request)),
            ("POST", ["edit"]) => parse(body).map(|request| self.edit(&request)),
            ("PUT", ["state"]) => parse(body).map(|state: State| {
                self.fake.edit(|edit| edit.replace(state));
                json!({})
            }),
            ("POST", ["resource-servers"]) => parse(body).map(|request: ApiRequest| {
                let ApiRequest { identifier, enforce_policies, token_lifetime } = request;
                self.fake.edit(|edit| edit.api(&identifier, enforce_policies, token_lifetime));
                json!({})
            }),
            ("POST", ["connections"]) => parse(body).map(|request: ConnectionRequest| {
                let ConnectionRequest { organization, name, assign_membership_on_login } = request;
                self.fake
                    .edit(|edit| drop(edit.organization(organization).connection(&name, assign_membership_on_login)));
                json!({})
            }),
            ("POST", ["limits"]) => parse(body).map(|request| self.limit(&request)),
            ("POST", ["lag"]) => parse(body).map(|request| self.lag(&request)),
            ("POST", ["paging"]) => parse(body).map(|quirks: PagingQuirks| {
                self.fake.paging(quirks);
                json!({})
            }),
            ("PUT", ["switches"]) => parse(body).map(|switches: Switches| self.switches(switches)),
            ("POST", ["random-switches"]) => {
                parse(body).map(|SeedRequest { seed }| self.switches(Switches::random(seed)))
            }
            ("POST", ["no-lag"]) => {
                self.fake.no_lag();
                Ok(json!({}))
            }
            ("POST", ["go-away"]) => {
                self.fake.go_away();
                Ok(json!({}))
            }
            ("POST", ["reset-calls"]) => {
                self.fake.reset_calls();
                Ok(json!({}))
            }
            (_, ["faults", rest @ ..]) => self.faults(method, rest, body),
            _ => Err(not_found()),
        }
    }

    fn read(&self, path: &[&str]) -> Outcome {
        match path {
            ["state"] => serde_json::to_value(self.fake.state())
                .map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
            ["calls"] => Ok(self.fake.calls().iter().map(|call| show(call)).collect()),
            ["counts"] => Ok(Kind::ALL.into_iter().map(|kind| (name(kind), json!(self.fake.count(kind)))).collect()),
            ["switches"] => Ok(json!(self.fake.switches())),
            ["forbidden-writes"] => Ok(self.fake.forbidden_writes().iter().map(|call| show(call)).collect()),
            ["faults"] => {
                let faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
                Ok(faults.iter().map(|(id, handle)| json!({"id": id, "hits": handle.hits()})).collect())
            }
            _ => Err(not_found()),
        }
    }

    fn faults(&self, method: &Method, path: &[&str], body: &[u8]) -> Outcome {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        let find = |id: &str| id.parse::<u64>().map_err(|_| not_found());
        match (method.as_str(), path) {
            ("POST", []) => {
                let fault = Fault::try_from(parse::<FaultSpec>(body)?).map_err(bad_request)?;
                let handle = self.fake.fault(fault);
                let id = faults.last_key_value().map_or(1, |(last, _)| last + 1);
                faults.insert(id, handle);
                return Ok(json!({"id": id}));
            }
            ("DELETE", []) => {
                self.fake.clear_faults();
                faults.clear();
            }
            ("POST", [id, "release"]) => faults.get(&find(id)?).ok_or_else(not_found)?.release(),
            ("DELETE", [id]) => faults.remove(&find(id)?).ok_or_else(not_found)?.remove(),
            _ => return Err(not_found()),
        }
        Ok(json!({}))
    }

    fn token(&self, request: TokenRequest) -> Value {
        let all = || self.fake.all_scopes().into_iter().map(str::to_owned).collect();
        let mut spec = TokenSpec::new(request.scopes.unwrap_or_else(all));
        if let Some(seconds) = request.expires_in {
            spec = spec.expires_in(seconds);
        }
        if let Some(audience) = request.audience {
            spec = spec.audience(audience);
        }
        if let Some(canary) = request.canary {
            spec = spec.canary(canary);
        }
        json!({"token": self.fake.token_with(&spec)})
    }

    fn client(&self, request: ClientRequest) -> Value {
        let all = || self.fake.all_scopes().into_iter().map(str::to_owned).collect();
        let client = Client::new(request.id, request.secret).scopes(request.scopes.unwrap_or_else(all));
        self.fake.client(match request.expires_in {
            Some(seconds) => client.expires_in(seconds),
            None => client,
        });
        json!({})
    }

    fn edit(&self, request: &EditRequest) -> Value {
        if request.late {
            self.fake.take(request.remove.iter().cloned());
            self.fake.give(request.add.iter().cloned());
        } else {
            self.fake.edit(|edit| {
                request.remove.iter().for_each(|relation| edit.remove(relation));
                request.add.iter().for_each(|relation| edit.add(relation));
            });
        }
        json!({})
    }

    fn switches(&self, switches: Switches) -> Value {
        self.fake.set_switches(switches);
        json!(switches)
    }

    fn limit(&self, request: &LimitRequest) -> Value {
        let bucket = request.burst.map(|burst| {
            let bucket = request.per_minute.map(|calls| Bucket::per_minute(burst, calls));
            Bucket {
                reported: !request.unreported,
                retry_after: request.retry_after,
                ..bucket.unwrap_or(Bucket::new(burst, request.per_second))
            }
        });
        self.fake.limit(request.group, bucket);
        json!({})
    }

    fn lag(&self, request: &LagRequest) -> Value {
        let millis = Duration::from_millis;
        let timed = request.millis.map(|least| match request.up_to_millis {
            Some(most) => Lag::Between(millis(least), millis(most)),
            None => Lag::For(millis(least)),
        });
        let counted = request.reads.map(Lag::Reads).or(request.flicker.map(Lag::Flicker));
        self.fake.lag(request.list, timed.or(counted));
        json!({})
    }
}

fn name(kind: Kind) -> String {
    serde_json::to_value(kind).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
}

fn show(call: &Call) -> Value {
    let wall = jiff::Timestamp::try_from(call.wall).map(|time| time.to_string()).unwrap_or_default();
    json!({
        "seq": call.seq,
        "time": wall,
        "method": call.method.as_str(),
        "path": call.path,
        "query": call.query.iter().cloned().collect::<BTreeMap<_, _>>(),
        "kind": call.kind,
        "group": call.group,
        "user": call.user,
        "organization": call.organization,
        "role": call.role,
        "resourceServer": call.resource_server,
        "body": call.body,
        "correlationId": call.correlation_id,
        "userAgent": call.user_agent,
        "token": call.token,
        "httpVersion": format!("{:?}", call.version),
        "connection": call.connection,
        "status": call.status(),
        "removed": call.answer().map(|answer| answer.removed),
    })
}
