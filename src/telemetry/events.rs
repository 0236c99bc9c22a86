//! Kubernetes events, for `kubectl describe`: best effort, slowly, never in the way of a removal.
//!
//! kube's own recorder keeps each event for six minutes and re-sends the first text of a series. An event here is a change
//! of reason, so each is its own, and a plain create is enough.

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

/// News waiting to be written; what does not fit is dropped, the status says it anyway.
const QUEUE: usize = 200;
/// At most one event in this time: ten thousand removals must not become a flood of events in etcd.
const PACE: Duration = Duration::from_millis(50);
const WRITE_WITHIN: Duration = Duration::from_secs(5);
/// Longest note the API takes, in bytes.
const MAX_NOTE: usize = 1000;

/// Where news are handed in, and where they come out.
pub(crate) fn channel() -> (mpsc::Sender<ReasonChange>, mpsc::Receiver<ReasonChange>) {
    mpsc::channel(QUEUE)
}

/// Hands in; drops when there is no room.
pub(crate) fn announce(sender: &mpsc::Sender<ReasonChange>, news: ReasonChange) {
    if sender.try_send(news).is_err() {
        debug!("an event was left out: too many at once");
    }
}

/// Writes events until all senders are gone.
pub(crate) async fn publish(client: Client, mut news: mpsc::Receiver<ReasonChange>) {
    let mut pace = tokio::time::interval_at(Instant::now(), PACE);
    // A quiet time may be followed by a small burst, not by all the ticks it missed.
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while let Some(news) = news.recv().await {
        pace.tick().await;
        let namespace = news.object.namespace.clone().unwrap_or_default();
        let api: Api<Event> = Api::namespaced(client.clone(), &namespace);
        let event = event(news, Timestamp::now());
        match tokio::time::timeout(WRITE_WITHIN, api.create(&PostParams::default(), &event)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => debug!("an event could not be written: {error}"),
            Err(_) => debug!("an event could not be written in time"),
        }
    }
}

fn event(news: ReasonChange, now: Timestamp) -> Event {
    let mut note = printable(&news.message);
    while note.len() > MAX_NOTE {
        note.pop();
    }
    let name = news.object.name.clone().unwrap_or_default();
    let type_ = if news.reason.state() == State::Stalled { "Warning" } else { "Normal" };
    Event {
        metadata: ObjectMeta {
            // As client-go names them: the object and something that no other event has.
            name: Some(format!("{}.{:x}", name.chars().take(230).collect::<String>(), fastrand::u64(..))),
            namespace: news.object.namespace.clone(),
            ..ObjectMeta::default()
        },
        action: Some("Reconcile".to_owned()),
        event_time: Some(MicroTime(now)),
        note: Some(note),
        reason: Some(news.reason.as_str().to_owned()),
        regarding: Some(news.object),
        reporting_controller: Some("rescind.dev/rescind".to_owned()),
        reporting_instance: Some(std::env::var("HOSTNAME").ok().filter(|h| !h.is_empty()).unwrap_or("rescind".into())),
        type_: Some(type_.to_owned()),
        ..Event::default()
    }
}
