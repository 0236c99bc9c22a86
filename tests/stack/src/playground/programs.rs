//! Finds the operator and the fake Auth0 beside this program, where cargo puts all three.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::Failure;

/// The checkout this program was compiled from.
pub(crate) fn repository() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here)
}

/// The folder with `rescind` and `fake-auth0`. Builds them if they are missing; `make` has built them before.
pub(crate) fn folder() -> Result<PathBuf, Failure> {
    let own = env::current_exe().map_err(Failure::io("find", Path::new("this program")))?;
    let folder = own.parent().unwrap_or(&own).to_owned();
    if missing(&folder).is_some() {
        build()?;
    }
    match missing(&folder) {
        Some(path) => Err(Failure::NoProgram { path }),
        None => Ok(folder),
    }
}

fn missing(folder: &Path) -> Option<PathBuf> {
    ["rescind", "fake-auth0"].into_iter().map(|name| folder.join(name)).find(|path| !path.is_file())
}

fn build() -> Result<(), Failure> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(&cargo);
    command.args(["build", "--package", "rescind", "--package", "fake-auth0", "--bins"]).current_dir(repository());
    let status = command.status().map_err(Failure::io("run", Path::new(&cargo)))?;
    if status.success() { Ok(()) } else { Err(Failure::Cargo { status: status.to_string() }) }
}
