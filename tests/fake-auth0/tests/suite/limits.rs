//! Rate limits as a client sees them.

use fake_auth0::{Bucket, Client, Group};
use reqwest::{Method, Response};
use serde_json::json;

use crate::world::*;

fn header(response: &Response, name: &str) -> Option<i64> {
    response.headers().get(name).map(|value| value.to_str().unwrap().parse().unwrap())
}

fn limits(response: &Response) -> (Option<i64>, Option<i64>) {
    (header(response, "x-ratelimit-limit"), header(response, "x-ratelimit-remaining"))
}

/// The header `Date` in epoch seconds.
fn date(response: &Response) -> i64 {
    let text = response.headers()["date"].to_str().unwrap();
    jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).unwrap().as_second()
}

async fn remove_nobody(world: &World) -> Response {
    world.request(Method::DELETE, &members(OTHER)).json(&json!({"members": [JOHN]})).send().await.unwrap()
}

#[tokio::test]
async fn without_limits_there_are_no_headers() {
    let world = World::new().await;
    assert_eq!(limits(&remove_nobody(&world).await), (None, None));
}

#[tokio::test]
async fn headers_count_down_to_a_429() {
    let world = World::new().await;
    world.fake.limit(Group::MembersWrite, Bucket::new(2, 0.001));
    let first = remove_nobody(&world).await;
    assert_eq!((first.status().as_u16(), limits(&first)), (204, (Some(2), Some(1))));
    assert_eq!(limits(&remove_nobody(&world).await), (Some(2), Some(0)));
    let refused = remove_nobody(&world).await;
    assert_eq!((refused.status().as_u16(), limits(&refused)), (429, (Some(2), Some(0))));
    assert!(refused.headers().get("retry-after").is_none());
    let to_full = header(&refused, "x-ratelimit-reset").unwrap() - date(&refused);
    assert!((1990..=2002).contains(&to_full), "{to_full}");
    assert_eq!(code(&taken(refused).await), (429, "too_many_requests"));
    // Other groups have other buckets; a new bucket lets calls through again.
    assert_eq!(world.get(&user(JANE, "")).await.0, 200);
    world.fake.limit(Group::MembersWrite, None);
    assert_eq!(remove_nobody(&world).await.status(), 204);
}

#[tokio::test]
async fn somebody_else_can_drain_a_bucket() {
    let world = World::new().await;
    world.fake.limit(Group::Global, Bucket::once(10).with_retry_after());
    assert_eq!(world.fake.drain(Group::Global, 8), 8);
    assert_eq!(world.get(&user(JANE, "")).await.0, 200);
    assert_eq!(world.fake.bucket(Group::Global).unwrap().remaining, 1);
    assert_eq!(world.fake.drain(Group::Global, 8), 1);
    let refused = world.request(Method::GET, &user(JANE, "")).send().await.unwrap();
    assert_eq!(refused.status(), 429);
    assert!(header(&refused, "retry-after").unwrap() > 1000);
}

#[tokio::test]
async fn an_unreported_global_bucket_refuses_behind_healthy_headers() {
    let world = World::new().await;
    world.fake.limit(Group::Global, Bucket::once(1).unreported());
    world.fake.limit(Group::MembersWrite, Bucket::once(30));
    assert_eq!(limits(&remove_nobody(&world).await), (Some(30), Some(29)));
    let refused = remove_nobody(&world).await;
    assert_eq!((refused.status().as_u16(), limits(&refused)), (429, (Some(30), Some(29))));
}

#[tokio::test]
async fn tokens_have_a_limit_of_their_own() {
    let world = World::new().await;
    world.fake.client(Client::new("id", "secret").scopes(["read:users"]));
    world.fake.limit(Group::Global, Bucket::once(0));
    world.fake.limit(Group::Token, Bucket::once(1));
    let request = json!({
        "grant_type": "client_credentials", "client_id": "id", "client_secret": "secret",
        "audience": world.fake.audience(),
    });
    let ask = async || world.client.post(world.fake.url("/oauth/token")).json(&request).send().await.unwrap();
    assert_eq!(limits(&ask().await), (Some(1), Some(0)));
    let (status, body) = taken(ask().await).await;
    assert_eq!((status, body["error"].as_str()), (429, Some("too_many_requests")));
}

#[tokio::test]
async fn the_clock_of_the_tenant_rules_date_and_reset() {
    let world = World::new().await;
    world.fake.limit(Group::MembersWrite, Bucket::new(10, 1.0));
    let here = jiff::Timestamp::now().as_second();
    for offset in [600, -600] {
        world.fake.clock_ahead(offset);
        let answer = remove_nobody(&world).await;
        assert!((date(&answer) - here - offset).abs() < 30);
        assert!((header(&answer, "x-ratelimit-reset").unwrap() - date(&answer)).abs() < 30);
    }
}
