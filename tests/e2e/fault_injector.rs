//! A layer between the operator and the API server that injects the faults of networks and API servers.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use axum::body::{Body as AnyBody, Bytes, HttpBody};
use futures::future::BoxFuture;
use futures::{FutureExt, Stream, StreamExt, stream};
use http::{Request, Response};
use kube::client::Body;
use serde_json::json;
use tower::{Layer, Service};

/// Injects faults into the requests of every client that has it as a layer.
#[derive(Clone, Default)]
pub struct FaultInjector(Arc<Mutex<Plan>>, Arc<tokio::sync::watch::Sender<WatchFault>>);

#[derive(Default)]
struct Plan {
    /// Resources whose resource version has expired, and the paths that were listed since.
    gone: HashMap<String, HashSet<String>>,
    /// Events that contain this name are withheld.
    hidden: Option<String>,
    /// Events that contain this name come with a spec of the wrong type.
    garbled: Option<String>,
    /// Requests whose path contains this are forbidden.
    forbidden: Option<String>,
    /// How the next status writes fail, in order.
    failures: VecDeque<Failure>,
}

/// How a write fails.
#[derive(Clone, Copy, Debug)]
pub enum Failure {
    /// The API server refuses it with this status code.
    Refused(u16),
    /// It is carried out, but the answer is lost.
    AnswerLost,
}

/// The fault of the watches that are open.
#[derive(Clone, Copy, Default)]
enum WatchFault {
    #[default]
    None,
    Ended,
    Silent,
}

impl FaultInjector {
    /// Ends the open watches, and answers further watches of `resource` with 410 until it has been listed again.
    pub fn expire_resource_version(&self, resource: &str) {
        self.0.lock().unwrap().gone.insert(resource.to_owned(), HashSet::new());
        self.1.send_replace(WatchFault::Ended);
    }

    /// The open watches deliver nothing any more, without an error.
    pub fn silence(&self) {
        self.1.send_replace(WatchFault::Silent);
    }

    /// Watches withhold all events of the object of this name.
    pub fn hide(&self, name: &str) {
        self.0.lock().unwrap().hidden = Some(format!("\"name\":\"{name}\""));
    }

    /// Watches show the object of this name with a spec that cannot be parsed.
    pub fn garble(&self, name: &str) {
        self.0.lock().unwrap().garbled = Some(format!("\"name\":\"{name}\""));
    }

    /// Forbids reads whose path contains this; an empty text forbids none.
    pub fn forbid(&self, path: &str) {
        self.0.lock().unwrap().forbidden = Some(path.to_owned()).filter(|path| !path.is_empty());
    }

    fn forbids(&self, request: &Request<Body>) -> bool {
        let plan = self.0.lock().unwrap();
        let is_forbidden = |path: &String| request.uri().path().contains(path.as_str());
        request.method() == http::Method::GET && plan.forbidden.as_ref().is_some_and(is_forbidden)
    }

    /// The next status writes fail in these ways, one after the other.
    pub fn fail_writes(&self, failures: impl IntoIterator<Item = Failure>) {
        self.0.lock().unwrap().failures.extend(failures);
    }

    /// The number of failures that have not happened yet.
    pub fn failures_left(&self) -> usize {
        self.0.lock().unwrap().failures.len()
    }

    fn failure(&self, request: &Request<Body>) -> Option<Failure> {
        let is_write = request.method() == http::Method::PUT && request.uri().path().ends_with("/status");
        is_write.then(|| self.0.lock().unwrap().failures.pop_front()).flatten()
    }

    /// Whether the request watches from a resource version that has expired.
    fn refuses(&self, request: &Request<Body>) -> bool {
        let path = request.uri().path();
        let mut plan = self.0.lock().unwrap();
        let Some(listed) = plan.gone.get_mut(path.rsplit('/').next().unwrap()) else { return false };
        if !is_watch(request) {
            listed.insert(path.to_owned());
        }
        !listed.contains(path)
    }

    /// The body of a watch with its faults.
    fn interfere(self, body: AnyBody) -> impl Stream<Item = Result<Bytes, axum::Error>> {
        let mut changes = self.1.subscribe();
        let fate = changes.clone();
        let changed = async move { drop(changes.changed().await) };
        let after = stream::once(async move {
            let silent = matches!(*fate.borrow(), WatchFault::Silent);
            if silent {
                std::future::pending::<()>().await;
            }
            Ok(Bytes::new())
        });
        let mut rest = Vec::new();
        let lines = body.into_data_stream().map(move |bytes| {
            rest.extend_from_slice(&bytes?);
            let complete = rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            let lines: Vec<u8> = rest.drain(..complete).collect();
            let (hidden, garbled) = {
                let plan = self.0.lock().unwrap();
                (plan.hidden.clone(), plan.garbled.clone())
            };
            let is = |name: &Option<String>, line: &str| name.as_ref().is_some_and(|name| line.contains(name));
            let lines = String::from_utf8(lines).unwrap();
            let shown = lines.split_inclusive('\n').filter(|line| !is(&hidden, line));
            let garble = |line: &str| match is(&garbled, line) {
                true => line.replace("\"spec\":{", "\"spec\":7,\"was\":{"),
                false => line.to_owned(),
            };
            Ok(Bytes::from(shown.map(garble).collect::<String>()))
        });
        lines.take_until(changed.boxed()).chain(after)
    }
}

fn is_watch(request: &Request<Body>) -> bool {
    request.uri().query().is_some_and(|query| query.split('&').any(|pair| pair == "watch=true"))
}

fn refusal(code: u16, message: &str) -> Response<AnyBody> {
    let reason = match code {
        403 => "Forbidden",
        409 => "Conflict",
        410 => "Expired",
        429 => "TooManyRequests",
        _ => "InternalError",
    };
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "code": code, "reason": reason, "message": message,
    });
    Response::builder().status(code).body(AnyBody::from(status.to_string())).unwrap()
}

impl<S> Layer<S> for FaultInjector {
    type Service = FaultyService<S>;

    fn layer(&self, inner: S) -> FaultyService<S> {
        FaultyService { inner, injector: self.clone() }
    }
}

#[derive(Clone)]
pub struct FaultyService<S> {
    inner: S,
    injector: FaultInjector,
}

impl<S, B> Service<Request<Body>> for FaultyService<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<axum::BoxError>,
{
    type Response = Response<AnyBody>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (injector, watches) = (self.injector.clone(), is_watch(&request));
        if injector.refuses(&request) {
            return std::future::ready(Ok(refusal(410, "too old resource version"))).boxed();
        }
        if injector.forbids(&request) {
            return std::future::ready(Ok(refusal(403, "not yours"))).boxed();
        }
        let failure = injector.failure(&request);
        if let Some(Failure::Refused(status)) = failure {
            return std::future::ready(Ok(refusal(status, "a bad day"))).boxed();
        }
        let answer = self.inner.call(request);
        async move {
            let answer = answer.await?.map(AnyBody::new);
            if failure.is_some() {
                let broken = stream::iter([Ok("{"), Err("the connection broke off")]);
                return Ok(answer.map(|_| AnyBody::from_stream(broken)));
            }
            Ok(if watches { answer.map(|body| AnyBody::from_stream(injector.interfere(body))) } else { answer })
        }
        .boxed()
    }
}
