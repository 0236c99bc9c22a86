//! The admission policy that enforces who asked (`requester.enforce`): it is what the operator takes for proof, and the
//! rights to see it come with it.

use rescind::revocation::{binding_spec, policy_spec};
use serde_json::{Value, json};

use crate::cluster::{namespace, start, wait_until_allowed};
use crate::helm::{NAMESPACE, objects, of_kind, only, stream};
use crate::operator::Operator;

const GROUP: &str = "admissionregistration.k8s.io";
const RESOURCES: [&str; 2] = ["validatingadmissionpolicies", "validatingadmissionpolicybindings"];

#[test]
fn the_policy_is_the_one_that_the_operator_knows() {
    for (sets, name) in [
        (&["requester.enforce=true"][..], "rescind-requested-by"),
        (&["requester.enforce=true", "fullnameOverride=remover"], "remover-requested-by"),
        (&["requester.enforce=true", "watchNamespaces={a}"], "rescind-requested-by"),
    ] {
        let objects = objects(sets);
        let (policy, binding) =
            (only(&objects, "ValidatingAdmissionPolicy"), only(&objects, "ValidatingAdmissionPolicyBinding"));
        assert_eq!((&policy["metadata"]["name"], &policy["spec"]), (&json!(name), &policy_spec()), "{sets:?}");
        assert_eq!((&binding["metadata"]["name"], &binding["spec"]), (&json!(name), &binding_spec(name)), "{sets:?}");
        let told = only(&objects, "Deployment").to_string().contains(&format!("--requester-policy={name}"));
        assert!(told, "{sets:?}");
        let rules = rules(&objects);
        let expected = json!([{
            "apiGroups": [GROUP], "resources": RESOURCES, "resourceNames": [name], "verbs": ["list", "watch"],
        }]);
        assert_eq!(Value::from(rules), expected, "{sets:?}");
    }
}

#[test]
fn without_the_value_there_is_neither_policy_nor_right() {
    for sets in [&[][..], &["requester.enforce=false"], &["watchNamespaces={a}"]] {
        let objects = objects(sets);
        assert!(!stream(&objects).contains("dmission"), "{sets:?}");
        assert!(!only(&objects, "Deployment").to_string().contains("requester-policy"), "{sets:?}");
    }
    assert!(rules(&objects(&["requester.enforce=true", "rbac.create=false"])).is_empty());
}

/// The rules about admission policies, of all roles.
fn rules(objects: &[Value]) -> Vec<Value> {
    let roles = of_kind(objects, "ClusterRole").into_iter().chain(of_kind(objects, "Role"));
    let rules = roles.flat_map(|role| role["rules"].as_array().unwrap().clone());
    rules.filter(|rule| rule["apiGroups"].as_array().unwrap().contains(&json!(GROUP))).collect()
}

/// It lists and watches both. Without the right to, it is ready all the same, and says what it goes on without.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_operator_that_may_not_see_the_policy_is_ready() {
    let plane = start();
    namespace(&plane, NAMESPACE);
    let objects = objects(&["requester.enforce=true"]);
    plane.apply(&stream(of_kind(&objects, "CustomResourceDefinition"))).unwrap();
    plane.run(&["wait", "--for=condition=Established", "crd", "--all"]).unwrap();
    plane.apply(&stream(&objects)).unwrap();
    let account = format!("system:serviceaccount:{NAMESPACE}:rescind");
    for resource in RESOURCES {
        wait_until_allowed(&plane, &account, "watch", &format!("{resource}.{GROUP}/rescind-requested-by"), &[]);
    }
    let deployment = only(&objects, "Deployment");
    let mut operator = Operator::start(&plane, deployment, &[]).await;
    operator.ready().await;
    for (resource, verb) in RESOURCES.iter().flat_map(|resource| ["list", "watch"].map(|verb| (*resource, verb))) {
        let granted = |request: &crate::relay::Request| {
            request.right.resource == resource && request.right.verb == verb && request.status == 200
        };
        assert!(operator.relay.sees(granted).await, "{verb} {resource}: {}", operator.log());
    }
    let relay = operator.stop().await;
    let about = |request: &&crate::relay::Request| RESOURCES.contains(&request.right.resource.as_str());
    assert!(!relay.refused().iter().any(|request| about(&request)), "{:?}", relay.refused());

    plane.run(&["delete", "clusterrolebinding", "rescind-requester"]).unwrap();
    let may = || {
        let resource = format!("{}.{GROUP}/rescind-requested-by", RESOURCES[0]);
        plane.kubectl(&["auth", "can-i", "list", &resource, &format!("--as={account}")]).unwrap().status.success()
    };
    // Roles take effect a moment after they are written, which cannot be watched.
    while may() {}
    let mut operator = Operator::start(&plane, deployment, &[]).await;
    operator.ready().await;
    for resource in RESOURCES {
        let refused = |request: &crate::relay::Request| request.right.resource == resource && request.status == 403;
        assert!(operator.relay.sees(refused).await, "{}", operator.log());
    }
    operator.ready().await;
    drop(operator.stop().await);
}
