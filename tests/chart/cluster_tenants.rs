//! The operator with the rights that the chart grants for `ClusterAuth0Tenant`: they suffice, and it uses each one.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::cluster::{client, namespace, start, wait_until_allowed};
use crate::fixtures::{secret, tenant_spec};
use crate::helm::{NAMESPACE, objects, of_kind, only, render, stream};
use crate::operator::Operator;
use crate::relay::Right;
use crate::tenant::{REMOVALS, all_removed, limit, remove_one_of_each_by, tenant};

/// The rights of the operator that are about `resource`.
fn verbs(objects: &[Value], resource: &str) -> BTreeSet<String> {
    let roles = of_kind(objects, "ClusterRole").into_iter().filter(|role| role["metadata"]["name"] == "rescind");
    let rules = roles.flat_map(|role| role["rules"].as_array().unwrap());
    let about = rules.filter(|rule| rule["resources"].as_array().unwrap().contains(&json!(resource)));
    about.flat_map(|rule| rule["verbs"].as_array().unwrap()).map(|verb| verb.as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_rights_come_with_the_kind() {
    for (sets, served) in [
        (&[][..], true),
        (&["secretNamespaces={*}"], true),
        (&["secretNamespaces={one}"], false),
        (&["watchNamespaces={one}"], false),
        (&["clusterTenants.enabled=false"], false),
        (&["secretNamespaces={one}", "clusterTenants.enabled=true"], true),
    ] {
        let objects = objects(sets);
        let reads = if served { BTreeSet::from(["get", "list", "watch"].map(str::to_owned)) } else { BTreeSet::new() };
        assert_eq!(verbs(&objects, "namespaces"), reads, "{sets:?}");
        assert_eq!(verbs(&objects, "clusterauth0tenants"), reads, "{sets:?}");
        assert_eq!(verbs(&objects, "clusterauth0tenants/status").len(), usize::from(served), "{sets:?}");
        let text = only(&objects, "Deployment").to_string();
        assert!(text.contains(&format!("--cluster-tenants={served}")), "{sets:?}");
        let roles = of_kind(&objects, "Role").into_iter();
        let of_tenants = roles.filter(|role| role.to_string().contains("clusterauth0tenants")).count();
        assert_eq!(of_tenants, 0, "{sets:?}: a Role cannot grant them");
    }
    let sets = ["watchNamespaces={one}", "clusterTenants.enabled=true"];
    let refused = render(&crate::helm::chart(), NAMESPACE, &sets).unwrap_err().to_string();
    assert!(refused.contains("leave watchNamespaces empty"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_rights_granted_for_cluster_tenants_are_those_used() {
    // An operator for the whole cluster would interfere with other tests.
    let plane = start();
    for name in [NAMESPACE, "one", "people"] {
        namespace(&plane, name);
    }
    let objects = objects(&["secretNamespaces={one}", "clusterTenants.enabled=true"]);
    plane.apply(&stream(of_kind(&objects, "CustomResourceDefinition"))).unwrap();
    plane.run(&["wait", "--for=condition=Established", "crd", "--all"]).unwrap();
    plane.apply(&stream(&objects)).unwrap();
    let account = format!("system:serviceaccount:{NAMESPACE}:rescind");
    wait_until_allowed(&plane, &account, "list", "clusterauth0tenants.rescind.dev", &[]);
    wait_until_allowed(&plane, &account, "watch", "namespaces", &[]);
    wait_until_allowed(&plane, &account, "watch", "secrets", &["-n", NAMESPACE]);
    wait_until_allowed(&plane, &account, "watch", "secrets", &["-n", "one"]);
    wait_until_allowed(&plane, &account, "create", "events.events.k8s.io", &["--all-namespaces"]);
    wait_until_allowed(&plane, &account, "create", "leases.coordination.k8s.io", &["-n", NAMESPACE]);

    let fake = tenant(0).await;
    REMOVALS.iter().for_each(|(_, kind)| limit(&fake, *kind));
    let mut spec = tenant_spec(&fake);
    spec["allowedNamespaces"] = json!({"matchLabels": {"kubernetes.io/metadata.name": "people"}});
    let cluster = json!({
        "apiVersion": "rescind.dev/v1alpha1", "kind": "ClusterAuth0Tenant", "metadata": {"name": "default"},
        "spec": spec,
    });
    plane.apply(&stream(&[secret(NAMESPACE, &fake), cluster])).expect("a tenant");
    let deployment = only(&objects, "Deployment");
    let mut operator = Operator::start(&plane, deployment, &[("--allowed-domains", fake.domain())]).await;
    operator.ready().await;
    remove_one_of_each_by(&plane, "people", "ClusterAuth0Tenant");
    all_removed(&client(&plane).await, "people").await;

    let log = operator.log();
    let relay = operator.stop().await;
    assert!(relay.refused().is_empty(), "{:?}\n{log}", relay.refused());
    let used: BTreeSet<Right> = relay.requests().into_iter().map(|request| request.right).collect();
    for resource in ["namespaces", "clusterauth0tenants", "clusterauth0tenants/status"] {
        let verbs_used = used.iter().filter(|right| right.resource == resource).map(|right| right.verb.clone());
        assert_eq!(verbs_used.collect::<BTreeSet<_>>(), verbs(&objects, resource), "{resource}");
    }
}
