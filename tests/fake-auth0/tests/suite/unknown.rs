//! What is not known of Auth0: each switch, with each of its settings.

use fake_auth0::{
    Bucket, GlobalLimit, Group, LastNext, LimitWording, Missing, MissingEmail, OtherScheme, PageCap, PathNames,
    RestOfBatch, RolePermissions, Switches, Total, Unknown, UserRolesScopes, Verdict,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::*;

const NOBODY: &str = "auth0|nobody";
const NO_ROLE: &str = "rol_Nobody0000000000";
const NO_ORGANIZATION: &str = "org_Nobody0000000000";

fn permission(name: &str) -> Value {
    json!({"permissions": [{"resource_server_identifier": API, "permission_name": name}]})
}

#[tokio::test]
async fn the_total_of_a_users_organizations_may_be_0_beside_entries() {
    let world = World::new().await;
    let path = user(JANE, "/organizations?include_totals=true&per_page=50&page=");
    for (switch, total) in [(Total::Right, 2), (Total::Zero, 0)] {
        world.fake.switch(|s| s.user_organizations_total = switch);
        let (_, page) = world.get(&format!("{path}0")).await;
        assert_eq!((page["organizations"].as_array().unwrap().len(), &page["total"]), (2, &json!(total)));
        let (_, page) = world.get(&format!("{path}1")).await;
        assert_eq!(page, json!({"organizations": [], "start": 50, "limit": 50, "total": total}));
    }
}

#[tokio::test]
async fn the_last_page_with_members_may_lead_to_an_empty_one() {
    let world = World::new().await;
    for (switch, leads_on) in [(LastNext::Absent, false), (LastNext::Present, true)] {
        world.fake.switch(|s| s.last_next = switch);
        let (_, page) = world.get(&format!("{}?take=50", members(ACME))).await;
        assert_eq!(page.get("next").is_some(), leads_on);
        if let Some(next) = page["next"].as_str() {
            let (_, empty) = world.get(&format!("{}?take=50&from={next}", members(ACME))).await;
            assert_eq!(empty, json!({"members": []}));
        }
    }
}

#[tokio::test]
async fn odd_roles_and_permissions_are_unknown_ones_or_refused() {
    let world = World::new().await;
    for (switch, status) in [(Verdict::Accepted, 204), (Verdict::Refused, 400)] {
        world.fake.switch(|s| s.odd_items = switch);
        assert_eq!(world.delete(&user(JANE, "/roles"), json!({"roles": ["Administrator"]})).await.0, status);
        assert_eq!(world.delete(&user(JANE, "/permissions"), permission("")).await.0, status);
        assert_eq!(world.delete(&user(JANE, "/permissions"), permission(&"x".repeat(601))).await.0, status);
        assert_eq!(world.delete(&user(JANE, "/roles"), json!({"roles": [""]})).await.0, 400);
    }
}

#[tokio::test]
async fn what_a_path_names_and_is_not_there_is_404_or_204() {
    let world = World::new().await;
    let before = world.fake.state();
    let roles = json!({"roles": [ADMIN]});
    for (switch, status) in [(Missing::NotFound, 404), (Missing::NoContent, 204)] {
        world.fake.set_switches(Switches { unknown_organization: switch, ..Switches::default() });
        assert_eq!(world.delete(&members(NO_ORGANIZATION), json!({"members": [JANE]})).await.0, status);
        assert_eq!(world.delete(&member_roles(NO_ORGANIZATION, JANE), roles.clone()).await.0, status);
        assert_eq!(world.delete(&member_roles(OTHER, JOHN), roles.clone()).await.0, 404);
        world.fake.set_switches(Switches { non_member: switch, ..Switches::default() });
        assert_eq!(world.delete(&member_roles(OTHER, JOHN), roles.clone()).await.0, status);
        assert_eq!(world.delete(&member_roles(OTHER, NOBODY), roles.clone()).await.0, status);
        assert_eq!(world.delete(&members(NO_ORGANIZATION), json!({"members": [JANE]})).await.0, 404);
        assert_eq!(world.delete(&user(NOBODY, "/roles"), roles.clone()).await.0, 404);
    }
    world.fake.assert_removed_exactly(&before, []);
}

#[tokio::test]
async fn what_a_body_names_and_is_not_there_is_204_400_or_404() {
    let world = World::new().await;
    let no_permission = "inexistent_resource_server_permission";
    for (unknown, user_code, role_code, permission_code) in [
        (Unknown::NoContent, (204, ""), (204, ""), (204, "")),
        (Unknown::BadRequest, (400, "invalid_body"), (400, "inexistent_role"), (400, no_permission)),
        (Unknown::NotFound, (404, "inexistent_user"), (404, ""), (404, no_permission)),
    ] {
        world.fake.switch(|s| (s.unknown_member, s.unknown_role, s.unknown_permission) = (unknown, unknown, unknown));
        for (path, body, expected) in [
            (members(ACME), json!({"members": [NOBODY]}), user_code),
            (user(JANE, "/roles"), json!({"roles": [NO_ROLE]}), role_code),
            (user(JANE, "/roles"), json!({"roles": ["Administrator"]}), role_code),
            (member_roles(ACME, JANE), json!({"roles": [NO_ROLE]}), role_code),
            (user(JANE, "/permissions"), permission("no:such"), permission_code),
        ] {
            let answer = world.delete(&path, body).await;
            let found = if answer.0 == 204 { (204, "") } else { code(&answer) };
            assert_eq!(found, expected, "{path}");
        }
        // A role that John merely lacks is not an unknown role.
        assert_eq!(world.delete(&user(JOHN, "/roles"), json!({"roles": [ADMIN]})).await.0, 204);
        assert_eq!(world.delete(&members(OTHER), json!({"members": [JOHN]})).await.0, 204);
        assert_eq!(world.delete(&user(JOHN, "/permissions"), permission("read:x")).await.0, 204);
    }
    world.fake.switch(|s| s.unknown_role = Unknown::NotFound);
    let (_, told) = world.delete(&user(JANE, "/roles"), json!({"roles": [NO_ROLE]})).await;
    assert_eq!(told["message"], "The role does not exist.");
}

#[tokio::test]
async fn the_rest_of_a_refused_body_stays_or_goes() {
    let world = World::new().await;
    for (rest, stays) in [(RestOfBatch::Untouched, true), (RestOfBatch::Removed, false)] {
        world.fake.switch(|s| (s.unknown_role, s.rest_of_batch) = (Unknown::NotFound, rest));
        assert_eq!(world.delete(&user(JANE, "/roles"), json!({"roles": [ADMIN, NO_ROLE]})).await.0, 404);
        assert_eq!(world.fake.state().has_role(JANE, ADMIN), stays);
        assert_eq!(world.fake.deletes().last().unwrap().answer().unwrap().removed, usize::from(!stays));
    }
}

#[tokio::test]
async fn long_bodies_and_doubles_are_taken_or_refused() {
    let world = World::new().await;
    let eleven: Vec<String> = (0..11).map(|n| format!("auth0|{n}")).collect();
    let fifty_one: Vec<String> = (0..51).map(|n| format!("rol_{n:016}")).collect();
    for (verdict, status) in [(Verdict::Refused, 400), (Verdict::Accepted, 204)] {
        world.fake.switch(|s| (s.eleven_members, s.fifty_one_items, s.duplicates) = (verdict, verdict, verdict));
        for (path, body) in [
            (members(ACME), json!({"members": eleven})),
            (user(JANE, "/roles"), json!({"roles": fifty_one})),
            (member_roles(ACME, JANE), json!({"roles": fifty_one})),
            (user(JANE, "/roles"), json!({"roles": [ADMIN, ADMIN]})),
        ] {
            assert_eq!(world.delete(&path, body).await.0, status, "{path}");
        }
    }
    assert_eq!(world.fake.deletes().last().unwrap().answer().unwrap().removed, 1);
}

#[tokio::test]
async fn the_global_bucket_counts_every_call_or_the_others() {
    let world = World::new().await;
    for (switch, status) in [(GlobalLimit::EveryCall, 429), (GlobalLimit::OtherCalls, 200)] {
        world.fake.switch(|s| s.global_limit = switch);
        world.fake.limit(Group::Global, Bucket::once(0));
        world.fake.limit(Group::UsersRead, Bucket::once(1));
        assert_eq!(world.get(&user(JANE, "")).await.0, status);
        assert_eq!(world.get(&members(ACME)).await.0, 429);
    }
}

#[tokio::test]
async fn a_group_may_refuse_in_the_words_of_the_global_bucket() {
    let world = World::new().await;
    world.fake.switch(|s| s.limit_wording = LimitWording::Global);
    world.fake.limit(Group::UsersRead, Bucket::once(0));
    assert_eq!(world.get(&user(JANE, "")).await.1["message"], "Global limit has been reached");
}

#[tokio::test]
async fn another_scheme_is_no_token_or_a_malformed_one() {
    let world = World::new().await;
    for (switch, expected) in [(OtherScheme::Unauthorized, (401, "")), (OtherScheme::BadRequest, (400, "Bearer"))] {
        world.fake.switch(|s| s.other_scheme = switch);
        let call = world.client.get(world.fake.url(&user(JANE, ""))).header("authorization", "Basic aTpz");
        assert_eq!(code(&taken(call.send().await.unwrap()).await), expected);
    }
}

#[tokio::test]
async fn a_missing_address_is_absent_or_null() {
    let world = World::new().await;
    for (switch, shown) in [(MissingEmail::Absent, None), (MissingEmail::Null, Some(Value::Null))] {
        world.fake.switch(|s| s.missing_email = switch);
        assert_eq!(world.get(&user(JOHN, "")).await.1.get("email"), shown.as_ref());
        assert_eq!(world.get(&members(ACME)).await.1[1].get("email"), shown.as_ref());
    }
}

#[tokio::test]
async fn a_query_on_a_delete_is_overlooked_or_refused() {
    let world = World::new().await;
    for (switch, status) in [(Verdict::Accepted, 204), (Verdict::Refused, 400)] {
        world.fake.switch(|s| s.query_on_delete = switch);
        assert_eq!(world.delete(&user(JANE, "/roles?x=1"), json!({"roles": [ADMIN]})).await.0, status);
        let lost = taken(world.request(Method::DELETE, &user(JANE, "/roles?x=1")).send().await.unwrap()).await;
        assert_eq!(code(&lost), (400, "invalid_body"));
    }
}

#[tokio::test]
async fn a_body_without_a_type_is_json_or_refused() {
    let world = World::new().await;
    for (switch, status) in [(Verdict::Accepted, 204), (Verdict::Refused, 415)] {
        world.fake.switch(|s| s.untyped_body = switch);
        let call = world.request(Method::DELETE, &user(JANE, "/roles")).body(json!({"roles": [ADMIN]}).to_string());
        assert_eq!(call.send().await.unwrap().status(), status);
    }
}

#[tokio::test]
async fn names_in_paths_are_unknown_found_or_refused() {
    let world = World::new().await;
    let name = world.fake.state().organization(ACME).unwrap().name.clone();
    for (switch, organization, role) in
        [(PathNames::NotFound, 404, 404), (PathNames::Refused, 400, 400), (PathNames::Found, 200, 404)]
    {
        world.fake.switch(|s| s.path_names = switch);
        assert_eq!(world.get(&format!("/api/v2/organizations/{name}")).await.0, organization);
        assert_eq!(world.get("/api/v2/roles/admin").await.0, role);
        let status = world.delete(&members(&name), json!({"members": [JOHN]})).await.0;
        assert_eq!(status, if organization == 200 { 204 } else { organization });
    }
    assert!(!world.fake.state().is_member(ACME, JOHN));
}

#[tokio::test]
async fn a_users_roles_and_permissions_may_end_at_a_thousand_too() {
    let world = World::new().await;
    world.fake.switch(|s| s.user_lists_beyond_1000 = Verdict::Refused);
    for rest in ["/roles", "/permissions"] {
        let answer = world.get(&user(JANE, &format!("{rest}?page=20&per_page=50"))).await;
        assert_eq!(code(&answer), (400, "invalid_paging"));
    }
}

#[tokio::test]
async fn pages_may_end_at_fifty() {
    let world = World::new().await;
    world.fake.edit(|s| {
        s.organization(OTHER).numbered_members("auth0|m", 120);
    });
    for (switch, per_page, take) in [
        (PageCap::Hundred, Some((100, 100)), Some(100)),
        (PageCap::Fifty, Some((50, 50)), Some(50)),
        (PageCap::FiftyOrRefused, None, None),
    ] {
        world.fake.switch(|s| s.page_cap = switch);
        let size = |page: &Value| page["members"].as_array().unwrap().len();
        let (status, page) = world.get(&format!("{}?per_page=100&include_totals=true", members(OTHER))).await;
        let found = (status == 200).then(|| (size(&page), page["limit"].as_u64().unwrap()));
        assert_eq!(found, per_page);
        let (status, page) = world.get(&format!("{}?take=100", members(OTHER))).await;
        assert_eq!((status == 200).then(|| size(&page)), take);
        assert_eq!(world.get(&format!("{}?take=50", members(OTHER))).await.0, 200);
    }
}

#[tokio::test]
async fn fewer_scopes_may_suffice() {
    let mut world = World::new().await;
    let all = world.token.clone();
    for (verdict, status) in [(Verdict::Refused, 403), (Verdict::Accepted, 204)] {
        world.fake.switch(|s| s.role_members_scope = verdict);
        world.token = world.fake.token(&["delete:role_members"]);
        assert_eq!(world.delete(&user(JANE, "/roles"), json!({"roles": [ADMIN]})).await.0, status);
    }
    for (scopes, status) in [(UserRolesScopes::Three, 403), (UserRolesScopes::Two, 200)] {
        world.fake.switch(|s| s.user_roles_scopes = scopes);
        world.token = world.fake.token(&["read:users", "read:roles"]);
        assert_eq!(world.get(&user(JANE, "/roles")).await.0, status);
    }
    world.token = all;
    assert_eq!(world.get(&user(JANE, "/roles")).await.0, 200);
}

#[tokio::test]
async fn permissions_through_roles_are_listed_or_not() {
    let world = World::new().await;
    for (switch, names) in
        [(RolePermissions::Listed, vec!["read:x", "write:x"]), (RolePermissions::Unlisted, vec!["read:x"])]
    {
        world.fake.switch(|s| s.role_permissions = switch);
        assert_eq!(world.ids(&user(JANE, "/permissions"), "permission_name").await, names);
    }
}

#[test]
fn the_readme_tells_every_switch() {
    let readme = include_str!("../../README.md");
    let switches = serde_json::to_value(Switches::default()).unwrap();
    for (name, default) in switches.as_object().unwrap() {
        assert!(readme.contains(&format!("`{name}`: `{}`", default.as_str().unwrap())), "{name} {default}");
    }
}
