//! Reads what a bundle holds. What cannot be read is named in it, and does not fail the rest.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DynamicObject, LogParams};
use kube::{Api, ResourceExt};
use serde::Serialize;
use serde_json::{Value, json};

use crate::api::{Auth0Tenant, ClusterAuth0Tenant, GROUP, crds};
use crate::auth0::Item;
use crate::cli::cluster::Cluster;
use crate::cli::object::{Object, kinds};
use crate::cli::operator::Operator;
use crate::cli::screen::Screen;
use crate::clock;

use super::redact::Redactor;

/// How many lines of a log are kept.
const LINES: i64 = 2000;
/// kubectl keeps the whole manifest in this annotation, people included.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The files, and what is missing in them.
#[derive(Debug, Default)]
pub struct Bundle {
    /// The files by their paths.
    pub files: Vec<(String, String)>,
    /// What could not be collected, for users.
    pub missing: Vec<String>,
}

/// Collects the bundle.
pub async fn collect(screen: &Screen, cluster: &Cluster, operator_namespace: &str, with_ids: bool) -> Bundle {
    let mut raw = Raw::default();
    screen.progress("reading the objects");
    let ids = removals(cluster, &mut raw).await;
    tenants(cluster, &mut raw).await;
    screen.progress("reading versions and events");
    definitions(cluster, &mut raw).await;
    events(cluster, &mut raw).await;
    let operator = Operator::read(cluster, operator_namespace).await;
    versions(cluster, &operator, &mut raw).await;
    screen.progress("reading the operator's logs");
    pods(cluster, &operator, &mut raw).await;
    raw.redacted(&Redactor::new(ids, with_ids))
}

/// What was read, before anything is taken out of it. It is never written.
#[derive(Default)]
struct Raw {
    json: Vec<(String, Value)>,
    text: Vec<(String, String)>,
    missing: Vec<String>,
}

impl Raw {
    fn add(&mut self, name: &str, value: Value) {
        self.json.push((name.to_owned(), value));
    }

    fn redacted(self, redactor: &Redactor) -> Bundle {
        let mut bundle = Bundle::default();
        for (name, mut value) in self.json {
            redactor.json(&mut value);
            bundle.files.push((format!("{name}.json"), format!("{value:#}\n")));
        }
        bundle.files.extend(self.text.into_iter().map(|(name, text)| (name, redactor.text(&text))));
        bundle.missing = self.missing.iter().map(|why| redactor.text(why)).collect();
        let missing = bundle.missing.iter().map(|why| format!("{why}\n")).collect();
        bundle.files.push(("missing.txt".to_owned(), missing));
        bundle.files.sort();
        bundle
    }
}

/// An object as it is stored, without what only machines read and what holds it once more.
fn plain(object: &impl Serialize) -> Value {
    let mut object = serde_json::to_value(object).unwrap_or_default();
    if let Some(metadata) = object.pointer_mut("/metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.remove(LAST_APPLIED);
        }
    }
    object
}

/// Reads the removals, and returns the ids of the people in them.
async fn removals(cluster: &Cluster, raw: &mut Raw) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    for kind in kinds() {
        let plural = &kind.resource.plural;
        let what = format!("list {plural} {}", cluster.place());
        let found: Vec<DynamicObject> = match cluster.list(&what, &cluster.removals(&kind), None).await {
            Ok(found) => found,
            Err(error) => {
                raw.missing.push(error.to_string());
                continue;
            }
        };
        let objects: Vec<Value> = found.iter().map(plain).collect();
        for object in objects.iter().filter_map(|object| kind.read(object.clone()).ok()) {
            ids.extend(people(&object));
        }
        raw.add(&format!("objects/{plural}"), Value::from(objects));
    }
    ids
}

/// The users whom an object names.
fn people(object: &Object) -> BTreeSet<String> {
    let user = object.removal.endpoint.user().map(ToString::to_string);
    let members = object.removal.items.iter().filter_map(|item| match item {
        Item::Id(id) if id.contains('|') => Some(id.to_string()),
        Item::Id(_) | Item::Permission { .. } => None,
    });
    user.into_iter().chain(members).collect()
}

async fn tenants(cluster: &Cluster, raw: &mut Raw) {
    let client = cluster.client.clone();
    let api: Api<Auth0Tenant> = if cluster.all_namespaces {
        Api::all(client.clone())
    } else {
        Api::namespaced(client.clone(), &cluster.namespace)
    };
    match cluster.list(&format!("list auth0tenants {}", cluster.place()), &api, None).await {
        Ok(found) => raw.add("objects/auth0tenants", found.iter().map(without_bundle).collect()),
        Err(error) => raw.missing.push(error.to_string()),
    }
    let api: Api<ClusterAuth0Tenant> = Api::all(client);
    match cluster.list("list clusterauth0tenants", &api, None).await {
        Ok(found) => raw.add("objects/clusterauth0tenants", found.iter().map(without_bundle).collect()),
        Err(error) => raw.missing.push(error.to_string()),
    }
}

