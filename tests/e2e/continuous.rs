//! Policy Continuous: what the object names is looked at again and removed again, and deletion gives nothing back.
//! A request by annotation brings a check forward, so that no test waits for an interval.

use fake_auth0::{Fault, Kind, Relation};
use rescind::api::{
    ConditionType, OrgMemberRoleRemoval, OrgMembershipRemoval, RemovalStatus, UserPermissionRevocation,
    UserRoleRevocation,
};
use rescind::revocation::Revocation;
use serde::Serialize;
use serde_json::{Value, json};

use crate::harness::*;
use crate::reconcile_requests::{answered, ask};
use crate::times::roles_with;

/// `spec` with policy Continuous.
fn continuous(mut spec: Value) -> Value {
    spec["policy"] = json!("Continuous");
    spec
}

/// Gives back what the object names, requests a check, and waits until it is removed again.
async fn came_back<K: Revocation + Serialize>(
    env: &Environment,
    name: &str,
    what: Relation,
    times: i32,
) -> RemovalStatus {
    env.fake.give([what]);
    let request = format!("back-{times}");
    ask::<K>(env, name, &request).await;
    let is_counted = |object: &K| {
        let status = object.status().cloned().unwrap_or_default();
        let is_answered = status.last_handled_reconcile_at.as_deref() == Some(&request);
        status.reason_text() == Some("Removed") && is_answered && status.drift.is_some_and(|drift| drift.count == times)
    };
    env.wait(name, is_counted).await.status().cloned().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_back_is_removed_again_and_counted() {
    let env = Environment::new("continuous").await;
    let operator = env.operator().await;
    env.put::<UserRoleRevocation>("jane", continuous(roles(USER))).await;
    let first = env.reason::<UserRoleRevocation>("jane", "Removed").await;
    assert!(first.drift.is_none() && first.condition(ConditionType::Drifted).is_none());

    // Nothing came back: one read, one write, which says nothing but the answer.
    let (calls, writes) = (env.fake.total(), operator.removal_writes());
    ask::<UserRoleRevocation>(&env, "jane", "1").await;
    let status = answered::<UserRoleRevocation>(&env, "jane", "1").await;
    assert_eq!(status, RemovalStatus { last_handled_reconcile_at: Some("1".into()), ..first.clone() });
    assert_eq!(env.fake.total(), calls + 1, "{:?}", env.calls());
    assert_eq!(operator.removal_writes(), writes + 1, "{:?}", operator.writes());

    for times in 1..=5 {
        let status = came_back::<UserRoleRevocation>(&env, "jane", Relation::user_role(USER, ROLE), times).await;
        assert_eq!(env.fake.count(Kind::DeleteUserRoles), 1 + u64::try_from(times).unwrap(), "{:?}", env.calls());
        let drifted = status.condition(ConditionType::Drifted).unwrap();
        let (often, reason) = (times > 3, if times > 3 { "KeepsComingBack" } else { "CameBack" });
        assert_eq!((drifted.status.as_str(), drifted.reason.as_str()), ("True", reason));
        assert_eq!(drifted.message.contains("membership on login"), often, "{}", drifted.message);
        assert_eq!(status.drift.as_ref().unwrap().times.len(), usize::try_from(times.min(4)).unwrap());
        let result = status.result.as_ref().unwrap();
        assert_eq!((result.accepted, result.already_absent, result.remaining), (1, 0, 0));
        assert_eq!(status.condition(ConditionType::Verified).unwrap().status, "True");
    }
    // An operator that starts later goes on counting, and looks at nothing before its time.
    operator.stop().await;
    let (calls, operator) = (env.fake.total(), env.operator().await);
    env.put::<UserRoleRevocation>("control", roles(OTHER_USER)).await;
    env.reason::<UserRoleRevocation>("control", "Removed").await;
    assert_eq!((env.fake.total(), operator.removal_writes()), (calls + 2, 1), "the control's own: {:?}", env.calls());
    came_back::<UserRoleRevocation>(&env, "jane", Relation::user_role(USER, ROLE), 6).await;
    // With policy Once it is finished, whatever came back.
    env.change::<UserRoleRevocation>("jane", json!({"policy": "Once"})).await;
    env.reason::<UserRoleRevocation>("jane", "Removed").await;
    env.fake.give([Relation::user_role(USER, ROLE)]);
    let calls = env.fake.total();
    ask::<UserRoleRevocation>(&env, "jane", "once").await;
    answered::<UserRoleRevocation>(&env, "jane", "once").await;
    assert_eq!(env.fake.total(), calls, "{:?}", env.calls());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_is_looked_at_again() {
    let env = Environment::new("continuous-kinds").await;
    let _operator = env.operator().await;
    let permission = json!({"resourceServerIdentifier": API, "permissionName": "read:x"});
    let permissions = json!({"userId": USER, "permissions": [permission]});
    env.put::<UserPermissionRevocation>("jane", continuous(permissions)).await;
    let member_roles = json!({"organizationId": ORG, "userId": USER, "roles": [ROLE]});
    env.put::<OrgMemberRoleRemoval>("jane", continuous(member_roles)).await;
    let members = json!({"organizationId": ORG, "members": [OTHER_USER]});
    env.put::<OrgMembershipRemoval>("acme", continuous(members)).await;
    env.reason::<UserPermissionRevocation>("jane", "Removed").await;
    env.reason::<OrgMemberRoleRemoval>("jane", "Removed").await;
    env.reason::<OrgMembershipRemoval>("acme", "Removed").await;
    let permission = Relation::user_permission(USER, API, "read:x");
    came_back::<UserPermissionRevocation>(&env, "jane", permission, 1).await;
    came_back::<OrgMemberRoleRemoval>(&env, "jane", Relation::member_role(ORG, USER, ROLE), 1).await;
    came_back::<OrgMembershipRemoval>(&env, "acme", Relation::member(ORG, OTHER_USER), 1).await;

    // While it is suspended or only observed, nothing is removed again.
    let deletes = env.fake.deletes().len();
    env.fake.give([Relation::member(ORG, OTHER_USER)]);
    env.change::<OrgMembershipRemoval>("acme", json!({"suspend": true})).await;
    ask::<OrgMembershipRemoval>(&env, "acme", "suspended").await;
    env.change::<OrgMembershipRemoval>("acme", json!({"suspend": false, "mode": "Observe"})).await;
    ask::<OrgMembershipRemoval>(&env, "acme", "observed").await;
    let status = answered::<OrgMembershipRemoval>(&env, "acme", "observed").await;
    assert_eq!((status.reason_text(), status.result.as_ref().unwrap().remaining), (Some("WouldRemove"), 1));
    assert_eq!(env.fake.deletes().len(), deletes, "{:?}", env.calls());
    env.change::<OrgMembershipRemoval>("acme", json!({"mode": "Remove"})).await;
    env.reason::<OrgMembershipRemoval>("acme", "Removed").await;
    assert_eq!(env.fake.deletes().len(), deletes + 1, "{:?}", env.calls());
}

/// While one walk through the members is in flight, the other checks gather, and one more walk serves them all.
#[tokio::test(flavor = "multi_thread")]
async fn checks_of_one_organization_share_a_walk() {
    let env = Environment::new("continuous-walk").await;
    let leaver = |n: usize| format!("auth0|leaver-{n}");
    env.fake.edit(|tenant| drop(tenant.organization(ORG).members((0..6).map(leaver).collect::<Vec<_>>())));
    let operator = env.operator().await;
    for n in 0..6 {
        let spec = json!({"organizationId": ORG, "members": [leaver(n)]});
        env.put::<OrgMembershipRemoval>(&format!("m{n}"), continuous(spec)).await;
    }
    for n in 0..6 {
        env.reason::<OrgMembershipRemoval>(&format!("m{n}"), "Removed").await;
    }
    let (calls, writes, deletes) = (env.fake.total(), operator.removal_writes(), env.fake.deletes().len());
    let first = env.fake.fault(Fault::hold().on_reads().once());
    ask::<OrgMembershipRemoval>(&env, "m0", "1").await;
    within(first.arrived()).await;
    for n in 1..6 {
        ask::<OrgMembershipRemoval>(&env, &format!("m{n}"), "1").await;
    }
    // A removal of the same kind, made after them, comes to its DELETE: by then the checks have been submitted.
    env.put::<OrgMembershipRemoval>("control", json!({"organizationId": ORG, "members": [OTHER_USER]})).await;
    env.fake.wait_for_count(Kind::DeleteMembers, u64::try_from(deletes).unwrap() + 1, PATIENCE).await.unwrap();
    first.release();
    for n in 0..6 {
        answered::<OrgMembershipRemoval>(&env, &format!("m{n}"), "1").await;
    }
    env.reason::<OrgMembershipRemoval>("control", "Removed").await;
    let sent = env.fake.total() - calls;
    assert!(sent <= 4, "{sent} calls for six checks and one removal: {:?}", env.calls());
    assert_eq!(operator.removal_writes(), writes + 7, "{:?}", operator.writes());
}

/// Two objects that name the same: one DELETE, a verdict for each. Deletion gives nothing back, and an object that is
/// made once more ends with what a new one costs.
#[tokio::test(flavor = "multi_thread")]
async fn two_objects_with_one_target_share_the_removal_and_deletion_gives_nothing_back() {
    let env = Environment::new("same-target").await;
    // So slow that both wait while the call before them has its turn.
    env.put_tenant(json!({"rateLimit": {"maxRequestsPerSecond": 1, "reservePercent": 0}})).await;
    let before = env.fake.state();
    let operator = env.operator().await;
    env.put::<UserRoleRevocation>("control", roles(OTHER_USER)).await;
    env.fake.wait_for_count(Kind::DeleteUserRoles, 1, PATIENCE).await.unwrap();
    env.put::<UserRoleRevocation>("once", roles(USER)).await;
    env.put::<UserRoleRevocation>("continuous", continuous(roles(USER))).await;
    for name in ["control", "once", "continuous"] {
        let status = env.reason::<UserRoleRevocation>(name, "Removed").await;
        assert!(status.is_ready() && status.result.unwrap().accepted == 1, "{name}");
    }
    assert_eq!(env.fake.count(Kind::DeleteUserRoles), 2, "{:?}", env.calls());

    env.put_tenant(json!({})).await;
    let gone = [Relation::user_role(USER, ROLE), Relation::user_role(OTHER_USER, ROLE)];
    for name in ["once", "continuous"] {
        let uid = env.api::<UserRoleRevocation>().get(name).await.unwrap().metadata.uid;
        env.delete::<UserRoleRevocation>(name).await;
        let spec = if name == "once" { roles(USER) } else { roles_with(USER, &json!({"policy": "Continuous"})) };
        let again = env.put::<UserRoleRevocation>(name, spec).await;
        assert_ne!(again.metadata.uid, uid);
    }
    let calls = env.fake.total();
    for name in ["once", "continuous"] {
        env.reason::<UserRoleRevocation>(name, "Removed").await;
    }
    assert!(env.fake.total() - calls <= 4, "{:?}", env.calls());
    env.fake.assert_removed_exactly(&before, gone);
    // Of an object that is gone nothing is looked at any more.
    env.delete::<UserRoleRevocation>("continuous").await;
    env.fake.give([Relation::user_role(USER, ROLE)]);
    let calls = env.fake.total();
    ask::<UserRoleRevocation>(&env, "once", "1").await;
    answered::<UserRoleRevocation>(&env, "once", "1").await;
    assert_eq!(env.fake.total(), calls, "{:?}", env.calls());
    operator.stop().await;
}
