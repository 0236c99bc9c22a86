//! Texts from outside, such as the name of a person, made harmless for the place where they are to stand. A person who
//! can choose a display name can write anything into it.

use crate::api::escaped;

/// The length, in characters, at which a name is cut.
const MAX_NAME: usize = 80;

/// For one place in a line of a terminal or of a YAML comment: what is not seen is escaped, and it is cut at 80
/// characters.
pub fn shown(text: &str) -> String {
    let clean = escaped(text);
    if clean.chars().count() <= MAX_NAME {
        return clean.into_owned();
    }
    clean.chars().take(MAX_NAME - 1).chain(['…']).collect()
}

/// For a cell of a CSV file: the same, whole, with an apostrophe before what a spreadsheet would take for a formula.
/// The CSV writer quotes it.
pub fn cell(text: &str) -> String {
    let clean = escaped(text);
    let is_formula = clean.starts_with(['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠']);
    if is_formula { format!("'{clean}") } else { clean.into_owned() }
}

/// A command line as a POSIX shell reads it.
pub fn command_line<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.map(quoted).collect::<Vec<_>>().join(" ")
}

/// One word for a POSIX shell.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./:@%+,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// How many, with the noun in the right number: `1 role`, `2 roles`.
pub fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{} {noun}s", thousands(number)) }
}

/// A number with commas, such as `1,204`.
pub fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Texts as somebody might choose them who means harm, for tests: any characters, and often those that end a line, a
/// quotation, a comment or a document, begin a formula or a tag, command a terminal, or turn the direction of writing.
#[cfg(test)]
pub fn hostile() -> impl proptest::strategy::Strategy<Value = String> {
    use proptest::prelude::*;
    const NASTY: &[&str] = &[
        "\n",
        "\r",
        "\n---\n",
        "\n- ",
        ": ",
        " #",
        "\"",
        "'",
        "\\",
        "{",
        "}",
        "[",
        "]",
        ",",
        "&",
        "*",
        "!",
        "|",
        ">",
        "%",
        "@",
        "`",
        "=",
        "+",
        "-",
        "\t",
        "<script>",
        "</",
        "&amp;",
        "\0",
        "\u{1b}[2J",
        "\u{7}",
        "\u{85}",
        "\u{2028}",
        "\u{202e}",
        "\u{feff}",
        "\u{200b}",
        "＝",
        "~",
        "null",
        "yes",
        "0x1",
    ];
    let piece = prop_oneof![
        3 => any::<char>().prop_map(String::from),
        4 => prop::sample::select(NASTY).prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_read_at_a_glance() {
        assert_eq!([0, 999, 1000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            (count(1, "role"), count(0, "role"), count(1204, "role")),
            ("1 role".into(), "0 roles".into(), "1,204 roles".into())
        );
    }

    proptest! {
        /// It can neither begin a new line nor command the terminal.
        #[test]
        fn a_name_is_one_piece_of_a_line(text in hostile()) {
            let clean = shown(&text);
            prop_assert!(clean.chars().count() <= MAX_NAME);
            prop_assert!(!clean.chars().any(char::is_control), "{clean:?}");
            prop_assert_eq!(clean.lines().count() <= 1, true);
        }

        #[test]
        fn no_cell_is_a_formula(
            start in prop::sample::select(vec!["", "=", "+", "-", "@", "\t", "\r", "＝"]), text in hostile(),
        ) {
            let clean = cell(&format!("{start}{text}"));
            prop_assert!(!clean.starts_with(['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠']), "{clean:?}");
            prop_assert!(!clean.contains(['\n', '\r']));
        }
    }
    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// A shell takes the words apart as they were meant, and does nothing else.
        #[test]
        fn a_shell_reads_what_was_meant(word in "[^\\p{C}\\p{Z}]{0,20}|[ -~]{0,20}") {
            let script = format!("printf %s {}", quoted(&word));
            let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
            prop_assert_eq!(String::from_utf8(output.stdout).unwrap(), word);
        }
    }
}
