//! What the API server adds to a manifest, and who may write which half of an object.

use http::Method;
use serde_json::{Value, json};

use super::*;

fn defaults(kind: &Kind) -> Value {
    match kind.name {
        "Auth0Tenant" => {
            let rate_limit = json!({"maxRequestsPerSecond": 10, "reservePercent": 20});
            json!({"verification": "After", "suspend": false, "rateLimit": rate_limit})
        }
        _ => {
            let tenant = json!({"kind": "Auth0Tenant", "name": "default"});
            json!({"tenantRef": tenant, "ifNotFound": "Fail", "suspend": false})
        }
    }
}

/// Every field of a status, as the operator may write it.
fn full_status(kind: &Kind) -> Value {
    let time = "2026-11-21T02:44:00Z";
    let condition = |name| {
        json!({"type": name, "status": "True", "reason": "Removed", "message": "Removed 1 role",
            "observedGeneration": 1, "lastTransitionTime": time})
    };
    let conditions = json!([condition("Ready"), condition("Verified")]);
    match kind.name {
        "Auth0Tenant" => json!({"observedGeneration": 1, "conditions": conditions}),
        _ => json!({
            "observedGeneration": 1, "conditions": conditions, "attempts": 2, "correlationId": "abc",
            "result": {"requested": 3, "removed": 1, "alreadyAbsent": 1, "remaining": 1},
            "lastRemovalTime": time, "verifiedTime": time, "nextAttemptTime": time,
        }),
    }
}

/// kstatus takes an object without conditions for current; -1 is never the generation of an object.
#[tokio::test(flavor = "multi_thread")]
async fn defaults_are_written_when_an_object_is_made() {
    let world = World::bare("manifests").await;
    for kind in KINDS {
        let manifest = kind.manifest("minimal");
        let created = send(&world, Method::POST, &world.path(kind, ""), FOR_GOOD, &manifest).await.unwrap();
        let mut expected = manifest["spec"].clone();
        for (field, value) in defaults(kind).as_object().unwrap() {
            expected[field] = value.clone();
        }
        if kind.name == "Auth0Tenant" {
            expected["credentials"]["tokenSecretRef"]["key"] = json!("token");
        }
        assert_eq!(created["spec"], expected, "{}", kind.name);
        assert_eq!(created["status"], json!({"observedGeneration": -1}), "{}", kind.name);
        assert_eq!(created["metadata"]["generation"], 1, "{}", kind.name);
        (kind.read)(created).unwrap();
    }
}

/// A manifest cannot claim that something was removed, and the operator's writes cannot change what is asked for.
#[tokio::test(flavor = "multi_thread")]
async fn spec_and_status_are_written_apart() {
    let world = World::bare("manifests").await;
    for kind in KINDS {
        let name = kind.name;
        let untouched = json!({"observedGeneration": -1});
        let mut claiming = kind.manifest("apart");
        claiming["status"] = full_status(kind);
        let (all, path) = (world.path(kind, ""), world.path(kind, "/apart"));
        let created = send(&world, Method::POST, &all, FOR_GOOD, &claiming).await.unwrap();
        assert_eq!(created["status"], untouched, "{name}: created");
        let claim = json!({"status": full_status(kind)});
        let merged = send(&world, Method::PATCH, &path, FOR_GOOD, &claim).await.unwrap();
        assert_eq!(merged["status"], untouched, "{name}: merged");
        let applied = send(&world, Method::PATCH, &path, "force=true&", &claiming).await.unwrap();
        assert_eq!(applied["status"], untouched, "{name}: applied");
        claiming["metadata"]["resourceVersion"] = applied["metadata"]["resourceVersion"].clone();
        let replaced = send(&world, Method::PUT, &path, FOR_GOOD, &claiming).await.unwrap();
        assert_eq!(replaced["status"], untouched, "{name}: replaced");
        assert_eq!(replaced["metadata"]["generation"], 1, "{name}: status is no new generation");

        let both = json!({"spec": {"suspend": true}, "status": full_status(kind)});
        let written = send(&world, Method::PATCH, &world.path(kind, "/apart/status"), FOR_GOOD, &both).await.unwrap();
        assert_eq!(written["status"], full_status(kind), "{name}: every field of the status is kept");
        assert_eq!(written["spec"], replaced["spec"], "{name}: the spec is not written through /status");
        assert_eq!(written["metadata"]["generation"], 1, "{name}: a status is no new generation");
        (kind.read)(written).unwrap();

        let labelled = json!({"metadata": {"labels": {"a": "b"}}});
        let labelled = send(&world, Method::PATCH, &path, FOR_GOOD, &labelled).await.unwrap();
        assert_eq!(labelled["metadata"]["generation"], 1, "{name}: a label is no new generation");
        let suspended =
            send(&world, Method::PATCH, &path, FOR_GOOD, &json!({"spec": {"suspend": true}})).await.unwrap();
        assert_eq!(suspended["metadata"]["generation"], 2, "{name}: a change of the spec is one");
        assert_eq!(suspended["status"], full_status(kind), "{name}: and leaves the status alone");
    }
}

/// What is in the schema of the status is in `full_status`, so the test above speaks of every field.
#[test]
fn the_full_status_is_full() {
    for crd in rescind::api::crds() {
        let kind = Kind::of(&crd.definition);
        let schema = kubectl::schema(&crd.definition);
        let fields: Vec<_> = schema["properties"]["status"]["properties"].as_object().unwrap().keys().collect();
        let written = full_status(kind);
        let missing: Vec<_> = fields.iter().filter(|field| written.get(field.as_str()).is_none()).collect();
        assert!(missing.is_empty(), "{}: add {missing:?} to full_status", kind.name);
    }
}

/// Statuses that the schema keeps out, whoever writes them.
#[tokio::test(flavor = "multi_thread")]
async fn a_status_has_a_schema_too() {
    let world = World::bare("manifests").await;
    let mut failed = Vec::new();
    let mut of = 0;
    for kind in KINDS {
        let manifest = kind.manifest("stored");
        send(&world, Method::POST, &world.path(kind, ""), FOR_GOOD, &manifest).await.unwrap();
        let good = full_status(kind)["conditions"][0].clone();
        let with = |field: &str, value: Value| {
            let mut condition = good.clone();
            condition[field] = value;
            json!({ "conditions": [condition] })
        };
        let many: Vec<_> = (0..17).map(|i| with("type", json!(format!("T{i}")))["conditions"][0].clone()).collect();
        let rows = [
            ("an unknown field", json!({"phase": "Done"}), "status.phase", "unknown field"),
            ("17 conditions", json!({"conditions": many}), "status.conditions", "must have at most 16 items"),
            ("one type twice", json!({"conditions": [good, good]}), "status.conditions[1]", "Duplicate value"),
            ("no reason", with("reason", Value::Null), "status.conditions[0].reason", "Required value"),
            (
                "no time",
                with("lastTransitionTime", json!("now")),
                "status.conditions[0].lastTransitionTime",
                "date-time",
            ),
            (
                "a text for a number",
                json!({"observedGeneration": "1"}),
                "status.observedGeneration",
                "must be of type integer",
            ),
        ];
        of += rows.len();
        for (name, status, field, says) in rows {
            let body = json!({ "status": status });
            let answer = send(&world, Method::PATCH, &world.path(kind, "/stored/status"), DRY_RUN, &body).await;
            let verdict = match answer {
                Ok(object) => Err(format!("was accepted: {}", object["status"])),
                Err(status) => blames(&status, field, says),
            };
            failed.extend(verdict.err().map(|why| format!("{} {name}: {why}", kind.name)));
        }
    }
    report(failed, of);
}
