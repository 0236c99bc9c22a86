//! Somebody between the operator and the API server who does what networks and API servers do on bad days.

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

/// Meddles with the watches of every client it was laid around.
#[derive(Clone, Default)]
pub struct Meddler(Arc<Mutex<Plan>>, Arc<tokio::sync::watch::Sender<Fate>>);

#[derive(Default)]
struct Plan {
    /// Resources whose place in the history is gone, and the paths where they were listed since.
    gone: HashMap<String, HashSet<String>>,
    /// Whose events are kept back.
    hidden: Option<String>,
    /// Whose events come with a spec that nobody can read.
    garbled: Option<String>,
    /// Paths that hold this may not be read.
    forbidden: Option<String>,
    /// What becomes of the next writes of a status.
    failures: VecDeque<Failure>,
}

/// How a write fails.
#[derive(Clone, Copy, Debug)]
pub enum Failure {
    /// It is refused with this status.
    Refused(u16),
    /// It is done, and the answer is lost.
    AnswerLost,
}

/// What becomes of the watches that are open.
#[derive(Clone, Copy, Default)]
enum Fate {
    #[default]
    Lives,
    Ends,
    FallsSilent,
}

impl Meddler {
    /// Ends the open watches, and refuses to go on with one of `resource` by a status of 410: first it has to be listed.
    pub fn forget_place(&self, resource: &str) {
        self.0.lock().unwrap().gone.insert(resource.to_owned(), HashSet::new());
        self.1.send_replace(Fate::Ends);
    }

    /// Nothing comes any more through the open watches, and nobody says so.
    pub fn silence(&self) {
        self.1.send_replace(Fate::FallsSilent);
    }

    /// No watch shows the object of this name any more.
    pub fn hide(&self, name: &str) {
        self.0.lock().unwrap().hidden = Some(format!("\"name\":\"{name}\""));
    }

    /// Every watch shows the object of this name with a spec that nobody can read.
    pub fn garble(&self, name: &str) {
        self.0.lock().unwrap().garbled = Some(format!("\"name\":\"{name}\""));
    }

    /// Whatever has this in its path is forbidden to read; nothing, if it is empty.
    pub fn forbid(&self, path: &str) {
        self.0.lock().unwrap().forbidden = Some(path.to_owned()).filter(|path| !path.is_empty());
    }

    fn forbids(&self, request: &Request<Body>) -> bool {
        let plan = self.0.lock().unwrap();
        let is_forbidden = |path: &String| request.uri().path().contains(path.as_str());
        request.method() == http::Method::GET && plan.forbidden.as_ref().is_some_and(is_forbidden)
    }

    /// The next writes of a status fail, one after the other, in these ways.
    pub fn fail_writes(&self, failures: impl IntoIterator<Item = Failure>) {
        self.0.lock().unwrap().failures.extend(failures);
    }

    /// Failures that have not happened yet.
    pub fn failures_left(&self) -> usize {
        self.0.lock().unwrap().failures.len()
    }

    fn failure(&self, request: &Request<Body>) -> Option<Failure> {
        let is_write = request.method() == http::Method::PUT && request.uri().path().ends_with("/status");
        is_write.then(|| self.0.lock().unwrap().failures.pop_front()).flatten()
    }

    /// Whether a request is one for a place that is gone.
    fn refuses(&self, request: &Request<Body>) -> bool {
        let path = request.uri().path();
        let mut plan = self.0.lock().unwrap();
        let Some(listed) = plan.gone.get_mut(path.rsplit('/').next().unwrap()) else { return false };
        if !is_watch(request) {
            listed.insert(path.to_owned());
        }
        !listed.contains(path)
    }

    /// The lines of a watch that are shown, as long as it lives.
    fn meddle(self, body: AnyBody) -> impl Stream<Item = Result<Bytes, axum::Error>> {
        let mut changes = self.1.subscribe();
        let fate = changes.clone();
        let changed = async move { drop(changes.changed().await) };
        let after = stream::once(async move {
            let silent = matches!(*fate.borrow(), Fate::FallsSilent);
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

impl<S> Layer<S> for Meddler {
    type Service = Meddling<S>;

    fn layer(&self, inner: S) -> Meddling<S> {
        Meddling { inner, meddler: self.clone() }
    }
}

#[derive(Clone)]
pub struct Meddling<S> {
    inner: S,
    meddler: Meddler,
}

impl<S, B> Service<Request<Body>> for Meddling<S>
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
        let (meddler, watches) = (self.meddler.clone(), is_watch(&request));
        if meddler.refuses(&request) {
            return std::future::ready(Ok(refusal(410, "too old resource version"))).boxed();
        }
        if meddler.forbids(&request) {
            return std::future::ready(Ok(refusal(403, "not yours"))).boxed();
        }
        let failure = meddler.failure(&request);
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
            Ok(if watches { answer.map(|body| AnyBody::from_stream(meddler.meddle(body))) } else { answer })
        }
        .boxed()
    }
}
