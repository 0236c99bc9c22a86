//! The reads that find users, roles, organizations and APIs.

use fake_auth0::{EmailCase, Group, Kind, Total, Verdict};
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::*;

fn by_email(email: &str) -> String {
    format!("/api/v2/users-by-email?email={}", encoded(email))
}

fn search(q: &str) -> String {
    format!("/api/v2/users?search_engine=v3&q={}", encoded(q))
}

#[tokio::test]
async fn users_of_one_address_are_found_together_and_can_be_told_apart() {
    let world = World::new().await;
    world.fake.edit(|s| {
        s.user("google-oauth2|7").email("jane@example.com").logins_count(0).blocked(true);
        s.user(JANE).logins_count(41).last_login("2026-03-04T05:06:07.000Z").created_at("2025-01-02T00:00:00.000Z");
    });
    assert_eq!(world.ids(&by_email("jane@example.com"), "user_id").await, [JANE, "google-oauth2|7"]);
    let (_, found) = world.get(&by_email("jane@example.com")).await;
    assert_eq!((&found[0]["logins_count"], &found[0]["last_login"]), (&json!(41), &json!("2026-03-04T05:06:07.000Z")));
    assert_eq!((&found[0]["created_at"], &found[0]["blocked"]), (&json!("2025-01-02T00:00:00.000Z"), &Value::Null));
    assert_eq!((&found[1]["blocked"], &found[1]["last_login"]), (&json!(true), &Value::Null));
    assert_eq!(found[0], world.get(&user(JANE, "")).await.1, "shown as by id");
    assert_eq!(world.get(&by_email("nobody@example.com")).await, (200, json!([])));
    let narrow = world.get(&format!("{}&fields=user_id", by_email("jane@example.com"))).await.1;
    assert_eq!(narrow[0], json!({"user_id": JANE}));
    for wrong in ["", "?email=", "?email=a&page=0", "?email=a&fields=password"] {
        let path = format!("/api/v2/users-by-email{wrong}");
        assert_eq!(code(&world.get(&path).await), (400, "invalid_query_string"), "{wrong}");
    }
}

#[tokio::test]
async fn an_address_is_stored_in_lower_case_by_auth0_only_and_compared_exactly_or_not() {
    let world = World::new().await;
    world.fake.edit(|s| {
        s.user(JANE).email("Jane@Example.com");
        s.user("waad|1").email("Jane@Example.com");
    });
    let (exact, lower) = (by_email("Jane@Example.com"), by_email("jane@example.com"));
    assert_eq!(world.ids(&exact, "user_id").await, ["waad|1"]);
    assert_eq!(world.ids(&lower, "user_id").await, [JANE]);
    world.fake.switch(|s| s.email_case = EmailCase::Folded);
    assert_eq!(world.ids(&exact, "user_id").await, [JANE, "waad|1"]);
}

