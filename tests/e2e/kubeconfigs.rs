//! The cluster is found as kubectl finds it: several files, an exec plugin, a proxy. (What a proxy is chosen by:
//! src/kubeconfig.rs.) And operators beside each other in one namespace.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use rescind::api::UserRoleRevocation;
use serde_json::{Value, json};

use crate::connect_proxy::{ConnectProxy, Manner};
use crate::harness::*;
use crate::process::Process;

/// No DNS knows it, so it is reached through a proxy or not at all.
const SERVER: &str = "api.cluster.example:6443";

/// A value for KUBECONFIG: one file with the cluster, one with the user, whose token comes from a program.
fn two_files(folder: &Path, proxy_url: Option<String>) -> PathBuf {
    let ca = base64::engine::general_purpose::STANDARD.encode(plane().ca_pem());
    let cluster = json!({
        "server": format!("https://{SERVER}"), "tls-server-name": "kubernetes.default", "certificate-authority-data": ca,
        "proxy-url": proxy_url,
    });
    let api = "client.authentication.k8s.io/v1";
    let answer = json!({"apiVersion": api, "kind": "ExecCredential", "status": {"token": plane().admin_token()}});
    let exec = json!({"apiVersion": api, "command": "echo", "args": [answer.to_string()], "interactiveMode": "Never"});
    let context = json!({"cluster": "corp", "user": "plugin"});
    let write = |name: &str, mut config: Value| {
        (config["apiVersion"], config["kind"]) = ("v1".into(), "Config".into());
        std::fs::write(folder.join(name), config.to_string()).unwrap();
        folder.join(name)
    };
    let of_user = json!({"users": [{"name": "plugin", "user": {"exec": exec}}]});
    let of_cluster = json!({
        "clusters": [{"name": "corp", "cluster": cluster}], "contexts": [{"name": "here", "context": context}],
        "current-context": "here",
    });
    std::env::join_paths([write("user", of_user), write("cluster", of_cluster)]).unwrap().into()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cluster_is_reached_as_kubectl_reaches_it() {
    let env = Environment::new("kubeconfigs").await;
    let target = Some(plane().server_url().replace("https://", ""));
    let proxy = ConnectProxy::start(Manner { target, ..Manner::default() }).await;
    let address = proxy.address;
    let folder = tempfile::tempdir().unwrap();
    let args = ["--watch-namespaces", &env.namespace, "--namespace", &env.namespace];
    let args = [&args[..], &["--health-probe-bind-address", "0", "--allowed-domains", env.fake.domain()]].concat();
    let connect = format!("CONNECT {SERVER} HTTP/1.1");

    let of_variable = [("HTTPS_PROXY", address.to_string()), ("NO_PROXY", ",127.0.0.1:443,, localhost".to_owned())];
    let of_file = [("HTTPS_PROXY", String::new()), ("NO_PROXY", "*".to_owned())];
    for (name, url, variables) in [("jane", None, &of_variable), ("jack", Some(format!("http://{address}")), &of_file)]
    {
        let kubeconfig = two_files(folder.path(), url);
        let mut operator = Process::run_with(&kubeconfig, &args, variables);
        operator.says("the API server answers").await;
        env.put::<UserRoleRevocation>(name, roles(if name == "jane" { USER } else { OTHER_USER })).await;
        env.reason::<UserRoleRevocation>(name, "Removed").await;
        assert_eq!(operator.terminate().await, Some(0));
        let asked = proxy.asked();
        assert!(!asked.is_empty() && asked.iter().all(|line| *line == connect), "{asked:?}");
    }

    let kubeconfig = two_files(folder.path(), None);
    let exempt = [("HTTPS_PROXY", address.to_string()), ("NO_PROXY", ".cluster.example".to_owned())];
    let operator = Process::run_with(&kubeconfig, &args, &exempt);
    operator.says("the API server cannot be reached").await;
    assert_eq!(proxy.asked(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_behind_a_dead_proxy_is_reported_with_the_proxy() {
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = two_files(folder.path(), Some("http://user:canary@127.0.0.1:1".to_owned()));
    let operator = Process::run(&kubeconfig, &["--health-probe-bind-address", "0"]);
    operator.says(&format!("https://{SERVER}/ through the proxy 127.0.0.1:1: the API server cannot be reached")).await;
    assert!(!operator.log().contains("canary"));
}

/// As two releases of the chart: with one lease, the second would stand by for ever.
#[tokio::test(flavor = "multi_thread")]
async fn operators_of_different_namespaces_need_a_lease_each() {
    let (one, two) = (Environment::new("lease-one").await, Environment::new("lease-two").await);
    let start = |env: &Environment, lease: &str| {
        let scope = ["--namespace", &one.namespace, "--watch-namespaces", &env.namespace, "--lease-name", lease];
        let more = ["--health-probe-bind-address", "0", "--allowed-domains", env.fake.domain()];
        Process::run(one.plane.kubeconfig_path(), &[&scope[..], &more[..]].concat())
    };
    let _operators = [start(&one, "a-rescind"), start(&two, "b-rescind")];
    for env in [&one, &two] {
        env.put::<UserRoleRevocation>("jane", roles(USER)).await;
        env.reason::<UserRoleRevocation>("jane", "Removed").await;
    }
    for lease in ["a-rescind", "b-rescind"] {
        let lease = one.api::<k8s_openapi::api::coordination::v1::Lease>().get(lease).await.unwrap();
        assert!(lease.spec.unwrap().holder_identity.is_some());
    }
}
