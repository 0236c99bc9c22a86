//! Objects of any kind, and people with few rights, by impersonation.

use std::time::Instant;

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::Api;
use kube::api::PostParams;
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use serde_json::{Value, json};

use crate::harness::{Environment, PATIENCE};

/// Creates an object of any kind in the namespace of the environment.
pub async fn create(env: &Environment, object: Value) {
    let object: DynamicObject = serde_json::from_value(object).unwrap();
    let kind = GroupVersionKind::try_from(object.types.as_ref().unwrap()).unwrap();
    let resource = ApiResource::from_gvk(&kind);
    let api: Api<DynamicObject> = Api::namespaced_with(env.client.clone(), &env.namespace, &resource);
    api.create(&PostParams::default(), &object).await.unwrap();
}

/// Lets `user` do these things in the namespace of the environment, and waits until that is in force. Roles take
/// effect a moment after they are written, which cannot be watched.
pub async fn grant(env: &Environment, user: &str, rules: &[(&str, &[&str], &[&str])]) {
    let rule = |(group, resources, verbs): &(&str, &[&str], &[&str])| {
        let groups = [group];
        json!({"apiGroups": groups, "resources": resources, "verbs": verbs})
    };
    let all: Vec<Value> = rules.iter().map(rule).collect();
    let metadata = json!({"name": user});
    let api = "rbac.authorization.k8s.io";
    let version = format!("{api}/v1");
    create(env, json!({"apiVersion": version, "kind": "Role", "metadata": metadata, "rules": all})).await;
    let binding = json!({
        "apiVersion": version, "kind": "RoleBinding", "metadata": metadata,
        "roleRef": {"apiGroup": api, "kind": "Role", "name": user},
        "subjects": [{"apiGroup": api, "kind": "User", "name": user}],
    });
    create(env, binding).await;
    let (group, resources, verbs) = rules[0];
    let attributes = ResourceAttributes {
        group: Some(group.to_owned()),
        resource: Some(resources[0].to_owned()),
        verb: Some(verbs[0].to_owned()),
        namespace: Some(env.namespace.clone()),
        ..ResourceAttributes::default()
    };
    let spec = SubjectAccessReviewSpec {
        user: Some(user.to_owned()),
        resource_attributes: Some(attributes),
        ..SubjectAccessReviewSpec::default()
    };
    let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
    let reviews: Api<SubjectAccessReview> = Api::all(env.client.clone());
    let started = Instant::now();
    while !reviews.create(&PostParams::default(), &review).await.unwrap().status.unwrap().allowed {
        assert!(started.elapsed() < PATIENCE, "{user} may not {} {}", verbs[0], resources[0]);
    }
}
