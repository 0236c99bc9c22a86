//! What kube-score finds in the rendered objects, and why it stays.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::helm::{objects, stream};

/// Accepted findings: the check, what it says, and the reason.
const ACCEPTED: [(&str, &str, &str); 4] = [
    (
        "container-image-pull-policy",
        "ImagePullPolicy is not set to Always",
        "a release is named by version or digest, and Always would make a registry's outage ours; image.pullPolicy",
    ),
    ("container-resources", "CPU limit is not set", "throttling would only slow the election and the probes down"),
    (
        "deployment-has-host-podantiaffinity",
        "Deployment does not have a host podAntiAffinity set",
        "topologySpreadConstraints spread the pods over nodes and zones",
    ),
    (
        "pod-networkpolicy",
        "The pod does not have a matching NetworkPolicy",
        "off by default, as ports of DNS and API server differ between clusters; networkPolicy.enabled",
    ),
];

/// The check and the words of each finding.
fn findings(sets: &[&str]) -> BTreeSet<(String, String)> {
    let program = stack::binaries::locate("kube-score").unwrap();
    let args = ["score", "--kubernetes-version=v1.31", "--output-format=json", "-"];
    let mut child =
        Command::new(program).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("kube-score");
    child.stdin.take().unwrap().write_all(stream(&objects(sets)).as_bytes()).unwrap();
    // It exits with 1 if it finds something critical.
    let output = child.wait_with_output().unwrap();
    let scored: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let checks: Vec<Value> = scored.iter().flat_map(|object| list(&object["checks"])).collect();
    assert!(checks.len() > 20, "it looked at the objects: {}", checks.len());
    let bad = checks.iter().filter(|check| check["skipped"] == false && check["grade"].as_u64().unwrap() < 10);
    let said = |check: &Value| {
        let name = check["check"]["id"].as_str().unwrap().to_owned();
        let comments = list(&check["comments"]).into_iter();
        comments.map(move |comment| (name.clone(), comment["summary"].as_str().unwrap().to_owned())).collect::<Vec<_>>()
    };
    bad.flat_map(said).collect()
}

#[test]
#[ignore = "make test-long runs it, because kube-score takes a minute to build"]
fn kube_score_finds_only_what_is_accepted() {
    let accepted = |skip: &str| -> BTreeSet<(String, String)> {
        let kept = ACCEPTED.iter().filter(|(check, _, _)| *check != skip);
        kept.map(|(check, words, _)| (check.to_string(), words.to_string())).collect()
    };
    assert_eq!(findings(&[]), accepted(""));
    let sets = [
        "networkPolicy.enabled=true",
        "metrics.prometheusRule.enabled=true",
        "argocd.enabled=true",
        "requester.enforce=true",
    ];
    assert_eq!(findings(&sets), accepted("pod-networkpolicy"));
}
