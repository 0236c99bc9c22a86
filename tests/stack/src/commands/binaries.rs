//! `stack binaries` and `stack locate`: finds or builds all programs, or one, and prints their paths.

use stack::binaries;

use crate::failure::Failure;

use super::print;

/// Prints one line for each program.
pub(crate) fn run() -> Result<(), Failure> {
    let lines = binaries::locate_all()?.into_iter().map(|(name, path)| format!("{name:<16}{}\n", path.display()));
    print(&lines.collect::<String>())
}

/// Prints the path of the program `name`.
pub(crate) fn locate(name: &str) -> Result<(), Failure> {
    print(&format!("{}\n", binaries::locate(name)?.display()))
}
