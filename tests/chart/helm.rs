//! Runs helm and reads what it renders.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use serde_json::Value;

/// The namespace the README installs into.
pub const NAMESPACE: &str = "rescind-system";

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub fn chart() -> PathBuf {
    root().join("charts/rescind")
}

/// helm with its own folders, so that the user's settings have no effect.
pub fn helm(args: &[&str]) -> Command {
    static PROGRAM: OnceLock<(PathBuf, tempfile::TempDir)> = OnceLock::new();
    let (program, home) =
        PROGRAM.get_or_init(|| (stack::binaries::locate("helm").expect("helm"), tempfile::tempdir().unwrap()));
    let mut command = Command::new(program);
    command.args(args).env_remove("KUBECONFIG");
    for folder in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
        command.env(folder, home.path());
    }
    command
}

/// The output of a command; on failure, its error message.
pub fn said(output: Output) -> Result<String, String> {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

/// `helm template` of the chart at `chart`, with these `--set`s.
pub fn render(chart: &Path, namespace: &str, sets: &[&str]) -> Result<Vec<Value>, String> {
    let mut command = helm(&["template", "rescind", chart.to_str().unwrap(), "--namespace", namespace]);
    for set in sets {
        // People type `--set`; a leading `@` marks the rest as `--set-json`.
        match set.strip_prefix('@') {
            Some(json) => command.args(["--set-json", json]),
            None => command.args(["--set", set]),
        };
    }
    said(command.output().unwrap()).map(|text| documents(&text))
}

/// The objects of the repository's chart.
pub fn objects(sets: &[&str]) -> Vec<Value> {
    render(&chart(), NAMESPACE, sets).unwrap_or_else(|refusal| panic!("{sets:?}: {refusal}"))
}

/// The error with which the chart refuses these values.
pub fn refusal(sets: &[&str]) -> String {
    match render(&chart(), NAMESPACE, sets) {
        Ok(objects) => panic!("{sets:?} rendered {} objects", objects.len()),
        Err(refusal) => refusal,
    }
}

/// The objects in a stream of YAML documents.
pub fn documents(text: &str) -> Vec<Value> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
    documents.into_iter().filter(|document| !document.is_null()).collect()
}

/// The objects of a kind.
pub fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

/// The only object of a kind.
pub fn only<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    match of_kind(objects, kind).as_slice() {
        [one] => one,
        found => panic!("{} objects of kind {kind}", found.len()),
    }
}

/// `Kind/namespace/name`.
pub fn id(object: &Value) -> String {
    let meta = &object["metadata"];
    let namespace = meta["namespace"].as_str().unwrap_or_default();
    format!("{}/{namespace}/{}", object["kind"].as_str().unwrap(), meta["name"].as_str().unwrap())
}

/// The objects as a stream of YAML documents, each in JSON, which is YAML too.
pub fn stream<'a>(objects: impl IntoIterator<Item = &'a Value>) -> String {
    objects.into_iter().map(|object| format!("---\n{object}\n")).collect()
}
