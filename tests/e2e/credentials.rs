//! The token from a Secret: consent, rotation, what is wrong with it, and who learns of it.

use std::time::{Duration, Instant};

use base64::Engine as _;
use fake_auth0::{Kind, TOKEN_CANARY, TokenSpec};
use rescind::api::{ConditionType, UserRoleRevocation};
use serde_json::json;

use crate::harness::*;

fn roles(user: &str) -> serde_json::Value {
    json!({"userId": user, "roles": [ROLE]})
}

/// Promise 7: without its owner's label a Secret is not read. Then it is felt at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_waited_for_and_needs_its_owners_consent() {
    let world = World::bare("consent").await;
    let _operator = world.operator().await;
    world.put::<UserRoleRevocation>("jane", roles(USER)).await;
    let status = world.reason::<UserRoleRevocation>("jane", "TenantNotReady").await;
    assert!(status.condition(ConditionType::Ready).unwrap().message.contains("no Auth0Tenant default"));

    world.put_tenant(json!({})).await;
    assert!(world.tenant_reason("SecretNotFound").await.contains("kubectl label secret"));
    world.put_raw_secret(json!({}), json!({"token": world.token})).await;
    world.put::<UserRoleRevocation>("other", roles(OTHER_USER)).await;
    world.reason::<UserRoleRevocation>("other", "TenantNotReady").await;
    assert_eq!(world.fake.total(), 0);

    let labelled = Instant::now();
    world.put_secret(&world.token).await;
    world.reason::<UserRoleRevocation>("jane", "Removed").await;
    world.reason::<UserRoleRevocation>("other", "Removed").await;
    world.tenant_reason("Connected").await;
    // The bound; generous on a busy machine, as it is ordinarily some hundredths of a second.
    assert!(labelled.elapsed() < Duration::from_secs(10));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_secret_is_said_without_its_value() {
    let world = World::new("badsecret").await;
    let _operator = world.operator().await;
    world.tenant_reason("Connected").await;
    let good = &world.token;
    let twice = base64::engine::general_purpose::STANDARD.encode(good);
    let expired = world.fake.token_with(&TokenSpec::new(["update:users"]).expires_in(-3600));
    let foreign = world.fake.token_with(&TokenSpec::new(["update:users"]).audience("https://other.auth0.com/api/v2/"));
    let label = json!({"labels": {"rescind.dev/credentials": "true"}});
    let rows: Vec<(serde_json::Value, &str, &str)> = vec![
        (json!({"token": ""}), "InvalidCredentials", "is empty"),
        (json!({"token": "\n"}), "InvalidCredentials", "is empty"),
        (json!({"token": format!(" {good}")}), "InvalidCredentials", "white space"),
        (json!({"token": format!("Bearer {good}")}), "InvalidCredentials", "white space"),
        (json!({"token": format!("{good}\n\n")}), "InvalidCredentials", "white space"),
        (json!({"token": twice}), "InvalidCredentials", "encoded twice"),
        (json!({"token": "x".repeat(20_000)}), "InvalidCredentials", "longer than"),
        (json!({"token": expired}), "InvalidCredentials", "expired at"),
        (json!({"token": foreign}), "InvalidCredentials", "another audience"),
        (json!({"token": good, "domain": "other.auth0.com"}), "InvalidConnection", "key \"domain\""),
        (json!({"TOKEN": good}), "InvalidCredentials", "has no key \"token\""),
        (json!({"token": format!("{good}\r\n"), "domain": world.fake.domain()}), "Connected", "Ready to call"),
    ];
    for (data, reason, text) in rows {
        world.put_raw_secret(label.clone(), data).await;
        let message = world
            .wait::<rescind::api::Auth0Tenant>("default", |tenant| {
                let ready = tenant.status.as_ref().and_then(|status| status.condition(ConditionType::Ready));
                ready.is_some_and(|ready| ready.reason == reason && ready.message.contains(text))
            })
            .await
            .status
            .unwrap()
            .conditions[0]
            .message
            .clone();
        assert!(!message.contains(TOKEN_CANARY), "{message}");
        assert!(reason == "Connected" || message.contains("auth0-management"), "it names the Secret: {message}");
    }
    assert_eq!(world.fake.total(), 0, "a token is judged before it is used");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_object_says_what_is_wrong_with_it() {
    let world = World::new("badtenant").await;
    let _operator = world.operator().await;
    world.put_tenant(json!({"domain": "evil.example.com"})).await;
    assert!(world.tenant_reason("DomainNotAllowed").await.contains("--allowed-domains"));
    world.put_tenant(json!({"caBundle": "bm90IHBlbQ=="})).await;
    assert!(world.tenant_reason("InvalidConnection").await.contains("spec.caBundle"));
    world.put_tenant(json!({"audience": "https://other.example.com/api/v2/"})).await;
    assert!(world.tenant_reason("InvalidCredentials").await.contains("another audience"));
    world.put_tenant(json!({})).await;
    world.tenant_reason("Connected").await;
    assert_eq!(world.fake.total(), 0);
}

/// One object finds out that the token is refused; the others wait instead of asking the same. A fresh token is felt at
/// once by all of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_token_closes_the_tenant_until_it_is_rotated() {
    let world = World::new("rotate").await;
    world.fake.revoke_all_tokens();
    let _operator = world.operator().await;
    world.put::<UserRoleRevocation>("first", roles(USER)).await;
    world.reason::<UserRoleRevocation>("first", "Unauthorized").await;
    assert!(world.tenant_reason("Unauthorized").await.contains("fresh"));
    for n in 0..10 {
        world.fake.edit(|tenant| {
            tenant.user(format!("auth0|{n}")).role(ROLE);
        });
        world.put::<UserRoleRevocation>(&format!("later-{n}"), roles(&format!("auth0|{n}"))).await;
    }
    for n in 0..10 {
        world.reason::<UserRoleRevocation>(&format!("later-{n}"), "TenantNotReady").await;
    }
    assert_eq!(world.fake.total(), 1, "{:?}", world.calls());

    world.put_secret(&world.fake.token(&world.fake.all_scopes())).await;
    world.reason::<UserRoleRevocation>("first", "Removed").await;
    for n in 0..10 {
        world.reason::<UserRoleRevocation>(&format!("later-{n}"), "Removed").await;
    }
    world.tenant_reason("Connected").await;
}

