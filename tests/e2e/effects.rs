//! Whether a removal has an effect: the condition `Effective`, what is read for it, and that nothing waits for that.

use std::time::Duration;

use fake_auth0::{Fault, Kind, SETTINGS_SCOPES};
use futures::StreamExt;
use rescind::api::{
    ConditionType, OrgMemberRoleRemoval, OrgMembershipRemoval, RemovalStatus, UserPermissionRevocation,
    UserRoleRevocation,
};
use serde_json::{Value, json};

use crate::harness::*;

const OPEN_API: &str = "https://open.example.com/";

/// A tenant whose token may also read settings.
async fn knowing(name: &str) -> Environment {
    let mut env = Environment::bare(name).await;
    env.token = env.fake.token(&[env.fake.all_scopes(), SETTINGS_SCOPES.to_vec()].concat());
    env.put_secret(&env.token).await;
    env.put_tenant(json!({})).await;
    env
}

fn permission(user: &str, api: &str, name: &str) -> Value {
    json!({"userId": user, "permissions": [{"resourceServerIdentifier": api, "permissionName": name}]})
}

/// Status and reason of the condition, and its message.
fn effective(status: &RemovalStatus) -> (String, String) {
    let condition = status.condition(ConditionType::Effective).expect("the condition");
    (format!("{} {}", condition.status, condition.reason), condition.message.clone())
}

/// Every reason, each written with the verdict in the one write of the object, and never again.
#[tokio::test(flavor = "multi_thread")]
async fn it_is_said_with_the_verdict() {
    let env = knowing("effects").await;
    let quiet_org = "org_0123456789abcdef";
    env.fake.edit(|tenant| {
        tenant.user(USER).permission(OPEN_API, "read:x").permission(API, "both:x").permission_via(API, "both:x", ROLE);
        tenant.api(API, true, 7200);
        tenant.api(OPEN_API, false, 7200);
        tenant.organization(ORG).connection("google\u{202e}", true).connection("db", false);
        tenant.organization(quiet_org).connection("db", false).member(USER);
    });
    let operator = env.operator().await;
    env.put::<UserPermissionRevocation>("tokens", permission(USER, API, "read:x")).await;
    env.put::<UserPermissionRevocation>("open", permission(USER, OPEN_API, "read:x")).await;
    env.put::<UserPermissionRevocation>("role", permission(USER, API, "both:x")).await;
    env.put::<OrgMembershipRemoval>("login", json!({"organizationId": ORG, "members": [USER]})).await;
    env.put::<OrgMembershipRemoval>("left", json!({"organizationId": quiet_org, "members": [USER]})).await;

    let tokens = env.reason::<UserPermissionRevocation>("tokens", "Removed").await;
    assert_eq!(effective(&tokens).0, "Unknown TokensStillValid");
    let (removed, by) = (tokens.last_removal_time.clone().unwrap().0, tokens.effective_by.clone().unwrap().0);
    assert!((7200..=7201).contains(&by.duration_since(removed).as_secs()), "{removed} {by}");
    let open = env.reason::<UserPermissionRevocation>("open", "Removed").await;
    let (said, message) = effective(&open);
    assert_eq!((said.as_str(), open.effective_by), ("False RBACDisabled", None));
    assert!(message.contains(OPEN_API) && message.contains("Switch on RBAC"), "{message}");
    let role = env.reason::<UserPermissionRevocation>("role", "Removed").await;
    let (said, message) = effective(&role);
    assert!(said == "False GrantedByRole" && message.contains(ROLE), "{said} {message}");
    let (said, message) = effective(&env.reason::<OrgMembershipRemoval>("login", "Removed").await);
    assert!(said == "False MembershipOnLogin" && message.contains("google\\u202e "), "{said} {message}");
    assert!(!message.contains("db"), "{message}");
    assert_eq!(effective(&env.reason::<OrgMembershipRemoval>("left", "Removed").await).0, "True InEffect");

    env.put::<UserRoleRevocation>("roles", roles(USER)).await;
    let member_roles = json!({"organizationId": ORG, "userId": OTHER_USER, "roles": [ROLE]});
    env.put::<OrgMemberRoleRemoval>("member-roles", member_roles).await;
    let of_roles = env.reason::<UserRoleRevocation>("roles", "Removed").await;
    assert!(of_roles.condition(ConditionType::Effective).is_none());
    env.reason::<OrgMemberRoleRemoval>("member-roles", "Removed").await;

    assert_eq!(env.fake.count(Kind::GetResourceServer), 2, "one for each API");
    assert_eq!(env.fake.count(Kind::GetConnections), 2, "one for each organization");
    assert_eq!(operator.removal_writes(), 7, "each object was written once: {:?}", operator.writes());
    operator.stop().await;

    // Finished objects cause no call, also after a restart and whatever changes in Auth0.
    env.fake.edit(|tenant| tenant.api(OPEN_API, true, 60));
    let calls = env.fake.total();
    let operator = env.operator().await;
    env.put::<UserPermissionRevocation>("marker", permission(USER, API, "write:x")).await;
    env.reason::<UserPermissionRevocation>("marker", "Removed").await;
    assert_eq!(env.fake.total() - calls, 3, "the marker's own read, DELETE and proof: {:#?}", env.calls());
    assert_eq!(operator.removal_writes(), 1);
}

