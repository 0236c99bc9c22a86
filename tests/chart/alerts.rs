//! The alerts, tested with promtool: the file is valid, and each alert fires when it should and not before.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use crate::helm::{chart, root, said};

fn promtool(args: &[&str]) -> String {
    let promtool = stack::binaries::locate("promtool").expect("promtool");
    said(Command::new(promtool).args(args).current_dir(root()).output().unwrap()).unwrap()
}

#[test]
fn prometheus_takes_the_alerts() {
    let file = chart().join("files/alerts.yaml");
    let said = promtool(&["check", "rules", "--lint=all", "--lint-fatal", file.to_str().unwrap()]);
    assert!(said.contains("SUCCESS"), "{said}");
}

#[test]
fn each_alert_fires_when_it_should() {
    let tests = "tests/chart/alerts.test.yaml";
    let said = promtool(&["test", "rules", tests]);
    assert!(said.contains("SUCCESS"), "{said}");
    let read = |path: std::path::PathBuf| -> Value {
        serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    };
    let alerts = read(chart().join("files/alerts.yaml"));
    let rules = alerts["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap());
    let alerts: BTreeSet<String> = rules.map(|rule| rule["alert"].as_str().unwrap().to_owned()).collect();
    let tests = read(root().join(tests));
    let (mut fired, mut quiet) = (BTreeSet::new(), BTreeSet::new());
    for test in tests["tests"].as_array().unwrap() {
        let alert = test["name"].as_str().unwrap().split(',').next().unwrap().to_owned();
        let fires = !test["promql_expr_test"][0]["exp_samples"].as_array().unwrap().is_empty();
        if fires {
            fired.insert(alert)
        } else {
            quiet.insert(alert)
        };
    }
    assert_eq!((&fired, &quiet), (&alerts, &alerts));
}
