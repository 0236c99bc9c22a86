//! The credentials of an application: the operator gets its access tokens itself, as few as possible, and says on the
//! tenant why there is none.

use std::time::Duration;

use fake_auth0::{Client, Fault, Kind, TEST_RSA_KEY};
use kube::api::{Patch, PatchParams};
use rescind::api::{Auth0Tenant, CredentialKind, RECONCILE_ANNOTATION, UserPermissionRevocation, UserRoleRevocation};
use serde_json::{Value, json};

use crate::harness::*;

const ID: &str = "aB3dEaB3dEaB3dEaB3dEaB3dEaB3dE12";

/// A client secret in the form of Auth0's, with a canary.
fn client_secret(n: usize) -> String {
    format!("canary-of-a-client-secret-{n:038}")
}

/// A tenant that refers to the Secret of an application.
fn by_application() -> Value {
    json!({"credentials": {"clientCredentialsSecretRef": {"name": "auth0-management"}}})
}

async fn put_application(env: &Environment, data: Value) {
    env.put_raw_secret(json!({"labels": {"rescind.dev/credentials": "true"}}), data).await;
}

/// A namespace whose tenant has the credentials of an application that Auth0 knows.
async fn with_application(name: &str) -> Environment {
    let env = Environment::bare(name).await;
    env.fake.client(Client::new(ID, client_secret(0)).scopes(env.fake.all_scopes()));
    put_application(&env, json!({"clientId": ID, "clientSecret": client_secret(0)})).await;
    env.put_tenant(by_application()).await;
    env
}

async fn ask(env: &Environment, value: &str) {
    let question = Patch::Merge(json!({"metadata": {"annotations": {RECONCILE_ANNOTATION: value}}}));
    env.api::<Auth0Tenant>().patch("default", &PatchParams::default(), &question).await.unwrap();
}

