//! `plan`: what manifests or objects would remove. Manifests are checked by the API server, guards and times by the
//! operator's own decision, and what is held by complete reads of Auth0.
//!
//! `manifests` reads files; `standing` is what the operator knows of the tenant; `verdict` is the decision;
//! `guards` are those that count; `left` is what people have after it; `report` is the result as data, and
//! `print` as text.

mod guards;
mod left;
mod manifests;
mod planned;
mod print;
mod report;
mod standing;
mod tenant;
mod verdict;

use std::collections::BTreeMap;
use std::path::PathBuf;

use futures::StreamExt;

use crate::clock;
use crate::kube_error::explain;
use crate::tenant::TenantKey;

use super::cluster::{Cluster, Selected};
use super::error::CliError;
use super::flags::{Auth0Flags, Format, OperatorFlags, nonempty};
use super::object::{Object, named};
use super::session::Session;
use super::texts::count;

use manifests::Manifest;
use planned::Planned;
use report::{Refused, Report};
use tenant::Names;
use verdict::Sign;

/// How many manifests the API server checks at the same time.
const CHECKS: usize = 8;

/// Say what manifests or objects would remove. Nothing is changed.
///
/// Each item has one of four signs: "-" it is held and would be removed, "=" it is not held, "!" it would be refused or
/// nothing would be done about it, "?" it could not be read.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["filename", "objects", "selector", "all"]))]
pub struct Args {
    /// Manifests: a file, a folder, or "-" for standard input. May be repeated.
    #[arg(short = 'f', long, value_name = "FILE")]
    filename: Vec<PathBuf>,

    /// Look into the folders below, too.
    #[arg(short = 'R', long, requires = "filename")]
    recursive: bool,

    /// Objects in the cluster, such as urr/jane-admin.
    #[arg(value_name = "KIND/NAME")]
    objects: Vec<String>,

    /// Objects in the cluster with these labels.
    #[arg(short = 'l', long, value_parser = nonempty)]
    selector: Option<String>,

    /// All objects in the namespace; with -A, in all namespaces.
    #[arg(long)]
    all: bool,

    /// Exit with 0 if there is nothing to remove and nothing to say, with 1 if there is something, and with 2 after an
    /// error.
    #[arg(long)]
    pub exit_code: bool,

    /// Save the plan as JSON in this file.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Say what is different from a saved plan; with --exit-code, exit with 1 if anything is.
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,

    /// Whether to read the names of people and organizations, which takes a call each.
    #[arg(long, value_enum, default_value_t)]
    names: Names,

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
    let earlier = args.against.as_deref().map(saved).transpose()?;
    let cluster = session.cluster()?;
    let (planned, refused, notes) = gather(session, &cluster, args).await?;
    for note in notes {
        session.screen.note(format!("rescind: {note}"));
    }
    let mut report = plan(session, &cluster, args, planned, refused).await?;
    session.screen.progress_done();
    report.changes = earlier.map(|earlier| report.changes_since(&earlier));
    let json = serde_json::to_string_pretty(&report).map_err(|error| CliError::failed(error.to_string()))? + "\n";
    match args.output {
        Format::Json => session.screen.print(&json)?,
        Format::Text => session.screen.print(print::text(&session.screen, &report))?,
    }
    if let Some(file) = &args.out {
        std::fs::write(file, json)
            .map_err(|error| CliError::failed(format!("{} cannot be written ({error})", file.display())))?;
    }
    let is_news = match &report.changes {
        Some(changes) => !changes.is_empty(),
        None => report.counts.keys().any(|sign| *sign != Sign::Absent),
    };
    Ok(u8::from(args.exit_code && is_news))
}

fn saved(file: &std::path::Path) -> Result<Report, CliError> {
    let text = std::fs::read(file)
        .map_err(|error| CliError::failed(format!("{} cannot be read ({error})", file.display())))?;
    let wrong = |why: String| CliError::failed(format!("{} is no plan that --out has saved ({why})", file.display()));
    let report: Report = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
    report.check().map_err(|why| wrong(why.to_owned()))?;
    Ok(report)
}

type Gathered = (Vec<Planned>, Vec<Refused>, Vec<String>);

