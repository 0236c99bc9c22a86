//! The annotation `rescind.dev/reconcile-requested-at`: each new value is answered once, in
//! `status.lastHandledReconcileAt`.

use std::time::Duration;

use fake_auth0::{Fault, Kind};
use kube::Resource as _;
use kube::api::{Patch, PatchParams};
use rescind::api::{Auth0Tenant, RECONCILE_ANNOTATION, RemovalStatus, UserRoleRevocation};
use rescind::revocation::Revocation;
use serde::Serialize;
use serde_json::json;

use crate::harness::*;

/// Sets the annotation as `kubectl annotate` and Argo CD's button do.
pub async fn ask<K: Revocation>(env: &Environment, name: &str, value: &str) {
    env.api::<K>().patch(name, &PatchParams::default(), &question(value)).await.unwrap();
}

fn question(value: &str) -> Patch<serde_json::Value> {
    Patch::Merge(json!({"metadata": {"annotations": {RECONCILE_ANNOTATION: value}}}))
}

/// Waits for the answer, and returns the status that holds it.
pub async fn answered<K: Revocation + Serialize>(env: &Environment, name: &str, value: &str) -> RemovalStatus {
    let is_answered =
        |object: &K| object.status().is_some_and(|status| status.last_handled_reconcile_at.as_deref() == Some(value));
    env.wait(name, is_answered).await.status().cloned().unwrap()
}

/// Promise 12.
#[tokio::test(flavor = "multi_thread")]
async fn a_finished_object_answers_with_one_write_and_no_call() {
    let env = Environment::new("asked").await;
    let operator = env.operator().await;
    env.put::<UserRoleRevocation>("jane", roles(USER)).await;
    let before = env.reason::<UserRoleRevocation>("jane", "Removed").await;
    let (calls, writes) = (env.fake.total(), operator.removal_writes());

    ask::<UserRoleRevocation>(&env, "jane", "1").await;
    let after = answered::<UserRoleRevocation>(&env, "jane", "1").await;
    assert_eq!(after, RemovalStatus { last_handled_reconcile_at: Some("1".into()), ..before });
    // Another annotation is no request; a second value is answered once more.
    let other = Patch::Merge(json!({"metadata": {"annotations": {"example.com/x": "y"}}}));
    env.api::<UserRoleRevocation>().patch("jane", &PatchParams::default(), &other).await.unwrap();
    ask::<UserRoleRevocation>(&env, "jane", "2").await;
    answered::<UserRoleRevocation>(&env, "jane", "2").await;
    assert_eq!(env.fake.total(), calls, "{:?}", env.calls());
    assert_eq!(operator.removal_writes(), writes + 2);
    assert!(operator.writes().iter().all(|write| write.path.ends_with("/status") || write.path.contains("/events")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_object_is_tried_again_once() {
    let env = Environment::new("again").await;
    let _operator = env.operator().await;
    let nobody = "auth0|nobody";
    env.put::<UserRoleRevocation>("jane", roles(nobody)).await;
    env.reason::<UserRoleRevocation>("jane", "SubjectNotFound").await;
    let calls = env.fake.total();
    ask::<UserRoleRevocation>(&env, "jane", "1").await;
    let status = answered::<UserRoleRevocation>(&env, "jane", "1").await;
    let object = env.api::<UserRoleRevocation>().get("jane").await.unwrap();
    assert_eq!(status.reason_at(object.meta().generation.unwrap()).unwrap().as_str(), "SubjectNotFound");
    assert_eq!(env.fake.total(), calls + 1, "{:?}", env.calls());

    env.fake.edit(|tenant| {
        tenant.user(nobody).role(ROLE);
    });
    ask::<UserRoleRevocation>(&env, "jane", "2").await;
    let status = env.reason::<UserRoleRevocation>("jane", "Removed").await;
    assert_eq!(status.last_handled_reconcile_at.as_deref(), Some("2"), "in the same write");
}

/// Promise 11.
#[tokio::test(flavor = "multi_thread")]
async fn asking_shortens_no_wait_that_auth0_named() {
    let env = Environment::new("patience").await;
    env.fake.fault(Fault::status(429).header("Retry-After", "3").on(Kind::DeleteUserRoles).once());
    let _operator = env.operator().await;
    env.put::<UserRoleRevocation>("jane", roles(USER)).await;
    let limited = env.reason::<UserRoleRevocation>("jane", "RateLimited").await;
    ask::<UserRoleRevocation>(&env, "jane", "1").await;
    // The request is answered together with the verdict.
    let removed = env.reason::<UserRoleRevocation>("jane", "Removed").await;
    // Both times are truncated to whole seconds.
    let earliest = limited.next_attempt_time.unwrap().0 - Duration::from_secs(1);
    assert!(removed.last_removal_time.unwrap().0 >= earliest);
    assert_eq!(removed.last_handled_reconcile_at.as_deref(), Some("1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_answers_with_one_write_and_no_call() {
    let env = Environment::new("askedtenant").await;
    let operator = env.operator().await;
    env.tenant_reason("Unproved").await;
    let writes = operator.status_writes();
    for value in ["1", "2"] {
        env.api::<Auth0Tenant>().patch("default", &PatchParams::default(), &question(value)).await.unwrap();
        let answered = |tenant: &Auth0Tenant| {
            tenant.status.as_ref().is_some_and(|status| status.last_handled_reconcile_at.as_deref() == Some(value))
        };
        env.wait("default", answered).await;
    }
    assert_eq!(operator.status_writes(), writes + 2);
    // The tenant's own status write comes back as an event before this removal is done.
    env.put::<UserRoleRevocation>("jane", roles(USER)).await;
    env.reason::<UserRoleRevocation>("jane", "Removed").await;
    assert_eq!(operator.removal_writes(), 1);
    assert_eq!(env.fake.total(), 2, "{:?}", env.calls());
}
