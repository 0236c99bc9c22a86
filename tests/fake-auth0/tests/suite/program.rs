//! The program: its output, its files, its control API, and that it ends with its parent.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::world::*;

struct Program {
    child: Child,
    ready: Value,
    token: String,
    /// The client of the tenant.
    client: Client,
    /// The client of the control API.
    control: Client,
}

impl Program {
    fn start(name: &str, arguments: &[&str]) -> Self {
        let folder = std::env::temp_dir().join(format!("fake-auth0-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = |name: &str| folder.join(name).into_os_string().into_string().unwrap();
        std::fs::write(file("state.json"), serde_json::to_string(&people()).unwrap()).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_fake-auth0"))
            .args(["--state", &file("state.json"), "--ca-out", &file("ca.pem"), "--token-out", &file("token")])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        let ca = reqwest::Certificate::from_pem(&std::fs::read(ready["ca"].as_str().unwrap()).unwrap()).unwrap();
        let token = std::fs::read_to_string(ready["token"].as_str().unwrap()).unwrap();
        std::fs::remove_dir_all(folder).unwrap();
        let client = client_trusting(ca);
        Self { child, ready, token, client, control: Client::builder().no_proxy().build().unwrap() }
    }

    async fn control(&self, method: Method, path: &str, body: Value) -> Value {
        let url = format!("{}{path}", self.ready["control"].as_str().unwrap());
        let answer = self.control.request(method, url).body(body.to_string()).send().await.unwrap();
        let (status, body) = taken(answer).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    async fn call(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        let url = format!("https://{}{path}", self.ready["domain"].as_str().unwrap());
        taken(self.client.request(method, url).bearer_auth(&self.token).json(&body).send().await.unwrap()).await
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It has already ended if the test succeeded.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn the_program_serves_and_is_steered() {
    let mut program = Program::start("serves", &["--client", "id:secret", "--rate", "users_write=100/5"]);
    let roles = json!({"roles": [ADMIN]});
    assert_eq!(program.call(Method::DELETE, &user(JANE, "/roles"), roles.clone()).await.0, 204);
    let state: fake_auth0::State =
        serde_json::from_value(program.control(Method::GET, "/state", Value::Null).await).unwrap();
    assert_eq!(people().diff(&state).len(), 1);
    assert_eq!(program.control(Method::GET, "/counts", Value::Null).await["delete_user_roles"], 1);
    let calls = program.control(Method::GET, "/calls", Value::Null).await;
    assert_eq!((&calls[0]["status"], &calls[0]["removed"], &calls[0]["user"]), (&json!(204), &json!(1), &json!(JANE)));

    let back = json!({"add": [{"userRole": {"user": JANE, "role": ADMIN}}], "remove": [{"user": {"user": JOHN}}]});
    program.control(Method::POST, "/edit", back).await;
    assert_eq!(program.call(Method::GET, &user(JOHN, "/roles"), Value::Null).await.0, 404);
    let fault = json!({
        "effect": {"status": 503}, "headers": {"retry-after": "2", "date": null}, "body": {"a": 1}, "times": 1,
        "match": {"kinds": ["delete_user_roles"], "bodyNames": ADMIN},
    });
    let id = program.control(Method::POST, "/faults", fault).await["id"].clone();
    assert_eq!(program.call(Method::DELETE, &user(JANE, "/roles"), roles).await, (503, json!({"a": 1})));
    assert_eq!(program.control(Method::GET, "/faults", Value::Null).await, json!([{"id": id, "hits": 1}]));
    program.control(Method::DELETE, &format!("/faults/{id}"), Value::Null).await;
    let wrong = program.control.post(format!("{}/faults", program.ready["control"].as_str().unwrap()));
    let wrong = wrong.body(json!({"effect": "none", "headers": {"no header": "x"}}).to_string()).send().await.unwrap();
    assert_eq!(wrong.status(), 400);

    let token = program.control(Method::POST, "/tokens", json!({"scopes": ["read:roles"]})).await["token"].clone();
    program.token = token.as_str().unwrap().to_owned();
    assert_eq!(program.call(Method::GET, &user(JANE, "/roles"), Value::Null).await.0, 403);
    program.control(Method::POST, "/reset-calls", Value::Null).await;
    assert_eq!(program.control(Method::GET, "/calls", Value::Null).await, json!([]));

    drop(program.child.stdin.take());
    assert!(program.child.wait().unwrap().success());
}

#[tokio::test]
async fn the_program_limits_lags_and_pages_as_told() {
    let program = Program::start(
        "limits",
        &["--scopes", "delete:organization_members,read:organization_members", "--member-lag", "1000s"],
    );
    assert_eq!(program.call(Method::DELETE, &members(ACME), json!({"members": [JOHN]})).await.0, 204);
    assert_eq!(program.call(Method::GET, &members(ACME), Value::Null).await.1.as_array().unwrap().len(), 2);
    assert_eq!(program.call(Method::GET, &user(JANE, ""), Value::Null).await.0, 403);
    program.control(Method::POST, "/paging", json!({"max_page_size": 1})).await;
    assert_eq!(program.call(Method::GET, &members(ACME), Value::Null).await.1.as_array().unwrap().len(), 1);
    program.control(Method::POST, "/lag", json!({"list": "get_members", "reads": 3})).await;
    program.control(Method::POST, "/limits", json!({"group": "members_read", "burst": 0})).await;
    assert_eq!(program.call(Method::GET, &members(ACME), Value::Null).await.0, 429);
    program.control(Method::PUT, "/state", json!({})).await;
    assert_eq!(program.control(Method::GET, "/state", Value::Null).await["users"], json!({}));
}

#[tokio::test]
async fn the_program_switches_and_lags_as_told() {
    let arguments = ["--random-switches", "7", "--rate", "members_write=20/200/min", "--no-lag"];
    let program = Program::start("switches", &arguments);
    let control = async |method, path, body| program.control(method, path, body).await;
    let random = json!(fake_auth0::Switches::random(7));
    assert_eq!(control(Method::GET, "/switches", Value::Null).await, random);
    let eight = control(Method::POST, "/random-switches", json!({"seed": 8})).await;
    assert_eq!(eight, json!(fake_auth0::Switches::random(8)));
    let set = control(Method::PUT, "/switches", json!({"unknown_role": "not_found"})).await;
    assert_eq!((&set["unknown_role"], &set["unknown_member"]), (&json!("not_found"), &json!("no_content")));
    let unknown = json!({"roles": ["rol_Nobody0000000000"]});
    assert_eq!(program.call(Method::DELETE, &user(JANE, "/roles"), unknown).await.0, 404);

    let listed = async || {
        let (_, members) = program.call(Method::GET, &members(ACME), Value::Null).await;
        members.as_array().unwrap().len()
    };
    assert_eq!(program.call(Method::DELETE, &members(ACME), json!({"members": [JOHN]})).await.0, 204);
    assert_eq!(listed().await, 1);
    let john = json!([{"member": {"organization": ACME, "user": JOHN}}]);
    control(Method::POST, "/lag", json!({"list": "get_members", "flicker": 1})).await;
    control(Method::POST, "/edit", json!({"add": john, "late": true})).await;
    assert_eq!([listed().await, listed().await], [1, 2]);
    let hour = json!({"list": "get_members", "millis": 3_600_000, "upToMillis": 7_200_000});
    control(Method::POST, "/lag", hour).await;
    control(Method::POST, "/edit", json!({"remove": john, "late": true})).await;
    assert_eq!(listed().await, 2);
    control(Method::POST, "/no-lag", Value::Null).await;
    assert_eq!(listed().await, 1);
}

#[tokio::test]
async fn the_program_fails_in_every_way() {
    let program = Program::start("fails", &["--switches", r#"{"page_cap": "fifty"}"#]);
    let john = user(JOHN, "");
    let problem = json!({"problem": {"status": 403, "errorCode": "insufficient_entitlement", "message": "No."}});
    for (effect, status) in [
        (problem, 403),
        (json!("planRefusal"), 403),
        (json!("featureRefusal"), 403),
        (json!({"actThenStatus": 500}), 500),
    ] {
        program.control(Method::POST, "/faults", json!({"effect": effect, "times": 1})).await;
        assert_eq!(program.call(Method::GET, &john, Value::Null).await.0, status, "{effect}");
    }
    let odd = json!({"effect": "none", "fields": {"error": {}}, "match": {"page": 0}});
    program.control(Method::POST, "/faults", odd).await;
    assert_eq!(program.call(Method::GET, &user("auth0|x", "/roles"), Value::Null).await.1["error"], json!({}));
    program.control(Method::DELETE, "/faults", Value::Null).await;
    // The client retries, over another connection, calls that were certainly not processed.
    for effect in [json!("refuseStream"), json!("goAway")] {
        program.control(Method::POST, "/faults", json!({"effect": effect, "times": 1})).await;
        assert_eq!(program.call(Method::GET, &john, Value::Null).await.0, 200, "{effect}");
    }
    program.control(Method::POST, "/go-away", Value::Null).await;
    program.control(Method::POST, "/faults", json!({"effect": {"cutAfter": 3}, "times": 1})).await;
    let url = format!("https://{}{john}", program.ready["domain"].as_str().unwrap());
    let cut = program.client.get(url).bearer_auth(&program.token).send().await.unwrap();
    assert!(cut.bytes().await.is_err());
}

#[test]
fn a_wrong_state_file_is_one_plain_line() {
    let out = Command::new(env!("CARGO_BIN_EXE_fake-auth0")).args(["--state", "no-such-file.json"]).output().unwrap();
    assert_eq!(out.status.code(), Some(1));
    assert!(String::from_utf8(out.stderr).unwrap().starts_with("fake-auth0: no-such-file.json: "));
}

#[test]
fn the_state_file_of_the_readme_is_one() {
    let readme = include_str!("../../README.md");
    let example = readme.split("```json").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let state: fake_auth0::State = serde_json::from_str(example).unwrap();
    assert!(state.has_member_role("org_0123456789abcdef", JANE, "rol_0123456789abcdef"));
}
