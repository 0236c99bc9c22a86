//! The default behaviour, by documents and recordings. Each test is a line of the table in the README.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use fake_auth0::{Bucket, Client, Fault, Group};
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::world::*;

fn header(response: &Response, name: &str) -> Option<String> {
    response.headers().get(name).map(|value| value.to_str().unwrap().to_owned())
}

fn message(answer: &(u16, Value)) -> &str {
    answer.1["message"].as_str().unwrap()
}

#[tokio::test]
async fn errors_repeat_user_ids() {
    let world = World::new().await;
    let path = world.get("/api/v2/users/jane%40example.com/roles").await;
    assert_eq!(code(&path), (400, "invalid_uri"));
    assert_eq!(message(&path), "Object didn't pass validation for format user-id: jane@example.com");
    let body = world.delete(&members(ACME), json!({"members": ["jane@example.com"]})).await;
    assert_eq!(
        message(&body),
        "Payload validation error: 'Object didn't pass validation for format user-id-with-max-length: \
         jane@example.com' on property members[0] (List of user IDs to remove from the organization.)."
    );
    let query = world.get(&format!("{}?per_page=101", members(ACME))).await;
    assert!(message(&query).contains("Value 101 is greater than maximum 100' on property per_page ("));
}

#[tokio::test]
async fn errors_name_all_extra_keys_and_indexes() {
    let world = World::new().await;
    let extra = world.delete(&user(JANE, "/roles"), json!({"roles": [ADMIN], "a": 1, "b": 2})).await;
    assert_eq!(message(&extra), "Payload validation error: 'Additional properties not allowed: a,b'.");
    let twice = world.delete(&user(JANE, "/roles"), json!({"roles": [ADMIN, ADMIN]})).await;
    assert!(message(&twice).contains("'Array items are not unique (indexes 0 and 1)' on property roles ("));
}

#[tokio::test]
async fn cursors_are_readable_and_pages_are_in_the_order_of_joining() {
    let world = World::new().await;
    world.fake.edit(|s| {
        s.organization("org_Late000000000000").members(["auth0|c", "auth0|a", "auth0|b"]);
    });
    let path = members("org_Late000000000000");
    let (_, first) = world.get(&format!("{path}?take=2")).await;
    assert_eq!([&first["members"][0]["user_id"], &first["members"][1]["user_id"]], ["auth0|c", "auth0|a"]);
    let next = first["next"].as_str().unwrap();
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(next).unwrap()).unwrap();
    let (time, who) = text.split_once("UTC,").unwrap();
    assert_eq!((time.len(), who), ("2026-01-01 00:00:00.000000".len(), "auth0|a"));
    let (_, second) = world.get(&format!("{path}?take=2&from={next}")).await;
    assert_eq!(second, json!({"members": [second["members"][0]]}));
    assert_eq!(world.ids(&path, "user_id").await, ["auth0|c", "auth0|a", "auth0|b"]);
}

#[tokio::test]
async fn limits_are_told_with_what_was_done_and_with_429_only() {
    let mut world = World::new().await;
    world.fake.limit(Group::UsersRead, Bucket::once(4));
    world.fake.limit(Group::UsersWrite, Bucket::once(4));
    let good = world.token.clone();
    let narrow = world.fake.token(&["read:roles"]);
    let calls = [
        (good.as_str(), Method::GET, user(JANE, "/roles"), 200),
        (good.as_str(), Method::GET, user("auth0|x", ""), 404),
        (good.as_str(), Method::GET, user(JANE, "?q=1"), 400),
        (narrow.as_str(), Method::GET, user(JANE, ""), 403),
        ("a.b.c", Method::GET, user(JANE, ""), 401),
        (good.as_str(), Method::GET, user(JANE, ""), 429),
        (good.as_str(), Method::DELETE, user(JANE, "/roles"), 204),
    ];
    for (token, method, path, status) in calls {
        world.token = token.to_owned();
        let answer = world.request(method, &path).json(&json!({"roles": [ADMIN]})).send().await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
        for name in ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"] {
            assert_eq!(header(&answer, name).is_some(), status < 300 || status == 429, "{status} {name}");
        }
    }
}

