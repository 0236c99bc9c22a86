//! Puts manifests where they belong: into a folder, to standard output, or into the cluster.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cli::cluster::Cluster;
use crate::cli::error::CliError;
use crate::cli::object::kinds;
use crate::cli::session::Session;
use crate::cli::texts::{command_line, count};
use crate::clock;
use crate::kube_error::explain;

use super::choice::{Chosen, name_of};
use super::manifest::{Common, hash, object, yaml};

/// How every file begins, so that a later run knows what it may replace.
const FIRST: &str = "# Written by kubectl rescind new";

/// Where the manifests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A file for each account in this folder.
    Folder(PathBuf),
    /// Standard output.
    Print,
    /// The cluster.
    Cluster,
}

impl Place {
    /// As the flags say.
    pub fn of(apply: bool, folder: Option<&Path>) -> Self {
        match folder {
            _ if apply => Self::Cluster,
            Some(folder) if folder.as_os_str() != "-" => Self::Folder(folder.to_owned()),
            Some(_) | None => Self::Print,
        }
    }
}

/// Puts the manifests there, all or none.
pub async fn put(
    session: &Session,
    cluster: &Cluster,
    (chosen, common, domain): (&[Chosen], &Common, &str),
    place: &Place,
    calls: &str,
) -> Result<u8, CliError> {
    let objects = count(chosen.iter().map(|one| one.removals.len()).sum(), "object");
    match place {
        Place::Print => {
            for one in chosen {
                session.screen.print(text(one, common, domain))?;
            }
            session.screen.note(format!("wrote {objects}   ({calls})"));
        }
        Place::Folder(folder) => {
            write_all(folder, chosen, common, domain)?;
            let (files, folder) = (count(chosen.len(), "file"), folder.display().to_string());
            let (words, flags) = (["kubectl", "rescind", "plan", "-f", &folder], session.flags.given());
            let plan = command_line(words.into_iter().chain(flags.iter().map(String::as_str)));
            session.screen.note(format!("wrote {objects} in {files} to {folder}. Look first: {plan}   ({calls})"));
        }
        Place::Cluster => {
            apply_all(session, cluster, chosen, common).await?;
            session.screen.note(format!("applied {objects}   ({calls})"));
        }
    }
    Ok(0)
}

/// The file of one account.
fn text(one: &Chosen, common: &Common, domain: &str) -> String {
    let mut text = format!("{FIRST}, read {}.\n", clock::wall().strftime("%Y-%m-%dT%H:%M:%SZ"));
    if common.with_names {
        let name = name_of(&one.account);
        text += &format!("# {name} in {domain}. Comments stay in Git; the cluster gets ids.\n");
    }
    one.removals.iter().for_each(|removal| text += &yaml(removal, common));
    text
}

/// The name of the file of an account: a part of its name that people know, if names are wanted, and a hash of its id.
fn file_name(one: &Chosen, common: &Common) -> String {
    let known = one.account.name.as_deref().or(one.account.email.as_deref()).filter(|_| common.with_names);
    let slug: String = known
        .unwrap_or_default()
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    let slug = slug.split('-').filter(|part| !part.is_empty()).take(4).collect::<Vec<_>>().join("-");
    let slug: String = slug.chars().take(40).collect();
    let hash = hash(&one.account.id, 10);
    if slug.is_empty() { format!("{hash}.yaml") } else { format!("{slug}-{hash}.yaml") }
}

/// Writes all files, or none if one of them is not to be replaced.
fn write_all(folder: &Path, chosen: &[Chosen], common: &Common, domain: &str) -> Result<(), CliError> {
    let failed = |path: &Path, error: &std::io::Error| {
        CliError::failed(format!("{} cannot be written ({error})", path.display()))
    };
    std::fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
    let files: Vec<(PathBuf, String)> =
        chosen.iter().map(|one| (folder.join(file_name(one, common)), text(one, common, domain))).collect();
    for (path, _) in &files {
        let is_ours = std::fs::read_to_string(path).map_or_else(|_| !path.exists(), |text| text.starts_with(FIRST));
        if !is_ours {
            let path = path.display();
            return Err(CliError::failed(format!(
                "nothing was written: {path} is there and was not written by this command"
            )));
        }
    }
    for (path, text) in &files {
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(path);
        file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| failed(path, &error))?;
    }
    Ok(())
}

/// Applies all objects, or none if the API server refuses one of them.
async fn apply_all(session: &Session, cluster: &Cluster, chosen: &[Chosen], common: &Common) -> Result<(), CliError> {
    let objects: Vec<(&str, Value)> =
        chosen.iter().flat_map(|one| &one.removals).map(|removal| (removal.kind(), object(removal, common))).collect();
    let kinds = kinds();
    for is_dry in [true, false] {
        for (name, object) in &objects {
            let Some(kind) = kinds.iter().find(|kind| kind.name == *name) else { continue };
            let request =
                async { if is_dry { cluster.dry_run(kind, object).await } else { cluster.apply(kind, object).await } };
            let title = format!("{name}/{}", object["metadata"]["name"].as_str().unwrap_or_default());
            match cluster.answer("apply an object", request).await? {
                Ok(_) if is_dry => {}
                Ok(_) => session.screen.print(format!("{title} applied\n"))?,
                Err(error) => {
                    let before = if is_dry { "nothing was applied: " } else { "" };
                    let why =
                        if let kube::Error::Api(status) = &error { status.message.clone() } else { explain(&error) };
                    return Err(CliError::failed(format!("{before}{title}: {why}")));
                }
            }
        }
    }
    Ok(())
}
