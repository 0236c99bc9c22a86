//! The four removals, from manifest to verdict: promises 1 and 2, batches, reads, what a 404 means.

use fake_auth0::{Kind, LastNext, PagingQuirks, Relation, Switches};
use rescind::api::{
    ConditionType, OrgMemberRoleRemoval, OrgMembershipRemoval, UserPermissionRevocation, UserRoleRevocation,
};
use rescind::auth0::Timeouts;
use serde_json::json;

use crate::harness::*;

/// Promises 1 and 2: exactly what the manifests name is gone; the fake fails the test on any other write.
#[tokio::test(flavor = "multi_thread")]
async fn the_four_removals() {
    let env = Environment::new("four").await;
    let before = env.fake.state();
    let _operator = env.operator().await;
    env.put::<UserRoleRevocation>("roles", roles(USER)).await;
    let permission = json!({"resourceServerIdentifier": API, "permissionName": "read:x"});
    env.put::<UserPermissionRevocation>("permissions", json!({"userId": USER, "permissions": [permission]})).await;
    let member_roles = json!({"organizationId": ORG, "userId": USER, "roles": [ROLE]});
    env.put::<OrgMemberRoleRemoval>("member-roles", member_roles).await;
    env.put::<OrgMembershipRemoval>("members", json!({"organizationId": ORG, "members": [OTHER_USER]})).await;

    let status = env.reason::<UserRoleRevocation>("roles", "Removed").await;
    assert_eq!(status.correlation_id, env.fake.calls_to(fake_auth0::Kind::DeleteUserRoles)[0].correlation_id);
    assert_eq!(status.result.clone().unwrap().accepted, 1);
    assert!(status.verified_time.is_some() && status.last_removal_time.is_some() && status.next_attempt_time.is_none());
    assert_eq!(status.condition(ConditionType::Verified).unwrap().status, "True");
    env.reason::<UserPermissionRevocation>("permissions", "Removed").await;
    env.reason::<OrgMemberRoleRemoval>("member-roles", "Removed").await;
    env.reason::<OrgMembershipRemoval>("members", "Removed").await;

    env.fake.assert_removed_exactly(
        &before,
        [
            Relation::user_role(USER, ROLE),
            Relation::user_permission(USER, API, "read:x"),
            Relation::member_role(ORG, USER, ROLE),
            Relation::member(ORG, OTHER_USER),
        ],
    );
    for call in env.fake.deletes() {
        assert_eq!(call.content_type.as_deref(), Some("application/json"));
        assert!(call.correlation_id.as_deref().is_some_and(|id| id.starts_with("rescind-") && id.len() <= 64));
        assert_eq!(call.version, http::Version::HTTP_2);
    }
    // The first four calls may have opened four connections; after that there is one.
    let opened = env.fake.connections().0;
    env.put::<UserRoleRevocation>("more", json!({"userId": USER, "roles": [OTHER_ROLE]})).await;
    env.reason::<UserRoleRevocation>("more", "Removed").await;
    assert_eq!(env.fake.connections().0, opened, "one connection pool a tenant");
}

/// Where neither documents nor recordings say how Auth0 behaves, the four removals come to the same verdict either way.
#[tokio::test(flavor = "multi_thread")]
async fn the_four_removals_whatever_is_unsure_of_auth0() {
    let runs = (0..6).map(|seed| tokio::spawn(the_four_removals_with(seed)));
    for run in futures::future::join_all(runs).await {
        run.unwrap();
    }
}

