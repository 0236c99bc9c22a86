//! The folder of a report, and its manifest: what is in it, with the SHA-256 of each file, and where it comes from.

use std::path::{Path, PathBuf};

use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use crate::cli::error::CliError;

use super::report::{Completeness, Counts, Evidence, Origin, SCHEMA_VERSION};

/// The name of the manifest in the folder.
pub const MANIFEST: &str = "MANIFEST.json";
/// The name of the file with the removals as lines of JSON.
pub const REMOVALS: &str = "removals.jsonl";
/// The form of the folder.
pub const SCHEMA: &str = "https://rescind.dev/evidence/v1";

/// What is in a folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// The form of the folder.
    pub schema: String,
    /// The version of the form of this JSON.
    pub schema_version: u32,
    /// Where the report comes from.
    #[serde(flatten)]
    pub origin: Origin,
    /// What the removals add up to.
    pub counts: Counts,
    /// How complete they are.
    pub completeness: Completeness,
    /// The files.
    pub files: Vec<Listed>,
}

/// A file in the folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// Its SHA-256, in hex.
    pub sha256: String,
    /// Its length.
    pub bytes: usize,
    /// How many removals are in it, of files with one a line.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub removals: Option<usize>,
}

/// A file to write.
#[derive(Debug)]
pub struct File {
    /// Its name.
    pub name: &'static str,
    /// What is in it.
    pub text: String,
    /// How many removals are in it, of files with one a line.
    pub removals: Option<usize>,
}

impl Listed {
    /// What the manifest says of a file.
    pub fn of(file: &File) -> Self {
        Self {
            name: file.name.to_owned(),
            sha256: sha256(file.text.as_bytes()),
            bytes: file.text.len(),
            removals: file.removals,
        }
    }
}

/// The manifest of these files.
pub fn manifest(evidence: &Evidence, files: &[File]) -> Manifest {
    Manifest {
        schema: SCHEMA.to_owned(),
        schema_version: SCHEMA_VERSION,
        origin: evidence.origin.clone(),
        counts: evidence.counts.clone(),
        completeness: evidence.completeness.clone(),
        files: files.iter().map(Listed::of).collect(),
    }
}

/// Makes sure that the folder can be written: it is new or empty. What is in a report is never mixed with another.
pub fn prepare(folder: &Path) -> Result<(), CliError> {
    let cannot = |error: std::io::Error| CliError::failed(format!("{} cannot be written ({error})", folder.display()));
    std::fs::create_dir_all(folder).map_err(cannot)?;
    if std::fs::read_dir(folder).map_err(cannot)?.next().is_some() {
        let text = format!("{} is not empty: name another folder with --dir, or empty it", folder.display());
        return Err(CliError::failed(text));
    }
    Ok(())
}

/// Writes the files and, at last, the manifest. Returns the SHA-256 of the manifest.
pub fn write(folder: &Path, files: &[File], manifest: &Manifest) -> Result<String, CliError> {
    let json = serde_json::to_string_pretty(manifest).map_err(|error| CliError::failed(error.to_string()))? + "\n";
    for (name, text) in files.iter().map(|file| (file.name, &file.text)).chain([(MANIFEST, &json)]) {
        let path: PathBuf = folder.join(name);
        std::fs::write(&path, text)
            .map_err(|error| CliError::failed(format!("{} cannot be written ({error})", path.display())))?;
    }
    Ok(sha256(json.as_bytes()))
}

/// The SHA-256 of these bytes, in hex.
pub fn sha256(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
