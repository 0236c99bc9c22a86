//! What may stand between the operator and Auth0: proxies, connections that end early, one address family, and names
//! that cannot be resolved. Each is named in a status, and nothing is lost. (Filters that answer in the place of
//! Auth0: tests/e2e/answers.rs.)

#![allow(clippy::print_stderr, reason = "a skipped test says why")]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fake_auth0::{FakeAuth0, Fault, Kind, Network, State};
use futures::{StreamExt, TryStreamExt};
use kube::runtime::{WatchStreamExt, watcher};
use rescind::api::{Auth0Tenant, ConditionType, UserRoleRevocation};
use serde_json::json;

use crate::connect_proxy::{ConnectProxy, Inspector, Manner};
use crate::harness::*;
use crate::metrics::{address, scrape};
use crate::process::{HostFiles, Process};

/// The operator as a process that reaches Auth0 through this proxy. The API server is on this host, so it is reached
/// directly.
fn behind(env: &Environment, proxy: String) -> Process {
    let watched = ["--watch-namespaces", &env.namespace, "--namespace", &env.namespace, "--log-level", "trace"];
    let more = ["--health-probe-bind-address", "0", "--allowed-domains", env.fake.domain()];
    let variables = [("HTTPS_PROXY", proxy), ("NO_PROXY", String::new())];
    Process::run_with(env.plane.kubeconfig_path(), &[&watched[..], &more].concat(), &variables)
}

