//! The command line: `rescind run` is the operator, `rescind crds` prints what to install.

use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::{Args, Parser, Subcommand, ValueEnum};
use rescind::auth0::{AllowedDomains, Timeouts};
use rescind::runtime::{self, Settings, Timing, WatchTiming};
use rescind::telemetry::traces::Traces;
use rescind::telemetry::{self, LogFormat, trace_export};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::level_filters::LevelFilter;

/// Gives memory back to the system after a burst, which the C library's allocator does not.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Takes access away in Auth0, declared in Kubernetes.
#[derive(Debug, Parser)]
#[command(version, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the operator. The cluster is found as kubectl finds it: in-cluster, KUBECONFIG, or the default file.
    Run(Run),
    /// Print the CustomResourceDefinitions as YAML: rescind crds | kubectl apply --server-side -f -
    Crds,
}

#[derive(Debug, Args)]
struct Run {
    /// Domains a credential may be sent to, comma-separated. "*." stands for any labels; a port must be written out.
    #[arg(long, env = "RESCIND_ALLOWED_DOMAINS", default_value = "*.auth0.com,*.auth0app.com", value_parser = allowed_domains)]
    allowed_domains: AllowedDomains,

    /// The operator's own namespace, where the lease is. Default: that of the service account or the kubeconfig.
    #[arg(long, env = "RESCIND_NAMESPACE")]
    namespace: Option<String>,

    /// Namespaces to watch, comma-separated. Default: all.
    #[arg(long, env = "RESCIND_WATCH_NAMESPACES", value_delimiter = ',')]
    watch_namespaces: Vec<String>,

    /// Namespaces whose labelled Secrets are read, comma-separated. Default: all that are watched.
    #[arg(long, env = "RESCIND_SECRET_NAMESPACES", value_delimiter = ',')]
    secret_namespaces: Vec<String>,

    /// Of several replicas, only the one that holds the lease "rescind-leader" works. False: this one works always.
    #[arg(
        long, env = "RESCIND_LEADER_ELECT", default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1,
        default_missing_value = "true", require_equals = true
    )]
    leader_elect: bool,

    /// Address and port of /healthz and /readyz, such as ":8081"; "0" serves none.
    #[arg(long, env = "RESCIND_HEALTH_PROBE_BIND_ADDRESS", default_value = ":8081", value_parser = bind_address)]
    health_probe_bind_address: BindAddress,

    /// Address and port of /metrics, such as ":8080"; "0" serves none.
    #[arg(long, env = "RESCIND_METRICS_BIND_ADDRESS", default_value = ":8080", value_parser = bind_address)]
    metrics_bind_address: BindAddress,

    /// How many objects of one kind are worked on at once.
    #[arg(long, env = "RESCIND_MAX_CONCURRENT_RECONCILES", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    max_concurrent_reconciles: u16,

    /// What to log: error, warn, info, debug or trace. The audit of removals is logged at each of them.
    #[arg(long, env = "RESCIND_LOG_LEVEL", default_value = "info")]
    log_level: LevelFilter,

    /// How log lines look.
    #[arg(long, env = "RESCIND_LOG_FORMAT", default_value = "json")]
    log_format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Json,
    Text,
}

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
    let address =
        full.parse().map_err(|_| "write it as :8081, 127.0.0.1:8081 or [::1]:8081, or 0 for none".to_owned())?;
    Ok(BindAddress(Some(address)))
}

/// Exit codes: 0 done, 1 could not run, 2 wrong command line.
fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Crds => print_crds(),
        Command::Run(options) => run(options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // What to do, and the one cause that says most; what lies between is the libraries' own story.
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
    // Dropped last: the end of the work is traced, too.
    let (traces, _flush) = trace_export::from_environment()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start")?;
    let done = runtime.block_on(operate(options, traces));
    // Blocking work that is left, such as a DNS look-up, does not keep the process.
    runtime.shutdown_timeout(Duration::from_secs(1));
    done
}

async fn operate(options: Run, traces: Traces) -> anyhow::Result<()> {
    let named = |namespaces: Vec<String>| namespaces.into_iter().filter(|namespace| !namespace.is_empty()).collect();
    let config = cluster().await?;
    let settings = Settings {
        cluster_url: config.cluster_url.to_string(),
        namespace: options.namespace.filter(|n| !n.is_empty()).unwrap_or_else(|| config.default_namespace.clone()),
        election: options.leader_elect.then(Timing::default),
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

/// Where the cluster is, and as whom. Whether it answers is another matter: that is waited for.
async fn cluster() -> anyhow::Result<kube::Config> {
    let mut config = kube::Config::infer()
        .await
        .context("no cluster found: set KUBECONFIG, or run in a cluster with a service account")?;
    // Its retries would hide an API server that is away for up to a quarter of an hour; ours are visible.
    config.default_retry = false;
    // A list over a connection that is dead without a word would hang for ever. Watches speak at least every 225 s.
    config.read_timeout = Some(Duration::from_secs(240));
    config.reset_reader_on_write = true;
    Ok(config)
}
