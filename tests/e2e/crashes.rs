//! Promises 8 and 12: a crash costs at most a repeated, idempotent call; what is finished costs nothing, ever again.

use fake_auth0::{Fault, FaultHandle, Kind, Relation};
use rescind::api::{Auth0Tenant, OrgMembershipRemoval, UserRoleRevocation};
use serde_json::json;

use crate::fault_injector::Failure;
use crate::harness::*;
use crate::process::Process;

/// Promise 12, and one status write in all.
#[tokio::test(flavor = "multi_thread")]
async fn a_finished_object_costs_one_write_and_then_nothing() {
    let env = Environment::new("finished").await;
    let operator = env.operator().await;
    env.put::<UserRoleRevocation>("roles", roles(USER)).await;
    env.put::<OrgMembershipRemoval>("members", json!({"organizationId": ORG, "members": [OTHER_USER]})).await;
    let gone = json!({"userId": "auth0|nobody", "roles": [ROLE], "ifNotFound": "Ignore"});
    env.put::<UserRoleRevocation>("gone", gone).await;
    env.reason::<UserRoleRevocation>("roles", "Removed").await;
    env.reason::<OrgMembershipRemoval>("members", "Removed").await;
    env.reason::<UserRoleRevocation>("gone", "SubjectGone").await;
    assert_eq!(operator.removal_writes(), 3, "{:?}", operator.writes());
    operator.stop().await;

    let calls = env.fake.total();
    let operator = env.operator().await;
    // A rotated Secret, an edited label and a new object wake every part of the operator.
    env.put_secret(&env.fake.token(&env.fake.all_scopes())).await;
    let label = kube::api::Patch::Merge(json!({"metadata": {"labels": {"x": "y"}}}));
    env.api::<UserRoleRevocation>().patch("roles", &Default::default(), &label).await.unwrap();
    env.put::<UserRoleRevocation>("control", roles(OTHER_USER)).await;
    env.reason::<UserRoleRevocation>("control", "Removed").await;
    assert_eq!(env.fake.total() - calls, 2, "the control's own: {:?}", env.calls());
    assert_eq!(operator.removal_writes(), 1, "the control's own: {:?}", operator.writes());
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_that_cannot_be_written_is_written_later_and_nothing_is_done_twice() {
    let (env, injector) = (Environment::new("unwritten").await, FaultInjector::default());
    let operator = env.operator_through(injector.clone(), |_| {}).await;
    // From here on nothing but the verdict is to be written: what the brake allots lasts for more than one removal.
    env.put::<UserRoleRevocation>("first", roles(OTHER_USER)).await;
    env.reason::<UserRoleRevocation>("first", "Removed").await;
    env.tenant_reason("Connected").await;
    let failures = [Failure::Refused(409), Failure::Refused(500), Failure::Refused(429), Failure::AnswerLost];
    injector.fail_writes(failures);
    env.put::<UserRoleRevocation>("jane", roles(USER)).await;
    env.reason::<UserRoleRevocation>("jane", "Removed").await;
    assert_eq!(injector.failures_left(), 0);
    assert_eq!(env.fake.count(Kind::DeleteUserRoles), 2, "{:?}", env.calls());
    operator.stop().await;
    assert_eq!(env.fake.total(), 4, "{:?}", env.calls());
}

/// Kills the operator while `fault` holds a call, starts another, and returns the number of DELETEs.
async fn killed_at(name: &str, fault: Fault, kind: Kind) -> (Environment, u64) {
    let env = Environment::new(name).await;
    let before = env.fake.state();
    let held: FaultHandle = env.fake.fault(fault.on(kind).once());
    let operator = Process::start(&env);
    env.put::<UserRoleRevocation>("jane", roles(USER)).await;
    held.arrived().await;
    operator.kill().await;
    held.release();
    let _operator = env.operator().await;
    env.reason::<UserRoleRevocation>("jane", "Removed").await;
    env.fake.assert_removed_exactly(&before, [Relation::user_role(USER, ROLE)]);
    let deletes = env.fake.count(Kind::DeleteUserRoles);
    (env, deletes)
}

/// Promise 8: killed before the DELETE acts, after it acted, and during the proof.
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_costs_at_most_a_repeated_call() {
    let kills = [
        killed_at("kill-before", Fault::hold(), Kind::DeleteUserRoles),
        killed_at("kill-acted", Fault::hold_answer(), Kind::DeleteUserRoles),
        killed_at("kill-proof", Fault::hold(), Kind::GetUserRoles),
    ];
    for kill in kills {
        let (_, deletes) = kill.await;
        assert!(deletes <= 2, "{deletes} DELETEs");
    }
}

/// A status written by hand counts only if it says that the object is finished. Conditions of others stay.
#[tokio::test(flavor = "multi_thread")]
async fn foreign_conditions_are_kept() {
    let env = Environment::new("foreign").await;
    env.put::<UserRoleRevocation>("jane", roles(USER)).await;
    let condition = json!({
        "type": "Audited", "status": "True", "reason": "ByHand", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z",
    });
    let status = json!({
        "apiVersion": "rescind.dev/v1alpha1", "kind": "UserRoleRevocation", "metadata": {"name": "jane"},
        "status": {"conditions": [condition]},
    });
    let params = kube::api::PatchParams::apply("auditor");
    let api = env.api::<UserRoleRevocation>();
    api.patch_status("jane", &params, &kube::api::Patch::Apply(status)).await.unwrap();
    let _operator = env.operator().await;
    let status = env.reason::<UserRoleRevocation>("jane", "Removed").await;
    assert!(status.conditions.iter().any(|condition| condition.type_ == "Audited"));
}

/// Spec, labels and annotations of a user's object are never written, and no finalizer is added.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_status_is_written() {
    let env = Environment::new("own").await;
    let operator = env.operator().await;
    env.put::<UserRoleRevocation>("jane", roles(USER)).await;
    env.reason::<UserRoleRevocation>("jane", "Removed").await;
    let object = env.api::<UserRoleRevocation>().get("jane").await.unwrap();
    assert_eq!((object.metadata.generation, object.metadata.finalizers), (Some(1), None));
    let ours = object.metadata.managed_fields.unwrap().into_iter().filter(|f| f.manager.as_deref() == Some("rescind"));
    assert!(ours.into_iter().all(|fields| fields.subresource.as_deref() == Some("status")));
    let others: Vec<_> = operator
        .writes()
        .into_iter()
        .filter(|w| !w.path.ends_with("/status") && !w.path.ends_with("/events"))
        .collect();
    assert!(others.is_empty(), "{others:?}");
    let tenant = env.api::<Auth0Tenant>().get("default").await.unwrap();
    assert_eq!(tenant.metadata.generation, Some(1));
}
