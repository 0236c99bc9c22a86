//! What is wrong with the form of a value in a Secret, whatever it should be. Pure.

use thiserror::Error;

/// The longest value that is read, in bytes. Auth0's own tokens are shorter than 8 kB, and so are keys.
const MAX_LEN: usize = 16 * 1024;

/// A mistake that can be seen without knowing what the value should be. No message contains any part of the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Defect {
    /// The value is empty.
    #[error("is empty")]
    Empty,
    /// The value is longer than anything that belongs here.
    #[error("is longer than {MAX_LEN} bytes, so it is not what belongs there")]
    TooLong,
    /// The value begins with a byte order mark, as files of some editors do.
    #[error("begins with a byte order mark: save the file as UTF-8 without one")]
    ByteOrderMark,
    /// The value is JSON.
    #[error("is JSON: put only the value itself there")]
    Json,
    /// The value is a key or a certificate.
    #[error("is a key or a certificate in PEM, which does not belong there")]
    Pem,
    /// The value is a variable, a template or a word of an example that nothing has replaced, or it is masked.
    #[error("is a placeholder that nothing has replaced: put the value itself there")]
    Placeholder,
    /// The value names a place where another program finds the value.
    #[error("is a URL or a reference that nothing has resolved: put the value itself there")]
    Reference,
    /// The value is encrypted by SOPS.
    #[error("is still encrypted by SOPS: decrypt the file before it is applied (Flux: spec.decryption)")]
    Encrypted,
    /// The value is what programs print that found none.
    #[error(
        "is the word that stands for no value, as jq prints it for an answer that is an error: look at that answer"
    )]
    NoValue,
    /// The value is a page.
    #[error("is a page of HTML, which a proxy or a login page may have answered: put only the value itself there")]
    Html,
    /// The value is quoted.
    #[error("has quotation marks, which became part of the value: leave them out (kubectl --from-env-file keeps them)")]
    Quoted,
    /// The value is a line of a settings file.
    #[error("is a whole line with a name before the value: put only what comes after = or : there")]
    Assignment,
    /// The value has white space at an end.
    #[error("has white space before or after it: remove that (one line end at the end is allowed)")]
    WhiteSpaceAround,
    /// The value has white space inside.
    #[error("has white space or a line end inside: write it on one line without any")]
    WhiteSpaceInside,
    /// The value contains characters that it cannot have.
    #[error("has characters that it cannot have: copy it again")]
    Characters,
}

/// The value of a Secret as text, with one line end trimmed.
pub(super) fn text(bytes: &[u8]) -> Result<&str, Defect> {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    if bytes.len() > MAX_LEN {
        return Err(Defect::TooLong);
    }
    let marks: [&[u8]; 3] = [b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"];
    if marks.iter().any(|mark| bytes.starts_with(mark)) {
        return Err(Defect::ByteOrderMark);
    }
    std::str::from_utf8(bytes).map_err(|_| Defect::Characters)
}

/// What is wrong with the form of `text`, which should be one word; the first that applies.
pub(super) fn defect(text: &str) -> Option<Defect> {
    const QUOTES: [char; 7] = ['"', '\'', '`', '“', '”', '‘', '’'];
    let bare = text.trim();
    if let Some(defect) = stand_in(bare) {
        return Some(defect);
    }
    let found = match bare {
        "" => Defect::Empty,
        _ if bare.starts_with(['{', '[']) => Defect::Json,
        _ if bare.starts_with("-----BEGIN") => Defect::Pem,
        _ if bare.starts_with(QUOTES) || bare.ends_with(QUOTES) => Defect::Quoted,
        _ if is_assignment(bare) => Defect::Assignment,
        _ if bare.contains(char::is_whitespace) => Defect::WhiteSpaceInside,
        _ if bare != text => Defect::WhiteSpaceAround,
        _ if !bare.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b)) => Defect::Characters,
        _ => return None,
    };
    Some(found)
}

/// What is wrong with a value that only stands for another one.
pub(super) fn stand_in(text: &str) -> Option<Defect> {
    let found = match text {
        _ if is_html(text) => Defect::Html,
        _ if is_placeholder(text) => Defect::Placeholder,
        _ if text.starts_with("ENC[AES256_GCM,") => Defect::Encrypted,
        _ if is_reference(text) => Defect::Reference,
        _ if is_word(text, &["null", "undefined", "none", "nil"]) => Defect::NoValue,
        _ => return None,
    };
    Some(found)
}

/// `$NAME`, `<name>`, `{{ .name }}`, `__NAME__` and the like; `replace-me`; `YOUR_CLIENT_ID` and `{yourClientId}`, as
/// Auth0's own documentation has them; `***`.
fn is_placeholder(text: &str) -> bool {
    let is_variable = |mark: &str| {
        let name = text.strip_prefix(mark).and_then(|rest| rest.strip_suffix(mark)).unwrap_or_default();
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
    };
    let first = text.chars().next().filter(|c| !c.is_alphanumeric() || "xX".contains(*c));
    let is_masked = text.len() >= 3 && first.is_some_and(|first| text.chars().all(|c| c == first));
    // What Auth0 makes has 32 characters and more.
    let is_yours = text.len() < 32 && normal(text).starts_with("your");
    text.starts_with(['$', '<'])
        || ["{{", "#{"].iter().any(|mark| text.starts_with(mark))
        || ["%", "__", "@"].into_iter().any(is_variable)
        || is_word(text, &["replaceme", "changeme", "placeholder", "todo", "redacted"])
        || is_yours
        || is_masked
}

/// Without what examples put around and between the words of a name, in lower case.
fn normal(text: &str) -> String {
    text.chars().filter(|c| !"-_{}[] ".contains(*c)).collect::<String>().to_ascii_lowercase()
}

fn is_word(text: &str, words: &[&str]) -> bool {
    text.len() < 32 && words.contains(&&*normal(text))
}

fn is_html(text: &str) -> bool {
    let begin = text.get(..9).unwrap_or_default().to_ascii_lowercase();
    begin.starts_with("<html") || begin == "<!doctype"
}

/// A URL, or what Vault's webhook, vals, 1Password and the stores of clouds call a secret.
fn is_reference(text: &str) -> bool {
    let is_scheme = |scheme: &str| {
        scheme.starts_with(|c: char| c.is_ascii_lowercase())
            && scheme.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+.-".contains(&b))
    };
    text.split_once("://").is_some_and(|(scheme, _)| is_scheme(scheme))
        || ["vault:", "arn:aws", "projects/"].iter().any(|begin| text.starts_with(begin))
}

/// `NAME=value`, `export NAME=value` or `name: value`. A value can have `=` at its end only.
fn is_assignment(text: &str) -> bool {
    let is_name = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_- .".contains(&b));
    text.split_once(['=', ':'])
        .is_some_and(|(name, value)| is_name(name) && !value.starts_with("//") && !value.trim_matches('=').is_empty())
}
