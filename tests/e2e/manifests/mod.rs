//! What the real API server says to manifests: every field of every kind, good, at its limits, and bad.
//!
//! A row names a place in a manifest, what is written there, and the verdict. A refusal must blame that field and no
//! other, and its message must say what to write instead. What is accepted must come back unchanged and be readable by
//! the operator's own types; and where the operator judges a text itself (objects stored under an older CRD), both must
//! agree. All failing rows are listed, not only the first.
//!
//! No row can notice a `minLength` of 1 where a rule refuses the empty text as well, `nullable`, or the number formats
//! of the status.

mod admission;
mod guards;
mod kubectl;
mod options;
mod stored;
mod targets;
mod tenants;
mod updates;
mod versions;
mod walk;

use std::fmt::Debug;
use std::str::FromStr;

use futures::StreamExt;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use rescind::api::{
    Auth0Tenant, ClusterAuth0Tenant, OrgMemberRoleRemoval, OrgMembershipRemoval, UserPermissionRevocation,
    UserRoleRevocation,
};
use serde_json::{Value, json};

use crate::harness::*;

/// The number of requests at a time; the CPU time of the API server is the limit.
const AT_ONCE: usize = 16;

/// One kind, with a manifest that is good.
pub struct Kind {
    pub name: &'static str,
    pub plural: &'static str,
    pub short: &'static str,
    good: fn() -> Value,
    /// Parses an object as the operator does.
    read: fn(Value) -> serde_json::Result<()>,
}

pub static UPR: Kind = Kind {
    name: "UserPermissionRevocation",
    plural: "userpermissionrevocations",
    short: "upr",
    good: || json!({"userId": USER, "permissions": [{"resourceServerIdentifier": API, "permissionName": "read:x"}]}),
    read: |object| serde_json::from_value::<UserPermissionRevocation>(object).map(drop),
};
pub static URR: Kind = Kind {
    name: "UserRoleRevocation",
    plural: "userrolerevocations",
    short: "urr",
    good: || json!({"userId": USER, "roles": [ROLE]}),
    read: |object| serde_json::from_value::<UserRoleRevocation>(object).map(drop),
};
pub static OMR: Kind = Kind {
    name: "OrgMembershipRemoval",
    plural: "orgmembershipremovals",
    short: "omr",
    good: || json!({"organizationId": ORG, "members": [USER]}),
    read: |object| serde_json::from_value::<OrgMembershipRemoval>(object).map(drop),
};
pub static OMRR: Kind = Kind {
    name: "OrgMemberRoleRemoval",
    plural: "orgmemberroleremovals",
    short: "omrr",
    good: || json!({"organizationId": ORG, "userId": USER, "roles": [ROLE]}),
    read: |object| serde_json::from_value::<OrgMemberRoleRemoval>(object).map(drop),
};
pub static A0T: Kind = Kind {
    name: "Auth0Tenant",
    plural: "auth0tenants",
    short: "a0t",
    good: || json!({"domain": "acme.eu.auth0.com", "credentials": {"tokenSecretRef": {"name": "auth0-management"}}}),
    read: |object| serde_json::from_value::<Auth0Tenant>(object).map(drop),
};

pub static CA0T: Kind = Kind {
    name: "ClusterAuth0Tenant",
    plural: "clusterauth0tenants",
    short: "ca0t",
    good: || {
        let mut spec = (A0T.good)();
        spec["allowedNamespaces"] = json!({"matchLabels": {"team": "people"}});
        spec
    },
    read: |object| serde_json::from_value::<ClusterAuth0Tenant>(object).map(drop),
};

pub static REMOVALS: [&Kind; 4] = [&UPR, &URR, &OMR, &OMRR];
pub static KINDS: [&Kind; 6] = [&UPR, &URR, &OMR, &OMRR, &A0T, &CA0T];

/// A place in both kinds of tenants, which share most of their fields.
pub fn tenants(place: &'static str) -> [(&'static Kind, &'static str); 2] {
    [(&A0T, place), (&CA0T, place)]
}

impl Kind {
    pub fn is_tenant(&self) -> bool {
        self.name.ends_with("Auth0Tenant")
    }

    fn of(crd: &CustomResourceDefinition) -> &'static Self {
        let known = KINDS.into_iter().find(|kind| kind.name == crd.spec.names.kind);
        known.unwrap_or_else(|| panic!("{} needs rows here", crd.spec.names.kind))
    }

    /// Where objects of the kind are in `namespace`, plus `rest`.
    fn path(&self, namespace: &str, rest: &str) -> String {
        let place = if self.name == CA0T.name { String::new() } else { format!("namespaces/{namespace}/") };
        format!("/apis/rescind.dev/v1alpha1/{place}{}{rest}", self.plural)
    }

    /// A good manifest.
    pub fn manifest(&self, name: &str) -> Value {
        let (version, spec) = ("rescind.dev/v1alpha1", (self.good)());
        json!({"apiVersion": version, "kind": self.name, "metadata": {"name": name}, "spec": spec})
    }
}

/// A value for a place in a manifest, and the expected verdict.
#[derive(Clone)]
pub struct Case {
    name: &'static str,
    /// None: the field is left out.
    value: Option<Value>,
    verdict: Verdict,
}

