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
use super::flags::duration;
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
    #[arg(long, conflicts_with_all = ["tenant", "wait"])]
    pre: bool,

    /// Check this Auth0Tenant of the namespace only. Default: all tenants of the namespace; with -A, of the cluster.
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,

    /// Check again until nothing is wrong, for so long.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    wait: Option<Duration>,

    /// Text, only what is not fine, or JSON for programs.
    #[arg(short = 'o', long, value_enum, default_value_t)]
    output: Output,

    /// Namespace of the operator.
    #[arg(long, default_value = "rescind-system")]
    operator_namespace: String,

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
    let first = cluster::check(cluster, args.pre).await;
    if args.pre {
        return Report(vec![first]);
    }
    let mut list = TenantList::read(cluster, &BTreeSet::new()).await;
    if let Some(name) = &args.tenant {
        list.found.retain(|key, _| key.name == *name);
    }
    let keys: BTreeSet<TenantKey> = list.found.keys().cloned().collect();
    let operator = Operator::read(cluster, &args.operator_namespace).await;
    let mut categories = vec![first, operator::check(cluster, &operator, &keys).await];
    for (key, tenant) in &list.found {
        categories.push(tenant::check(cluster, &operator, key, &**tenant).await);
    }
    if list.found.is_empty() || !list.unread.is_empty() {
        let mut category = Category::new("tenants");
        list.unread.iter().for_each(|why| category.unknown(TENANT, why.clone()));
        if list.unread.is_empty() {
            let which = args.tenant.as_ref().map(|name| format!(" named {name}")).unwrap_or_default();
            let text = format!("there is no tenant{which} {}", cluster.place());
            category.look(TENANT, text, "create an Auth0Tenant, or look into other namespaces with -A");
        }
        categories.push(category);
    }
    categories.extend(argocd::check(cluster, &args.argocd_namespace).await);
    Report(categories)
}
