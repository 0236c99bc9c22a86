//! The brake: a namespace that would exceed the limit stops before its first DELETE, and goes on when somebody releases
//! it. What was counted outlives the operator and the objects.

use fake_auth0::Kind;
use kube::api::{Patch, PatchParams};
use rescind::api::{
    Auth0Tenant, Auth0TenantStatus, BrakeStatus, ConditionType, RELEASE_BRAKE_ANNOTATION, UserRoleRevocation,
};
use serde_json::{Value, json};

use crate::fault_injector::{Failure, FaultInjector};
use crate::harness::*;
use crate::stage::Stage;
use crate::times::{roles_with, seconds_ahead};

fn user(n: usize) -> String {
    format!("auth0|user-{n}")
}

fn name(n: usize) -> String {
    format!("user-{n}")
}

/// Ten people with a role, and a tenant whose brake lets through this many.
async fn environment(name: &str, max: usize) -> Environment {
    let env = Environment::new(name).await;
    env.fake.edit(|tenant| {
        for n in 0..10 {
            tenant.user(user(n)).role(ROLE);
        }
    });
    env.put_tenant(brake(max)).await;
    env
}

fn brake(max: usize) -> Value {
    json!({"brake": {"maxRemovals": max, "window": "1h", "maxShareOfOrganization": 100}})
}

async fn put(env: &Environment, people: impl IntoIterator<Item = usize>, more: &Value) {
    for n in people {
        env.put::<UserRoleRevocation>(&name(n), roles_with(&user(n), more)).await;
    }
}

async fn reasons(env: &Environment, people: impl IntoIterator<Item = usize>, reason: &str) {
    for n in people {
        env.reason::<UserRoleRevocation>(&name(n), reason).await;
    }
}

/// The status of the tenant once its brake is as wanted.
async fn tenant(env: &Environment, wanted: impl Fn(&BrakeStatus) -> bool + Send + Sync) -> Auth0TenantStatus {
    let status = |tenant: &Auth0Tenant| tenant.status.clone().unwrap_or_default();
    let is_wanted = |tenant: &Auth0Tenant| status(tenant).brake.as_ref().is_some_and(&wanted);
    status(&env.wait("default", is_wanted).await)
}

/// Releases the engagement with this id.
async fn release(env: &Environment, id: &str) {
    let patch = json!({"metadata": {"annotations": {RELEASE_BRAKE_ANNOTATION: id}}});
    env.api::<Auth0Tenant>().patch("default", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
}

/// Five people in one go, where three are allowed: none of them loses anything, while another namespace goes on. The
/// release lets the five through and nobody else.
#[tokio::test(flavor = "multi_thread")]
async fn too_many_removals_stop_before_the_first() {
    let env = environment("brake", 3).await;
    let other = env.neighbour("brake-other").await;
    other.put_secret(&other.token).await;
    other.put_tenant(brake(3)).await;
    env.put_tenant(json!({"suspend": true, "brake": brake(3)["brake"]})).await;
    put(&env, 0..5, &json!({})).await;
    let (_operator, _other) = (env.operator().await, other.operator().await);
    reasons(&env, 0..5, "Suspended").await;
    env.put_tenant(brake(3)).await;
    reasons(&env, 0..5, "BrakeEngaged").await;
    put(&other, [9], &json!({})).await;
    reasons(&other, [9], "Removed").await;
    assert_eq!(env.fake.count(Kind::DeleteUserRoles), 1, "{:?}", env.calls());

    let status = tenant(&env, |brake| brake.id.is_some()).await;
    let condition = status.condition(ConditionType::BrakeEngaged).unwrap();
    assert_eq!((condition.status.as_str(), condition.reason.as_str()), ("True", "TooManyRemovals"));
    assert!(
        condition.message.starts_with("5 items") && condition.message.contains("allows 3"),
        "{}",
        condition.message
    );
    let id = status.brake.unwrap().id.unwrap();
    assert!(id.starts_with("5-"), "{id}");
    release(&env, "5-wrong").await;
    release(&env, &id).await;
    reasons(&env, 0..5, "Removed").await;
    // Whoever comes later waits for another release.
    put(&env, [5], &json!({})).await;
    reasons(&env, [5], "BrakeEngaged").await;
    let next = tenant(&env, |brake| brake.id.as_ref().is_some_and(|next| *next != id)).await.brake.unwrap();
    assert!(next.id.as_ref().is_some_and(|next| next.starts_with("6-")) && next.used == 5, "{next:?}");
    // Nothing more is asked for, so the brake is not engaged any more.
    env.delete::<UserRoleRevocation>(&name(5)).await;
    tenant(&env, |brake| brake.id.is_none()).await;
    assert_eq!(env.fake.count(Kind::DeleteUserRoles), 6, "{:?}", env.calls());
}

/// What was removed counts although its objects are deleted and the operator is another one.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_removed_counts_after_a_restart() {
    let env = environment("brake-restart", 3).await;
    let operator = env.operator().await;
    put(&env, 0..2, &json!({})).await;
    reasons(&env, 0..2, "Removed").await;
    for n in 0..2 {
        env.delete::<UserRoleRevocation>(&name(n)).await;
    }
    operator.stop().await;
    put(&env, 2..4, &json!({})).await;
    let operator = env.operator().await;
    reasons(&env, 2..4, "BrakeEngaged").await;
    let before = tenant(&env, |brake| brake.id.is_some()).await.brake.unwrap();
    // The engagement is the same after one more restart.
    operator.stop().await;
    let _operator = env.operator().await;
    put(&env, [4], &json!({})).await;
    reasons(&env, [4], "BrakeEngaged").await;
    let word = |brake: &BrakeStatus| brake.id.as_ref().and_then(|id| Some(id.split_once('-')?.1.to_owned()));
    release(&env, before.id.as_ref().unwrap()).await;
    let after = tenant(&env, |brake| word(brake).is_some() && word(brake) != word(&before)).await.brake.unwrap();
    // Four were shown, so two more go, and one waits.
    let done = || async {
        let mut done = 0;
        for n in 2..5 {
            let object = env.api::<UserRoleRevocation>().get(&name(n)).await.unwrap();
            done += usize::from(object.status.is_some_and(|status| status.is_ready()));
        }
        done
    };
    while done().await < 2 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!((done().await, env.fake.count(Kind::DeleteUserRoles)), (2, 4), "{after:?}");
}

