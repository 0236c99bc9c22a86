//! Every documented answer of Auth0, and some undocumented ones, become the reason that says what to do.

use fake_auth0::{Fault, Network};
use rescind::api::{ConditionType, UserRoleRevocation};
use serde_json::{Value, json};

use crate::harness::*;

fn error(status: u16, code: Option<&str>, message: &str) -> Fault {
    let mut body = json!({"statusCode": status, "error": "Error", "message": message});
    if let Some(code) = code {
        body["errorCode"] = json!(code);
    }
    Fault::status(status).json(&body)
}

/// Answers to a DELETE that concern only the object itself.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_becomes_a_reason() {
    let env = Environment::new("answers").await;
    let rows: Vec<(Fault, &str, &str)> = vec![
        (error(400, Some("invalid_body"), "Payload validation error"), "InvalidRequest", "invalid_body"),
        (error(400, Some("invalid_uri"), "Path validation error"), "InvalidRequest", "invalid_uri"),
        (error(400, Some("invalid_query_string"), "x"), "InvalidRequest", "invalid_query_string"),
        (error(400, None, "x"), "InvalidRequest", "400"),
        (error(413, None, "x"), "InvalidRequest", "413"),
        (error(404, Some("inexistent_user"), "The user does not exist."), "SubjectNotFound", "Check the id"),
        // This 404 does not say what is missing, and a read shows that the user exists.
        (error(404, None, "Not found"), "ItemNotFound", "does not know the role"),
        (Fault::lost_body(), "Auth0Unavailable", "400: Auth0 got the DELETE without its body; a proxy or a filter"),
        (Fault::html(400), "Auth0Unavailable", "400: not Auth0's own answer (HTML)"),
        (Fault::html(401), "Auth0Unavailable", "401: not Auth0's own answer (HTML)"),
        (Fault::html(403), "Auth0Unavailable", "403: not Auth0's own answer (HTML)"),
        (Fault::html(404), "Auth0Unavailable", "404: not Auth0's own answer (HTML)"),
        (Fault::html(200), "Auth0Unavailable", "200: not Auth0's own answer (HTML)"),
        (Fault::status(401).json(&json!({"error": "blocked"})), "Auth0Unavailable", "401: not Auth0's own answer"),
        (Fault::html(500), "Auth0Unavailable", "500"),
        (error(503, None, "x"), "Auth0Unavailable", "503: Auth0 failed"),
        (Fault::html(524), "Auth0Unavailable", "524"),
        (error(409, None, "x"), "Auth0Unavailable", "busy"),
        (Fault::redirect("https://169.254.169.254/"), "Auth0Unavailable", "redirect"),
        (Fault::hang(), "Auth0Unavailable", "in time"),
        (Fault::status(200).json(&json!({})), "Removed", "Removed 1 of 1"),
        (Fault::act_then_status(202), "Removed", "Removed 1 of 1"),
    ];
    let user = |n: usize| format!("auth0|{n}");
    for (n, (fault, reason, _)) in rows.iter().enumerate() {
        env.fake.edit(|tenant| {
            let user = tenant.user(user(n));
            // After a failure the list is read before the DELETE is sent again, so the role must still be there to fail
            // again.
            if *reason == "Auth0Unavailable" {
                user.role(ROLE);
            }
        });
        env.fake.fault(fault.clone().user(user(n)).on_deletes());
    }
    let _operator = env.operator().await;
    for n in 0..rows.len() {
        env.put::<UserRoleRevocation>(&format!("u{n}"), json!({"userId": user(n), "roles": [ROLE]})).await;
    }
    for (n, (fault, reason, text)) in rows.iter().enumerate() {
        let status = env.reason::<UserRoleRevocation>(&format!("u{n}"), reason).await;
        let message = &status.condition(ConditionType::Ready).unwrap().message;
        assert!(message.contains(text), "{fault:?}: {message}");
    }
}

