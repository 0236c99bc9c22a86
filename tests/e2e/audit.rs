//! The audit log of real processes: its commands as docs/audit.md has them, and the stops of a tenant.

#![allow(clippy::print_stderr, reason = "a skipped test says why")]

use std::path::Path;

use kube::api::PostParams;
use rescind::api::{Auth0Tenant, UserRoleRevocation};
use rescind::telemetry::verify_audit_log;
use serde_json::{Value, json};

use crate::harness::*;
use crate::process::Process;

/// The block of docs/audit.md that begins so.
pub fn command(beginning: &str) -> String {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/audit.md")).unwrap();
    let blocks = page.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap().to_owned());
    let mut found: Vec<String> = blocks.filter(|block| block.starts_with(beginning)).collect();
    assert_eq!(found.len(), 1, "{beginning}");
    found.remove(0)
}

/// Runs a command in this folder as the administrator of the cluster. Returns what it printed.
pub fn shell(env: &Environment, folder: &Path, script: &str) -> Result<String, String> {
    let kubectl = env.plane.kubectl_path().parent().unwrap().display().to_string();
    let path = format!("{kubectl}:{}", std::env::var("PATH").unwrap());
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", script]).current_dir(folder).env("PATH", path).env("KUBECONFIG", env.plane.kubeconfig_path());
    crate::helm::said(shell.output().unwrap())
}

/// The codes of the audit lines, with the reason in those that have one.
fn codes(log: &str) -> Vec<String> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let coded = lines.filter(|line| line["code"].is_string());
    coded
        .map(|line| {
            let reason = line["reason"].as_str().map(|reason| format!(" {reason}")).unwrap_or_default();
            format!("{}{reason}", line["code"].as_str().unwrap())
        })
        .collect()
}

/// sh, jq and sha256sum find an unbroken chain, and one that was tampered with.
#[tokio::test(flavor = "multi_thread")]
async fn the_commands_of_the_page_verify_a_log() {
    if !std::process::Command::new("jq").arg("--version").output().is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: there is no jq");
        return;
    }
    let env = Environment::new("audit-chain").await;
    let mut operator = Process::start(&env);
    for (name, user) in [("jane", USER), ("jack", OTHER_USER)] {
        // Characters that programs print in different ways.
        let asked = format!("{name} \"\\/~\u{7f}\u{202e}\t ü日\u{1f980}");
        let object = json!({
            "apiVersion": "rescind.dev/v1alpha1", "kind": "UserRoleRevocation", "spec": roles(user),
            "metadata": {"name": name, "annotations": {"rescind.dev/requested-by": asked}},
        });
        let object = serde_json::from_value(object).unwrap();
        env.api::<UserRoleRevocation>().create(&PostParams::default(), &object).await.unwrap();
        env.reason::<UserRoleRevocation>(name, "Removed").await;
    }
    assert_eq!(operator.terminate().await, Some(0));
    let folder = tempfile::tempdir().unwrap();
    let log = operator.log();
    let is_audit = |line: &&str| line.contains("\"target\":\"rescind::audit\"");
    // Others come between, which only takes a few of them to show.
    let log: String =
        log.lines().enumerate().filter(|(n, line)| *n < 9 || is_audit(line)).map(|(_, l)| format!("{l}\n")).collect();
    let lines = codes(&log).len();
    assert_eq!(codes(&log), ["RSA040I", "RSA001I", "RSA001I", "RSA041I"]);
    let escaped = r#"jane \"\\/~\u007f\u202e\u0009 ü日🦀"#;
    let of_jane: Value = serde_json::from_str(log.lines().find(|line| line.contains("RSA001I")).unwrap()).unwrap();
    let objects: Value = serde_json::from_str(of_jane["objects"].as_str().unwrap()).unwrap();
    assert_eq!(objects[0]["requestedBySource"], "claimed");
    assert_eq!(objects[0]["requestedBy"], escaped.replace("\\\"", "\"").replace("\\\\", "\\"), "{of_jane}");
    let verify = |log: &str| {
        std::fs::write(folder.path().join("rescind.log"), log).unwrap();
        shell(&env, folder.path(), &command("boot="))
    };
    assert_eq!(verify(&log).unwrap(), format!("{lines} lines, unbroken\n"));
    assert_eq!(verify_audit_log(log.lines()).faults, []);
    let without_one: String = log.lines().filter(|line| !line.contains(OTHER_USER)).map(|l| format!("{l}\n")).collect();
    for tampered in [log.replacen(USER, OTHER_USER, 1), log.replacen("\"items\":1", "\"items\":0", 1), without_one] {
        assert_ne!(tampered, log);
        assert!(verify(&tampered).is_err() && !verify_audit_log(tampered.lines()).faults.is_empty());
    }
}

