//! `check`: whether everything is installed, connected and allowed, from the cluster to the token for Auth0. Auth0 is
//! not called.
//!
//! `codes` is the table of all checks; `cluster`, `operator`, `tenant` and `argocd` make them; `report` prints them.

mod argocd;
mod cluster;
mod codes;
mod operator;
mod report;
mod tenant;

use std::collections::BTreeSet;
use std::time::Duration;

use clap::ValueEnum;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::cluster::Cluster;
use super::error::CliError;
use super::flags::{OperatorFlags, duration, nonempty};
use super::operator::Operator;
use super::session::Session;
use super::tenants::TenantList;
use crate::tenant::TenantKey;

use codes::TENANT;
use report::{Category, Report};

pub use cluster::OLDEST_MINOR;
pub use codes::{CHECKS, Code};

/// How often it is checked again with `--wait`.
const EVERY: Duration = Duration::from_secs(2);

/// Check whether everything is installed, connected and allowed.
///
/// Each line begins with a sign: √ fine, ‼ to be looked at, × wrong, ? could not be found out. Exit with 1 if
/// anything is wrong, and with 2 after an error.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Check what is needed before Rescind is installed.
    #[arg(long, conflicts_with_all = ["tenant", "cluster_tenant", "wait"])]
    pre: bool,

    /// Check this Auth0Tenant only. Default: all of the namespace; with -A, all tenants of the cluster.
    #[arg(long, value_name = "NAME", value_parser = nonempty)]
    tenant: Option<String>,

    /// Check this ClusterAuth0Tenant only.
    #[arg(long, value_name = "NAME", conflicts_with = "tenant", value_parser = nonempty)]
    cluster_tenant: Option<String>,

    /// Check again until nothing is wrong, for so long.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    wait: Option<Duration>,

    /// Text, only what is not fine, or JSON for programs.
    #[arg(short = 'o', long, value_enum, default_value_t)]
    output: Output,

    #[command(flatten)]
    operator: OperatorFlags,

    /// Namespace of Argo CD.
    #[arg(long, default_value = "argocd")]
    argocd_namespace: String,
}

/// How the checks are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    #[default]
    Text,
    /// Only what is not fine.
    Short,
    /// One JSON document with a `schemaVersion`.
    Json,
}

impl Args {
    /// Whether this tenant is to be checked.
    fn means(&self, key: &TenantKey) -> bool {
        match (&self.tenant, &self.cluster_tenant) {
            (Some(name), _) => key.namespace.is_some() && key.name == *name,
            (None, Some(name)) => key.namespace.is_none() && key.name == *name,
            (None, None) => true,
        }
    }
}

/// Runs the command.
pub async fn run(session: &Session, args: &Args) -> Result<u8, CliError> {
    let cluster = session.cluster()?;
    let end = Instant::now() + args.wait.unwrap_or_default();
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let report = loop {
        ticks.tick().await;
        session.screen.progress("checking");
        let report = check(&cluster, args).await;
        if report.is_good() || Instant::now() + EVERY > end {
            break report;
        }
    };
    session.screen.progress_done();
    match args.output {
        Output::Json => session.screen.print(format!("{:#}\n", report.json()))?,
        Output::Text => session.screen.print(report.text(&session.screen, false))?,
        Output::Short => session.screen.print(report.text(&session.screen, true))?,
    }
    Ok(u8::from(!report.is_good()))
}

async fn check(cluster: &Cluster, args: &Args) -> Report {
    let (first, is_answered) = cluster::check(cluster, args.pre).await;
    if args.pre || !is_answered {
        return Report(vec![first]);
    }
    let named = args.cluster_tenant.as_ref().map(|name| TenantKey { namespace: None, name: name.clone() });
    let mut list = TenantList::read(cluster, &named.iter().cloned().collect()).await;
    list.found.retain(|key, _| args.means(key));
    let keys: BTreeSet<TenantKey> = list.found.keys().cloned().collect();
    let operator = Operator::read(cluster, &args.operator.namespace).await;
    let mut categories = vec![first, operator::check(cluster, &operator, &keys).await];
    for (key, tenant) in &list.found {
        categories.push(tenant::check(cluster, &operator, key, &**tenant).await);
    }
    if list.found.is_empty() || !list.unread.is_empty() {
        let mut category = Category::new("tenants");
        list.unread.iter().for_each(|why| category.unknown(TENANT, why.clone()));
        if list.found.is_empty() {
            missing(args, cluster, list.unread.is_empty(), &mut category);
        }
        categories.push(category);
    }
    categories.extend(argocd::check(cluster, &args.argocd_namespace).await);
    Report(categories)
}

/// Says that there is no tenant. One that was named is missing; without a name there may be others.
fn missing(args: &Args, cluster: &Cluster, all_read: bool, category: &mut Category) {
    match (&args.tenant, &args.cluster_tenant) {
        (Some(name), _) if all_read => {
            let text = format!("there is no Auth0Tenant {name} {}", cluster.place());
            category.wrong(TENANT, text, "correct the name, or create the Auth0Tenant");
        }
        (_, Some(name)) if all_read => {
            let text = format!("there is no ClusterAuth0Tenant {name}");
            category.wrong(TENANT, text, "correct the name, or create the ClusterAuth0Tenant");
        }
        (None, None) if all_read => {
            let text = format!("there is no tenant {}", cluster.place());
            let remedy = "create an Auth0Tenant, name a ClusterAuth0Tenant with --cluster-tenant, or look into other \
                          namespaces with -A";
            category.look(TENANT, text, remedy);
        }
        _ => {}
    }
}
