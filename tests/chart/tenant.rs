//! A fake tenant with something to remove for each kind, and the objects that remove it.

use std::collections::HashSet;
use std::fmt::Debug;

use fake_auth0::{FakeAuth0, Fault, Kind};
use futures::{StreamExt, stream};
use kube::api::{Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use kube::runtime::wait::await_condition;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use rescind::api::{
    ConditionType, OrgMemberRoleRemoval, OrgMembershipRemoval, UserPermissionRevocation, UserRoleRevocation,
};
use rescind::revocation::Revocation;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use stack::ControlPlane;

use crate::cluster::within;
pub use crate::fixtures::ROLE;
use crate::fixtures::{API, ORG, USER, secret, tenant_spec};
use crate::helm;

const MEMBER: &str = "auth0|5f7c8ec7c33c6c004bbafe83";

/// A tenant, and the number of users `leaver(0..)` that hold [`ROLE`].
pub async fn tenant(leavers: usize) -> FakeAuth0 {
    let fake = FakeAuth0::start().await;
    // Lag is not the subject of these tests.
    fake.no_lag();
    fake.edit(|tenant| {
        tenant.user(USER).role(ROLE).permission(API, "read:x");
        tenant.user(MEMBER);
        tenant.organization(ORG).member(USER).member(MEMBER).member_role(USER, ROLE);
        for number in 0..leavers {
            tenant.user(leaver(number)).role(ROLE);
        }
    });
    fake
}

fn leaver(number: usize) -> String {
    format!("auth0|leaver{number:04}")
}

/// Applies the labelled Secret and the `Auth0Tenant` in `namespace`.
pub fn connect(plane: &ControlPlane, namespace: &str, fake: &FakeAuth0) {
    let (secret, spec) = (secret(namespace, fake), tenant_spec(fake));
    plane.apply(&helm::stream(&[secret, object("Auth0Tenant", namespace, "default", &spec)])).expect("a tenant");
}

/// The resource of each kind of removal, and the call it makes.
pub const REMOVALS: [(&str, Kind); 4] = [
    ("userpermissionrevocations", Kind::DeleteUserPermissions),
    ("userrolerevocations", Kind::DeleteUserRoles),
    ("orgmembershipremovals", Kind::DeleteMembers),
    ("orgmemberroleremovals", Kind::DeleteMemberRoles),
];

/// Answers one removal of this kind with 429 and lets the next through.
///
/// The wait is much longer than a cache counts as fresh, so that the preflight check asks the API server.
pub fn limit(fake: &FakeAuth0, kind: Kind) {
    fake.fault(Fault::status(429).header("Retry-After", "4").on(kind).once());
}

/// Applies one object of each kind, all named jane.
pub fn remove_one_of_each(plane: &ControlPlane, namespace: &str) {
    remove_one_of_each_by(plane, namespace, "Auth0Tenant");
}

/// The same with the tenant named default of this kind.
pub fn remove_one_of_each_by(plane: &ControlPlane, namespace: &str, tenant: &str) {
    let one = |kind: &str, mut spec: Value| {
        spec["tenantRef"] = json!({"kind": tenant, "name": "default"});
        object(kind, namespace, "jane", &spec)
    };
    let objects = [
        one("UserRoleRevocation", json!({"userId": USER, "roles": [ROLE]})),
        one(
            "UserPermissionRevocation",
            json!({"userId": USER, "permissions": [{"resourceServerIdentifier": API, "permissionName": "read:x"}]}),
        ),
        one("OrgMembershipRemoval", json!({"organizationId": ORG, "members": [MEMBER]})),
        one("OrgMemberRoleRemoval", json!({"organizationId": ORG, "userId": USER, "roles": [ROLE]})),
    ];
    plane.apply(&helm::stream(&objects)).expect("good manifests");
}

/// Waits until all four are removed.
pub async fn all_removed(client: &Client, namespace: &str) {
    removed::<UserRoleRevocation>(client, namespace, "jane").await;
    removed::<UserPermissionRevocation>(client, namespace, "jane").await;
    removed::<OrgMembershipRemoval>(client, namespace, "jane").await;
    removed::<OrgMemberRoleRemoval>(client, namespace, "jane").await;
}

/// Applies objects that take [`ROLE`] from these leavers, each named like its leaver.
pub async fn remove_leavers(client: &Client, namespace: &str, numbers: std::ops::Range<usize>) {
    let api: &Api<UserRoleRevocation> = &Api::namespaced(client.clone(), namespace);
    let apply = async |number: usize| {
        let (name, spec) = (format!("leaver-{number}"), json!({"userId": leaver(number), "roles": [ROLE]}));
        let manifest = Patch::Apply(object("UserRoleRevocation", namespace, &name, &spec));
        api.patch(&name, &PatchParams::apply("people"), &manifest).await.expect("a good manifest");
    };
    stream::iter(numbers).for_each_concurrent(16, apply).await;
}

/// Waits until the objects of this many leavers are done.
pub async fn leavers_removed(client: &Client, namespace: &str, leavers: usize) {
    let api: Api<UserRoleRevocation> = Api::namespaced(client.clone(), namespace);
    let mut changes = watcher(api, watcher::Config::default()).default_backoff().applied_objects().boxed();
    let mut done = HashSet::new();
    let all = async {
        while done.len() < leavers {
            let object = changes.next().await.unwrap().unwrap();
            if is_removed(&object) {
                done.insert(object.name_any());
            }
        }
    };
    within("all leavers are removed", all).await;
}

async fn removed<K>(client: &Client, namespace: &str, name: &str)
where
    K: Revocation + Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    K: Clone + Debug + DeserializeOwned + Serialize + Send + 'static,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    let done = |object: Option<&K>| object.is_some_and(is_removed);
    let what = format!("{} {name} is removed", K::kind(&()));
    within(&what, await_condition(api, name, done)).await.unwrap();
}

fn is_removed<K: Revocation>(object: &K) -> bool {
    let status = object.status().cloned().unwrap_or_default();
    status.condition(ConditionType::Ready).is_some_and(|ready| ready.reason == "Removed")
}

fn object(kind: &str, namespace: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "rescind.dev/v1alpha1", "kind": kind,
        "metadata": {"name": name, "namespace": namespace}, "spec": spec,
    })
}
