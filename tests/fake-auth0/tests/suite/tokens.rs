//! Who may call: bearer tokens, scopes, and the token endpoint in both its forms.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use fake_auth0::{Client, FakeAuth0, TEST_RSA_KEY, TOKEN_CANARY, TokenSpec};
use reqwest::Method;
use ring::{rand::SystemRandom, signature};
use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject};
use serde_json::{Value, json};

use crate::world::*;

async fn with_header(world: &World, header: Option<&str>) -> (u16, Value) {
    let mut request = world.client.get(world.fake.url(&user(JANE, "")));
    if let Some(header) = header {
        request = request.header("authorization", header);
    }
    taken(request.send().await.unwrap()).await
}

#[tokio::test]
async fn tokens_are_judged_as_documented() {
    let world = World::new().await;
    let fake = &world.fake;
    let scopes = || TokenSpec::new(["read:users"]);
    let good = fake.token_with(&scopes());
    let revoked = fake.token_with(&scopes());
    assert!(fake.revoke_token(&revoked));
    let cases = [
        (None, 401, "", "Missing authentication"),
        (Some("Bearer opaque".to_owned()), 400, "Bearer", "Bad HTTP authentication header format"),
        (Some("Bearer".to_owned()), 400, "Bearer", "Bad HTTP authentication header format"),
        (Some(format!("Token {good}")), 401, "", "Missing authentication"),
        (Some("Bearer a.b.c".to_owned()), 401, "", "Invalid token"),
        (Some(format!("Bearer {revoked}")), 401, "", "Invalid signature"),
        (Some(format!("Bearer {}", fake.token_with(&scopes().expires_in(-1)))), 401, "", "Expired token received"),
        (Some(format!("Bearer {}", fake.token_with(&scopes().audience("https://x/api/v2/")))), 401, "", "Bad audience"),
    ];
    for (header, status, error, message) in cases {
        let answer = with_header(&world, header.as_deref()).await;
        assert_eq!(code(&answer), (status, error), "{header:?}");
        assert!(answer.1["message"].as_str().unwrap().starts_with(message), "{}", answer.1);
    }
    assert_eq!(with_header(&world, Some(&format!("bearer {good}"))).await.0, 200);
    let elsewhere = FakeAuth0::start().await.token(&["read:users"]);
    assert_eq!(with_header(&world, Some(&format!("Bearer {elsewhere}"))).await.0, 401);
}

#[tokio::test]
async fn a_token_expires_by_the_tenants_clock() {
    let mut world = World::new().await;
    world.token = world.fake.token_with(&TokenSpec::new(["read:users"]).expires_in(60).canary("other-canary"));
    assert!(world.token.contains("other-canary") && !world.token.contains(TOKEN_CANARY));
    assert_eq!(world.get(&user(JANE, "")).await.0, 200);
    world.fake.clock_ahead(61);
    assert_eq!(world.get(&user(JANE, "")).await.0, 401);
}

#[tokio::test]
async fn every_call_wants_its_scopes() {
    let mut world = World::new().await;
    let permission = json!({"permissions": [{"resource_server_identifier": API, "permission_name": "x"}]});
    let roles = json!({"roles": [EDITOR]});
    let table = [
        (Method::DELETE, user(JANE, "/permissions"), permission, "any", "update:users"),
        (Method::DELETE, user(JANE, "/roles"), roles.clone(), "any", "update:users"),
        (Method::DELETE, members(OTHER), json!({"members": [JOHN]}), "any", "delete:organization_members"),
        (Method::DELETE, member_roles(ACME, JANE), roles, "any", "delete:organization_member_roles"),
        (Method::GET, user(JANE, ""), Value::Null, "any", "read:users,read:user_idp_tokens,read:current_user"),
        (Method::GET, user(JANE, "/permissions"), Value::Null, "any", "read:users"),
        (Method::GET, user(JANE, "/roles"), Value::Null, "all", "read:users,read:roles,read:role_members"),
        (Method::GET, user(JANE, "/organizations"), Value::Null, "any", "read:users,read:organizations"),
        (Method::GET, members(ACME), Value::Null, "any", "read:organization_members,read:organization_member_roles"),
        (Method::GET, member_roles(ACME, JANE), Value::Null, "any", "read:organization_member_roles"),
        (Method::GET, format!("/api/v2/roles/{ADMIN}"), Value::Null, "any", "read:roles"),
    ];
    for (method, path, body, expectation, scopes) in table {
        let wanted: Vec<_> = scopes.split(',').collect();
        let others: Vec<_> = world.fake.all_scopes().into_iter().filter(|scope| !wanted.contains(scope)).collect();
        world.token = world.fake.token(&others);
        let refused = taken(world.request(method.clone(), &path).json(&body).send().await.unwrap()).await;
        assert_eq!(code(&refused), (403, "insufficient_scope"), "{method} {path}");
        assert_eq!(refused.1["message"], format!("Insufficient scope, expected {expectation} of: {scopes}"));
        world.token = world.fake.token(if expectation == "all" { &wanted } else { &wanted[..1] });
        let status = world.request(method.clone(), &path).json(&body).send().await.unwrap().status();
        assert!(status.is_success(), "{method} {path}: {status}");
    }
    world.token = world.fake.token(&["read:organization_members"]);
    let path = format!("{}?fields=roles", members(ACME));
    assert_eq!(code(&world.get(&path).await), (403, "insufficient_scope"));
}

