//! `resource_customizations/` has the layout that Argo CD uses upstream. The scripts are written by hand, once, in the
//! folder of one kind; `make scripts` makes the other folders and all test data from them and from the operator's code.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::actions::{ACTIONS, discovered};
use crate::generated_file::assert_up_to_date;
use crate::lua::{KINDS, NOW, folder, health, run, script};
use crate::statuses::{Case, fresh, of_removal, of_tenant};

/// The kind whose folder has the scripts written by hand.
const SOURCE: &str = "UserRoleRevocation";

/// The expected files in the folder of a kind: paths and texts.
fn expected(kind: &str) -> Vec<(String, String)> {
    let mut files = vec!["health.lua".to_owned(), "actions/discovery.lua".to_owned()];
    files.extend(actions_of(kind).map(|action| format!("actions/{action}/action.lua")));
    let mut files: Vec<_> = files.into_iter().map(|path| (script(SOURCE, &path), path)).map(|(t, p)| (p, t)).collect();
    let mut tests = Vec::new();
    for (name, object) in examples(kind) {
        let path = format!("testdata/{name}.yaml");
        let (status, message) = health(&script(SOURCE, "health.lua"), &object).unwrap();
        tests.push(json!({"healthStatus": {"status": status, "message": message}, "inputPath": path}));
        files.push((path, yaml(&object)));
    }
    files.push(("health_test.yaml".to_owned(), yaml(&json!({ "tests": tests }))));
    files.extend(of_actions(kind));
    files
}

fn actions_of(kind: &str) -> impl Iterator<Item = &'static str> {
    ACTIONS.into_iter().filter(move |action| kind != "Auth0Tenant" || *action != "reconcile")
}

/// Test data: objects in every state for the first kind; for the others, whose statuses are the same, one of each
/// health.
fn examples(kind: &str) -> Vec<(String, Value)> {
    let cases = if kind == "Auth0Tenant" { of_tenant() } else { of_removal(kind) };
    let mut examples = vec![("NotYetSeen".to_owned(), fresh(kind)), ("SuspendedByItself".to_owned(), suspended(kind))];
    let mut seen = BTreeSet::new();
    for Case { reason, object, health, .. } in cases {
        let of_its_sort = if kind == SOURCE { reason.as_str() } else { health };
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
    if kind != "Auth0Tenant" {
        tests.push(act("reconcile", data("running"), data("reconciled")));
        files.push(("reconciled", reconciled));
    }
    let discovery = |(name, object): &(&str, Value)| {
        let found = discovered(kind, object).into_iter();
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

/// `make scripts` writes the files and this compares them, so that the kinds stay alike and the data matches the code.
#[test]
fn folders_are_up_to_date() {
    for kind in KINDS {
        let folder = folder(kind);
        let files = expected(kind);
        for (path, text) in &files {
            assert_up_to_date(folder.join(path), text, "scripts");
        }
        let mut found = BTreeSet::new();
        list(&folder, &folder, &mut found);
        let wanted: BTreeSet<String> = files.into_iter().map(|(path, _)| path).collect();
        assert_eq!(found, wanted, "{kind}: files that nobody made");
    }
}

fn list(root: &Path, folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            list(root, &path, found);
        } else {
            found.insert(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
        }
    }
}

/// Does what the upstream test of Argo CD does with these folders.
#[test]
fn the_folders_pass_the_tests_they_hold() {
    for kind in KINDS {
        let read = |path: &str| -> Value { serde_saphyr::from_str(&script(kind, path)).unwrap() };
        for test in read("health_test.yaml")["tests"].as_array().unwrap() {
            let (status, message) =
                health(&script(kind, "health.lua"), &read(test["inputPath"].as_str().unwrap())).unwrap();
            assert_eq!(test["healthStatus"], json!({"status": status, "message": message}), "{kind}: {test}");
        }
        let tests = read("actions/action_test.yaml");
        let read = |test: &Value, field: &str| read(&format!("actions/{}", test[field].as_str().unwrap()));
        for test in tests["actionTests"].as_array().unwrap() {
            let action = script(kind, &format!("actions/{}/action.lua", test["action"].as_str().unwrap()));
            let output = run(&action, &read(test, "inputPath")).unwrap();
            assert_eq!(output, read(test, "expectedOutputPath"), "{kind}: {test}");
        }
        for test in tests["discoveryTests"].as_array().unwrap() {
            let found = run(&script(kind, "actions/discovery.lua"), &read(test, "inputPath")).unwrap();
            for wanted in test["result"].as_array().unwrap() {
                assert_eq!(found[wanted["name"].as_str().unwrap()]["disabled"], wanted["disabled"], "{kind}: {test}");
            }
            assert_eq!(found.as_object().unwrap().len(), test["result"].as_array().unwrap().len());
        }
    }
}
