//! The four DELETEs: what they remove, what they refuse, and that repeating them is harmless.

use std::{io::Write, time::Duration};

use fake_auth0::{FakeAuth0, Kind, Relation, SizeCheck, Unknown};
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::*;

const SOON: Duration = Duration::from_secs(5);

#[tokio::test]
async fn each_removes_what_it_names_and_can_be_repeated() {
    let world = World::new().await;
    let before = world.fake.state();
    let permission = json!({"permissions": [{"resource_server_identifier": API, "permission_name": "read:x"}]});
    for _ in 0..2 {
        assert_eq!(world.delete(&user(JANE, "/permissions"), permission.clone()).await, (204, Value::Null));
        assert_eq!(world.delete(&user(JANE, "/roles"), json!({"roles": [ADMIN]})).await, (204, Value::Null));
        assert_eq!(world.delete(&member_roles(ACME, JANE), json!({"roles": [EDITOR]})).await, (204, Value::Null));
        assert_eq!(world.delete(&members(ACME), json!({"members": [JOHN]})).await, (204, Value::Null));
    }
    world.fake.assert_removed_exactly(
        &before,
        [
            Relation::user_permission(JANE, API, "read:x"),
            Relation::user_role(JANE, ADMIN),
            Relation::member_role(ACME, JANE, EDITOR),
            Relation::member(ACME, JOHN),
        ],
    );
    let removed: Vec<_> = world.fake.deletes().iter().map(|call| call.answer().unwrap().removed).collect();
    assert_eq!(removed, [1, 1, 1, 1, 0, 0, 0, 0]);
}

#[tokio::test]
async fn the_oracle_names_what_was_not_expected() {
    let world = World::new().await;
    let before = world.fake.state();
    world.delete(&members(ACME), json!({"members": [JOHN]})).await;
    world.fake.edit(|s| {
        s.user(JOHN).role(ADMIN);
    });
    let check = || world.fake.assert_removed_exactly(&before, [Relation::user_role(JANE, ADMIN)]);
    let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(check)).unwrap_err();
    let told = told.downcast::<String>().unwrap();
    for line in [
        format!("expected, did not happen: - user {JANE}: role {ADMIN}"),
        format!("unexpected: - organization {ACME}: member {JOHN}"),
        format!("unexpected: + user {JOHN}: role {ADMIN}"),
    ] {
        assert!(told.contains(&line), "{told}");
    }
}

#[tokio::test]
async fn relations_that_never_were_and_unknown_roles_are_204() {
    let world = World::new().await;
    let before = world.fake.state();
    let unknown = "rol_Nobody0000000000";
    let permission = json!({"permissions": [{"resource_server_identifier": "no such", "permission_name": "x"}]});
    assert_eq!(world.delete(&user(JOHN, "/permissions"), permission).await.0, 204);
    assert_eq!(world.delete(&user(JOHN, "/roles"), json!({"roles": [ADMIN, unknown]})).await.0, 204);
    assert_eq!(world.delete(&member_roles(ACME, JOHN), json!({"roles": [unknown]})).await.0, 204);
    assert_eq!(world.delete(&members(OTHER), json!({"members": [JOHN]})).await.0, 204);
    world.fake.assert_removed_exactly(&before, []);
}

#[tokio::test]
async fn missing_users_organizations_and_members_are_told_apart() {
    let world = World::new().await;
    let (roles, nobody) = (json!({"roles": [ADMIN]}), "org_Nobody0000000000");
    let permission = json!({"permissions": [{"resource_server_identifier": API, "permission_name": "x"}]});
    assert_eq!(code(&world.delete(&user("auth0|x", "/roles"), roles.clone()).await), (404, "inexistent_user"));
    assert_eq!(code(&world.delete(&user("auth0|x", "/permissions"), permission).await), (404, "inexistent_user"));
    for path in [member_roles(nobody, JANE), members(nobody)] {
        let body = if path.ends_with("members") { json!({"members": [JANE]}) } else { roles.clone() };
        let answer = world.delete(&path, body).await;
        assert_eq!(code(&answer), (404, ""));
        assert_eq!(answer.1["message"], "No organization found by that id or name");
    }
    let answer = world.delete(&member_roles(OTHER, JOHN), roles).await;
    assert_eq!(code(&answer), (404, ""));
    assert_eq!(answer.1["message"], "User is not a member of this organization");
    let answer = world.delete(&member_roles(OTHER, "auth0|x"), json!({"roles": [ADMIN]})).await;
    assert_eq!(code(&answer), (404, "inexistent_user"));
}