async fn the_four_removals_with(seed: u64) {
    let env = Environment::new(&format!("unsure-{seed}")).await;
    let switches = Switches::random(seed);
    env.fake.set_switches(switches);
    env.fake.no_lag();
    let before = env.fake.state();
    // An answer that comes late on a busy machine must not be lost: this is about answers that come.
    let operator = env.operator_with(|settings| settings.timeouts = Timeouts::default()).await;
    let permission = json!({"resourceServerIdentifier": API, "permissionName": "read:x"});
    let member_roles = json!({"organizationId": ORG, "userId": USER, "roles": [ROLE, OTHER_ROLE]});
    env.put::<UserRoleRevocation>("roles", json!({"userId": USER, "roles": [ROLE, OTHER_ROLE]})).await;
    env.put::<UserPermissionRevocation>("permissions", json!({"userId": USER, "permissions": [permission]})).await;
    env.put::<OrgMemberRoleRemoval>("member-roles", member_roles).await;
    env.put::<OrgMembershipRemoval>("members", json!({"organizationId": ORG, "members": [OTHER_USER]})).await;
    let stranger = json!({"userId": "auth0|nobody", "roles": [ROLE]});
    env.put::<UserRoleRevocation>("stranger", stranger).await;

    let statuses = [
        env.reason::<UserRoleRevocation>("roles", "Removed").await,
        env.reason::<UserPermissionRevocation>("permissions", "Removed").await,
        env.reason::<OrgMemberRoleRemoval>("member-roles", "Removed").await,
        env.reason::<OrgMembershipRemoval>("members", "Removed").await,
    ];
    for status in statuses {
        let (result, finished) = (status.result.clone().unwrap(), status.finished.is_some());
        assert!(finished && result.accepted == result.requested && result.remaining == 0, "{switches:?}: {result:?}");
    }
    env.reason::<UserRoleRevocation>("stranger", "SubjectNotFound").await;
    let gone = [
        Relation::user_role(USER, ROLE),
        Relation::user_role(USER, OTHER_ROLE),
        Relation::user_permission(USER, API, "read:x"),
        Relation::member_role(ORG, USER, ROLE),
        Relation::member_role(ORG, USER, OTHER_ROLE),
        Relation::member(ORG, OTHER_USER),
    ];
    env.fake.assert_removed_exactly(&before, gone);
    operator.stop().await;
}

/// Auth0 accepts ten members in a call, and its pages may be shorter than requested.
#[tokio::test(flavor = "multi_thread")]
async fn long_lists_are_split_and_read_to_their_end() {
    let env = Environment::new("long").await;
    env.fake.edit(|tenant| {
        tenant.organization(ORG).numbered_members("auth0|m", 230);
    });
    env.fake.paging(PagingQuirks { max_page_size: Some(20), ..PagingQuirks::default() });
    env.fake.switch(|s| s.last_next = LastNext::Present);
    let state = env.fake.state();
    let mut members: Vec<String> =
        state.organization(ORG).unwrap().members.keys().filter(|id| id.starts_with("auth0|m")).cloned().collect();
    members.truncate(25);
    let _operator = env.operator().await;
    env.put::<OrgMembershipRemoval>("many", json!({"organizationId": ORG, "members": members})).await;
    let status = env.reason::<OrgMembershipRemoval>("many", "Removed").await;
    assert_eq!(status.result.clone().unwrap().accepted, 25);
    let mut sizes: Vec<_> = env
        .fake
        .calls_to(Kind::DeleteMembers)
        .iter()
        .map(|call| call.body.as_ref().unwrap()["members"].as_array().unwrap().len())
        .collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [5, 10, 10]);
    env.fake.assert_removed_exactly(&state, members.iter().map(|member| Relation::member(ORG, member)));
}

/// A user with more than one page of organizations and more than one page of permissions.
#[tokio::test(flavor = "multi_thread")]
async fn offset_lists_are_read_to_their_end() {
    let env = Environment::new("pages").await;
    env.fake.edit(|tenant| {
        for n in 0..130 {
            tenant.user(USER).permission(API, &format!("p:{n:03}"));
        }
    });
    env.fake.paging(PagingQuirks { omit_total: true, short_pages: Some(30), ..PagingQuirks::default() });
    let _operator = env.operator().await;
    let permission = |name: &str| json!({"resourceServerIdentifier": API, "permissionName": name});
    env.put::<UserPermissionRevocation>("last", json!({"userId": USER, "permissions": [permission("p:129")]})).await;
    // With short pages and no total, only an empty page marks the end.
    env.reason::<UserPermissionRevocation>("last", "Removed").await;
    assert_eq!(env.fake.count(Kind::GetUserPermissions), 6, "{:?}", env.calls());
    // Pages with gaps prove nothing.
    env.fake.paging(PagingQuirks { hidden_per_page: 1, ..PagingQuirks::default() });
    env.put::<UserPermissionRevocation>("next", json!({"userId": USER, "permissions": [permission("p:128")]})).await;
    let status = env.reason::<UserPermissionRevocation>("next", "RemovedUnverified").await;
    assert!(status.verified_time.is_none() && status.last_removal_time.is_some());
    env.fake.paging(PagingQuirks { max_page_size: Some(30), ..PagingQuirks::default() });
    env.put::<UserPermissionRevocation>("capped", json!({"userId": USER, "permissions": [permission("p:127")]})).await;
    env.reason::<UserPermissionRevocation>("capped", "Removed").await;
}

