//! People with few rights, by impersonation.

use std::time::Instant;

use serde_json::{Value, json};

use crate::harness::{Environment, PATIENCE};

/// Lets `user` do these things in the namespace of the environment, and waits until that is in force. Roles take
/// effect a moment after they are written, which cannot be watched.
pub async fn grant(env: &Environment, user: &str, rules: &[(&str, &[&str], &[&str])]) {
    let rule = |(group, resources, verbs): &(&str, &[&str], &[&str])| {
        let groups = [group];
        json!({"apiGroups": groups, "resources": resources, "verbs": verbs})
    };
    let rules: Vec<Value> = rules.iter().map(rule).collect();
    let metadata = json!({"name": user, "namespace": env.namespace});
    let api = "rbac.authorization.k8s.io";
    let version = format!("{api}/v1");
    let role = json!({"apiVersion": version, "kind": "Role", "metadata": metadata, "rules": rules});
    let binding = json!({
        "apiVersion": version, "kind": "RoleBinding", "metadata": metadata,
        "roleRef": {"apiGroup": api, "kind": "Role", "name": user},
        "subjects": [{"apiGroup": api, "kind": "User", "name": user}],
    });
    for object in [role, binding] {
        env.plane.apply(&object.to_string()).unwrap();
    }
    let (verb, resource) = (rules[0]["verbs"][0].as_str().unwrap(), rules[0]["resources"][0].as_str().unwrap());
    let resource = match rules[0]["apiGroups"][0].as_str().unwrap() {
        "" => resource.to_owned(),
        group => format!("{resource}.{group}"),
    };
    let started = Instant::now();
    let who = format!("--as={user}");
    while !env.plane.kubectl(&["auth", "can-i", verb, &resource, &who, "-n", &env.namespace]).unwrap().status.success()
    {
        assert!(started.elapsed() < PATIENCE, "{user} may not {verb} {resource}");
    }
}
