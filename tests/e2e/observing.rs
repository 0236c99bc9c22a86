//! Objects and tenants that only observe: the status says what would be removed, and no DELETE is sent (promise 5).

use futures::StreamExt;
use rescind::api::{
    ConditionType, Mode, OrgMemberRoleRemoval, OrgMembershipRemoval, UserPermissionRevocation, UserRoleRevocation,
};
use rescind::revocation::Revocation;
use serde::Serialize;
use serde_json::{Value, json};

use crate::harness::*;
use crate::reconcile_requests::{answered, ask};

const ABSENT_ROLE: &str = "rol_AAAAAAAAAAAAAAAA";

/// `spec` with mode Observe.
fn observed(mut spec: Value) -> Value {
    spec["mode"] = json!("Observe");
    spec
}

/// Waits for the verdict, and checks that it names these items of so many.
async fn would_remove<K: Revocation + Serialize>(env: &Environment, name: &str, items: &[&str], of: i32) {
    let status = env.reason::<K>(name, "WouldRemove").await;
    let left = i32::try_from(items.len()).unwrap();
    let result = status.result.clone().unwrap();
    let counts = (result.requested, result.accepted, result.already_absent, result.remaining);
    assert_eq!(counts, (of, 0, of - left, left), "{name}");
    assert_eq!(result.items, items, "{name}");
    assert!(status.message().contains(&format!("Would remove {left} of {of}: {}", items[0])), "{}", status.message());
    let finished = status.finished.as_ref().unwrap();
    assert_eq!((finished.mode, finished.by_tenant), (Mode::Observe, false));
    assert!(status.is_ready() && status.condition(ConditionType::Verified).is_none(), "{status:?}");
    assert!(status.last_removal_time.is_none() && status.correlation_id.is_none(), "nothing was sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_says_what_it_would_remove_and_removes_it_after_an_edit() {
    let env = Environment::new("observe").await;
    let before = env.fake.state();
    let operator = env.operator().await;
    let three = json!({"userId": USER, "roles": [ROLE, OTHER_ROLE, ABSENT_ROLE]});
    env.put::<UserRoleRevocation>("jane", observed(three)).await;
    let permission = |name: &str| json!({"resourceServerIdentifier": API, "permissionName": name});
    let two = json!({"userId": USER, "permissions": [permission("read:x"), permission("read:y")]});
    env.put::<UserPermissionRevocation>("jane", observed(two)).await;
    let members = json!({"organizationId": ORG, "members": [USER, "auth0|outside"]});
    env.put::<OrgMembershipRemoval>("acme", observed(members)).await;
    let of_member = json!({"organizationId": ORG, "userId": USER, "roles": [ROLE, ABSENT_ROLE]});
    env.put::<OrgMemberRoleRemoval>("jane", observed(of_member)).await;

    would_remove::<UserRoleRevocation>(&env, "jane", &[OTHER_ROLE, ROLE], 3).await;
    would_remove::<UserPermissionRevocation>(&env, "jane", &["read:x of https://api.example.com/"], 2).await;
    would_remove::<OrgMembershipRemoval>(&env, "acme", &[USER], 2).await;
    would_remove::<OrgMemberRoleRemoval>(&env, "jane", &[ROLE], 2).await;
    assert!(env.fake.deletes().is_empty(), "{:?}", env.calls());
    assert_eq!(operator.removal_writes(), 4, "{:?}", operator.writes());

    // Once: it looks again only when somebody requests it.
    let calls = env.fake.total();
    ask::<UserRoleRevocation>(&env, "jane", "1").await;
    answered::<UserRoleRevocation>(&env, "jane", "1").await;
    would_remove::<UserRoleRevocation>(&env, "jane", &[OTHER_ROLE, ROLE], 3).await;
    assert_eq!(env.fake.total(), calls + 1, "{:?}", env.calls());
    env.fake.edit(|tenant| drop(tenant.user(USER).without_role(OTHER_ROLE)));
    ask::<UserRoleRevocation>(&env, "jane", "2").await;
    answered::<UserRoleRevocation>(&env, "jane", "2").await;
    would_remove::<UserRoleRevocation>(&env, "jane", &[ROLE], 3).await;
    assert_eq!(env.fake.changes_since(&before).len(), 1, "the fake's own");

    env.change::<UserRoleRevocation>("jane", json!({"mode": "Remove"})).await;
    let status = env.reason::<UserRoleRevocation>("jane", "Removed").await;
    assert!(status.result.as_ref().unwrap().items.is_empty(), "{status:?}");
    assert_eq!(status.finished.unwrap().mode, Mode::Remove);
    assert_eq!(env.fake.deletes().len(), 1, "{:?}", env.calls());
    // Removed is removed: back in mode Observe, it stays so and costs nothing.
    let calls = env.fake.total();
    env.change::<UserRoleRevocation>("jane", json!({"mode": "Observe"})).await;
    env.reason::<UserRoleRevocation>("jane", "Removed").await;
    assert_eq!(env.fake.total(), calls, "{:?}", env.calls());
}

/// The token can remove and cannot read. The scope that is missing is that of the read.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_scope_to_read_the_status_names_it() {
    let env = Environment::new("observeblind").await;
    let (reading, removing): (Vec<_>, Vec<_>) =
        env.fake.all_scopes().into_iter().partition(|scope| scope.starts_with("read:"));
    assert!(!reading.is_empty());
    env.put_secret(&env.fake.token(&removing)).await;
    let _operator = env.operator().await;
    env.put::<UserRoleRevocation>("jane", observed(roles(USER))).await;
    let members = json!({"organizationId": ORG, "members": [USER]});
    env.put::<OrgMembershipRemoval>("acme", observed(members)).await;
    let status = env.reason::<UserRoleRevocation>("jane", "InsufficientScope").await;
    assert!(status.message().contains("read:"), "{}", status.message());
    let status = env.reason::<OrgMembershipRemoval>("acme", "InsufficientScope").await;
    assert!(status.message().contains("read:organization_members"), "{}", status.message());
    // What removes needs none of them.
    env.put::<UserRoleRevocation>("jack", roles(OTHER_USER)).await;
    env.reason::<UserRoleRevocation>("jack", "RemovedUnverified").await;

    env.put_secret(&env.token).await;
    would_remove::<UserRoleRevocation>(&env, "jane", &[ROLE], 1).await;
    would_remove::<OrgMembershipRemoval>(&env, "acme", &[USER], 1).await;
    assert_eq!(env.fake.deletes().len(), 1, "{:?}", env.calls());
}

