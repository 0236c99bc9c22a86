//! A report as CSV and as lines of JSON. Pure.

use serde::Serialize;
use serde_json::Value;

use crate::cli::error::CliError;
use crate::cli::texts::cell;

use super::columns::{Cells, Form};
use super::report::{Completeness, Counts, Evidence, Origin, SCHEMA_VERSION};
use super::row::Row;

/// All removals as CSV.
pub fn csv(evidence: &Evidence) -> Result<String, CliError> {
    table(evidence.form, evidence.rows.iter().map(|row| (None, row)), false)
}

/// Those that somebody should look at as CSV, with why in the first column.
pub fn exceptions(evidence: &Evidence) -> Result<String, CliError> {
    let rows = evidence.rows.iter().map(|row| (Some(row.exceptions().join("; ")), row));
    table(evidence.form, rows.filter(|(why, _)| why.as_ref().is_some_and(|why| !why.is_empty())), true)
}

/// All removals, one JSON object a line.
pub fn json_lines(evidence: &Evidence) -> Result<String, CliError> {
    let mut out = String::new();
    for row in &evidence.rows {
        out += &serde_json::to_string(&cells(evidence.form, row)).map_err(failed)?;
        out.push('\n');
    }
    Ok(out)
}

/// Everything as one JSON document.
pub fn json(evidence: &Evidence) -> Result<String, CliError> {
    let Evidence { rows, form, counts, completeness, origin } = evidence;
    let removals = rows.iter().map(|row| cells(*form, row)).collect();
    let document = Document { schema_version: SCHEMA_VERSION, origin, counts, completeness, removals };
    Ok(serde_json::to_string_pretty(&document).map_err(failed)? + "\n")
}

/// The document of `-o json`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    schema_version: u32,
    #[serde(flatten)]
    origin: &'a Origin,
    counts: &'a Counts,
    completeness: &'a Completeness,
    removals: Vec<Cells>,
}

fn cells(form: Form, row: &Row) -> Cells {
    let mut cells = row.cells(form);
    cells.push(("exceptions", Value::from(row.exceptions())));
    Cells(cells)
}

fn failed(error: impl std::fmt::Display) -> CliError {
    CliError::failed(format!("the report cannot be written ({error})"))
}

fn table<'a>(
    form: Form,
    rows: impl Iterator<Item = (Option<String>, &'a Row)>,
    has_exception: bool,
) -> Result<String, CliError> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let names = Row::default().cells(form).into_iter().map(|(name, _)| name);
    let header = has_exception.then_some("exception").into_iter().chain(names);
    writer.write_record(header).map_err(failed)?;
    for (exception, row) in rows {
        let cells = row.cells(form).into_iter().map(|(_, value)| text(&value));
        let record = exception.map(|why| cell(&why)).into_iter().chain(cells);
        writer.write_record(record).map_err(failed)?;
    }
    let bytes = writer.into_inner().map_err(failed)?;
    String::from_utf8(bytes).map_err(failed)
}

/// A value as a cell: nothing for what is missing, and no formula.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => cell(text),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}
