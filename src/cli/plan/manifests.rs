//! Reads manifests from files, each with the line where it begins.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::api::{GROUP, crds};
use crate::cli::error::CliError;
use crate::cli::files::{decoded, read_file};
use crate::cli::object::{Kind, kinds};

use super::report::Refused;

/// A removal object in a file.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// Its kind.
    pub kind: Kind,
    /// As it is written there.
    pub object: Value,
    /// `file:line`.
    pub source: String,
}

/// The manifests of files.
#[derive(Clone, Debug, Default)]
pub struct Manifests {
    /// The removal objects.
    pub removals: Vec<Manifest>,
    /// What looks like one and cannot be one.
    pub wrong: Vec<Refused>,
    /// How many objects are of other kinds.
    pub others: usize,
}

/// The manifests in `paths`: files, folders (all of their .yaml, .yml and .json files; with `recursive` also those of
/// folders below), or "-" for standard input. A namespace that a manifest leaves out is `namespace`.
pub fn read(paths: &[PathBuf], recursive: bool, namespace: &str) -> Result<Manifests, CliError> {
    let mut manifests = Manifests::default();
    for path in paths {
        for file in files(path, recursive)? {
            let (name, bytes) = read_file(&file)?;
            add(&mut manifests, &name, &decoded(&bytes), namespace)?;
        }
    }
    Ok(manifests)
}

fn unreadable(path: &Path, error: &std::io::Error) -> CliError {
    CliError::failed(format!("{} cannot be read ({error})", path.display()))
}

fn files(path: &Path, recursive: bool) -> Result<Vec<PathBuf>, CliError> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).map_err(|error| unreadable(path, &error))? {
        let entry = entry.map_err(|error| unreadable(path, &error))?.path();
        let is_manifest =
            entry.extension().is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension == *known));
        if entry.is_dir() && recursive {
            found.extend(files(&entry, recursive)?);
        } else if is_manifest && entry.is_file() {
            found.push(entry);
        }
    }
    found.sort();
    if found.is_empty() && !recursive {
        let path = path.display();
        return Err(CliError::failed(format!(
            "{path} holds no .yaml, .yml or .json file; -R looks into folders below"
        )));
    }
    Ok(found)
}

fn add(manifests: &mut Manifests, file: &str, text: &str, namespace: &str) -> Result<(), CliError> {
    let kinds = kinds();
    for (line, document) in documents(text) {
        let source = format!("{file}:{line}");
        let object: Value = serde_saphyr::from_str(document)
            .map_err(|error| CliError::failed(format!("{source}: this is no YAML ({error})")))?;
        for object in flattened(object) {
            match meant(&kinds, &object) {
                Meant::Removal(kind) => {
                    let (kind, object) = (kind.clone(), in_namespace(object, namespace));
                    manifests.removals.push(Manifest { kind, object, source: source.clone() });
                }
                Meant::Wrong(object, why) => {
                    manifests.wrong.push(Refused { object, source: source.clone(), why });
                }
                Meant::Other => manifests.others += 1,
                Meant::Nothing => {}
            }
        }
    }
    Ok(())
}

/// What an object in a file is.
enum Meant<'a> {
    /// A removal of this kind.
    Removal(&'a Kind),
    /// This, which cannot be applied, and why.
    Wrong(String, String),
    /// Something else than a removal.
    Other,
    /// An empty document.
    Nothing,
}

fn meant<'a>(kinds: &'a [Kind], object: &Value) -> Meant<'a> {
    let text = |key: &str| object.pointer(key).and_then(Value::as_str).unwrap_or_default();
    let (name, kind) = (text("/metadata/name"), text("/kind"));
    let is_ours = text("/apiVersion").split('/').next() == Some(GROUP);
    let wrong = |why: &str| Meant::Wrong(format!("{kind}/{name}"), why.to_owned());
    match kinds.iter().find(|known| known.name == kind) {
        _ if object.is_null() => Meant::Nothing,
        _ if kind.is_empty() => Meant::Wrong("a document".to_owned(), "it has no kind, so it is no object".to_owned()),
        Some(_) if is_ours && name.is_empty() => wrong("metadata.name is missing: a removal needs a name"),
        Some(known) if is_ours => Meant::Removal(known),
        None if is_ours && crds().iter().all(|crd| crd.definition.spec.names.kind != kind) => {
            let known: Vec<&str> = kinds.iter().map(|kind| kind.name).collect();
            wrong(&format!("there is no such kind; there are {}", known.join(", ")))
        }
        Some(_) | None => Meant::Other,
    }
}