#[tokio::test]
async fn the_token_endpoint_tells_its_limit_always_and_answers_plain_json() {
    let world = World::new().await;
    world.fake.client(Client::new("id", "s3cret"));
    world.fake.limit(Group::Token, Bucket::once(10));
    for (secret, status) in [(None, 400), (Some("wrong"), 401), (Some("s3cret"), 403)] {
        let mut request = json!({"client_id": "id", "audience": world.fake.audience()});
        if let Some(secret) = secret {
            request["client_secret"] = secret.into();
            request["grant_type"] = "client_credentials".into();
        }
        let answer = world.client.post(world.fake.url("/oauth/token")).json(&request).send().await.unwrap();
        assert_eq!(answer.status(), status);
        assert!(header(&answer, "x-ratelimit-remaining").is_some());
        assert_eq!(header(&answer, "content-type").as_deref(), Some("application/json"));
    }
}

#[tokio::test]
async fn a_group_names_itself_when_it_refuses() {
    let world = World::new().await;
    world.fake.limit(Group::MembersWrite, Bucket::per_minute(0, 200.0));
    world.fake.limit(Group::UsersRead, Bucket::once(0));
    let refused = world.delete(&members(ACME), json!({"members": [JOHN]})).await;
    assert_eq!(code(&refused), (429, "too_many_requests"));
    assert_eq!(message(&refused), "Global per minute organization_members_write group limit has been reached");
    let refused = world.get(&user(JANE, "")).await;
    assert_eq!(message(&refused), "Global per second users_read group limit has been reached");
    world.fake.limit(Group::UsersRead, None);
    world.fake.limit(Group::Global, Bucket::once(0));
    assert_eq!(message(&world.get(&user(JANE, "")).await), "Global limit has been reached");
}

#[tokio::test]
async fn calls_per_minute_come_on_whole_seconds() {
    let world = World::new().await;
    world.fake.limit(Group::UsersRead, Bucket::per_minute(100, 6000.0));
    world.fake.drain(Group::UsersRead, 100);
    let mut seen = std::collections::BTreeSet::new();
    let began = std::time::Instant::now();
    while began.elapsed() < Duration::from_millis(1100) {
        seen.insert(world.fake.bucket(Group::UsersRead).unwrap().remaining);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(seen, [0, 100].into());
}

#[tokio::test]
async fn a_401_says_what_is_wrong_with_the_token() {
    let mut world = World::new().await;
    world.token = "a.b.c".to_owned();
    let answer = world.request(Method::GET, &user(JANE, "")).send().await.unwrap();
    assert_eq!(header(&answer, "www-authenticate").as_deref(), Some("Bearer error=\"Invalid token\""));
    assert_eq!(taken(answer).await.1["attributes"], json!({"error": "Invalid token"}));
    let bare = world.client.get(world.fake.url(&user(JANE, ""))).send().await.unwrap();
    assert_eq!(header(&bare, "www-authenticate").as_deref(), Some("Bearer"));
    let (status, body) = taken(bare).await;
    assert_eq!((status, &body["message"], body.get("attributes")), (401, &json!("Missing authentication"), None));
}

#[tokio::test]
async fn answers_have_fields_that_older_documents_do_not_know() {
    let world = World::new().await;
    world.fake.edit(|s| {
        s.organization_role("rol_Owned00000000000", ACME);
        s.organization(ACME).member_role(JANE, "rol_Owned00000000000");
    });
    let (_, organizations) = world.get(&user(JANE, "/organizations")).await;
    assert_eq!(organizations[0]["third_party_client_access"], "block");
    let (_, roles) = world.get(&member_roles(ACME, JANE)).await;
    assert_eq!((&roles[2]["type"], &roles[2]["owner_id"]), (&json!("organization"), &json!(ACME)));
    let (_, jane) = world.get(&user(JANE, "")).await;
    assert!(jane["nickname"].is_string() && jane["app_metadata"].is_object());
    assert!(jane.get("blocked").is_none());
    let (_, john) = world.get(&user(JOHN, "")).await;
    assert!(john.get("email").is_none());
}

#[tokio::test]
async fn checkpoints_win_over_pages_and_have_no_total() {
    let world = World::new().await;
    let (status, page) = world.get(&format!("{}?per_page=50&take=100&include_totals=true", members(ACME))).await;
    assert_eq!((status, page["members"].as_array().unwrap().len()), (200, 2));
    assert_eq!(page.as_object().unwrap().len(), 1, "{page}");
}

#[tokio::test]
async fn a_query_does_not_save_a_lost_body() {
    let world = World::new().await;
    let path = format!("{}?members[]={}", members(ACME), encoded(JANE));
    let refused = taken(world.request(Method::DELETE, &path).send().await.unwrap()).await;
    assert_eq!(code(&refused), (400, "invalid_body"));
    assert!(message(&refused).contains("Expected type object but found type null"));
    assert_eq!(world.delete(&path, json!({"members": [JOHN]})).await.0, 204);
}

#[tokio::test]
async fn unknown_fields_are_refused_and_roles_take_no_query() {
    let world = World::new().await;
    let refused = world.get(&format!("{}?fields=user_id,password", members(ACME))).await;
    assert_eq!(code(&refused), (400, "invalid_query_string"));
    assert!(message(&refused).contains(
        "'String 'user_id,password' does not match pattern. Must be a comma separated list of the following values: \
         user_id,email,picture,name,roles' on property fields ("
    ));
    assert_eq!(world.get(&user(JANE, "?fields=blocked")).await, (200, json!({})));
    let role = format!("/api/v2/roles/{ADMIN}?fields=name");
    assert_eq!(code(&world.get(&role).await), (400, "invalid_query_string"));
}

#[tokio::test]
async fn a_204_has_a_type_and_no_body() {
    let world = World::new().await;
    let answer = world.request(Method::DELETE, &user(JANE, "/roles")).json(&json!({"roles": [ADMIN]}));
    let answer = answer.send().await.unwrap();
    assert_eq!(answer.status(), 204);
    assert_eq!(header(&answer, "content-type").as_deref(), Some("application/json; charset=utf-8"));
    assert!(answer.bytes().await.unwrap().is_empty());
}

#[tokio::test]
async fn forms_are_bodies_too() {
    let world = World::new().await;
    let form = async |path: String, body: &'static str| {
        let call = world.request(Method::DELETE, &path).header("content-type", "application/x-www-form-urlencoded");
        call.body(body).send().await.unwrap().status().as_u16()
    };
    let permission = "permissions[0][resource_server_identifier]=https%3A%2F%2Fapi.example.com%2F&\
                      permissions[0][permission_name]=read%3Ax";
    assert_eq!(form(user(JANE, "/permissions"), permission).await, 204);
    assert_eq!(form(user(JANE, "/roles"), "roles[]=rol_Admin00000000000").await, 204);
    assert_eq!(form(members(ACME), "members=auth0%7Cjane").await, 400);
    assert!(!world.fake.state().has_permission(JANE, API, "read:x"));
    assert!(!world.fake.state().has_role(JANE, ADMIN));
}

