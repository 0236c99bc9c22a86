//! Who asked, as proof: the chart's admission policy on the real API server, and what the audit log makes of it.

use std::collections::BTreeMap;
use std::time::Instant;

use rescind::api::UserRoleRevocation;
use rescind::revocation::{binding_spec, policy_spec};
use rescind::telemetry::verify_audit_log;
use serde_json::{Value, json};
use stack::ControlPlane;

use crate::harness::*;
use crate::process::Process;

const POLICY: &str = "rescind-requested-by";
/// `ENFORCED_AFTER` in src/revocation/requester.rs, and a moment.
const PROVED_AFTER: std::time::Duration = std::time::Duration::from_secs(12);

/// The chart's policy and binding.
fn policy() -> String {
    let objects = crate::helm::objects(&["requester.enforce=true"]);
    let own: Vec<_> = objects
        .iter()
        .filter(|object| object["kind"].as_str().unwrap().starts_with("ValidatingAdmissionPolicy"))
        .collect();
    assert_eq!(own.len(), 2);
    crate::helm::stream(own)
}

/// A removal that says who asked, for a user of its own.
fn removal(env: &Environment, name: &str, asked: Option<&str>, suspend: bool) -> String {
    let user = format!("auth0|{name}");
    env.fake.edit(|tenant| drop(tenant.user(&user).role(ROLE)));
    let annotations = asked.map(|asked| json!({"rescind.dev/requested-by": asked})).unwrap_or(json!({}));
    json!({
        "apiVersion": "rescind.dev/v1alpha1", "kind": "UserRoleRevocation",
        "metadata": {"name": name, "namespace": env.namespace, "annotations": annotations},
        "spec": {"userId": user, "roles": [ROLE], "suspend": suspend},
    })
    .to_string()
}

/// kubectl as this user, who may do everything that no policy denies.
fn kubectl(plane: &ControlPlane, user: &str, args: &[&str], input: &str) -> Result<String, String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), input).unwrap();
    let user = format!("--as={user}");
    let mut args = [args, &[&user, "--as-group=system:masters"]].concat();
    if !input.is_empty() {
        args.extend(["-f", file.path().to_str().unwrap()]);
    }
    plane.run(&args).map_err(|refusal| refusal.to_string())
}

