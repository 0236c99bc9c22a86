//! Lists that lag, in both directions.

use std::time::Duration;

use fake_auth0::{FakeAuth0, Kind, Lag, LaggingLists, Relation};
use serde_json::json;

use crate::world::*;

const HOUR: Lag = Lag::For(Duration::from_secs(3600));

async fn sees(world: &World, path: String, key: &str, id: &str) -> bool {
    world.ids(&path, key).await.iter().any(|found| found == id)
}

#[tokio::test]
async fn members_go_on_being_listed_for_a_while_unless_nothing_lags() {
    let world = World::new().await;
    assert_eq!(world.delete(&members(ACME), json!({"members": [JOHN]})).await.0, 204);
    assert!(sees(&world, members(ACME), "user_id", JOHN).await);
    assert!(!sees(&world, user(JOHN, "/organizations"), "id", ACME).await);
    world.fake.no_lag();
    assert!(!sees(&world, members(ACME), "user_id", JOHN).await);
    assert_eq!(world.delete(&members(ACME), json!({"members": [JANE]})).await.0, 204);
    assert!(!sees(&world, members(ACME), "user_id", JANE).await);
}

#[tokio::test]
async fn the_other_lists_of_memberships_may_lag_as_well() {
    let world = World::new().await;
    world.fake.switch(|s| s.lagging_lists = LaggingLists::AllThree);
    world.fake.lag(Kind::GetMembers, HOUR);
    world.delete(&members(ACME), json!({"members": [JANE]})).await;
    assert!(sees(&world, members(ACME), "user_id", JANE).await);
    assert!(sees(&world, user(JANE, "/organizations"), "id", ACME).await);
    assert!(sees(&world, member_roles(ACME, JANE), "id", ADMIN).await);
    // Roles taken from somebody who stays a member do not lag.
    world.fake.edit(|s| {
        s.organization(OTHER).member_role(JANE, ADMIN);
    });
    world.delete(&member_roles(OTHER, JANE), json!({"roles": [ADMIN]})).await;
    assert!(!sees(&world, member_roles(OTHER, JANE), "id", ADMIN).await);
    world.fake.lag(Kind::GetUserOrganizations, None);
    world.delete(&members(OTHER), json!({"members": [JANE]})).await;
    assert!(!sees(&world, user(JANE, "/organizations"), "id", OTHER).await);
}

#[tokio::test]
async fn what_is_given_back_is_shown_late_too() {
    let world = World::new().await;
    let lists = [Kind::GetMembers, Kind::GetUserOrganizations, Kind::GetMemberRoles, Kind::GetUserRoles];
    for list in lists.into_iter().chain([Kind::GetUserPermissions]) {
        world.fake.lag(list, Lag::Reads(1));
    }
    let given = [
        Relation::member_role(OTHER, JOHN, ADMIN),
        Relation::user_role(JOHN, ADMIN),
        Relation::user_permission(JOHN, API, "read:x"),
    ];
    let before = world.fake.state();
    world.fake.give(given);
    assert!(world.fake.state().has_role(JOHN, ADMIN));
    for late in [true, false] {
        assert_eq!(sees(&world, members(OTHER), "user_id", JOHN).await, !late);
        assert_eq!(sees(&world, user(JOHN, "/organizations"), "id", OTHER).await, !late);
        assert_eq!(sees(&world, user(JOHN, "/roles"), "id", ADMIN).await, !late);
        assert_eq!(sees(&world, user(JOHN, "/permissions"), "permission_name", "read:x").await, !late);
        assert_eq!(world.get(&member_roles(OTHER, JOHN)).await.0, if late { 404 } else { 200 });
    }
    let changes = before.diff(&world.fake.state());
    assert_eq!(changes.len(), 4, "{changes:?}");
    // Taken by somebody else: late as after a removal.
    world.fake.take([Relation::user_role(JOHN, ADMIN), Relation::member(OTHER, JOHN)]);
    for late in [true, false] {
        assert_eq!(sees(&world, members(OTHER), "user_id", JOHN).await, late);
        assert_eq!(sees(&world, user(JOHN, "/roles"), "id", ADMIN).await, late);
    }
}

#[tokio::test]
async fn a_list_may_flicker() {
    let world = World::new().await;
    world.fake.lag(Kind::GetMembers, Lag::Flicker(3));
    let seen = async || {
        let mut seen = Vec::new();
        for _ in 0..4 {
            seen.push(sees(&world, members(ACME), "user_id", JOHN).await);
        }
        seen
    };
    world.fake.take([Relation::member(ACME, JOHN)]);
    assert_eq!(seen().await, [true, false, true, false]);
    world.fake.give([Relation::member(ACME, JOHN)]);
    assert_eq!(seen().await, [false, true, false, true]);
}

#[tokio::test]
async fn who_comes_back_while_the_end_is_not_shown_yet_is_listed_once() {
    let world = World::new().await;
    world.fake.lag(Kind::GetMembers, HOUR);
    let page = async || {
        let (_, page) = world.get(&format!("{}?include_totals=true", members(ACME))).await;
        let ids: Vec<_> = page["members"].as_array().unwrap().iter().map(|m| m["user_id"].clone()).collect();
        (ids, page["total"].as_u64().unwrap())
    };
    world.fake.take([Relation::member(ACME, JANE)]);
    assert_eq!(page().await, (vec![json!(JANE), json!(JOHN)], 2));
    // The list is late about both changes: Jane is still at her old place.
    world.fake.give([Relation::member(ACME, JANE)]);
    assert_eq!(page().await, (vec![json!(JANE), json!(JOHN)], 2));
    // Without lag she is at the new one.
    world.fake.catch_up();
    assert_eq!(page().await, (vec![json!(JOHN), json!(JANE)], 2));
}

#[tokio::test]
async fn a_removed_member_who_is_still_listed_takes_a_place_in_a_page() {
    let fake = FakeAuth0::start().await;
    fake.lag(Kind::GetMembers, HOUR);
    fake.edit(|s| {
        s.organization(ACME).numbered_members("auth0|m", 5);
    });
    let (client, token) = (client(&fake), fake.token(&fake.all_scopes()));
    let world = World { fake, client, token };
    world.delete(&members(ACME), json!({"members": ["auth0|m00001", "auth0|m00003"]})).await;
    let (mut seen, mut from) = (Vec::new(), String::new());
    loop {
        let (_, page) = world.get(&format!("{}?take=1{from}", members(ACME))).await;
        seen.extend(page["members"].as_array().unwrap().iter().map(|m| m["user_id"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        from = format!("&from={next}");
    }
    assert_eq!(seen, (0..5).map(|n| format!("auth0|m{n:05}")).collect::<Vec<_>>());
}
