//! Takes out of a text what must not leave the house: tokens always, and people unless they are wanted. Pure.

use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use ring::digest::{SHA256, digest};
use serde_json::Value;

use crate::hex::hex;

/// As ids are encoded in paths.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// A run of so many characters of a token, dots included, is taken for one if it begins like a token.
const TOKEN: usize = 20;

/// Replaces what must not be seen.
#[derive(Debug)]
pub struct Redactor {
    /// The forms in which user ids occur, with what stands instead of them; the longest first.
    known: Vec<(String, String)>,
    with_ids: bool,
}

/// A short name for a text, the same in every bundle.
pub fn short_hash(kind: &str, text: &str) -> String {
    format!("{kind}-{}", hex(&digest(&SHA256, text.as_bytes()).as_ref()[..5]))
}

impl Redactor {
    /// Replaces these user ids, and everything that looks like one, unless they may stay.
    pub fn new(ids: impl IntoIterator<Item = String>, with_ids: bool) -> Self {
        let mut known = BTreeMap::new();
        for id in ids {
            let json = Value::from(id.as_str()).to_string();
            let json = json.trim_matches('"').to_owned();
            for form in [id.clone(), json, utf8_percent_encode(&id, ENCODED).to_string()] {
                known.insert(form, short_hash("user", &id));
            }
        }
        let mut known: Vec<(String, String)> = known.into_iter().collect();
        known.sort_by_key(|(form, _)| std::cmp::Reverse(form.len()));
        Self { known, with_ids }
    }

    /// The text without tokens, and without people.
    pub fn text(&self, text: &str) -> String {
        if self.with_ids {
            return without_tokens(text);
        }
        // First what is known exactly: what follows sees only pieces of an id with a space in it.
        let mut text = text.to_owned();
        for (form, name) in self.known.iter().filter(|(form, _)| !form.is_empty()) {
            if text.contains(form.as_str()) {
                text = text.replace(form.as_str(), name);
            }
        }
        let text = without_tokens(&text);
        let text = without_words(&text, "|", is_of_id, "user");
        let text = without_words(&text, "%7C", is_of_id, "user");
        let text = without_words(&text, "%7c", is_of_id, "user");
        without_words(&text, "@", is_of_address, "mail")
    }

