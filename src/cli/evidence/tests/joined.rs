//! What is made of objects and audit lines together.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Value, json};

use super::samples::{DAY, at};
use crate::cli::evidence::audit::{self, AuditFacts};
use crate::cli::evidence::collect::{Given, Population, collect};
use crate::cli::evidence::kube_audit::{self, KubeFacts};
use crate::cli::evidence::period::Period;
use crate::cli::evidence::row::{Row, Sla, Source, Standing, TimesFrom};
use crate::cli::object::{Kind, Object};

/// To make them takes a moment.
static KINDS: LazyLock<Vec<Kind>> = LazyLock::new(crate::cli::object::kinds);

const ROLES: [&str; 3] = ["rol_aaaaaaaaaaaaaaaa", "rol_bbbbbbbbbbbbbbbb", "rol_cccccccccccccccc"];
const JANE: &str = "auth0|5f7c8ec7c33c6c004bbafe82";

/// An object of jane's roles, created at ten and removed at 10:00:05, as its status says.
fn object(uid: &str, roles: &[&str]) -> Object {
    let time = "2026-10-01T10:00:05Z";
    let condition = |kind: &str, reason: &str| json!({"type": kind, "status": "True", "reason": reason, "message": "m", "lastTransitionTime": time});
    let kind = KINDS.iter().find(|kind| kind.name == "UserRoleRevocation").unwrap();
    let object = json!({
        "apiVersion": "rescind.dev/v1alpha1", "kind": kind.name, "spec": {"userId": JANE, "roles": roles},
        "metadata": {"name": uid, "namespace": "identity", "uid": uid, "generation": 1,
            "creationTimestamp": "2026-10-01T10:00:00Z", "annotations": {"rescind.dev/requested-by": "claims"}},
        "status": {"observedGeneration": 1, "domain": "acme.eu.auth0.com", "lastRemovalTime": time,
            "verifiedTime": time,
            "conditions": [condition("Ready", "Removed"), condition("Verified", "ReadAfter")]},
    });
    kind.read(object).unwrap()
}

/// An audit line of a DELETE of roles of jane for these objects, at this second after ten.
fn line(second: u32, code: &str, verdict: &str, uids: &[&str], roles: &[&str]) -> Value {
    let object = |uid: &&str| json!({"kind": "UserRoleRevocation", "namespace": "identity", "name": uid, "uid": uid, "generation": 1});
    let objects: Vec<Value> = uids.iter().map(object).collect();
    json!({
        "target": "rescind::audit", "code": code, "verdict": verdict,
        "time": format!("2026-10-01T10:00:{second:02}.5Z"),
        "domain": "acme.eu.auth0.com", "endpoint": "DELETE users/{id}/roles", "user": JANE, "items": roles.len(),
        "body": json!({ "roles": roles }).to_string(), "objects": json!(objects).to_string(),
        "objects_total": uids.len(), "correlation_id": format!("c{second}"), "boot": "b", "seq": 1, "prev": "",
    })
}

fn facts(lines: &[Value]) -> AuditFacts {
    let lines: Vec<_> = lines.iter().map(|line| ("a line".to_owned(), line.to_string())).collect();
    let mut facts = audit::read(&lines);
    assert_eq!(facts.lines, lines.len());
    facts.faults.clear();
    facts
}

fn gathered(objects: &[Object], audit: Option<&AuditFacts>, kube: Option<&KubeFacts>) -> Population {
    collect(&Given {
        objects,
        are_all: true,
        domains: &BTreeMap::new(),
        audit,
        kube,
        kinds: &KINDS,
        namespace: None,
        with_deleted: true,
        period: Period { since: at("2026-10-01T00:00:00Z"), until: at("2027-01-01T00:00:00Z") },
        sla: DAY,
        now: at("2027-01-02T00:00:00Z"),
    })
}

fn items(rows: &[Row]) -> Vec<(&str, &str)> {
    rows.iter().map(|row| (row.uid.as_str(), row.item_id.as_str())).collect()
}

#[test]
fn each_item_has_the_time_of_its_own_call() {
    let objects = [object("a", &ROLES[..2])];
    let audit = facts(&[
        line(1, "RSA001I", "accepted", &["a"], &ROLES[..1]),
        line(2, "RSA001W", "refused", &["a"], &ROLES[1..2]),
        line(9, "RSA001I", "accepted", &["a"], &ROLES[1..2]),
    ]);
    let rows = gathered(&objects, Some(&audit), None).rows;
    let removed: Vec<_> = rows.iter().map(|row| (row.seconds_to_removed(), row.correlation_id.as_deref())).collect();
    assert_eq!(removed, [(Some(1), Some("c1")), (Some(9), Some("c9"))]);
    assert!(rows.iter().all(|row| row.times_from == TimesFrom::Audit && row.within_sla == Sla::Yes));
    let rows = gathered(&objects, None, None).rows;
    assert!(rows.iter().all(|row| row.seconds_to_removed() == Some(5) && row.times_from == TimesFrom::Object));
}

#[test]
fn an_object_without_its_lines_is_named() {
    let audit = facts(&[line(1, "RSA001I", "accepted", &["a"], &ROLES[..1])]);
    let population = gathered(&[object("a", &ROLES[..1]), object("b", &ROLES[1..2])], Some(&audit), None);
    assert_eq!(population.only_in_objects, ["UserRoleRevocation identity/b"]);
    assert_eq!((population.objects, population.only_in_audit.len()), (2, 0));
}

