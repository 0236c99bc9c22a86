//! `stack down`: ends the stack that `stack up` started, and removes its folder.

use std::path::PathBuf;

use crate::background::Home;
use crate::failure::Failure;

use super::print;

/// Ends the owner and with it the whole stack. Does nothing if no stack runs.
pub(crate) fn run(dir: Option<PathBuf>) -> Result<(), Failure> {
    let home = Home::new(dir);
    if home.clear()? {
        print(&format!("The stack is down; {} is removed.\n", home.dir().display()))
    } else {
        print("Nothing is up.\n")
    }
}
