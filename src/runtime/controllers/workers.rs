//! The workers of a workqueue.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::runtime::cache::Key;

use super::workqueue::WorkQueue;

/// Runs `reconcile` for the keys in `queue`, at most `workers` at a time, until `ended`; reconciles in hand are
/// finished. `reconcile` returns the pause after which the same key is queued again if nothing queues it before.
pub(crate) async fn work<F>(
    queue: Arc<WorkQueue>,
    workers: usize,
    ended: CancellationToken,
    reconcile: impl Fn(Key) -> F + Clone + Send + 'static,
) where
    F: Future<Output = Option<Duration>> + Send,
{
    let mut tasks = JoinSet::new();
    let timers = queue.clone();
    tasks.spawn(ended.clone().run_until_cancelled_owned(async move { timers.run_timers().await }));
    for _ in 0..workers {
        let (queue, ended, reconcile) = (queue.clone(), ended.clone(), reconcile.clone());
        tasks.spawn(async move {
            while let Some(key) = ended.run_until_cancelled(queue.next()).await {
                let pause = reconcile(key.clone()).await;
                queue.done(key, pause);
            }
            None
        });
    }
    // A worker that ends by itself is a bug. Returning lets the leader notice and exit (`runtime::Error::Broken`).
    while let Some(Ok(_)) = tasks.join_next().await {
        if !ended.is_cancelled() {
            return;
        }
    }
}