/// A tenant object whose CA bundle is only measured.
fn without_bundle(tenant: &impl Serialize) -> Value {
    let mut tenant = plain(tenant);
    if let Some(bundle) = tenant.pointer_mut("/spec/caBundle") {
        *bundle = json!(format!("{} characters", bundle.as_str().map_or(0, str::len)));
    }
    tenant
}

async fn definitions(cluster: &Cluster, raw: &mut Raw) {
    let api: Api<CustomResourceDefinition> = Api::all(cluster.client.clone());
    let mut found = Vec::new();
    for crd in crds() {
        let name = crd.definition.metadata.name.clone().unwrap_or_default();
        match cluster.find(&format!("get the CRD {name}"), api.get(&name)).await {
            Ok(Some(stored)) => found.push(json!({
                "name": name,
                "labels": stored.metadata.labels,
                "versions": stored.spec.versions.iter().map(|version| &version.name).collect::<Vec<_>>(),
                "isOfThisProgram": stored.spec.versions.first().map(|version| &version.schema)
                    == crd.definition.spec.versions.first().map(|version| &version.schema),
                "status": stored.status,
            })),
            Ok(None) => raw.missing.push(format!("there is no CRD {name}")),
            Err(error) => raw.missing.push(error.to_string()),
        }
    }
    raw.add("crds", Value::from(found));
}

async fn events(cluster: &Cluster, raw: &mut Raw) {
    let client = cluster.client.clone();
    let api: Api<Event> =
        if cluster.all_namespaces { Api::all(client) } else { Api::namespaced(client, &cluster.namespace) };
    match cluster.list(&format!("list events {}", cluster.place()), &api, None).await {
        Ok(found) => {
            let is_ours = |event: &&Event| {
                let version = event.regarding.as_ref().and_then(|object| object.api_version.as_deref());
                version.is_some_and(|version| version.starts_with(&format!("{GROUP}/")))
            };
            raw.add("events", found.iter().filter(is_ours).map(plain).collect());
        }
        Err(error) => raw.missing.push(error.to_string()),
    }
}

async fn versions(cluster: &Cluster, operator: &Operator, raw: &mut Raw) {
    let server = cluster.request("ask for the version of the API server", cluster.client.apiserver_version()).await;
    let server = server.map(|info| info.git_version).map_err(|error| raw.missing.push(error.to_string())).ok();
    let deployments = operator.deployments.iter().flatten().map(|found| {
        json!({
            "name": found.name, "image": found.image, "version": found.version, "args": found.args,
            "replicas": found.replicas.0, "ready": found.replicas.1,
        })
    });
    let leader = operator.leader.as_ref().ok().and_then(Option::as_ref);
    raw.add(
        "versions",
        json!({
            "collectedAt": clock::wall(),
            "client": env!("CARGO_PKG_VERSION"),
            "kubernetes": server,
            "operatorNamespace": operator.namespace,
            "deployments": deployments.collect::<Vec<_>>(),
            "leader": leader.map(|leader| json!({
                "lease": leader.lease, "holder": leader.holder, "renewed": leader.renewed.map(|(at, _)| at),
            })),
        }),
    );
    raw.missing.extend(operator.unread().map(str::to_owned));
}

async fn pods(cluster: &Cluster, operator: &Operator, raw: &mut Raw) {
    let api: Api<Pod> = Api::namespaced(cluster.client.clone(), &operator.namespace);
    for pod in operator.pods.iter().flatten() {
        let place = format!("{} in namespace {}", pod.name, operator.namespace);
        match cluster.find(&format!("get pod {place}"), api.get(&pod.name)).await {
            Ok(Some(found)) => raw.add(&format!("operator/{}", found.name_any()), json!({"status": found.status})),
            Ok(None) => raw.missing.push(format!("pod {place} is gone")),
            Err(error) => raw.missing.push(error.to_string()),
        }
        let container = Some(crate::cli::operator::CONTAINER.to_owned());
        let params = LogParams { container, tail_lines: Some(LINES), timestamps: true, ..LogParams::default() };
        match cluster.request(&format!("read the log of pod {place}"), api.logs(&pod.name, &params)).await {
            Ok(log) => raw.text.push((format!("operator/{}.log", pod.name), log)),
            Err(error) => raw.missing.push(error.to_string()),
        }
    }
    if operator.pods.as_ref().is_ok_and(Vec::is_empty) {
        raw.missing.push(format!("no pod of the operator is in namespace {}", operator.namespace));
    }
}
