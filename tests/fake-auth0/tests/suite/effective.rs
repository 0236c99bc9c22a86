//! The effective views: what users have by whatever way, and by which.

use fake_auth0::{EFFECTIVE_SCOPES, Group, Kind, LastNext, Switches, Verdict};
use serde_json::{Value, json};

use crate::world::*;

const STAFF: &str = "grp_Staff";
const OPS: &str = "grp_Ops";

/// Jane has ADMIN and EDITOR directly, EDITOR by a group as well; John has EDITOR directly and ADMIN by two groups.
async fn world() -> World {
    let world = World::new().await;
    world.fake.edit(|s| {
        s.role_permission(ADMIN, API, "delete:x");
        s.group(STAFF).name("Staff").member(JANE).member(JOHN).role(EDITOR).organization_role(ACME, ADMIN);
        s.group(OPS).member(JOHN).role(ADMIN).organization_role(OTHER, EDITOR);
        s.group("grp_More").member(JOHN).role(ADMIN);
    });
    let token = world.fake.token(&EFFECTIVE_SCOPES);
    World { token, ..world }
}

/// The ids (or names of permissions) with their sources.
fn sources(page: &Value, list: &str, key: &str) -> Vec<String> {
    let items = page[list].as_array().unwrap_or_else(|| panic!("{page}"));
    items.iter().map(|item| format!("{} {}", item[key].as_str().unwrap(), item["sources"])).collect()
}

fn permissions(id: &str, rest: &str) -> String {
    user(id, &format!("/effective-permissions{rest}resource_server_identifier={}", encoded(API)))
}

