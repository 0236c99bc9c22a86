//! A person who can choose a name can write anything into it. What is written stays what it is meant to be.

use proptest::prelude::*;
use serde_json::Value;

use super::samples::{at, report};
use crate::cli::evidence::columns::Form;
use crate::cli::evidence::report::Evidence;
use crate::cli::evidence::row::{Again, Recheck, Row, Source, Standing};
use crate::cli::evidence::{html, table};
use crate::cli::texts::cell;

/// Texts that mean something in CSV, HTML, JSON or a terminal, with anything after them.
fn hostile() -> impl Strategy<Value = String> {
    let starts = [
        "",
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "＝1",
        "\"",
        "'",
        ",",
        ";",
        "\n",
        "</td></tr></table>",
        "<script>alert(1)</script>",
        "<!--",
        "]]>",
        "&lt;",
        "&#x3c;",
        "{{ title }}",
        "{% if %}",
        "\u{202e}",
        "\u{feff}",
        "\0",
        "</style><style>",
        "\" onmouseover=\"x",
        "--r:1;",
        "\u{fffe}",
    ];
    (prop::sample::select(starts.to_vec()), any::<String>()).prop_map(|(start, text)| format!("{start}{text}"))
}

fn row() -> impl Strategy<Value = Row> {
    let texts = prop::collection::vec(hostile(), 14);
    (texts, any::<[bool; 6]>(), 0i64..10_000_000, -5i32..5).prop_map(|(texts, flags, seconds, came_back)| {
        let mut texts = texts.into_iter();
        let mut text = || texts.next().unwrap();
        let asked = at("2026-10-01T00:00:00Z");
        let later = asked + jiff::SignedDuration::from_secs(seconds);
        let standing = [Standing::Proved, Standing::Unproved, Standing::NotDone][usize::try_from(seconds % 3).unwrap()];
        Row {
            uid: text(),
            kind: text(),
            namespace: text(),
            name: text(),
            generation: flags[0].then_some(seconds),
            domain: text(),
            user_id: text(),
            user_name: flags[1].then(&mut text),
            item_type: "permission",
            item_id: text(),
            item_of: flags[2].then(&mut text),
            requested_at: flags[3].then_some(asked),
            requested_by: Some(text()),
            requested_by_source: flags[4].then_some(Source::Claimed),
            removed_at: Some(later),
            standing,
            verdict: text(),
            message: text(),
            proof: text(),
            effective: Some("GrantedByRole".to_owned()),
            came_back,
            recheck: Some(Recheck { at: later, found: Again::Unknown(text()) }),
            ..Row::default()
        }
    })
}

fn reports() -> impl Strategy<Value = Evidence> {
    let form = any::<[bool; 3]>().prop_map(|[audit, names, recheck]| Form { audit, names, recheck });
    (prop::collection::vec(row(), 0..4), form).prop_map(|(rows, form)| report(rows, form))
}

/// The cells of a row as CSV should have them.
fn cells(evidence: &Evidence, row: &Row) -> Vec<String> {
    let text = |value: Value| match value {
        Value::Null => String::new(),
        Value::String(text) => cell(&text),
        other => other.to_string(),
    };
    row.cells(evidence.form).into_iter().map(|(_, value)| text(value)).collect()
}

proptest! {
    #[test]
    fn csv_parses_back_to_the_same_rows_without_formulas(evidence in reports()) {
        let text = table::csv(&evidence).unwrap();
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let found: Vec<Vec<String>> =
            reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect();
        let expected: Vec<Vec<String>> = evidence.rows.iter().map(|row| cells(&evidence, row)).collect();
        prop_assert_eq!(&found, &expected);
        let is_number = |cell: &str| cell.parse::<i64>().is_ok();
        for cell in found.iter().flatten().filter(|cell| !is_number(cell)) {
            prop_assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r', '＝', '＋', '－', '＠']), "{cell:?}");
        }
        // A program that takes line ends for ends of rows finds as many.
        prop_assert_eq!(text.lines().count(), evidence.rows.len() + 1);
        let exceptions = table::exceptions(&evidence).unwrap();
        prop_assert_eq!(csv::Reader::from_reader(exceptions.as_bytes()).records().count(), evidence.counts.exceptions);
    }

    #[test]
    fn json_lines_are_the_rows(evidence in reports()) {
        let text = table::json_lines(&evidence).unwrap();
        let found: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        prop_assert_eq!(found.len(), evidence.rows.len());
        for (found, row) in found.iter().zip(&evidence.rows) {
            for (name, value) in row.cells(evidence.form) {
                prop_assert_eq!(&found[name], &value);
            }
        }
    }

    /// No text makes an element, an attribute, or an end of one.
    #[test]
    fn the_page_has_the_elements_of_its_template_alone(evidence in reports()) {
        let page = html::page(&evidence, &[]).unwrap();
        let mut tame = evidence;
        for row in &mut tame.rows {
            for text in [&mut row.uid, &mut row.kind, &mut row.namespace, &mut row.name, &mut row.domain,
                &mut row.item_id, &mut row.verdict, &mut row.message] {
                *text = "a".to_owned();
            }
            row.requested_by = Some("a".to_owned());
            row.recheck = None;
        }
        let of = |page: &str, element: &str| elements(page).into_iter().filter(|name| name == element).count();
        let tame_page = html::page(&tame, &[]).unwrap();
        let elements = ["script", "style", "section", "table", "details", "h1", "h2", "h3", "dl", "body", "html", "head"];
        for element in elements {
            prop_assert_eq!(of(&page, element), of(&tame_page, element), "{}", element);
        }
        prop_assert_eq!(of(&page, "script"), 0);
        prop_assert!(!page.contains(char::is_control) || page.chars().filter(|c| c.is_control()).all(|c| c == '\n'));
    }
}

/// The elements of a page, in order. Panics if one is not ended where it should be, or if a tag is malformed: the
/// template ends every element but those that have no end.
pub fn elements(page: &str) -> Vec<String> {
    const WITHOUT_END: [&str; 2] = ["meta", "!DOCTYPE"];
    let (mut open, mut found) = (Vec::<String>::new(), Vec::new());
    let mut rest = page;
    while let Some(start) = rest.find('<') {
        let end = start + rest[start..].find('>').expect("a tag has an end");
        let tag = &rest[start + 1..end];
        assert!(!tag.contains('<') && tag.matches('"').count().is_multiple_of(2), "{tag:?}");
        rest = &rest[end + 1..];
        match tag.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop().as_deref(), Some(name)),
            None => {
                let name = tag.split_whitespace().next().unwrap_or_default().to_owned();
                assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '!'), "{name:?}");
                if !WITHOUT_END.contains(&name.as_str()) {
                    open.push(name.clone());
                }
                found.push(name);
            }
        }
    }
    assert!(open.is_empty(), "{open:?}");
    found
}
