//! `version`: this program, and what is installed in the cluster. Each part that cannot be read says so on its own.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use serde_json::{Value, json};

use crate::api::{crds, printable};

use super::cluster::Cluster;
use super::error::CliError;
use super::flags::{Format, OperatorFlags};
use super::operator::Operator;
use super::session::Session;

/// Flags of `version`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Do not ask the cluster.
    #[arg(long)]
    client: bool,

    /// Text for people or JSON for programs.
    #[arg(short = 'o', long, value_enum, default_value_t)]
    output: Format,

    #[command(flatten)]
    operator: OperatorFlags,
}

/// Prints the versions.
pub async fn run(session: &Session, args: &Args) -> Result<u8, CliError> {
    let client = env!("CARGO_PKG_VERSION");
    let mut text = format!("kubectl-rescind {client}\n");
    let mut json = json!({"schemaVersion": 1, "client": client});
    if !args.client {
        let parts = match session.cluster() {
            Ok(cluster) => {
                let operator = Operator::read(&cluster, &args.operator.namespace).await;
                [
                    ("kubernetes", kubernetes(&cluster).await),
                    ("operator", installed(&operator)),
                    ("crds", definitions(&cluster).await),
                ]
            }
            Err(error) => ["kubernetes", "operator", "crds"].map(|name| (name, Err(error.to_string()))),
        };
        for (name, found) in parts {
            json[name] = match &found {
                Ok(text) => json!(text),
                Err(_) => Value::Null,
            };
            match found {
                Ok(found) => text += &format!("{name} {}\n", printable(&found)),
                Err(why) => {
                    text += &format!("{name} not known: {}\n", printable(&why));
                    json["unread"][name] = json!(why);
                }
            }
        }
    }
    session.screen.print(match args.output {
        Format::Text => text,
        Format::Json => format!("{json:#}\n"),
    })?;
    Ok(0)
}

/// The version of the API server.
pub async fn kubernetes(cluster: &Cluster) -> Result<String, String> {
    let asked = cluster.request("ask for the version of the API server", cluster.client.apiserver_version()).await;
    asked.map(|info| info.git_version).map_err(|error| error.to_string())
}

fn installed(operator: &Operator) -> Result<String, String> {
    let found = operator.deployments.as_ref().map_err(Clone::clone)?;
    if found.is_empty() {
        return Err(format!("no Deployment of it is in namespace {}", operator.namespace));
    }
    let one = |found: &super::operator::Deployed| {
        let version = found.version.as_deref().unwrap_or("of an unknown version");
        format!("{version} ({}, {}/{})", found.image, operator.namespace, found.name)
    };
    Ok(found.iter().map(one).collect::<Vec<_>>().join(", "))
}

/// The versions of the API that the CRDs serve, and how many of the kinds are there.
pub async fn definitions(cluster: &Cluster) -> Result<String, String> {
    let api: Api<CustomResourceDefinition> = Api::all(cluster.client.clone());
    let own = crds();
    let (mut versions, mut found) = (Vec::new(), 0);
    for crd in &own {
        let name = crd.definition.metadata.name.clone().unwrap_or_default();
        let stored = cluster.find(&format!("get the CRD {name}"), api.get(&name)).await;
        let Some(stored) = stored.map_err(|error| error.to_string())? else { continue };
        found += 1;
        versions.extend(stored.spec.versions.into_iter().filter(|version| version.served).map(|version| version.name));
    }
    versions.sort_unstable();
    versions.dedup();
    match found {
        0 => Err("they are not installed".to_owned()),
        _ => Ok(format!("{} ({found} of {} kinds)", versions.join(", "), own.len())),
    }
}
