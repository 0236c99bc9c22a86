//! The subcommands, a file each.

pub(crate) mod binaries;
pub(crate) mod control_plane;
pub(crate) mod demo;
pub(crate) mod down;
pub(crate) mod up;

use std::io::{self, Write};
use std::path::Path;

use crate::failure::Failure;

/// Prints to standard output and flushes it, for pipes.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(Failure::io("write to", Path::new("standard output")))
}
