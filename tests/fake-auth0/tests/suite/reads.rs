//! The reads: form, paging with its quirks, lag.

use std::time::Duration;

use fake_auth0::{Kind, Lag, PagingQuirks};
use serde_json::{Value, json};

use crate::world::*;

fn many(world: &World, count: usize) {
    world.fake.edit(|s| {
        s.organization("org_Many000000000000").numbered_members("auth0|m", count);
    });
}

fn many_path(query: &str) -> String {
    format!("{}?{query}", members("org_Many000000000000"))
}

#[tokio::test]
async fn things_are_found_by_their_ids() {
    let world = World::new().await;
    let (status, jane) = world.get(&user(JANE, "")).await;
    assert_eq!((status, &jane["user_id"], &jane["email"]), (200, &json!(JANE), &json!("jane@example.com")));
    let narrow = world.get(&user(JANE, "?fields=user_id&include_fields=true")).await.1;
    assert_eq!(narrow, json!({"user_id": JANE}));
    assert_eq!(world.get(&format!("/api/v2/roles/{ADMIN}")).await.1["id"], ADMIN);
    assert_eq!(world.get(&format!("/api/v2/organizations/{ACME}")).await.1["id"], ACME);
    assert_eq!(code(&world.get(&user("auth0|x", "")).await), (404, "inexistent_user"));
    for missing in [
        "/api/v2/roles/rol_Nobody0000000000",
        "/api/v2/roles/admin",
        "/api/v2/organizations/org_Nobody0000000000",
        "/api/v2/organizations/acme",
        "/api/v2/x",
    ] {
        assert_eq!(code(&world.get(missing).await), (404, ""), "{missing}");
    }
    assert_eq!(code(&world.get("/api/v2/users/jane").await), (400, "invalid_uri"));
}

#[tokio::test]
async fn lists_show_what_is_there() {
    let world = World::new().await;
    assert_eq!(world.ids(&user(JANE, "/roles"), "id").await, [ADMIN, EDITOR]);
    assert_eq!(world.ids(&user(JANE, "/organizations"), "id").await, [ACME, OTHER]);
    assert_eq!(world.ids(&members(ACME), "user_id").await, [JANE, JOHN]);
    assert_eq!(world.ids(&member_roles(ACME, JANE), "id").await, [ADMIN, EDITOR]);
    assert_eq!(world.ids(&member_roles(ACME, JOHN), "id").await, [] as [&str; 0]);
    let (_, permissions) = world.get(&user(JANE, "/permissions")).await;
    let sources: Vec<_> = permissions.as_array().unwrap().iter().map(|p| &p["sources"][0]["source_type"]).collect();
    assert_eq!(sources, ["DIRECT", "ROLE"]);
    assert_eq!(permissions[0]["resource_server_identifier"], API);
    assert_eq!(permissions[1]["sources"][0]["source_id"], EDITOR);
    let with_roles = world.get(&format!("{}?fields=user_id,roles", members(ACME))).await.1;
    assert_eq!(with_roles[0]["roles"].as_array().unwrap().len(), 2);
    assert_eq!(with_roles[0].as_object().unwrap().len(), 2);
}

#[tokio::test]
async fn lists_of_nobody_are_404() {
    let world = World::new().await;
    for rest in ["/roles", "/permissions", "/organizations"] {
        assert_eq!(code(&world.get(&user("auth0|x", rest)).await), (404, "inexistent_user"));
    }
    for path in [members("org_Nobody0000000000"), member_roles("org_Nobody0000000000", JANE), member_roles(OTHER, JOHN)]
    {
        assert_eq!(code(&world.get(&path).await), (404, ""));
    }
}

#[tokio::test]
async fn totals_wrap_the_list_in_an_object() {
    let world = World::new().await;
    for (path, key) in [
        (user(JANE, "/roles"), "roles"),
        (user(JANE, "/permissions"), "permissions"),
        (user(JANE, "/organizations"), "organizations"),
        (members(ACME), "members"),
        (member_roles(ACME, JANE), "roles"),
    ] {
        let (_, bare) = world.get(&path).await;
        let (_, wrapped) = world.get(&format!("{path}?include_totals=true&per_page=1&page=1")).await;
        assert_eq!((&wrapped["start"], &wrapped["limit"], &wrapped["total"]), (&json!(1), &json!(1), &json!(2)));
        assert_eq!(wrapped[key], json!([bare[1]]), "{path}");
    }
}

#[tokio::test]
async fn offsets_end_at_a_thousand_records_and_checkpoints_do_not() {
    let world = World::new().await;
    many(&world, 1050);
    let (_, last) = world.get(&many_path("page=9&per_page=100&include_totals=true")).await;
    assert_eq!((last["members"].as_array().unwrap().len(), &last["total"]), (100, &json!(1050)));
    assert_eq!(code(&world.get(&many_path("page=10&per_page=100")).await), (400, "invalid_paging"));
    assert_eq!(code(&world.get(&many_path("per_page=101")).await), (400, "invalid_query_string"));
    assert_eq!(code(&world.get(&many_path("q=jane")).await), (400, "invalid_query_string"));
    assert_eq!(code(&world.get(&user(JANE, "/roles?take=5")).await), (400, "invalid_query_string"));
    assert_eq!(walk(&world, 20).await.unwrap(), (1050, 11));
}

