//! Checks of the operator: its Deployment, who leads, and what it may see.

use std::collections::BTreeSet;

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::Api;
use kube::api::PostParams;

use crate::cli::cluster::Cluster;
use crate::cli::operator::{Deployed, Operator};
use crate::cli::texts::shown;
use crate::cli::times::span;
use crate::clock;
use crate::revocation::{AdmissionBinding, AdmissionPolicy, binding_spec, policy_spec};
use crate::tenant::TenantKey;

use super::codes::{DEPLOYMENT, LEADER, PODS, REQUESTER, SECRETS, VERSION, WATCHED};
use super::report::Category;

/// Checks the operator and whether it can see these tenants.
pub async fn check(cluster: &Cluster, operator: &Operator, tenants: &BTreeSet<TenantKey>) -> Category {
    let mut category = Category::new(format!("operator in namespace {}", operator.namespace));
    let deployments = match &operator.deployments {
        Ok(deployments) => deployments,
        Err(why) => {
            category.unknown(DEPLOYMENT, why.clone());
            leader(operator, false, &mut category);
            return category;
        }
    };
    if deployments.is_empty() {
        let text = format!("no Deployment of the operator is in namespace {}", operator.namespace);
        let remedy = "install the chart, or name the operator's namespace with --operator-namespace";
        category.wrong(DEPLOYMENT, text, remedy);
        return category;
    }
    for deployment in deployments {
        deployed(deployment, &operator.namespace, &mut category);
    }
    let elects =
        deployments.iter().any(|one| one.flag("--leader-elect", "RESCIND_LEADER_ELECT").as_deref() != Some("false"));
    if elects {
        leader(operator, true, &mut category);
    }
    for namespace in namespaces(tenants, &operator.namespace) {
        sees(cluster, operator, deployments, &namespace, &mut category).await;
    }
    for deployment in deployments {
        requester(cluster, deployment, &mut category).await;
    }
    category
}

fn deployed(deployment: &Deployed, namespace: &str, category: &mut Category) {
    let Deployed { name, version, image, replicas: (wanted, ready), .. } = deployment;
    category.fine(DEPLOYMENT, format!("Deployment {name} runs {}", shown(image)));
    let text = format!("{ready} of {wanted} pods of {name} are ready");
    let remedy = format!("kubectl describe pods -n {namespace}, and their logs, say what is missing");
    if ready >= wanted && *ready > 0 {
        category.fine(PODS, text);
    } else if *ready > 0 {
        category.look(PODS, text, remedy);
    } else {
        category.wrong(PODS, text, remedy);
    }
    let own = env!("CARGO_PKG_VERSION");
    match version {
        Some(version) if version == own => category.fine(VERSION, format!("version {own}, as this program")),
        Some(version) => category.look(
            VERSION,
            format!("the operator has version {}, this program {own}", shown(version)),
            "use the kubectl-rescind of the operator's version",
        ),
        None => category.unknown(VERSION, "neither a label nor the image says the operator's version"),
    }
}

fn leader(operator: &Operator, is_expected: bool, category: &mut Category) {
    let now = clock::wall();
    match &operator.leader {
        Err(why) => category.unknown(LEADER, why.clone()),
        Ok(Some(leader)) if leader.is_leading(now) => {
            let age = leader.age(now).map(span).unwrap_or_default();
            category.fine(LEADER, format!("{} leads (lease {}, {age} old)", shown(&leader.holder), leader.lease));
        }
        Ok(Some(leader)) => {
            let remedy = "look at the operator's logs: another replica should have taken the Lease over";
            category.wrong(LEADER, format!("no replica leads: Lease {} has run out", leader.lease), remedy);
        }
        Ok(None) if is_expected => {
            let text = format!("no replica leads: there is no Lease in namespace {}", operator.namespace);
            category.wrong(LEADER, text, "look at the operator's logs: it may lack the right to create the Lease");
        }
        Ok(None) => category.unknown(LEADER, format!("there is no Lease in namespace {}", operator.namespace)),
    }
}

/// Where the Secrets of these tenants are.
fn namespaces(tenants: &BTreeSet<TenantKey>, operator_namespace: &str) -> BTreeSet<String> {
    tenants.iter().map(|key| key.namespace.clone().unwrap_or_else(|| operator_namespace.to_owned())).collect()
}