const OBJECTS: usize = 55;

fn person(n: usize) -> String {
    format!("auth0|person-{n:02}")
}

/// Makes an object for each of these people.
async fn put_people(env: &Environment, people: std::ops::Range<usize>) {
    let put = async |n: usize| drop(env.put::<UserRoleRevocation>(&format!("p{n:02}"), roles(&person(n))).await);
    futures::stream::iter(people).map(put).buffer_unordered(8).collect::<Vec<_>>().await;
}

/// What the tenant had observed is carried out after the tenant's own edit, also by an operator that starts later; what
/// observes by its own mode is not.
#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_has_all_its_objects_observed() {
    let env = Environment::new("observetenant").await;
    env.fake.edit(|tenant| (0..OBJECTS).for_each(|n| drop(tenant.user(person(n)).role(ROLE))));
    let operator = env.operator().await;
    env.put::<UserRoleRevocation>("before", json!({"userId": USER, "roles": [OTHER_ROLE]})).await;
    env.reason::<UserRoleRevocation>("before", "Removed").await;
    let before = env.fake.state();

    env.put_tenant(json!({"mode": "Observe"})).await;
    assert!(env.tenant_reason("Connected").await.contains("spec.mode is Observe"));
    put_people(&env, 0..OBJECTS).await;
    env.put::<UserRoleRevocation>("own", observed(roles(OTHER_USER))).await;
    // The read shows that nothing is there: also a verdict of mode Observe.
    env.put::<UserRoleRevocation>("absent", json!({"userId": USER, "roles": [ABSENT_ROLE]})).await;
    env.reason::<UserRoleRevocation>("absent", "AlreadyAbsent").await;
    for n in 0..OBJECTS {
        let status = env.reason::<UserRoleRevocation>(&format!("p{n:02}"), "WouldRemove").await;
        assert!(status.finished.unwrap().by_tenant);
    }
    would_remove::<UserRoleRevocation>(&env, "own", &[ROLE], 1).await;
    assert_eq!(env.fake.deletes().len(), 1, "{:?}", env.calls());
    operator.stop().await;

    let (calls, operator) = (env.fake.total(), env.operator().await);
    env.tenant_reason("Connected").await;
    put_people(&env, OBJECTS - 1..OBJECTS).await;
    env.put::<UserRoleRevocation>("late", json!({"userId": USER, "roles": [ROLE]})).await;
    env.reason::<UserRoleRevocation>("late", "WouldRemove").await;
    assert_eq!(env.fake.total(), calls + 1, "what is observed costs nothing: {:?}", env.calls());
    assert_eq!(operator.removal_writes(), 1, "{:?}", operator.writes());

    env.put_tenant(json!({"mode": "Remove"})).await;
    for n in 0..OBJECTS {
        env.reason::<UserRoleRevocation>(&format!("p{n:02}"), "Removed").await;
    }
    env.reason::<UserRoleRevocation>("late", "Removed").await;
    would_remove::<UserRoleRevocation>(&env, "own", &[ROLE], 1).await;
    let people = (0..OBJECTS).map(|n| fake_auth0::Relation::user_role(&person(n), ROLE));
    let gone = people.chain([fake_auth0::Relation::user_role(USER, ROLE)]);
    env.fake.assert_removed_exactly(&before, gone);
    let sent = env.fake.deletes().iter().filter(|call| call.user.as_deref() == Some(&person(0))).count();
    assert_eq!(sent, 1, "{:?}", env.calls());
}
