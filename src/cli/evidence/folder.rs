//! The folder of a report, and its manifest: what is in it, with the SHA-256 of each file, and where it comes from.

use std::path::{Path, PathBuf};

use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::cli::error::CliError;
use crate::hex::hex;

use super::report::{Completeness, Counts, Evidence, Origin, SCHEMA_VERSION};
use super::spans::utc;

/// The name of the manifest in the folder.
pub const MANIFEST: &str = "MANIFEST.json";
/// The name of the file with the removals as lines of JSON.
pub const REMOVALS: &str = "removals.jsonl";
/// The name of the statement about the manifest.
pub const STATEMENT: &str = "MANIFEST.intoto.json";
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

/// Makes sure that the folder is new or empty, so that what is in a report is never mixed with another.
pub fn check(folder: &Path) -> Result<(), CliError> {
    match std::fs::read_dir(folder) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => {
                let text = format!("{} is not empty: name another folder with --dir, or empty it", folder.display());
                Err(CliError::failed(text))
            }
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(CliError::failed(format!("{} cannot be read ({error})", folder.display()))),
    }
}

/// Writes the files, the manifest, and at last a statement about the manifest. Returns the SHA-256 of the manifest.
pub fn write(folder: &Path, files: &[File], manifest: &Manifest) -> Result<String, CliError> {
    let json = serde_json::to_string_pretty(manifest).map_err(|error| CliError::failed(error.to_string()))? + "\n";
    let sha256 = sha256(json.as_bytes());
    let statement = statement(manifest, &sha256);
    let cannot = |path: &Path, error| CliError::failed(format!("{} cannot be written ({error})", path.display()));
    std::fs::create_dir_all(folder).map_err(|error| cannot(folder, error))?;
    let written = files.iter().map(|file| (file.name, file.text.as_str()));
    for (name, text) in written.chain([(MANIFEST, json.as_str()), (STATEMENT, statement.as_str())]) {
        let path: PathBuf = folder.join(name);
        std::fs::write(&path, text).map_err(|error| cannot(&path, error))?;
    }
    Ok(sha256)
}

/// A statement of in-toto about the manifest: a Simple Verification Result with what holds of all removals.
fn statement(manifest: &Manifest, sha256: &str) -> String {
    let Manifest { counts, completeness, origin, .. } = manifest;
    let in_time = counts.within_sla.get("yes").copied().unwrap_or_default();
    let is_removed = completeness.complete && counts.not_done == 0;
    let holds = [
        ("RESCIND_COMPLETE".to_owned(), completeness.complete),
        ("RESCIND_REMOVED".to_owned(), is_removed),
        ("RESCIND_PROVED_BY_COMPLETE_READ".to_owned(), is_removed && counts.unproved == 0),
        (within(origin.query.sla_seconds), is_removed && in_time == counts.removals),
    ];
    let properties: Vec<String> = holds.into_iter().filter(|(_, holds)| *holds).map(|(name, _)| name).collect();
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": MANIFEST, "digest": {"sha256": sha256}}],
        "predicateType": "https://in-toto.io/attestation/svr/v0.1",
        "predicate": {
            "verifier": {"id": SCHEMA},
            "timeCreated": utc(origin.created_at),
            "properties": properties,
        },
    });
    format!("{statement:#}\n")
}

/// The property that all removals were in time, such as `RESCIND_WITHIN_24H`.
fn within(seconds: u64) -> String {
    let units = [(3_600, "H"), (60, "M")];
    let whole = units.into_iter().find(|(length, _)| seconds.is_multiple_of(*length));
    let (length, unit) = whole.unwrap_or((1, "S"));
    let number = seconds / length;
    format!("RESCIND_WITHIN_{number}{unit}")
}

/// The SHA-256 of these bytes, in hex.
pub fn sha256(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::evidence::tests::samples::quarter;

    #[test]
    fn the_statement_says_what_holds_of_all() {
        let mut manifest = manifest(&quarter(300), &[]);
        let says = |manifest: &Manifest| {
            let statement: serde_json::Value = serde_json::from_str(&statement(manifest, "ab")).unwrap();
            assert_eq!(statement["subject"][0]["digest"]["sha256"], "ab");
            statement["predicate"]["properties"].to_string()
        };
        let all = r#"["RESCIND_COMPLETE","RESCIND_REMOVED","RESCIND_PROVED_BY_COMPLETE_READ","RESCIND_WITHIN_24H"]"#;
        assert_eq!(says(&manifest), all);
        manifest.counts.unproved = 1;
        assert_eq!(says(&manifest), r#"["RESCIND_COMPLETE","RESCIND_REMOVED","RESCIND_WITHIN_24H"]"#);
        manifest.counts.not_done = 1;
        assert_eq!(says(&manifest), r#"["RESCIND_COMPLETE"]"#);
        manifest.completeness.complete = false;
        assert_eq!(says(&manifest), "[]");
        assert_eq!([86_400, 5_400, 61].map(within), ["RESCIND_WITHIN_24H", "RESCIND_WITHIN_90M", "RESCIND_WITHIN_61S"]);
    }
}
