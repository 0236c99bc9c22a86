//! The layout in which Argo CD keeps scripts upstream: `resource_customizations/rescind.dev/`, one folder for each kind
//! with the scripts and test data of their own. It is written to `target/`; the tree has the scripts once, in the
//! chart.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::actions::{ACTIONS, discovered};
use crate::lua::{NOW, health, kinds, run, script};
use crate::statuses::{Case, fresh, is_tenant, of_removal, of_tenant};

/// The kind whose test data has every state.
const COMPLETE: &str = "UserRoleRevocation";

/// Writes the folders below `root`. Returns each kind with its folder.
pub fn write(root: &Path) -> Vec<(String, PathBuf)> {
    let folders: Vec<_> = kinds().into_iter().map(|kind| (kind.clone(), root.join("rescind.dev").join(kind))).collect();
    for (kind, folder) in &folders {
        for (path, text) in files(kind) {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }
    folders
}

/// The files in the folder of a kind: paths and texts.
fn files(kind: &str) -> Vec<(String, String)> {
    let mut scripts = vec!["health.lua".to_owned(), "actions/discovery.lua".to_owned()];
    scripts.extend(actions_of(kind).map(|action| format!("actions/{action}/action.lua")));
    let mut files: Vec<_> = scripts.into_iter().map(|path| (path.clone(), script(&path))).collect();
    let mut tests = Vec::new();
    for (name, object) in examples(kind) {
        let path = format!("testdata/{name}.yaml");
        let (status, message) = health(&script("health.lua"), &object).unwrap();
        tests.push(json!({"healthStatus": {"status": status, "message": message}, "inputPath": path}));
        files.push((path, yaml(&object)));
    }
    files.push(("health_test.yaml".to_owned(), yaml(&json!({ "tests": tests }))));
    files.extend(of_actions(kind));
    files
}

fn actions_of(kind: &str) -> impl Iterator<Item = &'static str> {
    ACTIONS.into_iter().filter(move |action| !is_tenant(kind) || *action != "reconcile")
}

/// Test data: objects in every state for the first kind; for the others, whose statuses are the same, one of each
/// health.
fn examples(kind: &str) -> Vec<(String, Value)> {
    let cases = if is_tenant(kind) { of_tenant(kind) } else { of_removal(kind) };
    let mut examples = vec![("NotYetSeen".to_owned(), fresh(kind)), ("SuspendedByItself".to_owned(), suspended(kind))];
    let mut seen = BTreeSet::new();
    for Case { reason, object, health, .. } in cases {
        let of_its_sort = if kind == COMPLETE { reason.as_str() } else { health };
        if seen.insert(of_its_sort) {
            examples.push((reason.as_str().to_owned(), object));
        }
    }
    examples
}

fn suspended(kind: &str) -> Value {
    let mut object = fresh(kind);
    object["spec"]["suspend"] = json!(true);
    object
}

fn of_actions(kind: &str) -> Vec<(String, String)> {
    let (running, suspended) = (fresh(kind), suspended(kind));
    let mut reconciled = running.clone();
    reconciled["metadata"]["annotations"] = json!({"rescind.dev/reconcile-requested-at": NOW});
    let act = |action, from, to| json!({"action": action, "inputPath": from, "expectedOutputPath": to});
    let data = |name| format!("testdata/{name}.yaml");
    let mut tests =
        vec![act("suspend", data("running"), data("suspended")), act("resume", data("suspended"), data("running"))];
    let mut files = vec![("running", running), ("suspended", suspended)];
    if !is_tenant(kind) {
        tests.push(act("reconcile", data("running"), data("reconciled")));
        files.push(("reconciled", reconciled));
    }
    let discovery = |(name, object): &(&str, Value)| {
        let found = discovered(object).into_iter();
        let result: Value = found
            .map(|(name, disabled, icon)| json!({"name": name, "disabled": disabled, "iconClass": icon}))
            .collect();
        json!({"inputPath": format!("testdata/{name}.yaml"), "result": result})
    };
    let all = json!({"discoveryTests": files.iter().map(discovery).collect::<Value>(), "actionTests": tests});
    let data = files.iter().map(|(name, object)| (format!("actions/testdata/{name}.yaml"), yaml(object)));
    data.chain([("actions/action_test.yaml".to_owned(), yaml(&all))]).collect()
}

fn yaml(value: &Value) -> String {
    serde_saphyr::to_string(value).unwrap()
}

/// Does what the upstream test of Argo CD does with these folders. `make scripts` runs it for what it writes.
#[test]
fn the_folders_pass_the_tests_they_hold() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/resource_customizations");
    if root.exists() {
        fs::remove_dir_all(&root).unwrap();
    }
    for (kind, folder) in write(&root) {
        let text = |path: &str| fs::read_to_string(folder.join(path)).unwrap();
        let read = |path: &str| -> Value { serde_saphyr::from_str(&text(path)).unwrap() };
        for test in read("health_test.yaml")["tests"].as_array().unwrap() {
            let (status, message) = health(&text("health.lua"), &read(test["inputPath"].as_str().unwrap())).unwrap();
            assert_eq!(test["healthStatus"], json!({"status": status, "message": message}), "{kind}: {test}");
        }
        let tests = read("actions/action_test.yaml");
        let read = |test: &Value, field: &str| read(&format!("actions/{}", test[field].as_str().unwrap()));
        for test in tests["actionTests"].as_array().unwrap() {
            let action = text(&format!("actions/{}/action.lua", test["action"].as_str().unwrap()));
            let output = run(&action, &read(test, "inputPath")).unwrap();
            assert_eq!(output, read(test, "expectedOutputPath"), "{kind}: {test}");
        }
        for test in tests["discoveryTests"].as_array().unwrap() {
            let found = run(&text("actions/discovery.lua"), &read(test, "inputPath")).unwrap();
            for wanted in test["result"].as_array().unwrap() {
                assert_eq!(found[wanted["name"].as_str().unwrap()]["disabled"], wanted["disabled"], "{kind}: {test}");
            }
            assert_eq!(found.as_object().unwrap().len(), test["result"].as_array().unwrap().len());
        }
    }
}
