//! The program as users and clusters meet it: its command line, its logs, its probes, its events, its end.

use std::process::Command;

use fake_auth0::{Client, Fault, Kind, TEST_RSA_KEY, TOKEN_CANARY, TokenSpec};
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::ListParams;
use rescind::api::{Auth0Tenant, UserRoleRevocation};
use rescind::telemetry::BindAddress;
use serde_json::json;

use crate::harness::*;
use crate::process::Process;

/// Promise 6, at trace level, on every path a token takes: used, refused, limited, lost, malformed in its Secret,
/// rotated.
#[tokio::test(flavor = "multi_thread")]
async fn no_token_is_shown_anywhere() {
    let env = Environment::new("canary").await;
    let users = ["ok", "limited", "down", "html", "scope", "refused"];
    env.fake.edit(|tenant| {
        for user in users {
            tenant.user(format!("auth0|{user}")).role(ROLE);
        }
    });
    // An answer that echoes the token, as the error page of a proxy may.
    let echo = json!({"statusCode": 401, "error": "Unauthorized", "message": format!("Invalid token {}", env.token)});
    for (user, fault) in [
        ("limited", Fault::status(429).header("Retry-After", "3")),
        ("down", Fault::status(503).body(env.token.clone())),
        ("html", Fault::html(502)),
        (
            "scope",
            Fault::status(403).json(&json!({
                "statusCode": 403, "errorCode": "insufficient_scope",
                "message": format!("Insufficient scope, expected any of: {}", env.token),
            })),
        ),
        ("refused", Fault::status(401).json(&echo)),
    ] {
        env.fake.fault(fault.user(format!("auth0|{user}")).on_deletes().once());
    }
    let metrics = crate::metrics::address();
    let mut operator = Process::start_with(&env, &["--metrics-bind-address", &metrics.to_string()]);
    let spec = |user: &str| json!({"userId": format!("auth0|{user}"), "roles": [ROLE]});
    for user in &users[..4] {
        env.put::<UserRoleRevocation>(user, spec(user)).await;
    }
    for user in &users[..4] {
        env.reason::<UserRoleRevocation>(user, "Removed").await;
    }
    env.put::<UserRoleRevocation>(users[4], spec(users[4])).await;
    env.reason::<UserRoleRevocation>("scope", "InsufficientScope").await;
    let padded = format!(" {}", env.token);
    env.put_secret(&padded).await;
    env.tenant_reason("InvalidCredentials").await;
    let expired = env.fake.token_with(&TokenSpec::new(["x:y"]).expires_in(-99_999));
    env.put_secret(&expired).await;
    env.tenant_reason("InvalidCredentials").await;
    // Another token, because the operator remembers that the first was refused.
    let fresh = env.fake.token_with(&TokenSpec::new(env.fake.all_scopes()).expires_in(1000));
    env.put_secret(&fresh).await;
    env.tenant_reason("Unproved").await;
    env.put::<UserRoleRevocation>("refused", spec("refused")).await;
    env.reason::<UserRoleRevocation>("refused", "Unauthorized").await;
    by_application(&env, spec(users[5])).await;
    let metrics = crate::metrics::scrape(metrics).await.text;
    assert_eq!(operator.terminate().await, Some(0));

    let log = operator.log();
    assert!(log.contains("\"level\":\"TRACE\""), "the log is as talkative as it can be");
    let lines = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let line = lines.into_iter().find(|line| line["name"] == "ok" && line["reason"] == "Removed").expect("its verdict");
    let status = env.api::<UserRoleRevocation>().get("ok").await.unwrap();
    assert_eq!((&line["uid"], &line["generation"]), (&json!(status.metadata.uid), &json!(1)));
    assert_eq!(line["correlation"], json!(status.status.unwrap().correlation_id), "{line}");
    let mut shown = vec![("log", log), ("metrics", metrics)];
    for kind in ["upr,urr,omr,omrr,a0t", "events"] {
        shown.push((kind, plane().run(&["get", kind, "-n", &env.namespace, "-o", "yaml"]).unwrap()));
    }
    let payload = env.token.split('.').nth(1).unwrap();
    for (place, text) in shown {
        assert!(!text.contains(TOKEN_CANARY), "the signature is in: {place}");
        assert!(!text.contains(payload), "the claims are in: {place}");
        assert!(!text.contains(&base64_of(&env.token)[..40]), "the Secret's data is in: {place}");
        assert!(!text.contains(&base64_of(&client_secret())[..40]), "the Secret's data is in: {place}");
        assert!(!text.contains(TEST_RSA_KEY.lines().nth(5).unwrap()), "the private key is in: {place}");
    }
}