/// Whether a flag lets the operator see this namespace: its list is empty or names it.
fn is_listed(list: &[String], namespace: &str) -> bool {
    list.is_empty() || list.iter().any(|name| name == namespace)
}

async fn sees(cluster: &Cluster, operator: &Operator, all: &[Deployed], namespace: &str, category: &mut Category) {
    let own = &operator.namespace;
    let watches = |one: &&Deployed| {
        is_listed(&one.list("--watch-namespaces", "RESCIND_WATCH_NAMESPACES", own), namespace) || namespace == own
    };
    let watching: Vec<&Deployed> = all.iter().filter(watches).collect();
    let Some(first) = watching.first() else {
        let text = format!("the operator does not watch namespace {namespace}");
        let remedy = format!("add {namespace} to watchNamespaces of the chart, and run helm upgrade");
        return category.wrong(WATCHED, text, remedy);
    };
    let reads =
        |one: &&&Deployed| is_listed(&one.list("--secret-namespaces", "RESCIND_SECRET_NAMESPACES", own), namespace);
    let remedy = format!("add {namespace} to secretNamespaces of the chart, and run helm upgrade");
    let Some(reading) = watching.iter().find(reads) else {
        let text =
            format!("Secrets in namespace {namespace} are never read: --secret-namespaces of {} lacks it", first.name);
        return category.wrong(SECRETS, text, remedy);
    };
    match may_list(cluster, own, &reading.service_account, namespace).await {
        Ok(true) => category.fine(SECRETS, format!("the operator may list Secrets in namespace {namespace}")),
        Ok(false) => {
            category.wrong(SECRETS, format!("the operator may not list Secrets in namespace {namespace}"), remedy);
        }
        Err(why) => category.unknown(SECRETS, format!("whether the operator sees Secrets in {namespace}: {why}")),
    }
}

async fn may_list(cluster: &Cluster, namespace: &str, account: &str, of: &str) -> Result<bool, String> {
    let user = format!("system:serviceaccount:{namespace}:{account}");
    let groups = ["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")];
    let attributes = ResourceAttributes {
        group: Some(String::new()),
        resource: Some("secrets".to_owned()),
        verb: Some("list".to_owned()),
        namespace: Some(of.to_owned()),
        ..ResourceAttributes::default()
    };
    let spec = SubjectAccessReviewSpec {
        resource_attributes: Some(attributes),
        user: Some(user),
        groups: Some(groups.to_vec()),
        ..SubjectAccessReviewSpec::default()
    };
    let api: Api<SubjectAccessReview> = Api::all(cluster.client.clone());
    let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
    let params = PostParams::default();
    let answer = cluster.request("create subjectaccessreviews", api.create(&params, &review)).await;
    answer.map(|answer| answer.status.is_some_and(|status| status.allowed)).map_err(|error| error.to_string())
}

/// Whether the policy on who asks is as the operator knows it, if it was told of one.
async fn requester(cluster: &Cluster, deployment: &Deployed, category: &mut Category) {
    let name = deployment.flag("--requester-policy", "RESCIND_REQUESTER_POLICY");
    let Some(name) = name.filter(|name| !name.is_empty()) else { return };
    let policies: Api<AdmissionPolicy> = Api::all(cluster.client.clone());
    let bindings: Api<AdmissionBinding> = Api::all(cluster.client.clone());
    let policy = cluster.find(&format!("get the ValidatingAdmissionPolicy {name}"), policies.get(&name)).await;
    let binding = cluster.find(&format!("get the binding of the policy {name}"), bindings.get(&name)).await;
    let remedy = "helm upgrade with requester.enforce=true, and change neither of the two by hand";
    match (policy, binding) {
        (Ok(Some(policy)), Ok(Some(binding)))
            if policy.spec == policy_spec() && binding.spec == binding_spec(&name) =>
        {
            category.fine(REQUESTER, format!("policy {name} proves who asks"));
        }
        (Ok(Some(_)), Ok(Some(_))) => {
            category.wrong(REQUESTER, format!("policy {name} or its binding was changed"), remedy);
        }
        (Err(error), _) | (_, Err(error)) => category.unknown(REQUESTER, error.to_string()),
        (Ok(_), Ok(_)) => category.wrong(REQUESTER, format!("policy {name} or its binding is missing"), remedy),
    }
}
