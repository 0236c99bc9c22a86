//! Suspend and resume in every state: while suspended nothing is sent, what was finished stays as it was, and afterwards
//! the object goes on where it was (promise 5).

use fake_auth0::{Fault, Kind};
use futures::StreamExt;
use rescind::api::{Auth0Tenant, RemovalStatus, UserRoleRevocation};
use serde_json::{Value, json};

use crate::fixtures::{consent, tenant_spec};
use crate::harness::*;
use crate::times::{in_words, roles_with, seconds_ahead};

/// An object in one state.
struct Row {
    name: &'static str,
    /// Fields beside the target.
    more: Value,
    /// The reason before it is suspended; none if it would be written only after a while.
    before: Option<&'static str>,
    /// The reason while it is suspended.
    meanwhile: &'static str,
    /// The reason once it is resumed, while everything else is as before.
    after: &'static str,
}

impl Row {
    /// Whether it was finished before.
    fn is_done(&self) -> bool {
        self.before == Some(self.meanwhile) && self.meanwhile != "Suspended"
    }
}

fn row(name: &'static str, more: Value, before: &'static str, meanwhile: &'static str) -> Row {
    Row { name, more, before: Some(before), meanwhile, after: before }
}

/// An object that waits, and is removed once what it waits for has come meanwhile.
fn waits(name: &'static str, more: Value) -> Row {
    Row { name, more, before: None, meanwhile: "Suspended", after: "Removed" }
}

fn rows() -> Vec<Row> {
    let far = in_words(seconds_ahead(3600));
    let past = in_words(seconds_ahead(-3600));
    vec![
        row("scheduled", json!({ "notBefore": far }), "Scheduled", "Suspended"),
        row("held", json!({"hold": {"until": far, "reason": "audit"}}), "OnHold", "Suspended"),
        waits("no-tenant", json!({"tenantRef": {"name": "no-tenant"}})),
        waits("no-secret", json!({"tenantRef": {"name": "no-secret"}})),
        waits("unavailable", json!({})),
        row("of-suspended", json!({"tenantRef": {"name": "stopped"}}), "Suspended", "Suspended"),
        row("blind", json!({"mode": "Observe", "tenantRef": {"name": "blind"}}), "InsufficientScope", "Suspended"),
        row("unknown", json!({}), "SubjectNotFound", "Suspended"),
        row("removed", json!({}), "Removed", "Removed"),
        row("absent", json!({"roles": ["rol_AAAAAAAAAAAAAAAA"]}), "Removed", "Removed"),
        row("gone", json!({"ifNotFound": "Ignore"}), "SubjectGone", "SubjectGone"),
        row("observed", json!({"mode": "Observe"}), "WouldRemove", "WouldRemove"),
        row("continuous", json!({"policy": "Continuous"}), "Removed", "Removed"),
        row("replayed", json!({ "notAfter": past }), "NotReplayed", "NotReplayed"),
        row("by-day", json!({ "notBefore": past, "notAfter": far }), "Removed", "Removed"),
    ]
}

fn user(name: &str) -> String {
    format!("auth0|{name}")
}

/// A tenant object with this name, which uses the Secret of this name.
async fn put_tenant(env: &Environment, name: &str, more: Value) {
    let mut spec = tenant_spec(&env.fake);
    spec["credentials"]["tokenSecretRef"]["name"] = json!(name);
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    env.put::<Auth0Tenant>(name, spec).await;
}

async fn put_secret(env: &Environment, name: &str, token: &str) {
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "labels": consent()},
        "stringData": {"token": token},
    });
    let secret: k8s_openapi::api::core::v1::Secret = serde_json::from_value(secret).unwrap();
    env.api().create(&Default::default(), &secret).await.unwrap();
}

/// Changes every object, and waits for the reason that `expected` names. Returns the statuses.
async fn all(
    env: &Environment,
    rows: &[Row],
    change: Option<Value>,
    expected: fn(&Row) -> Option<&'static str>,
) -> Vec<RemovalStatus> {
    let one = async |row: &Row| {
        if let Some(change) = change.clone() {
            env.change::<UserRoleRevocation>(row.name, change).await;
        }
        let Some(reason) = expected(row) else { return RemovalStatus::default() };
        env.reason::<UserRoleRevocation>(row.name, reason).await
    };
    futures::stream::iter(rows).map(one).buffered(8).collect().await
}

#[tokio::test(flavor = "multi_thread")]
async fn suspending_stops_every_state_and_resuming_goes_on() {
    let env = Environment::new("suspend").await;
    let rows = rows();
    let unknown = ["unknown", "gone"];
    env.fake.edit(|tenant| {
        let users = rows.iter().map(|row| row.name).filter(|name| !unknown.contains(name));
        users.for_each(|name| drop(tenant.user(user(name)).role(ROLE)));
    });
    let fault = env.fake.fault(Fault::status(503).on(Kind::DeleteUserRoles).user(user("unavailable")));
    put_tenant(&env, "no-secret", json!({})).await;
    put_tenant(&env, "stopped", json!({"suspend": true})).await;
    put_secret(&env, "stopped", &env.token).await;
    put_tenant(&env, "blind", json!({})).await;
    put_secret(&env, "blind", &env.fake.token(&["update:users"])).await;
    let operator = env.operator().await;
    for row in &rows {
        env.put::<UserRoleRevocation>(row.name, roles_with(&user(row.name), &row.more)).await;
    }
    let before = all(&env, &rows, None, |row| row.before).await;
    within(fault.arrived()).await;

    let meanwhile = all(&env, &rows, Some(json!({"suspend": true})), |row| Some(row.meanwhile)).await;
    let finished =
        |status: &RemovalStatus| (status.finished.clone(), status.result.clone(), status.verified_time.clone());
    for (row, (before, meanwhile)) in rows.iter().zip(before.iter().zip(&meanwhile)) {
        if row.is_done() {
            assert_eq!(finished(before), finished(meanwhile), "{}", row.name);
            assert_eq!(before.message(), meanwhile.message(), "{}", row.name);
        } else {
            assert!(meanwhile.message().contains("Suspended by spec.suspend"), "{}: {}", row.name, meanwhile.message());
        }
    }
    // Nothing is sent meanwhile, even after a restart and after what kept them from acting has ended.
    operator.stop().await;
    let calls = env.fake.total();
    fault.remove();
    put_tenant(&env, "no-tenant", json!({})).await;
    put_secret(&env, "no-tenant", &env.token).await;
    put_secret(&env, "no-secret", &env.token).await;
    let operator = env.operator().await;
    env.put::<UserRoleRevocation>("control", roles(USER)).await;
    env.reason::<UserRoleRevocation>("control", "Removed").await;
    all(&env, &rows, Some(json!({"verification": "After"})), |row| Some(row.meanwhile)).await;
    assert_eq!(env.fake.total(), calls + 2, "the control's own: {:?}", env.calls());

    let after = all(&env, &rows, Some(json!({"suspend": false})), |row| Some(row.after)).await;
    for (row, (before, after)) in rows.iter().zip(before.iter().zip(&after)).filter(|(row, _)| row.is_done()) {
        assert_eq!(finished(before), finished(after), "{}", row.name);
    }
    // A DELETE and its proof for each of those that waited; Auth0 is asked once more about the user it does not know.
    let sent = env.fake.total() - calls - 2;
    assert!((7..=8).contains(&sent), "{sent}: {:?}", env.calls());
    operator.stop().await;
}
