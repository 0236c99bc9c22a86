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
    /// The value is a variable or a template that nothing has replaced.
    #[error("is a placeholder that nothing has replaced: put the value itself there")]
    Placeholder,
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
    let found = match bare {
        "" => Defect::Empty,
        _ if is_placeholder(bare) => Defect::Placeholder,
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

/// `$NAME`, `<name>` or `{{ .name }}`.
pub(super) fn is_placeholder(text: &str) -> bool {
    text.starts_with(['$', '<']) || text.starts_with("{{")
}

/// `NAME=value`, `export NAME=value` or `name: value`. A value can have `=` at its end only.
fn is_assignment(text: &str) -> bool {
    let is_name = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_- .".contains(&b));
    text.split_once(['=', ':'])
        .is_some_and(|(name, value)| is_name(name) && !value.starts_with("//") && !value.trim_matches('=').is_empty())
}
