//! Connections: versions, certificates, and networks that fail before the first byte.

use std::time::Duration;

use fake_auth0::{FakeAuth0, Network};
use reqwest::{Method, Version};

use crate::world::*;

#[tokio::test]
async fn both_versions_and_both_names_work() {
    let world = World::new().await;
    for (client, version) in
        [(builder(&world.fake), Version::HTTP_2), (builder(&world.fake).http1_only(), Version::HTTP_11)]
    {
        let client = client.build().unwrap();
        for host in ["localhost".to_owned(), "127.0.0.1".to_owned()] {
            let url = format!("https://{host}:{}{}", world.fake.address().port(), user(JANE, ""));
            let answer = client.get(url).bearer_auth(&world.token).send().await.unwrap();
            assert_eq!((answer.status().as_u16(), answer.version()), (200, version));
        }
    }
}

#[tokio::test]
async fn tenants_are_apart() {
    let (one, other) = (World::new().await, FakeAuth0::start().await);
    assert_ne!(one.fake.domain(), other.domain());
    assert!(other.state().user(JANE).is_none());
    assert_eq!(one.get(&user(JANE, "")).await.0, 200);
    assert_eq!((one.fake.total(), other.total()), (1, 0));
}

#[tokio::test]
async fn a_dropped_tenant_is_gone() {
    let World { fake, client, .. } = World::new().await;
    let (clone, url) = (fake.clone(), fake.url("/"));
    drop(fake);
    assert_eq!(client.get(&url).send().await.unwrap().status(), 404);
    drop(clone);
    assert!(client.get(&url).send().await.is_err());
}

#[tokio::test]
async fn networks_fail_as_chosen_and_recover() {
    let world = World::new().await;
    for network in [Network::Closing, Network::Silent, Network::Untrusted, Network::WrongHost] {
        world.fake.network(network);
        let patience = Duration::from_millis(if network == Network::Silent { 300 } else { 20_000 });
        let failed = world.request(Method::GET, &user(JANE, "")).timeout(patience).send().await.unwrap_err();
        assert_eq!(failed.is_timeout(), network == Network::Silent, "{network:?}: {failed:?}");
    }
    assert_eq!(world.fake.total(), 0);
    world.fake.network(Network::Up);
    assert_eq!(world.get(&user(JANE, "")).await.0, 200);
    assert!(world.fake.connections().0 >= 5);
}

#[tokio::test]
async fn all_connections_can_be_cut() {
    let world = World::new().await;
    let held = world.fake.fault(fake_auth0::Fault::hang());
    let (outcome, ()) = tokio::join!(world.request(Method::GET, &user(JANE, "")).send(), async {
        held.arrived().await;
        world.fake.network(Network::Closing);
        world.fake.cut_connections();
    });
    assert!(outcome.is_err());
    world.fake.wait_for(|_| world.fake.in_flight() == 0, Duration::from_secs(5)).await.unwrap();
}
