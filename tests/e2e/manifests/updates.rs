//! What may change in an existing object: everything except its target.

use serde_json::{Value, json};

use super::*;

const STORED: &str = "changing";

/// How users change objects.
#[derive(Clone, Copy, Debug)]
enum How {
    /// `kubectl edit`, `patch`, client-side `apply`: these fields, null removes one.
    Merge,
    /// Server-side apply of the same manifest with these fields, as Argo CD and Flux do.
    Apply,
}
use How::{Apply, Merge};

struct Change {
    kind: &'static Kind,
    name: &'static str,
    how: How,
    spec: Value,
    /// None: allowed.
    refused: Option<(&'static str, &'static str)>,
}

fn allowed(kind: &'static Kind, name: &'static str, how: How, spec: Value) -> Change {
    Change { kind, name, how, spec, refused: None }
}

fn refused(
    kind: &'static Kind,
    name: &'static str,
    how: How,
    spec: Value,
    field: &'static str,
    says: &'static str,
) -> Change {
    Change { kind, name, how, spec, refused: Some((field, says)) }
}

const NEW_USER: &str = "cannot be changed: create a new object for another user";
const NEW_ORG: &str = "cannot be changed: create a new object for another organization";
const OTHER_ORG: &str = "org_0123456789abcdef";
const UNTIL: &str = "2026-12-24T00:00:00Z";
const THIRD_ROLE: &str = "rol_aaaaaaaaaaaaaaaa";

/// A list that may only change its order. `items` are the two stored ones and a third.
fn list(kind: &'static Kind, field: &'static str, items: [Value; 3], says: &'static str) -> Vec<Change> {
    let [first, second, other] = items;
    let name = field.trim_start_matches("spec.");
    let list = |items: &[&Value]| json!({ name: items });
    let mut changes = Vec::new();
    for how in [Merge, Apply] {
        changes.extend([
            allowed(kind, "the same", how, list(&[&first, &second])),
            allowed(kind, "in another order", how, list(&[&second, &first])),
            refused(kind, "shorter", how, list(&[&first]), field, says),
            refused(kind, "longer", how, list(&[&first, &second, &other]), field, says),
            refused(kind, "one is another", how, list(&[&first, &other]), field, says),
        ]);
    }
    changes.push(refused(kind, "empty", Merge, list(&[]), field, "should have at least 1 items"));
    changes.push(refused(kind, "without the list", Merge, json!({ name: null }), field, "Required value"));
    changes
}

fn targets() -> Vec<Change> {
    let mut changes = Vec::new();
    for kind in [&UPR, &URR, &OMRR] {
        let field = "spec.userId";
        changes.extend([
            refused(kind, "another user", Merge, json!({"userId": OTHER_USER}), field, NEW_USER),
            refused(kind, "another user, applied", Apply, json!({"userId": OTHER_USER}), field, NEW_USER),
            refused(kind, "without user", Merge, json!({"userId": null}), field, "Required value"),
        ]);
    }
    for kind in [&OMR, &OMRR] {
        let field = "spec.organizationId";
        changes.extend([
            refused(kind, "another organization", Merge, json!({"organizationId": OTHER_ORG}), field, NEW_ORG),
            refused(kind, "another organization, applied", Apply, json!({"organizationId": OTHER_ORG}), field, NEW_ORG),
            refused(kind, "without organization", Merge, json!({"organizationId": null}), field, "Required value"),
        ]);
    }
    let roles = || [json!(ROLE), json!(OTHER_ROLE), json!(THIRD_ROLE)];
    let users = [json!(USER), json!(OTHER_USER), json!("auth0|third")];
    let permissions =
        ["read:x", "write:x", "delete:x"].map(|name| json!({"resourceServerIdentifier": API, "permissionName": name}));
    changes.extend(list(&URR, "spec.roles", roles(), "cannot be changed: create a new object for other roles"));
    changes.extend(list(&OMRR, "spec.roles", roles(), "cannot be changed: create a new object for other roles"));
    changes.extend(list(&OMR, "spec.members", users, "cannot be changed: create a new object for other members"));
    let says = "cannot be changed: create a new object for other permissions";
    changes.extend(list(&UPR, "spec.permissions", permissions, says));
    let moved = json!([
        {"resourceServerIdentifier": "urn:other", "permissionName": "read:x"},
        {"resourceServerIdentifier": API, "permissionName": "write:x"},
    ]);
    changes.push(refused(&UPR, "of another API", Merge, json!({"permissions": moved}), "spec.permissions", says));
    changes
}

