//! The event recorder: Kubernetes events for `kubectl describe`, best effort and rate limited, so that they never delay
//! a removal.
//!
//! kube's `Recorder` keeps every event in memory for six minutes and repeats the first note of a series. Here an event
//! is a change of reason, so each one is new, and a plain create is enough.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};
use tracing::debug;

use crate::api::{State, printable};
use crate::revocation::ReasonChange;

/// Changes waiting to be written. More are dropped, because the status says the same.
const QUEUE_CAPACITY: usize = 200;
/// The shortest time between two events: ten thousand removals must not flood etcd.
const MIN_INTERVAL: Duration = Duration::from_millis(100);
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// The namespace of events about cluster-scoped objects; the API server accepts few others.
const OF_CLUSTER: &str = "default";
/// The longest note that the API server accepts, in bytes.
const MAX_NOTE: usize = 1000;

/// The queue between those who announce a change and [`record`].
pub(crate) fn channel() -> (mpsc::Sender<ReasonChange>, mpsc::Receiver<ReasonChange>) {
    mpsc::channel(QUEUE_CAPACITY)
}

/// Queues a change, or drops it if the queue is full. Never waits.
pub(crate) fn announce(sender: &mpsc::Sender<ReasonChange>, change: ReasonChange) {
    if sender.try_send(change).is_err() {
        debug!("event dropped: the queue is full");
    }
}

/// Writes an event for each change until all senders are dropped.
pub(crate) async fn record(client: Client, mut changes: mpsc::Receiver<ReasonChange>) {
    let mut ticks = tokio::time::interval_at(Instant::now(), MIN_INTERVAL);
    // Ticks that were missed in a quiet time do not allow a burst later.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while let Some(change) = changes.recv().await {
        ticks.tick().await;
        let event = event(change, Timestamp::now());
        let namespace = event.metadata.namespace.as_deref().unwrap_or_default();
        let api: Api<Event> = Api::namespaced(client.clone(), namespace);
        match tokio::time::timeout(WRITE_TIMEOUT, api.create(&PostParams::default(), &event)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => debug!("an event could not be written: {error}"),
            Err(_) => debug!("an event could not be written in time"),
        }
    }
}

fn event(change: ReasonChange, now: Timestamp) -> Event {
    let mut note = printable(&change.message);
    while note.len() > MAX_NOTE {
        note.pop();
    }
    let name = change.object.name.clone().unwrap_or_default();
    let type_ = if change.reason.state() == State::Stalled { "Warning" } else { "Normal" };
    Event {
        metadata: ObjectMeta {
            // Named as client-go does: the object's name and something unique.
            name: Some(format!("{}.{:x}", name.chars().take(230).collect::<String>(), fastrand::u64(..))),
            namespace: Some(change.object.namespace.clone().unwrap_or_else(|| OF_CLUSTER.to_owned())),
            ..ObjectMeta::default()
        },
        action: Some("Reconcile".to_owned()),
        event_time: Some(MicroTime(now)),
        note: Some(note),
        reason: Some(change.reason.as_str().to_owned()),
        regarding: Some(change.object),
        reporting_controller: Some("rescind.dev/rescind".to_owned()),
        reporting_instance: Some(
            std::env::var("HOSTNAME").ok().filter(|host| !host.is_empty()).unwrap_or("rescind".into()),
        ),
        type_: Some(type_.to_owned()),
        ..Event::default()
    }
}
