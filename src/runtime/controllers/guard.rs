//! The guard around every reconcile: whatever happens to one object delays that object alone.
//!
//! With kube's `Controller`, one reconcile that panics ends the whole controller. Here a panic is caught and counted,
//! and the object is retried like after an error. kube's client has no read timeout, so a reconcile also has a
//! deadline. Retries back off per object.

use std::collections::HashMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::FutureExt;
use kube::ResourceExt;
use tracing::warn;

use crate::sync::lock;
use crate::telemetry::failure::Failure;
use crate::telemetry::metrics::{Metrics, Reconciles};
use crate::telemetry::traces::Traces;

/// Ample: a reconcile makes a few calls to the API server and none to Auth0.
const RECONCILE_DEADLINE: Duration = Duration::from_secs(60);
const INITIAL_BACKOFF: Duration = Duration::from_millis(500);
const MAX_BACKOFF: Duration = Duration::from_secs(300);

/// Guards the reconciles of one kind. Clones share the state.
#[derive(Clone)]
pub(crate) struct ReconcileGuard {
    /// Failures in a row, by uid.
    failures: Arc<Mutex<HashMap<String, u32>>>,
    kind: &'static str,
    reconciles: Reconciles,
    traces: Traces,
}

impl ReconcileGuard {
    /// For objects of `kind`. Every reconcile is counted in `metrics` and traced.
    pub(crate) fn new(kind: &'static str, metrics: &Metrics, traces: Traces) -> Self {
        Self { failures: Arc::default(), kind, reconciles: metrics.reconciles(kind), traces }
    }

    /// Runs one reconcile of `object`. Returns what it returns; after a failure, the pause before the next one.
    pub(crate) async fn run<K, T, E>(
        &self,
        object: &K,
        reconcile: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Duration>
    where
        K: ResourceExt,
        E: std::fmt::Display,
    {
        let uid = object.uid().unwrap_or_default();
        let began = Instant::now();
        let guarded = tokio::time::timeout(RECONCILE_DEADLINE, AssertUnwindSafe(reconcile).catch_unwind());
        let (failure, problem) = match guarded.await {
            Ok(Ok(Ok(done))) => {
                self.reconciles.ended(began.elapsed(), None);
                self.traces.reconciled(self.kind, object, began.elapsed(), None);
                lock(&self.failures).remove(&uid);
                return Ok(done);
            }
            Ok(Ok(Err(error))) => (Failure::Error, error.to_string()),
            // The panic's message is not logged, because it may contain anything (promise 6).
            Ok(Err(_)) => (Failure::Panic, "it panicked, which is a bug in rescind; please report it".to_owned()),
            Err(_) => (Failure::Timeout, format!("it took longer than {RECONCILE_DEADLINE:?}")),
        };
        self.reconciles.ended(began.elapsed(), Some(failure));
        self.traces.reconciled(self.kind, object, began.elapsed(), Some(failure));
        let failures = {
            let mut failures = lock(&self.failures);
            let count = failures.entry(uid.clone()).or_default();
            *count = count.saturating_add(1);
            *count
        };
        let pause = backoff(failures, fastrand::f64());
        let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
        let generation = object.meta().generation;
        warn!(%namespace, %name, uid, generation, failures, ?pause, "reconcile failed: {problem}");
        Err(pause)
    }

    /// Drops what is remembered of an object that is gone or needs no reconcile any more.
    pub(crate) fn forget(&self, uid: &str) {
        lock(&self.failures).remove(uid);
    }
}

/// The pause after this many failures in a row, at least one; up to a fifth longer by `jitter`, from 0 to 1.
fn backoff(failures: u32, jitter: f64) -> Duration {
    let doubled = INITIAL_BACKOFF.saturating_mul(1 << failures.saturating_sub(1).min(16));
    doubled.min(MAX_BACKOFF).mul_f64(1.0 + 0.2 * jitter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::readiness::Readiness;
    use k8s_openapi::api::core::v1::ConfigMap;

    #[tokio::test]
    async fn a_panic_or_an_error_is_retried_with_growing_backoff() {
        let metrics = Metrics::new(Readiness::default());
        let guard = ReconcileGuard::new("Test", &metrics, Traces::default());
        let object = ConfigMap::default();
        let panic = async { panic!("canary") };
        assert!(guard.run::<_, (), String>(&object, panic).await.is_err());
        for _ in 0..3 {
            assert!(guard.run::<_, (), _>(&object, async { Err("no") }).await.is_err());
        }
        assert_eq!(lock(&guard.failures).get(""), Some(&4));
        assert_eq!(guard.run::<_, _, String>(&object, async { Ok(5) }).await, Ok(5));
        assert!(lock(&guard.failures).is_empty());
        let text = metrics.text();
        for (cause, count) in [("panic", 1), ("error", 3), ("timeout", 0)] {
            let line = format!("rescind_reconcile_errors_total{{kind=\"Test\",cause=\"{cause}\"}} {count}");
            assert!(text.lines().any(|found| found == line), "no {line} in {text}");
        }
        assert!(text.contains("rescind_reconcile_duration_seconds_count{kind=\"Test\"} 5"), "{text}");
        assert!(backoff(2, 0.0) == backoff(1, 0.0) * 2 && backoff(40, 1.0) <= MAX_BACKOFF * 2);
    }
}
