//! What a tenant protects is never removed, whatever an object asks for, and nobody else is held up by it.

use fake_auth0::{Fault, Kind, Relation};
use rescind::api::{Auth0Tenant, ConditionType, OrgMembershipRemoval, UserRoleRevocation};
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

/// Members of an organization and of a small one, and a tenant that waits with a brake of this share.
async fn organizations(name: &str, scopes: &[&str]) -> Environment {
    let env = Environment::new(name).await;
    let member = |n: usize| format!("auth0|member-{n}");
    env.fake.edit(|tenant| {
        tenant.users((0..20).map(member));
        tenant.organization(ORG).members((0..20).map(member).collect::<Vec<_>>());
        tenant.organization(SMALL).members((0..4).map(member).collect::<Vec<_>>());
    });
    if !scopes.is_empty() {
        env.put_secret(&env.fake.token(scopes)).await;
    }
    env
}

const SMALL: &str = "org_0123456789abcdef";

fn share(percent: usize, suspend: bool) -> serde_json::Value {
    let brake = json!({"maxRemovals": 1000, "window": "1h", "maxShareOfOrganization": percent});
    json!({ "brake": brake, "suspend": suspend })
}

fn members(organization: &str, people: std::ops::Range<usize>) -> serde_json::Value {
    let people: Vec<String> = people.map(|n| format!("auth0|member-{n}")).collect();
    json!({"organizationId": organization, "members": people})
}

/// Six of twenty are more than a quarter; four of four are no share of anything. What counts is found out once.
#[tokio::test(flavor = "multi_thread")]
async fn too_large_a_share_of_an_organization_stops_there_alone() {
    let env = organizations("share", &[]).await;
    env.put_tenant(share(25, true)).await;
    let _operator = env.operator().await;
    env.put::<OrgMembershipRemoval>("one", members(ORG, 0..3)).await;
    env.put::<OrgMembershipRemoval>("two", members(ORG, 3..6)).await;
    env.put::<OrgMembershipRemoval>("small", members(SMALL, 0..4)).await;
    for name in ["one", "two", "small"] {
        env.reason::<OrgMembershipRemoval>(name, "Suspended").await;
    }
    env.put_tenant(share(25, false)).await;
    env.reason::<OrgMembershipRemoval>("small", "Removed").await;
    for name in ["one", "two"] {
        let status = env.reason::<OrgMembershipRemoval>(name, "BrakeEngaged").await;
        assert!(status.message().contains("25 %") && status.message().contains(ORG), "{}", status.message());
    }
    let engaged = |tenant: &Auth0Tenant| {
        let condition = tenant.status.as_ref()?.condition(ConditionType::BrakeEngaged)?;
        Some((condition.reason.clone(), condition.message.clone()))
    };
    let tenant = env.wait("default", |tenant| engaged(tenant).is_some()).await;
    let (reason, message) = engaged(&tenant).unwrap();
    assert!(reason == "TooManyOfOrganization" && message.contains(ORG), "{reason} {message}");
    let deleted = |organization: &str| {
        let path = format!("DELETE /api/v2/organizations/{organization}/");
        env.calls().iter().filter(|call| call.contains(&path)).count()
    };
    assert_eq!(deleted(ORG), 0, "{:?}", env.calls());
    // One object less, and the rest is no more than a quarter.
    env.delete::<OrgMembershipRemoval>("two").await;
    env.reason::<OrgMembershipRemoval>("one", "Removed").await;
    env.put::<OrgMembershipRemoval>("three", members(ORG, 6..9)).await;
    env.reason::<OrgMembershipRemoval>("three", "BrakeEngaged").await;
    env.put_tenant(share(30, false)).await;
    env.reason::<OrgMembershipRemoval>("three", "Removed").await;
    let counts = env.calls().iter().filter(|call| call.contains("include_totals=true") && call.contains(ORG)).count();
    assert_eq!(counts, 1, "the length is asked for once: {:?}", env.calls());
}

/// Without the scope to count, one person goes and no more.
#[tokio::test(flavor = "multi_thread")]
async fn an_organization_that_cannot_be_counted_loses_one_person() {
    let env = organizations("share-unknown", &["delete:organization_members"]).await;
    env.put_tenant(share(25, false)).await;
    let _operator = env.operator().await;
    env.put::<OrgMembershipRemoval>("one", members(ORG, 0..1)).await;
    env.reason::<OrgMembershipRemoval>("one", "RemovedUnverified").await;
    env.put::<OrgMembershipRemoval>("two", members(ORG, 1..2)).await;
    let status = env.reason::<OrgMembershipRemoval>("two", "BrakeEngaged").await;
    let message = status.message();
    assert!(message.contains("read:organization_members") && message.contains("maxShareOfOrganization"), "{message}");
    assert_eq!(env.fake.count(Kind::DeleteMembers), 1);
    env.put_tenant(share(100, false)).await;
    env.reason::<OrgMembershipRemoval>("two", "RemovedUnverified").await;
}

/// Three hold the role and two must. Of two who are to lose it neither does; of one, that one.
#[tokio::test(flavor = "multi_thread")]
async fn the_last_holders_of_a_role_keep_it() {
    let env = Environment::new("holders").await;
    let user = |n: usize| format!("auth0|holder-{n}");
    env.fake.edit(|tenant| {
        for n in 0..3 {
            tenant.user(user(n)).role(OTHER_ROLE);
        }
        tenant.user(USER).without_role(OTHER_ROLE);
    });
    let protected = |suspend: bool| {
        let keep = json!([{"roleId": OTHER_ROLE, "atLeast": 2}]);
        json!({"protected": {"userIds": [], "roleIds": [], "organizationIds": [], "keepHolders": keep}, "suspend": suspend})
    };
    env.put_tenant(protected(true)).await;
    let _operator = env.operator().await;
    let spec = |n: usize| json!({"userId": user(n), "roles": [OTHER_ROLE]});
    for n in 0..2 {
        env.put::<UserRoleRevocation>(&format!("h{n}"), spec(n)).await;
        env.reason::<UserRoleRevocation>(&format!("h{n}"), "Suspended").await;
    }
    env.put_tenant(protected(false)).await;
    for n in 0..2 {
        let status = env.reason::<UserRoleRevocation>(&format!("h{n}"), "Protected").await;
        assert!(status.message().contains("the last 2 holders of role"), "{}", status.message());
    }
    assert_eq!(env.fake.count(Kind::DeleteUserRoles), 0, "{:?}", env.calls());
    env.delete::<UserRoleRevocation>("h1").await;
    env.reason::<UserRoleRevocation>("h0", "Removed").await;
    env.put::<UserRoleRevocation>("h2", spec(2)).await;
    env.reason::<UserRoleRevocation>("h2", "Protected").await;
    assert_eq!(env.fake.count(Kind::DeleteUserRoles), 1, "{:?}", env.calls());
}