/// The documents of a file, each with the number of its first line that is neither empty nor a comment.
fn documents(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let (mut begin, mut at, mut first) = (0, 0, 1);
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let is_separator = line.starts_with("---") && line[3..].chars().next().is_none_or(char::is_whitespace);
        if is_separator {
            found.push((first, &text[begin..at]));
            (begin, first) = (at + line.len(), number + 2);
        }
        at += line.len();
    }
    found.push((first, &text[begin..]));
    let is_content = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    found.retain(|(_, document)| document.lines().any(|line| is_content(&line)));
    let skipped = |document: &str| document.lines().take_while(|line| !is_content(line)).count();
    found.into_iter().map(|(line, document)| (line + skipped(document), document)).collect()
}

/// The entries of a `List`, or the object itself.
fn flattened(mut object: Value) -> Vec<Value> {
    let is_list = object.get("kind").and_then(Value::as_str).is_some_and(|kind| kind.ends_with("List"));
    match object.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) if is_list => items.into_iter().flat_map(flattened).collect(),
        Some(items) => {
            object["items"] = items;
            vec![object]
        }
        None => vec![object],
    }
}

fn in_namespace(mut object: Value, namespace: &str) -> Value {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.entry("namespace").or_insert_with(|| namespace.into());
        // What the API server has added to an object that somebody exported cannot be applied.
        for key in ["managedFields", "resourceVersion", "uid", "creationTimestamp", "generation"] {
            metadata.remove(key);
        }
    }
    object.as_object_mut().map(|object| object.remove("status"));
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_document_knows_its_line() {
        let text = "# a comment\n---\n\nkind: A\n--- # another\n# words\nkind: B\ntext: |\n  ---\n---\n\n";
        let found: Vec<_> = documents(text).into_iter().map(|(line, text)| (line, text.trim().len() > 5)).collect();
        assert_eq!(found, [(4, true), (7, true)]);
        assert_eq!(documents("kind: A"), [(1, "kind: A")]);
    }

    #[test]
    fn lists_are_taken_apart_and_other_kinds_are_counted() {
        let text = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: rescind.dev/v1alpha1\n\
                    \x20 kind: UserRoleRevocation\n  metadata: {name: a}\n- {apiVersion: v1, kind: Secret}\n";
        let mut manifests = Manifests::default();
        add(&mut manifests, "f", text, "identity").unwrap();
        assert_eq!((manifests.removals.len(), manifests.others), (1, 1));
        assert_eq!(manifests.removals[0].object["metadata"]["namespace"], "identity");
        let text = "apiVersion: rescind.dev/v1alpha1\nkind: UserRoleRevokation\nmetadata: {name: a}\n---\n\
                    apiVersion: rescind.dev/v1alpha1\nkind: UserRoleRevocation\nmetadata: {generateName: a-}\n---\n\
                    only words\n---\napiVersion: rescind.dev/v1alpha1\nkind: Auth0Tenant\nmetadata: {name: a}\n";
        add(&mut manifests, "f", text, "identity").unwrap();
        assert_eq!((manifests.removals.len(), manifests.others), (1, 2));
        let wrong: Vec<_> = manifests.wrong.iter().map(|one| (one.source.as_str(), one.why.as_str())).collect();
        assert!(wrong.len() == 3 && wrong[0].1.contains("there are UserPermissionRevocation, UserRole"), "{wrong:?}");
        assert!(
            wrong[1].1.contains("metadata.name is missing")
                && wrong[2] == ("f:9", "it has no kind, so it is no object")
        );
        let wrong = add(&mut manifests, "f", "a: [", "identity").unwrap_err().to_string();
        assert!(wrong.starts_with("f:1: this is no YAML"), "{wrong}");
    }
}