/// The objects that are meant, what the API server refuses, and what else is to be said.
async fn gather(session: &Session, cluster: &Cluster, args: &Args) -> Result<Gathered, CliError> {
    if !args.filename.is_empty() {
        let manifests = manifests::read(&args.filename, args.recursive, &cluster.namespace)?;
        if manifests.removals.is_empty() && manifests.wrong.is_empty() {
            let files: Vec<String> = args.filename.iter().map(|file| file.display().to_string()).collect();
            return Err(CliError::failed(format!("there is no removal in {}", files.join(", "))));
        }
        session.screen.progress(format!("the API server checks {} manifests", manifests.removals.len()));
        let (planned, mut refused, mut notes) = checked(cluster, &manifests.removals).await?;
        refused.extend(manifests.wrong);
        notes.extend(twice(&planned));
        if manifests.others > 0 {
            notes.push(format!("{} of other kinds left out", count(manifests.others, "object")));
        }
        return Ok((planned, refused, notes));
    }
    let found = |object: Object| Planned { object, source: None };
    if !args.objects.is_empty() {
        let mut planned = Vec::new();
        for text in &args.objects {
            let wrong = || CliError::usage(format!("{text} names no removal: write KIND/NAME, such as urr/jane-admin"));
            planned.push(found(cluster.object(&named(text).ok_or_else(wrong)?).await?));
        }
        return Ok((planned, Vec::new(), Vec::new()));
    }
    let selected = Selected { labels: args.selector.as_deref(), ..Selected::default() };
    let listing = cluster.objects(&selected).await?;
    if listing.objects.is_empty() && listing.unread.is_empty() && args.selector.is_some() {
        return Err(CliError::failed(format!("nothing is selected {}", cluster.place())));
    }
    let mut notes = listing.unread;
    if listing.objects.is_empty() && notes.is_empty() {
        notes.push(format!("there are no removals {}", cluster.place()));
    }
    Ok((listing.objects.into_iter().map(found).collect(), Vec::new(), notes))
}

/// What is to be said of objects that the files have more than once. kubectl applies all, and the last one stays.
fn twice(planned: &[Planned]) -> Vec<String> {
    let mut places: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for Planned { object, source } in planned {
        let name = format!("{} in namespace {}", object.title(), object.namespace());
        places.entry(name).or_default().extend(source.as_deref());
    }
    places.retain(|_, places| places.len() > 1);
    places.into_iter().map(|(name, places)| format!("{name} is there more than once: {}", places.join(", "))).collect()
}

/// Has the API server check manifests by applying them without storing anything.
async fn checked(cluster: &Cluster, manifests: &[Manifest]) -> Result<Gathered, CliError> {
    let (mut planned, mut refused, mut notes) = (Vec::new(), Vec::new(), Vec::new());
    let checks = manifests.iter().map(|manifest| async move {
        let dry_run = cluster.dry_run(&manifest.kind, &manifest.object);
        (manifest, cluster.answer("check a manifest", dry_run).await)
    });
    let mut checks = futures::stream::iter(checks).buffered(CHECKS);
    while let Some((manifest, answer)) = checks.next().await {
        let source = Some(manifest.source.clone());
        let name = manifest.object.pointer("/metadata/name").and_then(serde_json::Value::as_str).unwrap_or_default();
        let title = format!("{}/{name}", manifest.kind.name);
        match answer? {
            Ok(object) => planned.push(Planned { object, source }),
            Err(kube::Error::Api(status)) if status.code == 403 && !status.message.contains("ValidatingAdmission") => {
                let note = "the manifests were not checked by the API server, because you may not apply them";
                if notes.is_empty() {
                    notes.push(note.to_owned());
                }
                match manifest.kind.read_with_defaults(manifest.object.clone()) {
                    Ok(object) => planned.push(Planned { object, source }),
                    Err(why) => refused.push(Refused { object: title, source: manifest.source.clone(), why }),
                }
            }
            Err(error) => {
                // The message names each wrong field, and may be long.
                let why = if let kube::Error::Api(status) = &error { status.message.clone() } else { explain(&error) };
                refused.push(Refused { object: title, source: manifest.source.clone(), why });
            }
        }
    }
    Ok((planned, refused, notes))
}

async fn plan(
    session: &Session,
    cluster: &Cluster,
    args: &Args,
    planned: Vec<Planned>,
    refused: Vec<Refused>,
) -> Result<Report, CliError> {
    let read_at = clock::wall();
    let mut by_tenant: BTreeMap<TenantKey, Vec<Planned>> = BTreeMap::new();
    for planned in planned {
        by_tenant.entry(planned.object.tenant()).or_default().push(planned);
    }
    let mut tenants = Vec::new();
    for (key, planned) in by_tenant {
        let asked =
            tenant::Asked { auth0: &args.auth0, operator_namespace: &args.operator.namespace, names: args.names };
        tenants.push(tenant::plan(session, cluster, &key, planned, &asked).await?);
    }
    Ok(Report::new(read_at, tenants, refused))
}
