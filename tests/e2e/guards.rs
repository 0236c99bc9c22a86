//! What a tenant protects is never removed, whatever an object asks for, and nobody else is held up by it.

use fake_auth0::{Fault, Kind, Relation};
use rescind::api::{OrgMembershipRemoval, UserRoleRevocation};
use serde_json::json;

use crate::harness::*;

/// A list with a protected member in it is refused whole, while others of the same call go on. Once the member is not
/// protected any more, all of it is removed. A protection that comes while the object waits for its turn still counts.
#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_names_a_protected_user_is_refused_whole() {
    let env = Environment::new("protected").await;
    let member = |n: usize| format!("auth0|member-{n}");
    env.fake.edit(|tenant| {
        tenant.users((0..6).map(member));
        tenant.organization(ORG).members((0..6).map(member).collect::<Vec<_>>());
        tenant.user(USER).role(ROLE);
    });
    let before = env.fake.state();
    let protect = |users: &[String], roles: &[&str]| json!({"protected": {"userIds": users, "roleIds": roles, "organizationIds": [], "keepHolders": []}});
    env.put_tenant(protect(&[member(0)], &[])).await;
    let first = env.fake.fault(Fault::hold().on(Kind::DeleteMembers).once());
    let _operator = env.operator().await;
    let spec = |members: &[usize]| json!({"organizationId": ORG, "members": members.iter().map(|n| member(*n)).collect::<Vec<_>>()});
    env.put::<OrgMembershipRemoval>("held", spec(&[5])).await;
    within(first.arrived()).await;
    env.put::<OrgMembershipRemoval>("refused", spec(&[0, 1, 2])).await;
    env.put::<OrgMembershipRemoval>("allowed", spec(&[3, 4])).await;
    let refused = env.reason::<OrgMembershipRemoval>("refused", "Protected").await;
    assert!(refused.message().contains("user auth0|member-0"), "{}", refused.message());
    first.release();
    for name in ["held", "allowed"] {
        env.reason::<OrgMembershipRemoval>(name, "Removed").await;
    }
    env.fake.assert_removed_exactly(&before, [3, 4, 5].map(|n| Relation::member(ORG, &member(n))));
    env.put_tenant(protect(&[], &[ROLE])).await;
    env.reason::<OrgMembershipRemoval>("refused", "Removed").await;
    env.put::<UserRoleRevocation>("role", roles(USER)).await;
    let refused = env.reason::<UserRoleRevocation>("role", "Protected").await;
    assert!(refused.message().contains(ROLE), "{}", refused.message());
    assert_eq!(env.fake.count(Kind::DeleteUserRoles), 0);
}
