//! Notices that the wall clock was set. The times in specs are of the wall clock, but what waits for them sleeps by the
//! monotonic clock, which a suspended machine does not even advance.

use std::sync::Arc;
use std::time::Duration;

use tracing::info;

use crate::clock;

use super::tenants::TenantController;

/// How often both clocks are compared.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A smaller difference is no jump.
const JUMP: Duration = Duration::from_millis(500);

/// Reconciles every tenant and every unsettled removal after each jump of the wall clock; never returns.
pub(crate) async fn follow_clock(controller: Arc<TenantController>) {
    loop {
        let (wall, steady) = (clock::wall(), clock::steady());
        tokio::time::sleep(LOOK_EVERY).await;
        let elapsed = clock::steady().saturating_duration_since(steady);
        let expected = wall + elapsed;
        let jump = clock::wall().duration_since(expected);
        if jump.unsigned_abs() > JUMP {
            info!(seconds = jump.as_secs_f64(), "the wall clock was set; what waits for a time is looked at again");
            controller.enqueue(controller.tenants.with_secrets_in(None));
            controller.dependents.wake_all();
        }
    }
}