/// Of each object in the audit lines with this code: who asked, and why one may believe it.
fn asked(log: &str, code: &str) -> BTreeMap<String, (Value, Value)> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let objects = lines.filter(|line| line["code"] == code).flat_map(|line| {
        let objects: Vec<Value> = serde_json::from_str(line["objects"].as_str().unwrap()).unwrap();
        objects
    });
    objects
        .map(|object| {
            let said = (object["requestedBy"].clone(), object["requestedBySource"].clone());
            (object["name"].as_str().unwrap().to_owned(), said)
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asked_is_proved_by_the_policy_that_stood_before() {
    // The policy is for the whole cluster, so it has one of its own.
    let plane = own_plane().await;
    plane.apply(&crds()).unwrap();
    let env = Environment::with(plane, prompt_fake().await, "asked").await;
    let create =
        |user: &str, manifest: String, more: &[&str]| kubectl(plane, user, &[&["create"], more].concat(), &manifest);
    create("eve", removal(&env, "early", Some("the-boss"), false), &[]).unwrap();
    create("eve", removal(&env, "silent", None, false), &[]).unwrap();

    plane.apply(&policy()).expect("the API server takes it");
    let began = Instant::now();
    // Nothing says when the API server has compiled it.
    let refused = loop {
        match create("jane", removal(&env, "probe", None, false), &["--dry-run=server"]) {
            Err(refusal) => break refusal,
            Ok(_) => assert!(began.elapsed() < PATIENCE, "the policy does not hold"),
        }
    };
    assert!(refused.contains("rescind.dev/requested-by must be jane, who asks"), "{refused}");
    create("jane", removal(&env, "hasty", Some("jane"), false), &[]).unwrap();
    for kind in ["validatingadmissionpolicy", "validatingadmissionpolicybinding"] {
        // As an upgrade of the chart does.
        plane.run(&["label", kind, POLICY, "helm.sh/chart=rescind-9.9.9", "--overwrite"]).unwrap();
        let stored: Value = serde_json::from_str(&plane.run(&["get", kind, POLICY, "-o", "json"]).unwrap()).unwrap();
        let expected = if kind.ends_with("binding") { binding_spec(POLICY) } else { policy_spec() };
        assert_eq!((&stored["spec"], &stored["metadata"]["generation"]), (&expected, &json!(1)), "{kind}");
    }
    for wrong in [None, Some(""), Some("john"), Some("jane "), Some("Jane")] {
        let refusal = create("jane", removal(&env, "wrong", wrong, false), &[]).unwrap_err();
        assert!(refusal.contains("must be jane"), "{wrong:?}: {refusal}");
    }
    // The policy has to be older than the objects by some seconds, which nothing but time brings about.
    tokio::time::sleep(PROVED_AFTER.saturating_sub(began.elapsed())).await;
    let robot = "system:serviceaccount:argocd:argocd-application-controller";
    create("jane", removal(&env, "proved", Some("jane"), false), &[]).unwrap();
    create("jane", removal(&env, "later", Some("jane"), true), &[]).unwrap();
    create(robot, removal(&env, "by-robot", Some(robot), false), &[]).unwrap();
    changes_pass_that_leave_it_alone(&env);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("jane.yaml"), removal(&env, "by-hand", None, true)).unwrap();
    crate::audit::shell(&env, folder.path(), &crate::audit::command("me=")).unwrap();

    let mut operator = Process::start_with(&env, &["--requester-policy", POLICY]);
    for name in ["early", "silent", "hasty", "proved", "by-robot"] {
        env.reason::<UserRoleRevocation>(name, "Removed").await;
    }
    env.reason::<UserRoleRevocation>("later", "Suspended").await;
    // What was lifted for a moment, and is as before, proves nothing any more.
    for (kind, lifted, before) in [
        ("validatingadmissionpolicy", json!({"failurePolicy": "Ignore"}), json!({"failurePolicy": "Fail"})),
        ("validatingadmissionpolicybinding", json!({"validationActions": ["Audit"]}), binding_spec(POLICY)),
    ] {
        for spec in [lifted, before] {
            let patch = json!({ "spec": spec }).to_string();
            plane.run(&["patch", kind, POLICY, "--type=merge", "-p", &patch]).unwrap();
        }
        let edits = plane.run(&["get", kind, POLICY, "-o", "jsonpath={.metadata.generation}"]).unwrap();
        assert_eq!(edits, "3", "{kind}");
    }
    env.change::<UserRoleRevocation>("later", json!({"suspend": false})).await;
    env.reason::<UserRoleRevocation>("later", "Removed").await;
    assert_eq!(operator.terminate().await, Some(0));
    let said = |by: &str, source: &str| (json!(by), json!(source));
    let expected = BTreeMap::from([
        ("early".to_owned(), said("the-boss", "claimed")),
        ("silent".to_owned(), (Value::Null, Value::Null)),
        ("hasty".to_owned(), said("jane", "claimed")),
        ("proved".to_owned(), said("jane", "admission")),
        ("later".to_owned(), said("jane", "claimed")),
        ("by-robot".to_owned(), said(robot, "admission")),
    ]);
    let log = operator.log();
    assert_eq!(asked(&log, "RSA001I"), expected, "{log}");
    assert_eq!(verify_audit_log(log.lines()).faults, []);
}

/// Labels, the spec and the status can be written, the annotation cannot be changed; and what had none needs none.
fn changes_pass_that_leave_it_alone(env: &Environment) {
    let patch = |user: &str, name: &str, patch: Value, more: &[&str]| {
        let patch = patch.to_string();
        let args = ["patch", "urr", name, "-n", &env.namespace, "--type=merge", "-p", &patch];
        kubectl(env.plane, user, &[&args[..], more].concat(), "")
    };
    let annotation = |value: Value| json!({"metadata": {"annotations": {"rescind.dev/requested-by": value}}});
    for name in ["early", "silent", "proved"] {
        for (change, more) in [
            (json!({"metadata": {"labels": {"team": "sales"}, "annotations": {"other": "x"}}}), &[][..]),
            (json!({"spec": {"ifNotFound": "Ignore"}}), &[]),
            (json!({"status": {"attempts": 1}}), &["--subresource=status"]),
            (json!({"status": {"attempts": null}}), &["--subresource=status"]),
        ] {
            let said = patch("john", name, change.clone(), more);
            assert!(said.is_ok(), "{name}, {change}: {said:?}");
        }
        for value in [json!("john"), json!("eve")] {
            let refusal = patch("john", name, annotation(value), &[]).unwrap_err();
            assert!(refusal.contains("must stay as it was"), "{name}: {refusal}");
        }
    }
    let refusal = patch("jane", "proved", annotation(Value::Null), &[]).unwrap_err();
    assert!(refusal.contains("must stay as it was: jane"), "{refusal}");
}
