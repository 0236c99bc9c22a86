//! Faulty watches: the operator finds what they failed to tell, and other work goes on.

use std::time::Duration;

use fake_auth0::{Kind, Relation};
use rescind::api::UserRoleRevocation;
use rescind::auth0::AllowedDomains;
use rescind::runtime::{Settings, WatchTiming};
use serde_json::json;

use crate::harness::*;

/// Watches that the operator ends after a second.
fn brisk() -> WatchTiming {
    WatchTiming { seconds: 1, ..WatchTiming::default() }
}

/// One removal, then `disturb`, then another removal that the operator must still learn of. Each is carried out once.
async fn learns_in_spite_of(name: &str, watches: WatchTiming, disturb: impl FnOnce(&FaultInjector)) {
    let (env, injector) = (Environment::new(name).await, FaultInjector::default());
    let before = env.fake.state();
    let _operator = env.operator_through(injector.clone(), |settings| settings.watches = watches).await;
    env.put::<UserRoleRevocation>("jane", roles(USER)).await;
    env.reason::<UserRoleRevocation>("jane", "Removed").await;
    disturb(&injector);
    env.put::<UserRoleRevocation>("jack", roles(OTHER_USER)).await;
    env.reason::<UserRoleRevocation>("jack", "Removed").await;
    let removed = [Relation::user_role(USER, ROLE), Relation::user_role(OTHER_USER, ROLE)];
    env.fake.assert_removed_exactly(&before, removed);
    assert_eq!(env.fake.count(Kind::DeleteUserRoles), 2, "{:?}", env.calls());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_resource_version_is_listed_anew() {
    learns_in_spite_of("gone", WatchTiming::default(), |injector| {
        injector.expire_resource_version("userrolerevocations")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_watch_is_given_up() {
    learns_in_spite_of("silent", brisk(), FaultInjector::silence).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_watch_was_never_told_is_found() {
    let often = WatchTiming { list_every: Duration::from_secs(2), ..brisk() };
    learns_in_spite_of("hidden", often, |injector| injector.hide("jack")).await;
}

/// A list of one namespace must not make the dispatcher forget the jobs of another.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_one_namespace_leaves_the_work_of_another_alone() {
    let (env, injector) = (Environment::new("lists").await, FaultInjector::default());
    let other = Environment::new("lists-other").await;
    other.fake.edit(|tenant| (0..3).for_each(|n| drop(tenant.user(leaver(n)).role(ROLE))));
    // So slow that most objects still wait in the queue when the lists come.
    other.put_tenant(json!({"rateLimit": {"maxRequestsPerSecond": 1, "reservePercent": 0}})).await;
    let both = |settings: &mut Settings| {
        let (domain, other_domain) = (env.fake.domain(), other.fake.domain());
        settings.watch_namespaces.push(other.namespace.clone());
        settings.allowed_domains = AllowedDomains::parse([domain, other_domain]).unwrap();
    };
    let _operator = env.operator_through(injector.clone(), both).await;
    for n in 0..3 {
        other.put::<UserRoleRevocation>(&format!("u{n}"), json!({"userId": leaver(n), "roles": [ROLE]})).await;
    }
    other.fake.wait_for_count(Kind::DeleteUserRoles, 1, PATIENCE).await.unwrap();
    injector.expire_resource_version("userrolerevocations");
    for n in 0..3 {
        other.reason::<UserRoleRevocation>(&format!("u{n}"), "Removed").await;
    }
}

fn leaver(number: usize) -> String {
    format!("auth0|leaver-{number}")
}
