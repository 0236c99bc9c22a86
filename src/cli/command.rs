//! The list of the commands, and how one of them is run.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use tokio::runtime::Builder;

use crate::api::printable;

use super::error::CliError;
use super::flags::ClusterFlags;
use super::screen::{Screen, interrupted};
use super::session::Session;
use super::{check, completion, evidence, new, plan, retry, status, stop, support, version, why};

/// The names of the commands for people.
pub const COMMANDS: [&str; 12] = [
    "new",
    "plan",
    "why",
    "status",
    "check",
    "evidence",
    "retry",
    "stop",
    "resume",
    "support",
    "completion",
    "version",
];
/// The name under which kubectl starts the program.
const PLUGIN: &str = "kubectl-rescind";
/// The name under which kubectl starts it to complete a command line.
const COMPLETER: &str = "kubectl_complete-rescind";

/// Take access away in Auth0, and see what that does.
#[derive(Debug, Parser)]
#[command(version, name = "kubectl rescind", bin_name = "kubectl rescind")]
struct Cli {
    #[command(flatten)]
    cluster: ClusterFlags,

    /// Never ask anything, as without a terminal.
    #[arg(long, global = true)]
    no_input: bool,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write manifests that take something away from people.
    New(Box<new::Args>),
    /// Say what manifests or objects would remove. Nothing is changed.
    Plan(Box<plan::Args>),
    /// Say by which ways somebody still has something, and how each is ended. Nothing is changed.
    Why(Box<why::Args>),
    /// Say where removals stand, and wait for them.
    Status(Box<status::Args>),
    /// Check whether everything is installed, connected and allowed.
    Check(check::Args),
    /// Write what an auditor asks for: every removal of a period with its times, its proof and who asked.
    Evidence(Box<evidence::Args>),
    /// Request one more attempt of removals that have stalled.
    Retry(retry::Args),
    /// Stop removals, or everything of a tenant.
    Stop(stop::StopArgs),
    /// Let stopped removals, or everything of a tenant, go on.
    Resume(stop::ResumeArgs),
    /// Collect what helps with a fault, without secrets and without people, for a report of it.
    Support(support::Args),
    /// Print a script that completes the commands in a shell.
    Completion(completion::Args),
    /// Print the version of this program, and those of the operator and the CRDs in the cluster.
    Version(version::Args),
}

/// Whether this command line is one for people, and not one of the operator.
pub fn is_for_people(args: &[OsString]) -> bool {
    let program = args.first().map(Path::new).and_then(Path::file_stem);
    let is_plugin = program.is_some_and(|name| name == PLUGIN || name == COMPLETER);
    let command = args.get(1).and_then(|arg| arg.to_str()).unwrap_or_default();
    is_plugin || COMMANDS.contains(&command)
}

/// Runs the command of this command line. Exit codes: 0 done, 1 could not, 2 wrong command line; with `--exit-code`, 0
/// nothing to say, 1 something, 2 an error.
pub fn main(args: &[OsString]) -> ExitCode {
    let name = args.first().map(Path::new).and_then(Path::file_stem).and_then(OsStr::to_str);
    if name == Some(COMPLETER) {
        return complete(args);
    }
    let command =
        if name == Some(PLUGIN) { Cli::command() } else { Cli::command().name("rescind").bin_name("rescind") };
    let cli = match command.try_get_matches_from(args).and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let screen = Screen::detect(cli.no_input);
    let session = Session { flags: cli.cluster, screen };
    let failed = if cli.command.has_exit_code() { 2 } else { 1 };
    std::thread::spawn(leave_on_interrupt);
    let ended = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            let ended = runtime.block_on(run(&session, cli.command));
            // A DNS lookup that is still running must not keep the process alive.
            runtime.shutdown_background();
            ended
        }
        Err(error) => Err(CliError::failed(format!("cannot start ({error})"))),
    };
    session.screen.progress_done();
    match ended {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            session.screen.note(printable(&format!("rescind: {error}")));
            ExitCode::from(if matches!(error, CliError::Usage(_)) { 2 } else { failed })
        }
    }
}

/// Ends the program at Ctrl-C, wherever it is. The default would leave the cursor hidden after a question.
fn leave_on_interrupt() {
    let Ok(runtime) = Builder::new_current_thread().enable_all().build() else { return };
    if runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
        interrupted();
    }
}

/// Prints what may stand instead of the last word. Nothing that goes wrong may disturb the shell.
fn complete(args: &[OsString]) -> ExitCode {
    let words: Vec<String> = args.iter().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    if let Ok(runtime) = Builder::new_current_thread().enable_all().build() {
        let lines = runtime.block_on(completion::complete(&Cli::command(), &words));
        runtime.shutdown_background();
        let _ = Screen::detect(true).print(lines);
    }
    ExitCode::SUCCESS
}

impl Command {
    /// Whether the exit code 1 says something else than that it could not be done.
    const fn has_exit_code(&self) -> bool {
        match self {
            Self::Evidence(args) => args.has_exit_code(),
            Self::Plan(args) => args.exit_code,
            Self::Why(args) => args.exit_code,
            Self::Status(args) => args.watch,
            Self::Check(_) => true,
            Self::New(_) | Self::Retry(_) | Self::Stop(_) | Self::Resume(_) => false,
            Self::Support(_) | Self::Completion(_) | Self::Version(_) => false,
        }
    }
}

async fn run(session: &Session, command: Command) -> Result<u8, CliError> {
    match command {
        Command::Evidence(args) => evidence::run(session, &args).await,
        Command::New(args) => new::run(session, &args).await,
        Command::Plan(args) => plan::run(session, &args).await,
        Command::Status(args) => status::run(session, &args).await,
        Command::Check(args) => check::run(session, &args).await,
        Command::Retry(args) => retry::run(session, &args).await,
        Command::Stop(args) => stop::stop(session, &args).await,
        Command::Resume(args) => stop::resume(session, &args).await,
        Command::Support(args) => support::run(session, &args).await,
        Command::Completion(args) => completion::run(session, &args, Cli::command()),
        Command::Version(args) => version::run(session, &args).await,
        Command::Why(args) => why::run(session, &args).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_the_names_is_complete() {
        Cli::command().debug_assert();
        let names: Vec<String> =
            Cli::command().get_subcommands().map(|command| command.get_name().to_owned()).collect();
        assert_eq!(names, COMMANDS);
    }

    #[test]
    fn kubectl_and_the_name_of_a_command_lead_here() {
        let is = |args: &[&str]| is_for_people(&args.iter().map(OsString::from).collect::<Vec<_>>());
        assert!(is(&["/usr/bin/kubectl-rescind"]) && is(&["kubectl_complete-rescind", "pl"]));
        assert!(is(&["rescind", "plan"]));
        assert!(
            !is(&["/rescind", "run"]) && !is(&["rescind", "crds"]) && !is(&["rescind"]) && !is(&["rescind", "--help"])
        );
    }

    #[test]
    fn kubectls_flags_may_stand_anywhere() {
        for args in [["-n", "a", "version"], ["version", "-n", "a"], ["version", "--namespace", "a"]] {
            let cli = Cli::try_parse_from([&["kubectl-rescind"], &args[..]].concat()).unwrap();
            assert_eq!(cli.cluster.namespace.as_deref(), Some("a"));
        }
    }
}