/// Nothing is sent before what the brake allots is written.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_before_it_is_allotted() {
    let (env, injector) = (environment("brake-unwritten", 3).await, FaultInjector::default());
    let operator = env.operator_through(injector.clone(), |_| {}).await;
    env.tenant_reason("Unproved").await;
    injector.fail_writes([Failure::Refused(409), Failure::Refused(500), Failure::Refused(429), Failure::AnswerLost]);
    put(&env, [0], &json!({})).await;
    reasons(&env, [0], "Removed").await;
    assert_eq!(injector.failures_left(), 0);
    let path = |request: &Request| request.path.ends_with("/auth0tenants/default/status");
    // Those that were refused are not among them: that of Unproved, one whose answer was lost, and another allotment.
    let allotted = operator.writes().iter().filter(|request| path(request)).count();
    assert!(allotted >= 3, "{:?}", operator.writes());
    assert_eq!(env.fake.total(), 2, "{:?}", env.calls());
}

/// What waits for a Friday evening is said before, and can be released before. What a tenant only observed is counted
/// together before the first of it is removed.
#[tokio::test(flavor = "multi_thread")]
async fn an_overrun_is_said_before_it_comes() {
    let env = environment("brake-ahead", 3).await;
    let _operator = env.operator().await;
    put(&env, 0..4, &json!({"notBefore": seconds_ahead(3600).to_string()})).await;
    let status = tenant(&env, |brake| brake.id.as_ref().is_some_and(|id| id.starts_with("4-"))).await;
    let condition = status.condition(ConditionType::BrakeEngaged).unwrap();
    assert_eq!((condition.status.as_str(), condition.reason.as_str()), ("False", "TooManyScheduled"));
    reasons(&env, 0..4, "Scheduled").await;
    release(&env, status.brake.unwrap().id.as_ref().unwrap()).await;
    let status = tenant(&env, |brake| brake.id.is_none() && brake.released == 4).await;
    assert_eq!(status.condition(ConditionType::BrakeEngaged), None);

    env.put_tenant(json!({"mode": "Observe", "brake": brake(3)["brake"]})).await;
    put(&env, 4..8, &json!({})).await;
    reasons(&env, 4..8, "WouldRemove").await;
    env.put_tenant(brake(3)).await;
    reasons(&env, 4..8, "BrakeEngaged").await;
    assert_eq!(env.fake.count(Kind::DeleteUserRoles), 0, "{:?}", env.calls());
}

/// A limit for all namespaces of a cluster-scoped tenant stops all of them, and the tenant says which one brought it
/// over.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_tenant_has_a_limit_for_all_its_namespaces() {
    let stage = Stage::new("brake-cluster").await;
    stage.operator.fake.edit(|tenant| {
        for n in 0..10 {
            tenant.user(user(n)).role(ROLE);
        }
    });
    let (one, other) = (stage.namespace().await, stage.namespace().await);
    let of_cluster = json!({"tenantRef": {"kind": "ClusterAuth0Tenant", "name": "default"}});
    let limits = |suspend: bool, total: usize| {
        let brake = json!({"maxRemovals": 4, "window": "1h", "maxShareOfOrganization": 100, "maxRemovalsTotal": total});
        json!({"brake": brake, "suspend": suspend})
    };
    stage.put_tenant(limits(true, 5)).await;
    put(&one, 0..4, &of_cluster).await;
    put(&other, 4..6, &of_cluster).await;
    let _operator = stage.start().await;
    reasons(&one, 0..4, "Suspended").await;
    reasons(&other, 4..6, "Suspended").await;
    stage.put_tenant(limits(false, 5)).await;
    reasons(&one, 0..4, "BrakeEngaged").await;
    reasons(&other, 4..6, "BrakeEngaged").await;
    let status = stage.tenant_reason("Unproved").await;
    let message = &status.condition(ConditionType::BrakeEngaged).unwrap().message;
    assert!(message.contains("6 items") && message.contains(&one.namespace), "{message}");
    assert_eq!(stage.operator.fake.count(Kind::DeleteUserRoles), 0);
    stage.put_tenant(limits(false, 6)).await;
    reasons(&one, 0..4, "Removed").await;
    reasons(&other, 4..6, "Removed").await;
    // A namespace with too many of its own does not stop another one.
    let third = stage.namespace().await;
    stage.put_tenant(limits(true, 100)).await;
    put(&other, 6..9, &of_cluster).await;
    reasons(&other, 6..9, "Suspended").await;
    stage.put_tenant(limits(false, 100)).await;
    reasons(&other, 6..9, "BrakeEngaged").await;
    put(&third, [9], &of_cluster).await;
    reasons(&third, [9], "Removed").await;
    stage.end().await;
}
