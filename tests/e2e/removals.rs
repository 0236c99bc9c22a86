//! The four removals, from manifest to verdict.

use fake_auth0::{Kind, Relation};
use rescind::api::{OrgMemberRoleRemoval, OrgMembershipRemoval, UserPermissionRevocation, UserRoleRevocation};
use serde_json::json;

use crate::harness::*;

/// Promises 1 and 2: exactly what the manifests name is gone, and the fake fails the test on any other write.
#[tokio::test(flavor = "multi_thread")]
async fn the_four_removals() {
    let world = World::new("four").await;
    let before = world.fake.state();
    let _operator = world.operator().await;
    world.put::<UserRoleRevocation>("roles", json!({"userId": USER, "roles": [ROLE]})).await;
    let permission = json!({"resourceServerIdentifier": API, "permissionName": "read:x"});
    world.put::<UserPermissionRevocation>("permissions", json!({"userId": USER, "permissions": [permission]})).await;
    world
        .put::<OrgMemberRoleRemoval>("member-roles", json!({"organizationId": ORG, "userId": USER, "roles": [ROLE]}))
        .await;
    world.put::<OrgMembershipRemoval>("members", json!({"organizationId": ORG, "members": [OTHER_USER]})).await;

    let status = world.reason::<UserRoleRevocation>("roles", "Removed").await;
    assert_eq!(status.result.unwrap().removed, 1);
    assert!(status.verified_time.is_some() && status.last_removal_time.is_some() && status.next_attempt_time.is_none());
    world.reason::<UserPermissionRevocation>("permissions", "Removed").await;
    world.reason::<OrgMemberRoleRemoval>("member-roles", "Removed").await;
    world.reason::<OrgMembershipRemoval>("members", "Removed").await;

    world.fake.assert_removed_exactly(
        &before,
        [
            Relation::user_role(USER, ROLE),
            Relation::user_permission(USER, API, "read:x"),
            Relation::member_role(ORG, USER, ROLE),
            Relation::member(ORG, OTHER_USER),
        ],
    );
    assert_eq!(world.fake.count(Kind::DeleteMembers), 1);
}
