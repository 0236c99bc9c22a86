//! The operator as it runs in its namespace, as far as it may be read: its Deployments, its pods, and its Lease.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Container, Pod};
use kube::{Api, ResourceExt};

use super::cluster::Cluster;

/// The name of the container in the chart's pods.
pub const CONTAINER: &str = "rescind";
/// The names of a Lease when no Deployment says it: the chart's, and the program's own.
const LEASES: [&str; 2] = ["rescind", "rescind-leader"];

/// The operator in one namespace. What could not be read is an error in words.
#[derive(Debug)]
pub struct Operator {
    /// The namespace.
    pub namespace: String,
    /// Its Deployments; with `watchNamespaces` there can be several.
    pub deployments: Result<Vec<Deployed>, String>,
    /// Its pods.
    pub pods: Result<Vec<Replica>, String>,
    /// Its Lease, if there is one.
    pub leader: Result<Option<Leader>, String>,
}

/// A Deployment of the operator.
#[derive(Clone, Debug)]
pub struct Deployed {
    /// Its name.
    pub name: String,
    /// The version that its label or the tag of its image names.
    pub version: Option<String>,
    /// The image.
    pub image: String,
    /// How many pods are wanted, and how many are ready.
    pub replicas: (i32, i32),
    /// The service account of its pods.
    pub service_account: String,
    /// The arguments of the program.
    pub args: Vec<String>,
    env: Vec<(String, String)>,
}

/// A pod of the operator.
#[derive(Clone, Debug)]
pub struct Replica {
    /// Its name.
    pub name: String,
    /// Whether it is ready.
    pub is_ready: bool,
}

/// Who leads.
#[derive(Clone, Debug)]
pub struct Leader {
    /// The name of the Lease.
    pub lease: String,
    /// The identity of the replica; empty if none leads.
    pub holder: String,
    /// When the Lease was renewed, and for how long it counts.
    pub renewed: Option<(Timestamp, SignedDuration)>,
}

impl Leader {
    /// The age of the Lease.
    pub fn age(&self, now: Timestamp) -> Option<SignedDuration> {
        self.renewed.map(|(at, _)| now.duration_since(at).max(SignedDuration::ZERO))
    }

    /// Whether it leads now.
    pub fn is_leading(&self, now: Timestamp) -> bool {
        let lasts = |(at, lasting): (Timestamp, SignedDuration)| now.duration_since(at) <= lasting;
        !self.holder.is_empty() && self.renewed.is_some_and(lasts)
    }
}

impl Operator {
    /// Reads what runs in this namespace.
    pub async fn read(cluster: &Cluster, namespace: &str) -> Self {
        let client = &cluster.client;
        let api: Api<Deployment> = Api::namespaced(client.clone(), namespace);
        let deployments = cluster.list(&format!("list deployments in namespace {namespace}"), &api, None).await;
        let deployments = deployments.map(|all| all.iter().filter_map(deployed).collect::<Vec<_>>());
        let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
        let pods = cluster.list(&format!("list pods in namespace {namespace}"), &api, None).await;
        let pods = pods.map(|all| all.iter().filter_map(replica).collect());
        let named = deployments.iter().flatten().filter_map(|found| found.flag("--lease-name", "RESCIND_LEASE_NAME"));
        let mut leader = Ok(None);
        for name in named.chain(LEASES.map(str::to_owned)) {
            leader = lease(cluster, namespace, &name).await;
            if !matches!(leader, Ok(None)) {
                break;
            }
        }
        Self {
            namespace: namespace.to_owned(),
            deployments: deployments.map_err(|error| error.to_string()),
            pods: pods.map_err(|error| error.to_string()),
            leader,
        }
    }

    /// The version, if it can be told.
    pub fn version(&self) -> Option<&str> {
        self.deployments.iter().flatten().find_map(|found| found.version.as_deref())
    }

    /// How many ready pods do not lead. None if the pods may not be listed.
    pub fn standbys(&self) -> Option<usize> {
        let leader = self.leader.as_ref().ok().and_then(Option::as_ref).map_or("", |leader| &leader.holder);
        let pods = self.pods.as_ref().ok().filter(|pods| !pods.is_empty())?;
        Some(pods.iter().filter(|pod| pod.is_ready && !leader.starts_with(&pod.name)).count())
    }

    /// What could not be read, for users.
    pub fn unread(&self) -> impl Iterator<Item = &str> {
        let whys = [self.deployments.as_ref().err(), self.pods.as_ref().err(), self.leader.as_ref().err()];
        whys.into_iter().flatten().map(String::as_str)
    }
}

impl Deployed {
    /// The value of a flag of `rescind run`, or of its variable.
    pub fn flag(&self, flag: &str, variable: &str) -> Option<String> {
        let value = |arg: &String| arg.strip_prefix(flag)?.strip_prefix('=').map(str::to_owned);
        let in_args = self.args.iter().find_map(value);
        let apart = self.args.iter().position(|arg| arg == flag).and_then(|at| self.args.get(at + 1).cloned());
        let in_env = || self.env.iter().find(|(name, _)| name == variable).map(|(_, value)| value.clone());
        in_args.or(apart).or_else(in_env)
    }

    /// The values of a flag that takes several, separated by commas. The namespace of the operator may stand in it as a
    /// variable.
    pub fn list(&self, flag: &str, variable: &str, namespace: &str) -> Vec<String> {
        let text = self.flag(flag, variable).unwrap_or_default().replace("$(RESCIND_NAMESPACE)", namespace);
        text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
    }
}

fn container(containers: &[Container]) -> Option<&Container> {
    containers.iter().find(|container| container.name == CONTAINER)
}

fn deployed(deployment: &Deployment) -> Option<Deployed> {
    let spec = deployment.spec.as_ref()?;
    let pod = spec.template.spec.as_ref()?;
    let container = container(&pod.containers)?;
    let image = container.image.clone().unwrap_or_default();
    let label = deployment.labels().get("app.kubernetes.io/version").cloned();
    let tag = image.rsplit_once(':').filter(|(_, tag)| !tag.contains('/') && !image.contains('@'));
    let env = container.env.iter().flatten().filter_map(|var| Some((var.name.clone(), var.value.clone()?)));
    let ready = deployment.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0);
    Some(Deployed {
        name: deployment.name_any(),
        version: tag.map(|(_, tag)| tag.trim_start_matches('v').to_owned()).or(label),
        replicas: (spec.replicas.unwrap_or(1), ready),
        service_account: pod.service_account_name.clone().unwrap_or_else(|| "default".to_owned()),
        args: container.args.clone().unwrap_or_default(),
        env: env.collect(),
        image,
    })
}

fn replica(pod: &Pod) -> Option<Replica> {
    container(&pod.spec.as_ref()?.containers)?;
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let is_ready = conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True");
    Some(Replica { name: pod.name_any(), is_ready })
}

async fn lease(cluster: &Cluster, namespace: &str, name: &str) -> Result<Option<Leader>, String> {
    let api: Api<Lease> = Api::namespaced(cluster.client.clone(), namespace);
    let what = format!("get lease {name} in namespace {namespace}");
    let found = cluster.find(&what, api.get(name)).await.map_err(|error| error.to_string())?;
    let spec = found.and_then(|lease| lease.spec);
    Ok(spec.map(|spec| {
        let lasting = SignedDuration::from_secs(i64::from(spec.lease_duration_seconds.unwrap_or(0)));
        let renewed = spec.renew_time.map(|at| (at.0, lasting));
        Leader { lease: name.to_owned(), holder: spec.holder_identity.unwrap_or_default(), renewed }
    }))
}
