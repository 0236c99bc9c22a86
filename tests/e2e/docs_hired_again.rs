//! What docs/hired-again.md says of old manifests: a finished object never acts again, a new one acts once.

use fake_auth0::{Kind, Relation};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use rescind::api::UserRoleRevocation;
use serde_json::json;

use crate::harness::*;

#[tokio::test(flavor = "multi_thread")]
async fn old_manifests_do_to_people_who_come_back_what_the_page_says() {
    let env = Environment::new("again").await;
    let operator = env.operator().await;
    let api = env.api::<UserRoleRevocation>();
    env.put::<UserRoleRevocation>("jane", roles(USER)).await;
    env.reason::<UserRoleRevocation>("jane", "Removed").await;
    let deletes = || env.fake.count(Kind::DeleteUserRoles);

    // The file stays, is applied again, and its other fields and labels change.
    env.fake.give([Relation::user_role(USER, ROLE)]);
    let before = env.fake.state();
    env.put::<UserRoleRevocation>("jane", roles(USER)).await;
    let changed = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"suspend": true, "ifNotFound": "Ignore"}});
    api.patch("jane", &PatchParams::default(), &Patch::Merge(changed)).await.unwrap();
    let resumed = api.patch("jane", &PatchParams::default(), &Patch::Merge(json!({"spec": {"suspend": false}}))).await;
    let generation = resumed.unwrap().metadata.generation;
    let seen = |object: &UserRoleRevocation| {
        object.status.as_ref().and_then(|status| status.observed_generation) == generation
    };
    env.wait::<UserRoleRevocation>("jane", seen).await;
    assert_eq!(deletes(), 1);

    // The cluster is restored with statuses while the operator is stopped.
    operator.stop().await;
    let mut saved = api.get("jane").await.unwrap();
    api.delete("jane", &DeleteParams::default()).await.unwrap();
    saved.metadata.resource_version = None;
    saved.metadata.uid = None;
    let restored = api.create(&PostParams::default(), &saved).await.unwrap();
    saved.metadata = restored.metadata;
    api.replace_status("jane", &PostParams::default(), &saved).await.unwrap();
    let operator = env.operator().await;
    // Another object is carried out meanwhile, so the operator has looked at both.
    env.put::<UserRoleRevocation>("other", roles(OTHER_USER)).await;
    env.reason::<UserRoleRevocation>("other", "Removed").await;
    env.fake.assert_removed_exactly(&before, [Relation::user_role(OTHER_USER, ROLE)]);
    assert_eq!(deletes(), 2);

    // The object is deleted, and its file is applied once more.
    env.delete::<UserRoleRevocation>("jane").await;
    env.put::<UserRoleRevocation>("jane", roles(USER)).await;
    env.reason::<UserRoleRevocation>("jane", "Removed").await;
    assert_eq!(deletes(), 3);
    operator.stop().await;
}

/// After its `notAfter` a file does nothing, also one that gets it late as the page says; what was only looked at acts once.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_ends_does_nothing_to_people_who_come_back() {
    let env = Environment::new("ends").await;
    let operator = env.operator().await;
    let api = env.api::<UserRoleRevocation>();
    env.put::<UserRoleRevocation>("jane", roles(USER)).await;
    env.reason::<UserRoleRevocation>("jane", "Removed").await;
    env.fake.give([Relation::user_role(USER, ROLE)]);
    let deletes = || env.fake.count(Kind::DeleteUserRoles);

    let end = json!({"spec": {"notAfter": "2026-01-01T00:00:00Z"}});
    let refused = api.patch("jane", &PatchParams::default(), &Patch::Merge(end.clone())).await.unwrap_err();
    assert!(refused.to_string().contains("cannot be changed any more"), "{refused}");
    env.delete::<UserRoleRevocation>("jane").await;
    let mut ended = roles(USER);
    ended["notAfter"] = end["spec"]["notAfter"].clone();
    env.put::<UserRoleRevocation>("jane", ended).await;
    env.reason::<UserRoleRevocation>("jane", "NotReplayed").await;
    assert_eq!(deletes(), 1);

    let mut looks = roles(USER);
    looks["mode"] = json!("Observe");
    env.put::<UserRoleRevocation>("looks", looks).await;
    env.reason::<UserRoleRevocation>("looks", "WouldRemove").await;
    assert_eq!(deletes(), 1);
    let remove = json!({"spec": {"mode": "Remove"}});
    api.patch("looks", &PatchParams::default(), &Patch::Merge(remove)).await.unwrap();
    env.reason::<UserRoleRevocation>("looks", "Removed").await;
    assert_eq!(deletes(), 2);
    operator.stop().await;
}
