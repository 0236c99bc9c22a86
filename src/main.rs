//! The command line: `rescind run` runs the operator, `rescind crds` prints the CustomResourceDefinitions. The commands
//! for people are in `rescind::cli`.
//!
//! This file parses flags, sets up logs, TLS, traces and signals, and hands over to [`runtime::run`].

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::{Args, Parser, Subcommand, ValueEnum};
use rescind::api::printable;
use rescind::auth0::{AllowedDomains, Timeouts};
#[cfg(feature = "cli")]
use rescind::cli;
use rescind::kubeconfig::{self, Selection};
use rescind::runtime::{self, ElectionTiming, LEASE, Settings, WatchTiming};
use rescind::telemetry::traces::Traces;
use rescind::telemetry::{self, BindAddress, LogFormat, trace_export};
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::level_filters::LevelFilter;

/// The C library's allocator keeps most of the memory of a burst of work, and takes a quarter of the operator's CPU.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Kubernetes operator that takes access away in Auth0.
#[derive(Debug, Parser)]
#[command(version, disable_help_subcommand = true, after_help = people())]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the operator. It uses KUBECONFIG or ~/.kube/config if there is one, else the in-cluster service account.
    Run(Box<Run>),
    /// Print the CustomResourceDefinitions as YAML: rescind crds | kubectl apply --server-side -f -
    Crds,
}

#[derive(Debug, Args)]
struct Run {
    /// Auth0 domains that credentials may be sent to, comma-separated. A leading "*." matches one or more labels; a
    /// port other than 443 must be written out.
    #[arg(
        long, env = "RESCIND_ALLOWED_DOMAINS", default_value = "*.auth0.com,*.auth0app.com",
        value_parser = allowed_domains
    )]
    allowed_domains: AllowedDomains,

    /// Namespace of the operator, of its leader election Lease, and of the Secrets of ClusterAuth0Tenants. Default: that
    /// of the service account or the kubeconfig context.
    #[arg(long, env = "RESCIND_NAMESPACE", value_parser = namespace)]
    namespace: Option<String>,

    /// Namespaces to watch, comma-separated. Default: all.
    #[arg(long, env = "RESCIND_WATCH_NAMESPACES", value_delimiter = ',', value_parser = namespace)]
    watch_namespaces: Vec<String>,

    /// Namespaces to read credential Secrets from, comma-separated; only Secrets labelled rescind.dev/credentials=true
    /// are read. Default: all that are watched.
    #[arg(long, env = "RESCIND_SECRET_NAMESPACES", value_delimiter = ',', value_parser = namespace)]
    secret_namespaces: Vec<String>,

    /// Serve ClusterAuth0Tenant, the tenant for many namespaces. Its Secrets are read in the operator's own namespace
    /// only, and namespaces are watched for their labels. Not served with --watch-namespaces.
    #[arg(
        long, env = "RESCIND_CLUSTER_TENANTS", default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1,
        default_missing_value = "true", require_equals = true
    )]
    cluster_tenants: bool,

    /// Elect a leader with a Lease, so that only one replica is active. Disable it only with a single replica.
    #[arg(
        long, env = "RESCIND_LEADER_ELECT", default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1,
        default_missing_value = "true", require_equals = true
    )]
    leader_elect: bool,

    /// Name of the leader election Lease. Operators in one namespace that watch different namespaces need one each.
    #[arg(long, env = "RESCIND_LEASE_NAME", default_value = LEASE, value_parser = lease_name)]
    lease_name: String,

    /// Name of the ValidatingAdmissionPolicy that enforces the annotation rescind.dev/requested-by, and of its binding,
    /// as the chart makes them (requester.enforce). The audit log then says of each object whether the API server has
    /// proved who asked. Default: neither is watched.
    #[arg(long, env = "RESCIND_REQUESTER_POLICY", value_parser = policy_name)]
    requester_policy: Option<String>,

    /// Address and port to serve /healthz and /readyz on; ":8081" is that port on every address that the host has, "0"
    /// disables them.
    #[arg(long, env = "RESCIND_HEALTH_PROBE_BIND_ADDRESS", default_value = ":8081", value_parser = bind_address)]
    health_probe_bind_address: Served,

    /// Address and port to serve /metrics on; ":8080" is that port on every address that the host has, "0" disables it.
    #[arg(long, env = "RESCIND_METRICS_BIND_ADDRESS", default_value = ":8080", value_parser = bind_address)]
    metrics_bind_address: Served,

    /// Maximum number of concurrent reconciles per removal kind, 1 to 256; with --watch-namespaces, per kind and
    /// namespace.
    #[arg(
        long, env = "RESCIND_MAX_CONCURRENT_RECONCILES", default_value_t = 16,
        value_parser = clap::value_parser!(u16).range(1..=256)
    )]
    max_concurrent_reconciles: u16,

    /// Log level: off, error, warn, info, debug or trace. The audit log of removals is written at every level but off.
    #[arg(long, env = "RESCIND_LOG_LEVEL", default_value = "info")]
    log_level: LevelFilter,

    /// Log format.
    #[arg(long, env = "RESCIND_LOG_FORMAT", default_value = "json")]
    log_format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Json,
    Text,
}

