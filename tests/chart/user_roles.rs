//! What the chart's roles for people allow. No controller aggregates roles here, so each role is bound by itself, and
//! the labels by which Kubernetes' own roles would aggregate them are checked.

use std::time::Instant;

use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::cluster::{PATIENCE, client, namespace, shared};
use crate::helm::{objects, of_kind, stream};
use crate::tenant::REMOVALS;

const NAMESPACE: &str = "people-roles";

/// Whether the person named like a role may do this to a kind or to its status.
async fn may(client: &Client, person: &str, verb: &str, resource: &str) -> bool {
    let (resource, sub) = resource.split_once('/').unwrap_or((resource, ""));
    let review = json!({
        "metadata": {},
        "spec": {"user": person, "resourceAttributes": {
            "group": "rescind.dev", "resource": resource, "subresource": sub, "verb": verb, "namespace": NAMESPACE,
        }},
    });
    let api: Api<SubjectAccessReview> = Api::all(client.clone());
    let asked = api.create(&PostParams::default(), &serde_json::from_value(review).unwrap()).await;
    asked.unwrap().status.unwrap().allowed
}

#[tokio::test]
async fn people_may_do_what_their_role_says() {
    let plane = shared();
    namespace(plane, NAMESPACE);
    let rendered = objects(&["fullnameOverride=people"]);
    let roles: Vec<Value> = of_kind(&rendered, "ClusterRole")
        .into_iter()
        .filter(|role| role["metadata"]["name"] != "people")
        .cloned()
        .collect();
    let bindings: Vec<Value> = roles
        .iter()
        .map(|role| {
            let name = &role["metadata"]["name"];
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
                "metadata": {"name": name, "namespace": NAMESPACE},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
                "subjects": [{"kind": "User", "name": name, "apiGroup": "rbac.authorization.k8s.io"}],
            })
        })
        .collect();
    assert_eq!(roles.len(), 3);
    plane.apply(&stream(roles.iter().chain(&bindings))).unwrap();

    let client = client(plane).await;
    // Who may read and write removals, and read and write tenants. Nobody but the cluster's administrators writes those
    // for many namespaces.
    for (person, removals, tenants, first) in [
        ("people-view", (true, false), (true, false), ("list", "auth0tenants")),
        ("people-edit", (false, true), (false, false), ("create", REMOVALS[0].0)),
        ("people-admin", (false, false), (false, true), ("create", "auth0tenants")),
    ] {
        // Roles take effect with a delay.
        let started = Instant::now();
        while !may(&client, person, first.0, first.1).await {
            assert!(started.elapsed() < PATIENCE, "{person} may not {} {}", first.0, first.1);
        }
        let kinds = REMOVALS.iter().map(|(resource, _)| *resource).chain(["auth0tenants", "clusterauth0tenants"]);
        for kind in kinds {
            let (read, write) = match kind {
                "auth0tenants" => tenants,
                "clusterauth0tenants" => (tenants.0, false),
                _ => removals,
            };
            let verbs = [("list", read), ("watch", read), ("create", write), ("patch", write), ("delete", write)];
            for (verb, allowed) in verbs {
                assert_eq!(may(&client, person, verb, kind).await, allowed, "{person}: {verb} {kind}");
            }
            // Only the operator writes statuses.
            assert!(!may(&client, person, "patch", &format!("{kind}/status")).await, "{person}: {kind}/status");
        }
    }
}

#[test]
fn kubernetes_own_roles_take_them_up_if_wanted() {
    let labels = |sets: &[&str]| -> Vec<(String, Vec<String>)> {
        let rendered = objects(sets);
        let of = |role: &Value| {
            let labels = role["metadata"]["labels"].as_object().unwrap().keys();
            let to = labels.filter_map(|key| key.strip_prefix("rbac.authorization.k8s.io/aggregate-to-"));
            (role["metadata"]["name"].as_str().unwrap().to_owned(), to.map(str::to_owned).collect())
        };
        of_kind(&rendered, "ClusterRole").into_iter().map(of).collect()
    };
    let role = |name: &str, to: &[&str]| (name.to_owned(), to.iter().map(|to| (*to).to_owned()).collect::<Vec<_>>());
    let mut found = labels(&[]);
    found.sort();
    let taken = [("rescind-admin", "admin"), ("rescind-edit", "edit"), ("rescind-view", "view")];
    let mut expected: Vec<_> = taken.iter().map(|(name, to)| role(name, &[to])).collect();
    expected.insert(0, role("rescind", &[]));
    assert_eq!(found, expected);
    assert!(labels(&["rbac.userRoles.aggregate=false"]).iter().all(|(_, to)| to.is_empty()));
    assert_eq!(labels(&["rbac.userRoles.create=false"]), [role("rescind", &[])]);
}
