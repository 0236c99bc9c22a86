//! Records the operator's requests to the API server and the answers: a plain-HTTP relay on loopback between the two.
//! It passes the operator's token on unchanged, so the API server decides as it would in a cluster.

use std::fmt;
use std::path::{Path, PathBuf};

use axum::Router;
use axum::extract::State;
use axum::http::header::{CONNECTION, HOST, TRANSFER_ENCODING};
use kube::Client;
use serde_json::json;
use stack::ControlPlane;
use tokio::sync::watch;

use crate::cluster::PATIENCE;

/// One right: a verb on a resource of a group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    pub group: String,
    /// Including the subresource: `deployments/status`.
    pub resource: String,
    pub verb: String,
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.verb, self.resource, self.group)
    }
}

#[derive(Clone, Debug)]
pub struct Request {
    pub right: Right,
    pub namespace: Option<String>,
    pub status: u16,
}

pub struct Relay {
    address: std::net::SocketAddr,
    seen: watch::Receiver<Vec<Request>>,
    server: tokio::task::JoinHandle<()>,
}

#[derive(Clone)]
struct Forwarder {
    client: Client,
    seen: watch::Sender<Vec<Request>>,
}

impl Relay {
    pub async fn start(plane: &ControlPlane) -> Self {
        let mut kubeconfig = kube::config::Kubeconfig::from_yaml(&plane.kubeconfig()).unwrap();
        // The relay has no credential of its own; requests carry the token of their sender.
        kubeconfig.auth_infos[0].auth_info = Some(Default::default());
        let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &Default::default()).await.unwrap();
        config.default_retry = false;
        let (sender, seen) = watch::channel(Vec::new());
        let forwarder = Forwarder { client: Client::try_from(config).unwrap(), seen: sender };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(pass).with_state(forwarder);
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, seen, server }
    }

    /// Writes a kubeconfig for `token` with this relay as its server to `folder`.
    pub fn kubeconfig(&self, folder: &Path, token: &str) -> PathBuf {
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "relay",
            "clusters": [{"name": "relay", "cluster": {"server": format!("http://{}", self.address)}}],
            "users": [{"name": "relay", "user": {"token": token}}],
            "contexts": [{"name": "relay", "context": {"cluster": "relay", "user": "relay"}}],
        });
        let path = folder.join("relay.kubeconfig");
        std::fs::write(&path, config.to_string()).unwrap();
        path
    }

    pub fn requests(&self) -> Vec<Request> {
        self.seen.borrow().clone()
    }

    /// The requests that were refused for lack of a right.
    pub fn refused(&self) -> Vec<Request> {
        self.requests().into_iter().filter(|request| matches!(request.status, 401 | 403)).collect()
    }

    /// Waits until a request satisfies `wanted`; false if none does in time.
    pub async fn sees(&self, wanted: impl Fn(&Request) -> bool) -> bool {
        let mut seen = self.seen.clone();
        let seen = seen.wait_for(|requests| requests.iter().any(&wanted));
        tokio::time::timeout(PATIENCE, seen).await.is_ok()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn pass(State(forwarder): State<Forwarder>, request: axum::extract::Request) -> axum::response::Response {
    let (mut parts, body) = request.into_parts();
    let asked = understand(&parts);
    for name in [HOST, CONNECTION, TRANSFER_ENCODING] {
        parts.headers.remove(name);
    }
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let request = http::Request::from_parts(parts, kube::client::Body::from(body.to_vec()));
    let Ok(answer) = forwarder.client.send(request).await else {
        let gone = axum::response::Response::builder().status(502);
        return gone.body(axum::body::Body::empty()).unwrap();
    };
    let (mut parts, body) = answer.into_parts();
    for name in [CONNECTION, TRANSFER_ENCODING] {
        parts.headers.remove(name);
    }
    if let Some((right, namespace)) = asked {
        let status = parts.status.as_u16();
        forwarder.seen.send_modify(|seen| seen.push(Request { right, namespace, status }));
    }
    axum::response::Response::from_parts(parts, axum::body::Body::new(body))
}

/// The right and the namespace that RBAC decides about; `None` for paths that are no resources.
fn understand(parts: &http::request::Parts) -> Option<(Right, Option<String>)> {
    let path: Vec<&str> = parts.uri.path().trim_matches('/').split('/').collect();
    let (group, rest) = match path.as_slice() {
        ["api", _, rest @ ..] => ("", rest),
        ["apis", group, _, rest @ ..] => (*group, rest),
        _ => return None,
    };
    let (namespace, rest) = match rest {
        ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (Some((*namespace).to_owned()), rest),
        rest => (None, rest),
    };
    let (resource, named) = match rest {
        [resource] => ((*resource).to_owned(), false),
        [resource, _] => ((*resource).to_owned(), true),
        [resource, _, sub] => (format!("{resource}/{sub}"), true),
        _ => return None,
    };
    let watches = parts.uri.query().is_some_and(|query| query.split('&').any(|pair| pair == "watch=true"));
    let verb = match (parts.method.as_str(), named) {
        ("GET", true) => "get",
        ("GET", false) if watches => "watch",
        ("GET", false) => "list",
        ("POST", _) => "create",
        ("PUT", _) => "update",
        ("PATCH", _) => "patch",
        ("DELETE", _) => "delete",
        (other, _) => panic!("{other} {}", parts.uri),
    };
    Some((Right { group: group.to_owned(), resource, verb: verb.to_owned() }, namespace))
}