/// A type of its own, because clap takes an `Option` field for an optional flag.
#[derive(Clone, Copy, Debug)]
struct Served(Option<BindAddress>);

/// The last lines of the help.
#[cfg(feature = "cli")]
fn people() -> String {
    format!("For people, also as a plugin of kubectl: rescind {}", cli::COMMANDS.join("|"))
}

/// The last lines of the help.
#[cfg(not(feature = "cli"))]
const fn people() -> &'static str {
    "The commands for people, kubectl rescind, are another build of this program."
}

fn allowed_domains(text: &str) -> Result<AllowedDomains, String> {
    AllowedDomains::parse(text.split(',')).map_err(|error| error.to_string())
}

fn bind_address(text: &str) -> Result<Served, &'static str> {
    if text == "0" { Ok(Served(None)) } else { text.parse().map(|address| Served(Some(address))) }
}

/// A namespace without the white space around it. An empty variable or flag is allowed and yields one empty name.
fn namespace(text: &str) -> Result<String, &'static str> {
    let name = text.trim();
    if name == "*" {
        return Err("not the name of a namespace: leave the flag out for all namespaces");
    }
    let good = name.is_empty() || is_label(name);
    good.then(|| name.to_owned()).ok_or(
        "not the name of a namespace: write 1 to 63 lower-case letters, digits and dashes, beginning and ending with a \
         letter or digit",
    )
}

fn lease_name(text: &str) -> Result<String, &'static str> {
    object_name(text)
        .ok_or("not the name of a Lease: write lower-case letters, digits, dashes and dots, such as rescind-leader")
}

/// An empty variable or flag is allowed and yields an empty name.
fn policy_name(text: &str) -> Result<String, &'static str> {
    let none = text.trim().is_empty().then(String::new);
    none.or_else(|| object_name(text)).ok_or(
        "not the name of a ValidatingAdmissionPolicy: write lower-case letters, digits, dashes and dots, such as \
         rescind-requested-by",
    )
}

/// The name of an object (a DNS subdomain) without the white space around it.
fn object_name(text: &str) -> Option<String> {
    let name = text.trim();
    (name.len() <= 253 && name.split('.').all(is_label)).then(|| name.to_owned())
}

/// Whether this is a DNS label (RFC 1123).
fn is_label(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=63).contains(&text.len())
        && text.bytes().all(|byte| is_plain(byte) || byte == b'-')
        && [text.as_bytes().first(), text.as_bytes().last()].into_iter().flatten().all(|byte| is_plain(*byte))
}

/// Exit codes: 0 success, 1 could not run or had to stop, 2 wrong command line (from clap).
fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    #[cfg(feature = "cli")]
    if cli::is_for_people(&args) {
        // The only error is that there is one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        return cli::main(&args);
    }
    let result = match Cli::parse_from(args).command {
        Command::Crds => print_crds(),
        Command::Run(options) => run(*options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Our own sentence and the root cause, in one line; the errors between the two are the libraries' layers.
            let cause = error.chain().skip(1).last().map(|cause| format!(" ({cause})")).unwrap_or_default();
            let line = printable(&format!("rescind: {error}{cause}"));
            let _ = writeln!(std::io::stderr(), "{line}");
            ExitCode::FAILURE
        }
    }
}

fn print_crds() -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for crd in rescind::api::crds() {
        write!(out, "---\n{}", crd.yaml()?)?;
    }
    Ok(())
}

