//! The codes of the audit log are those of docs/audit.md, and so are its fields.

use rescind::telemetry::Code;

use crate::repository::{page, read};

fn cells(row: &str) -> Vec<String> {
    row.trim_matches('|').split(" | ").map(|cell| cell.trim().trim_matches('`').to_owned()).collect()
}

#[test]
fn the_table_has_each_code_of_the_audit_log() {
    let rows: Vec<Vec<String>> = page("docs/audit.md").rows.iter().map(|row| cells(row)).collect();
    let found: Vec<_> = rows.iter().filter(|cells| cells[0].starts_with("RSA")).map(|cells| &cells[..3]).collect();
    let expected: Vec<_> = Code::ALL.iter().map(|code| [code.as_str(), code.verdict(), code.message()]).collect();
    assert_eq!(found, expected);
}

/// Every field that the program writes is in the table of fields, and the other way round.
#[test]
fn the_table_has_each_field_of_the_audit_log() {
    let code = read("src/telemetry/audit_log.rs");
    let (_, named) = code.split_once("code.message(), line:").expect("the fields");
    let (named, _) = named.split_once(')').unwrap();
    let mut expected: Vec<&str> = named.split([' ', ';', '\n']).filter(|word| !word.is_empty()).collect();
    expected.sort_unstable();
    let page = page("docs/audit.md");
    let fields = page.rows.iter().take_while(|row| !row.contains("RSA001I")).filter(|row| row.starts_with("| `"));
    let mut found: Vec<String> = fields
        .flat_map(|row| row.split(" | ").next().unwrap().split('`').skip(1).step_by(2).map(str::to_owned))
        .collect();
    found.sort_unstable();
    // For ids in a path that no kind of this version has.
    expected.retain(|field| *field != "other_ids");
    assert_eq!(found, expected);
}
