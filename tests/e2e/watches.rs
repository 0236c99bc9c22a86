//! Watches on bad days: whatever they were not told is found, and nobody else pays for it.

use std::time::Duration;

use fake_auth0::{Kind, Relation};
use rescind::api::UserRoleRevocation;
use rescind::auth0::AllowedDomains;
use rescind::runtime::{Settings, WatchTiming};
use serde_json::json;

use crate::harness::*;

/// Watches that end after a second.
fn brisk() -> WatchTiming {
    WatchTiming { seconds: 1, ..WatchTiming::default() }
}

/// One removal, then `disturb`, then another, of which the operator has to learn all the same; each is done once.
async fn learns_in_spite_of(name: &str, watches: WatchTiming, disturb: impl FnOnce(&Meddler)) {
    let (world, meddler) = (World::new(name).await, Meddler::default());
    let before = world.fake.state();
    let _operator = world.operator_through(meddler.clone(), |settings| settings.watches = watches).await;
    world.put::<UserRoleRevocation>("jane", json!({"userId": USER, "roles": [ROLE]})).await;
    world.reason::<UserRoleRevocation>("jane", "Removed").await;
    disturb(&meddler);
    world.put::<UserRoleRevocation>("jack", json!({"userId": OTHER_USER, "roles": [ROLE]})).await;
    world.reason::<UserRoleRevocation>("jack", "Removed").await;
    let removed = [Relation::user_role(USER, ROLE), Relation::user_role(OTHER_USER, ROLE)];
    world.fake.assert_removed_exactly(&before, removed);
    assert_eq!(world.fake.count(Kind::DeleteUserRoles), 2, "{:?}", world.calls());
}

/// Broken on purpose by kube's watcher as it is, which asks for the same place for ever: it failed.
#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_is_gone_is_left() {
    learns_in_spite_of("gone", WatchTiming::default(), |meddler| meddler.forget_place("userrolerevocations")).await;
}

/// Broken on purpose by watches without an end of their own: it failed.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_watch_is_given_up() {
    learns_in_spite_of("silent", brisk(), Meddler::silence).await;
}

/// Broken on purpose by lists at the start only: it failed.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_watch_was_never_told_is_found() {
    let often = WatchTiming { list_every: Duration::from_secs(2), ..brisk() };
    learns_in_spite_of("hidden", often, |meddler| meddler.hide("jack")).await;
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