/// Follows checkpoints; returns how many users were seen on how many pages, or `None` after `most` pages.
async fn walk(world: &World, most: usize) -> Option<(usize, usize)> {
    let (mut people, mut cursor) = (std::collections::BTreeSet::new(), String::new());
    for pages in 1..=most {
        let (status, page) = world.get(&many_path(&format!("take=100{cursor}"))).await;
        assert_eq!(status, 200, "{page}");
        people.extend(page["members"].as_array().unwrap().iter().map(|member| member["user_id"].to_string()));
        match page["next"].as_str() {
            None => return Some((people.len(), pages)),
            Some(next) => cursor = format!("&from={next}"),
        }
    }
    None
}

#[tokio::test]
async fn checkpoints_misbehave_as_chosen() {
    let world = World::new().await;
    many(&world, 300);
    let behaved = PagingQuirks::default();
    for (quirks, expected) in [
        (behaved, Some((300, 3))),
        (PagingQuirks { max_page_size: Some(50), ..behaved }, Some((300, 6))),
        (PagingQuirks { short_pages: Some(30), ..behaved }, Some((300, 10))),
        (PagingQuirks { hidden_per_page: 1, ..behaved }, Some((297, 3))),
        (PagingQuirks { looping_cursor: true, ..behaved }, None),
        (PagingQuirks { repeat_first_page: true, ..behaved }, None),
    ] {
        world.fake.paging(quirks);
        assert_eq!(walk(&world, 12).await, expected, "{quirks:?}");
    }
}

#[tokio::test]
async fn offsets_misbehave_as_chosen() {
    let world = World::new().await;
    many(&world, 130);
    let page = async |quirks: PagingQuirks, number: usize| -> Value {
        world.fake.paging(quirks);
        world.get(&many_path(&format!("per_page=100&include_totals=true&page={number}"))).await.1
    };
    let shape =
        |page: &Value| (page["start"].clone(), page["limit"].clone(), page["members"].as_array().unwrap().len());
    let behaved = PagingQuirks::default();
    let capped = PagingQuirks { max_page_size: Some(50), ..behaved };
    assert_eq!(shape(&page(capped, 1).await), (json!(50), json!(50), 50));
    assert_eq!(shape(&page(capped, 2).await), (json!(100), json!(50), 30));
    let short = PagingQuirks { short_pages: Some(40), ..behaved };
    assert_eq!(shape(&page(short, 3).await), (json!(120), json!(100), 10));
    let repeating = PagingQuirks { repeat_first_page: true, ..behaved };
    assert_eq!(page(repeating, 1).await["members"], page(repeating, 0).await["members"]);
    assert!(page(PagingQuirks { omit_total: true, ..behaved }, 0).await.get("total").is_none());
    let hidden = page(PagingQuirks { hidden_per_page: 2, ..behaved }, 1).await;
    assert_eq!((shape(&hidden).2, &hidden["total"]), (28, &json!(130)));
}

#[tokio::test]
async fn a_lagging_member_list_shows_the_removed_for_some_walks_only() {
    let world = World::new().await;
    world.fake.lag(Kind::GetMembers, Lag::Reads(2));
    assert_eq!(world.delete(&members(ACME), json!({"members": [JOHN]})).await.0, 204);
    assert!(!world.fake.state().is_member(ACME, JOHN));
    assert_eq!(world.ids(&user(JOHN, "/organizations"), "id").await, [] as [&str; 0]);
    let (_, wrapped) = world.get(&format!("{}?include_totals=true", members(ACME))).await;
    assert_eq!((&wrapped["total"], &wrapped["members"][1]["user_id"]), (&json!(2), &json!(JOHN)));
    assert_eq!(world.ids(&members(ACME), "user_id").await, [JANE, JOHN]);
    assert_eq!(world.ids(&members(ACME), "user_id").await, [JANE]);
}

