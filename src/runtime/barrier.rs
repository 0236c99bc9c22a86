//! Around every reconcile: a panic, an error or a hang of one object is that object's alone.
//!
//! A panic would end the whole controller (rust-toolbox.md section 7, trap 1); kube's retries and missing read timeout
//! can hang a call for minutes (trap 8); and kube keeps no count of failures per object.

use std::collections::HashMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use kube::ResourceExt;
use kube::runtime::controller::Action;
use thiserror::Error;
use tracing::warn;

/// A reconcile makes at most a few calls to the API server.
const RECONCILE_DEADLINE: Duration = Duration::from_secs(60);
const FIRST_RETRY: Duration = Duration::from_millis(500);
const LAST_RETRY: Duration = Duration::from_secs(300);

/// Never made: the barrier turns errors into pauses. kube wants a type.
#[derive(Debug, Error)]
pub(super) enum Never {}

/// Failures in a row, by uid.
#[derive(Clone, Default)]
pub(super) struct Barrier(Arc<Mutex<HashMap<String, u32>>>);

impl Barrier {
    /// Runs one reconcile of `object`; whatever happens to it, an action comes back.
    pub(super) async fn guard<K, E>(
        &self,
        object: &K,
        reconcile: impl Future<Output = Result<Action, E>>,
    ) -> Result<Action, Never>
    where
        K: ResourceExt,
        E: std::fmt::Display,
    {
        let uid = object.uid().unwrap_or_default();
        let guarded = tokio::time::timeout(RECONCILE_DEADLINE, AssertUnwindSafe(reconcile).catch_unwind());
        let problem = match guarded.await {
            Ok(Ok(Ok(action))) => {
                self.failures().remove(&uid);
                return Ok(action);
            }
            Ok(Ok(Err(error))) => error.to_string(),
            // The panic's own words are not shown: they may hold anything.
            Ok(Err(_)) => "it panicked, which is a bug in rescind; please report it".to_owned(),
            Err(_) => format!("it took longer than {RECONCILE_DEADLINE:?}"),
        };
        let failures = {
            let mut failures = self.failures();
            let count = failures.entry(uid).or_default();
            *count = count.saturating_add(1);
            *count
        };
        let pause = pause(failures, fastrand::f64());
        let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
        warn!(%namespace, %name, failures, ?pause, "reconcile failed: {problem}");
        Ok(Action::requeue(pause))
    }

    /// The object is gone.
    pub(super) fn forget(&self, uid: &str) {
        self.failures().remove(uid);
    }

    fn failures(&self) -> std::sync::MutexGuard<'_, HashMap<String, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn pause(failures: u32, jitter: f64) -> Duration {
    let doubled = FIRST_RETRY.saturating_mul(1 << failures.saturating_sub(1).min(16));
    doubled.min(LAST_RETRY).mul_f64(1.0 + 0.2 * jitter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ConfigMap;

    #[tokio::test]
    async fn a_panic_or_an_error_becomes_a_growing_pause() {
        let barrier = Barrier::default();
        let object = ConfigMap::default();
        let panic = async { panic!("canary") };
        let first = barrier.guard::<_, String>(&object, panic).await.unwrap();
        assert_ne!(first, Action::await_change());
        for _ in 0..3 {
            barrier.guard(&object, async { Err::<Action, _>("no") }).await.unwrap();
        }
        assert_eq!(barrier.failures().get(""), Some(&4));
        barrier.guard::<_, String>(&object, async { Ok(Action::await_change()) }).await.unwrap();
        assert!(barrier.failures().is_empty());
        assert!(pause(2, 0.0) == pause(1, 0.0) * 2 && pause(40, 1.0) <= LAST_RETRY * 2);
    }
}
