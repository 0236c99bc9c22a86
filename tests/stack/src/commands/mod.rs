//! The subcommands, a file each.

pub(crate) mod binaries;
pub(crate) mod control_plane;

use std::io::{self, Write};
use std::path::Path;

use stack::Error;

/// Prints to standard output at once, also when it is a pipe.
pub(crate) fn print(text: &str) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|source| Error::Io { doing: "write to", path: Path::new("standard output").to_owned(), source })
}
