//! A watch that lists again in two cases where kube's does not.
//!
//! kube's `watcher` lists again when the API server reports an expired resource version (410 Gone) *within* a watch.
//! When 410 is the answer to the watch request itself, it requests the same resource version for ever. And nothing
//! makes it notice an event that it was never sent, as happens after etcd was restored from a backup.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use kube::runtime::watcher::{self, Event};
use tokio::time::Instant;
use tracing::debug;

type Events<K> = BoxStream<'static, watcher::Result<Event<K>>>;

/// The events of one watcher after the other. Each watcher begins with a list.
pub(crate) struct Resync<K> {
    start: Box<dyn Fn() -> Events<K> + Send>,
    interval: Duration,
    events: Events<K>,
    /// When this watcher is replaced, unless it is in the middle of a list then.
    next_list: Instant,
    listing: bool,
}

impl<K> Resync<K> {
    /// Lists at the start, after each `interval` (plus up to a fifth), and whenever the resource version has expired.
    /// The clock is read when the stream is polled, which happens at least at each timeout of a watch. `start` makes a
    /// watcher.
    pub(crate) fn new(interval: Duration, start: impl Fn() -> Events<K> + Send + 'static) -> Self {
        let events = start();
        Self { start: Box::new(start), interval, events, next_list: after(interval), listing: false }
    }

    fn restart(&mut self) {
        self.events = (self.start)();
        self.next_list = after(self.interval);
        self.listing = false;
    }
}

/// Jittered, so that watches that were started together do not list together every time.
fn after(interval: Duration) -> Instant {
    Instant::now() + interval.mul_f64(1.0 + 0.2 * fastrand::f64())
}

/// Whether the API server says that the resource version has expired (410 Gone).
pub(crate) fn is_expired(error: &watcher::Error) -> bool {
    use watcher::Error::{InitialListFailed, WatchError, WatchFailed, WatchStartFailed};
    matches!(
        error,
        WatchError(status)
        | InitialListFailed(kube::Error::Api(status))
        | WatchStartFailed(kube::Error::Api(status))
        | WatchFailed(kube::Error::Api(status)) if status.code == 410
    )
}

impl<K> Stream for Resync<K> {
    type Item = watcher::Result<Event<K>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if !self.listing && Instant::now() >= self.next_list {
            debug!("periodic resync: listing again");
            self.restart();
        }
        let polled = self.events.poll_next_unpin(cx);
        match &polled {
            Poll::Ready(Some(Ok(Event::Init))) => self.listing = true,
            Poll::Ready(Some(Ok(Event::InitDone))) => self.listing = false,
            Poll::Ready(Some(Err(error))) if is_expired(error) => self.restart(),
            Poll::Ready(Some(Ok(Event::InitApply(_) | Event::Apply(_) | Event::Delete(_)) | Err(_)) | None)
            | Poll::Pending => {}
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::stream;
    use kube::core::Status;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn expired() -> watcher::Error {
        watcher::Error::WatchStartFailed(kube::Error::Api(Status::failure("expired", "Expired").with_code(410).boxed()))
    }

    /// Each watcher yields `events`, and then one event a minute. Also returns how many watchers were started.
    fn resync(events: fn() -> Vec<watcher::Result<Event<()>>>) -> (Resync<()>, Arc<AtomicUsize>) {
        let started = Arc::new(AtomicUsize::new(0));
        let count = started.clone();
        let watcher = move || {
            count.fetch_add(1, Ordering::Relaxed);
            let quiet = stream::unfold((), |()| async {
                tokio::time::sleep(Duration::from_secs(60)).await;
                Some((Ok(Event::Apply(())), ()))
            });
            stream::iter(events()).chain(quiet).boxed()
        };
        (Resync::new(HOUR, watcher), started)
    }

    #[tokio::test(start_paused = true)]
    async fn an_expired_resource_version_is_listed_again() {
        let (mut watch, watchers) = resync(|| vec![Ok(Event::Init), Ok(Event::InitDone), Err(expired())]);
        while watch.next().await.unwrap().is_ok() {}
        assert_eq!(watchers.load(Ordering::Relaxed), 2);
        assert!(matches!(watch.next().await, Some(Ok(Event::Init))));
    }

    #[tokio::test(start_paused = true)]
    async fn another_error_does_not_list_again() {
        let (mut watch, watchers) =
            resync(|| vec![Ok(Event::Init), Ok(Event::InitDone), Err(watcher::Error::NoResourceVersion)]);
        while watch.next().await.unwrap().is_ok() {}
        watch.next().await.unwrap().unwrap();
        assert_eq!(watchers.load(Ordering::Relaxed), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_periodic_resync_lists_again_but_not_within_a_list() {
        let (mut watch, watchers) = resync(|| vec![Ok(Event::Init), Ok(Event::InitDone)]);
        let started = Instant::now();
        while watchers.load(Ordering::Relaxed) < 3 {
            watch.next().await.unwrap().unwrap();
        }
        let hours = started.elapsed().as_secs_f64() / HOUR.as_secs_f64();
        assert!((2.0..2.5).contains(&hours), "{hours}");

        let (mut endless, watchers) = resync(|| vec![Ok(Event::Init)]);
        let started = Instant::now();
        while started.elapsed() < HOUR * 2 {
            endless.next().await.unwrap().unwrap();
        }
        assert_eq!(watchers.load(Ordering::Relaxed), 1);
    }
}
