//! The errors of the commands, each a plain sentence that says what to do.

use std::io;
use std::path::{Path, PathBuf};

/// Why a command ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The control plane, or the operating system.
    #[error(transparent)]
    Stack(#[from] stack::Error),
    /// A command that was shown to the user failed.
    #[error("this failed ({status}):\n$ {command}\n{output}")]
    Command {
        /// As it was shown.
        command: String,
        /// How it ended.
        status: String,
        /// Its output.
        output: String,
    },
    /// `cargo build` of the operator and the fake Auth0 failed.
    #[error("cargo could not build the operator and the fake Auth0 ({status}); its own words are above")]
    Cargo {
        /// How it ended.
        status: String,
    },
    /// The operator or the fake Auth0 is not where cargo puts it.
    #[error("{} is missing, although cargo built it; run this with `make` or `cargo run --package stack`", path.display())]
    NoProgram {
        /// Where it should be.
        path: PathBuf,
    },
    /// The fake Auth0 did not start, or gave an answer that cannot be understood.
    #[error("the fake Auth0 {problem}")]
    FakeAuth0 {
        /// What happened.
        problem: String,
    },
    /// The tenant does not hold the expected relations at the end.
    #[error("{removed} of {wanted} things are gone from the fake tenant, see the table above")]
    NotRemoved {
        /// How many are gone.
        removed: usize,
        /// How many should be.
        wanted: usize,
    },
    /// The removal that got a 429 was not repeated exactly once, with success.
    #[error("expected one removal answered 429 and one answered 204, not: {calls}")]
    NotRepeated {
        /// The calls, as they were shown.
        calls: String,
    },
    /// Something was removed before the brake was released, or not exactly all of it afterwards.
    #[error("expected no removal before the release of the brake and {wanted} answered 204 after it, not: {calls}")]
    NotBraked {
        /// How many should be.
        wanted: usize,
        /// The calls, as they were shown.
        calls: String,
    },
    /// A process of the stack ended by itself.
    #[error("{program} ended by itself ({status})")]
    Ended {
        /// Which.
        program: &'static str,
        /// How.
        status: String,
    },
    /// Another process is starting or stopping the stack.
    #[error("another process is bringing the stack up or down right now ({}); try again in a moment", dir.display())]
    Busy {
        /// The stack's folder.
        dir: PathBuf,
    },
    /// The process in the background ended before the stack was up.
    #[error("the stack did not come up:\n{log}")]
    NotUp {
        /// The end of its log.
        log: String,
    },
    /// The process in the background does not end.
    #[error("process {pid} was told to end and still runs after 10 s; look at it with: ps -fp {pid}")]
    StillUp {
        /// Its id.
        pid: u32,
    },
    /// Another failure, with the end of the operator's log.
    #[error("{failure}\n\nThe operator {state}; its last log lines:\n{lines}")]
    WithLog {
        /// What happened.
        failure: Box<Self>,
        /// Whether the operator runs.
        state: String,
        /// The end of its log.
        lines: String,
    },
}

impl Failure {
    /// Wraps an error of the operating system with what was tried on which path, for `map_err`.
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Stack(stack::Error::Io { doing, path: path.to_owned(), source })
    }
}

/// The last lines of a log; nothing if there is none.
pub(crate) fn last_lines(log: &Path) -> String {
    const LINES: usize = 15;
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}