#[tokio::test]
async fn an_unknown_user_among_members_is_answered_as_chosen() {
    let world = World::new().await;
    let body = json!({"members": [JOHN, "auth0|nobody"]});
    world.fake.switch(|s| s.unknown_member = Unknown::BadRequest);
    assert_eq!(code(&world.delete(&members(ACME), body.clone()).await), (400, "invalid_body"));
    world.fake.switch(|s| s.unknown_member = Unknown::NotFound);
    assert_eq!(code(&world.delete(&members(ACME), body.clone()).await), (404, "inexistent_user"));
    assert!(world.fake.state().is_member(ACME, JOHN));
    world.fake.switch(|s| s.unknown_member = Unknown::NoContent);
    assert_eq!(world.delete(&members(ACME), body).await.0, 204);
    assert!(!world.fake.state().is_member(ACME, JOHN));
}

#[tokio::test]
async fn bodies_of_the_wrong_form_change_nothing() {
    let world = World::new().await;
    let before = world.fake.state();
    let eleven: Vec<_> = (0..11).map(|n| format!("auth0|{n}")).collect();
    for (path, body) in [
        (user(JANE, "/roles"), json!({"roles": []})),
        (user(JANE, "/roles"), json!({"roles": null})),
        (user(JANE, "/roles"), json!({"roles": [ADMIN, ADMIN]})),
        (user(JANE, "/roles"), json!({"roles": [""]})),
        (user(JANE, "/roles"), json!({"roles": [ADMIN], "role": 1})),
        (user(JANE, "/permissions"), json!([])),
        (members(ACME), json!({"members": eleven})),
        (members(ACME), json!({"members": ["jane"]})),
        (member_roles(ACME, JANE), json!({})),
        (member_roles(ACME, JANE), json!({"roles": ["Administrator"]})),
    ] {
        assert_eq!(code(&world.delete(&path, body).await), (400, "invalid_body"), "{path}");
    }
    world.fake.assert_removed_exactly(&before, []);
    assert_eq!(world.delete(&members(ACME), json!({"members": [JANE], "mebmers": [JOHN]})).await.0, 204);
}

#[tokio::test]
async fn a_dropped_body_is_400_and_another_content_type_is_415() {
    let world = World::new().await;
    let path = user(JANE, "/roles");
    let bare = || world.request(Method::DELETE, &path);
    let dropped = taken(bare().send().await.unwrap()).await;
    assert_eq!(code(&dropped), (400, "invalid_body"));
    assert!(dropped.1["message"].as_str().unwrap().contains("Expected type object but found type null"));
    let dropped = bare().header("content-type", "application/json").send().await.unwrap();
    assert_eq!(code(&taken(dropped).await), (400, "invalid_body"));
    let broken = bare().header("content-type", "application/json").body("{\"roles\": [").send().await.unwrap();
    assert_eq!(code(&taken(broken).await), (400, "invalid_body"));
    let body = json!({"roles": [ADMIN]}).to_string();
    let typed = bare().header("content-type", "text/plain").body(body.clone()).send().await.unwrap();
    assert_eq!(code(&taken(typed).await), (415, ""));
    // JSON with the content type of a form is a form with one odd key.
    let form = bare().header("content-type", "application/x-www-form-urlencoded").body(body.clone());
    assert_eq!(code(&taken(form.send().await.unwrap()).await), (400, "invalid_body"));
    let typed = bare().header("content-type", "application/json; charset=utf-8").body(body).send().await.unwrap();
    assert_eq!(typed.status(), 204);
}

#[tokio::test]
async fn more_than_a_megabyte_is_413_for_who_has_a_token() {
    let mut world = World::new().await;
    let body = json!({"members": ["a".repeat(1024 * 1024)]});
    let good = world.token.clone();
    for (switch, token, status) in [
        (SizeCheck::AfterToken, "a.b.c", 401),
        (SizeCheck::AfterToken, good.as_str(), 413),
        (SizeCheck::BeforeToken, "a.b.c", 413),
    ] {
        world.token = token.to_owned();
        world.fake.switch(|s| s.size_check = switch);
        let outcome = world.request(Method::DELETE, &members(ACME)).json(&body).send().await;
        // The server may close before the client has written everything, so there may be no answer.
        assert!(outcome.is_err() || outcome.is_ok_and(|answer| answer.status() == status));
        let told = world.fake.wait_for(|calls| calls.last().is_some_and(|call| call.status() == Some(status)), SOON);
        told.await.unwrap();
    }
    assert!(world.fake.state().is_member(ACME, JANE));
}

