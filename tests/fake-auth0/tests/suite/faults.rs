//! Every fault.

use std::time::Duration;

use fake_auth0::{Fault, FaultHandle, Kind, Relation};
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::world::*;

const SOON: Duration = Duration::from_millis(300);

fn removal(world: &World) -> reqwest::RequestBuilder {
    world.request(Method::DELETE, &user(JANE, "/roles")).json(&json!({"roles": [ADMIN]}))
}

async fn remove(world: &World) -> reqwest::Result<Response> {
    removal(world).send().await
}

fn removed(world: &World) -> bool {
    !world.fake.state().has_role(JANE, ADMIN)
}

#[tokio::test]
async fn a_status_comes_instead_of_the_action() {
    let world = World::new().await;
    for status in [400, 401, 403, 404, 409, 429, 500, 503, 524] {
        let handle = world.fake.fault(Fault::status(status).once());
        let answer = taken(remove(&world).await.unwrap()).await;
        assert_eq!(code(&answer).0, status);
        assert_eq!(handle.hits(), 1);
    }
    assert!(!removed(&world));
    world.fake.fault(Fault::status(429).header("Retry-After", "7").body("busy").once());
    let answer = remove(&world).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["retry-after"].to_str().unwrap()), (429, "7"));
    assert_eq!(answer.text().await.unwrap(), "busy");
    world.fake.fault(Fault::status(500).on(Kind::Token));
    let asked = world.client.post(world.fake.url("/oauth/token")).send().await.unwrap();
    assert_eq!(taken(asked).await.1["error"], "server_error");
    assert_eq!(remove(&world).await.unwrap().status(), 204);
}

#[tokio::test]
async fn matchers_choose_their_calls() {
    let world = World::new().await;
    let hits = [
        Fault::status(500).on(Kind::DeleteMembers),
        Fault::status(501).on_reads().path_contains("john"),
        Fault::status(502).body_names(EDITOR),
        Fault::status(503).method(Method::DELETE).user(JANE).skip(1).every(2).times(2),
    ]
    .map(|fault| world.fake.fault(fault));
    assert_eq!(world.delete(&members(ACME), json!({"members": [JANE]})).await.0, 500);
    assert_eq!(world.get(&user(JOHN, "")).await.0, 501);
    assert_eq!(world.get(&user(JANE, "")).await.0, 200);
    assert_eq!(world.delete(&user(JANE, "/roles"), json!({"roles": [ADMIN, EDITOR]})).await.0, 502);
    let mut statuses = Vec::new();
    for _ in 0..8 {
        statuses.push(remove(&world).await.unwrap().status().as_u16());
    }
    assert_eq!(statuses, [204, 204, 503, 204, 503, 204, 204, 204]);
    assert_eq!(hits.each_ref().map(FaultHandle::hits), [1, 1, 1, 2]);
    hits[1].remove();
    assert_eq!(world.get(&user(JOHN, "")).await.0, 200);
    world.fake.clear_faults();
    assert_eq!(world.delete(&members(ACME), json!({"members": [JANE]})).await.0, 204);
}

#[tokio::test]
async fn a_held_call_waits_for_its_release() {
    let world = World::new().await;
    let held = world.fake.fault(Fault::hold().on_deletes());
    let (answer, ()) = tokio::join!(remove(&world), async {
        held.arrived().await;
        assert!(!removed(&world));
        assert_eq!((world.fake.in_flight(), world.fake.deletes()[0].status()), (1, None));
        held.release_one();
    });
    assert_eq!(answer.unwrap().status(), 204);
    assert!(removed(&world));
    let after = world.fake.fault(Fault::hold_answer().on_reads());
    world.fake.edit(|s| {
        s.user(JANE).role(ADMIN);
    });
    let (answer, ()) = tokio::join!(remove(&world), async {
        held.arrived().await;
        held.release();
    });
    assert_eq!((answer.unwrap().status().as_u16(), held.hits(), after.hits()), (204, 2, 0));
    assert_eq!(remove(&world).await.unwrap().status(), 204);
}

