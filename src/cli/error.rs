//! Why a command cannot go on, told apart by what the caller must do.

use thiserror::Error;

/// Why a command ends without having done what it was asked for. The text is for the person at the terminal and names
/// the remedy.
#[derive(Debug, Error)]
pub enum CliError {
    /// The command line is wrong: correct it. The exit code is 2.
    #[error("{0}")]
    Usage(String),
    /// It could not be done: do what the text says, then run the command again. The exit code is 1.
    #[error("{0}")]
    Failed(String),
}

impl CliError {
    /// [`Self::Failed`] with this text.
    pub(super) fn failed(text: impl Into<String>) -> Self {
        Self::Failed(text.into())
    }

    /// [`Self::Usage`] with this text.
    pub(super) fn usage(text: impl Into<String>) -> Self {
        Self::Usage(text.into())
    }
}
