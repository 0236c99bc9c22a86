//! `evidence`: what an auditor asks for. Every removal of a period with its times, its verdict, its proof and who
//! asked, as files whose hashes a manifest names; and `evidence verify`, which recomputes them.
//!
//! - `row` is one removal, and `report` all of them. `period` and `spans` are about time.
//! - `sources` reads files and the cluster; `audit`, `kube_audit` and `standing` say what that means, and `collect`
//!   makes the removals of it. `recheck` reads Auth0 again.
//! - `columns`, `table`, `ocsf` and `print` write; `html` writes the page, with its people in `leavers`.
//! - `folder` is the folder with its manifest, and `verify` reads it.

mod audit;
mod collect;
mod columns;
mod folder;
mod html;
mod kube_audit;
mod leavers;
mod ocsf;
mod period;
mod print;
mod recheck;
mod report;
mod row;
mod sources;
mod spans;
mod standing;
mod table;
mod verify;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Subcommand, ValueEnum};
use jiff::Timestamp;

use crate::clock;

use super::error::CliError;
use super::flags::{Auth0Flags, OperatorFlags, duration, nonempty};
use super::session::Session;

use collect::{Given, Population};
use columns::Form;
use folder::{File, Listed};
use period::Period;
use recheck::Asked;
use report::{Completeness, Counts, Evidence, Query};
use sources::Sources;

/// Every removal of a period, for an auditor: its times, its verdict, its proof, and who asked.
///
/// It only reads. What it could not read makes the report incomplete; an incomplete one is written only with
/// --incomplete-ok.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    make: Make,
}

#[derive(Debug, Subcommand)]
enum Command {
    Verify(verify::Args),
}

/// The flags of `evidence`.
#[derive(Debug, clap::Args)]
pub(super) struct Make {
    /// The beginning of the period: a day in UTC such as 2026-10-01, or an instant such as 2026-10-01T16:00:00Z.
    #[arg(long, value_name = "T", required = true, value_parser = period::since)]
    since: Option<Timestamp>,

    /// The end of the period: its last day, or an instant that is no part of it. Default: now.
    #[arg(long, value_name = "T", value_parser = period::until)]
    until: Option<Timestamp>,

    /// Only objects with these labels. Then deleted objects are left out, because their labels are not known.
    #[arg(short = 'l', long, value_parser = nonempty)]
    selector: Option<String>,

    /// How long a removal may take, from the request or from notBefore if that is later.
    #[arg(long, default_value = "24h", value_parser = duration)]
    sla: Duration,

    /// The log of the operator in the format json, for the times of each item and for deleted objects. May be repeated;
    /// the oldest file of a process comes first.
    #[arg(long, value_name = "FILE")]
    audit_log: Vec<PathBuf>,

    /// The audit log of the API server, for who created an object. May be repeated.
    #[arg(long, value_name = "FILE")]
    kube_audit: Vec<PathBuf>,

    /// Read Auth0 again, and say whether everything is still gone. It takes a call or more for each list.
    #[arg(long)]
    recheck: bool,

    /// Read the names of people, which takes a call each, and write them into the report.
    #[arg(long)]
    names: bool,

    /// A folder with all formats and a manifest, or one format to standard output.
    #[arg(short = 'o', long, value_enum, default_value_t)]
    output: Output,

    /// The folder to write, which must be new or empty. Default: evidence-SINCE-UNTIL.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,

    /// Write the report although something could not be read. It says what.
    #[arg(long)]
    incomplete_ok: bool,

    /// Exit with 0 if there is no exception, with 1 if there is one, and with 2 after an error.
    #[arg(long)]
    exit_code: bool,

    #[command(flatten)]
    operator: OperatorFlags,

    #[command(flatten)]
    auth0: Auth0Flags,
}

/// What is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    /// A folder with all of them and a manifest.
    #[default]
    Dir,
    /// CSV.
    Csv,
    /// One JSON document with a `schemaVersion`.
    Json,
    /// Events of the Open Cybersecurity Schema Framework (OCSF), one JSON object a line.
    Ocsf,
    /// One page for people who look rather than read.
    Html,
}

impl Args {
    /// Whether the exit code 1 says something else than that it could not be done.
    pub const fn has_exit_code(&self) -> bool {
        self.make.exit_code || self.command.is_some()
    }
}

/// Runs the command.
pub async fn run(session: &Session, args: &Args) -> Result<u8, CliError> {
    match &args.command {
        Some(Command::Verify(args)) => verify::run(session, args),
        None => make(session, &args.make).await,
    }
}

async fn make(session: &Session, args: &Make) -> Result<u8, CliError> {
    let folder = args.folder()?;
    let evidence = gather(session, args).await?;
    session.screen.progress_done();
    let note = |text: &str| session.screen.note(text);
    if !evidence.completeness.complete {
        let problems = evidence.completeness.unread.iter().chain(&evidence.completeness.faults);
        problems.for_each(|problem| note(&crate::api::printable(&format!("rescind: incomplete: {problem}"))));
        if !args.incomplete_ok {
            let text = "the report would not be complete, so nothing was written. Mend what is named above, or use \
                        --incomplete-ok: then the report says that it is incomplete, and why";
            return Err(CliError::failed(text));
        }
    }
    match args.output {
        Output::Csv => session.screen.print(table::csv(&evidence)?)?,
        Output::Json => session.screen.print(table::json(&evidence)?)?,
        Output::Ocsf => session.screen.print(ocsf::lines(&evidence)?)?,
        Output::Html => session.screen.print(html::page(&evidence, &[])?)?,
        Output::Dir => {
            let files = files(&evidence)?;
            let manifest = folder::manifest(&evidence, &files);
            let sha256 = folder::write(&folder, &files, &manifest)?;
            let names: Vec<&str> = files.iter().map(|file| file.name).collect();
            let line = format!("{}/  {}  {}", folder.display(), names.join("  "), folder::MANIFEST);
            let line = format!("{line} (SHA-256 of each file; its own is {sha256})");
            session.screen.print(print::text(&session.screen, &evidence, Some(&line)))?;
        }
    }
    Ok(u8::from(args.exit_code && evidence.counts.exceptions > 0))
}