#[tokio::test]
async fn users_are_searched_by_three_fields_and_by_offset() {
    let world = World::new().await;
    world.fake.edit(|s| {
        s.user(JANE).name("Jane Doe");
        s.user("waad|1").name("jane doe");
    });
    assert_eq!(world.ids(&search(r#"name:"JANE DOE""#), "user_id").await, [JANE, "waad|1"]);
    assert_eq!(world.ids(&search(r#"email:"JANE@example.com""#), "user_id").await, [JANE]);
    assert_eq!(world.ids(&search(&format!(r#"user_id:"{JOHN}""#)), "user_id").await, [JOHN]);
    assert_eq!(world.ids(&search(r#"name:"nobody""#), "user_id").await, [] as [&str; 0]);
    assert_eq!(world.ids("/api/v2/users", "user_id").await, [JANE, JOHN, "waad|1"]);
    let page = format!("{}&include_totals=true&per_page=1&page=1&fields=user_id", search(r#"name:"jane doe""#));
    let expected = json!({"start": 1, "limit": 1, "length": 1, "total": 2, "users": [{"user_id": "waad|1"}]});
    assert_eq!(world.get(&page).await.1, expected);
    for wrong in ["jane", "name:jane*", r#"nickname:"jane""#] {
        assert_eq!(code(&world.get(&search(wrong)).await), (400, "invalid_query_string"), "{wrong}");
    }
    for wrong in ["search_engine=v1", "take=5", "per_page=101"] {
        let path = format!("/api/v2/users?{wrong}");
        assert_eq!(code(&world.get(&path).await), (400, "invalid_query_string"), "{wrong}");
    }
    assert_eq!(code(&world.get("/api/v2/users?page=10&per_page=100").await), (400, "invalid_paging"));
}

#[tokio::test]
async fn roles_are_listed_by_a_part_of_their_name() {
    let world = World::new().await;
    assert_eq!(world.ids("/api/v2/roles", "id").await, [ADMIN, EDITOR]);
    assert_eq!(world.ids("/api/v2/roles?name_filter=eDiT", "id").await, [EDITOR]);
    let (_, page) = world.get("/api/v2/roles?name_filter=0&include_totals=true&per_page=1&page=1").await;
    assert_eq!((&page["total"], &page["roles"][0]["id"]), (&json!(2), &json!(EDITOR)));
    assert_eq!(code(&world.get("/api/v2/roles?name=x").await), (400, "invalid_query_string"));
    for (switch, status) in [(Verdict::Accepted, 200), (Verdict::Refused, 400)] {
        world.fake.switch(|s| s.user_lists_beyond_1000 = switch);
        assert_eq!(world.get("/api/v2/roles?page=20").await.0, status);
    }
}

#[tokio::test]
async fn the_permissions_of_a_role_are_those_it_gives() {
    let world = World::new().await;
    let path = |role: &str| format!("/api/v2/roles/{role}/permissions");
    world.fake.edit(|s| s.role_permission(ADMIN, "https://other.example/", "delete:x"));
    let (_, given) = world.get(&path(ADMIN)).await;
    assert_eq!(given[0]["permission_name"], "delete:x");
    assert_eq!(given[0]["resource_server_identifier"], "https://other.example/");
    assert_eq!(world.ids(&path(EDITOR), "permission_name").await, ["write:x"], "somebody has it through the role");
    assert!(world.fake.state().has_permission(JANE, "https://other.example/", "delete:x"), "a holder has it");
    world.fake.edit(|s| drop(s.user(JOHN).role(ADMIN)));
    assert!(world.fake.state().has_permission(JOHN, "https://other.example/", "delete:x"), "a new holder, too");
    let (_, page) = world.get(&format!("{}?include_totals=true", path(ADMIN))).await;
    assert_eq!(page["total"], 1);
    assert_eq!(code(&world.get(&path("rol_Nobody0000000000")).await), (404, ""));
}

#[tokio::test]
async fn organizations_are_listed_both_ways_and_found_by_name() {
    let world = World::new().await;
    world.fake.edit(|s| drop(s.organization(ACME).name("acme")));
    world.fake.switch(|s| s.user_organizations_total = Total::Zero);
    assert_eq!(world.ids("/api/v2/organizations", "id").await, [ACME, OTHER]);
    let (_, page) = world.get("/api/v2/organizations?include_totals=true&per_page=1&page=1").await;
    assert_eq!((&page["total"], &page["organizations"][0]["id"]), (&json!(2), &json!(OTHER)));
    let (_, first) = world.get("/api/v2/organizations?take=1").await;
    assert_eq!(first["organizations"][0]["id"], ACME);
    let next = format!("/api/v2/organizations?take=1&from={}", first["next"].as_str().unwrap());
    let (_, second) = world.get(&next).await;
    assert_eq!((&second["organizations"][0]["id"], &second["next"]), (&json!(OTHER), &Value::Null));
    let named = world.get("/api/v2/organizations/name/acme").await;
    assert_eq!(named, world.get(&format!("/api/v2/organizations/{ACME}")).await);
    assert_eq!(code(&world.get("/api/v2/organizations/name/nobody").await), (404, ""));
    let long = format!("/api/v2/organizations/name/{}", "a".repeat(51));
    assert_eq!(code(&world.get(&long).await), (400, "invalid_uri"));
}

#[tokio::test]
async fn apis_are_listed_with_the_scope_to_read_settings() {
    let mut world = World::new().await;
    assert_eq!(code(&world.get("/api/v2/resource-servers").await), (403, "insufficient_scope"));
    world.token = world.fake.token(&["read:resource_servers"]);
    world.fake.edit(|s| s.api_name(API, "Example"));
    let (_, page) = world.get("/api/v2/resource-servers?include_totals=true").await;
    assert_eq!((&page["total"], &page["resource_servers"][0]["name"]), (&json!(1), &json!("Example")));
    assert_eq!(world.ids("/api/v2/resource-servers", "identifier").await, [API]);
}

#[tokio::test]
async fn finding_needs_the_documented_scopes() {
    let mut world = World::new().await;
    for (path, scope) in [
        ("/api/v2/users-by-email?email=a", "read:users"),
        ("/api/v2/users", "read:users"),
        ("/api/v2/roles", "read:roles"),
        (&format!("/api/v2/roles/{ADMIN}/permissions"), "read:roles"),
        ("/api/v2/organizations", "read:organizations"),
        ("/api/v2/organizations/name/acme0000000000000", "read:organizations"),
    ] {
        world.token = world.fake.token(&["read:clients"]);
        assert_eq!(code(&world.get(path).await), (403, "insufficient_scope"), "{path}");
        world.token = world.fake.token(&[scope]);
        assert_ne!(world.get(path).await.0, 403, "{path}");
    }
}

/// What a test of a client that only reads asserts.
#[tokio::test]
async fn the_log_tells_method_path_and_group_of_every_call() {
    let world = World::new().await;
    world.fake.client(fake_auth0::Client::new("id", "secret").scopes(world.fake.all_scopes()));
    let form = json!({
        "grant_type": "client_credentials",
        "client_id": "id",
        "client_secret": "secret",
        "audience": world.fake.audience(),
    });
    let token = world.client.post(world.fake.url("/oauth/token")).json(&form).send().await.unwrap();
    assert_eq!(token.status(), 200);
    world.get(&by_email("jane@example.com")).await;
    world.get("/api/v2/users").await;
    world.get("/api/v2/roles").await;
    let calls = world.fake.calls();
    let told: Vec<_> = calls.iter().map(|call| (call.method.clone(), call.path.as_str(), call.group)).collect();
    assert_eq!(
        told,
        [
            (Method::POST, "/oauth/token", Group::Token),
            (Method::GET, "/api/v2/users-by-email", Group::UsersRead),
            (Method::GET, "/api/v2/users", Group::UsersRead),
            (Method::GET, "/api/v2/roles", Group::Global),
        ]
    );
    assert!(calls.iter().all(|call| call.kind.is_read() || call.kind == Kind::Token));
}