#[derive(Clone)]
enum Verdict {
    /// Accepted and stored as written.
    Kept,
    /// Accepted and stored as this value.
    Becomes(Value),
    /// Refused, with an error about the field at the place plus this suffix, with these words.
    Refused(&'static str, &'static str),
}

pub fn kept(name: &'static str, value: impl Into<Value>) -> Case {
    Case { name, value: Some(value.into()), verdict: Verdict::Kept }
}

pub fn becomes(name: &'static str, value: impl Into<Value>, result: impl Into<Value>) -> Case {
    Case { name, value: Some(value.into()), verdict: Verdict::Becomes(result.into()) }
}

pub fn refused(name: &'static str, value: impl Into<Value>, says: &'static str) -> Case {
    refused_at(name, value, "", says)
}

/// A refusal whose error names something inside the place.
pub fn refused_at(name: &'static str, value: impl Into<Value>, suffix: &'static str, says: &'static str) -> Case {
    Case { name, value: Some(value.into()), verdict: Verdict::Refused(suffix, says) }
}

pub fn left_out_is(result: impl Into<Value>) -> Case {
    Case { name: "left out", value: None, verdict: Verdict::Becomes(result.into()) }
}

pub fn left_out_is_refused() -> Case {
    Case { name: "left out", value: None, verdict: Verdict::Refused("", "Required value") }
}

/// Whether the operator itself accepts a text.
type Judge = fn(&str) -> bool;

/// One request.
#[derive(Clone)]
pub struct Row {
    kind: &'static Kind,
    place: &'static str,
    case: Case,
    judge: Option<Judge>,
    /// Other fields of the spec.
    beside: Value,
}

/// Every case at every place.
pub fn rows(places: &[(&'static Kind, &'static str)], judge: Option<Judge>, cases: &[Case]) -> Vec<Row> {
    let at =
        |(kind, place)| cases.iter().map(move |case| Row { kind, place, case: case.clone(), judge, beside: json!({}) });
    places.iter().copied().flat_map(at).collect()
}

/// The same rows with further fields in the spec.
pub fn beside(mut rows: Vec<Row>, fields: &Value) -> Vec<Row> {
    rows.iter_mut().for_each(|row| row.beside = fields.clone());
    rows
}

impl Row {
    /// What is wrong, if anything.
    async fn check(&self, env: &Environment) -> Result<(), String> {
        let mut manifest = self.kind.manifest("row");
        manifest["spec"].as_object_mut().unwrap().extend(self.beside.as_object().unwrap().clone());
        put(&mut manifest, self.place, self.case.value.clone());
        let answer = send(env, http::Method::POST, &env.path(self.kind, ""), DRY_RUN, &manifest).await;
        match (&self.case.verdict, &answer) {
            (Verdict::Kept, Ok(object)) => self.accepted(object, self.case.value.as_ref().unwrap_or(&Value::Null))?,
            (Verdict::Becomes(value), Ok(object)) => self.accepted(object, value)?,
            (Verdict::Refused(suffix, says), Err(status)) => {
                blames(status, &format!("{}{suffix}", self.place), says)?;
            }
            (Verdict::Refused(..), Ok(object)) => return Err(format!("was accepted: {}", object["spec"])),
            (_, Err(status)) => return Err(format!("was refused: {}", status.message)),
        }
        let text = self.case.value.as_ref().and_then(Value::as_str);
        match (self.judge, text) {
            (Some(judge), Some(text)) if judge(text) != answer.is_ok() => {
                Err(format!("the operator's own rule says {}", judge(text)))
            }
            _ => Ok(()),
        }
    }

    fn accepted(&self, object: &Value, expected: &Value) -> Result<(), String> {
        let found = object.pointer(&pointer(self.place)).unwrap_or(&Value::Null);
        if found != expected {
            return Err(format!("came back as {found}"));
        }
        (self.kind.read)(object.clone()).map_err(|error| format!("the operator cannot read it: {error}"))
    }
}

/// Sends every row and lists all that went wrong, each with what the server said.
pub async fn run(rows: Vec<Row>) {
    let env = Environment::bare("manifests").await;
    let checks = rows.iter().map(async |row| row.check(&env).await.err().map(|why| (row, why)));
    let failed: Vec<_> = futures::stream::iter(checks).buffered(AT_ONCE).filter_map(std::future::ready).collect().await;
    let lines = failed.iter().map(|(row, why)| {
        let wrote = row.case.value.as_ref().map_or_else(|| "nothing".to_owned(), short);
        format!("{} {}, {} ({wrote}): {why}", row.kind.name, row.place, row.case.name)
    });
    report(lines.collect(), rows.len());
}

pub fn report(failed: Vec<String>, of: usize) {
    assert!(failed.is_empty(), "{} of {of} rows failed:\n{}", failed.len(), failed.join("\n"));
}

/// Collects failed comparisons, so that the first does not hide the next.
#[derive(Default)]
pub struct Compared {
    failed: Vec<String>,
    of: usize,
}

