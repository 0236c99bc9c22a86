//! `plan` and the operator are held against each other: in random tenants, what plan marks `-` is exactly what the
//! operator then removes.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;

use fake_auth0::{Change, Relation};
use futures::StreamExt;
use futures::future::join_all;
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

use crate::fixtures::API;
use crate::harness::{Environment, PATIENCE};
use crate::person::Person;
use crate::rights::create;

const SAFE: &str = "auth0|safe";
const OBJECTS: usize = 60;

fn role(number: u8) -> String {
    format!("rol_000000000000000{number}")
}

fn organization(number: u8) -> String {
    format!("org_000000000000000{number}")
}

/// One object of any kind about one of a few people, roles and organizations, some of which do not exist.
fn object() -> impl Strategy<Value = (String, Value)> {
    let user = prop_oneof![
        8 => (0u8..6).prop_map(|number| format!("auth0|user{number}")),
        1 => Just("auth0|unknown".to_owned()),
        1 => Just(SAFE.to_owned()),
    ];
    let users = prop::collection::btree_set(user.clone(), 1..3);
    let roles = prop::collection::btree_set((0u8..5).prop_map(role), 1..4);
    let permissions = prop::collection::btree_set(prop::sample::select(vec!["read:a", "read:b", "read:c"]), 1..3);
    let organization = (0u8..4).prop_map(organization);
    let target = prop_oneof![
        (user.clone(), roles.clone())
            .prop_map(|(user, roles)| ("UserRoleRevocation", json!({"userId": user, "roles": roles}))),
        (user.clone(), permissions).prop_map(|(user, names)| {
            let permissions: Vec<Value> =
                names.iter().map(|name| json!({"resourceServerIdentifier": API, "permissionName": name})).collect();
            ("UserPermissionRevocation", json!({"userId": user, "permissions": permissions}))
        }),
        (organization.clone(), users)
            .prop_map(|(id, users)| ("OrgMembershipRemoval", json!({"organizationId": id, "members": users}))),
        (organization, user, roles).prop_map(|(id, user, roles)| {
            ("OrgMemberRoleRemoval", json!({"organizationId": id, "userId": user, "roles": roles}))
        }),
    ];
    let option = prop_oneof![
        5 => Just(json!({})),
        1 => Just(json!({"mode": "Observe"})),
        1 => Just(json!({"suspend": true})),
        1 => Just(json!({"notBefore": "2099-01-01T00:00:00Z"})),
        1 => Just(json!({"notAfter": "2020-01-01T00:00:00Z"})),
        1 => Just(json!({"ifNotFound": "Ignore"})),
        1 => Just(json!({"verification": "BeforeAndAfter"})),
        1 => Just(json!({"policy": "Continuous", "interval": "1h"})),
    ];
    (target, option).prop_map(|((kind, mut spec), option)| {
        spec.as_object_mut().unwrap().extend(option.as_object().unwrap().clone());
        (kind.to_owned(), spec)
    })
}

/// Who holds what: bits decide about each relation.
fn fill(env: &Environment, bits: &[bool]) {
    let mut bits = bits.iter().copied().cycle();
    let mut is_held = move || bits.next().unwrap();
    env.fake.edit(|tenant| {
        for number in 0..4 {
            tenant.role(&role(number), "A role");
        }
        for name in ["read:a", "read:b"] {
            tenant.resource_server(API, name);
        }
        for user in (0..6).map(|number| format!("auth0|user{number}")).chain([SAFE.to_owned()]) {
            tenant.user(user.clone());
            for number in (0..4).filter(|_| is_held()) {
                tenant.user(user.clone()).role(&role(number));
            }
            for name in ["read:a", "read:b"].into_iter().filter(|_| is_held()) {
                tenant.user(user.clone()).permission(API, name);
            }
            for at in 0..3 {
                if !is_held() {
                    continue;
                }
                let mut members = tenant.organization(organization(at)).member(&user);
                for number in (0..4).filter(|_| is_held()) {
                    members = members.member_role(&user, &role(number));
                }
            }
        }
        for at in 0..3 {
            tenant.organization(organization(at)).numbered_members("auth0|other", 10);
        }
    });
}

fn api(env: &Environment, kind: &str) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("rescind.dev", "v1alpha1", kind));
    Api::namespaced_with(env.client.clone(), &env.namespace, &resource)
}