/// Reads everything and makes the report of it.
async fn gather(session: &Session, args: &Make) -> Result<Evidence, CliError> {
    let cluster = session.cluster()?;
    let now = clock::wall();
    let period = Period { since: args.since.unwrap_or(now), until: args.until.unwrap_or(now) };
    if period.until <= period.since {
        let until = if args.until.is_some() { "--until" } else { "now" };
        return Err(CliError::usage(format!("the period ends before it begins: {until} is not after --since")));
    }
    let namespace = (!cluster.all_namespaces).then(|| cluster.namespace.clone());
    let query = Query {
        since: period.since,
        until: period.until,
        namespace: namespace.clone(),
        selector: args.selector.clone(),
        sla_seconds: args.sla.as_secs(),
        names: args.names,
        recheck: args.recheck,
        audit_logs: Vec::new(),
        kube_audit_logs: Vec::new(),
    };
    let sources = sources::read(session, &cluster, query, (&args.audit_log, &args.kube_audit), now).await?;
    let Population { mut rows, objects, only_in_audit, only_in_objects, observing } = collect::collect(&Given {
        objects: &sources.objects,
        are_all: sources.unread.is_empty(),
        domains: &sources.domains,
        audit: sources.audit.as_ref(),
        kube: sources.kube.as_ref(),
        kinds: &sources.kinds,
        namespace: namespace.as_deref(),
        with_deleted: args.selector.is_none(),
        period,
        sla: args.sla,
        now,
    });
    let Sources { unread, audit, kube, mut origin, domains, .. } = sources;
    let form = Form { audit: audit.is_some(), names: args.names, recheck: args.recheck };
    if args.names || args.recheck {
        let (auth0, operator_namespace, domains) = (&args.auth0, args.operator.namespace.as_str(), &domains);
        let asked = Asked { auth0, operator_namespace, domains, recheck: args.recheck, names: args.names };
        origin.auth0 = recheck::recheck(session, &cluster, &mut rows, &asked).await?;
    }
    origin.domains = rows.iter().map(|row| row.domain.clone()).filter(|domain| !domain.is_empty()).collect();
    let faults = audit.iter().flat_map(|audit| &audit.faults).chain(kube.iter().flat_map(|kube| &kube.faults));
    let faults: Vec<String> = faults.cloned().collect();
    let completeness = Completeness {
        complete: unread.is_empty() && faults.is_empty(),
        unread,
        faults,
        objects,
        does_not_show: report::does_not_show(&origin.query, !only_in_audit.is_empty()),
        only_in_audit,
        only_in_objects,
        observing,
        audit_lines: audit.map_or(0, |audit| audit.lines),
        kube_audit_creations: kube.map_or(0, |kube| kube.creates.values().map(Vec::len).sum()),
    };
    Ok(Evidence { counts: Counts::of(&rows), rows, form, completeness, origin })
}

impl Make {
    /// The folder to write. It is looked at first, so that nothing is read in vain.
    fn folder(&self) -> Result<PathBuf, CliError> {
        if self.output != Output::Dir {
            return match &self.dir {
                Some(_) => Err(CliError::usage("--dir is for -o dir")),
                None => Ok(PathBuf::new()),
            };
        }
        let day = |at: Option<Timestamp>| at.map(|at| at.strftime("%Y-%m-%d").to_string());
        let last = self.until.and_then(|until| until.checked_sub(jiff::Span::new().nanoseconds(1)).ok());
        let name = || {
            let (since, until) = (day(self.since).unwrap_or_default(), day(last).unwrap_or_else(|| "now".to_owned()));
            PathBuf::from(format!("evidence-{since}-{until}"))
        };
        let folder = self.dir.clone().unwrap_or_else(name);
        folder::check(&folder)?;
        Ok(folder)
    }
}

/// The files of the folder.
fn files(evidence: &Evidence) -> Result<Vec<File>, CliError> {
    let rows = Some(evidence.rows.len());
    let mut files = vec![
        File { name: "removals.csv", text: table::csv(evidence)?, removals: rows },
        File { name: folder::REMOVALS, text: table::json_lines(evidence)?, removals: rows },
        File { name: "exceptions.csv", text: table::exceptions(evidence)?, removals: Some(evidence.counts.exceptions) },
    ];
    files.push(File { name: "events.ocsf.jsonl", text: ocsf::lines(evidence)?, removals: rows });
    let listed: Vec<Listed> = files.iter().map(Listed::of).collect();
    files.push(File { name: "report.html", text: html::page(evidence, &listed)?, removals: None });
    Ok(files)
}

#[cfg(test)]
mod tests;
