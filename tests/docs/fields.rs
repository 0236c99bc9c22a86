//! Fields in code font, against the schema.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::markdown::words;
use crate::repository::{assert_none, files, pages, read};

fn crds() -> Vec<Value> {
    let crds: Vec<Value> = files("crds", |name| name.ends_with(".yaml"))
        .iter()
        .map(|path| serde_saphyr::from_str(&read(path)).unwrap())
        .collect();
    assert!(crds.len() >= 5);
    crds
}

fn schema(crd: &Value) -> &Value {
    &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
}

/// The kinds, and every word that a field can have.
pub fn words_of_the_schema() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for crd in crds() {
        found.insert(crd["spec"]["names"]["kind"].as_str().unwrap().to_owned());
        enums(schema(&crd), &mut found);
    }
    found
}

fn enums(schema: &Value, found: &mut BTreeSet<String>) {
    let words = schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str);
    found.extend(words.map(str::to_owned));
    for property in schema["properties"].as_object().into_iter().flat_map(|properties| properties.values()) {
        enums(property, found);
    }
    if schema["items"].is_object() {
        enums(&schema["items"], found);
    }
}

fn has(schema: &Value, path: &[&str]) -> bool {
    let Some((first, rest)) = path.split_first() else { return true };
    let schema = if schema["items"].is_object() { &schema["items"] } else { schema };
    schema["properties"].get(first).is_some_and(|property| has(property, rest))
}

/// `spec.…` and `status.…` are fields of some kind.
#[test]
fn fields_in_code_font_exist() {
    let crds = crds();
    let mut findings = Vec::new();
    // docs/secrets.md names fields of the programs that make Secrets; `--test chart` applies its examples.
    let is_of_others = |path: &str| ["CHANGELOG.md", "docs/secrets.md"].contains(&path) || path.starts_with("tests/");
    for page in pages().iter().filter(|page| !is_of_others(&page.path)) {
        for span in &page.spans {
            let field = words(span, |c| c.is_ascii_alphanumeric() || c == '.').next().unwrap_or_default();
            let path: Vec<&str> = field.split('.').filter(|part| !part.is_empty()).collect();
            let is_field = path.len() > 1 && ["spec", "status"].contains(&path[0]) && span.starts_with(field);
            if is_field && !crds.iter().any(|crd| has(schema(crd), &path)) {
                findings.push(format!("{}: there is no field {field}", page.path));
            }
        }
    }
    assert_none(&findings);
}
