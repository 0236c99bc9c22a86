//! `evidence verify`: whether the files of a folder are those of its manifest.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use crate::api::printable;
use crate::cli::error::CliError;
use crate::cli::flags::Format;
use crate::cli::session::Session;
use crate::cli::texts::count;

use super::folder::{Listed, MANIFEST, Manifest, REMOVALS, SCHEMA, STATEMENT, sha256};
use super::report::SCHEMA_VERSION;

/// Say whether the files of a report are those of its manifest: it recomputes every hash and every count. Exit with 1
/// if anything differs.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder of the report.
    folder: PathBuf,

    /// Text for people or JSON for programs.
    #[arg(short = 'o', long, value_enum, default_value_t)]
    output: Format,
}

/// What a verification has found.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Verified {
    schema_version: u32,
    manifest_sha256: String,
    files: usize,
    removals: usize,
    complete: bool,
    differences: Vec<String>,
}

/// Runs the command.
pub fn run(session: &Session, args: &Args) -> Result<u8, CliError> {
    let verified = verify(&args.folder)?;
    match args.output {
        Format::Json => {
            let json = serde_json::to_string_pretty(&verified).map_err(|error| CliError::failed(error.to_string()))?;
            session.screen.print(json + "\n")?;
        }
        Format::Text => {
            for difference in &verified.differences {
                session.screen.print(printable(difference) + "\n")?;
            }
            session.screen.print(summary(&args.folder, &verified) + "\n")?;
        }
    }
    Ok(u8::from(!verified.differences.is_empty()))
}

fn summary(folder: &Path, verified: &Verified) -> String {
    let Verified { files, removals, manifest_sha256, complete, differences, .. } = verified;
    let folder = folder.display();
    if !differences.is_empty() {
        return format!("{folder} is not as its manifest says: {}.", count(differences.len(), "difference"));
    }
    let complete =
        if *complete { "" } else { " The report itself is incomplete: completeness in the manifest says why." };
    format!(
        "{folder} is as its manifest says: {} with {}.{complete}\nSHA-256 of {MANIFEST}: {manifest_sha256}\n\
         Compare that with what was signed or noted elsewhere: who can change the files can change the manifest.",
        count(*files, "file"),
        count(*removals, "removal"),
    )
}

fn verify(folder: &Path) -> Result<Verified, CliError> {
    let path = folder.join(MANIFEST);
    let json = std::fs::read(&path)
        .map_err(|error| CliError::failed(format!("{} cannot be read ({error})", path.display())))?;
    let manifest: Manifest = serde_json::from_slice(&json)
        .map_err(|error| CliError::failed(format!("{} is no manifest of a report ({error})", path.display())))?;
    if manifest.schema != SCHEMA {
        let text = format!("{} has the form {}, which this version does not know", path.display(), manifest.schema);
        return Err(CliError::failed(text));
    }
    let mut differences = Vec::new();
    for listed in &manifest.files {
        differences.extend(differs(folder, listed));
    }
    differences.extend(more(folder, &manifest)?);
    differences.extend(counted(folder, &manifest));
    differences.extend(stated(folder, &sha256(&json)));
    Ok(Verified {
        schema_version: SCHEMA_VERSION,
        manifest_sha256: sha256(&json),
        files: manifest.files.len(),
        removals: manifest.counts.removals,
        complete: manifest.completeness.complete,
        differences,
    })
}

/// In what a file differs from what the manifest says of it.
fn differs(folder: &Path, listed: &Listed) -> Vec<String> {
    let Listed { name, .. } = listed;
    // Else a manifest could have another file of this machine read.
    if Path::new(name).components().count() != 1 || name.contains(['/', '\\']) || name == ".." {
        return vec![format!("{name}: no name of a file in the folder")];
    }
    let bytes = match std::fs::read(folder.join(name)) {
        Ok(bytes) => bytes,
        Err(error) => return vec![format!("{name}: cannot be read ({error})")],
    };
    let mut differences = Vec::new();
    let sha256 = sha256(&bytes);
    if sha256 != listed.sha256 {
        differences.push(format!("{name}: its SHA-256 is {sha256}, and not {}", listed.sha256));
    }
    if bytes.len() != listed.bytes {
        differences.push(format!("{name}: it has {} bytes, and not {}", bytes.len(), listed.bytes));
    }
    if let Some(expected) = listed.removals {
        match removals(name, &bytes) {
            Ok(found) if found == expected => {}
            Ok(found) => differences.push(format!("{name}: it has {}, and not {expected}", count(found, "removal"))),
            Err(why) => differences.push(format!("{name}: its removals cannot be counted ({why})")),
        }
    }
    differences
}

