//! Runs the commands of docs/flux.md as they stand there.

use std::process::Command;

use rescind::api::UserRoleRevocation;
use serde_json::json;

use crate::harness::*;

fn commands() -> Vec<String> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/flux.md")).unwrap();
    text.lines().filter(|line| line.starts_with("kubectl ")).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_of_the_docs_do_what_they_say() {
    let env = Environment::new("docs").await;
    let _operator = env.operator().await;
    let commands = commands();
    assert!(commands.len() >= 6, "{commands:?}");
    env.put::<UserRoleRevocation>("jane-admin", roles(USER)).await;
    let labelled = json!({
        "apiVersion": "rescind.dev/v1alpha1", "kind": "UserRoleRevocation",
        "metadata": {"name": "joe", "namespace": env.namespace, "labels": {"team": "sales"}},
        "spec": {"userId": OTHER_USER, "roles": [ROLE]},
    });
    env.plane.apply(&labelled.to_string()).unwrap();
    env.put::<UserRoleRevocation>("jane-typo", json!({"userId": "auth0|nobody", "roles": [ROLE]})).await;
    let kubectl = stack::binaries::locate("kubectl").unwrap();
    let path = format!("{}:{}", kubectl.parent().unwrap().display(), std::env::var("PATH").unwrap());
    for command in commands {
        let here = command.replace("-n identity", &format!("-n {}", env.namespace));
        assert_ne!(here, command, "it names its namespace");
        let mut shell = Command::new("sh");
        shell.args(["-ec", &here]).env("PATH", &path).env("KUBECONFIG", env.plane.kubeconfig_path());
        let output = tokio::task::spawn_blocking(move || shell.output()).await.unwrap().unwrap();
        assert!(output.status.success(), "{here}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
