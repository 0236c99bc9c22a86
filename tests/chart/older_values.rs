//! `helm upgrade --reuse-values` renders with the values of the older chart that was installed, which lack what is new.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Map, Value};

use crate::helm::{NAMESPACE, chart, render};
use crate::readme::{Documented, documented, schema_pointer};

/// What the templates fill in, by path: every documented value but those that may be null.
pub fn defaults(schema: &Value, values: &[Documented]) -> Value {
    let may_be_null = |value: &Documented| {
        schema.pointer(&schema_pointer(&value.path)).unwrap()["type"]
            .as_array()
            .is_some_and(|types| types.iter().any(|one| one == "null"))
    };
    values.iter().filter(|value| !may_be_null(value)).map(|value| (value.path.clone(), value.default.clone())).collect()
}

/// Every object that the chart can render, so that each template reads its values.
const EVERYTHING: [&str; 9] = [
    "crds.enabled=false",
    "networkPolicy.enabled=true",
    "metrics.serviceMonitor.enabled=true",
    "metrics.prometheusRule.enabled=true",
    "metrics.dashboard.enabled=true",
    "argocd.enabled=true",
    "requester.enforce=true",
    "secretNamespaces={identity}",
    "podDisruptionBudget.enabled=true",
];

/// The blocks of `values.yaml`, by path.
fn blocks(values: &[Documented]) -> BTreeSet<String> {
    let parents = |value: &Documented| {
        let keys: Vec<&str> = value.path.split('.').collect();
        (1..keys.len()).map(|length| keys[..length].join(".")).collect::<Vec<_>>()
    };
    values.iter().flat_map(parents).collect()
}

fn remove(values: &mut Map<String, Value>, path: &str) {
    match path.split_once('.') {
        Some((key, rest)) => remove(values.get_mut(key).and_then(Value::as_object_mut).unwrap(), rest),
        None => drop(values.remove(path).expect(path)),
    }
}

/// Each block is left out in turn, then each value with the blocks still there, then everything: what is rendered stays
/// the same.
#[test]
fn what_an_older_release_lacks_gets_its_default() {
    let text = fs::read_to_string(chart().join("values.yaml")).unwrap();
    let whole: Map<String, Value> = serde_saphyr::from_str(&text).unwrap();
    let expected = render(&chart(), NAMESPACE, &EVERYTHING).unwrap();
    let values = documented(&text);
    let without = |paths: &[String]| {
        let mut older = whole.clone();
        paths.iter().for_each(|path| remove(&mut older, path));
        older
    };
    let blocks = blocks(&values);
    assert!(blocks.len() > 15, "{blocks:?}");
    let mut cases: Vec<_> = blocks.into_iter().map(|path| (path.clone(), without(&[path]))).collect();
    let all: Vec<String> = values.into_iter().map(|value| value.path).collect();
    cases.push(("each value".to_owned(), without(&all)));
    cases.push(("everything".to_owned(), Map::new()));
    let render_without = |(path, values): &(String, Map<String, Value>)| {
        let folder = tempfile::tempdir().unwrap();
        let copied = std::process::Command::new("cp").arg("-r").arg(chart()).arg(folder.path()).status().unwrap();
        assert!(copied.success());
        let older = folder.path().join("rescind");
        fs::write(older.join("values.yaml"), Value::Object(values.clone()).to_string()).unwrap();
        match render(&older, NAMESPACE, &EVERYTHING) {
            Ok(objects) if objects == expected => None,
            Ok(_) => Some(format!("without {path} it renders something else")),
            Err(refusal) => Some(format!("without {path}: {refusal}")),
        }
    };
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let parts = cases.chunks(cases.len().div_ceil(4));
        let threads: Vec<_> =
            parts.map(|part| scope.spawn(move || part.iter().filter_map(render_without).collect::<Vec<_>>())).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A template that reads a value before they are filled in would fail for some older releases only.
#[test]
fn every_template_begins_with_the_defaults() {
    for entry in fs::read_dir(chart().join("templates")).unwrap() {
        let path = entry.unwrap().path();
        let is_partial = path.file_name().unwrap().to_str().unwrap().starts_with('_');
        let text = fs::read_to_string(&path).unwrap();
        assert!(is_partial || text.starts_with("{{- include \"rescind.defaults\" . }}\n"), "{}", path.display());
    }
}
