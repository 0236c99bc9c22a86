//! Whatever comes late, or goes away and comes back (API server, CRDs, watches), the operator recovers without help.
//!
//! These tests stop the API server, so they have a control plane of their own. Since a control plane costs seconds and
//! half a gigabyte, they are one test.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use fake_auth0::{Kind, Relation};
use rescind::api::{OrgMembershipRemoval, UserPermissionRevocation, UserRoleRevocation};
use serde_json::{Value, json};
use stack::ControlPlane;

use crate::harness::*;
use crate::process::Process;

/// Polls a probe until it answers with `status` and all of `words`; returns the answer.
async fn probe(port: u16, path: &str, status: u16, words: &[&str]) -> String {
    let started = Instant::now();
    loop {
        let answer = match reqwest::get(format!("http://127.0.0.1:{port}{path}")).await {
            Ok(answer) => (answer.status().as_u16(), answer.text().await.unwrap()),
            // It has not bound its port yet.
            Err(error) => (0, error.to_string()),
        };
        if answer.0 == status && words.iter().all(|word| answer.1.contains(word)) {
            return answer.1;
        }
        assert!(started.elapsed() < PATIENCE, "{path} says {answer:?}, not {status} with {words:?}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// Lines of the log that warn, with these words.
fn warnings(operator: &Process, word: &str) -> Vec<String> {
    let log = operator.log();
    log.lines().filter(|line| line.contains("\"WARN\"") && line.contains(word)).map(str::to_owned).collect()
}

const RBAC: &str = "rbac.authorization.k8s.io";

fn role(kind: &str, metadata: &Value, rules: Value) -> Value {
    json!({"apiVersion": format!("{RBAC}/v1"), "kind": kind, "metadata": metadata, "rules": rules})
}

/// Gives the role to the service account `rescind` of namespace `account`.
fn binding(kind: &str, metadata: &Value, role: &str, account: &str) -> Value {
    json!({
        "apiVersion": format!("{RBAC}/v1"), "kind": kind, "metadata": metadata,
        "subjects": [{"kind": "ServiceAccount", "name": "rescind", "namespace": account}],
        "roleRef": {"apiGroup": RBAC, "kind": role, "name": "rescind"},
    })
}

/// Allows the account to read the Secrets of `namespace`.
fn allow_secrets(plane: &ControlPlane, namespace: &str, account: &str) {
    let meta = json!({"name": "rescind", "namespace": namespace});
    let here = json!([{"apiGroups": [""], "resources": ["secrets"], "verbs": ["list", "watch"]}]);
    for object in [role("Role", &meta, here), binding("RoleBinding", &meta, "Role", account)] {
        plane.apply(&object.to_string()).unwrap();
    }
}

/// Makes a service account that may read all objects and write their status, but read Secrets only in `namespace`.
/// Returns the path of its kubeconfig.
fn stranger_to_most_secrets(plane: &ControlPlane, namespace: &str) -> PathBuf {
    let everywhere = json!([
        {"apiGroups": ["rescind.dev"], "resources": ["*"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": ["rescind.dev"], "resources": ["*/status"], "verbs": ["update"]},
        {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create"]},
    ]);
    for object in [
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "rescind", "namespace": namespace}}),
        role("ClusterRole", &json!({"name": "rescind"}), everywhere),
        binding("ClusterRoleBinding", &json!({"name": "rescind"}), "ClusterRole", namespace),
    ] {
        plane.apply(&object.to_string()).unwrap();
    }
    allow_secrets(plane, namespace, namespace);
    let token = plane.service_account_token(namespace, "rescind").unwrap();
    plane.write_kubeconfig_for("rescind", &token).unwrap()
}

/// The API server crashes and comes back.
async fn crash(plane: &'static ControlPlane) {
    tokio::task::spawn_blocking(|| plane.restart_apiserver().unwrap()).await.unwrap();
    // kubectl retries while the API server prepares its caches of the kinds.
    for crd in rescind::api::crds() {
        let path = format!("/apis/rescind.dev/v1alpha1/{}", crd.definition.spec.names.plural);
        plane.run(&["get", "--raw", &path]).unwrap();
    }
}

/// Applies a role revocation until the API server accepts it, which takes a moment after a change of the CRD.
async fn insist(env: &Environment, name: &str, spec: Value) {
    let manifest = json!({
        "apiVersion": "rescind.dev/v1alpha1", "kind": "UserRoleRevocation",
        "metadata": {"name": name, "namespace": env.namespace}, "spec": spec,
    });
    let started = Instant::now();
    while let Err(refusal) = env.plane.apply(&manifest.to_string()) {
        assert!(started.elapsed() < PATIENCE, "{refusal}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// Makes etcd drop its history, so that no watch can resume.
async fn compact(plane: &ControlPlane) {
    let ask = async |path: &str, body: Value| {
        let answer = reqwest::Client::new().post(format!("{}/v3/kv/{path}", plane.etcd_url())).json(&body).send();
        answer.await.unwrap().error_for_status().unwrap().json::<Value>().await.unwrap()
    };
    let now = ask("range", json!({"key": "AA=="})).await["header"]["revision"].clone();
    ask("compaction", json!({"revision": now, "physical": true})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_missing_is_waited_for() {
    let plane = own_plane().await;
    let (fake, other_fake, port) = (prompt_fake().await, prompt_fake().await, crate::metrics::address().port());
    let (address, domains) = (format!("127.0.0.1:{port}"), format!("{},{}", fake.domain(), other_fake.domain()));
    let args = ["--allowed-domains", &domains, "--health-probe-bind-address", &address];

    // No API server.
    plane.stop_apiserver();
    let mut operator = Process::run(plane.kubeconfig_path(), &args);
    probe(port, "/readyz", 503, &["waiting for the API server at", &plane.server_url(), "refused"]).await;
    assert_eq!(probe(port, "/healthz", 200, &[]).await, "ok\n");
    // The log line comes with a delay, because what is there at once is not waited for.
    operator.says("waiting for the API server").await;

    // No CRDs.
    tokio::task::spawn_blocking(|| plane.start_apiserver().unwrap()).await.unwrap();
    let waiting = probe(port, "/readyz", 503, &["auth0tenants", "userrolerevocations", "install the CRDs"]).await;
    assert!(!waiting.contains("API server"), "{waiting}");
    probe(port, "/healthz", 200, &[]).await;
    operator.says("auth0tenants in all namespaces").await;
    assert_eq!(warnings(&operator, "waiting for the API server").len(), 1, "{}", operator.log());

    // Nothing is missing any more.
    plane.apply(&crds()).unwrap();
    let env = Environment::with(plane, fake, "late").await;
    let before = env.fake.state();
    env.put::<UserRoleRevocation>("jane", roles(USER)).await;
    env.reason::<UserRoleRevocation>("jane", "Removed").await;
    // Each watch retries by itself, that of the cluster-scoped tenants maybe some seconds later.
    let is_complete = async {
        while probe(port, "/readyz", 200, &[]).await != "ok\nleader\n" {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, is_complete).await.expect("nothing is missing any more");
    // A busy API server can give other reasons while it installs the kinds.
    let without_kinds = warnings(&operator, "auth0tenants in all namespaces");
    let without_kinds = without_kinds.iter().filter(|line| line.contains("install the CRDs"));
    assert_eq!(without_kinds.count(), 1, "{}", operator.log());

    // A standby is ready.
    let standby_port = crate::metrics::address().port();
    let address = format!("127.0.0.1:{standby_port}");
    let mut standby = Process::run(plane.kubeconfig_path(), &["--health-probe-bind-address", &address]);
    probe(standby_port, "/readyz", 200, &["ok\nstandby, the leader is "]).await;
    assert_eq!(standby.terminate().await, Some(0));
    assert_eq!(operator.terminate().await, Some(0));

    // Another operator is told to read Secrets in two namespaces but is allowed to in one.
    let kubeconfig = stranger_to_most_secrets(plane, &env.namespace);
    let other = Environment::with(plane, other_fake, "unread").await;
    let namespaces = format!("{},{}", env.namespace, other.namespace);
    let more =
        ["--log-level=debug", "--leader-elect=false", "--cluster-tenants=false", "--secret-namespaces", &namespaces];
    let mut operator = Process::run(&kubeconfig, &[&args[..], &more].concat());
    let message = other.tenant_reason("SecretNotFound").await;
    assert!(message.contains("cannot be read") && message.contains("check the operator's RBAC"), "{message}");
    env.put::<UserRoleRevocation>("jack", roles(OTHER_USER)).await;
    env.reason::<UserRoleRevocation>("jack", "Removed").await;
    let unread = format!("going on without the list of secrets in namespace {}: not allowed", other.namespace);
    let ready = probe(port, "/readyz", 200, &[]).await;
    assert!(ready.starts_with(&format!("ok\nno leader election\n{unread}")), "{ready}");
    operator.says(&format!("waiting for the list of secrets in namespace {}", other.namespace)).await;
    assert_eq!(warnings(&operator, "").len(), 1, "{}", operator.log());
    // Once it is allowed, it goes on without help.
    allow_secrets(plane, &other.namespace, &env.namespace);
    other.tenant_reason("Unproved").await;
    assert_eq!(probe(port, "/readyz", 200, &[]).await, "ok\nno leader election\n");

    // The API server crashes and comes back.
    crash(plane).await;
    env.put::<UserRoleRevocation>("again", json!({"userId": USER, "roles": [OTHER_ROLE]})).await;
    env.reason::<UserRoleRevocation>("again", "Removed").await;

    // It crashes again, and etcd has dropped the history of what changed meanwhile.
    operator.signal("STOP");
    let permission = json!({"resourceServerIdentifier": API, "permissionName": "read:x"});
    env.put::<UserPermissionRevocation>("unheard", json!({"userId": USER, "permissions": [permission]})).await;
    env.delete::<UserRoleRevocation>("again").await;
    compact(plane).await;
    crash(plane).await;
    operator.signal("CONT");
    env.reason::<UserPermissionRevocation>("unheard", "Removed").await;
    assert!(operator.log().contains("the resource version has expired"), "{}", operator.log());

    // A CRD is deleted and comes back without objects; the other kinds are not affected.
    let crd = "userrolerevocations.rescind.dev";
    plane.run(&["delete", "crd", crd]).unwrap();
    env.put::<OrgMembershipRemoval>("members", json!({"organizationId": ORG, "members": [OTHER_USER]})).await;
    env.reason::<OrgMembershipRemoval>("members", "Removed").await;
    operator.says("userrolerevocations in all namespaces: the kind is not installed").await;
    plane.apply(&crds()).unwrap();
    plane.run(&["wait", "--for=condition=Established", "crd", crd]).unwrap();
    // kubectl retries while the API server prepares its cache of the kind.
    assert_eq!(plane.run(&["get", "urr", "--all-namespaces", "-o", "name"]).unwrap(), "");
    env.fake.edit(|tenant| drop(tenant.user(USER).role(ROLE)));
    env.put::<UserRoleRevocation>("jane", roles(USER)).await;
    env.reason::<UserRoleRevocation>("jane", "Removed").await;

    // One object that cannot be parsed, stored under another schema, is left alone and named in the log.
    let version = |rest: &str| format!("/spec/versions/0/{rest}");
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let anything = json!([
        {"op": "remove", "path": version("selectableFields")},
        {"op": "replace", "path": version("schema/openAPIV3Schema"), "value": schema},
    ]);
    plane.run(&["patch", "crd", crd, "--type=json", "-p", &anything.to_string()]).unwrap();
    insist(&env, "unreadable", json!({"userId": 5})).await;
    operator.says("an object cannot be read and is left out").await;
    assert!(!warnings(&operator, "\"object\":\"unreadable\"").is_empty(), "{}", operator.log());
    plane.apply(&crds()).unwrap();
    env.fake.edit(|tenant| drop(tenant.user(OTHER_USER).role(OTHER_ROLE)));
    insist(&env, "readable", json!({"userId": OTHER_USER, "roles": [OTHER_ROLE]})).await;
    env.reason::<UserRoleRevocation>("readable", "Removed").await;

    let removed = [
        Relation::user_role(USER, ROLE),
        Relation::user_role(OTHER_USER, ROLE),
        Relation::user_role(USER, OTHER_ROLE),
        Relation::user_permission(USER, API, "read:x"),
        Relation::member(ORG, OTHER_USER),
    ];
    env.fake.assert_removed_exactly(&before, removed);
    assert_eq!((env.fake.count(Kind::DeleteUserRoles), other.fake.total()), (5, 0), "{:?}", env.calls());
    assert_eq!(warnings(&operator, "not installed").len(), 1, "{}", operator.log());
    assert_eq!(operator.terminate().await, Some(0));
}
