//! `values.schema.json` refuses what is misspelt, of the wrong kind, or out of range.

use std::fs;

use serde_json::Value;

use crate::helm::{chart, objects, refusal};
use crate::readme::{documented, schema_pointer};

fn schema() -> Value {
    serde_json::from_str(&fs::read_to_string(chart().join("values.schema.json")).unwrap()).unwrap()
}

/// Every map whose keys the chart defines, by path; the empty path is the root.
fn maps(schema: &Value, path: &str, found: &mut Vec<String>) {
    let Some(properties) = schema["properties"].as_object() else { return };
    found.push(path.to_owned());
    for (key, property) in properties {
        maps(property, &if path.is_empty() { key.clone() } else { format!("{path}.{key}") }, found);
    }
}

#[test]
fn a_misspelt_value_is_refused_on_every_level() {
    let mut found = Vec::new();
    maps(&schema(), "", &mut found);
    assert!(found.len() > 15, "{found:?}");
    for path in found {
        let misspelt = if path.is_empty() { "enabeld".to_owned() } else { format!("{path}.enabeld") };
        let words = refusal(&[&format!("{misspelt}=true")]);
        assert!(words.contains("additional properties 'enabeld' not allowed"), "{misspelt}: {words}");
    }
}

/// The schema has no value that `values.yaml` lacks, and vice versa, except what Helm sets itself and what Kubernetes
/// defines for probes, constraints and resources.
#[test]
fn schema_and_values_name_the_same() {
    let values = documented(&fs::read_to_string(chart().join("values.yaml")).unwrap());
    let schema = schema();
    for value in &values {
        let property = schema.pointer(&schema_pointer(&value.path)).expect(&value.path);
        assert_eq!(property["description"], value.text.as_str(), "{}", value.path);
    }
    let mut found = Vec::new();
    maps(&schema, "", &mut found);
    for path in found {
        let own =
            if path.is_empty() { schema.clone() } else { schema.pointer(&schema_pointer(&path)).unwrap().clone() };
        for key in own["properties"].as_object().unwrap().keys() {
            let full = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            let documented = |value: &str| {
                // The value is documented itself, contains documented values, or is part of one.
                value == full || value.starts_with(&format!("{full}.")) || full.starts_with(&format!("{value}."))
            };
            assert!(
                full == "global" || values.iter().any(|value| documented(&value.path)),
                "{full} is not in values.yaml"
            );
        }
    }
}

#[test]
fn wrong_values_are_refused_with_words_that_name_them() {
    for (set, named) in [
        ("log.level=verbose", "/log/level"),
        ("log.format=xml", "/log/format"),
        ("maxConcurrentReconciles=0", "/maxConcurrentReconciles"),
        ("maxConcurrentReconciles=many", "/maxConcurrentReconciles"),
        ("replicas=-1", "/replicas"),
        ("image.digest=sha256:abc", "/image/digest"),
        ("image.repository=rescind@sha256:abc", "/image/repository"),
        ("watchNamespaces=identity", "/watchNamespaces"),
        ("watchNamespaces={Identity}", "/watchNamespaces/0"),
        ("secretNamespaces={*,identity}", "/secretNamespaces"),
        ("allowedDomains={}", "/allowedDomains"),
        ("allowedDomains={https://acme.eu.auth0.com}", "/allowedDomains/0"),
        ("terminationGracePeriodSeconds=5", "/terminationGracePeriodSeconds"),
        ("podLabels.a=true", "/podLabels/a"),
        ("networkPolicy.egressPorts={70000}", "/networkPolicy/egressPorts/0"),
        ("podDisruptionBudget.maxUnavailable=half", "/podDisruptionBudget/maxUnavailable"),
    ] {
        let words = refusal(&[set]);
        assert!(words.contains(named), "{set}: {words}");
    }
}

/// The schema and the program accept the same domains.
#[test]
fn domains_are_those_the_program_takes() {
    let pattern_takes = |domain: &str| {
        let json = format!("@allowedDomains={}", serde_json::json!([domain]));
        crate::helm::render(&chart(), "x", &[&json]).is_ok()
    };
    for domain in [
        "acme.eu.auth0.com",
        "*.auth0.com",
        "localhost:8443",
        "*.a",
        "login.acme-corp.example:1", // taken
        "",
        "*",
        "**.auth0.com",
        "https://a.com",
        "a..b",
        "-a.com",
        "a-.com",
        "1.2.3.4",
        "a.com/",
        "A.com",
        "a.com:",
        "*.",
    ] {
        // The program ignores an empty entry.
        let program = !domain.is_empty() && rescind::auth0::AllowedDomains::parse([domain]).is_ok();
        assert_eq!(pattern_takes(domain), program, "{domain:?}");
    }
    assert!(!objects(&[]).is_empty());
}
