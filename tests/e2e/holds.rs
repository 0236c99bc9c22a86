//! Holds of objects and of tenants: a stop that says why and ends by itself (promise 5).

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use rescind::api::{Auth0Tenant, ConditionType, UserRoleRevocation};
use serde_json::{Value, json};

use crate::harness::*;
use crate::times::{in_words, roles_with, seconds_ahead};

const WHY: &str = "handover, asked by IT";

fn hold(until: Timestamp) -> Value {
    json!({"hold": {"until": in_words(until), "reason": WHY}})
}

/// How long after `until` the DELETE for this user came.
fn delay(env: &Environment, user: &str, until: Timestamp) -> Duration {
    let deletes = env.fake.deletes();
    let sent = deletes.iter().rfind(|call| call.user.as_deref() == Some(user)).expect("a DELETE");
    sent.wall.duration_since(SystemTime::from(until)).expect("none before the end of the hold")
}

#[tokio::test(flavor = "multi_thread")]
async fn holds_say_until_when_and_why_and_end_by_themselves() {
    let env = Environment::new("hold").await;
    let _operator = env.operator().await;
    env.put::<UserRoleRevocation>("done", json!({"userId": USER, "roles": [OTHER_ROLE]})).await;
    let done = env.reason::<UserRoleRevocation>("done", "Removed").await;
    let (soon, far) = (seconds_ahead(4), seconds_ahead(3600));
    env.put::<UserRoleRevocation>("jane", roles_with(USER, &hold(soon))).await;
    env.put::<UserRoleRevocation>("jack", roles_with(OTHER_USER, &hold(far))).await;
    let status = env.reason::<UserRoleRevocation>("jane", "OnHold").await;
    assert_eq!(status.message(), format!("On hold until {} ({WHY}): nothing is sent.", in_words(soon)));
    for kind in [ConditionType::Reconciling, ConditionType::Stalled, ConditionType::Verified] {
        assert!(status.condition(kind).is_none(), "{status:?}");
    }
    env.reason::<UserRoleRevocation>("jane", "Removed").await;
    assert!(delay(&env, USER, soon) < Duration::from_secs(1), "{:?}", delay(&env, USER, soon));
    // What was removed is not shown as held.
    env.change::<UserRoleRevocation>("done", hold(far)).await;
    let held = env.reason::<UserRoleRevocation>("done", "Removed").await;
    assert_eq!((held.is_ready(), held.message()), (true, done.message()));

    // The hold of the object is taken away while that of the tenant is in force.
    let soon = seconds_ahead(5);
    env.put_tenant(hold(soon)).await;
    let message = env.tenant_reason("OnHold").await;
    assert!(message.contains(WHY) && message.contains("nothing is sent"), "{message}");
    let tenant = env.api::<Auth0Tenant>().get("default").await.unwrap().status.unwrap();
    assert_eq!(tenant.condition(ConditionType::Ready).unwrap().status, "True");
    env.reason::<UserRoleRevocation>("jack", "OnHold").await;
    env.change::<UserRoleRevocation>("jack", json!({"hold": null})).await;
    let of_tenant = |object: &UserRoleRevocation| {
        let status = object.status.clone().unwrap_or_default();
        status.reason_text() == Some("OnHold") && status.message().contains("Auth0Tenant default is on hold until")
    };
    let status = env.wait("jack", of_tenant).await.status.unwrap();
    assert!(status.message().contains(WHY), "{}", status.message());
    env.reason::<UserRoleRevocation>("jack", "Removed").await;
    assert!(delay(&env, OTHER_USER, soon) < Duration::from_secs(1), "{:?}", delay(&env, OTHER_USER, soon));
    env.tenant_reason("Connected").await;
    assert_eq!(env.fake.deletes().len(), 3, "{:?}", env.calls());
}
