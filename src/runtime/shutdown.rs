//! The end of the work: calls on their way end, what came of them is written, then everything is dropped.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::dispatch::Dispatcher;
use crate::revocation::ReconcileState;

use super::tasks::Tasks;

/// After the signal to end, this long until everything is dropped; giving up the lease takes at most
/// two seconds more.
const DEADLINE: Duration = Duration::from_secs(8);
/// Writing what came of the last calls may take this long of it.
const WRITE_WITHIN: Duration = Duration::from_secs(2);
/// Reconciles that hang do not keep the process.
const CONTROLLERS_WITHIN: Duration = Duration::from_secs(1);

/// Makes no new calls, and returns once those on their way have ended, or at the deadline. `ending` ends the controllers.
pub(crate) async fn drain(
    mut tasks: Tasks,
    dispatcher: &Dispatcher,
    state: &ReconcileState,
    ending: &CancellationToken,
) {
    info!("ending: calls on their way are finished, no new ones are made");
    let finished = async {
        dispatcher.close().await;
        // Their answers wake the objects, which write them. What is not written is asked again by the next leader.
        let _ = tokio::time::timeout(WRITE_WITHIN, written(dispatcher, state)).await;
        ending.cancel();
        let ended = async { while tasks.controllers.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(CONTROLLERS_WITHIN, ended).await;
    };
    if tokio::time::timeout(DEADLINE, finished).await.is_err() {
        warn!("some work did not end in time and was dropped; it is taken up again at the next start");
    }
    info!("ended");
}

/// Nobody is told when a report was fetched, so it is asked.
async fn written(dispatcher: &Dispatcher, state: &ReconcileState) {
    while dispatcher.unwritten() + state.unwritten() > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
