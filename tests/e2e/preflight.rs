//! Promise 5: while an object is suspended, or after it was deleted or changed, no DELETE is sent, even if it was
//! wanted when the object joined the queue.

use std::time::Duration;

use fake_auth0::{Fault, Kind, Relation};
use rescind::api::{Auth0Tenant, ConditionType, UserRoleRevocation};
use serde_json::json;

use crate::harness::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_object_or_tenant_costs_no_call() {
    let env = Environment::new("suspend").await;
    let _operator = env.operator().await;
    let suspended = json!({"userId": USER, "roles": [ROLE], "suspend": true});
    env.put::<UserRoleRevocation>("jane", suspended).await;
    let status = env.reason::<UserRoleRevocation>("jane", "Suspended").await;
    assert_eq!(status.conditions.len(), 1, "neither reconciling nor stalled");
    assert_eq!(env.fake.total(), 0);
    env.change::<UserRoleRevocation>("jane", json!({"suspend": false})).await;
    env.reason::<UserRoleRevocation>("jane", "Removed").await;

    // A finished object stays finished.
    let calls = env.fake.total();
    env.put_tenant(json!({"suspend": true})).await;
    env.wait::<Auth0Tenant>("default", |t| t.status.as_ref().unwrap().observed_generation == t.metadata.generation)
        .await;
    env.put::<UserRoleRevocation>("other", roles(OTHER_USER)).await;
    env.reason::<UserRoleRevocation>("other", "Suspended").await;
    assert_eq!(env.fake.total(), calls);
    env.put_tenant(json!({"suspend": false})).await;
    env.reason::<UserRoleRevocation>("other", "Removed").await;
}

/// The preflight check sees what changed while the calls waited for an open circuit breaker.
#[tokio::test(flavor = "multi_thread")]
async fn the_preflight_sees_what_changed_while_waiting() {
    let env = Environment::new("lastlook").await;
    let users = ["first", "suspended", "deleted", "recreated", "control"].map(|name| (name, format!("auth0|{name}")));
    env.fake.edit(|tenant| {
        for (_, user) in &users {
            tenant.user(user.clone()).role(ROLE).role(OTHER_ROLE);
        }
    });
    let before = env.fake.state();
    env.fake.fault(Fault::status(429).header("Retry-After", "25").on(Kind::DeleteUserRoles).once());
    let _operator = env.operator().await;
    env.put::<UserRoleRevocation>("first", roles(&users[0].1)).await;
    env.reason::<UserRoleRevocation>("first", "RateLimited").await;
    for (name, user) in &users[1..] {
        env.put::<UserRoleRevocation>(name, roles(user)).await;
    }
    for (name, _) in &users[1..] {
        env.reason::<UserRoleRevocation>(name, "Queued").await;
    }
    env.change::<UserRoleRevocation>("suspended", json!({"suspend": true})).await;
    env.delete::<UserRoleRevocation>("deleted").await;
    env.delete::<UserRoleRevocation>("recreated").await;
    let other = json!({"userId": users[3].1, "roles": [OTHER_ROLE]});
    env.put::<UserRoleRevocation>("recreated", other).await;

    for name in ["first", "control", "recreated"] {
        env.reason::<UserRoleRevocation>(name, "Removed").await;
    }
    env.reason::<UserRoleRevocation>("suspended", "Suspended").await;
    let removed = [(&users[0].1, ROLE), (&users[3].1, OTHER_ROLE), (&users[4].1, ROLE)];
    env.fake.assert_removed_exactly(&before, removed.map(|(user, role)| Relation::user_role(user, role)));
}

/// `suspend` of the tenant also stops what already waits.
#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_suspended_during_a_wait_gets_nothing_more() {
    let env = Environment::new("stop").await;
    env.fake.fault(Fault::status(429).header("Retry-After", "3").on(Kind::DeleteUserRoles).once());
    let _operator = env.operator().await;
    env.put::<UserRoleRevocation>("jane", roles(USER)).await;
    env.reason::<UserRoleRevocation>("jane", "RateLimited").await;
    env.put_tenant(json!({"suspend": true})).await;
    env.reason::<UserRoleRevocation>("jane", "Suspended").await;
    assert_eq!(env.fake.total(), 1, "the 429 itself");
    env.put_tenant(json!({"suspend": false})).await;
    env.reason::<UserRoleRevocation>("jane", "Removed").await;
}

/// An object is deleted, or deleted and created again, while its call is in flight: the answer belongs to no other
/// object.
#[tokio::test(flavor = "multi_thread")]
async fn a_successor_does_not_inherit_a_verdict() {
    let env = Environment::new("successor").await;
    let held = env.fake.fault(Fault::hold().on(Kind::DeleteUserRoles).once());
    let _operator = env.operator_with(|s| s.timeouts.read = Duration::from_secs(20)).await;
    let old: UserRoleRevocation = env.put("jane", roles(USER)).await;
    held.arrived().await;
    env.delete::<UserRoleRevocation>("jane").await;
    let new: UserRoleRevocation = env.put("jane", json!({"userId": "auth0|nobody", "roles": [ROLE]})).await;
    assert_ne!(old.metadata.uid, new.metadata.uid);
    env.reason::<UserRoleRevocation>("jane", "SubjectNotFound").await;
    held.release();
    env.put::<UserRoleRevocation>("control", roles(OTHER_USER)).await;
    env.reason::<UserRoleRevocation>("control", "Removed").await;
    let now = env.api::<UserRoleRevocation>().get("jane").await.unwrap();
    assert_eq!(now.status.unwrap().reason_at(1).unwrap().as_str(), "SubjectNotFound");
}

/// Suspended while its DELETE is in flight: the answer is lost, so the object is read when it is resumed, and
/// says that the earlier DELETE may have removed what is gone.
#[tokio::test(flavor = "multi_thread")]
async fn an_edit_during_a_call_starts_afresh() {
    let env = Environment::new("edit").await;
    let held = env.fake.fault(Fault::hold_answer().on(Kind::DeleteUserRoles).once());
    let _operator = env.operator_with(|s| s.timeouts.total = Duration::from_secs(20)).await;
    env.put::<UserRoleRevocation>("jane", roles(USER)).await;
    held.arrived().await;
    env.change::<UserRoleRevocation>("jane", json!({"suspend": true})).await;
    env.reason::<UserRoleRevocation>("jane", "Suspended").await;
    held.release();
    env.put::<UserRoleRevocation>("control", roles(OTHER_USER)).await;
    env.reason::<UserRoleRevocation>("control", "Removed").await;
    assert!(env.fake.calls().iter().all(|c| c.kind != Kind::GetUserRoles || c.user.as_deref() != Some(USER)));
    env.change::<UserRoleRevocation>("jane", json!({"suspend": false})).await;
    let jane = env.reason::<UserRoleRevocation>("jane", "AlreadyAbsent").await;
    let message = &jane.condition(ConditionType::Ready).unwrap().message;
    assert!(message.contains("An earlier DELETE"), "{message}");
}
