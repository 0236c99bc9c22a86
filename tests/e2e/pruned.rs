//! CRDs of an earlier version, and then those of this one again, under the objects of a running operator (promise 13).
//!
//! An older CRD prunes what it does not know: from every answer, and at every write from what is stored. A field that
//! says "not yet" would be gone for good after a write of the status.

use std::time::Instant;

use kube::Api;
use kube::api::DynamicObject;
use kube::core::ApiResource;
use rescind::api::{Auth0Tenant, UserRoleRevocation};
use serde_json::{Value, json};
use stack::ControlPlane;

use crate::fixtures::tenant_spec;
use crate::harness::*;
use crate::stage::own_plane_with_crds;
use crate::times::{in_words, roles_with, seconds_ahead};

/// The CRDs as an earlier version might have had them: without modes, times, holds and policies, and without rules that
/// speak of them.
fn older_crds() -> String {
    let mut crds: Vec<Value> = rescind::api::crds().iter().map(|crd| json!(crd.definition)).collect();
    for crd in &mut crds {
        let schema = &mut crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        schema["x-kubernetes-validations"] = json!([]);
        schema["properties"]["spec"]["x-kubernetes-validations"] = json!([]);
        let spec = schema["properties"]["spec"]["properties"].as_object_mut().unwrap();
        for field in ["policy", "interval", "mode", "notBefore", "notAfter", "hold", "brake", "protected"] {
            spec.remove(field);
        }
        let status = schema["properties"]["status"]["properties"].as_object_mut().unwrap();
        for field in ["finished", "drift", "domain", "lastSeenTime"] {
            status.remove(field);
        }
    }
    crds.iter().map(|crd| format!("---\n{crd}\n")).collect()
}

/// An object as the API server has it, whatever CRD serves it.
async fn raw(env: &Environment, kind: &str, plural: &str, name: &str) -> Value {
    let (group, version) = ("rescind.dev".to_owned(), "v1alpha1".to_owned());
    let api_version = format!("{group}/{version}");
    let resource = ApiResource { group, version, api_version, kind: kind.to_owned(), plural: plural.to_owned() };
    let api: Api<DynamicObject> = Api::namespaced_with(env.client.clone(), &env.namespace, &resource);
    let object = api.get(name).await.unwrap();
    object.data
}

/// Installs these CRDs, and waits until objects of every kind are served by them: with a default mode, or without.
async fn install(env: &Environment, plane: &'static ControlPlane, crds: String, has_mode: bool) {
    tokio::task::spawn_blocking(move || plane.apply(&crds).expect("the CRDs install")).await.unwrap();
    let deadline = Instant::now() + PATIENCE;
    for (kind, plural, name) in
        [("UserRoleRevocation", "userrolerevocations", "plain"), ("Auth0Tenant", "auth0tenants", "default")]
    {
        // The API server applies a CRD some moments after it accepted it and does not say when.
        while raw(env, kind, plural, name).await["spec"].get("mode").is_some() != has_mode {
            assert!(Instant::now() < deadline, "the API server does not serve {kind} by these CRDs");
        }
    }
}

pub fn user(name: &str) -> String {
    format!("auth0|{name}")
}

/// An object of each state, and the reason that shows it.
pub fn rows() -> Vec<(&'static str, Value, &'static str)> {
    let (far, past) = (in_words(seconds_ahead(3600)), in_words(seconds_ahead(-3600)));
    vec![
        ("plain", json!({}), "Removed"),
        ("continuous", json!({"policy": "Continuous"}), "Removed"),
        ("gone", json!({"ifNotFound": "Ignore"}), "SubjectGone"),
        ("unknown", json!({}), "SubjectNotFound"),
        ("observed", json!({"mode": "Observe"}), "WouldRemove"),
        ("by-tenant", json!({"tenantRef": {"name": "observing"}}), "WouldRemove"),
        ("scheduled", json!({ "notBefore": far }), "Scheduled"),
        ("held", json!({"hold": {"until": far, "reason": "audit"}}), "OnHold"),
        ("by-hold-of-tenant", json!({"tenantRef": {"name": "held"}}), "OnHold"),
        ("replayed", json!({ "notAfter": past }), "NotReplayed"),
        ("suspended", json!({"suspend": true}), "Suspended"),
    ]
}

/// Makes the tenants and objects of [`rows`].
pub async fn make(env: &Environment) {
    let far = in_words(seconds_ahead(3600));
    for (name, more) in
        [("observing", json!({"mode": "Observe"})), ("held", json!({"hold": {"until": far, "reason": "audit"}}))]
    {
        let mut spec = tenant_spec(&env.fake);
        // An earlier version does not act on any other brake.
        spec["brake"] = json!({});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        env.put::<Auth0Tenant>(name, spec).await;
    }
    env.fake.edit(|tenant| {
        let unknown = ["gone", "unknown"];
        let known = rows().into_iter().map(|(name, ..)| name).chain(["fresh", "control"]);
        known.filter(|name| !unknown.contains(name)).for_each(|name| drop(tenant.user(user(name)).role(ROLE)));
    });
    for (name, more, _) in rows() {
        env.put::<UserRoleRevocation>(name, roles_with(&user(name), &more)).await;
    }
}

/// Waits until every object has its reason.
pub async fn all_as_before(env: &Environment) {
    for (name, _, reason) in rows() {
        env.reason::<UserRoleRevocation>(name, reason).await;
    }
}

/// Which users a DELETE was sent for, in order.
pub fn removed_from(env: &Environment) -> Vec<String> {
    let mut users: Vec<String> = env.fake.deletes().iter().filter_map(|call| call.user.clone()).collect();
    users.sort_unstable();
    users
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acts_because_an_older_crd_came_and_went() {
    let plane = own_plane_with_crds().await;
    let env = Environment::with(plane, prompt_fake().await, "pruned").await;
    make(&env).await;
    let operator = env.operator().await;
    all_as_before(&env).await;
    let expected = ["continuous", "gone", "plain", "unknown"].map(user);
    assert_eq!(removed_from(&env), expected);

    install(&env, plane, older_crds(), false).await;
    // A watch that was open delivers objects by the CRDs of before for some moments, so the operator starts once more.
    operator.stop().await;
    let operator = env.operator().await;
    // An object that is made now says why nothing is sent.
    env.put::<UserRoleRevocation>("fresh", roles(&user("fresh"))).await;
    let status = env.reason::<UserRoleRevocation>("fresh", "UnknownField").await;
    assert!(status.message().contains("spec.mode"), "{}", status.message());
    operator.stop().await;
    assert_eq!(removed_from(&env), expected);

    install(&env, plane, crds(), true).await;
    let operator = env.operator().await;
    env.put::<UserRoleRevocation>("control", roles(&user("control"))).await;
    env.reason::<UserRoleRevocation>("control", "Removed").await;
    env.reason::<UserRoleRevocation>("fresh", "Removed").await;
    all_as_before(&env).await;
    assert_eq!(removed_from(&env), ["continuous", "control", "fresh", "gone", "plain", "unknown"].map(user));
    operator.stop().await;
}