#[tokio::test]
async fn several_held_calls_are_counted_as_in_flight() {
    let world = World::new().await;
    let held = world.fake.fault(Fault::hold());
    let ((one, two), ()) = tokio::join!(async { tokio::join!(remove(&world), remove(&world)) }, async {
        held.arrived().await;
        held.arrived().await;
        assert_eq!(world.fake.max_in_flight(), 2);
        held.release();
    });
    assert_eq!((one.unwrap().status().as_u16(), two.unwrap().status().as_u16()), (204, 204));
    world.fake.wait_for(|_| world.fake.in_flight() == 0, Duration::from_secs(5)).await.unwrap();
}

/// Two worlds, one for each version of HTTP.
async fn both_versions() -> [World; 2] {
    let (one, two) = (World::new().await, World::new().await);
    let client = builder(&one.fake).http1_only().build().unwrap();
    [World { client, ..one }, two]
}

#[tokio::test]
async fn a_hanging_call_never_acts_and_one_that_acted_may_hang() {
    for world in both_versions().await {
        let hung = world.fake.fault(Fault::hang().once());
        assert!(removal(&world).timeout(SOON).send().await.unwrap_err().is_timeout());
        assert!(!removed(&world));
        world.fake.wait_for(|_| world.fake.in_flight() == 0, Duration::from_secs(5)).await.unwrap();
        hung.release();
        world.fake.fault(Fault::act_then_hang().once());
        assert!(removal(&world).timeout(SOON).send().await.unwrap_err().is_timeout());
        assert!(removed(&world));
        assert_eq!(world.fake.deletes()[1].status(), None);
    }
}

#[tokio::test]
async fn waiting_for_arrivals_may_be_given_up_without_losing_any() {
    let world = World::new().await;
    let seen = world.fake.fault(Fault::none());
    assert!(tokio::time::timeout(Duration::from_millis(1), seen.arrived()).await.is_err());
    remove(&world).await.unwrap();
    remove(&world).await.unwrap();
    tokio::join!(seen.arrived(), seen.arrived());
    assert!(tokio::time::timeout(Duration::from_millis(1), seen.arrived()).await.is_err());
}

#[tokio::test]
async fn connections_break_before_or_after_the_action() {
    for world in both_versions().await {
        world.fake.fault(Fault::drop_connection().once());
        assert!(remove(&world).await.is_err());
        assert!(!removed(&world));
        world.fake.fault(Fault::act_then_drop().once());
        assert!(remove(&world).await.is_err());
        assert!(removed(&world));
        assert_eq!(remove(&world).await.unwrap().status(), 204);
        let calls = world.fake.deletes();
        assert!(calls.iter().all(|call| call.version == calls[0].version));
        // The client may retry a call whose connection broke, so there are at least two connections.
        assert!(world.fake.connections().0 >= 2);
    }
}

#[tokio::test]
async fn an_action_can_be_answered_by_another_status_or_be_partial() {
    let world = World::new().await;
    world.fake.fault(Fault::act_then_status(502).once());
    assert_eq!(remove(&world).await.unwrap().status(), 502);
    assert!(removed(&world));
    assert_eq!(world.fake.deletes()[0].answer().unwrap().removed, 1);
    let before = world.fake.state();
    world.fake.fault(Fault::act_on_first(1).then_status(500).once());
    assert_eq!(world.delete(&members(ACME), json!({"members": [JOHN, JANE]})).await.0, 500);
    world.fake.assert_removed_exactly(&before, [Relation::member(ACME, JOHN)]);
}

