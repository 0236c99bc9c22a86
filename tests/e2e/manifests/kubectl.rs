//! What people see in the real kubectl (names, columns, selectors, explanations), and what the API server says about
//! the CRDs.

use std::collections::BTreeMap;
use std::time::Instant;

use http::Method;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::ListParams;
use serde_json::{Value, json};

use super::*;

/// The number of kubectl processes at a time.
const KUBECTLS: usize = 4;

/// What kubectl prints, or its refusal.
async fn kubectl(args: &[&str]) -> String {
    let args: Vec<_> = args.iter().map(|arg| (*arg).to_owned()).collect();
    let run = move || plane().run(&args.iter().map(String::as_str).collect::<Vec<_>>());
    tokio::task::spawn_blocking(run).await.unwrap().unwrap_or_else(|refusal| refusal.to_string())
}

/// The lines of a table, with single spaces and without the age, which is last.
async fn table(args: &[&str]) -> Vec<String> {
    let line = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let mut lines: Vec<_> = kubectl(args).await.lines().map(line).collect();
    let age = lines[0].pop();
    lines[0].extend(age.filter(|age| age != "AGE"));
    lines[1..].iter_mut().for_each(|line| drop(line.pop()));
    lines.iter().map(|line| line.join(" ")).collect()
}

fn ready(kind: &Kind) -> Value {
    let condition = json!({"type": "Ready", "status": "True", "reason": "Removed", "message": "",
        "lastTransitionTime": "2026-11-21T02:44:00Z"});
    let of_kind = match kind.name {
        "Auth0Tenant" | "ClusterAuth0Tenant" => {
            ("credential", json!({"kind": "Token", "expiresAt": "2026-11-22T02:44:00Z"}))
        }
        _ => ("result", json!({"requested": 2, "accepted": 2, "alreadyAbsent": 0, "remaining": 0})),
    };
    json!({"status": {"conditions": [condition], of_kind.0: of_kind.1}})
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_shows_the_columns_and_knows_the_short_names() {
    let env = Environment::bare("manifests").await;
    let mut compared = Compared::default();
    let namespace = env.namespace.as_str();
    for kind in KINDS {
        let manifest = kind.manifest("it");
        send(&env, Method::POST, &env.path(kind, ""), FOR_GOOD, &manifest).await.unwrap();
        // The operator has not looked at it yet, so nothing may look like a verdict.
        let fresh = table(&["get", kind.short, "it", "-n", namespace]).await.join("\n");
        compared.same(kind.name, &["True", "False", "Removed"].map(|verdict| fresh.contains(verdict)), &[false; 3]);
        send(&env, Method::PATCH, &env.path(kind, "/it/status"), FOR_GOOD, &ready(kind)).await.unwrap();
    }
    // A column would print a list whole, up to 100 ids, so it is the number that is printed.
    let domain = "acme.eu.auth0.com";
    for (kind, wide, columns, cells) in [
        ("upr", "", "TENANT USER", format!("default {USER}")),
        ("upr", "wide", "TENANT USER PERMISSIONS", format!("default {USER} 2")),
        ("urr", "", "TENANT USER", format!("default {USER}")),
        ("urr", "wide", "TENANT USER ROLES", format!("default {USER} 2")),
        ("omr", "", "TENANT ORGANIZATION MEMBERS", format!("default {ORG} 2")),
        ("omr", "wide", "TENANT ORGANIZATION MEMBERS", format!("default {ORG} 2")),
        ("omrr", "", "TENANT USER", format!("default {USER}")),
        ("omrr", "wide", "TENANT USER ORGANIZATION ROLES", format!("default {USER} {ORG} 2")),
        ("a0t", "", "DOMAIN EXPIRES", format!("{domain} 2026-11-22T02:44:00Z")),
        ("a0t", "wide", "DOMAIN EXPIRES", format!("{domain} 2026-11-22T02:44:00Z")),
        ("ca0t", "", "DOMAIN EXPIRES", format!("{domain} 2026-11-22T02:44:00Z")),
    ] {
        let found = table(&["get", kind, "it", "-n", namespace, "-o", wide]).await;
        let expected = [format!("NAME {columns} READY REASON"), format!("it {cells} True Removed")];
        compared.same(&format!("kubectl get {kind} -o {wide}"), found.as_slice(), &expected);
    }

    let listed = kubectl(&["get", "rescind", "-n", namespace, "-o", "name"]).await;
    for kind in KINDS {
        let name = format!("{}.rescind.dev/it", kind.name.to_lowercase());
        compared.same(
            &format!("kubectl get rescind has {}", kind.name),
            &listed.lines().any(|line| line == name),
            &true,
        );
    }
    compared.report();
}

#[tokio::test(flavor = "multi_thread")]
async fn people_and_organizations_can_be_selected() {
    let env = Environment::bare("manifests").await;
    let mut compared = Compared::default();
    let (odd, other_org) = ("auth0|a,b=c\\d", "org_0123456789abcdef");
    for kind in REMOVALS {
        for (name, user, organization) in [("one", USER, ORG), ("two", OTHER_USER, other_org), ("odd", odd, ORG)] {
            let mut manifest = kind.manifest(name);
            for (field, value) in [("userId", user), ("organizationId", organization)] {
                if manifest["spec"].get(field).is_some() {
                    manifest["spec"][field] = json!(value);
                }
            }
            send(&env, Method::POST, &env.path(kind, ""), FOR_GOOD, &manifest).await.unwrap();
        }
    }
    let (one, two) = (format!("spec.userId={USER}"), format!("spec.userId={OTHER_USER}"));
    // Field selectors have an escape of their own.
    let odd = r"spec.userId=auth0|a\,b\=c\\d";
    let both = format!("spec.userId={USER},spec.organizationId={other_org}");
    let (org, other_org) = (format!("spec.organizationId={ORG}"), format!("spec.organizationId={other_org}"));
    let mut expected: Vec<(&str, &str, &[&str])> = Vec::new();
    for kind in ["upr", "urr", "omrr"] {
        expected.extend([(kind, one.as_str(), ["one"].as_slice()), (kind, &two, &["two"]), (kind, odd, &["odd"])]);
        expected.push((kind, "spec.userId=auth0|nobody", &[]));
    }
    expected.extend([("omr", org.as_str(), ["odd", "one"].as_slice()), ("omr", &other_org, &["two"])]);
    expected.extend([("omrr", org.as_str(), ["odd", "one"].as_slice()), ("omrr", &both, &[])]);
    for (kind, selector, names) in expected {
        let columns = "custom-columns=:metadata.name";
        let args = ["get", kind, "-n", &env.namespace, "--no-headers", "-o", columns, "--field-selector", selector];
        let found = kubectl(&args).await;
        compared.same(&format!("{kind} {selector}"), found.split_whitespace().collect::<Vec<_>>().as_slice(), names);
    }
    compared.report();
}

/// The tables of rows ask for strict validation explicitly; `kubectl apply` does so by default.
#[tokio::test(flavor = "multi_thread")]
async fn kubectl_apply_refuses_misspelt_fields() {
    let env = Environment::bare("manifests").await;
    let mut manifest = URR.manifest("misspelt");
    manifest["metadata"]["namespace"] = json!(env.namespace);
    manifest["spec"]["supend"] = json!(true);
    let refusal = plane().apply(&manifest.to_string()).expect_err("a misspelt field").to_string();
    assert!(refusal.contains(r#"unknown field "spec.supend""#), "{refusal}");
    let manifest = URR.manifest("misspelt");
    let stored = env.path(&URR, "/misspelt");
    let absent = send(&env, Method::PATCH, &stored, FOR_GOOD, &manifest).await.expect_err("nothing was stored");
    assert_eq!(absent.code, 404, "{}", absent.message);
}

/// YAML 1.1 has a type for instants, and people write them without quotes.
#[tokio::test(flavor = "multi_thread")]
async fn instants_without_quotes_are_kept_as_written() {
    let env = Environment::bare("manifests").await;
    let manifest = format!(
        "apiVersion: rescind.dev/v1alpha1\nkind: UserRoleRevocation\nmetadata:\n  name: unquoted\n  namespace: {}\nspec:\n  \
         userId: {USER:?}\n  roles: [{ROLE}]\n  notBefore: 2026-12-31T17:00:00Z\n  notAfter: 2027-01-31T01:00:00+01:00\n  \
         hold: {{until: 2026-12-24T00:00:00.5Z, reason: handover}}\n",
        env.namespace
    );
    plane().apply(&manifest).expect("a good manifest");
    let of = |field: &str| {
        let path = format!("jsonpath={{.spec.{field}}}");
        plane().run(&["get", "urr", "unquoted", "-n", &env.namespace, "-o", &path]).unwrap()
    };
    let found = ["notBefore", "notAfter", "hold.until"].map(of);
    assert_eq!(found, ["2026-12-31T17:00:00Z", "2027-01-31T01:00:00+01:00", "2026-12-24T00:00:00.5Z"]);
}

/// The schema of the one version.
pub fn schema(crd: &CustomResourceDefinition) -> Value {
    let validation = crd.spec.versions[0].schema.as_ref().unwrap();
    serde_json::to_value(validation.open_api_v3_schema.as_ref().unwrap()).unwrap()
}

async fn crds_of_the_server() -> Vec<CustomResourceDefinition> {
    let (client, _) = client(plane()).await;
    let crds = Api::<CustomResourceDefinition>::all(client).list(&ListParams::default()).await.unwrap().items;
    let ours: Vec<_> = crds.into_iter().filter(|crd| crd.spec.group == "rescind.dev").collect();
    assert_eq!(ours.len(), rescind::api::crds().len());
    ours
}

/// Collects the path of every object in a schema with the names of its fields; `undescribed` gets the fields without a
/// description.
fn walk(path: &str, schema: &Value, objects: &mut BTreeMap<String, Vec<String>>, undescribed: &mut Vec<String>) {
    if let Some(items) = schema.get("items") {
        // `kubectl explain` shows the items of a list, and the list has a description of its own.
        walk(path, items, objects, undescribed);
    }
    if schema["description"].as_str().unwrap_or_default().trim().is_empty() {
        undescribed.push(path.to_owned());
    }
    let Some(fields) = schema.get("properties").and_then(Value::as_object) else { return };
    objects.insert(path.to_owned(), fields.keys().cloned().collect());
    for (name, field) in fields {
        walk(&format!("{path}.{name}"), field, objects, undescribed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_is_explained() {
    let (mut objects, mut undescribed) = (BTreeMap::new(), Vec::new());
    for crd in crds_of_the_server().await {
        walk(&crd.spec.names.plural, &schema(&crd), &mut objects, &mut undescribed);
    }
    assert!(undescribed.is_empty(), "without a description: {undescribed:#?}");
    // Published some time after the CRDs; nothing says when.
    let deadline = Instant::now() + PATIENCE;
    while !KINDS.iter().all(|kind| published().contains(&format!("\"kind\":\"{}\"", kind.name))) {
        assert!(Instant::now() < deadline, "not all kinds are published");
    }
    let explain = objects.iter().map(async |(path, fields)| (path, fields, kubectl(&["explain", path]).await));
    let explained: Vec<_> = futures::stream::iter(explain).buffered(KUBECTLS).collect().await;
    let mut failed = Vec::new();
    for (path, fields, text) in explained {
        // Texts of Kubernetes itself link to pages.
        let mut ours = text.lines().filter(|line| !line.contains("https://"));
        let cites_a_page = ours.any(|line| line.contains(".md") || line.contains("DESIGN"));
        let missing = fields.iter().any(|field| !text.contains(&format!("\n  {field}\t")));
        if missing || cites_a_page || text.contains("<no description>") {
            failed.push(format!("{path}:\n{text}"));
        }
    }
    report(failed, objects.len());
}

fn published() -> String {
    plane().run(&["get", "--raw", "/openapi/v3/apis/rescind.dev/v1alpha1"]).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_has_no_complaints_about_the_crds() {
    for crd in crds_of_the_server().await {
        let name = crd.metadata.name.unwrap();
        let conditions = crd.status.and_then(|status| status.conditions).unwrap_or_default();
        let conditions: BTreeMap<_, _> = conditions.iter().map(|c| (c.type_.as_str(), c)).collect();
        assert!(!conditions.contains_key("NonStructuralSchema"), "{name}: {conditions:#?}");
        for expected in ["NamesAccepted", "Established"] {
            assert_eq!(conditions.get(expected).map(|c| c.status.as_str()), Some("True"), "{name}: {conditions:#?}");
        }
    }
    // The person who installs these files would see the warnings.
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/crds");
    let applied = plane().kubectl(&["apply", "--dry-run=server", "-f", folder]).unwrap();
    assert!(applied.status.success() && applied.stderr.is_empty(), "{}", String::from_utf8_lossy(&applied.stderr));
}
