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
    let world = World::new("limit").await;
    let _operator = world.operator().await;
    // A 429 to a credential that Auth0 never accepted concerns that credential alone, so this one is accepted first.
    world.put::<UserRoleRevocation>("accepted", json!({"userId": USER, "roles": [OTHER_ROLE]})).await;
    world.reason::<UserRoleRevocation>("accepted", "Removed").await;
    limit(&world.fake, 4);
    world.put::<UserRoleRevocation>("jane", roles(USER)).await;
    let status = world.reason::<UserRoleRevocation>("jane", "RateLimited").await;
    assert!(status.next_attempt_time.is_some());
    // Neither another object nor an edit nor an annotation nor a fresh token shortens the wait.
    world.put::<UserRoleRevocation>("other", roles(OTHER_USER)).await;
    world.change::<UserRoleRevocation>("jane", json!({"ifNotFound": "Ignore"})).await;
    let note = kube::api::Patch::Merge(json!({"metadata": {"annotations": {"note": "now, please"}}}));
    world.api::<UserRoleRevocation>().patch("jane", &Default::default(), &note).await.unwrap();
    world.put_secret(&world.fake.token(&world.fake.all_scopes())).await;

    world.reason::<UserRoleRevocation>("jane", "Removed").await;
    world.reason::<UserRoleRevocation>("other", "Removed").await;
    assert!(pause(&world.fake) >= Duration::from_secs(4), "{:?}", pause(&world.fake));
}

/// The wait is in the status, so it survives a restart, for every object of the tenant.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_does_not_shorten_the_wait() {
    let world = World::new("limitrestart").await;
    limit(&world.fake, 6);
    let operator = world.operator().await;
    world.put::<UserRoleRevocation>("jane", roles(USER)).await;
    world.reason::<UserRoleRevocation>("jane", "RateLimited").await;
    let asked = Instant::now();
    operator.stop().await;
    assert!(asked.elapsed() < Duration::from_secs(5), "it does not sit out the wait");
    let _operator = world.operator().await;
    world.reason::<UserRoleRevocation>("jane", "Removed").await;
    assert!(pause(&world.fake) >= Duration::from_secs(6), "{:?}", pause(&world.fake));
}

/// A short wait stays within the dispatcher: one status write, as if there had been no 429.
#[tokio::test(flavor = "multi_thread")]
async fn a_short_wait_stays_in_the_dispatcher() {
    let world = World::new("short").await;
    world.fake.fault(Fault::status(429).header("Retry-After", "1").on(Kind::DeleteUserRoles).once());
    let operator = world.operator().await;
    world.put::<UserRoleRevocation>("jane", roles(USER)).await;
    world.reason::<UserRoleRevocation>("jane", "Removed").await;
    assert!(pause(&world.fake) >= Duration::from_secs(1));
    assert_eq!(operator.removal_writes(), 1, "{:?}", operator.writes());
}

/// Auth0 has answered a reached limit with 500. Other failures back off object by object.
#[tokio::test(flavor = "multi_thread")]
async fn failures_are_tried_again() {
    let world = World::new("failures").await;
    let users = ["auth0|500", "auth0|html", "auth0|drop", "auth0|hang", "auth0|acted", "auth0|cut"];
    world.fake.edit(|tenant| {
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
        world.fake.fault(fault.user(user).on_deletes().once());
    }
    let _operator = world.operator().await;
    for (n, user) in users.into_iter().enumerate() {
        world.put::<UserRoleRevocation>(&format!("u{n}"), roles(user)).await;
    }
    for (n, user) in users.into_iter().enumerate() {
        // What is gone after a DELETE without an answer may have been gone before it.
        let reason = if ["auth0|acted", "auth0|cut"].contains(&user) { "AlreadyAbsent" } else { "Removed" };
        let status = world.reason::<UserRoleRevocation>(&format!("u{n}"), reason).await;
        assert_eq!(status.attempts, None);
    }
}

/// Creates `count` removals for distinct users and waits until all are done.
async fn remove_many(world: &World, count: usize) {
    world.fake.edit(|tenant| {
        for n in 0..count {
            tenant.user(format!("auth0|many-{n}")).role(ROLE);
        }
    });
    let _operator = world.operator().await;
    for n in 0..count {
        let spec = json!({"userId": format!("auth0|many-{n}"), "roles": [ROLE]});
        world.put::<UserRoleRevocation>(&format!("many-{n}"), spec).await;
    }
    for n in 0..count {
        world.reason::<UserRoleRevocation>(&format!("many-{n}"), "Removed").await;
    }
}

/// The rate limiter learns Auth0's bucket from its headers and never empties it: no 429, and the reserve stays for
/// logins.
#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_paced_and_its_reserve_is_kept() {
    let world = World::new("bucket").await;
    world.put_tenant(json!({"rateLimit": {"maxRequestsPerSecond": 1000, "reservePercent": 50}})).await;
    world.fake.limit(Group::UsersWrite, Bucket::new(20, 5.0));
    remove_many(&world, 30).await;
    let calls = world.fake.calls_to(Kind::DeleteUserRoles);
    assert!(calls.iter().all(|call| call.status() == Some(204)), "{:?}", world.calls());
    // Ten calls at once, then five a second: the other twenty take four seconds, less what the bucket regained
    // meanwhile.
    let took = calls.last().unwrap().at.duration_since(calls[0].at);
    assert!(took >= Duration::from_secs(3), "{took:?}");
}

/// `maxRequestsPerSecond` holds however much Auth0 would allow.
#[tokio::test(flavor = "multi_thread")]
async fn the_ceiling_of_the_tenant_is_kept() {
    let world = World::new("ceiling").await;
    world.put_tenant(json!({"rateLimit": {"maxRequestsPerSecond": 8}})).await;
    remove_many(&world, 12).await;
    let calls = world.fake.calls();
    assert_eq!(calls.len(), 24);
    // The first call also opened the connection.
    let took = calls.last().unwrap().at.duration_since(calls[1].at);
    assert!(took >= Duration::from_millis(22 * 125 - 50), "{took:?}");
}
