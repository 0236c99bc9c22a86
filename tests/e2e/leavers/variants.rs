//! The variants of `examples/leaver`, rendered by the programs that their users have.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::harness::plane;
use crate::helm::{documents, helm, said};

/// The label of everything that belongs to one person.
pub const LABEL: &str = "identity/leaver";

pub fn example(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/leaver").join(path)
}

/// The paths in a folder, in the order of their names, as kubectl applies them.
fn entries(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(example(folder)).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

pub fn plain() -> Vec<Value> {
    let files = entries("plain").into_iter();
    files.flat_map(|file| documents(&std::fs::read_to_string(file).unwrap())).collect()
}

fn kustomize() -> Vec<Value> {
    let folders = entries("kustomize/leavers").into_iter();
    folders.flat_map(|folder| documents(&plane().run(&["kustomize", folder.to_str().unwrap()]).unwrap())).collect()
}

/// What the chart makes of values, with further arguments of `helm template`.
pub fn rendered(values: &Path, more: &[&str]) -> Result<Vec<Value>, String> {
    let chart = example("helm/leavers");
    let args = ["template", "leavers", chart.to_str().unwrap(), "-n", "identity", "-f", values.to_str().unwrap()];
    said(helm(&[&args[..], more].concat()).output().unwrap()).map(|text| documents(&text))
}

pub fn chart() -> Vec<Value> {
    rendered(&example("helm/leavers.yaml"), &[]).unwrap()
}

/// What the ApplicationSet with the chart makes: one rendering for each file.
fn application_set() -> Vec<Value> {
    entries("argocd/leavers").iter().flat_map(|values| rendered(values, &[]).unwrap()).collect()
}

pub fn all() -> [(&'static str, Vec<Value>); 4] {
    [("plain", plain()), ("kustomize", kustomize()), ("helm", chart()), ("argocd", application_set())]
}

/// The kinds and specs of each person's removals, without the order of lists.
pub fn removals(objects: &[Value]) -> BTreeMap<&str, BTreeSet<String>> {
    let mut people = BTreeMap::<&str, BTreeSet<String>>::new();
    for object in objects {
        let mut spec = object["spec"].clone();
        for list in spec.as_object_mut().unwrap().values_mut().filter_map(Value::as_array_mut) {
            list.sort_by_key(Value::to_string);
        }
        let removal = json!({"kind": object["kind"], "spec": spec}).to_string();
        let person = object["metadata"]["labels"][LABEL].as_str().expect("the label");
        assert!(people.entry(person).or_default().insert(removal), "twice: {object}");
    }
    people
}
