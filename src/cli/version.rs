//! `version`: this program, and what is installed in the cluster.

use serde_json::json;

use super::error::CliError;
use super::flags::Format;
use super::session::Session;

/// Flags of `version`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Text for people or JSON for programs.
    #[arg(short = 'o', long, value_enum, default_value_t)]
    output: Format,
}

/// Prints the version.
#[allow(clippy::unused_async, reason = "the cluster will be asked")]
pub async fn run(session: &Session, args: &Args) -> Result<u8, CliError> {
    let version = env!("CARGO_PKG_VERSION");
    match args.output {
        Format::Text => session.screen.print(format!("kubectl-rescind {version}\n"))?,
        Format::Json => session.screen.print(format!("{}\n", json!({"schemaVersion": 1, "client": version})))?,
    }
    Ok(0)
}
