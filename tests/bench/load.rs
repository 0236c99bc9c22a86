//! Many requests at once, and watching until objects are finished.

use std::collections::HashSet;
use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt};
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::{Api, ResourceExt};
use rescind::api::{ConditionType, UserRoleRevocation};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Requests at once: as many as the operator makes by default.
pub const CONCURRENCY: usize = 16;
/// Longest all of a phase's objects are waited for.
const PATIENCE: Duration = Duration::from_secs(240);

/// Does `work` for each number; what it yields comes back in order.
pub async fn for_each<T, F>(numbers: Range<usize>, work: impl Fn(usize) -> F + Clone + Send + 'static) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send,
{
    let next = Arc::new(AtomicUsize::new(numbers.start));
    let mut workers = JoinSet::new();
    for _ in 0..CONCURRENCY {
        let (next, work, end) = (next.clone(), work.clone(), numbers.end);
        workers.spawn(async move {
            let mut done = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= end {
                    return done;
                }
                done.push((number, work(number).await));
            }
        });
    }
    let mut all: Vec<(usize, T)> = workers.join_all().await.into_iter().flatten().collect();
    all.sort_by_key(|(number, _)| *number);
    all.into_iter().map(|(_, done)| done).collect()
}

/// Sees objects become finished.
pub struct Finished(watch::Receiver<(usize, Instant)>);

impl Finished {
    /// Counts from now on.
    pub async fn count(api: Api<UserRoleRevocation>) -> Self {
        let now = api.list_metadata(&ListParams::default().limit(1)).await.expect("a list");
        let version = now.metadata.resource_version.expect("lists have versions");
        let (tell, told) = watch::channel((0, Instant::now()));
        tokio::spawn(async move {
            let params = WatchParams::default().timeout(290);
            let mut events = api.watch(&params, &version).await.expect("a watch").boxed();
            let mut names = HashSet::new();
            while let Some(event) = events.try_next().await.expect("a watch that goes on") {
                if let WatchEvent::Modified(object) = event
                    && is_finished(&object)
                    && names.insert(object.name_any())
                    && tell.send((names.len(), Instant::now())).is_err()
                {
                    return;
                }
            }
        });
        Self(told)
    }

    /// When there were this many.
    pub async fn wait(&mut self, objects: usize) -> Instant {
        let reached = tokio::time::timeout(PATIENCE, self.0.wait_for(|(count, _)| *count >= objects)).await;
        let reached = reached.map(|reached| reached.expect("the watch goes on").1);
        reached.unwrap_or_else(|_| panic!("{} of {objects} objects after {PATIENCE:?}", self.0.borrow().0))
    }
}

fn is_finished(object: &UserRoleRevocation) -> bool {
    let ready = object.status.as_ref().and_then(|status| status.condition(ConditionType::Ready));
    ready.is_some_and(|ready| ready.status == "True" && ready.observed_generation == object.metadata.generation)
}
