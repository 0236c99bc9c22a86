use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http::{Method, Request, Response, StatusCode};
use kube::client::Body;
use serde_json::json;

use super::*;
use crate::api::{Auth0Tenant, Reason, UserRoleRevocation, conditions, verdicts};

/// A request that the API server received.
#[derive(Clone, Debug)]
struct Received {
    method: Method,
    uri: String,
    body: Value,
}

type Answers = Vec<(StatusCode, Value)>;

/// A cluster that gives these answers, in this order, and records the requests.
fn cluster(answers: Answers) -> (Client, Arc<Mutex<Vec<Received>>>) {
    let (answers, received) = (Arc::new(Mutex::new(answers)), Arc::new(Mutex::new(Vec::new())));
    let seen = received.clone();
    let service = tower::service_fn(move |request: Request<Body>| {
        let (answers, seen) = (answers.clone(), seen.clone());
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect_bytes().await.unwrap_or_default();
            let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
            seen.lock().unwrap().push(Received { method: parts.method, uri: parts.uri.to_string(), body });
            let (status, answer) = answers.lock().unwrap().remove(0);
            let answer = Response::builder().status(status).body(Body::from(answer.to_string().into_bytes()));
            Ok::<_, Infallible>(answer.unwrap())
        }
    });
    (Client::new(service, "default"), received)
}

fn object(uid: &str, version: &str, generation: i64, status: &Value) -> (StatusCode, Value) {
    let object = json!({
        "apiVersion": "rescind.dev/v1alpha1", "kind": "UserRoleRevocation",
        "metadata": {
            "name": "jane", "namespace": "n", "uid": uid, "resourceVersion": version, "generation": generation,
        },
        "spec": { "userId": "auth0|a", "roles": ["rol_bN1a2b3c4d5e6f7g"] },
        "status": status,
    });
    (StatusCode::OK, object)
}

fn refusal(code: u16, reason: &str) -> (StatusCode, Value) {
    let status = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code });
    (StatusCode::from_u16(code).unwrap(), status)
}

fn others() -> Value {
    json!({
        "conditions": [{
            "type": "OfOthers", "status": "True", "reason": "X", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }],
        "fromTheFuture": { "a": [1] },
    })
}

fn status(reason: Reason) -> RemovalStatus {
    let conditions = conditions(&[], &verdicts(reason, "x"), 3, jiff::Timestamp::UNIX_EPOCH);
    RemovalStatus { observed_generation: Some(3), conditions, ..RemovalStatus::default() }
}

fn stored(status: &Value) -> Stored<RemovalStatus> {
    Stored { version: "10".into(), status: serde_json::from_value(status.clone()).unwrap() }
}

const TARGET: StatusTarget<'static> = StatusTarget { namespace: Some("n"), name: "jane", uid: "u1", generation: 3 };

fn stands(stored: &RemovalStatus) -> bool {
    stored.is_ready()
}

async fn write(answers: Answers, stored: Option<&Stored<RemovalStatus>>) -> (String, Vec<Received>) {
    let (client, received) = cluster(answers);
    let written = write_status::<UserRoleRevocation>(&client, TARGET, stored, &status(Reason::Removed), stands).await;
    let received = received.lock().unwrap().clone();
    let words = match written {
        Ok(Written::Written(stored)) => format!("Written {}", stored.version),
        Ok(Written::Superseded(stored)) => format!("Superseded {}", stored.version),
        Ok(other) => format!("{other:?}"),
        Err(error) => format!("{error:?}").chars().take(9).collect(),
    };
    (words, received)
}

fn written(version: &str) -> (StatusCode, Value) {
    object("u1", version, 3, &Value::Null)
}

