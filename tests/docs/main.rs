//! Checks the documentation against itself and against the code: links, paths, cited sections, commands, and every name
//! in code font.
//!
//! Other suites check more: every manifest and the syntax of every command (`--test chart manifests_in_docs`), what the
//! commands do (`--test e2e docs_`, `--test chart commands_in_docs` and `--test cli commands_in_docs`; `shell.rs` has the
//! list), the chart's values and its README (`--test chart generated`), the table of metrics (`--test e2e
//! numbers_are_right`), and a section for each reason and alert (`--test e2e every_reason_and_alert`).

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

mod audit;
mod checks;
mod commands;
mod decisions;
mod fields;
mod links;
mod markdown;
mod names;
mod repository;
mod shell;

#[path = "../shared/generated.rs"]
mod generated_file;