fn refused_token_request(env: &Environment, status: u16, error: &str, description: &str) {
    let body = json!({"error": error, "error_description": description});
    env.fake.fault(Fault::status(status).json(&body).on(Kind::Token));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_token_serves_everything_and_a_restart_asks_for_none_in_vain() {
    let env = with_application("oneapp").await;
    let operator = env.operator().await;
    env.tenant_reason("Unproved").await;
    for n in 0..50 {
        let user = format!("auth0|{n}");
        env.fake.edit(|tenant| {
            tenant.user(&user).role(ROLE);
        });
        env.put::<UserRoleRevocation>(&format!("u-{n}"), roles(&user)).await;
    }
    for n in 0..50 {
        env.reason::<UserRoleRevocation>(&format!("u-{n}"), "Removed").await;
    }
    env.tenant_reason("Connected").await;
    assert_eq!(env.fake.count(Kind::Token), 1);
    let credential = env.api::<Auth0Tenant>().get("default").await.unwrap().status.unwrap().credential.unwrap();
    assert_eq!(credential.kind, CredentialKind::ClientCredentials);
    assert!(credential.expires_at.is_some() && credential.scopes.contains(&"update:users".to_owned()));
    operator.stop().await;

    // Everything is finished and the credentials are known to be good, so the next process needs no token.
    let operator = env.operator().await;
    // An object that is decided without a call shows that the operator is at work.
    let old = json!({"userId": OTHER_USER, "roles": [ROLE], "notAfter": "2020-01-01T00:00:00Z"});
    env.put::<UserRoleRevocation>("old", old).await;
    env.reason::<UserRoleRevocation>("old", "NotReplayed").await;
    operator.stop().await;
    assert_eq!(env.fake.count(Kind::Token), 1, "nothing has needed one");

    let operator = env.operator().await;
    ask(&env, "1").await;
    let answered = |tenant: &Auth0Tenant| tenant.status.as_ref().unwrap().last_handled_reconcile_at.is_some();
    env.wait::<Auth0Tenant>("default", answered).await;
    assert_eq!(env.fake.count(Kind::Token), 2, "because somebody asked for a check");
    operator.stop().await;
    let _operator = env.operator().await;
    env.put::<UserRoleRevocation>("other", roles(OTHER_USER)).await;
    env.reason::<UserRoleRevocation>("other", "Removed").await;
    assert_eq!(env.fake.count(Kind::Token), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_key_signs_and_a_wrong_clock_is_corrected() {
    let env = Environment::bare("keyed").await;
    env.fake.client(Client::with_private_key(ID, TEST_RSA_KEY).unwrap().scopes(env.fake.all_scopes()));
    // Auth0's clock is behind ours, so an assertion by our clock was issued in the future.
    env.fake.clock_ahead(-300);
    put_application(&env, json!({"clientId": ID, "privateKey": TEST_RSA_KEY, "algorithm": "PS256"})).await;
    env.put_tenant(by_application()).await;
    let _operator = env.operator().await;
    env.put::<UserRoleRevocation>("jane", roles(USER)).await;
    env.reason::<UserRoleRevocation>("jane", "Removed").await;
    assert_eq!(env.fake.count(Kind::Token), 2, "refused by the clock, then right");
}

/// Each refusal of the token endpoint has its own words on the tenant; the objects wait for it.
#[tokio::test(flavor = "multi_thread")]
async fn refusals_of_the_token_endpoint_are_said_on_the_tenant() {
    let env = with_application("refused").await;
    let _operator = env.operator().await;
    env.tenant_reason("Unproved").await;
    let no_grant =
        "Client is not authorized to access it. You need to create a \"client-grant\" associated to this API.";
    for (n, (status, error, description, words)) in [
        (401, "access_denied", "Unauthorized", "client id"),
        (403, "access_denied", no_grant, "not authorized for the Management API"),
        (403, "unauthorized_client", "Grant type not allowed", "machine-to-machine"),
    ]
    .into_iter()
    .enumerate()
    {
        refused_token_request(&env, status, error, description);
        ask(&env, &format!("refuse-{n}")).await;
        // The token that is still valid goes on; a new Secret needs a new one.
        put_application(&env, json!({"clientId": ID, "clientSecret": client_secret(n + 1)})).await;
        let message = env.tenant_reason("Unauthorized").await;
        assert!(message.contains(words) && !message.contains("canary"), "{message}");
        env.fake.clear_faults();
        put_application(&env, json!({"clientId": ID, "clientSecret": client_secret(0)})).await;
        env.tenant_reason("Unproved").await;
    }
    env.fake.fault(Fault::status(503).on(Kind::Token));
    put_application(&env, json!({"clientId": ID, "clientSecret": client_secret(9)})).await;
    env.fake.client(Client::new(ID, client_secret(9)).scopes(env.fake.all_scopes()));
    assert!(env.tenant_reason("Auth0Unavailable").await.contains("503"));
    env.put::<UserRoleRevocation>("jane", roles(USER)).await;
    let status = env.reason::<UserRoleRevocation>("jane", "TenantNotReady").await;
    assert!(status.message().contains("access token"), "{}", status.message());
    env.fake.clear_faults();
    env.reason::<UserRoleRevocation>("jane", "Removed").await;
}

/// A 401 in the middle of the work costs one fresh token; if that is refused, too, the tenant says so and nothing storms.
#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_token_is_replaced_once() {
    let env = with_application("replaced").await;
    let _operator = env.operator().await;
    env.put::<UserRoleRevocation>("jane", roles(USER)).await;
    env.reason::<UserRoleRevocation>("jane", "Removed").await;
    env.fake.revoke_all_tokens();
    env.put::<UserRoleRevocation>("other", roles(OTHER_USER)).await;
    env.reason::<UserRoleRevocation>("other", "Removed").await;
    assert_eq!(env.fake.count(Kind::Token), 2);

    let body = json!({"statusCode": 401, "error": "Unauthorized", "message": "Invalid token"});
    env.fake.fault(Fault::status(401).json(&body).on_deletes());
    for n in 0..10 {
        let user = format!("auth0|{n}");
        env.fake.edit(|tenant| {
            tenant.user(&user).role(ROLE);
        });
        env.put::<UserRoleRevocation>(&format!("u-{n}"), roles(&user)).await;
    }
    env.tenant_reason("Unauthorized").await;
    let tokens = env.fake.count(Kind::Token);
    assert!(tokens <= 4, "{tokens} requests: {:#?}", env.calls());
    env.fake.clear_faults();
    // Another secret of the same application is another credential.
    env.fake.client(Client::new(ID, client_secret(1)).scopes(env.fake.all_scopes()));
    put_application(&env, json!({"clientId": ID, "clientSecret": client_secret(1)})).await;
    for n in 0..10 {
        env.reason::<UserRoleRevocation>(&format!("u-{n}"), "Removed").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_renewed_before_it_ends() {
    let env = Environment::bare("renewed").await;
    let short = |seconds| Client::new(ID, client_secret(0)).scopes(env.fake.all_scopes()).expires_in(seconds);
    env.fake.client(short(3));
    put_application(&env, json!({"clientId": ID, "clientSecret": client_secret(0)})).await;
    env.put_tenant(by_application()).await;
    let _operator = env.operator().await;
    env.tenant_reason("Unproved").await;
    env.fake.wait_for_count(Kind::Token, 3, PATIENCE).await.unwrap();
    env.put::<UserRoleRevocation>("jane", roles(USER)).await;
    env.reason::<UserRoleRevocation>("jane", "Removed").await;
    assert!(env.fake.deletes().iter().all(|call| call.status() == Some(204)), "{:#?}", env.calls());
}

/// While credentials are rotated under load, nothing is lost, refused or sent twice.
#[tokio::test(flavor = "multi_thread")]
async fn rotations_under_load_lose_nothing() {
    const ROTATIONS: usize = 20;
    let env = with_application("rotations").await;
    let _operator = env.operator().await;
    env.tenant_reason("Unproved").await;
    env.fake.fault(Fault::delay(Duration::from_millis(20)));
    for round in 1..=ROTATIONS {
        for n in 0..5 {
            let user = format!("auth0|{round}-{n}");
            env.fake.edit(|tenant| {
                tenant.user(&user).role(ROLE);
            });
            env.put::<UserRoleRevocation>(&format!("u-{round}-{n}"), roles(&user)).await;
        }
        env.fake.client(Client::new(ID, client_secret(round)).scopes(env.fake.all_scopes()));
        put_application(&env, json!({"clientId": ID, "clientSecret": client_secret(round)})).await;
    }
    for round in 1..=ROTATIONS {
        for n in 0..5 {
            env.reason::<UserRoleRevocation>(&format!("u-{round}-{n}"), "Removed").await;
        }
    }
    assert_eq!(env.fake.deletes().len(), ROTATIONS * 5, "each once: {:#?}", env.calls());
    assert!(env.fake.deletes().iter().all(|call| call.status() == Some(204)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_an_application_is_said_without_its_value() {
    let env = Environment::bare("badapp").await;
    env.put_tenant(by_application()).await;
    let _operator = env.operator().await;
    let public = "-----BEGIN PUBLIC KEY-----\nY2FuYXJ5\n-----END PUBLIC KEY-----\n";
    for (data, key, words) in [
        (
            json!({"token": "x"}),
            "clientId",
            "is missing: put the application's client id there (its only key is token)",
        ),
        (json!({"clientId": ID, "clientSecret": "replace-me"}), "clientSecret", "a placeholder"),
        (json!({"clientId": ID, "clientSecret": "op://it/auth0/secret"}), "clientSecret", "nothing has resolved"),
        (json!({"clientId": client_secret(0), "clientSecret": ID}), "clientId", "swapped"),
        (json!({"clientId": ID}), "clientSecret", "privateKey"),
        (json!({"clientId": ID, "clientSecret": format!(" {}", client_secret(0))}), "clientSecret", "white space"),
        (json!({"clientId": ID, "privateKey": public}), "privateKey", "public key"),
        (json!({"clientId": ID, "privateKey": TEST_RSA_KEY, "clientSecret": "x"}), "privateKey", "beside clientSecret"),
    ] {
        put_application(&env, data).await;
        let said = |tenant: &Auth0Tenant| {
            let ready = tenant.status.as_ref().and_then(|status| status.conditions.first());
            ready.map(|ready| ready.message.clone()).unwrap_or_default()
        };
        let tenant = env.wait::<Auth0Tenant>("default", |tenant| said(tenant).contains(words)).await;
        let message = said(&tenant);
        assert!(message.contains("Secret auth0-management") && message.contains(key), "{message}");
        assert!(!message.contains("canary"), "{message}");
    }
    assert_eq!(env.fake.total(), 0);
}

/// A scope that the token is known to lack is said before any call, by object and tenant. Granted in Auth0, it comes
/// with a fresh token, which a request gets at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_scope_that_is_granted_later_comes_with_a_fresh_token() {
    let env = Environment::bare("granted").await;
    let scopes = |all: Vec<&'static str>| Client::new(ID, client_secret(0)).scopes(all);
    let without: Vec<_> = env.fake.all_scopes().into_iter().filter(|scope| *scope != "update:users").collect();
    env.fake.client(scopes(without.into_iter().chain(["create:client_grants"]).collect()));
    put_application(&env, json!({"clientId": ID, "clientSecret": client_secret(0)})).await;
    env.put_tenant(by_application()).await;
    let _operator = env.operator().await;
    let message = env.tenant_reason("Unproved").await;
    assert!(message.contains("Without update:users every UserPermissionRevocation is refused"), "{message}");
    assert!(message.contains("take these scopes away: create:client_grants"), "{message}");
    let status = env.api::<Auth0Tenant>().get("default").await.unwrap().status.unwrap().scopes.unwrap();
    assert_eq!((status.missing, status.unneeded), (vec!["update:users".into()], vec!["create:client_grants".into()]));

    env.fake.edit(|tenant| {
        tenant.user(USER).permission(API, "read:x");
    });
    let permissions = json!({"resourceServerIdentifier": API, "permissionName": "read:x"});
    let spec = json!({"userId": USER, "permissions": [permissions]});
    env.put::<UserPermissionRevocation>("jane", spec).await;
    let status = env.reason::<UserPermissionRevocation>("jane", "InsufficientScope").await;
    assert!(status.message().contains("update:users"), "{}", status.message());
    assert_eq!(env.fake.total(), env.fake.count(Kind::Token), "nothing but the token was asked for: {:?}", env.calls());

    env.fake.client(scopes(env.fake.all_scopes()));
    ask(&env, "granted").await;
    env.reason::<UserPermissionRevocation>("jane", "Removed").await;
    assert_eq!(env.fake.count(Kind::Token), 2);
}
