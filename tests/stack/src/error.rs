//! The errors of this crate, each a plain sentence that says what to do.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why a program could not be found, built, started or used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No entry of the table of tools has this program.
    #[error("no tool named {name} is known; add it to tests/stack/src/tools.rs and tests/tools")]
    UnknownProgram {
        /// The requested name.
        name: String,
    },
    /// There is no Go on this machine, and the program was not built before.
    #[error(
        "cannot build {program}: `go` was not found; install Go {needed} or newer, or set KUBEBUILDER_ASSETS to a folder that holds {program}"
    )]
    GoMissing {
        /// The program that was to be built.
        program: &'static str,
        /// The oldest Go that can build it.
        needed: String,
    },
    /// The Go on this machine is older than the program requires.
    #[error(
        "cannot build {program} with {found}; install Go {needed} or newer, or set KUBEBUILDER_ASSETS to a folder that holds {program}"
    )]
    GoTooOld {
        /// The program that was to be built.
        program: &'static str,
        /// The version that `go` reports.
        found: String,
        /// The oldest Go that can build it.
        needed: String,
    },
    /// A `go.mod` under `tests/tools` lacks an entry.
    #[error("{}: {missing} is missing", path.display())]
    GoMod {
        /// The file.
        path: PathBuf,
        /// The missing entry.
        missing: String,
    },
    /// `go build` failed.
    #[error("building {program} failed ({status}); the whole log is {}, it ends with:\n{tail}", log.display())]
    Build {
        /// The program that was to be built.
        program: &'static str,
        /// How `go` ended.
        status: String,
        /// Where its output is.
        log: PathBuf,
        /// The last lines of its output.
        tail: String,
    },
    /// A process of the control plane ended by itself.
    #[error("{program} ended by itself ({status}); the whole log is {}, it ends with:\n{tail}", log.display())]
    Ended {
        /// Which process.
        program: &'static str,
        /// How it ended.
        status: String,
        /// Where its output is.
        log: PathBuf,
        /// The last lines of its output.
        tail: String,
    },
    /// A process of the control plane did not become ready in time.
    #[error("{program} was not ready after {} s; the whole log is {}, it ends with:\n{tail}", after.as_secs(), log.display())]
    NotReady {
        /// Which process.
        program: &'static str,
        /// How long it was waited for.
        after: Duration,
        /// Where its output is.
        log: PathBuf,
        /// The last lines of its output.
        tail: String,
    },
    /// kubectl failed.
    #[error("kubectl {args} failed: {stderr}")]
    Kubectl {
        /// Its arguments.
        args: String,
        /// Its standard error.
        stderr: String,
    },
    /// No free port was found on loopback.
    #[error("no free port was found on 127.0.0.1 between {from} and {to}")]
    NoFreePort {
        /// The lowest port tried.
        from: u16,
        /// The first port not tried.
        to: u16,
    },
    /// The key pair for service account tokens could not be made.
    #[error("the key for service account tokens could not be made: {0}")]
    Key(#[from] rcgen::Error),
    /// The API server's certificate file holds no certificate.
    #[error("{} holds no certificate", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// The operating system returned an error.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        doing: &'static str,
        /// On which file or program.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}

impl Error {
    /// Wraps an error of the operating system with what was tried on which path, for `map_err`.
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, path: path.to_owned(), source }
    }
}
