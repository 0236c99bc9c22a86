//! A namespace or an object that cannot be read holds up nothing else. (For Secrets see lifecycle.rs.)

use fake_auth0::{Fault, Kind, Relation};
use rescind::api::UserRoleRevocation;
use rescind::auth0::AllowedDomains;
use serde_json::json;

use crate::harness::*;
use crate::metrics::{address, scrape};

#[tokio::test(flavor = "multi_thread")]
async fn a_watched_namespace_that_cannot_be_read_holds_up_no_other() {
    let (env, other) = (Environment::new("readable").await, Environment::new("unreadable").await);
    let (injector, probes) = (FaultInjector::default(), address());
    injector.forbid(&format!("/namespaces/{}/", other.namespace));
    other.put::<UserRoleRevocation>("jack", roles(OTHER_USER)).await;
    env.put::<UserRoleRevocation>("jane", roles(USER)).await;
    let _operator = env
        .operator_through(injector.clone(), |settings| {
            settings.watch_namespaces = vec![env.namespace.clone(), other.namespace.clone()];
            settings.allowed_domains = AllowedDomains::parse([env.fake.domain(), other.fake.domain()]).unwrap();
            settings.probe_address = Some(probes.into());
        })
        .await;
    env.reason::<UserRoleRevocation>("jane", "Removed").await;
    let ready = reqwest::get(format!("http://{probes}/readyz")).await.unwrap();
    assert_eq!(ready.status(), 200);
    let words = ready.text().await.unwrap();
    let named = format!("going on without the list of auth0tenants in namespace {}: not allowed", other.namespace);
    assert!(words.contains(&named), "{words}");
    assert_eq!(other.fake.total(), 0);

    injector.forbid("");
    other.reason::<UserRoleRevocation>("jack", "Removed").await;
}

/// What the cache held of it before is not used any more, here that it was not suspended.
#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_cannot_be_read_any_more_is_held() {
    let (env, injector, metrics) = (Environment::new("garbled").await, FaultInjector::default(), address());
    let before = env.fake.state();
    let operator = env.operator_through(injector.clone(), |settings| settings.metrics_address = Some(metrics.into()));
    let _operator = operator.await;
    // The object waits until the time that this 429 names.
    env.fake.fault(Fault::status(429).header("Retry-After", "4").on(Kind::DeleteUserRoles).once());
    env.put::<UserRoleRevocation>("jane", roles(USER)).await;
    env.reason::<UserRoleRevocation>("jane", "RateLimited").await;
    injector.garble("jane");
    env.change::<UserRoleRevocation>("jane", json!({"suspend": true})).await;
    env.put::<UserRoleRevocation>("jack", roles(OTHER_USER)).await;
    env.reason::<UserRoleRevocation>("jack", "Removed").await;
    env.fake.assert_removed_exactly(&before, [Relation::user_role(OTHER_USER, ROLE)]);
    let unreadable = [("kind", "UserRoleRevocation")];
    assert_eq!(scrape(metrics).await.value("rescind_unreadable_objects", &unreadable), 1.0);
}