#[tokio::test]
async fn any_list_can_lag_and_catch_up() {
    let world = World::new().await;
    let hour = Lag::For(Duration::from_secs(3600));
    for list in [Kind::GetUserRoles, Kind::GetUserPermissions, Kind::GetUserOrganizations, Kind::GetMemberRoles] {
        world.fake.lag(list, hour);
    }
    let permission = json!({"permissions": [{"resource_server_identifier": API, "permission_name": "read:x"}]});
    world.delete(&user(JANE, "/permissions"), permission).await;
    world.delete(&user(JANE, "/roles"), json!({"roles": [ADMIN]})).await;
    world.delete(&member_roles(ACME, JANE), json!({"roles": [EDITOR]})).await;
    world.delete(&members(ACME), json!({"members": [JANE]})).await;
    let sizes = async || {
        let mut sizes = Vec::new();
        for path in [user(JANE, "/permissions"), user(JANE, "/roles"), user(JANE, "/organizations")] {
            sizes.push(world.get(&path).await.1.as_array().unwrap().len());
        }
        let (status, roles) = world.get(&member_roles(ACME, JANE)).await;
        sizes.push(if status == 200 { roles.as_array().unwrap().len() } else { usize::from(status) });
        sizes
    };
    assert_eq!(sizes().await, [2, 2, 2, 2]);
    world.fake.catch_up();
    assert_eq!(sizes().await, [1, 1, 1, 404]);
    // Somebody who is back is shown once, with or without lag.
    world.fake.edit(|s| {
        s.organization(ACME).member(JANE);
    });
    world.delete(&members(ACME), json!({"members": [JANE]})).await;
    world.fake.edit(|s| {
        s.organization(ACME).member(JANE);
    });
    let (_, wrapped) = world.get(&user(JANE, "/organizations?include_totals=true")).await;
    assert_eq!((&wrapped["total"], wrapped["organizations"].as_array().unwrap().len()), (&json!(2), 2));
}

#[tokio::test]
async fn settings_are_read_with_scopes_of_their_own() {
    let mut world = World::new().await;
    world.fake.edit(|s| {
        s.organization(ACME).connection("db", false).connection("google", true);
    });
    let api = format!("/api/v2/resource-servers/{}", encoded(API));
    let connections = format!("/api/v2/organizations/{ACME}/enabled_connections");
    for path in [&api, &connections] {
        assert_eq!(code(&world.get(path).await), (403, "insufficient_scope"), "no call that removes needs it");
    }
    world.token = world.fake.token(&fake_auth0::SETTINGS_SCOPES);
    let (status, shown) = world.get(&api).await;
    assert_eq!((status, &shown["identifier"], &shown["enforce_policies"]), (200, &json!(API), &json!(true)));
    assert_eq!(shown["token_lifetime"], 86_400);
    let by_id = world.get(&format!("/api/v2/resource-servers/{}", shown["id"].as_str().unwrap())).await;
    assert_eq!(by_id, (200, shown), "an internal id finds it, too");
    world.fake.edit(|s| s.api(API, false, 60));
    let (_, shown) = world.get(&api).await;
    assert_eq!((&shown["enforce_policies"], &shown["token_lifetime"]), (&json!(false), &json!(60)));
    assert_eq!(shown["scopes"].as_array().unwrap().len(), 2, "its permissions stay");
    let unknown = "/api/v2/resource-servers/https%3A%2F%2Funknown%2F";
    assert_eq!(code(&world.get(unknown).await), (404, "inexistent_resource_server"));
    let (_, page) = world.get(&format!("{connections}?include_totals=true&per_page=1&page=1")).await;
    assert_eq!((&page["start"], &page["total"]), (&json!(1), &json!(2)));
    let shown = &page["enabled_connections"][0];
    assert_eq!((&shown["connection"]["name"], &shown["assign_membership_on_login"]), (&json!("google"), &json!(true)));
    let nowhere = "/api/v2/organizations/org_Nobody0000000000/enabled_connections";
    assert_eq!(code(&world.get(nowhere).await), (404, ""));
    let lies = fake_auth0::Fault::none().on(Kind::GetConnections).field("total", json!(0));
    world.fake.fault(lies);
    let (_, page) = world.get(&format!("{connections}?include_totals=true")).await;
    assert_eq!((page["enabled_connections"].as_array().unwrap().len(), &page["total"]), (2, &json!(0)));
}

#[tokio::test]
async fn the_holders_of_a_role_are_listed_by_offset_and_by_checkpoint() {
    let world = World::new().await;
    let holders = |query: &str| format!("/api/v2/roles/{EDITOR}/users?{query}");
    assert_eq!(world.ids(&holders(""), "user_id").await, [JANE, JOHN]);
    let (_, wrapped) = world.get(&holders("include_totals=true&per_page=1&page=1")).await;
    assert_eq!((&wrapped["total"], &wrapped["users"][0]["user_id"]), (&json!(2), &json!(JOHN)));
    let (_, first) = world.get(&holders("take=1")).await;
    assert_eq!(first["users"][0]["user_id"], JANE);
    let (_, second) = world.get(&holders(&format!("take=1&from={}", first["next"].as_str().unwrap()))).await;
    assert_eq!((&second["users"][0]["user_id"], &second["next"]), (&json!(JOHN), &Value::Null));
    assert_eq!(code(&world.get("/api/v2/roles/rol_Nobody0000000000/users").await), (404, ""));
    let without = World { token: world.fake.token(&["read:users"]), ..world };
    assert_eq!(code(&without.get(&holders("")).await), (403, "insufficient_scope"));
}
