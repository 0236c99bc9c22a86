//! The token from a Secret: the label of consent, rotation, what can be wrong with it, and where that is shown.

use std::time::{Duration, Instant};

use base64::Engine as _;
use fake_auth0::{Fault, Kind, TOKEN_CANARY, TokenSpec};
use kube::api::{Patch, PatchParams};
use rescind::api::{Auth0Tenant, ConditionType, CredentialKind, RECONCILE_ANNOTATION, UserRoleRevocation};
use rescind::auth0::AllowedDomains;
use serde_json::json;

use crate::harness::*;

/// Promise 7: without its owner's label a Secret is not read. The label takes effect at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_waited_for_and_needs_its_owners_consent() {
    let env = Environment::bare("consent").await;
    let _operator = env.operator().await;
    env.put::<UserRoleRevocation>("jane", roles(USER)).await;
    let status = env.reason::<UserRoleRevocation>("jane", "TenantNotReady").await;
    assert!(status.condition(ConditionType::Ready).unwrap().message.contains("no Auth0Tenant default"));

    env.put_tenant(json!({})).await;
    // Where docs/secrets.md says that the label belongs.
    let message = env.tenant_reason("SecretNotFound").await;
    for words in [
        "kubectl label secret",
        "spec.target.template.metadata.labels of an ExternalSecret",
        "spec.template.metadata.labels of a SealedSecret",
        "spec.destination.labels of a VaultStaticSecret",
    ] {
        assert!(message.contains(words), "{message}");
    }
    env.put_raw_secret(json!({}), json!({"token": env.token})).await;
    env.put::<UserRoleRevocation>("other", roles(OTHER_USER)).await;
    env.reason::<UserRoleRevocation>("other", "TenantNotReady").await;
    assert_eq!(env.fake.total(), 0);

    let labelled = Instant::now();
    env.put_secret(&env.token).await;
    env.reason::<UserRoleRevocation>("jane", "Removed").await;
    env.reason::<UserRoleRevocation>("other", "Removed").await;
    env.tenant_reason("Connected").await;
    // Usually some hundredths of a second; a busy machine needs more.
    assert!(labelled.elapsed() < Duration::from_secs(10));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_secret_is_said_without_its_value() {
    let env = Environment::new("badsecret").await;
    let _operator = env.operator().await;
    env.tenant_reason("Unproved").await;
    let good = &env.token;
    let twice = base64::engine::general_purpose::STANDARD.encode(good);
    let expired = env.fake.token_with(&TokenSpec::new(["update:users"]).expires_in(-3600));
    let foreign = env.fake.token_with(&TokenSpec::new(["update:users"]).audience("https://other.auth0.com/api/v2/"));
    let label = json!({"labels": {"rescind.dev/credentials": "true"}});
    let rows: Vec<(serde_json::Value, &str, &str)> = vec![
        (json!({"token": ""}), "InvalidCredentials", "is empty"),
        (json!({"token": "\n"}), "InvalidCredentials", "is empty"),
        (json!({"token": format!(" {good}")}), "InvalidCredentials", "white space"),
        (json!({"token": format!("Bearer {good}")}), "InvalidCredentials", "the word Bearer"),
        (json!({"token": format!("\"{good}\"")}), "InvalidCredentials", "quotation marks"),
        (json!({"token": json!({"access_token": good}).to_string()}), "InvalidCredentials", "the whole JSON answer"),
        (json!({"token": TOKEN_CANARY}), "InvalidCredentials", "is opaque and no JWT"),
        (json!({"token": format!("{good}\n\n")}), "InvalidCredentials", "white space"),
        (json!({"token": twice}), "InvalidCredentials", "encoded twice"),
        (json!({"token": "x".repeat(20_000)}), "InvalidCredentials", "longer than"),
        (json!({"token": expired}), "InvalidCredentials", "expired at"),
        (json!({"token": foreign}), "InvalidCredentials", "another audience"),
        (json!({"token": good, "domain": "other.auth0.com"}), "InvalidConnection", "key \"domain\""),
        (json!({"token": "null"}), "InvalidCredentials", "stands for no value"),
        (json!({"token": "ENC[AES256_GCM,data:x]"}), "InvalidCredentials", "still encrypted by SOPS"),
        (json!({"token": "<html>blocked</html>"}), "InvalidCredentials", "a page of HTML"),
        (
            json!({"token.txt": good}),
            "InvalidCredentials",
            "has no key \"token\"; put the token there (its only key is token.txt)",
        ),
        (json!({"clientId": "x", "clientSecret": "y"}), "InvalidCredentials", "(it has clientId, clientSecret)"),
        (json!({}), "InvalidCredentials", "(it has no keys)"),
        (json!({"token": format!("{good}\r\n"), "domain": env.fake.domain()}), "Unproved", "Ready to call"),
    ];
    for (data, reason, text) in rows {
        env.put_raw_secret(label.clone(), data).await;
        let message = env
            .wait::<Auth0Tenant>("default", |tenant| {
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
        assert!(reason == "Unproved" || message.contains("auth0-management"), "it names the Secret: {message}");
    }
    assert_eq!(env.fake.total(), 0, "a token is judged before it is used");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_object_says_what_is_wrong_with_it() {
    let env = Environment::new("badtenant").await;
    let _operator = env.operator().await;
    env.put_tenant(json!({"domain": "evil.example.com"})).await;
    assert!(env.tenant_reason("DomainNotAllowed").await.contains("--allowed-domains"));
    env.put_tenant(json!({"caBundle": "bm90IHBlbQ=="})).await;
    assert!(env.tenant_reason("InvalidConnection").await.contains("spec.caBundle"));
    env.put_tenant(json!({"audience": "https://other.example.com/api/v2/"})).await;
    assert!(env.tenant_reason("InvalidCredentials").await.contains("another audience"));
    env.put_tenant(json!({"suspend": true})).await;
    env.tenant_reason("Suspended").await;
    env.put_tenant(json!({})).await;
    env.tenant_reason("Unproved").await;
    assert_eq!(env.fake.total(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_whose_secrets_nobody_reads_says_so() {
    let env = Environment::new("notread").await;
    let _operator = env.operator_with(|settings| settings.secret_namespaces = vec!["elsewhere".into()]).await;
    let message = env.tenant_reason("NamespaceNotAllowed").await;
    assert!(message.contains("--secret-namespaces") && message.contains(&env.namespace), "{message}");
    env.put::<UserRoleRevocation>("jane", roles(USER)).await;
    env.reason::<UserRoleRevocation>("jane", "TenantNotReady").await;
    assert_eq!(env.fake.total(), 0);
}

/// A refused credential is refused at one domain only; at another it may be valid.
#[tokio::test(flavor = "multi_thread")]
async fn a_corrected_domain_is_tried_at_once() {
    let (env, right) = (Environment::new("misspelt").await, Environment::new("misspelt-right").await);
    // The token belongs to the right domain, so the wrong one refuses it.
    env.put_secret(&right.token).await;
    let audience = json!({"audience": right.fake.audience()});
    env.put_tenant(audience.clone()).await;
    let both = AllowedDomains::parse([env.fake.domain(), right.fake.domain()]).unwrap();
    let _operator = env.operator_with(|settings| settings.allowed_domains = both).await;
    env.put::<UserRoleRevocation>("jane", roles(USER)).await;
    env.reason::<UserRoleRevocation>("jane", "Unauthorized").await;
    env.tenant_reason("Unauthorized").await;
    let corrected = json!({"audience": right.fake.audience(), "domain": right.fake.domain()});
    env.put_tenant(corrected).await;
    let status = env.reason::<UserRoleRevocation>("jane", "Removed").await;
    assert_eq!(status.domain.as_deref(), Some(right.fake.domain()));
    env.tenant_reason("Connected").await;
    // Back at the wrong domain, the operator still knows that the token was refused there.
    let calls = env.fake.total();
    env.put_tenant(audience).await;
    env.tenant_reason("Unauthorized").await;
    assert_eq!(env.fake.total(), calls, "{:?}", env.calls());
}

/// The object says what it saw, the tenant says what a person must do, and the work resumes without help.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_not_trusted_is_said_on_the_tenant() {
    let env = Environment::new("untrusted").await;
    let kubeconfig = kube::config::Kubeconfig::from_yaml(&env.plane.kubeconfig()).unwrap();
    let other_ca = kubeconfig.clusters[0].cluster.as_ref().unwrap().certificate_authority_data.clone().unwrap();
    env.put_tenant(json!({"caBundle": other_ca})).await;
    let _operator = env.operator().await;
    env.tenant_reason("Unproved").await;
    env.put::<UserRoleRevocation>("jane", roles(USER)).await;
    let message = env.tenant_reason("InvalidConnection").await;
    assert!(message.contains("certificate"), "{message}");
    env.put_tenant(json!({})).await;
    env.reason::<UserRoleRevocation>("jane", "Removed").await;
    env.tenant_reason("Connected").await;
}

/// A tenant whose credential Auth0 accepted says until when nothing is sent; one with an invented credential does not.
#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_says_how_long_nothing_is_sent() {
    let env = Environment::new("open-until").await;
    let operator = env.operator().await;
    env.put::<UserRoleRevocation>("jane", roles(USER)).await;
    env.reason::<UserRoleRevocation>("jane", "Removed").await;
    let connected = env.tenant_reason("Connected").await;
    assert!(connected.contains(env.fake.domain()), "{connected}");
    let writes = operator.status_writes();
    env.fake.fault(Fault::status(429).header("Retry-After", "20").on(Kind::DeleteUserRoles).once());
    env.put::<UserRoleRevocation>("jack", roles(OTHER_USER)).await;
    let is_open = |tenant: &Auth0Tenant| tenant.status.as_ref().is_some_and(|status| status.open_until.is_some());
    let tenant = env.wait::<Auth0Tenant>("default", is_open).await;
    let status = tenant.status.unwrap();
    let left = status.open_until.as_ref().unwrap().0.duration_since(jiff::Timestamp::now()).as_secs();
    assert!((10..=30).contains(&left), "{left}");
    assert_eq!(status.reason_text(), Some("Connected"));
    env.reason::<UserRoleRevocation>("jack", "RateLimited").await;
    assert_eq!(operator.status_writes(), writes + 2);
}

/// It is written once, and it goes with the tenant.
#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_token_is_seen_coming() {
    let (env, metrics) = (Environment::new("token-end").await, crate::metrics::address());
    let operator = env.operator_with(|settings| settings.metrics_address = Some(metrics.into())).await;
    let begun = jiff::Timestamp::now().as_second();
    env.put_secret(&env.fake.token_with(&TokenSpec::new(["update:users", "read:roles"]).expires_in(7200))).await;
    let two = |tenant: &Auth0Tenant| {
        let credential = tenant.status.as_ref().and_then(|status| status.credential.as_ref());
        credential.is_some_and(|credential| credential.scopes == ["read:roles", "update:users"])
    };
    let credential = env.wait::<Auth0Tenant>("default", two).await.status.unwrap().credential.unwrap();
    assert_eq!(credential.kind, CredentialKind::Token);
    let end = credential.expires_at.unwrap().0.as_second();
    assert!((7190..=7260).contains(&(end - begun)), "{end} {begun}");
    let writes = operator.status_writes();

    let of_it = [("tenant_namespace", env.namespace.as_str()), ("domain", env.fake.domain()), ("credential", "Token")];
    let scrape = crate::metrics::scrape(metrics).await;
    let (at, lifetime) = ("rescind_tenant_token_expiry_timestamp_seconds", "rescind_tenant_token_lifetime_seconds");
    assert_eq!((scrape.value(at, &of_it), scrape.value(lifetime, &of_it)), (end as f64, 7200.0));
    let question = Patch::Merge(json!({"metadata": {"annotations": {RECONCILE_ANNOTATION: "1"}}}));
    env.api::<Auth0Tenant>().patch("default", &PatchParams::default(), &question).await.unwrap();
    let answered = |tenant: &Auth0Tenant| tenant.status.as_ref().unwrap().last_handled_reconcile_at.is_some();
    let again = env.wait::<Auth0Tenant>("default", answered).await.status.unwrap().credential.unwrap();
    assert_eq!(again.expires_at.unwrap().0.as_second(), end);
    assert_eq!(operator.status_writes(), writes + 1, "for the annotation alone");

    env.put_secret(&env.fake.token_with(&TokenSpec::new(["update:users"]).expires_in(-3600))).await;
    env.tenant_reason("InvalidCredentials").await;
    assert_eq!(env.api::<Auth0Tenant>().get("default").await.unwrap().status.unwrap().credential, None);
    env.put_secret(&env.token).await;
    env.tenant_reason("Unproved").await;
    assert!(crate::metrics::scrape(metrics).await.text.contains(at));
    env.delete::<Auth0Tenant>("default").await;
    within(async {
        while crate::metrics::scrape(metrics).await.text.contains("rescind_tenant_token") {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    })
    .await;
}

/// A condition of another program and a field of a later version are kept, and cause no write.
#[tokio::test(flavor = "multi_thread")]
async fn what_others_say_of_a_tenant_stays_and_is_no_reason_to_write() {
    let env = Environment::new("others").await;
    let operator = env.operator().await;
    env.tenant_reason("Unproved").await;
    let writes = operator.status_writes();
    let condition = json!({
        "type": "example.com/Seen", "status": "True", "reason": "Seen", "message": "", "observedGeneration": 1,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    });
    let theirs = json!({
        "apiVersion": "rescind.dev/v1alpha1", "kind": "Auth0Tenant", "metadata": {"name": "default"},
        "status": {"conditions": [condition]},
    });
    let params = PatchParams::apply("somebody");
    env.api::<Auth0Tenant>().patch_status("default", &params, &Patch::Apply(theirs)).await.unwrap();
    let question = json!({"metadata": {"annotations": {RECONCILE_ANNOTATION: "1"}}});
    let question = Patch::Merge(question);
    env.api::<Auth0Tenant>().patch("default", &PatchParams::default(), &question).await.unwrap();
    let answered = |tenant: &Auth0Tenant| {
        tenant.status.as_ref().is_some_and(|status| status.last_handled_reconcile_at.as_deref() == Some("1"))
    };
    let tenant = env.wait::<Auth0Tenant>("default", answered).await;
    assert!(tenant.status.unwrap().conditions.iter().any(|condition| condition.type_ == "example.com/Seen"));
    assert_eq!(operator.status_writes(), writes + 1);
}

/// One object learns that the token is refused; the others wait instead of asking the same. A new token takes effect
/// for all of them at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_token_closes_the_tenant_until_it_is_rotated() {
    let env = Environment::new("rotate").await;
    env.fake.revoke_all_tokens();
    let _operator = env.operator().await;
    env.put::<UserRoleRevocation>("first", roles(USER)).await;
    env.reason::<UserRoleRevocation>("first", "Unauthorized").await;
    assert!(env.tenant_reason("Unauthorized").await.contains("fresh"));
    for n in 0..10 {
        env.fake.edit(|tenant| {
            tenant.user(format!("auth0|{n}")).role(ROLE);
        });
        env.put::<UserRoleRevocation>(&format!("later-{n}"), roles(&format!("auth0|{n}"))).await;
    }
    for n in 0..10 {
        env.reason::<UserRoleRevocation>(&format!("later-{n}"), "TenantNotReady").await;
    }
    assert_eq!(env.fake.total(), 1, "{:?}", env.calls());

    env.put_secret(&env.fake.token(&env.fake.all_scopes())).await;
    env.reason::<UserRoleRevocation>("first", "Removed").await;
    for n in 0..10 {
        env.reason::<UserRoleRevocation>(&format!("later-{n}"), "Removed").await;
    }
    env.tenant_reason("Connected").await;
}

/// Rotated while a call is in flight: its 401 concerns the old token, so the new one decides.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_rotated_during_a_call_is_no_failure() {
    let env = Environment::new("midway").await;
    let held = env.fake.fault(fake_auth0::Fault::hold().on(Kind::DeleteUserRoles).once().then_status(401));
    let operator = env.operator().await;
    env.put::<UserRoleRevocation>("jane", roles(USER)).await;
    held.arrived().await;
    let fresh = env.fake.token_with(&TokenSpec::new(env.fake.all_scopes()).expires_in(1000));
    env.put_secret(&fresh).await;
    // Another object's call shows that the new token has arrived.
    let fresh = fake_auth0::fingerprint(&fresh);
    for n in 0.. {
        env.fake.edit(|tenant| {
            tenant.user(format!("auth0|{n}")).role(ROLE);
        });
        env.put::<UserRoleRevocation>(&format!("probe-{n}"), roles(&format!("auth0|{n}"))).await;
        env.reason::<UserRoleRevocation>(&format!("probe-{n}"), "Removed").await;
        if env.fake.calls().last().unwrap().token.as_deref() == Some(fresh.as_str()) {
            break;
        }
    }
    held.release();
    env.reason::<UserRoleRevocation>("jane", "Removed").await;
    drop(operator);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_scope_is_named_and_heals_with_a_fresh_token() {
    let env = Environment::new("scope").await;
    env.put_secret(&env.fake.token(&["read:users", "read:roles", "read:role_members"])).await;
    let _operator = env.operator().await;
    env.put::<UserRoleRevocation>("jane", roles(USER)).await;
    let status = env.reason::<UserRoleRevocation>("jane", "InsufficientScope").await;
    assert!(status.condition(ConditionType::Stalled).unwrap().message.contains("update:users"));
    env.put_secret(&env.token).await;
    env.reason::<UserRoleRevocation>("jane", "Removed").await;

    // Without the scope to read, the removal is done but not verified.
    env.put_secret(&env.fake.token(&["update:users"])).await;
    env.put::<UserRoleRevocation>("other", roles(OTHER_USER)).await;
    let status = env
        .wait::<UserRoleRevocation>("other", |object| {
            object.status.as_ref().is_some_and(|status| status.condition(ConditionType::Verified).is_some())
        })
        .await
        .status
        .unwrap();
    let verified = status.condition(ConditionType::Verified).unwrap();
    // The rotation may arrive a moment after the object; then the old token proved it.
    assert!(verified.status == "True" || verified.message.contains("lacks the scope"), "{verified:?}");
}

/// As on a private cloud of which only a host for customers can be reached.
#[tokio::test(flavor = "multi_thread")]
async fn a_custom_domain_needs_a_token_of_its_own_for_the_audience_of_the_tenant() {
    let env = Environment::bare("customdomain").await;
    let _operator = env.operator().await;
    let audience = "https://acme.corp.auth0app.com/api/v2/";
    let token = |issuer: &str| {
        let claims = json!({"iss": format!("https://{issuer}/"), "aud": audience}).to_string();
        format!("eyJh.{}.c2ln", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(claims))
    };
    env.put_secret(&token(env.fake.domain())).await;
    env.put_tenant(json!({})).await;
    assert!(env.tenant_reason("InvalidCredentials").await.contains("set spec.audience"));
    env.put_tenant(json!({ "audience": audience })).await;
    env.tenant_reason("Unproved").await;
    env.put_secret(&token("acme.corp.auth0app.com")).await;
    let message = env.tenant_reason("InvalidCredentials").await;
    let hosts = format!("was issued by acme.corp.auth0app.com, but spec.domain is {}", env.fake.domain());
    assert!(message.contains(&hosts), "{message}");
    assert_eq!(env.fake.total(), 0, "nothing was sent");
}