#[tokio::test]
async fn ids_in_paths_are_decoded_exactly_once() {
    let world = World::new().await;
    let body = json!({"roles": [EDITOR]});
    assert_eq!(world.delete(&user(JOHN, "/roles"), body.clone()).await.0, 204);
    assert!(!world.fake.state().has_role(JOHN, EDITOR));
    assert_eq!(world.fake.deletes()[0].user.as_deref(), Some(JOHN));
    for wrong in ["auth0%257Cjane", "jane", "%7Cjane"] {
        let answer = world.delete(&format!("/api/v2/users/{wrong}/roles"), body.clone()).await;
        assert_eq!(code(&answer), (400, "invalid_uri"), "{wrong}");
    }
    let long = format!("/api/v2/organizations/{}/members", "o".repeat(51));
    assert_eq!(code(&world.delete(&long, json!({"members": [JANE]})).await), (400, "invalid_uri"));
    // An id with a raw slash is another path.
    let answer = world.delete("/api/v2/users/samlp%7Ca/b/roles", body).await;
    assert_eq!(answer.0, 405);
    world.fake.allow_forbidden_writes();
}

#[tokio::test]
async fn a_raw_pipe_is_refused_on_the_wire() {
    let world = World::new().await;
    // HTTP clients do not send one, so this writes HTTP by hand.
    let (fake, token) = (world.fake.clone(), world.token.clone());
    let answer = tokio::task::spawn_blocking(move || by_hand(&fake, &token, "/api/v2/users/auth0|jane")).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(answer.contains("invalid_uri"), "{answer}");
    assert_eq!(world.fake.calls()[0].path, "/api/v2/users/auth0|jane");
}

fn by_hand(fake: &FakeAuth0, token: &str, path: &str) -> String {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(fake.ca_pem().as_bytes()).unwrap()).unwrap();
    let config = rustls::ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut tls = rustls::ClientConnection::new(config.into(), "localhost".try_into().unwrap()).unwrap();
    let mut tcp = std::net::TcpStream::connect(fake.address()).unwrap();
    let mut stream = rustls::Stream::new(&mut tls, &mut tcp);
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = Vec::new();
    // The server may close without close_notify.
    let _ = std::io::Read::read_to_end(&mut stream, &mut answer);
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn any_other_write_is_405_and_remembered() {
    let world = World::new().await;
    let writes = [
        (Method::POST, user(JANE, "/roles")),
        (Method::PATCH, user(JANE, "")),
        (Method::DELETE, user(JANE, "")),
        (Method::PUT, "/anything".to_owned()),
    ];
    for (method, path) in writes {
        assert_eq!(world.request(method, &path).json(&json!({"roles": [ADMIN]})).send().await.unwrap().status(), 405);
    }
    assert_eq!(world.fake.forbidden_writes().len(), 4);
    assert_eq!(world.fake.count(Kind::Other), 4);
    let World { fake, .. } = world;
    let dropped = tokio::task::spawn_blocking(move || {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || drop(fake))).unwrap_err()
    });
    let told = dropped.await.unwrap().downcast::<String>().unwrap();
    assert!(told.contains("PATCH /api/v2/users/"), "{told}");
}

#[tokio::test]
async fn the_log_tells_a_call_in_full() {
    let world = World::new().await;
    let request = world.request(Method::DELETE, &member_roles(ACME, JANE)).header("x-correlation-id", "uid-1");
    request.json(&json!({"roles": [ADMIN]})).send().await.unwrap();
    let calls = world.fake.wait_for(|calls| calls.iter().any(|call| call.status().is_some()), Duration::from_secs(5));
    let call = &calls.await.unwrap()[0];
    assert_eq!((call.kind, call.status()), (Kind::DeleteMemberRoles, Some(204)));
    assert_eq!(call.path, member_roles(ACME, JANE));
    assert_eq!((call.organization.as_deref(), call.user.as_deref()), (Some(ACME), Some(JANE)));
    assert_eq!(call.body, Some(json!({"roles": [ADMIN]})));
    assert!(call.names(ADMIN) && !call.names(EDITOR));
    assert_eq!(call.content_type.as_deref(), Some("application/json"));
    assert_eq!(call.correlation_id.as_deref(), Some("uid-1"));
    assert_eq!(call.token, Some(fake_auth0::fingerprint(&world.token)));
    assert_eq!(call.version, reqwest::Version::HTTP_2);
    assert_eq!(world.fake.connections().0, 1);
}
