//! The documentation, held against itself and against the code: links, paths, cited sections, commands, and every name in
//! code font.
//!
//! Three directions are held elsewhere: the chart's values and its README by `--test chart generated`, the table of
//! metrics by `--test e2e numbers_are_right`, a section for each reason and alert by `--test e2e runbooks_are_there`.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

mod commands;
mod fields;
mod links;
mod markdown;
mod names;
mod repository;
