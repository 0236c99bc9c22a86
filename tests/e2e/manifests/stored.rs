//! What the API server adds to a manifest, and who may write which half of an object.

use http::Method;
use serde_json::{Value, json};

use super::*;

fn defaults(kind: &Kind) -> Value {
    match kind.name {
        "Auth0Tenant" | "ClusterAuth0Tenant" => {
            let rate_limit = json!({"maxRequestsPerSecond": 10, "reservePercent": 20});
            let brake = json!({"maxRemovals": 1000, "window": "1h", "maxShareOfOrganization": 25});
            let protected = json!({"userIds": [], "roleIds": [], "organizationIds": [], "keepHolders": []});
            json!({"verification": "After", "suspend": false, "rateLimit": rate_limit,
                "mode": "Remove", "brake": brake, "protected": protected})
        }
        _ => {
            let tenant = json!({"kind": "Auth0Tenant", "name": "default"});
            json!({"tenantRef": tenant, "policy": "Once", "mode": "Remove", "ifNotFound": "Fail", "suspend": false})
        }
    }
}

/// Every field of a status, as the operator may write it.
pub fn full_status(kind: &Kind) -> Value {
    let time = "2026-11-21T02:44:00Z";
    let condition = |name| {
        json!({"type": name, "status": "True", "reason": "Removed", "message": "Removed 1 role",
            "observedGeneration": 1, "lastTransitionTime": time})
    };
    let conditions = json!([condition("Ready"), condition("Verified")]);
    match kind.name {
        "Auth0Tenant" | "ClusterAuth0Tenant" => json!({
            "observedGeneration": 1, "conditions": conditions, "lastHandledReconcileAt": "2026-12-31T17:00:00Z",
            "domain": "acme.eu.auth0.com", "openUntil": time,
            "credential": {"kind": "Token", "expiresAt": time, "scopes": ["update:users"]},
            "scopes": {"missing": ["read:users"], "unneeded": ["create:client_grants"]},
            "brake": {
                "id": "5-7f3a", "used": 3, "allotted": 2, "until": time, "released": 1,
                "namespaces": [{"name": "n", "id": "5-7f3b", "used": 3, "allotted": 2, "released": 1}],
            },
        }),
        _ => json!({
            "observedGeneration": 1, "conditions": conditions, "attempts": 2, "correlationId": "abc",
            "result": {"requested": 3, "accepted": 1, "alreadyAbsent": 1, "remaining": 1, "items": [ROLE]},
            "finished": {"target": "0123456789abcdef", "mode": "Remove", "byTenant": true, "generation": 1},
            "drift": {"count": 2, "times": [time, time]}, "domain": "acme.eu.auth0.com", "lastSeenTime": time,
            "lastRemovalTime": time, "verifiedTime": time, "effectiveBy": time, "nextAttemptTime": time,
            "lastHandledReconcileAt": "2026-12-31T17:00:00Z",
        }),
    }
}

/// kstatus considers an object without conditions current, hence -1, which is never the generation of an object.
#[tokio::test(flavor = "multi_thread")]
async fn defaults_are_written_when_an_object_is_made() {
    let env = Environment::bare("manifests").await;
    let mut compared = Compared::default();
    for kind in KINDS {
        let manifest = kind.manifest("minimal");
        let created = send(&env, Method::POST, &env.path(kind, ""), FOR_GOOD, &manifest).await.unwrap();
        let mut expected = manifest["spec"].clone();
        for (field, value) in defaults(kind).as_object().unwrap() {
            expected[field] = value.clone();
        }
        if kind.is_tenant() {
            expected["credentials"]["tokenSecretRef"]["key"] = json!("token");
        }
        compared.same(&format!("{} spec", kind.name), &created["spec"], &expected);
        compared.same(&format!("{} status", kind.name), &created["status"], &json!({"observedGeneration": -1}));
        compared.same(&format!("{} generation", kind.name), &created["metadata"]["generation"], &json!(1));
        compared.readable(kind, &created);
    }
    compared.report();
}