impl Compared {
    pub fn same<T: PartialEq + Debug + ?Sized>(&mut self, what: &str, found: &T, expected: &T) {
        self.of += 1;
        if found != expected {
            self.failed.push(format!("{what}: found {found:?}, expected {expected:?}"));
        }
    }

    pub fn readable(&mut self, kind: &Kind, object: &Value) {
        self.of += 1;
        if let Err(error) = (kind.read)(object.clone()) {
            self.failed.push(format!("{}: the operator cannot read {object}: {error}", kind.name));
        }
    }

    pub fn report(self) {
        report(self.failed, self.of);
    }
}

fn short(value: &Value) -> String {
    value.to_string().chars().take(100).collect()
}

pub type Answer = Result<Value, Box<kube::core::Status>>;

pub const DRY_RUN: &str = "dryRun=All&";
pub const FOR_GOOD: &str = "";

/// Sends as `kubectl apply` does by default: unknown fields are refused.
pub async fn send(env: &Environment, method: http::Method, path: &str, query: &str, body: &Value) -> Answer {
    request(&env.client, method, &format!("{path}?{query}fieldValidation=Strict&fieldManager=test"), body).await
}

/// Sends this and nothing more.
pub async fn request(client: &kube::Client, method: http::Method, uri: &str, body: &Value) -> Answer {
    let format = match method {
        http::Method::PATCH if uri.contains("force=") => "application/apply-patch+yaml",
        http::Method::PATCH => "application/merge-patch+json",
        _ => "application/json",
    };
    let request = http::Request::builder()
        .method(method)
        .uri(uri)
        .header(http::header::CONTENT_TYPE, format)
        .body(body.to_string().into_bytes())
        .unwrap();
    match client.request(request).await {
        Ok(object) => Ok(object),
        Err(kube::Error::Api(status)) => Err(status),
        Err(error) => panic!("the API server did not answer: {error}"),
    }
}

impl Environment {
    /// Where objects of `kind` are in this namespace, plus `rest`. Those of a cluster-scoped kind need different names
    /// in different tests.
    fn path(&self, kind: &Kind, rest: &str) -> String {
        kind.path(&self.namespace, rest)
    }
}

/// Whether the refusal is about `field`, says `says`, and is about nothing else.
pub fn blames(status: &kube::core::Status, field: &str, says: &str) -> Result<(), String> {
    let message = &status.message;
    let causes = status.details.iter().flat_map(|details| &details.causes);
    // The server adds a cause without a field when it skipped rules, and reports a whole merge patch as a field.
    let causes: Vec<_> = causes.filter(|cause| cause.field != "<nil>" && cause.field != "patch").collect();
    let named = match causes.as_slice() {
        [] => message.contains(&format!("{says} \"{field}\"")),
        // Kubernetes 1.31 says "longer".
        causes => causes.iter().any(|cause| {
            cause.field == field
                && cause.message.replace("may not be longer than", "may not be more than").contains(says)
        }),
    };
    if !named {
        return Err(format!("expected {field} and {says:?}, but it said: {message}"));
    }
    match causes.iter().find(|cause| !cause.field.starts_with(field)) {
        Some(other) => Err(format!("also blames {}: {message}", other.field)),
        None => Ok(()),
    }
}

/// `spec.members[0]` as a JSON pointer.
fn pointer(place: &str) -> String {
    format!("/{}", place.replace(['.', '['], "/").replace(']', ""))
}

/// Writes `value` at `place`, or leaves it out; objects on the way are made.
fn put(manifest: &mut Value, place: &str, value: Option<Value>) {
    let pointer = pointer(place);
    let (way, last) = pointer.rsplit_once('/').unwrap();
    let mut at = manifest;
    for step in way.split('/').skip(1) {
        at = match usize::from_str(step) {
            Ok(index) => &mut at[index],
            Err(_) => &mut at[step],
        };
    }
    match (usize::from_str(last), value) {
        (Ok(index), Some(value)) => at[index] = value,
        (Err(_), Some(value)) => at[last] = value,
        (_, None) if at.is_null() => *at = json!({}),
        (_, None) => drop(at.as_object_mut().unwrap().remove(last)),
    }
}

/// The path of every field in `schema`; a list's items go by the list's name.
fn fields(path: &str, schema: &Value, found: &mut Vec<String>) {
    for (name, field) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let path = format!("{path}.{name}");
        fields(&path, field.get("items").unwrap_or(field), found);
        found.push(path);
    }
}

#[test]
fn every_field_of_every_kind_has_rows() {
    let rows: Vec<_> =
        [targets::table(), options::table(), guards::table(), tenants::table(), admission::table()].concat();
    for crd in rescind::api::crds() {
        let kind = Kind::of(&crd.definition);
        let of_kind = rows.iter().filter(|row| row.kind.name == kind.name);
        let places: Vec<_> = of_kind.map(|row| row.place.replace("[0]", "")).collect();
        let mut without = Vec::new();
        fields("spec", &kubectl::schema(&crd.definition)["properties"]["spec"], &mut without);
        without.retain(|field| !places.contains(field));
        assert!(without.is_empty(), "{}: no rows for {without:?}", kind.name);
    }
}
