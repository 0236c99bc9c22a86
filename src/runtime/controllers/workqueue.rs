//! The names of what is to be reconciled. A name is in the queue once, however often it is added; while it is worked on it
//! is handed to nobody else, and comes again if it was added meanwhile. Namespaces take turns, each with its names in the
//! order in which they came, so thousands that are woken together hold nobody else up.
//!
//! kube's controller hands out in the order of a hash table, ends with the first panic, and may never end otherwise.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::time::{DelayQueue, delay_queue};

use crate::runtime::cache::Key;

/// Longer pauses are cut, as the timer knows no longer ones; whoever comes back too early waits again.
const LONGEST_PAUSE: Duration = Duration::from_secs(30 * 24 * 3600);

#[derive(Default)]
pub(crate) struct WorkQueue {
    inner: Mutex<Inner>,
    added: Notify,
    delayed: Notify,
}

#[derive(Default)]
struct Inner {
    /// The names of each namespace that has any, without those that are worked on.
    waiting: HashMap<Arc<str>, VecDeque<Key>>,
    /// Whose turn it is.
    turns: VecDeque<Arc<str>>,
    /// What is in `waiting`.
    queued: HashSet<Key>,
    /// What is worked on, and whether it was added meanwhile.
    working: HashMap<Key, bool>,
    timers: DelayQueue<Key>,
    timer_of: HashMap<Key, delay_queue::Key>,
}

impl WorkQueue {
    /// To be reconciled as soon as its turn comes.
    pub(crate) fn add(&self, key: Key) {
        if self.lock().add(key) {
            self.added.notify_one();
        }
    }

    /// To be reconciled after this pause, and not before unless it is added. Replaces an earlier pause.
    pub(crate) fn add_after(&self, key: Key, pause: Duration) {
        let mut inner = self.lock();
        inner.add_after(key, pause);
        self.wake_timers(inner);
    }

    /// The next name. It is to be handed to [`Self::done`] when it was worked on.
    pub(crate) async fn next(&self) -> Key {
        loop {
            let added = self.added.notified();
            if let Some(key) = self.lock().next() {
                return key;
            }
            added.await;
        }
    }

    /// It was worked on, and is to come again after this pause, if any.
    pub(crate) fn done(&self, key: Key, pause: Option<Duration>) {
        let mut inner = self.lock();
        if inner.working.remove(&key) == Some(true) {
            inner.add(key);
            drop(inner);
            self.added.notify_one();
        } else if let Some(pause) = pause {
            inner.add_after(key, pause);
            self.wake_timers(inner);
        }
    }

    /// A timer is only waited for while there is one.
    fn wake_timers(&self, inner: MutexGuard<'_, Inner>) {
        let first = inner.timers.len() == 1;
        drop(inner);
        if first {
            self.delayed.notify_one();
        }
    }

    /// The object is gone: nothing is to be done for it later.
    pub(crate) fn forget(&self, key: &Key) {
        let mut inner = self.lock();
        if let Some(timer) = inner.timer_of.remove(key) {
            inner.timers.remove(&timer);
        }
    }

    /// Adds what has waited long enough; for ever.
    pub(crate) async fn run_timers(&self) {
        loop {
            let delayed = self.delayed.notified();
            let expired = std::future::poll_fn(|cx| self.lock().timers.poll_expired(cx));
            tokio::select! {
                Some(expired) = expired => {
                    let key = expired.into_inner();
                    let mut inner = self.lock();
                    inner.timer_of.remove(&key);
                    let added = inner.add(key);
                    drop(inner);
                    if added {
                        self.added.notify_one();
                    }
                }
                // An empty queue ends at once and has to be asked again.
                () = delayed => {}
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn add_after(&mut self, key: Key, pause: Duration) {
        let pause = pause.min(LONGEST_PAUSE);
        match self.timer_of.get(&key).copied() {
            Some(timer) => self.timers.reset(&timer, pause),
            None => {
                let timer = self.timers.insert(key.clone(), pause);
                self.timer_of.insert(key, timer);
            }
        }
    }

    /// Returns whether there is one more to hand out.
    fn add(&mut self, key: Key) -> bool {
        if let Some(again) = self.working.get_mut(&key) {
            *again = true;
            return false;
        }
        if !self.queued.insert(key.clone()) {
            return false;
        }
        let names = self.waiting.entry(key.namespace.clone()).or_default();
        if names.is_empty() {
            self.turns.push_back(key.namespace.clone());
        }
        names.push_back(key);
        true
    }

    fn next(&mut self) -> Option<Key> {
        let namespace = self.turns.pop_front()?;
        let names = self.waiting.get_mut(&namespace)?;
        let key = names.pop_front()?;
        if names.is_empty() {
            self.waiting.remove(&namespace);
        } else {
            self.turns.push_back(namespace);
        }
        self.queued.remove(&key);
        self.working.insert(key.clone(), false);
        // What it waited for is decided anew.
        if let Some(timer) = self.timer_of.remove(&key) {
            self.timers.remove(&timer);
        }
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn key(namespace: &str, name: &str) -> Key {
        Key::new(namespace, name)
    }

    fn now(queue: &WorkQueue) -> Option<String> {
        queue.next().now_or_never().map(|key| format!("{}/{}", key.namespace, key.name))
    }

    #[tokio::test(start_paused = true)]
    async fn namespaces_take_turns_and_a_name_is_handed_out_once() {
        let queue = WorkQueue::default();
        for name in ["1", "2", "3", "1"] {
            queue.add(key("a", name));
        }
        queue.add(key("b", "1"));
        let order: Vec<_> = std::iter::from_fn(|| now(&queue)).collect();
        assert_eq!(order, ["a/1", "b/1", "a/2", "a/3"]);
        // Added while it is worked on: again, but not at the same time.
        queue.add(key("a", "1"));
        queue.add(key("a", "1"));
        assert_eq!(now(&queue), None);
        queue.done(key("a", "1"), None);
        assert_eq!(now(&queue).as_deref(), Some("a/1"));
        queue.done(key("a", "1"), None);
        queue.done(key("a", "2"), None);
        assert_eq!(now(&queue), None);
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_end_and_are_replaced() {
        let queue = Arc::new(WorkQueue::default());
        let timers = queue.clone();
        let task = tokio::spawn(async move { timers.run_timers().await });
        let started = tokio::time::Instant::now();
        queue.add_after(key("a", "replaced"), Duration::from_secs(1));
        queue.add_after(key("a", "replaced"), Duration::from_secs(30));
        queue.add_after(key("a", "soon"), Duration::from_secs(10));
        queue.add_after(key("a", "gone"), Duration::from_secs(5));
        queue.add_after(key("a", "at-once"), Duration::from_secs(60));
        queue.add_after(key("a", "for-ever"), Duration::MAX);
        queue.forget(&key("a", "gone"));
        queue.add(key("a", "at-once"));
        for (name, second) in [("at-once", 0), ("soon", 10), ("replaced", 30)] {
            let next = queue.next().await;
            assert_eq!((&*next.name, started.elapsed().as_secs()), (name, second));
            queue.done(next, None);
        }
        // Its pause ended with its turn.
        assert!(tokio::time::timeout(Duration::from_secs(3600), queue.next()).await.is_err());
        task.abort();
    }
}
