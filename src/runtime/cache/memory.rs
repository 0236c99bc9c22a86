//! Measures the memory that an object costs. Run it alone, because it measures the whole process:
//! `cargo test --release --lib memory_per_object -- --ignored --nocapture`.

use std::sync::Arc;

use kube::runtime::reflector;
use kube::runtime::watcher::Event;
use serde_json::{Value, json};

use super::readable::Readable;
use super::settled::Settled;
use super::store_writer::StoreWriter;
use super::watch::prune;
use crate::api::UserRoleRevocation;

const OBJECTS: usize = 100_000;

/// Resident memory of this process in bytes, with pages of 4096.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// A finished removal as the API server sends it, with what Argo CD and we wrote.
fn removal(number: usize) -> Value {
    let manager = |name: &str, subresource: Option<&str>| {
        json!({
            "manager": name, "operation": "Apply", "apiVersion": "rescind.dev/v1alpha1", "subresource": subresource,
            "time": "2026-11-20T10:00:00Z", "fieldsType": "FieldsV1",
            "fieldsV1": {"f:spec": {"f:userId": {}, "f:roles": {"v:\"rol_bN1a2b3c4d5e6f7g\"": {}}}},
        })
    };
    let condition = |name: &str| {
        json!({
            "type": name, "status": "True", "reason": "Removed", "observedGeneration": 1,
            "message": "Removed 2 of 2; a complete read afterwards shows none of them",
            "lastTransitionTime": "2026-11-20T10:00:01Z",
        })
    };
    let tracking = format!("identity:rescind.dev/UserRoleRevocation:identity/leaver-{number:06}");
    json!({
        "apiVersion": "rescind.dev/v1alpha1",
        "kind": "UserRoleRevocation",
        "metadata": {
            "name": format!("leaver-{number:06}"), "namespace": "identity", "generation": 1,
            "uid": format!("5f7c8ec7-c33c-4c00-8bba-{number:012}"), "resourceVersion": (100_000 + number).to_string(),
            "creationTimestamp": "2026-11-20T10:00:00Z", "annotations": {"argocd.argoproj.io/tracking-id": tracking},
            "managedFields": [manager("argocd-controller", None), manager("rescind", Some("status"))],
        },
        "spec": {
            "userId": format!("auth0|{number:024}"), "roles": ["rol_bN1a2b3c4d5e6f7g", "rol_0123456789abcdef"],
            "tenantRef": {"kind": "Auth0Tenant", "name": "default"}, "policy": "Once", "mode": "Remove",
            "ifNotFound": "Fail", "suspend": false,
        },
        "status": {
            "observedGeneration": 1, "conditions": [condition("Ready"), condition("Verified")],
            "result": {"requested": 2, "accepted": 2, "alreadyAbsent": 0, "remaining": 0},
            "finished": {"target": "0123456789abcdef", "mode": "Remove", "generation": 1}, "domain": "acme.eu.auth0.com",
            "lastRemovalTime": "2026-11-20T10:00:01Z", "verifiedTime": "2026-11-20T10:00:01Z",
            "correlationId": format!("rescind-0123456789ab-{number}"),
        },
    })
}

/// Bytes per object, once all are listed.
fn measure(settle: fn(&UserRoleRevocation) -> Option<Settled>) -> usize {
    let (_store, writer) = reflector::store();
    let mut writer = StoreWriter::new(writer, Arc::default(), settle);
    let before = resident();
    writer.take(Event::Init);
    for number in 0..OBJECTS {
        let mut object: Readable<UserRoleRevocation> = serde_json::from_str(&removal(number).to_string()).unwrap();
        prune(&mut object);
        drop(writer.take(Event::InitApply(object)));
    }
    writer.take(Event::InitDone);
    (resident() - before) / OBJECTS
}

#[test]
#[ignore = "measures the whole process"]
#[expect(clippy::print_stderr, reason = "prints its figures")]
fn memory_per_object() {
    let settled = measure(|_| Some(Settled { reason: None }));
    let unfinished = measure(|_| None);
    eprintln!("{settled} bytes a finished object, {unfinished} an unfinished one");
    assert!(settled <= 150, "{settled}");
}
