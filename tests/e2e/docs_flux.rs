//! Runs the commands of docs/flux.md as they stand there, and asks its health checks.

use std::process::Command;

use rescind::api::UserRoleRevocation;
use serde_json::{Value, json};

use crate::harness::*;

fn page() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/flux.md")).unwrap()
}

fn commands() -> Vec<String> {
    page().lines().filter(|line| line.starts_with("kubectl ")).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_of_the_docs_do_what_they_say() {
    let env = Environment::new("docs").await;
    let _operator = env.operator().await;
    let commands = commands();
    assert!(commands.len() >= 6, "{commands:?}");
    env.put::<UserRoleRevocation>("jane-admin", roles(USER)).await;
    let labelled = json!({
        "apiVersion": "rescind.dev/v1alpha1", "kind": "UserRoleRevocation",
        "metadata": {"name": "joe", "namespace": env.namespace, "labels": {"team": "sales"}},
        "spec": {"userId": OTHER_USER, "roles": [ROLE]},
    });
    env.plane.apply(&labelled.to_string()).unwrap();
    env.put::<UserRoleRevocation>("jane-typo", json!({"userId": "auth0|nobody", "roles": [ROLE]})).await;
    let kubectl = stack::binaries::locate("kubectl").unwrap();
    let path = format!("{}:{}", kubectl.parent().unwrap().display(), std::env::var("PATH").unwrap());
    for command in commands {
        let here = command.replace("-n identity", &format!("-n {}", env.namespace));
        assert_ne!(here, command, "it names its namespace");
        let mut shell = Command::new("sh");
        shell.args(["-ec", &here]).env("PATH", &path).env("KUBECONFIG", env.plane.kubeconfig_path());
        let output = tokio::task::spawn_blocking(move || shell.output()).await.unwrap().unwrap();
        assert!(output.status.success(), "{here}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// A kind whose objects the API server takes if the expression of this name is true for the status in them.
fn probe(check: &Value) -> Value {
    let text = json!({"type": "string", "maxLength": 100});
    let condition = json!({"type": "object", "properties": {"type": text, "status": text, "reason": text}});
    let conditions = json!({"type": "array", "maxItems": 10, "items": condition});
    let status = json!({"type": "object", "properties": {"conditions": conditions}});
    let holds = |name: &str| {
        let rule = check[name].as_str().unwrap().replace("status.conditions", "self.status.conditions");
        let validations = json!([{ "rule": rule }]);
        json!({"type": "object", "properties": {"status": status}, "x-kubernetes-validations": validations})
    };
    let fields = json!({"current": holds("current"), "failed": holds("failed")});
    let version = json!({
        "name": "v1", "served": true, "storage": true,
        "schema": {"openAPIV3Schema": {"type": "object", "properties": fields}},
    });
    let names = json!({"kind": "Probe", "plural": "probes"});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "probes.flux.example"},
        "spec": {"group": "flux.example", "scope": "Namespaced", "names": names, "versions": [version]},
    })
}

/// Flux asks `failed` first, then `current`, of objects whose latest generation was looked at.
#[tokio::test(flavor = "multi_thread")]
async fn the_health_checks_of_the_page_let_stopped_objects_pass() {
    let page = page();
    let block = page.split("```yaml\n").find(|block| block.contains("healthCheckExprs")).unwrap();
    let kustomization = crate::helm::documents(block.split("```").next().unwrap()).remove(0);
    let check = &kustomization["spec"]["healthCheckExprs"][0];
    assert_eq!((&check["apiVersion"], &check["kind"]), (&"rescind.dev/v1alpha1".into(), &"UserRoleRevocation".into()));
    let env = Environment::new("flux").await;
    env.plane.apply(&probe(check).to_string()).unwrap();
    env.plane.run(&["wait", "--for=condition=Established", "crd/probes.flux.example"]).unwrap();
    let _operator = env.operator().await;
    let with = |more: Value| {
        let mut spec = roles(USER);
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        spec
    };
    let far = "2999-01-01T00:00:00Z";
    for (name, spec, reason, current, failed) in [
        ("removed", roles(USER), "Removed", true, false),
        ("looked", with(json!({"mode": "Observe"})), "AlreadyAbsent", true, false),
        ("suspended", with(json!({"suspend": true})), "Suspended", true, false),
        ("held", with(json!({"hold": {"until": far, "reason": "handover"}})), "OnHold", true, false),
        ("later", with(json!({"notBefore": far})), "Scheduled", true, false),
        ("homeless", with(json!({"tenantRef": {"name": "nowhere"}})), "TenantNotReady", false, false),
        ("typo", json!({"userId": "auth0|nobody", "roles": [ROLE]}), "SubjectNotFound", false, true),
    ] {
        env.put::<UserRoleRevocation>(name, spec).await;
        let conditions = env.reason::<UserRoleRevocation>(name, reason).await.conditions;
        let is = |expression: &str| {
            let object = json!({
                "apiVersion": "flux.example/v1", "kind": "Probe",
                "metadata": {"generateName": "p-", "namespace": env.namespace},
                expression: {"status": {"conditions": conditions}},
            });
            let file = env.plane.dir().join(format!("probe-{}.json", env.namespace));
            std::fs::write(&file, object.to_string()).unwrap();
            let create = ["create", "--dry-run=server", "--validate=ignore", "-f", file.to_str().unwrap()];
            match env.plane.run(&create) {
                Ok(_) => true,
                Err(refusal) if refusal.to_string().contains("failed rule") => false,
                Err(refusal) => panic!("{refusal}"),
            }
        };
        assert_eq!((is("current"), is("failed")), (current, failed), "{reason}");
    }
}
