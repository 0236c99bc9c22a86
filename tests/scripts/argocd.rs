//! The scripts in the Lua runtime of Argo CD itself, under the keys that the chart renders.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use stack::binaries::locate;

use crate::folders;
use crate::helm::{objects, only, said};

/// Runs `argocd admin settings resource-overrides`, which reads files and needs no server.
fn overrides(command: &str, object: &Path, settings: &Path) -> String {
    let mut argocd = Command::new(locate("argocd").unwrap());
    argocd.args(["admin", "settings", "resource-overrides", command]).arg(object);
    said(argocd.arg("--argocd-cm-path").arg(settings).output().unwrap()).unwrap()
}

/// So the results of the other files, which have another Lua, hold for Argo CD.
#[test]
fn argo_cd_finds_what_our_runner_finds() {
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("argocd-cm.yaml");
    let mut part = only(&objects(&["argocd.enabled=true"]), "ConfigMap").clone();
    part["metadata"]["name"] = json!("argocd-cm");
    std::fs::write(&settings, part.to_string()).unwrap();
    for (_, kind) in folders::write(&folder.path().join("resource_customizations")) {
        let read = |path: &str| -> Value {
            serde_saphyr::from_str(&std::fs::read_to_string(kind.join(path)).unwrap()).unwrap()
        };
        for test in read("health_test.yaml")["tests"].as_array().unwrap() {
            let object = kind.join(test["inputPath"].as_str().unwrap());
            let health = &test["healthStatus"];
            let (status, message) = (health["status"].as_str().unwrap(), health["message"].as_str().unwrap());
            let found = overrides("health", &object, &settings);
            assert_eq!(found.trim(), format!("STATUS: {status}\nMESSAGE: {message}"), "{}", object.display());
        }
        for test in read("actions/action_test.yaml")["discoveryTests"].as_array().unwrap() {
            let object = kind.join("actions").join(test["inputPath"].as_str().unwrap());
            let found = overrides("list-actions", &object, &settings);
            let mut found: Vec<String> = found.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
            let wanted = test["result"].as_array().unwrap().iter();
            let mut wanted: Vec<String> =
                wanted.map(|action| format!("{}{}", action["name"].as_str().unwrap(), action["disabled"])).collect();
            found.sort();
            wanted.sort();
            assert_eq!(found, wanted, "{}", object.display());
        }
    }
}