/// What a 404 means depends on the endpoint.
#[tokio::test(flavor = "multi_thread")]
async fn the_meaning_of_a_404_depends_on_the_endpoint() {
    let env = Environment::new("gone").await;
    let _operator = env.operator().await;
    let (nobody, nowhere) = ("auth0|nobody", "org_0000000000000000");
    env.put::<UserRoleRevocation>("typo", roles(nobody)).await;
    let ignored = json!({"userId": nobody, "roles": [ROLE], "ifNotFound": "Ignore"});
    env.put::<UserRoleRevocation>("ignored", ignored).await;
    env.put::<OrgMembershipRemoval>("no-org", json!({"organizationId": nowhere, "members": [USER]})).await;
    let of = |organization: &str, user: &str| json!({"organizationId": organization, "userId": user, "roles": [ROLE]});
    env.put::<OrgMemberRoleRemoval>("no-org", of(nowhere, USER)).await;
    env.put::<OrgMemberRoleRemoval>("no-user", of(ORG, nobody)).await;
    env.fake.edit(|tenant| {
        tenant.user("auth0|outside");
    });
    env.put::<OrgMemberRoleRemoval>("no-member", of(ORG, "auth0|outside")).await;

    let status = env.reason::<UserRoleRevocation>("typo", "SubjectNotFound").await;
    assert!(status.condition(ConditionType::Ready).unwrap().message.contains("ifNotFound: Ignore"));
    env.reason::<UserRoleRevocation>("ignored", "SubjectGone").await;
    env.reason::<OrgMembershipRemoval>("no-org", "SubjectNotFound").await;
    env.reason::<OrgMemberRoleRemoval>("no-org", "SubjectNotFound").await;
    env.reason::<OrgMemberRoleRemoval>("no-user", "SubjectNotFound").await;
    // When somebody leaves, the membership may go first: then there are no roles left, and no one needs to act.
    env.reason::<OrgMemberRoleRemoval>("no-member", "AlreadyAbsent").await;

    // An edit of `ifNotFound` changes the verdict.
    env.change::<UserRoleRevocation>("typo", json!({"ifNotFound": "Ignore"})).await;
    env.reason::<UserRoleRevocation>("typo", "SubjectGone").await;
}

/// A user who is deleted between removal and proof has no access left.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_vanishes_meanwhile_is_gone() {
    let env = Environment::new("vanish").await;
    let held = env.fake.fault(fake_auth0::Fault::hold().on(Kind::GetUserRoles).once());
    let _operator = env.operator().await;
    env.put::<UserRoleRevocation>("jane", roles(USER)).await;
    held.arrived().await;
    env.fake.edit(|tenant| tenant.delete_user(USER));
    held.release();
    env.reason::<UserRoleRevocation>("jane", "SubjectGone").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn verification_can_be_off_or_on_both_sides() {
    let env = Environment::new("verify").await;
    env.put_tenant(json!({"verification": "Never"})).await;
    let _operator = env.operator().await;
    env.put::<UserRoleRevocation>("off", roles(USER)).await;
    let status = env.reason::<UserRoleRevocation>("off", "RemovedUnverified").await;
    assert_eq!(status.condition(ConditionType::Verified).unwrap().status, "False");
    assert_eq!(env.fake.total(), 1, "{:?}", env.calls());

    // An object can ask for more than its tenant.
    env.put::<UserRoleRevocation>("on", json!({"userId": OTHER_USER, "roles": [ROLE], "verification": "After"})).await;
    let status = env.reason::<UserRoleRevocation>("on", "Removed").await;
    assert_eq!(status.condition(ConditionType::Verified).unwrap().status, "True");
    assert_eq!(env.fake.total(), 3, "{:?}", env.calls());

    env.put_tenant(json!({"verification": "BeforeAndAfter"})).await;
    env.tenant_reason("Connected").await;
    let unknown = "rol_AAAAAAAAAAAAAAAA";
    env.put::<UserRoleRevocation>("absent", json!({"userId": USER, "roles": [unknown]})).await;
    let status = env.reason::<UserRoleRevocation>("absent", "AlreadyAbsent").await;
    assert_eq!((status.result.clone().unwrap().already_absent, status.last_removal_time), (1, None));
    assert_eq!(env.fake.deletes().len(), 2, "nothing there, nothing sent");

    env.put::<UserRoleRevocation>("half", json!({"userId": USER, "roles": [unknown, OTHER_ROLE]})).await;
    let result = env.reason::<UserRoleRevocation>("half", "Removed").await.result.unwrap();
    assert_eq!((result.requested, result.accepted, result.already_absent, result.remaining), (2, 1, 1, 0));
}
