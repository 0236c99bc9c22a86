//! The tasks of a leader.

use tokio::task::JoinSet;

/// What runs.
#[derive(Default)]
pub(crate) struct Tasks {
    /// They end by themselves after the signal, and what they are doing is worth waiting for.
    pub(crate) controllers: JoinSet<()>,
    /// They serve the controllers and are dropped after them.
    pub(crate) services: JoinSet<()>,
}
