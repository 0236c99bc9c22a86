//! Watches objects become Ready, in the same way for both operators. It parses only a few fields, because this program
//! shares the machine with what it measures.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use http::Request;
use kube::Client;
use kube::api::WatchEvent;
use serde::Deserialize;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::cluster::{Cluster, Kind};

/// The longest wait until all objects are Ready.
const PATIENCE: Duration = Duration::from_secs(900);

/// What the watch of one kind in one namespace has seen.
#[derive(Default)]
pub struct Seen {
    /// When each object became Ready.
    pub ready: HashMap<String, Instant>,
    /// The times of all other changes.
    pub others: Vec<Instant>,
}

/// A watch from its start until it is dropped.
pub struct Watch {
    seen: Arc<Mutex<Seen>>,
    count: watch::Receiver<usize>,
    task: JoinHandle<()>,
}

impl Watch {
    pub async fn start(cluster: &Cluster<'_>, kind: Kind, namespace: &str) -> Self {
        let (client, path) = (cluster.client.clone(), kind.path(namespace));
        let list = client.request::<List>(get(&format!("{path}?limit=1"))).await.expect("a list");
        let seen = Arc::<Mutex<Seen>>::default();
        let (told, count) = watch::channel(0);
        let task = tokio::spawn(follow(client, path, list.metadata.resource_version, seen.clone(), told));
        Self { seen, count, task }
    }

    /// Waits until this many objects are Ready; returns when that was.
    pub async fn wait(&mut self, objects: usize) -> Instant {
        let reached = tokio::time::timeout(PATIENCE, self.count.wait_for(|count| *count >= objects)).await;
        let reached = reached.map(|reached| reached.map(|count| *count));
        assert!(matches!(reached, Ok(Ok(_))), "{} of {objects} objects are Ready", *self.count.borrow());
        let mut times: Vec<Instant> = self.look(|seen| seen.ready.values().copied().collect());
        times.sort_unstable();
        times[objects - 1]
    }

    /// Calls `look` with what was seen so far.
    pub fn look<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        look(&self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn follow(client: Client, path: String, mut version: String, seen: Arc<Mutex<Seen>>, told: watch::Sender<usize>) {
    loop {
        let request = get(&format!("{path}?watch=true&timeoutSeconds=3000&resourceVersion={version}"));
        let events = client.request_events::<Object>(request).await.expect("a watch");
        let mut events = std::pin::pin!(events);
        while let Ok(Some(event)) = events.try_next().await {
            let (object, changed) = match event {
                WatchEvent::Modified(object) => (object, true),
                WatchEvent::Added(object) => (object, false),
                WatchEvent::Error(error) => panic!("the watch ended: {error:?}"),
                WatchEvent::Deleted(_) | WatchEvent::Bookmark(_) => continue,
            };
            let now = Instant::now();
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            if object.is_ready() && !seen.ready.contains_key(&object.metadata.name) {
                seen.ready.insert(object.metadata.name, now);
                told.send_replace(seen.ready.len());
            } else if changed {
                seen.others.push(now);
            }
            version = object.metadata.resource_version;
        }
    }
}

fn get(path: &str) -> Request<Vec<u8>> {
    Request::get(path).body(Vec::new()).expect("a good request")
}

#[derive(Deserialize)]
struct List {
    metadata: ListMeta,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListMeta {
    resource_version: String,
}

#[derive(Clone, Deserialize)]
struct Object {
    metadata: Meta,
    #[serde(default)]
    status: Status,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    name: String,
    generation: i64,
    resource_version: String,
}

#[derive(Clone, Default, Deserialize)]
struct Status {
    #[serde(default)]
    conditions: Vec<Condition>,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    observed_generation: Option<i64>,
}

impl Object {
    fn is_ready(&self) -> bool {
        let ready = self.status.conditions.iter().find(|condition| condition.kind == "Ready");
        ready.is_some_and(|ready| ready.status == "True" && ready.observed_generation == Some(self.metadata.generation))
    }
}
