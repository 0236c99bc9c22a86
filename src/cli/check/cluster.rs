//! Checks of the cluster: its version, the CRDs, and whether a removal gets past admission.

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::PostParams;
use serde_json::{Value, json};

use crate::api::{GROUP, REQUESTED_BY_ANNOTATION, crds};
use crate::cli::cluster::Cluster;
use crate::cli::object::kinds;
use crate::cli::texts::shown;
use crate::kube_error::explain;

use super::codes::{CRDS, DRY_RUN, KUBERNETES, MAY_INSTALL, SCHEMA};
use super::report::Category;

/// The oldest minor version of Kubernetes 1 that is supported, as the chart's `kubeVersion` says.
pub const OLDEST_MINOR: u32 = 31;
/// How the CRDs are updated.
const UPDATE_CRDS: &str = "helm upgrade with crds.enabled=true, or: rescind crds | kubectl apply --server-side -f -";

/// Checks the cluster, and says whether the API server answers at all. `pre`: before anything is installed.
pub async fn check(cluster: &Cluster, pre: bool) -> (Category, bool) {
    let mut category = Category::new("cluster");
    if !version(cluster, &mut category).await {
        return (category, false);
    }
    let complete = definitions(cluster, &mut category, pre).await;
    if pre {
        may_install(cluster, &mut category).await;
    } else if complete {
        dry_run(cluster, &mut category).await;
    }
    (category, true)
}

/// Whether the API server answers, and knows who asks.
async fn version(cluster: &Cluster, category: &mut Category) -> bool {
    let what = "ask for the version of the API server";
    let found = match cluster.answer(what, cluster.client.apiserver_version()).await {
        Ok(Ok(found)) => found,
        Ok(Err(kube::Error::Api(status))) if status.code == 401 => {
            let text = format!("{} does not accept your credentials", cluster.whereabouts);
            category.wrong(KUBERNETES, text, "log in again, or choose another context of the kubeconfig");
            return false;
        }
        Ok(Err(error)) => {
            category.unknown(KUBERNETES, format!("the version of the API server is not known: {}", explain(&error)));
            return true;
        }
        Err(error) => {
            let remedy = "choose another context of the kubeconfig, or mend the network";
            category.wrong(KUBERNETES, error.to_string(), remedy);
            return false;
        }
    };
    let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>().parse::<u32>();
    let (major, minor) = (digits(&found.major).unwrap_or(0), digits(&found.minor).unwrap_or(0));
    let text = format!("Kubernetes {major}.{minor}, at least 1.{OLDEST_MINOR}");
    if (major, minor) >= (1, OLDEST_MINOR) {
        category.fine(KUBERNETES, text);
    } else {
        category.wrong(
            KUBERNETES,
            format!("Kubernetes {major}.{minor} is older than 1.{OLDEST_MINOR}"),
            "update the cluster",
        );
    }
    true
}

/// Whether all CRDs are there.
async fn definitions(cluster: &Cluster, category: &mut Category, pre: bool) -> bool {
    let api: Api<CustomResourceDefinition> = Api::all(cluster.client.clone());
    let (mut missing, mut found) = (Vec::new(), 0);
    for crd in crds() {
        let name = crd.definition.metadata.name.clone().unwrap_or_default();
        let stored = match cluster.find(&format!("get the CRD {name}"), api.get(&name)).await {
            Ok(stored) => stored,
            Err(error) => {
                category.unknown(CRDS, error.to_string());
                // Whether a removal passes shows the same.
                return !pre;
            }
        };
        match stored {
            Some(stored) => {
                found += 1;
                compare(&crd.definition, &stored, &name, category);
            }
            None => missing.push(name),
        }
    }
    let complete = missing.is_empty();
    if pre {
        if found == 0 {
            category.fine(CRDS, "no CRDs of Rescind are installed yet");
        }
    } else if complete {
        category.fine(CRDS, format!("the {found} kinds of this version are installed"));
    } else {
        category.wrong(CRDS, format!("missing: {}", missing.join(", ")), UPDATE_CRDS);
    }
    complete
}

fn compare(own: &CustomResourceDefinition, stored: &CustomResourceDefinition, name: &str, category: &mut Category) {
    let (own, stored) = (schema(own), schema(stored));
    if let Some(path) = lacking(&own, &stored, "") {
        let text = format!("the CRD {name} is older than this program: it lacks {path}");
        category.wrong(SCHEMA, text, UPDATE_CRDS);
    } else if let Some(path) = lacking(&stored, &own, "") {
        let text = format!("the CRD {name} is newer than this program: it has {path}");
        category.look(SCHEMA, text, "use the kubectl-rescind of the operator's version");
    } else if own != stored {
        category.look(SCHEMA, format!("the CRD {name} has other rules than this program's"), UPDATE_CRDS);
    }
}