#[tokio::test]
async fn the_first_thousand_are_the_last_where_that_is_documented() {
    let world = World::new().await;
    for (path, status) in [
        (members(ACME), 400),
        (member_roles(ACME, JANE), 400),
        (user(JANE, "/organizations"), 400),
        (user(JANE, "/roles"), 200),
        (user(JANE, "/permissions"), 200),
    ] {
        let answer = world.get(&format!("{path}?page=20&per_page=50")).await;
        assert_eq!(answer.0, status, "{path}");
        if status == 400 {
            assert_eq!(code(&answer), (400, "invalid_paging"));
            assert_eq!(message(&answer), "Requesting page exceeds the allowed maximum of 1000 records");
        }
    }
}

#[tokio::test]
async fn roles_of_nobody_and_of_a_stranger_are_told_apart() {
    let world = World::new().await;
    assert_eq!(code(&world.get(&member_roles(ACME, "auth0|x")).await), (404, "inexistent_user"));
    let stranger = world.get(&member_roles(OTHER, JOHN)).await;
    assert_eq!((code(&stranger), message(&stranger)), ((404, ""), "User is not a member of this organization"));
}

#[tokio::test]
async fn a_linked_account_is_no_user_any_more() {
    let world = World::new().await;
    let other = "google-oauth2|107";
    world.fake.edit(|s| {
        s.user(other).role(ADMIN);
        s.user(JANE).linked(other);
    });
    let (_, jane) = world.get(&user(JANE, "")).await;
    assert_eq!(jane["identities"][1]["user_id"], "107");
    assert_eq!(jane["identities"][1]["isSocial"], true);
    assert_eq!(code(&world.get(&user(other, "")).await), (404, "inexistent_user"));
    let roles = world.delete(&user(other, "/roles"), json!({"roles": [ADMIN]})).await;
    assert_eq!(code(&roles), (404, "inexistent_user"));
}

#[tokio::test]
async fn a_refusal_by_the_plan_is_no_matter_of_scope() {
    let world = World::new().await;
    world.fake.fault(Fault::plan_refusal().once());
    assert_eq!(code(&world.get(&user(JANE, "")).await), (403, "insufficient_entitlement"));
    world.fake.fault(Fault::feature_refusal().once());
    let refused = world.get(&user(JANE, "")).await;
    assert_eq!((code(&refused), message(&refused)), ((403, ""), "This feature is not enabled for this tenant."));
}
