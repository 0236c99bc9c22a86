//! Flags that several commands share. kubectl takes none of its own flags before the name of a plugin, so the usual
//! ones are here.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::api::{DurationText, TenantRef};
use crate::kubeconfig::Selection;
use crate::tenant::TenantKey;

/// The longest time span: ten years. The clock could not hold every longer one.
const LONGEST: Duration = Duration::from_hours(87_600);

/// Which cluster, as whom, and which namespace.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Flags as kubectl has them")]
pub struct ClusterFlags {
    /// Namespace of the objects. Default: that of the kubeconfig's context.
    #[arg(short = 'n', long, global = true, value_parser = namespace)]
    pub namespace: Option<String>,

    /// Objects of all namespaces.
    #[arg(short = 'A', long, global = true, conflicts_with = "namespace")]
    pub all_namespaces: bool,

    /// The kubeconfig file to use.
    #[arg(long, global = true)]
    pub kubeconfig: Option<PathBuf>,

    /// The context of the kubeconfig to use.
    #[arg(long, global = true)]
    pub context: Option<String>,

    /// The cluster of the kubeconfig to use.
    #[arg(long, global = true)]
    pub cluster: Option<String>,

    /// The user of the kubeconfig to use.
    #[arg(long, global = true)]
    pub user: Option<String>,

    /// The user to impersonate.
    #[arg(long = "as", global = true, value_name = "USER")]
    pub impersonate: Option<String>,

    /// A group to impersonate; may be repeated.
    #[arg(long = "as-group", global = true, value_name = "GROUP", requires = "impersonate")]
    pub impersonate_groups: Vec<String>,

    /// How long to wait for one answer of the API server, such as 30s or 2m; 0 is without a limit.
    #[arg(long, global = true, default_value = "30s", value_parser = timeout)]
    pub request_timeout: Duration,
}

impl ClusterFlags {
    /// What is chosen of the kubeconfig.
    pub fn selection(&self) -> Selection {
        Selection {
            file: self.kubeconfig.clone(),
            context: self.context.clone(),
            cluster: self.cluster.clone(),
            user: self.user.clone(),
            impersonate: self.impersonate.clone(),
            impersonate_groups: self.impersonate_groups.clone(),
        }
    }

    /// Those of these flags that another command needs to mean the same objects.
    pub fn given(&self) -> Vec<String> {
        let file = self.kubeconfig.as_ref().map(|file| file.display().to_string());
        let flags = [
            ("-n", &self.namespace),
            ("--kubeconfig", &file),
            ("--context", &self.context),
            ("--cluster", &self.cluster),
            ("--user", &self.user),
            ("--as", &self.impersonate),
        ];
        let given = flags.into_iter().filter_map(|(flag, value)| Some([flag.to_owned(), value.clone()?]));
        let groups = self.impersonate_groups.iter().map(|group| ["--as-group".to_owned(), group.clone()]);
        given.chain(groups).flatten().collect()
    }
}

/// Where the operator runs.
#[derive(Clone, Debug, Default, Args)]
pub struct OperatorFlags {
    /// Namespace of the operator, where its Lease and the Secrets of ClusterAuth0Tenants are.
    #[arg(
        id = "operator_namespace", long = "operator-namespace", value_name = "NAMESPACE",
        default_value = "rescind-system", value_parser = namespace
    )]
    pub namespace: String,
}

/// Which Auth0 tenant, where no object says it.
#[derive(Clone, Debug, Default, Args)]
pub struct TenantFlags {
    /// The Auth0Tenant in the namespace. Default: "default".
    #[arg(long, value_name = "NAME", value_parser = nonempty)]
    pub tenant: Option<String>,

    /// The ClusterAuth0Tenant, in place of an Auth0Tenant.
    #[arg(long, value_name = "NAME", conflicts_with = "tenant", value_parser = nonempty)]
    pub cluster_tenant: Option<String>,

    #[command(flatten)]
    pub operator: OperatorFlags,
}

impl TenantFlags {
    /// The tenant object that is meant.
    pub fn key(&self, namespace: &str) -> TenantKey {
        let name = self.tenant.clone().unwrap_or_else(|| TenantRef::default().name);
        match &self.cluster_tenant {
            Some(name) => TenantKey { namespace: None, name: name.clone() },
            None => TenantKey { namespace: Some(namespace.to_owned()), name },
        }
    }
}

/// How Auth0 is read.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "How Auth0 is read")]
pub struct Auth0Flags {
    /// File with a Management API token that can read. Default: the variable RESCIND_AUTH0_TOKEN, else the Secret of
    /// the tenant, if you may read it.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,

    /// The most reads a second, 0.1 to 1000, and never more than the tenant's own maxRequestsPerSecond. Twice the
    /// tenant's reservePercent of each of Auth0's buckets is left alone.
    #[arg(long, env = "RESCIND_MAX_REQUESTS_PER_SECOND", default_value_t = 2.0, value_parser = rate)]
    pub max_requests_per_second: f64,

    /// Auth0 domains that the token may be sent to, comma-separated. A leading "*." matches one or more labels; a port
    /// other than 443 must be written out.
    #[arg(long, env = "RESCIND_ALLOWED_DOMAINS", default_value = "*.auth0.com,*.auth0app.com")]
    pub allowed_domains: String,
}

/// Text for people or JSON for programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people. It may change with any version.
    #[default]
    Text,
    /// One JSON document with a `schemaVersion`.
    Json,
}

/// A time span as the fields of the kinds take it, such as 90s, 10m or 24h.
pub(super) fn duration(text: &str) -> Result<Duration, &'static str> {
    let span = DurationText::from(text).duration().filter(|span| *span <= LONGEST);
    span.ok_or("write a number and a unit, such as 90s, 10m or 24h, and at most 87600h")
}

/// As kubectl takes it: 0, with or without a unit, is no limit.
fn timeout(text: &str) -> Result<Duration, &'static str> {
    if text == "0" { Ok(Duration::ZERO) } else { duration(text) }
}

/// A text that is not empty. An empty selector would select everything, and an empty name means nothing.
pub(super) fn nonempty(text: &str) -> Result<String, &'static str> {
    if text.trim().is_empty() { Err("it is empty") } else { Ok(text.to_owned()) }
}

/// The name of a namespace. An empty one would ask the API server for something else.
fn namespace(text: &str) -> Result<String, &'static str> {
    let can_be = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_good = (1..=63).contains(&text.len()) && text.bytes().all(can_be);
    is_good.then(|| text.to_owned()).ok_or("write the name of a namespace: lower-case letters, digits and dashes")
}

fn rate(text: &str) -> Result<f64, &'static str> {
    let rate = text.parse().ok().filter(|rate: &f64| (0.1..=1000.0).contains(rate));
    rate.ok_or("write a number from 0.1 to 1000")
}
