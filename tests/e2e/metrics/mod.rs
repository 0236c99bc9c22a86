//! Metrics: right after known removals, named by the conventions, with nothing in them that identifies a person. Also
//! what is built upon them: alerts, dashboard, docs/metrics.md.

mod exposition;
mod queries;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;

use fake_auth0::{Bucket, Fault, Group, Kind, TOKEN_CANARY};
use rescind::api::{OrgMembershipRemoval, Reason, UserRoleRevocation};
use rescind::telemetry::verify_audit_log;
use serde_json::{Value, json};

use crate::generated_file::assert_up_to_date;
use crate::harness::*;
use crate::process::Process;
pub use exposition::Scrape;

/// An address on which no process listened a moment ago.
pub fn address() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

pub async fn scrape(address: SocketAddr) -> Scrape {
    let answer = reqwest::get(format!("http://{address}/metrics")).await.unwrap();
    let content_type = answer.headers()["content-type"].to_str().unwrap();
    assert!(content_type.starts_with("application/openmetrics-text"), "{content_type}");
    Scrape::read(&answer.text().await.unwrap())
}

fn file(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// One 429, three removals, and one object with a mistake.
async fn some_removals(env: &Environment) {
    env.fake.limit(Group::UsersWrite, Bucket::new(50, 10.0));
    env.fake.fault(Fault::status(429).header("Retry-After", "3").on(Kind::DeleteUserRoles).once());
    env.put::<UserRoleRevocation>("jane", roles(USER)).await;
    env.reason::<UserRoleRevocation>("jane", "RateLimited").await;
    env.reason::<UserRoleRevocation>("jane", "Removed").await;
    env.put::<UserRoleRevocation>("jack", roles(OTHER_USER)).await;
    env.put::<UserRoleRevocation>("typo", json!({"userId": "auth0|nobody", "roles": [ROLE]})).await;
    env.put::<OrgMembershipRemoval>("out", json!({"organizationId": ORG, "members": [OTHER_USER]})).await;
    env.reason::<UserRoleRevocation>("jack", "Removed").await;
    env.reason::<UserRoleRevocation>("typo", "SubjectNotFound").await;
    env.reason::<OrgMembershipRemoval>("out", "Removed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_are_right_after_known_removals() {
    let env = Environment::new("metrics").await;
    let address = address();
    let operator = env.operator_with(|settings| settings.metrics_address = Some(address.into())).await;
    some_removals(&env).await;
    let scrape = settled(address).await;
    let value = |name: &str, labels: &[(&str, &str)]| scrape.value(name, labels);

    let roles = ("kind", "UserRoleRevocation");
    let changes = |reason| value("rescind_removal_reason_changes_total", &[roles, ("reason", reason)]);
    assert_eq!((changes("Removed"), changes("SubjectNotFound"), changes("RateLimited")), (2.0, 1.0, 1.0));
    let standing = |reason| value("rescind_removals", &[roles, ("reason", reason)]);
    assert_eq!((standing("Removed"), standing("SubjectNotFound"), standing("RateLimited")), (2.0, 1.0, 0.0));
    assert_eq!(value("rescind_removals", &[("state", "stalled")]), 1.0);
    assert_eq!(value("rescind_removals", &[("state", "done")]), 3.0);
    assert_eq!(value("rescind_objects_drifted", &[]), 0.0);
    assert_eq!(value("rescind_tenants", &[("reason", "Connected"), ("tenant_namespace", &env.namespace)]), 1.0);

    assert_eq!(value("rescind_auth0_calls_total", &[]), env.fake.total() as f64);
    let deletes = |outcome| {
        let of_roles = [("method", "DELETE"), ("path", "users/{id}/roles"), ("outcome", outcome)];
        value("rescind_auth0_calls_total", &of_roles)
    };
    assert_eq!((deletes("ok"), deletes("rate_limited"), deletes("not_found")), (2.0, 1.0, 1.0), "{:?}", env.calls());
    assert_eq!(value("rescind_auth0_rate_limited_total", &[("domain", env.fake.domain())]), 1.0);
    let tokens = value("rescind_ratelimit_remaining", &[("method", "DELETE"), ("path", "users/{id}/roles")]);
    assert!((1.0..50.0).contains(&tokens), "{tokens}");
    assert_eq!(value("rescind_auth0_call_duration_seconds_count", &[]), env.fake.total() as f64);

    assert_eq!(value("rescind_proof_lag_seconds_count", &[]), 3.0);
    assert!(value("rescind_proof_lag_seconds_sum", &[]) < 30.0);
    assert_eq!(value("rescind_leader", &[]), 1.0);
    assert_eq!(value("rescind_circuit_breaker_open_seconds", &[]), 0.0);
    assert!(value("rescind_reconcile_duration_seconds_count", &[roles]) >= 3.0);
    assert_eq!(value("rescind_reconcile_errors_total", &[]), 0.0);
    assert_eq!(value("rescind_build_info", &[("version", env!("CARGO_PKG_VERSION"))]), 1.0);
    assert!(value("process_resident_memory_bytes", &[]) > 1e6 && value("process_open_fds", &[]) > 3.0);

    assert_conventions(&scrape);
    assert_no_ids(&scrape, &env);
    assert_alerts_and_dashboard(&scrape);
    assert_page(&scrape);
    operator.stop().await;
}

/// Scrapes until the cache and the dispatcher have caught up with the statuses that were seen.
async fn settled(address: SocketAddr) -> Scrape {
    within(async {
        loop {
            let scrape = scrape(address).await;
            let busy = scrape.value("rescind_queue_jobs", &[]) + scrape.value("rescind_queue_calls_in_flight", &[]);
            let open = scrape.value("rescind_removals", &[("state", "waiting")])
                + scrape.value("rescind_removals", &[("state", "new")]);
            let told = scrape.value("rescind_removal_reason_changes_total", &[]) >= 5.0;
            // The tenant's status follows a moment after its credential was accepted.
            let unproved = scrape.value("rescind_tenants", &[("reason", "Unproved")]);
            if busy + open + unproved == 0.0 && told {
                return scrape;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await
}

/// prometheus.io/docs/practices/naming: a prefix, base units, `_total` for counters and for nothing else.
fn assert_conventions(scrape: &Scrape) {
    for family in &scrape.families {
        let name = &family.name;
        assert!(name.starts_with("rescind_") || name.starts_with("process_"), "{name}");
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'), "{name}");
        let total = |sample: &exposition::Sample| sample.name.ends_with("_total");
        match family.kind.as_str() {
            "counter" => assert!(family.samples.iter().all(total), "{name}"),
            "gauge" | "info" | "histogram" => assert!(!family.samples.iter().any(total), "{name}"),
            other => panic!("{name} is a {other}"),
        }
        for wrong in ["_ms", "_milliseconds", "_minutes", "_kb", "_percent", "_count"] {
            assert!(!name.ends_with(wrong), "{name}");
        }
        if let Some(unit) = &family.unit {
            assert!(["seconds", "bytes"].contains(&unit.as_str()) && name.ends_with(unit), "{name} {unit}");
        }
        if family.kind == "histogram" {
            assert_eq!(family.unit.as_deref(), Some("seconds"), "{name}");
        }
        assert!(!family.samples.is_empty(), "{name} has no sample");
    }
}

/// No metric names people, what they held, objects, or the credential.
fn assert_no_ids(scrape: &Scrape, env: &Environment) {
    let ids = [USER, OTHER_USER, ROLE, ORG, "nobody", "jane", "jack", "typo", TOKEN_CANARY, &env.token];
    for id in ids {
        assert!(!scrape.text.contains(id), "{id}");
    }
    let labels: BTreeSet<&str> = scrape.families.iter().flat_map(exposition::Family::labels).collect();
    // No label is called `namespace`, `endpoint` or `pod`: the scraped target has those, and Prometheus would rename
    // ours.
    let allowed = [
        "kind",
        "reason",
        "state",
        "cause",
        "credential",
        "domain",
        "method",
        "path",
        "outcome",
        "tenant_namespace",
        "version",
    ];
    assert!(labels.is_subset(&allowed.into()), "{labels:?}");
}

fn assert_alerts_and_dashboard(scrape: &Scrape) {
    let alerts = std::fs::read_to_string(file("charts/rescind/files/alerts.yaml")).unwrap();
    let alerts: Value = serde_saphyr::from_str(&alerts).unwrap();
    let rules = alerts["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap());
    let rules: Vec<&Value> = rules.collect();
    assert!(rules.len() >= 10);
    for rule in rules {
        queries::check(rule["expr"].as_str().unwrap(), scrape);
    }
    let dashboard = std::fs::read_to_string(file("charts/rescind/files/dashboard.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert!(panels.len() >= 10 && ids.len() == panels.len());
    for target in panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap()) {
        queries::check(target["expr"].as_str().unwrap(), scrape);
    }
}

/// Each reason has a section in docs/troubleshooting.md, and each alert links to one.
#[test]
fn every_reason_and_alert_has_a_runbook() {
    let page = std::fs::read_to_string(file("docs/troubleshooting.md")).unwrap();
    let sections = page.lines().filter_map(|line| line.strip_prefix("## "));
    let anchors: BTreeSet<String> = sections.map(|title| title.to_lowercase().replace(' ', "-")).collect();
    let mut reasons: Vec<String> = Reason::ALL.iter().map(|reason| reason.as_str().to_lowercase()).collect();
    reasons.push("none".to_owned());
    for reason in &reasons {
        assert!(anchors.contains(reason), "no section on {reason}");
    }
    let alerts = std::fs::read_to_string(file("charts/rescind/files/alerts.yaml")).unwrap();
    let runbooks: Vec<&str> = alerts.lines().filter_map(|line| line.trim().strip_prefix("runbook_url: ")).collect();
    assert_eq!(runbooks.len(), alerts.matches("- alert: ").count());
    for runbook in runbooks {
        let anchor = runbook.strip_prefix("docs/troubleshooting.md#").expect(runbook);
        assert!(anchor == "{{ $labels.reason | toLower }}" || anchors.contains(anchor), "{runbook}");
    }
}

/// The table of docs/metrics.md, which `make docs` writes.
fn assert_page(scrape: &Scrape) {
    const HEAD: &str = "| Name | Type | Labels | Meaning |\n| --- | --- | --- | --- |\n";
    let path = file("docs/metrics.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let rows = scrape.families.iter().map(|family| {
        let labels: Vec<String> = family.labels().iter().map(|label| format!("`{label}`")).collect();
        let help = family.help.trim_end_matches('.');
        format!("| `{}` | {} | {} | {help} |\n", family.written(), family.kind, labels.join(", "))
    });
    let mut rows: Vec<String> = rows.collect();
    rows.sort_unstable();
    let table = format!("{HEAD}{}", rows.concat());
    let (before, rest) = page.split_once(HEAD).expect("the head of the table");
    let after: String = rest.split_inclusive('\n').skip_while(|line| line.starts_with('|')).collect();
    assert_up_to_date(path, &format!("{before}{table}{after}"), "docs");
}

/// Each DELETE leaves one audit line, even when nothing else is logged; and a standby says that it does not lead.
#[tokio::test(flavor = "multi_thread")]
async fn every_delete_leaves_an_audit_line() {
    let env = Environment::new("audit").await;
    let (first, second) = (address(), address());
    let start = |address: SocketAddr| {
        let address = address.to_string();
        let watched = ["--watch-namespaces", &env.namespace, "--namespace", &env.namespace];
        let more = ["--health-probe-bind-address", "0", "--allowed-domains", env.fake.domain()];
        let said = ["--log-level", "error", "--metrics-bind-address", &address];
        Process::run(env.plane.kubeconfig_path(), &[watched, more, said].concat())
    };
    let mut leader = start(first);
    some_removals(&env).await;
    assert_eq!(settled(first).await.value("rescind_leader", &[]), 1.0);
    let _standby = start(second);
    let idle = within(async {
        loop {
            match reqwest::get(format!("http://{second}/metrics")).await {
                Ok(answer) => return Scrape::read(&answer.text().await.unwrap()),
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
            }
        }
    })
    .await;
    assert_eq!((idle.value("rescind_leader", &[]), idle.value("rescind_removals", &[])), (0.0, 0.0));
    assert_eq!(leader.terminate().await, Some(0));

    let log = leader.log();
    assert!(!log.contains(TOKEN_CANARY) && !log.contains(&env.token));
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let audit: Vec<&Value> = lines.iter().filter(|line| line["target"] == "rescind::audit").collect();
    assert_eq!(verify_audit_log(log.lines()).faults, []);
    let (first, last) = (audit.first().unwrap(), audit.last().unwrap());
    assert_eq!((&first["code"], &first["seq"], &last["code"]), (&json!("RSA040I"), &json!(1), &json!("RSA041I")));
    let audit: Vec<&Value> = audit.into_iter().filter(|line| line["endpoint"].is_string()).collect();
    let deletes = env.fake.deletes();
    assert_eq!(audit.len(), deletes.len(), "{log}");
    for call in &deletes {
        let correlation = call.correlation_id.as_deref().unwrap();
        let line = audit.iter().find(|line| line["correlation_id"] == correlation).unwrap();
        let verdict = if call.status() == Some(204) { "accepted" } else { "refused" };
        assert_eq!(line["verdict"], verdict, "{line}");
        assert_eq!(line["code"], if verdict == "accepted" { "RSA001I" } else { "RSA001W" }, "{line}");
        assert_eq!(line["error"].is_null(), verdict == "accepted", "{line}");
        assert!(line["timestamp"].is_string() && line["domain"] == env.fake.domain(), "{line}");
    }
    let of_jane = |line: &&&Value| line["user"] == USER && line["verdict"] == "accepted";
    let line = audit.iter().find(of_jane).unwrap();
    assert_eq!((&line["endpoint"], &line["items"]), (&json!("DELETE users/{id}/roles"), &json!(1)));
    assert_eq!(line["body"], json!({"roles": [ROLE]}).to_string());
    let objects: Value = serde_json::from_str(line["objects"].as_str().unwrap()).unwrap();
    let jane = env.api::<UserRoleRevocation>().get("jane").await.unwrap().metadata;
    let expected = json!([{
        "kind": "UserRoleRevocation", "namespace": env.namespace, "name": "jane", "uid": jane.uid,
        "generation": 1, "claimedManagers": ["test"],
    }]);
    assert_eq!(objects, expected);
}

/// The process ends before Auth0 has answered.
#[tokio::test(flavor = "multi_thread")]
async fn a_delete_that_is_cut_off_leaves_an_audit_line() {
    let env = Environment::new("audit-cut").await;
    let held = env.fake.fault(Fault::hold().on(Kind::DeleteUserRoles).once());
    let mut operator = Process::start(&env);
    env.put::<UserRoleRevocation>("jane", roles(USER)).await;
    held.arrived().await;
    assert_eq!(operator.terminate().await, Some(0));
    let log = operator.log();
    let audit: Vec<&str> = log.lines().filter(|line| line.contains("\"code\":\"RSA001E\"")).collect();
    assert_eq!(audit.len(), 1, "{log}");
    let line: Value = serde_json::from_str(audit[0]).unwrap();
    assert_eq!((&line["verdict"], &line["user"]), (&json!("unknown"), &json!(USER)), "{line}");
}
