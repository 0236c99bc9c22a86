//! `stack binaries`: find or build everything, and print where it is.

use stack::binaries;

use crate::failure::Failure;

use super::print;

/// Prints one line for each program.
pub(crate) fn run() -> Result<(), Failure> {
    let lines = binaries::locate_all()?.into_iter().map(|(name, path)| format!("{name:<16}{}\n", path.display()));
    print(&lines.collect::<String>())
}