    /// The same for every text in a JSON value.
    pub fn json(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.text(text),
            Value::Array(values) => values.iter_mut().for_each(|value| self.json(value)),
            Value::Object(fields) => {
                let redacted = std::mem::take(fields).into_iter().map(|(key, mut value)| {
                    self.json(&mut value);
                    (self.text(&key), value)
                });
                *fields = redacted.collect();
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

fn is_of_token(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.' | '=' | '+' | '/' | '~')
}

/// What may stand in an id without quotes around it.
fn is_of_id(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '-' | '_' | '.' | '+' | '/' | '%' | '~' | '|' | '@')
}

fn is_of_address(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '-' | '_' | '.' | '+' | '%' | '@')
}

/// Takes JSON Web Tokens away, whatever stands before them, and what follows the word Bearer.
fn without_tokens(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = [rest.find("eyJ"), bearer(rest)].into_iter().flatten().min() {
        let (before, from) = rest.split_at(at);
        let length = from.find(|character| !is_of_token(character)).unwrap_or(from.len());
        out.push_str(before);
        if length >= TOKEN || bearer(rest) == Some(at) && length > 0 {
            out.push_str("[token]");
            rest = &from[length..];
        } else {
            // At least one character is passed over, so this ends.
            let step = from.chars().next().map_or(0, char::len_utf8);
            out.push_str(&from[..step]);
            rest = &from[step..];
        }
    }
    out + rest
}

/// Where the token after the word Bearer begins.
fn bearer(text: &str) -> Option<usize> {
    let lower = text.to_ascii_lowercase();
    let mut from = 0;
    while let Some(at) = lower[from..].find("bearer").map(|at| from + at + "bearer".len()) {
        let space = lower[at..].len() - lower[at..].trim_start_matches([' ', ':', '"', '=']).len();
        let begins = lower[at + space..].starts_with(is_of_token) && space > 0;
        if begins && !text[at + space..].starts_with("[token]") {
            return Some(at + space);
        }
        from = at;
    }
    None
}

/// Replaces every word of such characters that has `mark` in it. Percent signs are decoded, so that a path and a field
/// give the same name.
fn without_words(text: &str, mark: &str, is_of_word: fn(char) -> bool, kind: &str) -> String {
    if !text.contains(mark) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(is_of_word) {
        out.push_str(&rest[..start]);
        let end = rest[start..].find(|c| !is_of_word(c)).map_or(rest.len(), |end| start + end);
        let word = &rest[start..end];
        // In a path, an id is one part.
        for (at, part) in word.split('/').enumerate() {
            if at > 0 {
                out.push('/');
            }
            if part.contains(mark) && part != mark {
                out.push_str(&short_hash(kind, &percent_decode_str(part).decode_utf8_lossy()));
            } else {
                out.push_str(part);
            }
        }
        rest = &rest[end..];
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn people_have_the_same_name_everywhere() {
        let redactor = Redactor::new([], false);
        let name = short_hash("user", "auth0|5f7c");
        let text =
            redactor.text(r#"{"user":"auth0|5f7c","path":"/api/v2/users/auth0%7C5f7c/roles","by":"jane@acme.com"}"#);
        assert_eq!(text.matches(&name).count(), 2, "{text}");
        assert!(text.contains("/api/v2/users/") && text.contains("/roles") && !text.contains("jane"), "{text}");
        assert_eq!(
            redactor.text("rol_bN1a2b3c4d5e6f7g of https://api.example.com/"),
            "rol_bN1a2b3c4d5e6f7g of https://api.example.com/"
        );
        assert_eq!(Redactor::new([], true).text("auth0|5f7c"), "auth0|5f7c");
    }

    #[test]
    fn tokens_go_in_every_case() {
        for redactor in [Redactor::new([], false), Redactor::new([], true)] {
            let token = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJ4In0.c2lnbmF0dXJl";
            for text in [
                token.to_owned(),
                format!("a={token},"),
                "Authorization: Bearer abc123".to_owned(),
                format!("x{token}"),
            ] {
                let clean = redactor.text(&text);
                assert!(clean.contains("[token]") && !clean.contains("eyJh") && !clean.contains("abc123"), "{clean}");
            }
        }
    }

    /// So many letters at the end of an id are nowhere else.
    const TAIL: usize = 12;

    /// Ids as the schema lets them be, with the characters that are quoted or encoded somewhere, also before their end.
    fn id() -> impl Strategy<Value = String> {
        let parts = ("[a-z0-9-]{1,12}", "[A-Za-z0-9 \"\\\\/+%@|äß.:_-]{1,30}", "[ \"/%|]", "[a-z]{12}");
        parts.prop_map(|(provider, id, sign, tail)| format!("{provider}|{id}{sign}{tail}"))
    }

    fn token() -> impl Strategy<Value = String> {
        ("[A-Za-z0-9_-]{20,60}", "[A-Za-z0-9_-]{20,80}", "[A-Za-z0-9_-]{20,80}")
            .prop_map(|(a, b, c)| format!("eyJ{a}.{b}.{c}"))
    }

    proptest! {
        #[test]
        fn no_token_and_no_known_person_is_left(
            ids in prop::collection::vec(id(), 1..4),
            token in token(),
            before in any::<String>(),
            after in any::<String>(),
            form in 0_usize..3,
        ) {
            let redactor = Redactor::new(ids.clone(), false);
            for id in &ids {
                let written = match form {
                    0 => id.clone(),
                    1 => Value::from(id.as_str()).to_string(),
                    _ => utf8_percent_encode(id, ENCODED).to_string(),
                };
                let clean = redactor.text(&format!("{before}{written} {token}{after} Bearer {token}"));
                prop_assert!(!clean.contains(&id[id.len() - TAIL..]), "{clean}");
                prop_assert!(!clean.contains(&token), "{clean}");
            }
        }

        /// Also those that no object names, as far as they can be told.
        #[test]
        fn nothing_that_looks_like_a_person_is_left(
            provider in "[a-z0-9-]{2,12}", id in "[A-Za-z0-9._-]{3,30}", before in any::<String>(),
        ) {
            let (person, encoded) = (format!("{provider}|{id}"), format!("{provider}%7C{id}"));
            let clean = Redactor::new([], false).text(&format!("{before} {person}, {encoded}, {id}@acme.com"));
            for left in [person.as_str(), &encoded, "@acme.com"] {
                prop_assert!(!clean.contains(left), "{clean}");
            }
        }
    }
}
