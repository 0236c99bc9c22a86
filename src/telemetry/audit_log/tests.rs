use std::collections::BTreeSet;
use std::io::Write;

use tracing::level_filters::LevelFilter;
use tracing::subscriber::with_default;

use super::*;
use crate::telemetry::{ChainFault, LogFormat, subscriber, verify_audit_log};

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        lock(&self.0).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What is logged, as JSON at log level error.
fn logged(what: impl FnOnce(&AuditLog)) -> Vec<String> {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = subscriber(LevelFilter::ERROR, LogFormat::Json, move || writer.clone());
    with_default(subscriber, || what(&AuditLog::default()));
    String::from_utf8(lock(&lines.0).clone()).unwrap().lines().map(str::to_owned).collect()
}

fn parsed(line: &str) -> Value {
    serde_json::from_str(line).unwrap()
}

fn key(namespace: Option<&str>) -> TenantKey {
    TenantKey { namespace: namespace.map(str::to_owned), name: "default".to_owned() }
}

/// Everything that a line can hold.
fn everything() -> Value {
    json!({
        "domain": "acme.auth0.com", "endpoint": "DELETE x", "user": "auth0|ümlaut\n\u{7f}\u{202e}\"\\/", "organization": "o",
        "other_ids": {"group": "g"}, "items": 3, "body": "{\"roles\":[\"a\u{7f}\"]}", "objects": [{"name": "jane\u{200b}"}],
        "objects_total": 1, "correlation_id": "c", "duration_ms": 12, "error": "e", "accepted": 1, "accepted_at": "t",
        "why": "w", "client_id": "i", "tenants": [], "reason": "r", "namespace": "n", "brake_id": "b", "count": 1,
        "limit": 2, "lease": "l", "leader": "p",
    })
}

#[test]
fn each_line_has_its_code_and_is_chained() {
    let lines = logged(|log| Code::ALL.iter().for_each(|code| log.write(*code, &everything())));
    assert_eq!(lines.len(), Code::ALL.len());
    for (line, code) in lines.iter().map(|line| parsed(line)).zip(Code::ALL) {
        assert_eq!(line["code"], code.as_str());
        assert_eq!((&line["verdict"], &line["message"]), (&json!(code.verdict()), &json!(code.message())));
        for field in everything().as_object().unwrap().keys() {
            assert!(!line[field].is_null(), "{field} is not in the line: {line}");
        }
        assert!(line["time"].as_str().unwrap().ends_with('Z') && line["timestamp"].is_string());
    }
    let found = verify_audit_log(lines.iter().map(String::as_str));
    assert_eq!(found.faults, []);
    assert_eq!(found.processes.values().next().unwrap().0, lines.len() as u64);
    let tampered: Vec<String> = lines.iter().map(|line| line.replace("acme.auth0.com", "evil.auth0.com")).collect();
    let faults = verify_audit_log(tampered.iter().map(String::as_str)).faults;
    assert!(matches!(faults[..], [ChainFault::Changed { seq: 1, .. }, ..]) && faults.len() == lines.len() - 1);
}

#[test]
fn codes_are_different_and_have_a_severity() {
    let codes: BTreeSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(codes.len(), Code::ALL.len());
    for code in codes {
        let digits = code.strip_prefix("RSA").and_then(|rest| rest.strip_suffix(['I', 'W', 'E'])).expect(code);
        assert!(digits.len() == 3 && digits.bytes().all(|byte| byte.is_ascii_digit()), "{code}");
    }
}

/// Another process has another name, and begins again.
#[test]
fn the_chain_is_that_of_a_process() {
    let lines = logged(|log| {
        log.leader_started("rescind", "pod_1");
        AuditLog::default().leader_started("rescind", "pod_2");
        log.clone().leader_stopped("rescind", "pod_1", Some("taken"));
        log.leader_stopped("rescind", "pod_1", None);
    });
    let found = verify_audit_log(lines.iter().map(String::as_str));
    let mut ends: Vec<u64> = found.processes.values().map(|(seq, _)| *seq).collect();
    ends.sort_unstable();
    assert_eq!((found.faults, ends), (vec![], vec![1, 3]));
    let told = lines.iter().map(|line| {
        let line = parsed(line);
        [&line["code"], &line["leader"], &line["why"]].map(|field| field.as_str().unwrap_or("-").to_owned())
    });
    let expected = [
        ["RSA040I", "pod_1", "-"],
        ["RSA040I", "pod_2", "-"],
        ["RSA041W", "pod_1", "taken"],
        ["RSA041I", "pod_1", "-"],
    ];
    assert_eq!(told.collect::<Vec<_>>(), expected);
}

/// Lines of several threads are in the order of the chain.
#[test]
fn the_order_of_the_chain_is_that_of_the_lines() {
    let lines = Lines::default();
    let (writer, log) = (lines.clone(), AuditLog::default());
    let subscriber = subscriber(LevelFilter::INFO, LogFormat::Json, move || writer.clone());
    let dispatch = tracing::Dispatch::new(subscriber);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                tracing::dispatcher::with_default(&dispatch, || {
                    (0..50).for_each(|_| log.write(Code::DeleteAccepted, &everything()));
                });
            });
        }
    });
    let text = String::from_utf8(lock(&lines.0).clone()).unwrap();
    let found = verify_audit_log(text.lines());
    assert_eq!((found.faults, found.processes.values().next().unwrap().0), (vec![], 200));
}

#[test]
fn stops_and_brakes_name_the_tenant() {
    let meta: ObjectMeta = serde_json::from_value(json!({
        "uid": "u", "generation": 3, "managedFields": [{"manager": "kubectl-edit"}],
    }))
    .unwrap();
    let lines = logged(|log| {
        log.tenant_stop(&key(Some("identity")), &meta, Some((Reason::OnHold, "until then: audit")));
        log.tenant_stop(&key(None), &meta, None);
        log.brake_engaged(&key(Some("identity")), "identity", "1616-7f3a", 1616, 1000);
        log.brake_released(&key(None), "sales", "1616-7f3a", 1616, 1000);
    });
    let lines: Vec<Value> = lines.iter().map(|line| parsed(line)).collect();
    let fields = |line: usize, names: &[&str]| names.iter().map(|name| lines[line][*name].clone()).collect::<Value>();
    assert_eq!(
        fields(0, &["code", "verdict", "reason", "why"]),
        json!(["RSA020W", "stopped", "OnHold", "until then: audit"])
    );
    assert_eq!(fields(1, &["code", "verdict", "reason", "why"]), json!(["RSA021I", "resumed", null, null]));
    let tenant: Value = serde_json::from_str(lines[0]["tenants"].as_str().unwrap()).unwrap();
    let expected = json!([{
        "kind": "Auth0Tenant", "namespace": "identity", "name": "default", "uid": "u", "generation": 3,
        "claimedManagers": ["kubectl-edit"],
    }]);
    assert_eq!(tenant, expected);
    let of_brake = ["code", "verdict", "namespace", "brake_id", "count", "limit"];
    assert_eq!(fields(2, &of_brake), json!(["RSA030W", "engaged", "identity", "1616-7f3a", 1616, 1000]));
    assert_eq!(fields(3, &of_brake), json!(["RSA031I", "released", "sales", "1616-7f3a", 1616, 1000]));
    assert!(lines[3]["tenants"].as_str().unwrap().contains("ClusterAuth0Tenant"), "{}", lines[3]);
}
