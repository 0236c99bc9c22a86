//! Watches on bad days: whatever they were not told is found, and nobody else pays for it.

use std::time::Duration;

use fake_auth0::{Kind, Relation, State};
use rescind::api::UserRoleRevocation;
use rescind::auth0::AllowedDomains;
use rescind::runtime::{Settings, WatchTiming};
use serde_json::{Value, json};

use crate::harness::*;

fn jane() -> Value {
    json!({"userId": USER, "roles": [ROLE]})
}

fn jack() -> Value {
    json!({"userId": OTHER_USER, "roles": [ROLE]})
}

/// Watches that end after `seconds`.
fn brisk(seconds: u32) -> WatchTiming {
    WatchTiming { seconds, ..WatchTiming::default() }
}

/// Nothing but these two roles was taken, with a call each.
fn assert_taken_once(world: &World, before: &State) {
    let removed = [Relation::user_role(USER, ROLE), Relation::user_role(OTHER_USER, ROLE)];
    world.fake.assert_removed_exactly(before, removed);
    assert_eq!(world.fake.count(Kind::DeleteUserRoles), 2, "{:?}", world.calls());
}

/// Broken on purpose by kube's watcher as it is, which asks for the same place for ever: it failed.
#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_is_gone_is_left() {
    let (world, meddler) = (World::new("gone").await, Meddler::default());
    let before = world.fake.state();
    let _operator = world.operator_through(meddler.clone(), |_| {}).await;
    world.put::<UserRoleRevocation>("jane", jane()).await;
    world.reason::<UserRoleRevocation>("jane", "Removed").await;
    meddler.forget_place("userrolerevocations");
    world.put::<UserRoleRevocation>("jack", jack()).await;
    world.reason::<UserRoleRevocation>("jack", "Removed").await;
    assert_taken_once(&world, &before);
}

/// Broken on purpose by watches without an end of their own: it failed.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_watch_is_given_up() {
    let (world, meddler) = (World::new("silent").await, Meddler::default());
    let before = world.fake.state();
    let _operator = world.operator_through(meddler.clone(), |settings| settings.watches = brisk(1)).await;
    world.put::<UserRoleRevocation>("jane", jane()).await;
    world.reason::<UserRoleRevocation>("jane", "Removed").await;
    meddler.silence();
    world.put::<UserRoleRevocation>("jack", jack()).await;
    world.reason::<UserRoleRevocation>("jack", "Removed").await;
    assert_taken_once(&world, &before);
}

/// Broken on purpose by lists at the start only: it failed.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_watch_was_never_told_is_found() {
    let (world, meddler) = (World::new("hidden").await, Meddler::default());
    let before = world.fake.state();
    let often = WatchTiming { list_every: Duration::from_secs(2), ..brisk(1) };
    let _operator = world.operator_through(meddler.clone(), |settings| settings.watches = often).await;
    world.put::<UserRoleRevocation>("jane", jane()).await;
    world.reason::<UserRoleRevocation>("jane", "Removed").await;
    meddler.hide("jack");
    world.put::<UserRoleRevocation>("jack", jack()).await;
    world.reason::<UserRoleRevocation>("jack", "Removed").await;
    assert_taken_once(&world, &before);
}

/// It failed when a list made the lanes forget all jobs of the kind that it did not hold.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_one_namespace_leaves_the_work_of_another_alone() {
    let (world, meddler) = (World::new("lists").await, Meddler::default());
    let other = World::new("lists-other").await;
    other.fake.edit(|tenant| (0..3).for_each(|n| drop(tenant.user(leaver(n)).role(ROLE))));
    // So slow that most of it waits for its turn when the lists come.
    other.put_tenant(json!({"rateLimit": {"maxRequestsPerSecond": 1, "reservePercent": 0}})).await;
    let both = |settings: &mut Settings| {
        let (domain, other_domain) = (world.fake.domain(), other.fake.domain());
        settings.watch_namespaces.push(other.namespace.clone());
        settings.allowed_domains = AllowedDomains::parse([domain, other_domain]).unwrap();
    };
    let _operator = world.operator_through(meddler.clone(), both).await;
    for n in 0..3 {
        other.put::<UserRoleRevocation>(&format!("u{n}"), json!({"userId": leaver(n), "roles": [ROLE]})).await;
    }
    other.fake.wait_for_count(Kind::DeleteUserRoles, 1, PATIENCE).await.unwrap();
    meddler.forget_place("userrolerevocations");
    for n in 0..3 {
        other.reason::<UserRoleRevocation>(&format!("u{n}"), "Removed").await;
    }
}

fn leaver(number: usize) -> String {
    format!("auth0|leaver-{number}")
}
