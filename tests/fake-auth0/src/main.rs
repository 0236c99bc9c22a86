//! The stand-in as a program of its own, for demos, end-to-end tests and benchmarks.
//!
//! Prints one line of JSON when it is ready and ends when its standard input closes or a signal comes.

use std::{
    fs::OpenOptions,
    io::Write,
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::Parser;
use fake_auth0::{Bucket, Client, FakeAuth0, Group, Kind, Lag, State, Switches, serve_control};
use serde_json::json;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::oneshot,
};

/// A stateful, ill-behaved stand-in for the Auth0 Management API.
#[derive(Parser)]
struct Arguments {
    /// Where to serve HTTPS
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Where to serve the control API (plain HTTP, keep it on loopback)
    #[arg(long, default_value = "127.0.0.1:0")]
    control: SocketAddr,
    /// What the tenant holds at the start, as JSON
    #[arg(long)]
    state: Option<PathBuf>,
    /// Where to write the certificate of the authority, as PEM
    #[arg(long)]
    ca_out: Option<PathBuf>,
    /// Where to write a token
    #[arg(long)]
    token_out: Option<PathBuf>,
    /// The scopes of the token and of the client [default: all]
    #[arg(long, value_delimiter = ',')]
    scopes: Vec<String>,
    /// An application for the token endpoint, as ID:SECRET
    #[arg(long, value_parser = pair)]
    client: Vec<(String, String)>,
    /// A rate limit, as GROUP=BURST/PER_SECOND or GROUP=BURST/PER_MINUTE/min, for instance global=50/16 or
    /// members_write=20/200/min
    #[arg(long, value_parser = rate)]
    rate: Vec<(Group, Bucket)>,
    /// How long lists of members go on showing who was removed, for instance 300ms or 5s-10s
    #[arg(long, value_parser = lag, default_value = "5s-10s", conflicts_with = "no_lag")]
    member_lag: Lag,
    /// No list lags
    #[arg(long)]
    no_lag: bool,
    /// Switches of what is not known of Auth0, as JSON, for instance '{"unknown_role": "not_found"}'
    #[arg(long, value_parser = switches, conflicts_with = "random_switches")]
    switches: Option<Switches>,
    /// Set all switches at random, by this seed
    #[arg(long)]
    random_switches: Option<u64>,
    /// Keep counts of calls only, for benchmarks
    #[arg(long)]
    counts_only: bool,
    /// Go on when standard input closes
    #[arg(long)]
    ignore_stdin: bool,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (id, secret) = text.split_once(':').ok_or("expected ID:SECRET")?;
    Ok((id.into(), secret.into()))
}

fn rate(text: &str) -> Result<(Group, Bucket), String> {
    let wanted = "expected GROUP=BURST/PER_SECOND or GROUP=BURST/PER_MINUTE/min";
    let (group, bucket) = text.split_once('=').ok_or(wanted)?;
    let (burst, rate) = bucket.split_once('/').ok_or(wanted)?;
    let group = serde_json::from_value(json!(group)).map_err(|error| error.to_string())?;
    let burst = burst.parse().map_err(|_| format!("{burst} is no whole number"))?;
    let number = |text: &str| text.parse().map_err(|_| format!("{text} is no number"));
    let bucket = match rate.strip_suffix("/min") {
        Some(calls) => Bucket::per_minute(burst, number(calls)?),
        None => Bucket::new(burst, number(rate)?),
    };
    Ok((group, bucket))
}

fn lag(text: &str) -> Result<Lag, String> {
    match text.split_once('-') {
        Some((least, most)) => Ok(Lag::Between(duration(least)?, duration(most)?)),
        None => Ok(Lag::For(duration(text)?)),
    }
}

fn switches(text: &str) -> Result<Switches, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(number), _) => (number, 0.001),
        (None, Some(number)) => (number, 1.0),
        (None, None) => return Err("expected a number with s or ms".into()),
    };
    let number: f64 = number.parse().map_err(|_| format!("{number} is no number"))?;
    Duration::try_from_secs_f64(number * unit).map_err(|error| error.to_string())
}

type Failure = Box<dyn std::error::Error>;

/// Readable by its owner only: it may hold a token.
fn write(path: Option<&Path>, text: &str) -> std::io::Result<()> {
    let Some(path) = path else { return Ok(()) };
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

fn read_state(path: Option<&Path>) -> Result<State, Failure> {
    let Some(path) = path else { return Ok(State::default()) };
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()).into())
}

fn configure(fake: &FakeAuth0, arguments: &Arguments, scopes: &[String]) {
    for (group, bucket) in &arguments.rate {
        fake.limit(*group, *bucket);
    }
    for (id, secret) in &arguments.client {
        fake.client(Client::new(id, secret).scopes(scopes));
    }
    if arguments.no_lag {
        fake.no_lag();
    } else {
        fake.lag(Kind::GetMembers, arguments.member_lag);
    }
    fake.set_switches(arguments.switches.or(arguments.random_switches.map(Switches::random)).unwrap_or_default());
    fake.counts_only(arguments.counts_only);
    // Users of the program ask the control API for them.
    fake.allow_forbidden_writes();
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // If standard error is closed too, the message is lost.
            let _ = writeln!(std::io::stderr(), "fake-auth0: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Failure> {
    let fake = FakeAuth0::start_on(arguments.listen, read_state(arguments.state.as_deref())?).await?;
    let all = || fake.all_scopes().into_iter().map(str::to_owned).collect();
    let scopes = if arguments.scopes.is_empty() { all() } else { arguments.scopes.clone() };
    configure(&fake, &arguments, &scopes);
    write(arguments.ca_out.as_deref(), fake.ca_pem())?;
    let token = fake.token(&scopes.iter().map(String::as_str).collect::<Vec<_>>());
    write(arguments.token_out.as_deref(), &token)?;
    let control = TcpListener::bind(arguments.control).await?;
    let ready = json!({
        "domain": fake.domain(),
        "ca": arguments.ca_out,
        "token": arguments.token_out,
        "control": format!("http://{}", control.local_addr()?),
    });
    let mut out = std::io::stdout();
    writeln!(out, "{ready}")?;
    out.flush()?;
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        () = serve_control(control, fake) => {}
        _ = tokio::signal::ctrl_c() => {}
        _ = terminated.recv() => {}
        () = stdin_closed(arguments.ignore_stdin) => {}
    }
    Ok(())
}

async fn stdin_closed(ignore: bool) {
    if ignore {
        return std::future::pending().await;
    }
    let (closed, wait) = oneshot::channel();
    // Its own thread, because the shutdown of the runtime would wait for one of its pool.
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        let _ = closed.send(());
    });
    let _ = wait.await;
}
