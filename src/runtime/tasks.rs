//! The tasks of a leader, in the two groups that a shutdown treats differently.

use tokio::task::JoinSet;

/// Tasks that run until the leader shuts down. One that ends before is a bug.
#[derive(Default)]
pub(crate) struct Tasks {
    /// Workers. They end by themselves after the cancellation, once the reconciles in hand are done.
    pub(crate) controllers: JoinSet<()>,
    /// Watches and queues that the controllers need. They are dropped after the controllers have ended.
    pub(crate) services: JoinSet<()>,
}
