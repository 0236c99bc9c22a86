//! A watch that lists anew where kube's would not.
//!
//! kube's watcher lists again when the API server says *within* a watch that its place in the history is gone. When that is
//! the answer to the request itself, it asks for the same place for ever; and nothing makes it notice an event that it was
//! never sent, as happens after etcd was restored from a backup.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use kube::runtime::watcher::{self, Event};
use tokio::time::Instant;
use tracing::debug;

type Events<K> = BoxStream<'static, watcher::Result<Event<K>>>;

/// Events of one watcher after the other; each begins with a list.
pub(crate) struct Resync<K> {
    begin: Box<dyn Fn() -> Events<K> + Send>,
    every: Duration,
    events: Events<K>,
    /// When this watcher is replaced, if it is not in the middle of a list then.
    until: Instant,
    listing: bool,
}

impl<K> Resync<K> {
    /// Lists at the beginning, every `every` (and up to a fifth later), and whenever the place is gone. Looks at the clock
    /// when it is polled, which a watch is at each of its timeouts.
    pub(crate) fn new(every: Duration, begin: impl Fn() -> Events<K> + Send + 'static) -> Self {
        let events = begin();
        Self { begin: Box::new(begin), every, events, until: next(every), listing: false }
    }

    fn begin_anew(&mut self) {
        self.events = (self.begin)();
        self.until = next(self.every);
        self.listing = false;
    }
}

/// Jittered, so that the watches of one start do not list together for ever.
fn next(every: Duration) -> Instant {
    Instant::now() + every.mul_f64(1.0 + 0.2 * fastrand::f64())
}

/// The API server says that the place asked for is gone.
pub(crate) fn is_gone(error: &watcher::Error) -> bool {
    use watcher::Error::{InitialListFailed, WatchError, WatchFailed, WatchStartFailed};
    match error {
        WatchError(status) => status.code == 410,
        InitialListFailed(kube::Error::Api(status))
        | WatchStartFailed(kube::Error::Api(status))
        | WatchFailed(kube::Error::Api(status)) => status.code == 410,
        _ => false,
    }
}

impl<K> Stream for Resync<K> {
    type Item = watcher::Result<Event<K>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if !self.listing && Instant::now() >= self.until {
            debug!("listing anew, to be sure");
            self.begin_anew();
        }
        let polled = self.events.poll_next_unpin(cx);
        match &polled {
            Poll::Ready(Some(Ok(Event::Init))) => self.listing = true,
            Poll::Ready(Some(Ok(Event::InitDone))) => self.listing = false,
            Poll::Ready(Some(Err(error))) if is_gone(error) => self.begin_anew(),
            _ => {}
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

    fn gone() -> watcher::Error {
        watcher::Error::WatchStartFailed(kube::Error::Api(Status::failure("gone", "Expired").with_code(410).boxed()))
    }

    /// Each watcher plays `events`, and then is silent but for a wake-up every minute.
    fn resync(events: fn() -> Vec<watcher::Result<Event<()>>>) -> (Resync<()>, Arc<AtomicUsize>) {
        let begun = Arc::new(AtomicUsize::new(0));
        let count = begun.clone();
        let watcher = move || {
            count.fetch_add(1, Ordering::Relaxed);
            let quiet = stream::unfold((), |()| async {
                tokio::time::sleep(Duration::from_secs(60)).await;
                Some((Ok(Event::Apply(())), ()))
            });
            stream::iter(events()).chain(quiet).boxed()
        };
        (Resync::new(HOUR, watcher), begun)
    }

    /// Broken on purpose by kube's watcher as it is: it failed.
    #[tokio::test(start_paused = true)]
    async fn a_place_that_is_gone_is_left() {
        let (mut watch, begun) = resync(|| vec![Ok(Event::Init), Ok(Event::InitDone), Err(gone())]);
        while watch.next().await.unwrap().is_ok() {}
        assert_eq!(begun.load(Ordering::Relaxed), 2);
        assert!(matches!(watch.next().await, Some(Ok(Event::Init))));
    }

    /// Broken on purpose by beginning anew at any error: it failed.
    #[tokio::test(start_paused = true)]
    async fn another_trouble_is_no_reason_to_list() {
        let (mut watch, begun) =
            resync(|| vec![Ok(Event::Init), Ok(Event::InitDone), Err(watcher::Error::NoResourceVersion)]);
        while watch.next().await.unwrap().is_ok() {}
        watch.next().await.unwrap().unwrap();
        assert_eq!(begun.load(Ordering::Relaxed), 1);
    }

    /// Broken on purpose by beginning anew within a list: it failed.
    #[tokio::test(start_paused = true)]
    async fn now_and_then_it_lists_to_be_sure() {
        let (mut watch, begun) = resync(|| vec![Ok(Event::Init), Ok(Event::InitDone)]);
        let started = Instant::now();
        while begun.load(Ordering::Relaxed) < 3 {
            watch.next().await.unwrap().unwrap();
        }
        let hours = started.elapsed().as_secs_f64() / HOUR.as_secs_f64();
        assert!((2.0..2.5).contains(&hours), "{hours}");

        let (mut endless, begun) = resync(|| vec![Ok(Event::Init)]);
        let started = Instant::now();
        while started.elapsed() < HOUR * 2 {
            endless.next().await.unwrap().unwrap();
        }
        assert_eq!(begun.load(Ordering::Relaxed), 1);
    }
}
