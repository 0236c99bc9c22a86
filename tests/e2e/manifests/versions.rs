//! CRDs of other versions than the operator: an older one prunes fields that the operator expects, a newer one keeps
//! fields that it does not know. Either way the operator can parse the object and sees that it must not act.

use std::path::Path;
use std::time::Instant;

use http::Method;
use rescind::revocation::Revocation;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use stack::ControlPlane;

use super::*;

const NAMESPACE: &str = "default";

/// Why the operator does not act on an object, and the status as it would write it back.
fn look(kind: &Kind, object: &Value) -> (Vec<String>, Value) {
    fn removal<K: Revocation + DeserializeOwned>(object: &Value) -> (Vec<String>, Value) {
        let object: K = serde_json::from_value(object.clone()).expect("readable");
        (object.options().unknown.clone(), json!(object.status()))
    }
    match kind.name {
        "UserPermissionRevocation" => removal::<UserPermissionRevocation>(object),
        "UserRoleRevocation" => removal::<UserRoleRevocation>(object),
        "OrgMembershipRemoval" => removal::<OrgMembershipRemoval>(object),
        "OrgMemberRoleRemoval" => removal::<OrgMemberRoleRemoval>(object),
        "ClusterAuth0Tenant" => {
            let tenant: ClusterAuth0Tenant = serde_json::from_value(object.clone()).expect("readable");
            (tenant.spec.tenant.unknown, json!(tenant.status))
        }
        _ => {
            let tenant: Auth0Tenant = serde_json::from_value(object.clone()).expect("readable");
            (tenant.spec.tenant.unknown, json!(tenant.status))
        }
    }
}

/// A control plane whose CRDs may change.
struct Changing {
    plane: ControlPlane,
    client: kube::Client,
}

impl Changing {
    async fn start() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let plane = tokio::task::spawn_blocking(|| ControlPlane::start().expect("a control plane")).await.unwrap();
        plane.apply(&yaml(&ours())).expect("the CRDs install");
        let (client, _) = client(&plane).await;
        Self { plane, client }
    }

    async fn send(&self, method: Method, kind: &Kind, rest: &str, query: &str, body: &Value) -> Answer {
        let path = kind.path(NAMESPACE, rest);
        request(&self.client, method, &format!("{path}?{query}fieldManager=test"), body).await
    }

    /// The object once it looks like this. The API server applies a CRD some moments after it accepted it and does not
    /// say when.
    async fn get(&self, kind: &Kind, name: &str, shows: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.send(Method::GET, kind, &format!("/{name}"), "", &Value::Null).await;
            match answer {
                Ok(object) if shows(&object) => return object,
                other => assert!(Instant::now() < deadline, "{} {name} never came to it: {other:?}", kind.name),
            }
        }
    }
}

fn ours() -> Vec<Value> {
    rescind::api::crds().iter().map(|crd| json!(crd.definition)).collect()
}

/// The CRDs of the release before.
fn older() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/manifests/older");
    let files = std::fs::read_dir(folder).unwrap().map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
    files.map(|crd| format!("---\n{crd}")).collect()
}

/// CRDs that know more than this version: fields in the spec and the status, and words.
fn newer() -> Vec<Value> {
    let mut crds = ours();
    for crd in &mut crds {
        let properties = &mut crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"];
        let anything = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        properties["spec"]["properties"]["fromTheFuture"] = json!({"type": "string"});
        properties["spec"]["properties"]["hold"]["properties"]["by"] = json!({"type": "string"});
        properties["spec"]["properties"]["mode"]["enum"].as_array_mut().unwrap().push(json!("Rehearse"));
        properties["status"]["properties"]["fromTheFuture"] = anything;
    }
    crds
}

fn yaml(crds: &[Value]) -> String {
    crds.iter().map(|crd| format!("---\n{crd}\n")).collect()
}

/// One object that the operator has not looked at, and one that is finished.
async fn make(plane: &Changing, kind: &Kind, status: &Value) {
    for name in ["waiting", "finished"] {
        plane.send(Method::POST, kind, "", "", &kind.manifest(name)).await.expect("a good manifest");
    }
    let status = json!({ "status": status });
    plane.send(Method::PATCH, kind, "/finished/status", "", &status).await.expect("a good status");
}

