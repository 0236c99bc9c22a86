//! `stack down`: ends what `stack up` left running, and removes its folder.

use std::path::PathBuf;

use crate::background::Home;
use crate::failure::Failure;

use super::print;

/// Ends the owner, and with it everything; harmless when nothing runs.
pub(crate) fn run(dir: Option<PathBuf>) -> Result<(), Failure> {
    let home = Home::new(dir);
    if home.clear()? {
        print(&format!("The stack is down; {} is removed.\n", home.dir().display()))
    } else {
        print("Nothing is up.\n")
    }
}
