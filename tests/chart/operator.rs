//! Starts the operator as the rendered Deployment would, with the token of its service account.

use std::net::TcpListener;

use serde_json::Value;
use stack::ControlPlane;
use tokio::process::{Child, Command};

use crate::cluster::{PATIENCE, within};
use crate::relay::Relay;

pub struct Operator {
    child: Child,
    probe: String,
    pub relay: Relay,
    folder: tempfile::TempDir,
}

impl Operator {
    /// Starts the container of `deployment`, on other ports, so that several can run on one machine.
    pub async fn start(plane: &ControlPlane, deployment: &Value, changes: &[(&str, &str)]) -> Self {
        let namespace = deployment["metadata"]["namespace"].as_str().unwrap();
        let pod = &deployment["spec"]["template"]["spec"];
        let token = plane.service_account_token(namespace, pod["serviceAccountName"].as_str().unwrap()).unwrap();
        let relay = Relay::start(plane).await;
        let folder = tempfile::tempdir().unwrap();
        let probe = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let container = &pod["containers"][0];
        let env = environment(container, namespace);
        let mut command = Command::new(env!("CARGO_BIN_EXE_rescind"));
        for arg in container["args"].as_array().unwrap() {
            let arg = expand(arg.as_str().unwrap(), &env);
            let (flag, value) = arg.split_once('=').unwrap_or((&arg, ""));
            let changed = changes.iter().find(|(name, _)| *name == flag).map(|(_, value)| *value);
            match flag {
                "--metrics-bind-address" => drop(command.arg("--metrics-bind-address=0")),
                "--health-probe-bind-address" => drop(command.arg(format!("{flag}={probe}"))),
                "run" => drop(command.arg("run")),
                flag => drop(command.arg(format!("{flag}={}", changed.unwrap_or(value)))),
            }
        }
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let kubeconfig = relay.kubeconfig(folder.path(), &token);
        let child = command
            .envs(env)
            .env("KUBECONFIG", kubeconfig)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .expect("the operator starts");
        Self { child, probe, relay, folder }
    }

    /// Waits until its probe says that it is ready.
    pub async fn ready(&mut self) {
        let started = std::time::Instant::now();
        let url = format!("http://{}/readyz", self.probe);
        while !reqwest::get(&url).await.is_ok_and(|answer| answer.status().is_success()) {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none() && started.elapsed() < PATIENCE, "{ended:?}: not ready\n{}", self.log());
            // Nothing says when a server begins to listen, so this polls.
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    /// Ends it with SIGTERM, as the kubelet does.
    pub async fn stop(mut self) -> Relay {
        let pid = self.child.id().expect("it still runs").to_string();
        assert!(std::process::Command::new("kill").arg(pid).status().unwrap().success());
        let status = within("the operator ends", self.child.wait()).await.unwrap();
        assert!(status.success(), "{status}\n{}", self.log());
        self.relay
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }
}

/// The environment of the container; the only field reference in use is the namespace of the pod.
fn environment(container: &Value, namespace: &str) -> Vec<(String, String)> {
    let variables = container["env"].as_array().unwrap().iter();
    variables
        .map(|variable| {
            let value = match variable["value"].as_str() {
                Some(value) => value,
                None => {
                    assert_eq!(variable["valueFrom"]["fieldRef"]["fieldPath"], "metadata.namespace");
                    namespace
                }
            };
            (variable["name"].as_str().unwrap().to_owned(), value.to_owned())
        })
        .collect()
}

/// Expands `$(NAME)` in an argument, as the kubelet does.
fn expand(arg: &str, env: &[(String, String)]) -> String {
    env.iter().fold(arg.to_owned(), |arg, (name, value)| arg.replace(&format!("$({name})"), value))
}
