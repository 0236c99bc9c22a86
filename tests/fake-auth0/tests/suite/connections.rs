//! Connections that break before or within an answer, or say that a call was not processed.

use std::{error::Error, time::Duration};

use fake_auth0::{Fault, FaultHandle, Kind};
use reqwest::{Method, Response};
use serde_json::json;

use crate::world::*;

/// With a client that does not retry, so that every failure is visible.
async fn world(http1: bool) -> World {
    let world = World::new().await;
    let builder = builder(&world.fake).retry(reqwest::retry::never());
    let client = if http1 { builder.http1_only() } else { builder }.build().unwrap();
    World { client, ..world }
}

async fn remove(world: &World, role: &str) -> reqwest::Result<Response> {
    world.request(Method::DELETE, &user(JANE, "/roles")).json(&json!({"roles": [role]})).send().await
}

/// The HTTP/2 error code of a failed call.
fn reason(error: &reqwest::Error) -> Option<h2::Reason> {
    let mut source: Option<&(dyn Error + 'static)> = error.source();
    while let Some(error) = source {
        if let Some(h2) = error.downcast_ref::<h2::Error>() {
            return h2.reason();
        }
        source = error.source();
    }
    None
}

#[tokio::test]
async fn a_refused_stream_was_not_processed_and_leaves_the_others_alone() {
    let world = world(false).await;
    let held = world.fake.fault(Fault::hold_answer().body_names(EDITOR).once());
    world.fake.fault(Fault::refuse_stream().once());
    let (one, other) = tokio::join!(remove(&world, EDITOR), async {
        held.arrived().await;
        let refused = remove(&world, ADMIN).await.unwrap_err();
        held.release();
        refused
    });
    assert_eq!(reason(&other), Some(h2::Reason::REFUSED_STREAM));
    assert_eq!(one.unwrap().status(), 204);
    assert!(world.fake.state().has_role(JANE, ADMIN));
    assert_eq!((world.fake.connections().0, world.fake.deletes()[1].status()), (1, None));
}

async fn go_away(world: &World, held: &FaultHandle, say: impl AsyncFnOnce()) {
    let (begun, ()) = tokio::join!(remove(world, EDITOR), async {
        held.arrived().await;
        say().await;
        // Later calls come over another connection, and the call that was begun is still answered.
        let later = world.request(Method::GET, &user(JANE, "")).send().await.unwrap();
        assert_eq!(later.status(), 200);
        held.release();
    });
    assert_eq!(begun.unwrap().status(), 204);
    assert!(!world.fake.state().has_role(JANE, EDITOR));
}

#[tokio::test]
async fn a_goaway_names_the_call_before_it_as_the_last() {
    let world = world(false).await;
    let held = world.fake.fault(Fault::hold_answer().body_names(EDITOR).once());
    world.fake.fault(Fault::go_away().on(Kind::DeleteUserRoles).once());
    go_away(&world, &held, async || {
        let gone = remove(&world, ADMIN).await.unwrap_err();
        assert_eq!(reason(&gone), Some(h2::Reason::NO_ERROR), "{gone:?}");
    })
    .await;
    assert!(world.fake.state().has_role(JANE, ADMIN));
    assert_eq!(world.fake.connections().0, 2);
}

#[tokio::test]
async fn a_goaway_without_a_fault_ends_every_connection_gracefully() {
    let world = world(false).await;
    let held = world.fake.fault(Fault::hold_answer().body_names(EDITOR).once());
    go_away(&world, &held, async || {
        world.fake.go_away();
        // The client may not have read the GOAWAY yet; what it sends meanwhile is not processed.
        while world.fake.connections().0 < 2 {
            if let Err(gone) = remove(&world, ADMIN).await {
                assert_eq!(reason(&gone), Some(h2::Reason::NO_ERROR), "{gone:?}");
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_goaway_in_the_middle_of_many_calls_loses_none_of_those_that_were_begun() {
    let world = world(false).await;
    world.fake.edit(|s| drop(s.organization(ACME).numbered_members("auth0|m", 200)));
    world.fake.fault(Fault::go_away().skip(50).every(50).times(3));
    let one = async |number: usize| {
        let body = json!({"members": [format!("auth0|m{number:05}")]});
        let sent = world.request(Method::DELETE, &members(ACME)).json(&body).send().await;
        (number, sent.map(|answer| answer.status().as_u16()))
    };
    let outcomes = futures::future::join_all((0..200).map(one)).await;
    let mut unprocessed = 0;
    for (number, outcome) in outcomes {
        let removed = !world.fake.state().is_member(ACME, &format!("auth0|m{number:05}"));
        match outcome {
            Ok(status) => assert_eq!((status, removed), (204, true)),
            Err(error) => {
                // Under load hyper may drop calls together with a connection before it reads why that ends.
                let reason = reason(&error);
                let is_said = matches!(reason, Some(h2::Reason::NO_ERROR | h2::Reason::REFUSED_STREAM));
                assert!(is_said || format!("{error:?}").contains("DispatchGone"), "{error:?}");
                assert!(!removed, "{number} was processed although it was said not to be");
                unprocessed += 1;
            }
        }
    }
    assert!(unprocessed >= 3, "{unprocessed}");
}

#[tokio::test]
async fn without_streams_the_connection_is_closed() {
    for fault in [Fault::refuse_stream(), Fault::go_away()] {
        let world = world(true).await;
        world.fake.fault(fault.once());
        assert!(remove(&world, ADMIN).await.is_err());
        assert!(world.fake.state().has_role(JANE, ADMIN));
        assert_eq!(remove(&world, ADMIN).await.unwrap().status(), 204);
    }
}

#[tokio::test]
async fn an_answer_can_break_after_any_byte() {
    let world = world(true).await;
    let get = || world.request(Method::GET, &user(JANE, "/roles"));
    let whole = get().send().await.unwrap().bytes().await.unwrap();
    for bytes in [0, 1, 30, whole.len() - 1, 1_000_000] {
        world.fake.fault(Fault::cut_after(bytes).once());
        let mut answer = get().send().await.unwrap();
        assert_eq!(answer.content_length(), Some(whole.len() as u64));
        let mut seen = Vec::new();
        let broken = loop {
            match answer.chunk().await {
                Ok(Some(chunk)) => seen.extend(chunk),
                Ok(None) => break false,
                Err(_) => break true,
            }
        };
        assert!(broken);
        assert_eq!(seen, whole[..bytes.min(whole.len() - 1)]);
    }
    world.fake.fault(Fault::drop_connection().once());
    let error = tokio::time::timeout(Duration::from_secs(5), get().send()).await.unwrap().unwrap_err();
    assert!(error.status().is_none());
}