/// Without the scopes nothing is read, nothing is refused, and the condition names the scope.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_without_the_scopes_costs_no_read() {
    let env = Environment::new("without-settings").await;
    let _operator = env.operator().await;
    env.put::<UserPermissionRevocation>("permission", permission(USER, API, "read:x")).await;
    env.put::<OrgMembershipRemoval>("member", json!({"organizationId": ORG, "members": [USER]})).await;
    let (said, message) = effective(&env.reason::<UserPermissionRevocation>("permission", "Removed").await);
    assert!(said == "Unknown EffectUnknown" && message.contains("read:resource_servers"), "{said} {message}");
    let (said, message) = effective(&env.reason::<OrgMembershipRemoval>("member", "Removed").await);
    assert!(said == "Unknown EffectUnknown" && message.contains("read:organization_connections"), "{said} {message}");
    assert_eq!(env.fake.count(Kind::GetResourceServer) + env.fake.count(Kind::GetConnections), 0);
    let tenant = env.wait::<rescind::api::Auth0Tenant>("default", |tenant| tenant.status.is_some()).await;
    let scopes = tenant.status.and_then(|status| status.scopes);
    assert_eq!(scopes, None, "they are not missing, as nothing fails without them");
}

/// Whatever comes of the read, the removal is made, and nobody is refused because of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_fails_holds_up_nothing() {
    let env = knowing("settings-fail").await;
    let scope = Fault::problem(403, Some("insufficient_scope"), "Insufficient scope, expected any of: read:secrets");
    let faults = [
        ("refused", scope, "the token lacks the scope read:secrets"),
        ("denied", Fault::problem(403, None, "Forbidden"), "403"),
        ("missing", Fault::problem(404, None, "Not found"), "404"),
        ("failing", Fault::status(500), "500"),
        ("garbled", Fault::status(200).json(&json!({"what": "is this"})), "not readable"),
        ("other", Fault::none().field("identifier", json!("https://other/")), "not readable"),
        ("silent", Fault::hang(), "did not answer"),
    ];
    let mut handles = Vec::new();
    for (name, fault, _) in &faults {
        let api = format!("https://{name}.example.com/");
        env.fake.edit(|tenant| drop(tenant.user(USER).permission(&api, "read:x")));
        handles.push(env.fake.fault(fault.clone().on(Kind::GetResourceServer).path_contains(format!("{name}."))));
    }
    let _operator = env.operator().await;
    for (name, ..) in &faults {
        let api = format!("https://{name}.example.com/");
        env.put::<UserPermissionRevocation>(name, permission(USER, &api, "read:x")).await;
        env.put::<UserPermissionRevocation>(&format!("{name}-2"), permission(OTHER_USER, &api, "read:x")).await;
    }
    for (name, _, why) in &faults {
        let (said, message) = effective(&env.reason::<UserPermissionRevocation>(name, "Removed").await);
        assert!(said == "Unknown EffectUnknown" && message.contains(why), "{name}: {said} {message}");
        let second = env.reason::<UserPermissionRevocation>(&format!("{name}-2"), "Removed").await;
        assert_eq!(effective(&second).0, "Unknown EffectUnknown", "{name}");
    }
    let unreadable = ["garbled", "other"];
    for ((name, ..), handle) in faults.iter().zip(&handles) {
        let most = if unreadable.contains(name) { 2 } else { 1 };
        assert!(handle.hits() <= most, "{name} was asked {} times", handle.hits());
    }
    env.tenant_reason("Connected").await;
}

