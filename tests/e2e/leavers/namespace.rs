//! A namespace that is deleted with removals in it.

use fake_auth0::{Fault, Kind};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::runtime::wait::{await_condition, conditions};
use kube::{Api, Resource};
use rescind::api::{
    Auth0Tenant, OrgMemberRoleRemoval, OrgMembershipRemoval, UserPermissionRevocation, UserRoleRevocation,
};
use rescind::auth0::Timeouts;
use rescind::runtime::Settings;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::harness::*;

/// Deletes all objects of a kind as the namespace controller does, which the test's control plane lacks. They are gone
/// at once, because nothing has a finalizer.
async fn empty<K>(env: &Environment)
where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned,
{
    let api = env.api::<K>();
    api.delete_collection(&DeleteParams::default(), &ListParams::default()).await.unwrap();
    let left = api.list(&ListParams::default()).await.unwrap().items;
    assert!(left.is_empty(), "{left:?}");
}

/// The namespace goes at once while the operator runs and one DELETE is on its way. The operator sends nothing for
/// it after that and goes on in other namespaces.
#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_is_deleted_with_everything_in_it() {
    let env = Environment::new("gone").await;
    let other = env.neighbour("stays").await;
    other.put_secret(&env.token).await;
    other.put_tenant(json!({})).await;
    let change = |settings: &mut Settings| {
        settings.watch_namespaces.push(other.namespace.clone());
        // The held DELETE must not be given up meanwhile.
        settings.timeouts = Timeouts::default();
    };
    let operator = env.operator_with(change).await;
    let held = env.fake.fault(Fault::hold().on(Kind::DeleteUserRoles).once());
    env.put::<UserRoleRevocation>("first", roles(USER)).await;
    within(held.arrived()).await;
    let permission = json!({"resourceServerIdentifier": API, "permissionName": "read:x"});
    env.put::<UserPermissionRevocation>("done", json!({"userId": USER, "permissions": [permission]})).await;
    env.put::<OrgMembershipRemoval>("done", json!({"organizationId": ORG, "members": [OTHER_USER]})).await;
    let member_roles = json!({"organizationId": ORG, "userId": USER, "roles": [ROLE]});
    env.put::<OrgMemberRoleRemoval>("done", member_roles).await;
    env.reason::<UserPermissionRevocation>("done", "Removed").await;
    env.reason::<OrgMembershipRemoval>("done", "Removed").await;
    env.reason::<OrgMemberRoleRemoval>("done", "Removed").await;

    let namespaces = Api::<Namespace>::all(env.client.clone());
    namespaces.delete(&env.namespace, &DeleteParams::default()).await.unwrap();
    empty::<UserRoleRevocation>(&env).await;
    empty::<UserPermissionRevocation>(&env).await;
    empty::<OrgMembershipRemoval>(&env).await;
    empty::<OrgMemberRoleRemoval>(&env).await;
    empty::<Auth0Tenant>(&env).await;
    empty::<Secret>(&env).await;
    let mut namespace = namespaces.get(&env.namespace).await.unwrap();
    let uid = namespace.metadata.uid.clone().unwrap();
    namespace.spec = Some(Default::default());
    namespaces.replace_subresource("finalize", &env.namespace, &PostParams::default(), &namespace).await.unwrap();
    within(await_condition(namespaces, &env.namespace, conditions::is_deleted(&uid))).await.unwrap();
    held.release();

    other.put::<UserRoleRevocation>("jane", roles(OTHER_USER)).await;
    other.reason::<UserRoleRevocation>("jane", "Removed").await;
    assert_eq!(env.fake.deletes().len(), 5, "{:?}", env.calls());
    operator.stop().await;
}
