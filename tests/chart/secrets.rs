//! The operator can read Secrets only where the values say.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::cluster::{client, namespace, start, wait_until_allowed};
use crate::helm::{NAMESPACE, objects, of_kind, only, stream};
use crate::operator::Operator;
use crate::tenant::{all_removed, connect, remove_one_of_each, tenant};

/// The namespaces in which a rule on Secrets is granted; `*` stands for all.
fn readable(objects: &[Value]) -> BTreeSet<String> {
    let roles = of_kind(objects, "Role").into_iter().chain(of_kind(objects, "ClusterRole"));
    let about_secrets = |role: &&Value| role["rules"].to_string().contains("secrets");
    roles.filter(about_secrets).map(|role| role["metadata"]["namespace"].as_str().unwrap_or("*").to_owned()).collect()
}

#[test]
fn secrets_are_granted_where_the_values_say() {
    for (sets, expected) in [
        (&[][..], &[NAMESPACE][..]),
        (&["secretNamespaces={one,two}"], &["one", "two"]),
        (&["secretNamespaces={one}", "clusterTenants.enabled=true"], &["one", NAMESPACE]),
        (&["secretNamespaces={*}"], &["*"]),
        (&["watchNamespaces={one,two}"], &["one", "two"]),
        (&["watchNamespaces={one,two}", "secretNamespaces={two}"], &["two"]),
    ] {
        let found = readable(&objects(sets));
        assert_eq!(found, expected.iter().map(|name| (*name).to_owned()).collect(), "{sets:?}");
    }
}

/// The operator watches objects everywhere and Secrets in one namespace, with no more rights than that needs.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_operator_for_the_cluster_reads_secrets_in_one_namespace() {
    // An operator for the whole cluster would interfere with other tests.
    let plane = start();
    for name in [NAMESPACE, "people", "others"] {
        namespace(&plane, name);
    }
    let objects = objects(&["secretNamespaces={people}"]);
    plane.apply(&stream(of_kind(&objects, "CustomResourceDefinition"))).unwrap();
    plane.run(&["wait", "--for=condition=Established", "crd", "--all"]).unwrap();
    plane.apply(&stream(&objects)).unwrap();
    let account = format!("system:serviceaccount:{NAMESPACE}:rescind");
    wait_until_allowed(&plane, &account, "list", "userrolerevocations.rescind.dev", &["--all-namespaces"]);
    wait_until_allowed(&plane, &account, "create", "events.events.k8s.io", &["--all-namespaces"]);
    wait_until_allowed(&plane, &account, "watch", "secrets", &["-n", "people"]);
    wait_until_allowed(&plane, &account, "create", "leases.coordination.k8s.io", &["-n", NAMESPACE]);
    let others = format!("--as={account}");
    let others = plane.kubectl(&["auth", "can-i", "list", "secrets", "-n", "others", &others]).unwrap();
    assert_eq!(String::from_utf8(others.stdout).unwrap().trim(), "no");

    let fake = tenant(0).await;
    let deployment = only(&objects, "Deployment");
    let mut operator = Operator::start(&plane, deployment, &[("--allowed-domains", fake.domain())]).await;
    operator.ready().await;
    connect(&plane, "people", &fake);
    connect(&plane, "others", &fake);
    remove_one_of_each(&plane, "people");
    all_removed(&client(&plane).await, "people").await;
    let unread = "--for=jsonpath={.status.conditions[?(@.type==\"Ready\")].reason}=NamespaceNotAllowed";
    plane.run(&["wait", "-n", "others", "a0t/default", unread, "--timeout=30s"]).unwrap();

    let log = operator.log();
    let relay = operator.stop().await;
    assert!(relay.refused().is_empty(), "{:?}\n{log}", relay.refused());
    let secrets: BTreeSet<_> =
        relay.requests().into_iter().filter(|r| r.right.resource == "secrets").map(|r| r.namespace).collect();
    assert_eq!(secrets, BTreeSet::from([Some("people".to_owned())]));
}
