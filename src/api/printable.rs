//! Texts from outside, as they may stand in a status, an event or a log.

use std::borrow::Cow;

/// The length, in characters, at which messages are cut.
const MAX_MESSAGE: usize = 1000;

/// `message`, cut at 1000 characters, with an escape such as `\\u001b` for every character that is not seen: it can
/// neither begin a new line, nor move a cursor, nor turn the direction of what follows.
pub fn printable(message: &str) -> String {
    escaped(message).chars().take(MAX_MESSAGE).collect()
}

/// `text` with escapes, in the form of JSON, for the characters that are not seen.
pub fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unseen) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_unseen(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                clean.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            clean.push(character);
        }
    }
    Cow::Owned(clean)
}

/// Control characters, line and paragraph separators, and format characters (Unicode's categories Cc, Zl, Zp and Cf),
/// such as those that turn the direction of writing.
fn is_unseen(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}' | '\u{891}' | '\u{8e2}'
            | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0001}' | '\u{e0020}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_cut_and_cannot_forge_lines() {
        let clean = printable(&format!("a\n\u{1b}[2J{}", "x".repeat(5000)));
        assert_eq!(clean.chars().count(), 1000);
        assert!(clean.starts_with("a\\u000a\\u001b[2Jx"), "{clean}");
        assert_eq!(printable(&clean), clean, "once is enough");
    }

    #[test]
    fn only_what_is_not_seen_is_escaped() {
        let plain = r#"ad|ümlaut-田中-🦀 "a" \ 100 %"#;
        assert!(matches!(escaped(plain), Cow::Borrowed(text) if text == plain));
        for (text, clean) in [
            ("a\u{202e}b\u{2066}c", "a\\u202eb\\u2066c"),
            ("a\u{200b}b\u{feff}", "a\\u200bb\\ufeff"),
            ("a\r\nb\u{2028}\u{85}", "a\\u000d\\u000ab\\u2028\\u0085"),
            ("\u{e0041}", "\\udb40\\udc41"),
        ] {
            assert_eq!(escaped(text), clean);
            let json: String = serde_json::from_str(&format!("\"{clean}\"")).unwrap();
            assert_eq!(json, text, "a line of JSON means the same");
        }
    }
}
