//! Graceful shutdown of a leader: no new calls, the calls in flight end, their results are written to status, then
//! everything is dropped.
//!
//! kube's graceful shutdown waits for reflector stores that may never become ready, as when a CRD is missing, and then
//! never ends. Hence the deadlines.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::dispatch::Dispatcher;
use crate::revocation::ReconcileState;

use super::tasks::Tasks;

/// Everything is dropped this long after the shutdown began. Giving up the lease takes at most two seconds more.
const DEADLINE: Duration = Duration::from_secs(8);
/// The part of it that status writes of the last results may take.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);
/// The part of it that reconciles may still take then. One that hangs must not keep the process.
const CONTROLLERS_TIMEOUT: Duration = Duration::from_secs(1);

/// Sends nothing new to Auth0, and returns once the calls in flight have ended and are written, or at the deadline.
/// Cancels `ending`, which ends the controllers.
pub(crate) async fn drain(
    mut tasks: Tasks,
    dispatcher: &Dispatcher,
    state: &ReconcileState,
    ending: &CancellationToken,
) {
    info!("shutting down: finishing the calls in flight, sending no new ones");
    let finished = async {
        dispatcher.close().await;
        // Answers wake their objects, and the reconciles write them. The next leader repeats what was not written.
        let _ = tokio::time::timeout(WRITE_TIMEOUT, written(dispatcher, state)).await;
        ending.cancel();
        let ended = async { while tasks.controllers.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(CONTROLLERS_TIMEOUT, ended).await;
    };
    if tokio::time::timeout(DEADLINE, finished).await.is_err() {
        warn!("some work did not end in time and was dropped; it is resumed at the next start");
    }
    info!("shut down");
}

/// Returns when every result is written. Nothing notifies of that, so it is polled.
async fn written(dispatcher: &Dispatcher, state: &ReconcileState) {
    while dispatcher.unwritten() + state.unwritten() > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