/// A client secret that contains the canary.
fn client_secret() -> String {
    format!("{TOKEN_CANARY}-in-a-client-secret")
}

/// Has the tenant use an application: with a secret, with one that Auth0 refuses, and with a private key.
async fn by_application(env: &Environment, spec: serde_json::Value) {
    let put = |data| env.put_raw_secret(json!({"labels": {"rescind.dev/credentials": "true"}}), data);
    env.fake.client(Client::new("app", client_secret()).scopes(env.fake.all_scopes()));
    put(json!({"clientId": "app", "clientSecret": client_secret()})).await;
    env.put_tenant(json!({"credentials": {"clientCredentialsSecretRef": {"name": "auth0-management"}}})).await;
    env.tenant_reason("Unproved").await;
    put(json!({"clientId": "app", "clientSecret": client_secret() + "-of-another"})).await;
    env.tenant_reason("Unauthorized").await;
    env.fake.client(Client::with_private_key("app", TEST_RSA_KEY).unwrap().scopes(env.fake.all_scopes()));
    put(json!({"clientId": "app", "privateKey": TEST_RSA_KEY})).await;
    env.tenant_reason("Unproved").await;
    env.put::<UserRoleRevocation>("by-application", spec).await;
    env.reason::<UserRoleRevocation>("by-application", "Removed").await;
}

