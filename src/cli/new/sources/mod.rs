//! Reads what people hold when somebody leaves: lists of HR, exports of Auth0, answers of its Management API, Terraform
//! state, SCIM, Entra ID and Okta. Pure: bytes in, people and grants out. What does not say whom it is about is an error
//! that names the line.

mod csv;
mod json;

use std::collections::BTreeSet;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;

use crate::auth0::{Endpoint, Item};
use crate::cli::error::CliError;

/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 64 << 20;

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
    let text = decoded(bytes);
    let start = text.trim_start();
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
        let is_stdin = file.as_os_str() == "-";
        let mut bytes = Vec::new();
        let read = if is_stdin {
            std::io::stdin().take(MAX_FILE).read_to_end(&mut bytes).map(|_| ())
        } else {
            std::fs::File::open(file).and_then(|open| open.take(MAX_FILE).read_to_end(&mut bytes)).map(|_| ())
        };
        let name = if is_stdin { "standard input".to_owned() } else { file.display().to_string() };
        read.map_err(|error| CliError::failed(format!("{name} cannot be read ({error})")))?;
        if bytes.starts_with(&[0x1f, 0x8b]) {
            return Err(CliError::failed(format!("{name} is compressed: unpack it first (gunzip)")));
        }
        let one = self::read(&bytes, column).map_err(|error| CliError::failed(format!("{name}: {error}")))?;
        all.people.extend(one.people);
        all.grants.extend(one.grants);
        all.skipped.extend(one.skipped);
        all.shape = one.shape;
    }
    Ok(all)
}

/// UTF-8, with or without a mark of the byte order, UTF-16 with one, else Latin-1 as spreadsheets write it.
fn decoded(bytes: &[u8]) -> String {
    let utf16 = |bytes: &[u8], order: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| order([pair[0], pair[1]])).collect();
        String::from_utf16_lossy(&units)
    };
    match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        bytes => match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => bytes.iter().map(|byte| windows_1252(*byte)).collect(),
        },
    }
}

/// What Windows makes of a byte. Where it has no character, Latin-1's.
fn windows_1252(byte: u8) -> char {
    const HIGH: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘',
        '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
    ];
    if (0x80..0xa0).contains(&byte) { HIGH[usize::from(byte) - 0x80] } else { char::from(byte) }
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
