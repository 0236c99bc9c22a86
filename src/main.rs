//! The command line: `rescind run` runs the operator, `rescind crds` prints the CustomResourceDefinitions.
//!
//! This file parses flags, sets up logs, TLS, traces and signals, and hands over to [`runtime::run`].

use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::{Args, Parser, Subcommand, ValueEnum};
use rescind::auth0::{AllowedDomains, Timeouts};
use rescind::runtime::{self, ElectionTiming, Settings, WatchTiming};
use rescind::telemetry::traces::Traces;
use rescind::telemetry::{self, LogFormat, trace_export};
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
#[command(version, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the operator. It uses KUBECONFIG or ~/.kube/config if there is one, else the in-cluster service account.
    Run(Run),
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

    /// Namespace of the operator and of its leader election Lease. Default: that of the service account or the
    /// kubeconfig context.
    #[arg(long, env = "RESCIND_NAMESPACE")]
    namespace: Option<String>,

    /// Namespaces to watch, comma-separated. Default: all.
    #[arg(long, env = "RESCIND_WATCH_NAMESPACES", value_delimiter = ',')]
    watch_namespaces: Vec<String>,

    /// Namespaces to read credential Secrets from, comma-separated; only Secrets labelled rescind.dev/credentials=true
    /// are read. Default: all that are watched.
    #[arg(long, env = "RESCIND_SECRET_NAMESPACES", value_delimiter = ',')]
    secret_namespaces: Vec<String>,

    /// Elect a leader with the Lease "rescind-leader", so that only one replica is active. Disable it only with a
    /// single replica.
    #[arg(
        long, env = "RESCIND_LEADER_ELECT", default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1,
        default_missing_value = "true", require_equals = true
    )]
    leader_elect: bool,

    /// Address and port to serve /healthz and /readyz on, such as ":8081"; "0" disables them.
    #[arg(long, env = "RESCIND_HEALTH_PROBE_BIND_ADDRESS", default_value = ":8081", value_parser = bind_address)]
    health_probe_bind_address: BindAddress,

    /// Address and port to serve /metrics on, such as ":8080"; "0" disables it.
    #[arg(long, env = "RESCIND_METRICS_BIND_ADDRESS", default_value = ":8080", value_parser = bind_address)]
    metrics_bind_address: BindAddress,

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
struct BindAddress(Option<SocketAddr>);

fn allowed_domains(text: &str) -> Result<AllowedDomains, String> {
    AllowedDomains::parse(text.split(',')).map_err(|error| error.to_string())
}

fn bind_address(text: &str) -> Result<BindAddress, String> {
    if text == "0" {
        return Ok(BindAddress(None));
    }
    let full = if text.starts_with(':') { format!("[::]{text}") } else { text.to_owned() };
    let address = full.parse().map_err(|_| "use :8081, 127.0.0.1:8081 or [::1]:8081, or 0 to disable it".to_owned())?;
    Ok(BindAddress(Some(address)))
}

/// Exit codes: 0 success, 1 could not run or had to stop, 2 wrong command line (from clap).
fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Crds => print_crds(),
        Command::Run(options) => run(options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Our own sentence and the root cause, in one line; the errors between the two are the libraries' layers.
            let cause = error.chain().skip(1).last().map(|cause| format!(" ({cause})")).unwrap_or_default();
            let _ = writeln!(std::io::stderr(), "rescind: {error}{cause}");
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
    // An empty variable or flag yields one empty name.
    let named = |namespaces: Vec<String>| namespaces.into_iter().filter(|namespace| !namespace.is_empty()).collect();
    let config = cluster().await?;
    let settings = Settings {
        cluster_url: config.cluster_url.to_string(),
        namespace: options.namespace.filter(|n| !n.is_empty()).unwrap_or_else(|| config.default_namespace.clone()),
        election: options.leader_elect.then(ElectionTiming::default),
        allowed_domains: options.allowed_domains,
        watch_namespaces: named(options.watch_namespaces),
        secret_namespaces: named(options.secret_namespaces),
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

/// The cluster's address and our credentials for it. Whether the API server answers is checked later
/// (`runtime/startup.rs`).
async fn cluster() -> anyhow::Result<kube::Config> {
    let mut config = kube::Config::infer()
        .await
        .context("no cluster found: set KUBECONFIG, or run in a cluster with a service account")?;
    // kube's retry layer hides an unreachable API server for up to a quarter of an hour. We retry ourselves and report
    // it.
    config.default_retry = false;
    // kube sets no read timeout, so a list on a connection that died silently would hang for ever. A healthy watch ends
    // by itself within 225 s (`WatchTiming`), so this does not cut one off.
    config.read_timeout = Some(Duration::from_secs(240));
    config.reset_reader_on_write = true;
    Ok(config)
}