/// A line when it begins and a line when it ends, and none by another process in between.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_of_a_tenant_is_told_once() {
    let env = Environment::new("audit-stop").await;
    let mut first = Process::start(&env);
    env.tenant_reason("Unproved").await;
    env.put_tenant(json!({"suspend": true})).await;
    env.tenant_reason("Suspended").await;
    // Still stopped: only something else changes.
    env.put_tenant(json!({"suspend": true, "rateLimit": {"maxRequestsPerSecond": 3}})).await;
    env.tenant_reason("Suspended").await;
    assert_eq!(first.terminate().await, Some(0));
    assert_eq!(codes(&first.log()), ["RSA040I", "RSA020W Suspended", "RSA041I"]);

    let mut second = Process::start(&env);
    env.put::<UserRoleRevocation>("jane", roles(USER)).await;
    env.reason::<UserRoleRevocation>("jane", "Suspended").await;
    env.put_tenant(json!({})).await;
    env.reason::<UserRoleRevocation>("jane", "Removed").await;
    env.put_tenant(json!({"hold": {"until": "2999-01-01T00:00:00Z", "reason": "audit"}})).await;
    env.tenant_reason("OnHold").await;
    assert_eq!(second.terminate().await, Some(0));
    let log = second.log();
    assert_eq!(codes(&log), ["RSA040I", "RSA021I", "RSA001I", "RSA020W OnHold", "RSA041I"]);
    let held = log.lines().find(|line| line.contains("RSA020W")).unwrap();
    let held: Value = serde_json::from_str(held).unwrap();
    assert_eq!(held["why"], "until 2999-01-01T00:00:00Z: audit");
    let tenants: Value = serde_json::from_str(held["tenants"].as_str().unwrap()).unwrap();
    assert_eq!(tenants[0]["claimedManagers"], json!(["test"]));
}

/// One line for each object that a guard refuses, one when the brake engages and one when it is released.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_brake_stops_is_in_the_log() {
    let env = Environment::new("audit-brake").await;
    let brake = json!({"maxRemovals": 1, "window": "1h", "maxShareOfOrganization": 100});
    env.put_tenant(json!({"brake": brake, "suspend": true})).await;
    for (name, user) in [("jane", USER), ("jack", OTHER_USER)] {
        env.put::<UserRoleRevocation>(name, roles(user)).await;
    }
    let mut operator = Process::start(&env);
    for name in ["jane", "jack"] {
        env.reason::<UserRoleRevocation>(name, "Suspended").await;
    }
    env.put_tenant(json!({ "brake": brake })).await;
    for name in ["jane", "jack"] {
        env.reason::<UserRoleRevocation>(name, "BrakeEngaged").await;
    }
    let id = |tenant: &Auth0Tenant| tenant.status.as_ref()?.brake.as_ref()?.id.clone();
    let tenant = env.wait("default", |tenant| id(tenant).is_some()).await;
    let release = json!({"metadata": {"annotations": {"rescind.dev/release-brake": id(&tenant)}}});
    let patch = kube::api::Patch::Merge(release);
    env.api::<Auth0Tenant>().patch("default", &Default::default(), &patch).await.unwrap();
    for name in ["jane", "jack"] {
        env.reason::<UserRoleRevocation>(name, "Removed").await;
    }
    assert_eq!(operator.terminate().await, Some(0));
    let codes = codes(&operator.log());
    let count = |code: &str| codes.iter().filter(|line| line.starts_with(code)).count();
    assert_eq!(["RSA030W", "RSA004W", "RSA031I", "RSA001I"].map(count), [1, 2, 1, 2], "{codes:?}");
}