#[tokio::test]
async fn html_redirects_and_wrong_json_come_as_asked() {
    let world = World::new().await;
    for status in [200, 404, 502, 524] {
        world.fake.fault(Fault::html(status).once());
        let answer = world.request(Method::GET, &user(JANE, "/roles")).send().await.unwrap();
        assert_eq!(answer.status(), status);
        assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
        assert!(answer.text().await.unwrap().starts_with("<!DOCTYPE html>"));
    }
    world.fake.fault(Fault::redirect("http://169.254.169.254/").once());
    let answer = world.request(Method::GET, &user(JANE, "/roles")).send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), answer.headers()["location"].to_str().unwrap()),
        (302, "http://169.254.169.254/")
    );
    world.fake.fault(Fault::status(200).json(&json!({"roles": null})).once());
    assert_eq!(world.get(&user(JANE, "/roles")).await, (200, json!({"roles": null})));
    world.fake.fault(Fault::none().json(&Value::Null).once());
    assert_eq!(world.get(&user(JANE, "/roles")).await, (200, Value::Null));
}

#[tokio::test]
async fn a_gateway_answers_anything_with_and_without_a_date() {
    let world = World::new().await;
    for status in [400, 401, 403, 404, 503] {
        for dated in [true, false] {
            let fault = Fault::html(status).once();
            world.fake.fault(if dated { fault } else { fault.without_header("date") });
            let answer = remove(&world).await.unwrap();
            assert_eq!((answer.status().as_u16(), answer.headers().contains_key("date")), (status, dated));
            assert_eq!(answer.headers()["content-type"], "text/html; charset=utf-8");
            assert!(answer.text().await.unwrap().contains("<html>"));
        }
    }
    assert!(!removed(&world));
}

#[tokio::test]
async fn one_page_of_a_walk_fails_as_often_as_asked() {
    let world = World::new().await;
    world.fake.edit(|s| drop(s.organization(OTHER).numbered_members("auth0|m", 10)));
    let failing = world.fake.fault(Fault::status(503).on(Kind::GetMembers).page(2).times(2));
    let mut walk = Vec::new();
    let mut from = String::new();
    for _ in 0..6 {
        let (status, page) = world.get(&format!("{}?take=3{from}", members(OTHER))).await;
        walk.push(status);
        if let Some(next) = page["next"].as_str() {
            from = format!("&from={next}");
        }
    }
    assert_eq!(walk, [200, 200, 503, 503, 200, 200]);
    failing.remove();
    // The same page again in another walk, and by its number.
    world.fake.fault(Fault::html(502).on_reads().page(1));
    for (query, status) in [("take=3", 200), ("per_page=3&page=1", 502), ("per_page=3&page=2", 200), ("page=0", 200)] {
        let answer = world.request(Method::GET, &format!("{}?{query}", members(OTHER))).send().await.unwrap();
        assert_eq!(answer.status(), status, "{query}");
    }
    assert_eq!(world.fake.calls().last().unwrap().page, Some(0));
    assert_eq!(world.get(&user(JANE, "")).await.0, 200);
}