fn run(options: Run) -> anyhow::Result<()> {
    let format = match options.log_format {
        Format::Json => LogFormat::Json,
        Format::Text => LogFormat::Text,
    };
    let subscriber = telemetry::subscriber(options.log_level, format, std::io::stderr);
    tracing::subscriber::set_global_default(subscriber).context("logs cannot be set up")?;
    telemetry::log_panics();
    rustls::crypto::ring::default_provider().install_default().map_err(|_| anyhow!("TLS cannot be set up"))?;
    // Dropped last, so that spans of the shutdown are exported as well.
    let (traces, _flush) = trace_export::from_environment()?;
    // One worker thread can keep any API server busy, and threads that wake each other cost more than they do. The
    // election runs on this thread, where no long list can delay it.
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().context("cannot start")?;
    let result = runtime.block_on(operate(options, traces));
    // Blocking work that is still running, such as a DNS lookup, must not keep the process alive.
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

async fn operate(options: Run, traces: Traces) -> anyhow::Result<()> {
    let config = kubeconfig::cluster(&Selection::default())?;
    let settings = Settings {
        cluster_url: kubeconfig::whereabouts(&config),
        namespace: options.namespace.filter(|n| !n.is_empty()).unwrap_or_else(|| config.default_namespace.clone()),
        lease_name: options.lease_name,
        election: options.leader_elect.then(ElectionTiming::default),
        allowed_domains: options.allowed_domains,
        watch_namespaces: different(options.watch_namespaces),
        secret_namespaces: different(options.secret_namespaces),
        cluster_tenants: options.cluster_tenants,
        requester_policy: options.requester_policy.filter(|name| !name.is_empty()),
        probe_address: options.health_probe_bind_address.0,
        metrics_address: options.metrics_bind_address.0,
        max_concurrent_reconciles: options.max_concurrent_reconciles,
        timeouts: Timeouts::default(),
        watches: WatchTiming::default(),
        traces,
    };
    let client = kube::Client::try_from(config).context("the kubeconfig cannot be used")?;
    let shutdown = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen to signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen to signals")?;
    let cancel = shutdown.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        cancel.cancel();
    });
    Ok(runtime::run(settings, client, shutdown).await?)
}

/// Each namespace once: two scopes of one namespace would reconcile each object twice.
fn different(namespaces: Vec<String>) -> Vec<String> {
    let set: BTreeSet<String> = namespaces.into_iter().filter(|namespace| !namespace.is_empty()).collect();
    set.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(args: &[&str]) -> Result<Run, String> {
        let cli = Cli::try_parse_from([&["rescind", "run"], args].concat()).map_err(|error| error.to_string())?;
        match cli.command {
            Command::Run(run) => Ok(*run),
            Command::Crds => Err("another command".to_owned()),
        }
    }

    #[test]
    fn namespaces_are_trimmed_and_named_once() {
        for flag in ["--watch-namespaces", "--secret-namespaces"] {
            let options = run(&[flag, " b, a,b ,,a\n"]).unwrap();
            let found = [options.watch_namespaces, options.secret_namespaces].concat();
            assert_eq!(different(found), ["a", "b"]);
            for wrong in ["a,B", "a b", "-a", "a-", "a.b", "*", "team_a", &"x".repeat(64)] {
                let error = run(&[&format!("{flag}={wrong}")]).unwrap_err();
                assert!(error.contains(flag) && error.contains("not the name of a namespace"), "{error}");
            }
        }
        assert!(run(&["--watch-namespaces=*"]).unwrap_err().contains("leave the flag out for all namespaces"));
        let options = run(&["--watch-namespaces", ""]).unwrap();
        assert_eq!(different(options.watch_namespaces), [""; 0], "all namespaces");
        assert!(run(&["--namespace", "A"]).unwrap_err().contains("--namespace"));
    }

    #[test]
    fn a_lease_has_a_name_of_its_own_if_it_must() {
        assert_eq!(run(&[]).unwrap().lease_name, "rescind-leader");
        assert_eq!(run(&["--lease-name", "a.rescind-leader"]).unwrap().lease_name, "a.rescind-leader");
        for wrong in ["", "Rescind", "a..b", "a/b", &"x.".repeat(127)] {
            let error = run(&["--lease-name", wrong]).unwrap_err();
            assert!(error.contains("--lease-name") && error.contains("not the name of a Lease"), "{error}");
        }
    }

    #[test]
    fn a_policy_is_named_or_not_watched() {
        assert_eq!(run(&[]).unwrap().requester_policy, None);
        assert_eq!(run(&["--requester-policy", " "]).unwrap().requester_policy.as_deref(), Some(""));
        assert_eq!(run(&["--requester-policy", "a.b-c"]).unwrap().requester_policy.as_deref(), Some("a.b-c"));
        assert!(run(&["--requester-policy", "A"]).unwrap_err().contains("--requester-policy"));
    }
}