/// Fields outside the target may change at any time and are still validated.
fn options() -> Vec<Change> {
    let mut changes = Vec::new();
    for kind in REMOVALS {
        for how in [Merge, Apply] {
            changes.extend([
                allowed(kind, "suspended", how, json!({"suspend": true})),
                allowed(kind, "observed", how, json!({"mode": "Observe"})),
                allowed(kind, "looked at again", how, json!({"policy": "Continuous", "interval": "90m"})),
                allowed(kind, "more reads", how, json!({"verification": "BeforeAndAfter"})),
                allowed(kind, "on hold", how, json!({"hold": {"until": UNTIL, "reason": "handover"}})),
                allowed(kind, "later", how, json!({"notBefore": UNTIL, "notAfter": UNTIL})),
                allowed(kind, "ifNotFound", how, json!({"ifNotFound": "Ignore"})),
                allowed(kind, "another tenant", how, json!({"tenantRef": {"kind": "Auth0Tenant", "name": "other"}})),
            ]);
        }
        let says = "must be the name of an Auth0Tenant in this namespace";
        let bad = json!({"tenantRef": {"name": "Bad_Name"}});
        changes.extend([
            allowed(
                kind,
                "back to the defaults",
                Merge,
                json!({"suspend": null, "ifNotFound": null, "tenantRef": null}),
            ),
            allowed(kind, "nulls", Apply, json!({"interval": null, "notBefore": null, "notAfter": null, "hold": null})),
            refused(
                kind,
                "an interval alone",
                Merge,
                json!({"interval": "1h"}),
                "spec.interval",
                "must be left out with policy Once",
            ),
            refused(kind, "a bad tenant", Merge, bad, "spec.tenantRef.name", says),
            refused(kind, "a misspelt field", Merge, json!({"supend": true}), "spec.supend", "unknown field"),
        ]);
    }
    for how in [Merge, Apply] {
        let secret = json!({"tokenSecretRef": {"name": "other", "key": "access_token"}});
        changes.extend([
            allowed(&A0T, "another domain", how, json!({"domain": "login.acme.example:8443"})),
            allowed(&A0T, "an audience", how, json!({"audience": "https://acme.eu.auth0.com/api/v2/"})),
            allowed(&A0T, "a bundle", how, json!({"caBundle": "LS0tLS1C"})),
            allowed(&A0T, "another Secret", how, json!({"credentials": secret})),
            allowed(
                &A0T,
                "a slower pace",
                how,
                json!({"rateLimit": {"maxRequestsPerSecond": 1, "reservePercent": 90}}),
            ),
            allowed(&A0T, "observed", how, json!({"mode": "Observe"})),
            allowed(&A0T, "on hold", how, json!({"hold": {"until": UNTIL, "reason": "audit"}})),
            allowed(&A0T, "no reads", how, json!({"verification": "Never"})),
            allowed(&A0T, "suspended", how, json!({"suspend": true})),
            allowed(&CA0T, "suspended", how, json!({"suspend": true})),
            allowed(&CA0T, "other namespaces", how, json!({"allowedNamespaces": {"matchLabels": {"team": "other"}}})),
            allowed(&CA0T, "kinds", how, json!({"allowedKinds": ["UserRoleRevocation"]})),
            allowed(&CA0T, "organizations", how, json!({"allowedOrganizationIds": [ORG]})),
        ]);
    }
    let says = "must be a bare lower-case host name";
    changes.extend([
        allowed(&A0T, "back to the defaults", Merge, json!({"suspend": null, "verification": null, "rateLimit": null})),
        allowed(&A0T, "without what is optional", Merge, json!({"audience": null, "caBundle": null})),
        allowed(&A0T, "nulls", Apply, json!({"audience": null, "caBundle": null, "hold": null})),
        refused(&A0T, "a bad domain", Merge, json!({"domain": "https://acme.auth0.com"}), "spec.domain", says),
        refused(&A0T, "without domain", Merge, json!({"domain": null}), "spec.domain", "Required value"),
    ]);
    changes
}

/// Two items in every list, so that one can be removed and both can be swapped.
fn stored(kind: &Kind) -> Value {
    let mut manifest = kind.manifest(STORED);
    let spec = manifest["spec"].as_object_mut().unwrap();
    let second = json!({"resourceServerIdentifier": API, "permissionName": "write:x"});
    for (list, item) in [("roles", json!(OTHER_ROLE)), ("members", json!(OTHER_USER)), ("permissions", second)] {
        if let Some(items) = spec.get_mut(list) {
            items.as_array_mut().unwrap().push(item);
        }
    }
    manifest
}

impl Change {
    async fn check(&self, env: &Environment) -> Result<(), String> {
        let mut body = match self.how {
            Merge => json!({ "spec": {} }),
            Apply => stored(self.kind),
        };
        for (field, value) in self.spec.as_object().unwrap() {
            body["spec"][field] = value.clone();
        }
        let query = match self.how {
            Merge => DRY_RUN,
            Apply => "dryRun=All&force=true&",
        };
        let answer = send(env, http::Method::PATCH, &env.path(self.kind, "/changing"), query, &body).await;
        match (self.refused, answer) {
            (Some((field, says)), Err(status)) => blames(&status, field, says),
            (Some(_), Ok(object)) => Err(format!("was accepted: {}", object["spec"])),
            (None, Err(status)) => Err(format!("was refused: {}", status.message)),
            (None, Ok(object)) => self.took_effect(&object),
        }
    }

    fn took_effect(&self, object: &Value) -> Result<(), String> {
        let mut changes = self.spec.as_object().unwrap().iter();
        let lost = |(field, value): &(&String, &Value)| !value.is_null() && object["spec"][*field] != **value;
        match changes.find(lost) {
            Some((field, _)) => Err(format!("{field} came back as {}", object["spec"][field])),
            None => (self.kind.read)(object.clone()).map_err(|error| format!("the operator cannot read it: {error}")),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn targets_never_change_and_the_rest_may() {
    let env = Environment::bare("manifests").await;
    for kind in KINDS {
        let path = env.path(kind, "/changing");
        send(&env, http::Method::PATCH, &path, "force=true&", &stored(kind)).await.expect("a good manifest");
    }
    let mut changes = targets();
    changes.extend(options());
    let checks = changes.iter().map(async |change| change.check(&env).await.err().map(|why| (change, why)));
    let failed: Vec<_> = futures::stream::iter(checks).buffered(AT_ONCE).filter_map(std::future::ready).collect().await;
    let line = |(change, why): &(&Change, String)| {
        format!("{} {:?}, {} ({}): {why}", change.kind.name, change.how, change.name, change.spec)
    };
    report(failed.iter().map(line).collect(), changes.len());
}