/// The CRDs go forward, back, and forward again under objects that are not written meanwhile: the objects are the same
/// as before, and in between they are held. Under a newer CRD, its new spec field is named, and its new status field is
/// written back.
#[tokio::test(flavor = "multi_thread")]
async fn crds_of_other_versions_hold_the_objects() {
    let plane = Changing::start().await;
    let mut compared = Compared::default();
    let untouched = |object: &Value| (object["spec"].clone(), object["status"].clone());
    let mut before = Vec::new();
    for kind in KINDS {
        make(&plane, kind, &super::stored::full_status(kind)).await;
        for name in ["waiting", "finished"] {
            let object = plane.get(kind, name, |_| true).await;
            compared.same(&format!("{} {name} at first", kind.name), &look(kind, &object).0, &Vec::new());
            before.push((kind, name, untouched(&object)));
        }
    }

    plane.plane.apply(&older()).expect("the older CRDs install");
    // The release before has no cluster-scoped tenants, and its CRDs leave that of this one as it is.
    for (kind, name, _) in before.iter().filter(|(kind, ..)| kind.name != CA0T.name) {
        let object = plane.get(kind, name, |object| object["spec"].get("mode").is_none()).await;
        let (unsupported, _) = look(kind, &object);
        let missing = if kind.name == A0T.name { &["mode", "brake", "protected"][..] } else { &["policy", "mode"] };
        for field in missing {
            let named = unsupported.contains(&format!("spec.{field} (missing: the CRD is older than this version)"));
            compared.same(&format!("{} {name}: {field} is named in {unsupported:?}", kind.name), &named, &true);
        }
        compared.same(&format!("{} {name}: how many", kind.name), &unsupported.len(), &missing.len());
    }

    plane.plane.apply(&yaml(&ours())).expect("the CRDs install again");
    for (kind, name, first) in &before {
        let object = plane.get(kind, name, |object| object["spec"].get("mode").is_some()).await;
        compared.same(&format!("{} {name} again", kind.name), &untouched(&object), first);
        compared.same(&format!("{} {name}: unsupported again", kind.name), &look(kind, &object).0, &Vec::new());
    }

    plane.plane.apply(&yaml(&newer())).expect("the newer CRDs install");
    for kind in KINDS {
        newer_fields(&plane, kind, &mut compared).await;
    }
    compared.report();
}

/// Edits an object as a user of the newer version would, then writes its status in each way the operator may.
async fn newer_fields(plane: &Changing, kind: &Kind, compared: &mut Compared) {
    let hold = json!({"until": "2027-01-01T00:00:00Z", "reason": "handover", "by": "jane"});
    let edit = json!({"spec": {"fromTheFuture": "x", "mode": "Rehearse", "hold": hold}});
    let deadline = Instant::now() + PATIENCE;
    while let Err(refusal) = plane.send(Method::PATCH, kind, "/finished", "fieldValidation=Strict&", &edit).await {
        assert!(Instant::now() < deadline, "{}: {}", kind.name, refusal.message);
    }
    let foreign = json!({"count": 3, "names": ["a", {"b": true}], "when": "2027-01-01T00:00:00Z"});
    let status = json!({"status": {"fromTheFuture": foreign}});
    plane.send(Method::PATCH, kind, "/finished/status", "", &status).await.expect("a good status");

    let object = plane.get(kind, "finished", |_| true).await;
    let (mut unsupported, status) = look(kind, &object);
    unsupported.sort_unstable();
    let expected = ["spec.fromTheFuture", "spec.hold.by", "spec.mode: Rehearse"];
    compared.same(&format!("{}: unsupported", kind.name), unsupported.as_slice(), &expected.map(str::to_owned));
    compared.same(&format!("{}: the status read and written", kind.name), &status, &object["status"]);

    let meta = |object: &Value| {
        let of = &object["metadata"];
        json!({"name": of["name"], "uid": of["uid"], "resourceVersion": of["resourceVersion"]})
    };
    let whole = |object: &Value, status: &Value| {
        json!({
            "apiVersion": object["apiVersion"], "kind": object["kind"], "metadata": meta(object), "status": status,
        })
    };
    let mut put = whole(&object, &status);
    put["status"]["observedGeneration"] = json!(2);
    let object = plane.send(Method::PUT, kind, "/finished/status", "", &put).await.expect("a good status");
    compared.same(&format!("{}: after PUT", kind.name), &object["status"]["fromTheFuture"], &foreign);
    let mut applied = whole(&object, &look(kind, &object).1);
    applied["status"]["observedGeneration"] = json!(3);
    let object = plane.send(Method::PATCH, kind, "/finished/status", "force=true&", &applied).await.unwrap();
    compared.same(&format!("{}: after apply", kind.name), &object["status"]["fromTheFuture"], &foreign);
    compared.same(&format!("{}: written", kind.name), &object["status"]["observedGeneration"], &json!(3));
}