async fn ask(world: &World, request: &Value) -> (u16, Value) {
    taken(world.client.post(world.fake.url("/oauth/token")).json(request).send().await.unwrap()).await
}

fn request(world: &World) -> Value {
    json!({
        "grant_type": "client_credentials", "client_id": "id", "client_secret": "s3cret",
        "audience": world.fake.audience(),
    })
}

#[tokio::test]
async fn the_token_endpoint_gives_what_the_grant_holds() {
    let mut world = World::new().await;
    world.fake.client(Client::new("id", "s3cret").scopes(["read:users", "read:roles"]).expires_in(600).canary("mine"));
    let (status, reply) = ask(&world, &request(&world)).await;
    assert_eq!((status, &reply["expires_in"], &reply["token_type"]), (200, &json!(600), &json!("Bearer")));
    assert_eq!(reply["scope"], "read:users read:roles");
    assert!(reply["access_token"].as_str().unwrap().contains(".mine"));
    world.token = reply["access_token"].as_str().unwrap().to_owned();
    assert_eq!(world.get(&user(JANE, "")).await.0, 200);
    assert_eq!(world.delete(&user(JANE, "/roles"), json!({"roles": [ADMIN]})).await.0, 403);
    let form = format!(
        "grant_type=client_credentials&client_id=id&client_secret=s3cret&audience={}",
        encoded(world.fake.audience())
    );
    let posted = world.client.post(world.fake.url("/oauth/token")).body(form);
    let posted = posted.header("content-type", "application/x-www-form-urlencoded").send().await.unwrap();
    assert_eq!(posted.status(), 200);
    let logged = format!("{:?}", world.fake.calls());
    assert!(!logged.contains("s3cret") && !logged.contains(&world.token));
}

#[tokio::test]
async fn the_token_endpoint_refuses_in_its_own_shape() {
    let world = World::new().await;
    world.fake.client(Client::new("id", "s3cret").scopes(["read:users"]));
    world.fake.client(Client::new("ungranted", "s3cret"));
    let with = |key: &str, value: &str| {
        let mut request = request(&world);
        request[key] = value.into();
        request
    };
    let without_slash = world.fake.audience().trim_end_matches('/').to_owned();
    for (request, status, error) in [
        (with("client_secret", "wrong"), 401, "access_denied"),
        (with("client_id", "nobody"), 401, "access_denied"),
        (with("client_id", "ungranted"), 403, "access_denied"),
        (with("audience", &without_slash), 403, "access_denied"),
        (with("grant_type", "password"), 400, "unsupported_grant_type"),
        (json!({}), 400, "invalid_request"),
    ] {
        let (found, reply) = ask(&world, &request).await;
        assert_eq!((found, &reply["error"]), (status, &json!(error)), "{reply}");
        assert!(reply["error_description"].is_string() && reply.get("statusCode").is_none());
    }
    world.fake.remove_client("id");
    assert_eq!(ask(&world, &request(&world)).await.0, 401);
}

fn assertion(claims: &Value) -> String {
    let part = |json: Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let signed = format!("{}.{}", part(json!({"alg": "RS256", "typ": "JWT"})), part(claims.clone()));
    let der = PrivatePkcs8KeyDer::from_pem_slice(TEST_RSA_KEY.as_bytes()).unwrap();
    let key = signature::RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).unwrap();
    let mut made = vec![0; key.public().modulus_len()];
    key.sign(&signature::RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut made).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(made))
}

#[tokio::test]
async fn a_private_key_proves_an_application_too() {
    let world = World::new().await;
    world.fake.client(Client::with_private_key("keyed", TEST_RSA_KEY).unwrap().scopes(["read:users"]));
    world.fake.client(Client::new("id", "s3cret").scopes(["read:users"]));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let claims = |id: &str, jti: &str| {
        json!({
            "iss": id, "sub": id, "aud": format!("https://{}/", world.fake.domain()), "jti": jti,
            "iat": now, "exp": now + 60,
        })
    };
    let ask = async |claims: Value| {
        let request = json!({
            "grant_type": "client_credentials", "audience": world.fake.audience(),
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": assertion(&claims),
        });
        ask(&world, &request).await
    };
    assert_eq!(ask(claims("keyed", "1")).await.0, 200);
    let changed = |key: &str, value: Value| {
        let mut claims = claims("keyed", "2");
        claims[key] = value;
        claims
    };
    for (claims, complaint) in [
        (claims("keyed", "1"), "used before"),
        (claims("id", "3"), "Unauthorized"),
        (changed("aud", json!(world.fake.audience())), "Wrong audience"),
        (changed("exp", json!(now - 60)), "Expired"),
        (changed("exp", json!(now + 3600)), "five minutes"),
        (changed("sub", json!("x")), "differ"),
    ] {
        let (status, reply) = ask(claims).await;
        assert_eq!(status, 401, "{reply}");
        assert!(reply["error_description"].as_str().unwrap().contains(complaint), "{reply}");
    }
    assert!(Client::with_private_key("x", "no key").is_none());
}