#[tokio::test]
async fn a_status_is_put_over_the_one_that_was_read() {
    let (words, received) = write(vec![written("11")], Some(&stored(&others()))).await;
    assert_eq!((words.as_str(), received.len()), ("Written 11", 1));
    let Received { method, uri, body } = &received[0];
    assert_eq!(*method, Method::PUT);
    let path = "/apis/rescind.dev/v1alpha1/namespaces/n/userrolerevocations/jane/status?";
    assert!(uri.starts_with(path) && uri.contains("fieldManager=rescind"), "{uri}");
    assert_eq!(body["metadata"], json!({"namespace": "n", "name": "jane", "uid": "u1", "resourceVersion": "10"}));
    assert_eq!(body["spec"], Value::Null, "nothing but the status is sent");
    assert_eq!(body["status"]["fromTheFuture"], others()["fromTheFuture"]);
    let types = |body: &Value| -> Vec<Value> {
        body["status"]["conditions"].as_array().unwrap().iter().map(|c| c["type"].clone()).collect()
    };
    assert_eq!(types(body), ["OfOthers", "Ready"]);
}

#[tokio::test]
async fn nothing_is_sent_that_changes_nothing() {
    let mut same = others();
    let ours = serde_json::to_value(status(Reason::Removed)).unwrap();
    same["observedGeneration"] = ours["observedGeneration"].clone();
    same["conditions"].as_array_mut().unwrap().extend(ours["conditions"].as_array().unwrap().iter().cloned());
    assert_eq!(write(Vec::new(), Some(&stored(&same))).await, ("Unchanged".to_owned(), Vec::new()));
}

impl PartialEq for Received {
    fn eq(&self, other: &Self) -> bool {
        self.uri == other.uri
    }
}

#[tokio::test]
async fn a_conflict_is_distinguished_from_a_successor() {
    let conflict = || refusal(409, "Conflict");
    let gone = || refusal(404, "NotFound");
    let old = stored(&json!({}));
    let rows: Vec<(&str, Answers, &str)> = vec![
        ("gone", vec![gone()], "Gone"),
        ("gone meanwhile", vec![conflict(), gone()], "Gone"),
        ("another object of that name", vec![conflict(), object("u2", "20", 1, &json!({}))], "Successor"),
        ("edited meanwhile", vec![conflict(), object("u1", "20", 4, &json!({}))], "Edited"),
        (
            "written by others meanwhile",
            vec![conflict(), object("u1", "20", 3, &others()), written("21")],
            "Written 21",
        ),
        (
            "another process came to a verdict",
            vec![conflict(), object("u1", "20", 3, &serde_json::to_value(status(Reason::AlreadyAbsent)).unwrap())],
            "Superseded 20",
        ),
        ("too many at once", vec![conflict(), object("u1", "10", 3, &json!({})), conflict()], "Api(Statu"),
        ("the API server fails", vec![refusal(500, "InternalError")], "Api(Statu"),
    ];
    for (row, answers, expected) in rows {
        let (words, received) = write(answers, Some(&old)).await;
        assert_eq!(words, expected, "{row}");
        if row == "written by others meanwhile" {
            let body = &received[2].body;
            assert_eq!(body["metadata"]["resourceVersion"], "20");
            assert_eq!(body["status"]["fromTheFuture"], others()["fromTheFuture"], "theirs is kept");
        }
    }
}

#[tokio::test]
async fn without_a_stored_status_the_object_is_read_first() {
    let (words, received) = write(vec![object("u1", "20", 3, &others()), written("21")], None).await;
    assert_eq!((words.as_str(), received[0].method.clone(), received.len()), ("Written 21", Method::GET, 2));
    assert_eq!(received[1].body["status"]["fromTheFuture"], others()["fromTheFuture"]);
}

/// The same writer serves all kinds: unknown fields of a tenant survive as well.
#[tokio::test]
async fn tenants_are_written_the_same_way() {
    let (client, received) = cluster(vec![written("11")]);
    let old: Auth0TenantStatus = serde_json::from_value(others()).unwrap();
    let stored = Stored { version: "10".into(), status: old };
    let wanted = Auth0TenantStatus { observed_generation: Some(3), ..Auth0TenantStatus::default() };
    let written = write_status::<Auth0Tenant>(&client, TARGET, Some(&stored), &wanted, |_| false).await.unwrap();
    assert!(matches!(written, Written::Written(_)), "{written:?}");
    let received = received.lock().unwrap();
    assert!(received[0].uri.contains("/auth0tenants/jane/status"), "{}", received[0].uri);
    assert_eq!(received[0].body["status"]["fromTheFuture"], others()["fromTheFuture"]);
    assert_eq!(received[0].body["status"]["conditions"], others()["conditions"]);
}
