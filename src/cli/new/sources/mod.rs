//! Reads what people hold when somebody leaves: lists of HR, exports of Auth0, answers of its Management API, Terraform
//! state, SCIM, Entra ID and Okta. Pure: bytes in, people and grants out. What does not say whom it is about is an
//! error that names the line.

mod csv;
mod json;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;

use crate::auth0::{Endpoint, Item};
use crate::cli::error::CliError;
use crate::cli::files::{decoded, read_file};

/// What a file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sourced {
    /// The people, each once, in the order of the file: ids or e-mail addresses.
    pub people: Vec<Person>,
    /// What somebody holds, by id, as the file itself says.
    pub grants: BTreeSet<(Endpoint, Item)>,
    /// What the file is, for users.
    pub shape: &'static str,
    /// What was left out, and why, one sentence each.
    pub skipped: Vec<String>,
}

/// Somebody whom a file names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// A user id or an e-mail address.
    pub text: String,
    /// Where: a line or an entry, from 1.
    pub at: usize,
}

/// A file that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SourceError {
    /// There is nothing in it.
    #[error("it is empty")]
    Empty,
    /// Somebody has to make another file of it first.
    #[error("{0}")]
    Packed(&'static str),
    /// It is none of the shapes that are known.
    #[error("this is none of the known shapes: a CSV file, or JSON from Auth0, Terraform, SCIM or Okta")]
    Unknown,
    /// It does not say which column holds the people.
    #[error("which column holds the people is not clear; name it with --column, one of: {0}")]
    Column(String),
    /// A row or an entry does not say whom it is about.
    #[error("{place} {at}: {why}")]
    Entry {
        /// "line" or "entry".
        place: &'static str,
        /// Which one, from 1.
        at: usize,
        /// Why.
        why: String,
    },
}

/// Reads a file. `column`: the name of the column with the people.
pub fn read(bytes: &[u8], column: Option<&str>) -> Result<Sourced, SourceError> {
    match bytes {
        [0x1f, 0x8b, ..] => return Err(SourceError::Packed("it is compressed: unpack it first (gunzip)")),
        [b'P', b'K', 3, 4, ..] => {
            return Err(SourceError::Packed("it is a workbook or an archive: save it as CSV, or unpack it first"));
        }
        _ => {}
    }
    let text = decoded(bytes);
    let start = text.trim_start();
    if start.is_empty() {
        return Err(SourceError::Empty);
    }
    let mut sourced = if start.starts_with(['{', '[']) { json::read(&text)? } else { csv::read(&text, column)? };
    let mut seen = BTreeSet::new();
    // Addresses are the same in any case; ids are not.
    let key =
        |person: &Person| if person.text.contains('|') { person.text.clone() } else { person.text.to_lowercase() };
    sourced.people.retain(|person| seen.insert(key(person)));
    Ok(sourced)
}

/// Reads files one after the other; "-" is standard input.
pub fn read_files(files: &[PathBuf], column: Option<&str>) -> Result<Sourced, CliError> {
    let mut all = Sourced::default();
    for file in files {
        let (name, bytes) = read_file(file)?;
        let one = self::read(&bytes, column).map_err(|error| CliError::failed(format!("{name}: {error}")))?;
        all.people.extend(one.people);
        all.grants.extend(one.grants);
        all.skipped.extend(one.skipped);
        all.shape = one.shape;
    }
    Ok(all)
}

/// Whether a text can name somebody: a user id, or an e-mail address.
pub fn names_somebody(text: &str) -> bool {
    crate::api::is_user_id(text) || is_email(text)
}

/// Whether a text looks like an e-mail address.
pub fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    !local.is_empty() && domain.contains('.') && !domain.starts_with('.') && !text.contains(char::is_whitespace)
}

fn id(text: &str) -> Arc<str> {
    text.into()
}
