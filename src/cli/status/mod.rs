//! `status`: where removals stand, and how to wait for them.
//!
//! `gather` reads the objects that are meant; `report` is what is known of them as data, `forecast` says about when the
//! queue is done; `print` and `detail` are the text; `watch` waits for the verdicts.

mod detail;
mod forecast;
mod gather;
mod print;
mod report;
mod watch;

use std::time::Duration;

use super::error::CliError;
use super::flags::{Auth0Flags, Format, OperatorFlags, duration, nonempty};
use super::session::Session;

use gather::{Asked, gather};
use report::Report;

/// Say where removals stand.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Objects, such as urr/jane-admin, or one person: the user id, such as 'auth0|5f7c', or the e-mail address, which
    /// takes a call to Auth0. Default: all objects in the namespace.
    #[arg(value_name = "PERSON|KIND/NAME")]
    what: Vec<String>,

    /// Objects with these labels, such as rescind.dev/batch=2026-11-25.
    #[arg(short = 'l', long, conflicts_with = "what", value_parser = nonempty)]
    selector: Option<String>,

    /// Wait for the verdicts. Exit with 0 once all objects are Ready, with 1 once all are decided and one is Stalled,
    /// with 1 after --timeout, and with 2 after an error.
    #[arg(short = 'w', long)]
    pub watch: bool,

    /// How long to wait.
    #[arg(long, default_value = "10m", value_parser = duration, requires = "watch")]
    timeout: Duration,

    /// Text for people or JSON for programs.
    #[arg(short = 'o', long, value_enum, default_value_t)]
    output: Format,

    #[command(flatten)]
    operator: OperatorFlags,

    #[command(flatten)]
    auth0: Auth0Flags,
}

/// Runs the command.
pub async fn run(session: &Session, args: &Args) -> Result<u8, CliError> {
    let cluster = session.cluster()?;
    let mut asked = Asked::parse(&args.what, args.selector.as_deref())?;
    if let Asked::Email(address) = &asked {
        asked = gather::accounts(session, &cluster, address, &args.auth0, &args.operator.namespace).await?;
    }
    if args.watch {
        let prints = args.output == Format::Text;
        let watched = watch::watch(session, &cluster, &asked, args.timeout, prints).await?;
        if args.output == Format::Json {
            let report = Report::read(&cluster, &asked, watched.listing, &args.operator.namespace).await;
            json(session, &report)?;
        }
        return Ok(watched.code);
    }
    let listing = gather(&cluster, &asked).await?;
    let report = Report::read(&cluster, &asked, listing, &args.operator.namespace).await;
    match args.output {
        Format::Json => json(session, &report)?,
        Format::Text => session.screen.print(print::text(&session.screen, &report))?,
    }
    Ok(0)
}

fn json(session: &Session, report: &Report) -> Result<(), CliError> {
    let json = serde_json::to_string_pretty(report).map_err(|error| CliError::failed(error.to_string()))?;
    session.screen.print(json + "\n")
}