#[tokio::test]
async fn errors_have_any_code_and_genuine_answers_any_type_in_a_field() {
    let world = World::new().await;
    world.fake.fault(Fault::problem(409, Some("odd"), "So it is.").once());
    let answer = taken(remove(&world).await.unwrap()).await;
    assert_eq!((code(&answer), &answer.1["message"]), ((409, "odd"), &json!("So it is.")));
    world.fake.fault(Fault::none().field("error", json!({})).field("statusCode", json!("404")).once());
    let (status, body) = world.get(&user("auth0|x", "")).await;
    assert_eq!((status, &body["error"], &body["statusCode"]), (404, &json!({}), &json!("404")));
    assert_eq!((&body["errorCode"], &body["message"]), (&json!("inexistent_user"), &json!("The user does not exist.")));
    world.fake.fault(Fault::none().field("error", json!({})).once());
    assert_eq!(world.get(&user(JANE, "/roles")).await.1.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn bodies_drip_break_off_and_swell() {
    let world = World::new().await;
    // Over HTTP/1.1 the bytes before the break certainly arrive.
    let client = builder(&world.fake).http1_only().build().unwrap();
    let world = World { client, ..world };
    let get = || world.request(Method::GET, &user(JANE, "/roles"));
    let whole = get().send().await.unwrap().text().await.unwrap();
    let once = |fault: Fault| world.fake.fault(fault.once());
    once(Fault::drip(Duration::from_micros(10)));
    assert_eq!(get().send().await.unwrap().text().await.unwrap(), whole);
    once(Fault::drip(Duration::from_secs(1)));
    assert!(get().timeout(SOON).send().await.unwrap().bytes().await.unwrap_err().is_timeout());
    once(Fault::truncate());
    let cut = get().send().await.unwrap();
    assert_eq!(cut.content_length(), Some(whole.len() as u64));
    assert!(cut.bytes().await.is_err());
    once(Fault::huge_body(2_000_000));
    let huge = get().send().await.unwrap();
    assert_eq!(huge.content_length(), Some(2_000_000 + whole.len() as u64));
    assert_eq!(huge.text().await.unwrap().trim_start(), whole);
    once(Fault::endless_body());
    let mut endless = get().send().await.unwrap();
    let mut seen = 0;
    while seen < 3_000_000 {
        seen += endless.chunk().await.unwrap().unwrap().len();
    }
    drop(endless);
    once(Fault::truncate());
    assert!(remove(&world).await.unwrap().bytes().await.is_err());
    assert!(removed(&world));
}

#[tokio::test]
async fn headers_lie_repeat_and_vanish() {
    let world = World::new().await;
    world.fake.limit(fake_auth0::Group::UsersWrite, fake_auth0::Bucket::once(100));
    let values = |answer: &Response, name: &str| -> Vec<String> {
        answer.headers().get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into()).collect()
    };
    let lies = Fault::none()
        .header("X-RateLimit-Reset", "NaN")
        .header("X-RateLimit-Remaining", "5")
        .header("X-RateLimit-Remaining", "-1")
        .without_header("X-RateLimit-Limit")
        .without_header("Date");
    let lying = world.fake.fault(lies);
    let answer = remove(&world).await.unwrap();
    assert_eq!(answer.status(), 204);
    assert_eq!(values(&answer, "x-ratelimit-reset"), ["NaN"]);
    assert_eq!(values(&answer, "x-ratelimit-remaining"), ["5", "-1"]);
    assert_eq!((values(&answer, "x-ratelimit-limit").len(), values(&answer, "date").len()), (0, 0));
    lying.remove();
    let answer = remove(&world).await.unwrap();
    assert_eq!((values(&answer, "x-ratelimit-limit"), values(&answer, "date").len()), (vec!["100".to_owned()], 1));
}

#[tokio::test]
async fn a_delayed_answer_comes_late() {
    let world = World::new().await;
    world.fake.fault(Fault::delay(SOON).once());
    let began = std::time::Instant::now();
    assert_eq!(remove(&world).await.unwrap().status(), 204);
    assert!(began.elapsed() >= SOON);
}

#[tokio::test]
async fn a_wait_for_calls_times_out_with_the_calls_so_far() {
    let world = World::new().await;
    remove(&world).await.unwrap();
    let tired = world.fake.wait_for(|calls| calls.len() > 1, Duration::from_millis(10)).await.unwrap_err();
    assert!(tired.to_string().contains("DELETE /api/v2/users/"), "{tired}");
    world.fake.wait_for_count(Kind::DeleteUserRoles, 1, SOON).await.unwrap();
    world.fake.reset_calls();
    assert_eq!((world.fake.calls().len(), world.fake.total()), (0, 0));
    world.fake.counts_only(true);
    remove(&world).await.unwrap();
    assert_eq!((world.fake.calls().len(), world.fake.total()), (0, 1));
}
