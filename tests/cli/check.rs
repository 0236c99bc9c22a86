use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use rescind::api::UserRoleRevocation;
use serde_json::{Value, json};

use crate::harness::*;
use crate::person::Person;
use crate::rights::{create, grant};
use crate::status::without_spans;

/// What the chart installs, as far as it is looked at: a Deployment that runs, and the right to see Secrets.
async fn installed(env: &Environment, args: &[&str]) {
    let metadata = json!({"name": "rescind"});
    let labels = json!({"app.kubernetes.io/name": "rescind"});
    let domains = format!("--allowed-domains={}", env.fake.domain());
    let args: Vec<&str> = ["run", &domains, "--lease-name=rescind"].iter().chain(args).copied().collect();
    let image = concat!("example.com/rescind:", env!("CARGO_PKG_VERSION"));
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata,
        "spec": {
            "replicas": 2, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {
                "serviceAccountName": "rescind", "containers": [{"name": "rescind", "image": image, "args": args}],
            }},
        },
    });
    create(env, deployment).await;
    let status = json!({"status": {"replicas": 2, "readyReplicas": 2, "observedGeneration": 1}});
    let deployments = env.api::<k8s_openapi::api::apps::v1::Deployment>();
    deployments.patch_status("rescind", &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string();
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata,
        "spec": {"holderIdentity": "rescind-6c9f-x2k1", "leaseDurationSeconds": 3600, "renewTime": now},
    });
    create(env, lease).await;
    grant(env, &format!("system:serviceaccount:{}:rescind", env.namespace), &[("", &["secrets"], &["list"])]).await;
}

/// The checks of this category, as code and result.
fn results(json: &Value, category: &str) -> BTreeMap<String, String> {
    let categories = json["categories"].as_array().unwrap().iter();
    let own = categories.filter(|one| one["categoryName"].as_str().unwrap().starts_with(category));
    let checks = own.flat_map(|one| one["checks"].as_array().unwrap());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    checks.map(|check| (text(&check["code"]), text(&check["result"]))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_fine_is_said_line_by_line() {
    let env = Environment::new("check").await;
    installed(&env, &[]).await;
    env.put_tenant(json!({
        "brake": {"maxRemovals": 100, "window": "1h", "maxShareOfOrganization": 25},
        "protected": {"userIds": [OTHER_USER]},
    }))
    .await;
    let operator = env.operator().await;
    env.put::<UserRoleRevocation>("jane", roles(USER)).await;
    env.reason::<UserRoleRevocation>("jane", "Removed").await;
    env.tenant_reason("Connected").await;
    operator.stop().await;
    let calls = env.calls().len();
    let person = Person::admin(&env);
    let checked = person.rescind(&["check", "--operator-namespace", &env.namespace]).await;
    person.assert_golden("check.txt", &without_spans(&checked.out));
    assert_eq!(checked.code, 0, "{checked:?}");
    assert_eq!(env.calls().len(), calls, "Auth0 is not called");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_has_a_code_and_a_remedy() {
    let env = Environment::new("wrong").await;
    installed(&env, &["--secret-namespaces=elsewhere", "--requester-policy=rescind-requested-by"]).await;
    let scopes: Vec<&str> = env.fake.all_scopes().into_iter().filter(|scope| !scope.contains("members")).collect();
    env.put_secret(&env.fake.token(&[&scopes[..], &["create:client_grants"]].concat())).await;
    env.put_tenant(json!({"mode": "Observe", "hold": {"until": "2999-01-01T00:00:00Z", "reason": "a freeze"}})).await;
    let config = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "argocd-cm"},
        "data": {"resource.customizations.health.rescind.dev_UserRoleRevocation": "x"},
    });
    create(&env, config).await;
    let _operator = env.operator().await;
    env.tenant_reason("OnHold").await;
    let person = Person::admin(&env);
    let here = ["--operator-namespace", &env.namespace, "--argocd-namespace", &env.namespace];
    let checked = person.rescind(&[&["check", "-o", "short"], &here[..]].concat()).await;
    person.assert_golden("check-short.txt", &without_spans(&checked.out));
    assert_eq!(checked.code, 1, "{checked:?}");

    let json = person.rescind(&[&["check", "-o", "json"], &here[..]].concat()).await;
    let json: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!((&json["schemaVersion"], &json["success"]), (&json!(1), &json!(false)));
    let operator = results(&json, "operator");
    assert_eq!((&*operator["RSC204"], &*operator["RSC206"], &*operator["RSC205"]), ("error", "error", "success"));
    let tenant = results(&json, "tenant");
    assert_eq!((&*tenant["RSC315"], &*tenant["RSC320"], &*tenant["RSC324"]), ("warning", "warning", "warning"));
    assert_eq!(results(&json, "argo")["RSC401"], "warning");

    // With a Secret that cannot be used.
    env.put_raw_secret(json!({}), json!({"token": "x"})).await;
    let json = person.rescind(&[&["check", "-o", "json", "--tenant", "default"], &here[..]].concat()).await;
    let json: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(results(&json, "tenant")["RSC303"], "error");
    assert_eq!(env.calls(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_looked_at_is_not_called_wrong() {
    let env = Environment::new("clerk").await;
    grant(&env, "clerk", &[("rescind.dev", &["auth0tenants"], &["list"])]).await;
    let person = Person::admin(&env);
    let checked = person.rescind(&["check", "--as", "clerk", "--operator-namespace", "elsewhere"]).await;
    assert_eq!(checked.code, 0, "{checked:?}");
    person.assert_golden("check-few-rights.txt", &without_spans(&checked.out));
    // Without an operator something is wrong, also after a wait.
    let none = person.rescind(&["check", "--wait", "1s"]).await;
    assert!(none.code == 1 && none.out.contains("RSC201"), "{none:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_installation_nothing_is_expected() {
    let env = Environment::bare("pre").await;
    let plane = own_plane().await;
    let person = Person::with_kubeconfig(&env, plane.kubeconfig_path());
    let pre = person.rescind(&["check", "--pre"]).await;
    person.assert_golden("check-pre.txt", &pre.out);
    assert_eq!(pre.code, 0, "{pre:?}");
    assert_eq!(person.rescind(&["check"]).await.code, 1, "nothing is installed");
    // "There is no such tenant" would be true, and of no use.
    let commands = [&["status"][..], &["plan", "--all"], &["why", USER], &["stop", "--tenant", "a", "--reason", "x"]];
    for command in commands {
        let printed = person.rescind(command).await;
        assert!(printed.code == 1 && printed.err.contains("the CRDs of Rescind are not installed"), "{printed:?}");
    }
    // A CRD of an earlier version, which does not know a field.
    let mut crd = serde_json::to_value(&rescind::api::crds().remove(0).definition).unwrap();
    let spec = crd.pointer_mut("/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties").unwrap();
    spec.as_object_mut().unwrap().remove("hold");
    plane.apply(&crd.to_string()).unwrap();
    let older = person.rescind(&["check", "--pre"]).await;
    assert!(older.code == 1 && older.out.contains("it lacks .spec.hold"), "{older:?}");
}
