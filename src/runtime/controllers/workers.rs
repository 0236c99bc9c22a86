//! Works off a queue, several names at a time.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::runtime::cache::Key;

use super::workqueue::WorkQueue;

/// Hands what is in `queue` to `reconcile`, `workers` at a time, until `ended`; what is being worked on then is finished.
/// `reconcile` says after which pause it wants to see the same name again, if nothing wakes it.
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
    // One that ends before it is told to is a bug, and whoever waits for all of this has to learn of it.
    while let Some(Ok(_)) = tasks.join_next().await {
        if !ended.is_cancelled() {
            return;
        }
    }
}
