//! Values for what differs between clusters: address families, DNS and API ports, user ids, several releases.

use serde_json::{Value, json};

use crate::helm::{NAMESPACE, chart, helm, objects, of_kind, only, refusal, said};

fn pod(objects: &[Value]) -> &Value {
    &only(objects, "Deployment")["spec"]["template"]["spec"]
}

fn flag<'a>(objects: &'a [Value], name: &str) -> Option<&'a str> {
    let args = pod(objects)["containers"][0]["args"].as_array().unwrap();
    args.iter().find_map(|arg| arg.as_str().unwrap().strip_prefix(name)?.strip_prefix('='))
}

/// Probes, the Service and the monitors follow, because they name the ports.
#[test]
fn the_addresses_of_probes_and_metrics_are_values() {
    let objects = objects(&["metrics.bindAddress=0.0.0.0:9090", "probes.bindAddress=[::]:9091"]);
    assert_eq!(flag(&objects, "--metrics-bind-address"), Some("0.0.0.0:9090"));
    assert_eq!(flag(&objects, "--health-probe-bind-address"), Some("[::]:9091"));
    let ports = json!([
        {"name": "metrics", "containerPort": 9090, "protocol": "TCP"},
        {"name": "probes", "containerPort": 9091, "protocol": "TCP"},
    ]);
    assert_eq!(pod(&objects)["containers"][0]["ports"], ports);
    for wrong in ["localhost:8081", "8081", "::1:8081"] {
        let words = refusal(&[&format!("probes.bindAddress={wrong}")]);
        assert!(words.contains("/probes/bindAddress"), "{wrong}: {words}");
    }
}

/// The ports of the rules for outgoing connections, as `53/UDP`.
fn egress(sets: &[&str]) -> Vec<Vec<String>> {
    let objects = objects(&[&["networkPolicy.enabled=true"], sets].concat());
    let port = |port: &Value| format!("{}/{}", port["port"], port["protocol"].as_str().unwrap());
    let ports = |rule: &Value| rule["ports"].as_array().unwrap().iter().map(port).collect();
    only(&objects, "NetworkPolicy")["spec"]["egress"].as_array().unwrap().iter().map(ports).collect()
}

#[test]
fn the_network_policy_lets_dns_and_the_api_server_through() {
    let default = [vec!["53/UDP", "53/TCP", "5353/UDP", "5353/TCP"], vec!["443/TCP", "6443/TCP"]];
    assert_eq!(egress(&[]), default);
    let sets = ["networkPolicy.dnsPorts={1053}", "networkPolicy.egressPorts={443,16443}"];
    assert_eq!(egress(&sets), [vec!["1053/UDP", "1053/TCP"], vec!["443/TCP", "16443/TCP"]]);
}

/// OpenShift gives each namespace a range of user ids and refuses a pod that chooses its own.
#[test]
fn on_openshift_the_platform_chooses_the_ids() {
    let sets = ["openshift=true", "podSecurityContext.fsGroup=1", "securityContext.runAsUser=2"];
    let objects = objects(&sets);
    let pod = pod(&objects);
    assert_eq!(pod["securityContext"], json!({"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}}));
    let container = json!({
        "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]},
    });
    assert_eq!(pod["containers"][0]["securityContext"], container);
}

/// Several releases, also in one namespace, each have their own Lease and the right to no other.
#[test]
fn each_release_has_a_lease() {
    let lease = |release: &str, sets: &[&str]| {
        let path = chart();
        let mut command = helm(&["template", release, path.to_str().unwrap(), "-n", NAMESPACE]);
        command.args(["--set", "crds.enabled=false"]).args(sets.iter().flat_map(|set| ["--set", set]));
        let objects = crate::helm::documents(&said(command.output().unwrap()).unwrap());
        let name = flag(&objects, "--lease-name").map(str::to_owned);
        let roles = of_kind(&objects, "Role");
        let mut rules = roles.iter().flat_map(|role| role["rules"].as_array().unwrap());
        let granted = rules.find(|rule| !rule["resourceNames"].is_null());
        assert_eq!(granted.map(|rule| &rule["resourceNames"]), name.as_ref().map(|name| json!([name])).as_ref());
        name
    };
    assert_eq!(lease("rescind", &[]).as_deref(), Some("rescind"));
    assert_eq!(lease("a", &[]).as_deref(), Some("a-rescind"));
    assert_eq!(lease("a", &["fullnameOverride=taker"]).as_deref(), Some("taker"));
    assert_eq!(lease("a", &["leaderElection.leaseName=rescind-leader"]).as_deref(), Some("rescind-leader"));
    let alone = ["leaderElection.enabled=false", "replicas=1", "strategy.type=Recreate"];
    assert_eq!(lease("a", &alone), None);
    assert!(refusal(&["leaderElection.leaseName=A"]).contains("/leaderElection/leaseName"));
}