fn base64_of(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

#[tokio::test(flavor = "multi_thread")]
async fn events_tell_of_changes_of_reason() {
    let env = Environment::new("events").await;
    env.fake.edit(|tenant| drop(tenant.user("auth0|away").role(ROLE)));
    env.fake.fault(Fault::status(503).user("auth0|away"));
    env.fake.fault(Fault::status(503).user(USER).on(Kind::DeleteUserRoles).once());
    let _operator = env.operator().await;
    env.put::<UserRoleRevocation>("away", json!({"userId": "auth0|away", "roles": [ROLE]})).await;
    env.put::<UserRoleRevocation>("jane", roles(USER)).await;
    env.put::<UserRoleRevocation>("typo", json!({"userId": "auth0|nobody", "roles": [ROLE]})).await;
    env.reason::<UserRoleRevocation>("jane", "Removed").await;
    let api: Api<Event> = env.api();
    let wanted = [
        ("jane", "Removed", "Normal"),
        ("typo", "SubjectNotFound", "Warning"),
        ("default", "Connected", "Normal"),
        ("away", "Auth0Unavailable", "Normal"),
    ];
    let count = |told: &[(String, String, String)], (name, reason, type_): (&str, &str, &str)| {
        told.iter().filter(|event| event.0 == name && event.1 == reason && event.2 == type_).count()
    };
    let told = within(async {
        // Events are written asynchronously.
        loop {
            let list = api.list(&ListParams::default()).await.unwrap();
            let version = list.metadata.resource_version.clone().unwrap();
            let told: Vec<_> = list
                .items
                .into_iter()
                .map(|e| (e.regarding.unwrap().name.unwrap(), e.reason.unwrap(), e.type_.unwrap()))
                .collect();
            if wanted.iter().all(|event| count(&told, *event) > 0) {
                return told;
            }
            let watch = api.watch(&kube::api::WatchParams::default(), &version).await.unwrap();
            let _ = futures::StreamExt::next(&mut std::pin::pin!(watch)).await;
        }
    })
    .await;
    // Several failures in a row are one change of reason; a failure that is over at once is none.
    assert!(wanted.iter().all(|event| count(&told, *event) == 1), "{told:?}");
    assert!(!told.iter().any(|event| event.0 == "jane" && event.1 == "Auth0Unavailable"), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_say_what_is_missing() {
    let env = Environment::new("probes").await;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let operator = env.operator_with(|s| s.probe_address = Some(BindAddress::Every(port))).await;
    env.tenant_reason("Unproved").await;
    env.put::<UserRoleRevocation>("jane", roles(USER)).await;
    env.reason::<UserRoleRevocation>("jane", "Removed").await;
    let get = async |path: &str| reqwest::get(format!("http://127.0.0.1:{port}{path}")).await.unwrap();
    assert_eq!(get("/healthz").await.status(), 200);
    let ready = get("/readyz").await;
    // Every list that a test can wait for has been made; the others may be a moment behind.
    assert!(ready.status() == 200 || ready.text().await.unwrap().contains("waiting for the list of"));
    operator.stop().await;
}

#[test]
fn a_wrong_command_line_ends_in_plain_words() {
    let run = |args: &[&str], kubeconfig: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_rescind"))
            .args(args)
            .env("KUBECONFIG", kubeconfig)
            .env("RESCIND_METRICS_BIND_ADDRESS", "0")
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, text) = run(&["run", "--allowed-domains", "https://x"], "/dev/null");
    assert_eq!(code, Some(2));
    assert!(text.contains("--allowed-domains") && text.contains("acme.eu.auth0.com"), "{text}");
    assert_eq!(run(&["run", "--no-such-flag"], "/dev/null").0, Some(2));
    assert_eq!(run(&["run", "--health-probe-bind-address", "x"], "/dev/null").0, Some(2));
    assert_eq!(run(&["run", "--metrics-bind-address", "x"], "/dev/null").0, Some(2));

    let folder = tempfile::tempdir().unwrap();
    let (code, text) = run(&["run"], folder.path().join("none").to_str().unwrap());
    assert_eq!((code, text.lines().count()), (Some(1), 1), "{text}");
    assert!(text.contains("KUBECONFIG"));

    // The operator waits for an unreachable API server (tests/e2e/lifecycle.rs), but not for one that refuses it.
    let path = plane().write_kubeconfig_for("stranger", "not-a-token").unwrap();
    let (code, text) = run(&["run", "--health-probe-bind-address", "0"], path.to_str().unwrap());
    assert_eq!((code, text.lines().count()), (Some(1), 1), "{text}");
    assert!(text.contains(&plane().server_url()) && text.contains("refuses"), "{text}");
}

/// The program warns when it cannot send the traces it was asked to send, and only then.
#[test]
fn traces_that_cannot_be_sent_are_warned_about() {
    let path = plane().write_kubeconfig_for("nobody", "not-a-token").unwrap();
    let said = |variables: &[(&str, &str)]| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_rescind"));
        program.args(["run", "--health-probe-bind-address", "0", "--metrics-bind-address", "0"]);
        program.env("KUBECONFIG", &path).env_remove("OTEL_EXPORTER_OTLP_ENDPOINT").envs(variables.iter().copied());
        String::from_utf8(program.output().unwrap().stderr).unwrap().contains("--features otlp")
    };
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");
    assert!(said(&[endpoint]));
    assert!(!said(&[]) && !said(&[endpoint, ("OTEL_TRACES_EXPORTER", "none")]));
}

/// `--watch-namespaces` with several: each is served, and no other is touched.
#[tokio::test(flavor = "multi_thread")]
async fn only_the_namespaces_named_are_watched() {
    let (one, two, three) =
        (Environment::new("one").await, Environment::new("two").await, Environment::new("three").await);
    let domains = [one.fake.domain(), two.fake.domain(), three.fake.domain()];
    let allowed = rescind::auth0::AllowedDomains::parse(domains).unwrap();
    let _operator = one
        .operator_with(|settings| {
            settings.watch_namespaces.push(two.namespace.clone());
            settings.allowed_domains = allowed;
        })
        .await;
    for env in [&three, &one, &two] {
        env.put::<UserRoleRevocation>("jane", roles(USER)).await;
    }
    one.reason::<UserRoleRevocation>("jane", "Removed").await;
    two.reason::<UserRoleRevocation>("jane", "Removed").await;
    assert_eq!(three.fake.total(), 0);
    assert_eq!(
        three.api::<UserRoleRevocation>().get("jane").await.unwrap().status.unwrap().observed_generation,
        Some(-1)
    );
}

/// SIGTERM in the middle of a long wait ends the program within seconds, with code 0, and the wait is not forgotten.
#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_it_during_a_wait() {
    let env = Environment::new("sigterm").await;
    env.fake.fault(Fault::status(429).header("Retry-After", "540").on(Kind::DeleteUserRoles).once());
    let mut operator = Process::start(&env);
    env.put::<UserRoleRevocation>("jane", roles(USER)).await;
    let status = env.reason::<UserRoleRevocation>("jane", "RateLimited").await;
    assert!(status.next_attempt_time.is_some());
    assert_eq!(operator.terminate().await, Some(0));
    let tenant = env.api::<Auth0Tenant>().get("default").await.unwrap();
    assert!(tenant.metadata.finalizers.is_none());
}