/// Rotated while a call is on its way: its 401 is about the old token, so the new one decides (reliability.md C4).
#[tokio::test(flavor = "multi_thread")]
async fn a_token_rotated_during_a_call_is_no_failure() {
    let world = World::new("midway").await;
    let held = world.fake.fault(fake_auth0::Fault::hold().on(Kind::DeleteUserRoles).once().then_status(401));
    let operator = world.operator().await;
    world.put::<UserRoleRevocation>("jane", roles(USER)).await;
    held.arrived().await;
    let fresh = world.fake.token_with(&TokenSpec::new(world.fake.all_scopes()).expires_in(1000));
    world.put_secret(&fresh).await;
    // Another object's call shows that the new token has arrived.
    let fresh = fake_auth0::fingerprint(&fresh);
    for n in 0.. {
        world.fake.edit(|tenant| {
            tenant.user(format!("auth0|{n}")).role(ROLE);
        });
        world.put::<UserRoleRevocation>(&format!("probe-{n}"), roles(&format!("auth0|{n}"))).await;
        world.reason::<UserRoleRevocation>(&format!("probe-{n}"), "Removed").await;
        if world.fake.calls().last().unwrap().token.as_deref() == Some(fresh.as_str()) {
            break;
        }
    }
    held.release();
    world.reason::<UserRoleRevocation>("jane", "Removed").await;
    drop(operator);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_scope_is_named_and_heals_with_a_fresh_token() {
    let world = World::new("scope").await;
    world.put_secret(&world.fake.token(&["read:users", "read:roles", "read:role_members"])).await;
    let _operator = world.operator().await;
    world.put::<UserRoleRevocation>("jane", roles(USER)).await;
    let status = world.reason::<UserRoleRevocation>("jane", "InsufficientScope").await;
    assert!(status.condition(ConditionType::Stalled).unwrap().message.contains("update:users"));
    world.put_secret(&world.token).await;
    world.reason::<UserRoleRevocation>("jane", "Removed").await;

    // Without the scope to read, the removal is done and says that it is not proven.
    world.put_secret(&world.fake.token(&["update:users"])).await;
    world.put::<UserRoleRevocation>("other", roles(OTHER_USER)).await;
    let status = world
        .wait::<UserRoleRevocation>("other", |object| {
            object.status.as_ref().is_some_and(|status| status.condition(ConditionType::Verified).is_some())
        })
        .await
        .status
        .unwrap();
    let verified = status.condition(ConditionType::Verified).unwrap();
    // The rotation may be felt a moment after the object: then the old token proved it.
    assert!(verified.status == "True" || verified.message.contains("lacks the scope"), "{verified:?}");
}