/// Answers that concern the credential stop the whole tenant, so each case has a namespace and a tenant of its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_credential_is_said_in_our_words() {
    let rows = [
        ("Unauthorized", error(401, None, "Invalid token"), "not valid"),
        (
            "Unauthorized",
            error(401, None, "Invalid signature received for JSON Web Token validation"),
            "signature is wrong",
        ),
        ("Unauthorized", error(401, None, "Client is not global"), "Client is not global"),
        ("Unauthorized", error(401, None, "Expired token received for JSON Web Token validation"), "expired"),
        (
            "Unauthorized",
            error(400, Some("Bearer"), "Bad HTTP authentication header format"),
            "not a Management API token",
        ),
        (
            "InsufficientScope",
            error(
                403,
                Some("insufficient_scope"),
                "Insufficient scope, expected any of: update:users,delete:role_members",
            ),
            "update:users or delete:role_members",
        ),
        ("InsufficientScope", error(403, Some("insufficient_scope"), "no names"), "update:users"),
        ("Denied", error(403, Some("insufficient_entitlement"), "Please upgrade your subscription"), "plan"),
    ];
    for (reason, fault, text) in rows {
        let env = Environment::new("refused").await;
        env.fake.fault(fault.on_deletes());
        let _operator = env.operator().await;
        env.put::<UserRoleRevocation>("jane", roles(USER)).await;
        let status = env.reason::<UserRoleRevocation>("jane", reason).await;
        let message = &status.condition(ConditionType::Stalled).unwrap().message;
        assert!(message.contains(text), "{message}");
    }
}

/// With untrusted TLS or an unreachable host nothing is sent, and the operator recovers without help.
#[tokio::test(flavor = "multi_thread")]
async fn the_network_is_trusted_only_with_its_certificate() {
    let rows = [
        (Network::Untrusted, "not in spec.caBundle"),
        (Network::WrongHost, "another host name"),
        (Network::Closing, "closed during the TLS handshake"),
        (Network::Silent, "no connection in time"),
    ];
    let runs = rows.map(|(network, text)| tokio::spawn(nothing_is_sent_through(network, text)));
    for run in futures::future::join_all(runs).await {
        run.unwrap();
    }
}

async fn nothing_is_sent_through(network: Network, text: &str) {
    let env = Environment::new("network").await;
    let _operator = env.operator().await;
    env.fake.network(network);
    env.put::<UserRoleRevocation>("jane", roles(USER)).await;
    let status = env.reason::<UserRoleRevocation>("jane", "Auth0Unavailable").await;
    let message = &status.condition(ConditionType::Ready).unwrap().message;
    assert!(message.contains(text), "{network:?}: {message}");
    assert_eq!((env.fake.total(), status.correlation_id), (0, None), "{network:?}");
    env.fake.network(Network::Up);
    env.fake.cut_connections();
    env.reason::<UserRoleRevocation>("jane", "Removed").await;
}

/// Not part of the table of answers: HTTP/2 uses one connection for all calls, so this fault breaks whatever is in
/// flight.
#[tokio::test(flavor = "multi_thread")]
async fn a_broken_connection_and_an_unknown_authority_are_named() {
    let env = Environment::new("broken").await;
    let _operator = env.operator().await;
    env.fake.edit(|tenant| drop(tenant.user("auth0|drop").role(ROLE)));
    let cut = env.fake.fault(Fault::drop_connection().user("auth0|drop").on_deletes());
    env.put::<UserRoleRevocation>("drop", json!({"userId": "auth0|drop", "roles": [ROLE]})).await;
    let status = env.reason::<UserRoleRevocation>("drop", "Auth0Unavailable").await;
    assert!(status.condition(ConditionType::Ready).unwrap().message.contains("broke off"));
    cut.remove();
    env.reason::<UserRoleRevocation>("drop", "Removed").await;
    let without: Value = json!({"caBundle": null});
    env.put_tenant(without).await;
    env.tenant_reason("Unproved").await;
    env.put::<UserRoleRevocation>("system-roots", roles(USER)).await;
    let message = env.tenant_reason("InvalidConnection").await;
    assert!(message.contains("set spec.caBundle"), "{message}");
}