/// The relations that the plan says will end, in the words of the fake tenant.
fn planned(plan: &Value) -> BTreeSet<Relation> {
    let mut relations = BTreeSet::new();
    let objects = plan["tenants"].as_array().unwrap().iter().flat_map(|tenant| tenant["objects"].as_array().unwrap());
    for object in objects.filter(|object| object.get("wait").is_none()) {
        let subject: Vec<String> = object["subject"].as_str().unwrap().split(' ').map(str::to_owned).collect();
        let items = object["items"].as_array().unwrap().iter();
        for item in items.filter(|item| item["sign"] == "remove" && item.get("why").is_none()) {
            let id = item["item"].as_str().unwrap().to_owned();
            relations.insert(match object["kind"].as_str().unwrap() {
                "UserRoleRevocation" => Relation::UserRole { user: subject[0].clone(), role: id },
                "UserPermissionRevocation" => {
                    let (permission, identifier) = id.split_once(" of ").unwrap();
                    Relation::user_permission(&subject[0], identifier, permission)
                }
                "OrgMembershipRemoval" => Relation::Member { organization: subject[0].clone(), user: id },
                _ => Relation::MemberRole { organization: subject[0].clone(), user: subject[1].clone(), role: id },
            });
        }
    }
    relations
}

/// Whether the operator has nothing more to do for the object.
fn is_settled(object: &DynamicObject) -> bool {
    let conditions = object.data.pointer("/status/conditions").and_then(Value::as_array).cloned().unwrap_or_default();
    let is = |kind: &str| conditions.iter().any(|condition| condition["type"] == kind && condition["status"] == "True");
    let seen = object.data.pointer("/status/observedGeneration").and_then(Value::as_i64) == object.metadata.generation;
    seen && !is("Reconciling") && !conditions.is_empty()
}

/// Waits until the operator has nothing more to do for these objects of a kind, by one watch.
async fn settled(env: &Environment, kind: &str, mut names: BTreeSet<String>, seed: u8) {
    let mut objects = pin!(watcher(api(env, kind), watcher::Config::default()).applied_objects());
    let watched = async {
        while !names.is_empty() {
            let object = objects.next().await.unwrap().unwrap();
            if is_settled(&object) {
                names.remove(&object.name_any());
            }
        }
    };
    let ended = tokio::time::timeout(PATIENCE, watched).await;
    ended.unwrap_or_else(|_| panic!("{names:?} of seed {seed} do not settle"));
}

async fn world(seed: u8) {
    let env = Environment::new("oracle").await;
    // Every other world has the guards that count.
    let guarded = seed.is_multiple_of(2);
    let keep = if guarded { json!([{"roleId": role(0), "atLeast": 2}]) } else { json!([]) };
    let share = if guarded { 25 } else { 100 };
    env.put_tenant(json!({
        "protected": {"userIds": [SAFE], "roleIds": [role(3)], "keepHolders": keep},
        "brake": {"maxRemovals": 1000, "maxShareOfOrganization": share},
    }))
    .await;
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let strategy = (prop::collection::vec(object(), OBJECTS), prop::collection::vec(any::<bool>(), 97));
    let (objects, bits) = strategy.new_tree(&mut runner).unwrap().current();
    fill(&env, &bits);
    join_all(objects.iter().enumerate().map(|(at, (kind, spec))| {
        let metadata = json!({"name": format!("o{at}")});
        let object = json!({"apiVersion": "rescind.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec});
        create(&env, object)
    }))
    .await;
    let person = Person::admin(&env);
    let printed = person.rescind(&["plan", "--all", "-o", "json"]).await;
    assert_eq!(printed.code, 0, "{printed:?}");
    let plan: Value = serde_json::from_str(&printed.out).unwrap();
    let before = env.fake.state();
    let operator = env.operator().await;
    let mut open: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (at, (kind, _)) in objects.iter().enumerate() {
        open.entry(kind).or_default().insert(format!("o{at}"));
    }
    join_all(open.into_iter().map(|(kind, names)| settled(&env, kind, names, seed))).await;
    operator.stop().await;
    let removed: BTreeSet<Relation> = env
        .fake
        .changes_since(&before)
        .into_iter()
        .map(|change| match change {
            Change::Removed(relation) => relation,
            other => panic!("the operator added something: {other:?}"),
        })
        .collect();
    let planned = planned(&plan);
    let missing: Vec<_> = planned.difference(&removed).collect();
    let unforeseen: Vec<_> =
        removed.difference(&planned).filter(|relation| !goes_with_membership(relation, &removed)).collect();
    assert!(
        missing.is_empty() && unforeseen.is_empty(),
        "seed {seed}: planned only {missing:#?}, removed only {unforeseen:#?}\n{plan:#}"
    );
    assert!(!removed.is_empty(), "a world in which something is removed");
}

/// With a membership go the roles in the organization.
fn goes_with_membership(relation: &Relation, removed: &BTreeSet<Relation>) -> bool {
    let Relation::MemberRole { organization, user, .. } = relation else { return false };
    removed.contains(&Relation::Member { organization: organization.clone(), user: user.clone() })
}

#[tokio::test]
async fn what_is_planned_is_what_is_removed() {
    // RESCIND_ORACLE_WORLDS asks for more of them.
    let worlds = std::env::var("RESCIND_ORACLE_WORLDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    for seed in 1..=worlds {
        world(seed).await;
    }
}