#[test]
fn of_a_shared_call_a_deleted_object_named_what_no_other_did() {
    let audit = facts(&[line(1, "RSA001I", "accepted", &["a", "gone"], &ROLES)]);
    let population = gathered(&[object("a", &ROLES[..1])], Some(&audit), None);
    assert_eq!(items(&population.rows), [("gone", ROLES[1]), ("gone", ROLES[2]), ("a", ROLES[0])]);
    assert_eq!(population.only_in_audit, ["UserRoleRevocation identity/gone"]);

    // Which of two deleted objects named what cannot be told.
    let audit = facts(&[line(1, "RSA001I", "accepted", &["gone", "too"], &ROLES)]);
    let rows = gathered(&[], Some(&audit), None).rows;
    assert_eq!(items(&rows), [("gone", ""), ("too", "")]);
    assert!(rows.iter().all(|row| row.verdict == "Accepted" && row.proof == "ObjectDeleted"));
}

#[test]
fn a_deleted_object_is_judged_by_its_last_call() {
    let named = |name: &str| {
        json!([{"kind": "UserRoleRevocation", "namespace": "identity", "name": name, "uid": name}]).to_string()
    };
    let audit = facts(&[
        line(1, "RSA001W", "refused", &["refused"], &ROLES[..1]),
        line(2, "RSA001I", "accepted", &["unproved"], &ROLES[..1]),
        json!({"target": "rescind::audit", "code": "RSA003W", "verdict": "unproved", "time": "2026-10-01T10:00:03Z",
            "objects": named("unproved"),
            "boot": "b", "seq": 2, "prev": ""}),
        json!({"target": "rescind::audit", "code": "RSA004W", "verdict": "guarded", "time": "2026-10-01T10:00:04Z",
            "why": "w", "objects": named("guarded"),
            "boot": "b", "seq": 3, "prev": ""}),
    ]);
    let rows = gathered(&[], Some(&audit), None).rows;
    let of = |uid: &str| {
        let row = rows.iter().find(|row| row.uid == uid).unwrap();
        (row.standing, row.verdict.as_str(), row.proof.as_str())
    };
    assert_eq!(of("refused"), (Standing::NotDone, "refused", ""));
    assert_eq!(of("unproved"), (Standing::Unproved, "Accepted", "DeletedBeforeProof"));
    assert_eq!(of("guarded"), (Standing::NotDone, "guarded", ""));
    assert!(rows.iter().all(|row| row.requested_at.is_none() && row.within_sla == Sla::Unknown));
}

#[test]
fn the_best_source_says_who_asked() {
    let create = json!({
        "apiVersion": "audit.k8s.io/v1", "verb": "create", "user": {"username": "lee"}, "responseStatus": {"code": 201},
        "objectRef": {"resource": "userrolerevocations", "namespace": "identity", "name": "a",
            "apiGroup": "rescind.dev"},
        "requestReceivedTimestamp": "2026-10-01T10:00:00.9Z",
    });
    let mut kube = KubeFacts::default();
    kube_audit::read(&mut kube, &KINDS, "f", &[(1, create.to_string())]);
    let asked = |source: Option<&str>, kube: Option<&KubeFacts>| {
        let mut line = line(1, "RSA001I", "accepted", &["a"], &ROLES[..1]);
        let mut object_line: Value = serde_json::from_str(line["objects"].as_str().unwrap()).unwrap();
        object_line[0]["requestedBy"] = json!("claims");
        object_line[0]["requestedBySource"] = json!(source);
        line["objects"] = json!(object_line.to_string());
        let rows = gathered(&[object("a", &ROLES[..1])], Some(&facts(&[line])), kube).rows;
        (rows[0].requested_by.clone().unwrap(), rows[0].requested_by_source.unwrap(), rows[0].claimed_by.clone())
    };
    let claims = Some("claims".to_owned());
    assert_eq!(asked(Some("claimed"), None), ("claims".into(), Source::Claimed, claims.clone()));
    assert_eq!(asked(Some("claimed"), Some(&kube)), ("lee".into(), Source::KubeAudit, claims.clone()));
    assert_eq!(asked(Some("admission"), Some(&kube)), ("claims".into(), Source::Admission, claims));
}

#[test]
fn what_only_the_api_server_knows_is_not_forgotten() {
    let create = json!({
        "apiVersion": "audit.k8s.io/v1", "verb": "create", "user": {"username": "lee"}, "responseStatus": {"code": 201},
        "objectRef": {"resource": "userrolerevocations", "namespace": "identity", "name": "b",
            "apiGroup": "rescind.dev"},
        "requestReceivedTimestamp": "2026-10-01T10:00:00.9Z",
        "requestObject": {"apiVersion": "rescind.dev/v1alpha1", "kind": "UserRoleRevocation",
            "metadata": {"name": "b", "namespace": "identity"}, "spec": {"userId": JANE, "roles": ROLES}},
    });
    let mut kube = KubeFacts::default();
    kube_audit::read(&mut kube, &KINDS, "f", &[(1, create.to_string())]);
    let audit = facts(&[]);
    let population = gathered(&[object("a", &ROLES[..1])], Some(&audit), Some(&kube));
    let rows: Vec<&Row> = population.rows.iter().filter(|row| row.name == "b").collect();
    assert_eq!((rows.len(), rows[0].verdict.as_str(), rows[0].within_sla), (3, "DeletedBeforeRemoval", Sla::No));
    assert_eq!(population.only_in_audit, ["UserRoleRevocation identity/b"]);
    // The same, if the object is there.
    let population = gathered(&[object("b", &ROLES[..1])], Some(&audit), Some(&kube));
    assert_eq!((population.rows.len(), population.only_in_audit.len()), (1, 0));
}
