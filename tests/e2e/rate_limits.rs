//! What follows a 429 (promise 11), and what people see of it.

use std::time::{Duration, Instant};

use fake_auth0::{Bucket, FakeAuth0, Fault, Group, Kind};
use rescind::api::UserRoleRevocation;
use serde_json::json;

use crate::harness::*;

/// Answers the next DELETE with a 429 whose reset is this many seconds ahead.
fn limit(fake: &FakeAuth0, seconds: i64) -> fake_auth0::FaultHandle {
    let reset = (jiff::Timestamp::now().as_second() + seconds + 1).to_string();
    fake.fault(Fault::status(429).header("X-RateLimit-Reset", &reset).on(Kind::DeleteUserRoles).once())
}

/// The time between the 429 and the first call after it.
fn pause(fake: &FakeAuth0) -> Duration {
    let calls = fake.calls();
    let refused = calls.iter().position(|call| call.status() == Some(429)).expect("a 429");
    let refused_at: Instant = calls[refused].answer().unwrap().at;
    calls[refused + 1..].iter().map(|call| call.at).min().expect("a call after it").duration_since(refused_at)
}

/// Promise 11.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_429_nothing_is_sent_before_the_time_it_named() {
    let env = Environment::new("limit").await;
    let _operator = env.operator().await;
    // A 429 to a credential that Auth0 never accepted concerns that credential alone, so this one is accepted first.
    env.put::<UserRoleRevocation>("accepted", json!({"userId": USER, "roles": [OTHER_ROLE]})).await;
    env.reason::<UserRoleRevocation>("accepted", "Removed").await;
    limit(&env.fake, 4);
    env.put::<UserRoleRevocation>("jane", roles(USER)).await;
    let status = env.reason::<UserRoleRevocation>("jane", "RateLimited").await;
    assert!(status.next_attempt_time.is_some());
    // Neither another object nor an edit nor an annotation nor a fresh token shortens the wait.
    env.put::<UserRoleRevocation>("other", roles(OTHER_USER)).await;
    env.change::<UserRoleRevocation>("jane", json!({"ifNotFound": "Ignore"})).await;
    let note = kube::api::Patch::Merge(json!({"metadata": {"annotations": {"note": "now, please"}}}));
    env.api::<UserRoleRevocation>().patch("jane", &Default::default(), &note).await.unwrap();
    env.put_secret(&env.fake.token(&env.fake.all_scopes())).await;

    env.reason::<UserRoleRevocation>("jane", "Removed").await;
    env.reason::<UserRoleRevocation>("other", "Removed").await;
    assert!(pause(&env.fake) >= Duration::from_secs(4), "{:?}", pause(&env.fake));
}

/// The wait is in the status, so it survives a restart, for every object of the tenant.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_does_not_shorten_the_wait() {
    let env = Environment::new("limitrestart").await;
    limit(&env.fake, 6);
    let operator = env.operator().await;
    env.put::<UserRoleRevocation>("jane", roles(USER)).await;
    env.reason::<UserRoleRevocation>("jane", "RateLimited").await;
    let asked = Instant::now();
    operator.stop().await;
    assert!(asked.elapsed() < Duration::from_secs(5), "it does not sit out the wait");
    let _operator = env.operator().await;
    env.reason::<UserRoleRevocation>("jane", "Removed").await;
    assert!(pause(&env.fake) >= Duration::from_secs(6), "{:?}", pause(&env.fake));
}

/// A short wait stays within the dispatcher: one status write, as if there had been no 429.
#[tokio::test(flavor = "multi_thread")]
async fn a_short_wait_stays_in_the_dispatcher() {
    let env = Environment::new("short").await;
    env.fake.fault(Fault::status(429).header("Retry-After", "1").on(Kind::DeleteUserRoles).once());
    let operator = env.operator().await;
    env.put::<UserRoleRevocation>("jane", roles(USER)).await;
    env.reason::<UserRoleRevocation>("jane", "Removed").await;
    assert!(pause(&env.fake) >= Duration::from_secs(1));
    assert_eq!(operator.removal_writes(), 1, "{:?}", operator.writes());
}

/// Auth0 has answered a reached limit with 500. Other failures back off object by object.
#[tokio::test(flavor = "multi_thread")]
async fn failures_are_tried_again() {
    let env = Environment::new("failures").await;
    let users = ["auth0|500", "auth0|html", "auth0|drop", "auth0|hang", "auth0|acted", "auth0|cut"];
    env.fake.edit(|tenant| {
        for user in users {
            tenant.user(user).role(ROLE);
        }
    });
    let faults = [
        Fault::status(500),
        Fault::html(502),
        Fault::drop_connection(),
        Fault::hang(),
        Fault::act_then_drop(),
        Fault::truncate(),
    ];
    for (user, fault) in users.into_iter().zip(faults) {
        env.fake.fault(fault.user(user).on_deletes().once());
    }
    let _operator = env.operator().await;
    for (n, user) in users.into_iter().enumerate() {
        env.put::<UserRoleRevocation>(&format!("u{n}"), roles(user)).await;
    }
    for (n, user) in users.into_iter().enumerate() {
        // What is gone after a DELETE without an answer may have been gone before it.
        let reason = if ["auth0|acted", "auth0|cut"].contains(&user) { "AlreadyAbsent" } else { "Removed" };
        let status = env.reason::<UserRoleRevocation>(&format!("u{n}"), reason).await;
        assert_eq!(status.attempts, None);
    }
}

/// Creates `count` removals for distinct users and waits until all are done.
async fn remove_many(env: &Environment, count: usize) {
    env.fake.edit(|tenant| {
        for n in 0..count {
            tenant.user(format!("auth0|many-{n}")).role(ROLE);
        }
    });
    let _operator = env.operator().await;
    for n in 0..count {
        let spec = json!({"userId": format!("auth0|many-{n}"), "roles": [ROLE]});
        env.put::<UserRoleRevocation>(&format!("many-{n}"), spec).await;
    }
    for n in 0..count {
        env.reason::<UserRoleRevocation>(&format!("many-{n}"), "Removed").await;
    }
}

/// The rate limiter learns Auth0's bucket from its headers and never empties it: no 429, and the reserve stays for
/// logins.
#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_paced_and_its_reserve_is_kept() {
    let env = Environment::new("bucket").await;
    env.put_tenant(json!({"rateLimit": {"maxRequestsPerSecond": 1000, "reservePercent": 50}})).await;
    env.fake.limit(Group::UsersWrite, Bucket::new(20, 5.0));
    remove_many(&env, 30).await;
    let calls = env.fake.calls_to(Kind::DeleteUserRoles);
    assert!(calls.iter().all(|call| call.status() == Some(204)), "{:?}", env.calls());
    // Ten calls at once, then five a second: the other twenty take four seconds, less what the bucket regained
    // meanwhile.
    let took = calls.last().unwrap().at.duration_since(calls[0].at);
    assert!(took >= Duration::from_secs(3), "{took:?}");
}

/// `maxRequestsPerSecond` holds however much Auth0 would allow.
#[tokio::test(flavor = "multi_thread")]
async fn the_ceiling_of_the_tenant_is_kept() {
    let env = Environment::new("ceiling").await;
    env.put_tenant(json!({"rateLimit": {"maxRequestsPerSecond": 8}})).await;
    remove_many(&env, 12).await;
    let calls = env.fake.calls();
    assert_eq!(calls.len(), 24);
    // The first call also opened the connection.
    let took = calls.last().unwrap().at.duration_since(calls[1].at);
    assert!(took >= Duration::from_millis(22 * 125 - 50), "{took:?}");
}