/// The schema of our version of the API.
fn schema(crd: &CustomResourceDefinition) -> Value {
    let own = crds().first().and_then(|crd| Some(crd.definition.spec.versions.first()?.name.clone()));
    let version = crd.spec.versions.iter().find(|version| Some(&version.name) == own.as_ref());
    let schema = version.and_then(|version| version.schema.as_ref()?.open_api_v3_schema.as_ref());
    let mut schema = schema.and_then(|schema| serde_json::to_value(schema).ok()).unwrap_or_default();
    without_texts(&mut schema);
    schema
}

/// Takes descriptions away, which only people read.
fn without_texts(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.retain(|key, value| key != "description" || !value.is_string());
            fields.values_mut().for_each(without_texts);
        }
        Value::Array(values) => values.iter_mut().for_each(without_texts),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The path of a field that `own` has and `other` lacks.
fn lacking(own: &Value, other: &Value, path: &str) -> Option<String> {
    let fields = own.get("properties").and_then(Value::as_object);
    for (name, schema) in fields.into_iter().flatten() {
        let path = format!("{path}.{name}");
        let Some(theirs) = other.get("properties").and_then(|fields| fields.get(name)) else { return Some(path) };
        if let Some(found) = lacking(schema, theirs, &path) {
            return Some(found);
        }
    }
    let (own, other) = (own.get("items")?, other.get("items")?);
    lacking(own, other, &format!("{path}[]"))
}

async fn may_install(cluster: &Cluster, category: &mut Category) {
    let wanted = [
        ("apiextensions.k8s.io", "customresourcedefinitions"),
        ("rbac.authorization.k8s.io", "clusterroles"),
        ("rbac.authorization.k8s.io", "clusterrolebindings"),
    ];
    for (group, resource) in wanted {
        let attributes = ResourceAttributes {
            group: Some(group.to_owned()),
            resource: Some(resource.to_owned()),
            verb: Some("create".to_owned()),
            ..ResourceAttributes::default()
        };
        let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() };
        let review = SelfSubjectAccessReview { spec, ..Default::default() };
        let api: Api<SelfSubjectAccessReview> = Api::all(cluster.client.clone());
        let params = PostParams::default();
        match cluster.request("ask what you may do", api.create(&params, &review)).await {
            Ok(answer) if answer.status.as_ref().is_some_and(|status| status.allowed) => {
                category.fine(MAY_INSTALL, format!("you may create {resource}"));
            }
            Ok(_) => {
                let remedy = "have somebody install the chart who may, or install it for single namespaces";
                category.wrong(MAY_INSTALL, format!("you may not create {resource}"), remedy);
            }
            Err(error) => category.unknown(MAY_INSTALL, error.to_string()),
        }
    }
}

/// Has the API server check a removal as if it were created. Nothing is stored.
async fn dry_run(cluster: &Cluster, category: &mut Category) {
    let Some(kind) = kinds().into_iter().find(|kind| kind.name == "UserRoleRevocation") else { return };
    let object = json!({
        "apiVersion": kind.resource.api_version, "kind": kind.name,
        "metadata": {"name": "rescind-check", "namespace": cluster.namespace},
        "spec": {"userId": "auth0|rescind-check", "roles": ["rol_0000000000000000"]},
    });
    let namespace = &cluster.namespace;
    let answer = cluster.answer("check a removal by a dry run", cluster.dry_run(&kind, &object)).await;
    match answer {
        Ok(Ok(_)) => category.fine(DRY_RUN, format!("a removal passes a dry run in namespace {namespace}")),
        // The policy on who asks does its work: this object does not name anybody.
        Ok(Err(error)) if error.to_string().contains(REQUESTED_BY_ANNOTATION) => {
            category.fine(DRY_RUN, "a removal passes a dry run, once it names who asks");
        }
        Ok(Err(kube::Error::Api(status))) if status.code == 403 && status.message.contains(GROUP) => {
            category.unknown(DRY_RUN, format!("you may not create removals in namespace {namespace}"));
        }
        Ok(Err(error)) => {
            let remedy = "change the policy or webhook that refuses it, or repair the CRDs";
            category.wrong(DRY_RUN, format!("a removal is refused: {}", shown(&explain(&error))), remedy);
        }
        Err(error) => category.unknown(DRY_RUN, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_compared_and_texts_are_not() {
        let own = crds().remove(0).definition;
        let mut other = own.clone();
        let properties = |crd: &mut CustomResourceDefinition| {
            crd.spec.versions[0]
                .schema
                .as_mut()
                .unwrap()
                .open_api_v3_schema
                .as_mut()
                .unwrap()
                .properties
                .take()
                .unwrap()
        };
        let mut fields = properties(&mut other);
        let spec = fields.get_mut("spec").unwrap();
        spec.description = Some("another text".to_owned());
        spec.properties.as_mut().unwrap().remove("suspend");
        other.spec.versions[0].schema.as_mut().unwrap().open_api_v3_schema.as_mut().unwrap().properties = Some(fields);
        assert_eq!(lacking(&schema(&own), &schema(&other), ""), Some(".spec.suspend".to_owned()));
        assert_eq!(lacking(&schema(&other), &schema(&own), ""), None);
        assert_eq!(lacking(&schema(&own), &schema(&own), ""), None);
    }
}