#[tokio::test]
async fn roles_tell_whether_they_come_through_groups() {
    let world = world().await;
    let (_, jane) = world.get(&user(JANE, "/effective-roles")).await;
    assert_eq!(
        sources(&jane, "roles", "id"),
        [format!(r#"{ADMIN} ["direct"]"#), format!(r#"{EDITOR} ["direct","groups"]"#)]
    );
    assert!(jane["roles"][0]["name"].is_string() && jane["roles"][0]["description"].is_string());
    assert!(jane.get("next").is_none());
    let (_, john) = world.get(&user(JOHN, "/effective-roles")).await;
    assert_eq!(
        sources(&john, "roles", "id"),
        [format!(r#"{ADMIN} ["groups"]"#), format!(r#"{EDITOR} ["direct","groups"]"#)]
    );
    assert_eq!(world.fake.calls().last().unwrap().group, Group::Global);
}

#[tokio::test]
async fn the_groups_behind_a_role_are_listed_by_checkpoint() {
    let world = world().await;
    let path = user(JOHN, &format!("/effective-roles/sources/groups?role_id={ADMIN}&take=1"));
    let (_, first) = world.get(&path).await;
    assert_eq!(first["groups"], json!([{"id": "grp_More", "name": "More"}]));
    let (_, second) = world.get(&format!("{path}&from={}", first["next"].as_str().unwrap())).await;
    assert_eq!(second, json!({"groups": [{"id": OPS, "name": "Ops"}]}));
    let of_jane = |role: &str| user(JANE, &format!("/effective-roles/sources/groups?role_id={role}"));
    assert_eq!(world.get(&of_jane(EDITOR)).await.1["groups"], json!([{"id": STAFF, "name": "Staff"}]));
    assert_eq!(world.get(&of_jane(ADMIN)).await.1, json!({"groups": []}));
    world.fake.edit(|s| drop(s.group(STAFF).without_member(JANE)));
    assert_eq!(world.get(&of_jane(EDITOR)).await.1, json!({"groups": []}));
}

#[tokio::test]
async fn permissions_tell_whether_they_come_through_roles_and_through_which() {
    let world = world().await;
    let (_, jane) = world.get(&permissions(JANE, "?")).await;
    assert_eq!(
        sources(&jane, "permissions", "permission_name"),
        [r#"delete:x ["roles"]"#, r#"read:x ["direct"]"#, r#"write:x ["roles"]"#]
    );
    assert_eq!(jane["permissions"][0]["resource_server_identifier"], API);
    assert!(jane["permissions"][0]["description"].is_string());
    let by = |id: &str, name: &str| permissions(id, &format!("/sources/effective-roles?permission_name={name}&"));
    let (_, roles) = world.get(&by(JOHN, "delete:x")).await;
    assert_eq!(sources(&roles, "roles", "id"), [format!(r#"{ADMIN} ["groups"]"#)]);
    let (_, roles) = world.get(&by(JANE, "write:x")).await;
    assert_eq!(sources(&roles, "roles", "id"), [format!(r#"{EDITOR} ["direct","groups"]"#)]);
    assert_eq!(world.get(&by(JANE, "read:x")).await.1, json!({"roles": []}), "given directly");
    // What the removal of the direct role leaves.
    world.fake.edit(|s| {
        s.user(JANE).without_role(EDITOR).without_role(ADMIN);
        s.user(JANE).without_permission(API, "read:x");
        s.role_permission(EDITOR, API, "write:x");
    });
    let (_, left) = world.get(&permissions(JANE, "?")).await;
    assert_eq!(sources(&left, "permissions", "permission_name"), [r#"write:x ["roles"]"#]);
}

#[tokio::test]
async fn the_roles_of_a_member_are_those_within_the_organization() {
    let world = world().await;
    let path = |organization: &str, id: &str| format!("{}/{}/effective-roles", members(organization), encoded(id));
    let (_, jane) = world.get(&path(ACME, JANE)).await;
    assert_eq!(
        sources(&jane, "roles", "id"),
        [format!(r#"{ADMIN} ["direct","groups"]"#), format!(r#"{EDITOR} ["direct"]"#)]
    );
    let (_, john) = world.get(&path(ACME, JOHN)).await;
    assert_eq!(sources(&john, "roles", "id"), [format!(r#"{ADMIN} ["groups"]"#)]);
    assert_eq!(code(&world.get(&path(OTHER, JOHN)).await), (404, ""), "the group alone makes no member");
    assert_eq!(code(&world.get(&path("org_Nobody0000000000", JANE)).await), (404, ""));
    assert_eq!(code(&world.get(&path(ACME, "auth0|x")).await), (404, "inexistent_user"));
}

#[tokio::test]
async fn views_want_their_parameters_and_scopes_and_page_by_checkpoint_only() {
    let mut world = world().await;
    for missing in [
        user(JANE, "/effective-roles/sources/groups"),
        user("auth0|x", "/effective-roles/sources/groups"),
        user(JANE, "/effective-permissions"),
        permissions(JANE, "/sources/effective-roles?"),
        user(JANE, "/effective-permissions/sources/effective-roles?permission_name=read:x"),
        user(JANE, "/effective-roles?page=0"),
        user(JANE, "/effective-roles?include_totals=true"),
    ] {
        assert_eq!(code(&world.get(&missing).await), (400, "invalid_query_string"), "{missing}");
    }
    for rest in ["/effective-roles", &format!("/effective-roles/sources/groups?role_id={ADMIN}")] {
        assert_eq!(code(&world.get(&user("auth0|x", rest)).await), (404, "inexistent_user"));
    }
    world.fake.switch(|s| s.last_next = LastNext::Present);
    assert!(world.get(&user(JANE, "/effective-roles")).await.1["next"].is_string());
    world.token = world.fake.token(&world.fake.all_scopes());
    assert_eq!(code(&world.get(&user(JANE, "/effective-roles")).await), (403, "insufficient_scope"));
    assert!(world.fake.calls().iter().all(|call| call.kind.is_read() && call.kind != Kind::Other));
}

#[tokio::test]
async fn the_plan_may_not_include_the_views() {
    let world = world().await;
    world.fake.set_switches(Switches { effective_views: Verdict::Refused, ..Switches::default() });
    let refused = world.get(&user(JANE, "/effective-roles")).await;
    assert_eq!(code(&refused), (403, "insufficient_entitlement"));
    assert!(refused.1["message"].as_str().unwrap().contains("upgrade your subscription"));
    assert_eq!(world.get(&permissions(JANE, "?")).await.0, 403);
}

#[tokio::test]
async fn groups_are_in_the_state_file_and_forget_what_is_deleted() {
    let world = world().await;
    let state = world.fake.state();
    let copy: fake_auth0::State = serde_json::from_value(serde_json::to_value(&state).unwrap()).unwrap();
    assert_eq!(copy, state);
    world.fake.edit(|s| {
        s.delete_user(JANE);
        s.delete_organization(ACME);
        s.delete_role(ADMIN);
        s.delete_group(OPS);
    });
    let state = world.fake.state();
    let staff = json!({"name": "Staff", "members": [JOHN], "roles": [EDITOR]});
    assert_eq!(serde_json::to_value(&state).unwrap()["groups"][STAFF], staff);
    assert_eq!(state.groups().map(|(id, _)| id).collect::<Vec<_>>(), ["grp_More", STAFF]);
}