/// Waits until the tenant object says that Auth0 cannot be reached, and why.
async fn unreachable(env: &Environment, words: &str) {
    let says = |tenant: &Auth0Tenant| {
        let ready = tenant.status.as_ref().and_then(|status| status.condition(ConditionType::Ready));
        ready.is_some_and(|ready| ready.message.contains(words))
    };
    env.wait("default", says).await;
    assert_eq!(env.fake.total(), 0, "nothing was sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_is_passed_with_its_password_and_never_shown_one() {
    let env = Environment::new("proxy").await;
    let proxy = ConnectProxy::start(Manner { password: Some("corp:p@ss:word"), ..Manner::default() }).await;
    let mut operator = behind(&env, proxy.url("corp:canary@"));
    env.put::<UserRoleRevocation>("jane", roles(USER)).await;
    unreachable(&env, "(407); correct them in the URL of HTTPS_PROXY").await;
    assert_eq!(operator.terminate().await, Some(0));
    assert!(!operator.log().contains("canary"));
    proxy.asked();
    let _operator = behind(&env, proxy.url("corp:p%40ss%3Aword@"));
    env.reason::<UserRoleRevocation>("jane", "Removed").await;
    let connect = format!("CONNECT {} HTTP/1.1", env.fake.domain());
    let asked = proxy.asked();
    assert!(!asked.is_empty() && asked.iter().all(|line| *line == connect), "{asked:?}");
}

/// As a proxy does that cannot resolve the name, or that has the domain on no list.
#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_does_not_connect_is_named_until_it_does() {
    let env = Environment::new("proxy-dns").await;
    let proxy = ConnectProxy::start(Manner { refusal: Some("503 Service Unavailable"), ..Manner::default() }).await;
    let _operator = behind(&env, proxy.url(""));
    env.put::<UserRoleRevocation>("jane", roles(USER)).await;
    unreachable(&env, "the proxy of HTTPS_PROXY made no connection to the domain").await;
    proxy.set(Manner::default());
    env.reason::<UserRoleRevocation>("jane", "Removed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_is_not_there_is_named() {
    for url in ["http://127.0.0.1:1", "socks5://127.0.0.1:1"] {
        let env = Environment::new("proxy-gone").await;
        let _operator = behind(&env, url.to_owned());
        env.put::<UserRoleRevocation>("jane", roles(USER)).await;
        unreachable(&env, "no connection to the proxy could be made; check the address in HTTPS_PROXY").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_inspects_tls_needs_its_authority_in_the_bundle() {
    let env = Environment::new("inspected").await;
    let inspector = Inspector::of(&env.fake);
    let proxy = ConnectProxy::start(Manner { inspector: Some(inspector.clone()), ..Manner::default() }).await;
    env.put_tenant(json!({"caBundle": null})).await;
    let _operator = behind(&env, proxy.url(""));
    env.put::<UserRoleRevocation>("jane", roles(USER)).await;
    unreachable(&env, "a proxy that inspects TLS, has a CA of its own, set spec.caBundle").await;
    env.put_tenant(json!({})).await;
    unreachable(&env, "the bundle replaces the system's authorities, so add the one").await;
    env.put_tenant(json!({"caBundle": inspector.ca_base64()})).await;
    env.reason::<UserRoleRevocation>("jane", "Removed").await;
}

/// A name that does not resolve at first; and the hosts file, where `hostAliases` of a pod go, is asked before DNS.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_resolves_only_later() {
    let Some(files) = HostFiles::new("127.0.0.1 elsewhere\n") else { return };
    let env = Environment::new("dns").await;
    let _operator = Process::start_on(&env, &files);
    env.put::<UserRoleRevocation>("jane", roles(USER)).await;
    unreachable(&env, "could not be resolved; check spec.domain and the cluster's DNS").await;
    files.set_hosts("127.0.0.1 localhost\n");
    env.reason::<UserRoleRevocation>("jane", "Removed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_that_has_ipv6_alone() {
    let fake = match FakeAuth0::start_on((std::net::Ipv6Addr::LOCALHOST, 0).into(), State::default()).await {
        Ok(fake) => fake,
        Err(error) => return eprintln!("skipped: no IPv6 on this machine ({error})"),
    };
    let Some(files) = HostFiles::new("::1 localhost\n") else { return };
    fake.no_lag();
    let env = Environment::with(plane(), fake, "ipv6").await;
    let _operator = Process::start_on(&env, &files);
    env.put::<UserRoleRevocation>("jane", roles(USER)).await;
    env.reason::<UserRoleRevocation>("jane", "Removed").await;
}

fn person(n: usize) -> String {
    format!("auth0|person-{n:03}")
}

/// Takes a role from many people, and returns the reasons that their objects showed meanwhile.
async fn remove_from_many(env: &Environment, many: usize) -> BTreeSet<String> {
    env.fake.edit(|tenant| (0..many).for_each(|n| drop(tenant.user(person(n)).role(ROLE))));
    let before = env.fake.state();
    let seen = Arc::<Mutex<BTreeSet<String>>>::default();
    let noted = seen.clone();
    let watched = watcher(env.api::<UserRoleRevocation>(), watcher::Config::default()).applied_objects();
    let watching = tokio::spawn(watched.boxed().try_for_each(move |object| {
        let ready = object.status.as_ref().and_then(|status| status.condition(ConditionType::Ready).cloned());
        noted.lock().unwrap().extend(ready.map(|ready| ready.reason));
        futures::future::ready(Ok(()))
    }));
    let objects = (0..many).map(|n| async move {
        let name = format!("p{n}");
        env.put::<UserRoleRevocation>(&name, roles(&person(n))).await;
        env.reason::<UserRoleRevocation>(&name, "Removed").await;
    });
    futures::stream::iter(objects).buffer_unordered(64).collect::<()>().await;
    watching.abort();
    env.fake.assert_removed_exactly(&before, (0..many).map(|n| fake_auth0::Relation::user_role(&person(n), ROLE)));
    seen.lock().unwrap().clone()
}

/// How many DELETEs were answered for each person, at most.
fn most_answered(env: &Environment, many: usize) -> usize {
    let deletes = env.fake.deletes();
    let answered = |user: String| {
        deletes.iter().filter(|call| call.user.as_ref() == Some(&user) && call.status() == Some(204)).count()
    };
    (0..many).map(|n| answered(person(n))).max().unwrap()
}

/// What this fault, which one DELETE gets, comes to: the calls until the removal ends with this reason, and what its
/// status and the metrics say.
async fn after(fault: Fault, goodbye: bool, calls: &[&str], reason: &str) {
    let (env, metrics) = (Environment::new("unprocessed").await, address());
    let fault = env.fake.fault(fault.on(Kind::DeleteUserRoles).once());
    let operator = env.operator_with(|settings| {
        settings.timeouts.read = Duration::from_secs(20);
        settings.timeouts.total = Duration::from_secs(20);
        settings.metrics_address = Some(metrics.into());
    });
    let operator = operator.await;
    env.put::<UserRoleRevocation>("jane", roles(USER)).await;
    within(fault.arrived()).await;
    if goodbye {
        // The call is in flight, so the GOAWAY names it as the last one.
        env.fake.go_away();
    }
    fault.release();
    let status = env.reason::<UserRoleRevocation>("jane", reason).await;

    let told = |call: &Arc<fake_auth0::Call>| {
        format!("{} {}", call.method, call.status().map_or("unanswered".to_owned(), |status| status.to_string()))
    };
    assert_eq!(env.fake.calls().iter().map(told).collect::<Vec<_>>(), calls, "{fault:?}");
    let not_processed = calls[..2] == ["DELETE unanswered", "DELETE 204"];
    let processed = env.fake.deletes().iter().filter(|call| call.status() == Some(204)).count();
    let ended = scrape(metrics).await;
    let ended = |outcome| {
        let deletes = [("method", "DELETE"), ("path", "users/{id}/roles"), ("outcome", outcome)];
        ended.value("rescind_auth0_calls_total", &deletes)
    };
    let expected = if not_processed { (1.0, 0.0) } else { (0.0, 1.0) };
    assert_eq!((ended("not_processed"), ended("unavailable")), expected, "{calls:?}");
    let message = &status.condition(ConditionType::Ready).unwrap().message;
    assert_eq!(message.contains("may have removed"), reason == "AlreadyAbsent", "{message}");
    if not_processed {
        assert_eq!(processed, 1);
        assert_eq!((status.attempts, status.result.unwrap().accepted), (None, 1));
        assert_eq!(operator.removal_writes(), 1, "nothing but the verdict was worth a word");
    }
    operator.stop().await;
}

/// A DELETE of which the server says that it did not process it is sent again at once. An answer that is lost is
/// another thing: the DELETE may have worked, so the list is read first.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_processed_is_sent_again_and_a_lost_answer_is_read_first() {
    const AGAIN: [&str; 3] = ["DELETE unanswered", "DELETE 204", "GET 200"];
    const READ_FIRST: [&str; 4] = ["DELETE unanswered", "GET 200", "DELETE 204", "GET 200"];
    tokio::join!(
        after(Fault::go_away().held(), false, &AGAIN, "Removed"),
        after(Fault::refuse_stream().held(), false, &AGAIN, "Removed"),
        after(Fault::hang(), false, &READ_FIRST, "Removed"),
        after(Fault::hang(), true, &READ_FIRST, "Removed"),
        after(Fault::act_then_drop(), false, &READ_FIRST[..2], "AlreadyAbsent"),
        after(Fault::act_then_hang(), true, &READ_FIRST[..2], "AlreadyAbsent"),
    );
}

/// The object is suspended while its DELETE is in flight, and no watch has told that when the server says that it did
/// not process the DELETE: the check before it is sent again asks the API server.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_processed_is_checked_again_before_it_is_sent_again() {
    let (env, injector, metrics) = (Environment::new("goodbye").await, FaultInjector::default(), address());
    // Longer than a cache is trusted without news.
    let held = Duration::from_millis(1500);
    let goodbye = env.fake.fault(Fault::go_away().delayed(held).held().on(Kind::DeleteUserRoles).once());
    let operator = env.operator_through(injector.clone(), |settings| {
        settings.timeouts.read = Duration::from_secs(20);
        settings.timeouts.total = Duration::from_secs(20);
        settings.metrics_address = Some(metrics.into());
    });
    let _operator = operator.await;
    env.put::<UserRoleRevocation>("jane", roles(USER)).await;
    within(goodbye.arrived()).await;
    injector.hide("jane");
    env.change::<UserRoleRevocation>("jane", json!({"suspend": true})).await;
    goodbye.release();
    let refused = [("cause", "object_changed")];
    within(async { while scrape(metrics).await.value("rescind_preflight_refusals_total", &refused) < 1.0 {} }).await;
    injector.hide("another");
    env.change::<UserRoleRevocation>("jane", json!({"ifNotFound": "Ignore"})).await;
    env.reason::<UserRoleRevocation>("jane", "Suspended").await;
    assert_eq!(env.fake.total(), 1, "{:?}", env.calls());

    // It was never processed, so nothing has to be read before the DELETE.
    env.change::<UserRoleRevocation>("jane", json!({"suspend": false})).await;
    let status = env.reason::<UserRoleRevocation>("jane", "Removed").await;
    assert_eq!(status.result.unwrap().accepted, 1);
    let kinds: Vec<Kind> = env.fake.calls().iter().map(|call| call.kind).collect();
    assert_eq!(kinds, [Kind::DeleteUserRoles, Kind::DeleteUserRoles, Kind::GetUserRoles]);
}

/// As a balancer does when it is rolled out: the calls of a connection that it did not begin are handed back and sent
/// over another one, and the others are answered.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_says_goodbye_costs_nobody_anything() {
    let env = Environment::new("goaway").await;
    env.fake.fault(Fault::go_away().every(25));
    let _operator = env.operator().await;
    let seen = remove_from_many(&env, 150).await;
    assert!(!seen.contains("Auth0Unavailable"), "{seen:?}");
    assert_eq!(most_answered(&env, 150), 1, "a DELETE that was answered is not sent again");
    assert!(env.fake.connections().0 >= 5, "{:?}", env.fake.connections());
}

/// As some balancers do that end idle connections at once, and do not say so.
#[tokio::test(flavor = "multi_thread")]
async fn connections_that_end_after_each_answer() {
    let env = Environment::new("oneanswer").await;
    env.fake.network(Network::OneAnswer);
    let _operator = env.operator().await;
    let seen = remove_from_many(&env, 60).await;
    assert!(!seen.contains("Auth0Unavailable"), "{seen:?}");
    assert_eq!(most_answered(&env, 60), 1, "a DELETE that was answered is not sent again");
    let (connections, calls) = (env.fake.connections().0, env.fake.total());
    // A call that meets a connection that is just closed is sent again; most never do.
    assert!(connections * 10 >= calls * 9, "{connections} connections for {calls} calls");
}