/// An API that Auth0 does not know is removed from as before; only its effect is not known.
#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_api_is_no_obstacle() {
    let env = knowing("unknown-api").await;
    env.fake.edit(|tenant| drop(tenant.organization(ORG).connection("one", true).connection("two", true)));
    env.fake.fault(Fault::none().on(Kind::GetConnections).field("total", json!(0)));
    let _operator = env.operator().await;
    env.put::<UserPermissionRevocation>("unknown", permission(USER, "https://nowhere/", "read:x")).await;
    env.put::<UserPermissionRevocation>("dots", permission(USER, "..", "read:x")).await;
    env.put::<OrgMembershipRemoval>("lies", json!({"organizationId": ORG, "members": [USER]})).await;
    let (said, message) = effective(&env.reason::<UserPermissionRevocation>("unknown", "Removed").await);
    assert!(said == "Unknown EffectUnknown" && message.contains("knows no such"), "{said} {message}");
    assert_eq!(effective(&env.reason::<UserPermissionRevocation>("dots", "Removed").await).0, "Unknown EffectUnknown");
    assert_eq!(env.fake.count(Kind::GetResourceServer), 1, "nothing is asked that cannot stand in a path");
    assert_eq!(env.fake.count(Kind::Other), 0, "{:?}", env.calls());
    let (said, message) = effective(&env.reason::<OrgMembershipRemoval>("lies", "Removed").await);
    assert!(said == "False MembershipOnLogin" && message.contains("one, two"), "a total may lie: {said} {message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_objects_of_one_api_cost_one_read() {
    const OBJECTS: usize = 1000;
    let env = knowing("thousand").await;
    env.fake.edit(|tenant| {
        for n in 0..OBJECTS {
            tenant.user(format!("auth0|{n:04}")).permission(API, "read:x");
        }
    });
    let put = |n: usize| {
        let env = &env;
        async move {
            let spec = permission(&format!("auth0|{n:04}"), API, "read:x");
            env.put::<UserPermissionRevocation>(&format!("p{n:04}"), spec).await;
        }
    };
    futures::stream::iter((0..OBJECTS).map(put)).buffer_unordered(16).collect::<Vec<()>>().await;
    let _operator = env.operator().await;
    let deadline = tokio::time::Instant::now() + 4 * PATIENCE;
    while env.fake.count(Kind::GetUserPermissions) < OBJECTS as u64 {
        assert!(tokio::time::Instant::now() < deadline, "{} are proved", env.fake.count(Kind::GetUserPermissions));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for n in [0, OBJECTS / 2, OBJECTS - 1] {
        let status = env.reason::<UserPermissionRevocation>(&format!("p{n:04}"), "Removed").await;
        assert_eq!(effective(&status).0, "Unknown TokensStillValid");
    }
    assert_eq!(env.fake.count(Kind::GetResourceServer), 1);
    assert_eq!(env.fake.count(Kind::DeleteUserPermissions), OBJECTS as u64);
}
