//! The commands for people, run by the real kubectl as its plugin, against a real API server and the stand-in for
//! Auth0. What they print is compared with the files in `golden`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, missing_docs, reason = "tests")]

mod beginner;
mod buttons;
mod check;
mod commands_in_docs;
mod completion;
mod evidence;
mod krew;
mod large;
mod manners;
mod new;
mod oracle;
mod person;
mod plan;
mod rights;
mod status;
mod support;
mod terminal;
mod version;
mod why;
mod why_oracle;

#[path = "../e2e/fault_injector.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod fault_injector;
#[path = "../shared/fixtures.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod fixtures;
#[path = "../shared/generated.rs"]
mod generated_file;
#[path = "../e2e/harness.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod harness;
#[path = "../e2e/process.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod process;