/// A manifest cannot claim that something was removed, and a status write of the operator cannot change the spec.
#[tokio::test(flavor = "multi_thread")]
async fn spec_and_status_are_written_apart() {
    let env = Environment::bare("manifests").await;
    let mut compared = Compared::default();
    for kind in KINDS {
        let name = kind.name;
        let untouched = json!({"observedGeneration": -1});
        let mut claiming = kind.manifest("apart");
        claiming["status"] = full_status(kind);
        let (all, path) = (env.path(kind, ""), env.path(kind, "/apart"));
        let created = send(&env, Method::POST, &all, FOR_GOOD, &claiming).await.unwrap();
        compared.same(&format!("{name}: status when created"), &created["status"], &untouched);
        let claim = json!({"status": full_status(kind)});
        let merged = send(&env, Method::PATCH, &path, FOR_GOOD, &claim).await.unwrap();
        compared.same(&format!("{name}: status when merged"), &merged["status"], &untouched);
        let applied = send(&env, Method::PATCH, &path, "force=true&", &claiming).await.unwrap();
        compared.same(&format!("{name}: status when applied"), &applied["status"], &untouched);
        claiming["metadata"]["resourceVersion"] = applied["metadata"]["resourceVersion"].clone();
        let replaced = send(&env, Method::PUT, &path, FOR_GOOD, &claiming).await.unwrap();
        compared.same(&format!("{name}: status when replaced"), &replaced["status"], &untouched);
        let generation = |object: &Value| object["metadata"]["generation"].as_i64();
        compared.same(&format!("{name}: generation after a claimed status"), &generation(&replaced), &Some(1));

        let both = json!({"spec": {"suspend": true}, "status": full_status(kind)});
        let written = send(&env, Method::PATCH, &env.path(kind, "/apart/status"), FOR_GOOD, &both).await.unwrap();
        compared.same(&format!("{name}: status written whole"), &written["status"], &full_status(kind));
        compared.same(&format!("{name}: spec not written through /status"), &written["spec"], &replaced["spec"]);
        compared.same(&format!("{name}: generation after a status"), &generation(&written), &Some(1));
        compared.readable(kind, &written);

        let labelled = json!({"metadata": {"labels": {"a": "b"}}});
        let labelled = send(&env, Method::PATCH, &path, FOR_GOOD, &labelled).await.unwrap();
        compared.same(&format!("{name}: generation after a label"), &generation(&labelled), &Some(1));
        let suspended = send(&env, Method::PATCH, &path, FOR_GOOD, &json!({"spec": {"suspend": true}})).await.unwrap();
        compared.same(&format!("{name}: generation after a change of the spec"), &generation(&suspended), &Some(2));
        compared.same(&format!("{name}: status after it"), &suspended["status"], &full_status(kind));
    }
    compared.report();
}

/// `full_status` has every field of the status schema, so the test above covers all of them.
#[test]
fn the_full_status_has_every_field_of_the_schema() {
    for crd in rescind::api::crds() {
        let kind = Kind::of(&crd.definition);
        let schema = kubectl::schema(&crd.definition);
        let fields: Vec<_> = schema["properties"]["status"]["properties"].as_object().unwrap().keys().collect();
        let written = full_status(kind);
        let missing: Vec<_> = fields.iter().filter(|field| written.get(field.as_str()).is_none()).collect();
        assert!(missing.is_empty(), "{}: add {missing:?} to full_status", kind.name);
    }
}

/// The schema refuses these statuses from every client.
#[tokio::test(flavor = "multi_thread")]
async fn a_status_has_a_schema_too() {
    let env = Environment::bare("manifests").await;
    let is_usual_or_newer = env.client.apiserver_version().await.unwrap().minor.parse::<u32>().unwrap() >= 36;
    let mut failed = Vec::new();
    let mut of = 0;
    for kind in KINDS {
        let manifest = kind.manifest("stored");
        send(&env, Method::POST, &env.path(kind, ""), FOR_GOOD, &manifest).await.unwrap();
        let good = full_status(kind)["conditions"][0].clone();
        let with = |field: &str, value: Value| {
            let mut condition = good.clone();
            condition[field] = value;
            json!({ "conditions": [condition] })
        };
        let many: Vec<_> = (0..17).map(|i| with("type", json!(format!("T{i}")))["conditions"][0].clone()).collect();
        let time = "status.conditions[0].lastTransitionTime";
        let mut rows = vec![
            ("an unknown field", json!({"phase": "Done"}), "status.phase", "unknown field"),
            ("17 conditions", json!({"conditions": many}), "status.conditions", "must have at most 16 items"),
            ("one type twice", json!({"conditions": [good, good]}), "status.conditions[1]", "Duplicate value"),
            ("no reason", with("reason", Value::Null), "status.conditions[0].reason", "Required value"),
            ("no time", with("lastTransitionTime", json!("now")), time, "must be of type date-time"),
            (
                "a text for a number",
                json!({"observedGeneration": "1"}),
                "status.observedGeneration",
                "must be of type int",
            ),
        ];
        if !kind.is_tenant() {
            for place in
                ["status.lastRemovalTime", "status.verifiedTime", "status.effectiveBy", "status.nextAttemptTime"]
            {
                let field = place.trim_start_matches("status.");
                rows.push(("a time in words", json!({ field: "soon" }), place, "must be of type date-time"));
            }
            let half = json!({"result": {"requested": 1, "alreadyAbsent": 0, "remaining": 0}});
            rows.push(("a part of a result", half, "status.result.accepted", "Required value"));
            // Older servers do not look at the format of a number.
            if is_usual_or_newer {
                let large = json!({"attempts": 1_i64 << 32});
                rows.push(("more than an int32", large, "status", "format int32 in attempts"));
            }
        }
        of += rows.len();
        for (name, status, field, says) in rows {
            let body = json!({ "status": status });
            let answer = send(&env, Method::PATCH, &env.path(kind, "/stored/status"), DRY_RUN, &body).await;
            let verdict = match answer {
                Ok(object) => Err(format!("was accepted: {}", object["status"])),
                Err(status) => blames(&status, field, says),
            };
            failed.extend(verdict.err().map(|why| format!("{} {name}: {why}", kind.name)));
        }
    }
    report(failed, of);
}