/// How many removals are in a file with one a line.
fn removals(name: &str, bytes: &[u8]) -> Result<usize, String> {
    if Path::new(name).extension().is_some_and(|extension| extension == "csv") {
        let mut reader = csv::Reader::from_reader(bytes);
        return reader.records().try_fold(0, |sum, record| record.map(|_| sum + 1)).map_err(|error| error.to_string());
    }
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    let mut lines = text.lines();
    lines
        .try_fold(0, |sum, line| serde_json::from_str::<serde::de::IgnoredAny>(line).map(|_| sum + 1))
        .map_err(|error| error.to_string())
}

/// Whether the statement, if it is there, is about this manifest.
fn stated(folder: &Path, sha256: &str) -> Option<String> {
    let text = std::fs::read(folder.join(STATEMENT)).ok()?;
    let statement: Value = serde_json::from_slice(&text).unwrap_or_default();
    let stated = statement.pointer("/subject/0/digest/sha256").and_then(Value::as_str);
    (stated != Some(sha256)).then(|| format!("{STATEMENT}: it is about another manifest"))
}

/// Files that the manifest does not name. What is about the manifest, such as its signature, is none of them.
fn more(folder: &Path, manifest: &Manifest) -> Result<Vec<String>, CliError> {
    let cannot = |error: std::io::Error| CliError::failed(format!("{} cannot be read ({error})", folder.display()));
    let named: BTreeSet<&str> = manifest.files.iter().map(|file| file.name.as_str()).collect();
    let mut more = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(cannot)? {
        let name = entry.map_err(cannot)?.file_name().to_string_lossy().into_owned();
        let is_about_manifest = [MANIFEST, STATEMENT].iter().any(|about| name.starts_with(about));
        if !named.contains(name.as_str()) && !is_about_manifest {
            more.push(format!("{name}: the manifest does not name it"));
        }
    }
    more.sort();
    Ok(more)
}

/// Where the counts of the manifest are not those of its removals.
fn counted(folder: &Path, manifest: &Manifest) -> Vec<String> {
    let counts = &manifest.counts;
    let Ok(text) = std::fs::read_to_string(folder.join(REMOVALS)) else {
        return vec![format!("{REMOVALS}: cannot be read, so that nothing can be counted")];
    };
    let rows: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let of = |key: &str, value: &str| rows.iter().filter(|row| row[key] == value).count();
    let people: BTreeSet<&str> =
        rows.iter().filter_map(|row| row["user_id"].as_str()).filter(|id| !id.is_empty()).collect();
    let exceptions = rows.iter().filter(|row| row["exceptions"].as_array().is_some_and(|why| !why.is_empty())).count();
    let sla = |word: &str| (counts.within_sla.get(word).copied().unwrap_or_default(), of("within_sla", word));
    let compared = [
        ("removals", (counts.removals, rows.len())),
        ("people", (counts.people, people.len())),
        ("proved", (counts.proved, of("standing", "proved"))),
        ("unproved", (counts.unproved, of("standing", "unproved"))),
        ("not done", (counts.not_done, of("standing", "not done"))),
        ("exceptions", (counts.exceptions, exceptions)),
        ("in time", sla("yes")),
        ("too late", sla("no")),
    ];
    let differs = compared.into_iter().filter(|(_, (said, found))| said != found);
    differs.map(|(what, (said, found))| format!("{MANIFEST}: {what} are {said}, and in {REMOVALS} {found}")).collect()
}
