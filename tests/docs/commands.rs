//! Flags and commands.

use std::collections::BTreeSet;
use std::process::Command;

use crate::markdown::{Page, words};
use crate::repository::{assert_none, page, pages, read, sources};

/// A flag as `--help` describes it.
#[derive(Debug, PartialEq)]
struct Flag {
    name: String,
    variable: String,
    default: Option<String>,
}

fn flags() -> Vec<Flag> {
    let output = Command::new(env!("CARGO_BIN_EXE_rescind")).args(["run", "--help"]).output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let mut flags = Vec::new();
    let mut parts = help.split("\n      --").skip(1);
    for part in &mut parts {
        let name = words(part, |c| c.is_alphanumeric() || c == '-').next().unwrap();
        let within = |mark: &str| Some(part.split_once(mark)?.1.split_once(']')?.0.to_owned());
        let variable = within("[env: ").map(|text| text.trim_end_matches('=').to_owned()).unwrap_or_default();
        flags.push(Flag { name: format!("--{name}"), variable, default: within("[default: ") });
    }
    assert!(flags.len() >= 8, "{help}");
    flags
}

fn cells(row: &str) -> Vec<String> {
    row.trim_matches('|').split(" | ").map(|cell| cell.trim().trim_matches('`').to_owned()).collect()
}

/// The table has exactly the flags, variables and defaults of the program, and its values of the chart exist.
#[test]
fn the_table_of_flags_is_that_of_the_program() {
    let flags = flags();
    let rows: Vec<Vec<String>> = page("docs/configuration.md").rows.iter().map(|row| cells(row)).collect();
    let rows: Vec<_> =
        rows.into_iter().filter(|cells| cells[0].starts_with("--") && !cells[0].ends_with('-')).collect();
    let named: Vec<&str> = rows.iter().map(|cells| &*cells[0]).collect();
    assert_eq!(named, flags.iter().map(|flag| &*flag.name).collect::<Vec<_>>());
    let mut findings = Vec::new();
    for (flag, cells) in flags.iter().zip(&rows) {
        if cells[1] != flag.variable || flag.default.as_ref().is_some_and(|default| *default != cells[2]) {
            findings.push(format!("{flag:?} is not {cells:?}"));
        }
    }
    assert_none(&findings);
}

/// Every value of the chart that a page names exists, and so does every flag of the program.
#[test]
fn values_in_code_font_exist() {
    let values: BTreeSet<String> =
        page("charts/rescind/README.md").rows.iter().map(|row| cells(row)[0].clone()).collect();
    let groups: BTreeSet<&str> = values.iter().filter_map(|value| Some(value.split_once('.')?.0)).collect();
    assert!(groups.len() >= 5);
    let mut findings = Vec::new();
    for page in pages().iter().filter(|page| !page.path.starts_with("tests/")) {
        for span in &page.spans {
            let path = words(span, |c| c.is_alphanumeric() || c == '.').next().unwrap_or_default();
            let is_value =
                path.split_once('.').is_some_and(|(group, _)| groups.contains(group)) && span.starts_with(path);
            let covers = |value: &String| path == value || path.starts_with(&format!("{value}."));
            if is_value && !values.iter().any(covers) && !values.iter().any(|value| value.starts_with(path)) {
                findings.push(format!("{}: the chart has no value {path}", page.path));
            }
        }
    }
    assert_none(&findings);
}

#[test]
fn make_targets_in_the_pages_exist() {
    let makefile = read("Makefile");
    let targets: BTreeSet<&str> = makefile.lines().filter_map(|line| Some(line.split_once(':')?.0)).collect();
    let mut findings = Vec::new();
    for page in pages() {
        for target in page.in_code_font().filter_map(|code| code.strip_prefix("make ")) {
            let target = target.split(' ').next().unwrap();
            if !targets.contains(target) {
                findings.push(format!("{}: there is no target {target}", page.path));
            }
        }
    }
    assert_none(&findings);
}

/// Every `cargo test … NAME` and `tests/mutants.sh NAME` selects something.
#[test]
fn tests_and_mutants_in_the_pages_exist() {
    let tests: String = sources(&["src", "tests"]).into_iter().map(|(_, text)| text).collect();
    let mutants = read("tests/mutants.sh");
    let mut findings = Vec::new();
    for page in pages().iter().filter(|page| !page.path.starts_with("tests/fake-auth0")) {
        findings
            .extend(unknown(page, "cargo test ", |name| name.contains('_') && !tests.contains(&named(&tests, name))));
        findings.extend(unknown(page, "tests/mutants.sh ", |name| {
            name.starts_with(|c: char| c.is_ascii_digit()) && !mutants.contains(&format!("\nmutant {name} "))
        }));
    }
    assert_none(&findings);
}

/// The source text of a test whose name contains `name`; a text that occurs nowhere if there is none.
fn named(tests: &str, name: &str) -> String {
    let functions = tests.match_indices("fn ").filter_map(|(at, _)| tests[at..].split_once('(').map(|(head, _)| head));
    functions
        .into_iter()
        .find(|head| head.contains(name))
        .map_or_else(|| format!("fn {name} is nowhere"), str::to_owned)
}

/// The last words of such commands on a page that `is_wrong` reports.
fn unknown(page: &Page, command: &str, is_wrong: impl Fn(&str) -> bool) -> Vec<String> {
    let lines = page.in_code_font().filter_map(|code| Some(code.split_once(command)?.1));
    let names =
        lines.filter_map(|rest| rest.split(" #").next()?.split_whitespace().rfind(|word| !word.starts_with('-')));
    names.filter(|name| is_wrong(name)).map(|name| format!("{}: {command}{name} finds nothing", page.path)).collect()
}
