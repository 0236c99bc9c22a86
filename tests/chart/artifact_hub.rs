//! The annotations of Chart.yaml that Artifact Hub shows. `make chart` writes them.

use std::fs;

use serde_json::{Value, json};

use crate::cluster::{namespace, shared};
use crate::fixtures::{API, ORG, ROLE, SECRET, USER};
use crate::helm::{documents, id, objects, only, root, stream};

/// The line of Chart.yaml after which everything is generated.
const MARK: &str = "  # From here on written by `make chart`.\n";

/// `text` with the annotations that follow from the CRDs, the image and the changelog.
pub fn chart_yaml(text: &str, changelog: &str) -> String {
    let (before, _) = text.split_once(MARK).expect("the mark in Chart.yaml");
    let mut annotations = vec![
        ("crds", crds()),
        ("crdsExamples", examples().into()),
        ("images", json!([{"name": "rescind", "image": format!("rescind:{}", env!("CARGO_PKG_VERSION"))}])),
        ("links", json!([{"name": "Auth0 Management API", "url": "https://auth0.com/docs/api/management/v2"}])),
    ];
    let changes = changes(changelog, env!("CARGO_PKG_VERSION"));
    if !changes.is_empty() {
        annotations.push(("changes", changes.into()));
    }
    let written = annotations.iter().map(|(name, list)| {
        let list: String = serde_saphyr::to_string(list).unwrap().lines().map(|line| format!("    {line}\n")).collect();
        format!("  artifacthub.io/{name}: |\n{list}")
    });
    format!("{before}{MARK}{}", written.collect::<String>())
}

fn crds() -> Value {
    let entry = |crd: Value| {
        let kind = crd["spec"]["names"]["kind"].as_str().unwrap();
        let version = &crd["spec"]["versions"][0];
        json!({
            "kind": kind, "version": version["name"], "name": crd["metadata"]["name"], "displayName": words(kind),
            "description": version["schema"]["openAPIV3Schema"]["description"],
        })
    };
    crate::generated::crds().into_iter().map(entry).collect()
}

/// `UserRoleRevocation` as "User Role Revocation".
fn words(kind: &str) -> String {
    let mut text = String::new();
    for c in kind.chars() {
        if c.is_uppercase() && !text.is_empty() {
            text.push(' ');
        }
        text.push(c);
    }
    text
}

/// One object of each kind.
fn examples() -> Vec<Value> {
    let object = |kind: &str, name: &str, spec: Value| {
        json!({"apiVersion": "rescind.dev/v1alpha1", "kind": kind, "metadata": {"name": name, "namespace": "identity"},
            "spec": spec})
    };
    let permission = json!({"resourceServerIdentifier": API, "permissionName": "read:reports"});
    let credentials = json!({"tokenSecretRef": {"name": SECRET, "key": "token"}});
    let mut cluster = object(
        "ClusterAuth0Tenant",
        "acme",
        json!({"domain": "acme.eu.auth0.com", "credentials": credentials,
            "allowedNamespaces": {"matchLabels": {"identity/tenant": "acme"}}}),
    );
    cluster["metadata"].as_object_mut().unwrap().remove("namespace");
    vec![
        object("Auth0Tenant", "default", json!({"domain": "acme.eu.auth0.com", "credentials": credentials})),
        cluster,
        object("UserRoleRevocation", "jane-admin", json!({"userId": USER, "roles": [ROLE]})),
        object("UserPermissionRevocation", "jane-reports", json!({"userId": USER, "permissions": [permission]})),
        object("OrgMembershipRemoval", "jane-acme", json!({"organizationId": ORG, "members": [USER]})),
        object("OrgMemberRoleRemoval", "jane-in-acme", json!({"organizationId": ORG, "userId": USER, "roles": [ROLE]})),
    ]
}

/// What the changelog says of a version; nothing before the version has a section.
fn changes(changelog: &str, version: &str) -> Vec<Value> {
    let named = |line: &str| line.strip_prefix("## ").map(|title| title.trim_start_matches('[').to_owned());
    let of_version = |title: &str| title.strip_prefix(version).is_some_and(|rest| !rest.starts_with(['.', '-']));
    let lines = changelog.lines().skip_while(|line| !named(line).is_some_and(|title| of_version(&title))).skip(1);
    let (mut kind, mut open, mut found) = (String::new(), false, Vec::<(String, String)>::new());
    for line in lines.take_while(|line| named(line).is_none()) {
        if let Some(title) = line.strip_prefix("### ") {
            kind = title.to_lowercase();
        } else if let Some(item) = line.strip_prefix("- ") {
            found.push((kind.clone(), item.to_owned()));
            open = true;
        } else if line.trim().is_empty() {
            // What follows in the same item is a table or a further paragraph.
            open = false;
        } else if let Some((_, item)) = found.last_mut().filter(|_| open) {
            item.push_str(&format!(" {}", line.trim()));
        }
    }
    found.into_iter().map(|(kind, description)| json!({"kind": kind, "description": description})).collect()
}

#[test]
fn the_changes_are_those_of_the_version() {
    let changelog = "# Changelog\n\n## Unreleased\n\n- Not yet.\n\n## 1.1.0 - 2027-01-02\n\n### Added\n\n- A kind,\n  \
        `one`.\n\n### Changed\n\n- A metric:\n\n  | a | b |\n- Another.\n\n## 1.0.0\n\n- Old.\n";
    let change = |kind: &str, description: &str| json!({"kind": kind, "description": description});
    let expected = [change("added", "A kind, `one`."), change("changed", "A metric:"), change("changed", "Another.")];
    assert_eq!(changes(changelog, "1.1.0"), expected);
    assert_eq!(changes(changelog, "1.0.0").len(), 1);
    assert!(changes(changelog, "1.1").is_empty() && changes(changelog, "2.0.0").is_empty());
}

/// There is one example of each kind, and the API server accepts them all.
#[test]
fn the_examples_and_the_image_are_right() {
    let chart: Value =
        serde_saphyr::from_str(&fs::read_to_string(root().join("charts/rescind/Chart.yaml")).unwrap()).unwrap();
    let list = |name: &str| -> Vec<Value> {
        serde_saphyr::from_str(chart["annotations"][format!("artifacthub.io/{name}")].as_str().unwrap()).unwrap()
    };
    let kinds = |list: Vec<Value>| {
        let mut kinds: Vec<String> = list.iter().map(|entry| entry["kind"].as_str().unwrap().to_owned()).collect();
        kinds.sort();
        kinds
    };
    assert_eq!(kinds(list("crds")), kinds(list("crdsExamples")));
    assert_eq!(list("crds").len(), rescind::api::crds().len());
    namespace(shared(), "artifact-hub");
    let text = stream(&list("crdsExamples")).replace("\"identity\"", "\"artifact-hub\"");
    let is_there = |object: &Value| id(object).contains("/artifact-hub/") || object["kind"] == "ClusterAuth0Tenant";
    assert!(documents(&text).iter().all(is_there));
    let file = shared().dir().join("examples.yaml");
    fs::write(&file, text).unwrap();
    shared().run(&["apply", "--dry-run=server", "--validate=strict", "-f", file.to_str().unwrap()]).unwrap();
    let rendered = objects(&["crds.enabled=false"]);
    let image = &only(&rendered, "Deployment")["spec"]["template"]["spec"]["containers"][0]["image"];
    assert_eq!(list("images")[0]["image"], *image);
}
