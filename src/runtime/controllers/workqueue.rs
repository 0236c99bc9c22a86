//! The workqueue of a controller: the keys of the objects to be reconciled, as in client-go. A key is in the queue
//! once, however often it is added. While a worker has it, no other worker gets it; if it is added meanwhile, it is
//! queued again when the worker is done. Namespaces take turns, each with its keys in the order in which they were
//! added, so that thousands of objects woken together do not delay other namespaces (promise 10).
//!
//! kube's `Controller` has no such queue: it picks waiting objects in the order of a hash table, and cannot expedite
//! one.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::time::{DelayQueue, delay_queue};

use crate::runtime::cache::Key;

/// `DelayQueue` panics at delays beyond about two years. An object that comes back early just waits again.
const MAX_PAUSE: Duration = Duration::from_secs(30 * 24 * 3600);

#[derive(Default)]
pub(crate) struct WorkQueue {
    inner: Mutex<Inner>,
    added: Notify,
    delayed: Notify,
}

#[derive(Default)]
struct Inner {
    /// The queued keys by namespace. A namespace without any has no entry.
    waiting: HashMap<Arc<str>, VecDeque<Key>>,
    /// The namespaces in `waiting`, the next one first.
    turns: VecDeque<Arc<str>>,
    /// The keys in `waiting`.
    queued: HashSet<Key>,
    /// The keys that workers have, and whether each was added meanwhile.
    working: HashMap<Key, bool>,
    timers: DelayQueue<Key>,
    timer_of: HashMap<Key, delay_queue::Key>,
}

impl WorkQueue {
    /// Queues the key now.
    pub(crate) fn add(&self, key: Key) {
        if self.lock().add(key) {
            self.added.notify_one();
        }
    }

    /// Queues the key after this pause, unless it is added before. Replaces an earlier pause.
    pub(crate) fn add_after(&self, key: Key, pause: Duration) {
        let mut inner = self.lock();
        inner.add_after(key, pause);
        self.wake_timers(inner);
    }

    /// Takes the next key, and waits for one if there is none. Its worker must call [`Self::done`].
    pub(crate) async fn next(&self) -> Key {
        loop {
            let added = self.added.notified();
            if let Some(key) = self.lock().next() {
                return key;
            }
            added.await;
        }
    }

    /// The worker is done with the key. It is queued again after `pause`, if any, or sooner if that was asked for while
    /// the worker had it.
    pub(crate) fn done(&self, key: Key, pause: Option<Duration>) {
        let mut inner = self.lock();
        if inner.working.remove(&key) == Some(true) {
            inner.add(key);
            drop(inner);
            self.added.notify_one();
        } else if let Some(pause) = pause.filter(|pause| !inner.comes_within(&key, *pause)) {
            inner.add_after(key, pause);
            self.wake_timers(inner);
        }
    }

    /// Wakes `run_timers` if this is the first timer, because it does not poll an empty `DelayQueue`.
    fn wake_timers(&self, inner: MutexGuard<'_, Inner>) {
        let first = inner.timers.len() == 1;
        drop(inner);
        if first {
            self.delayed.notify_one();
        }
    }

    /// Cancels the pause of a key whose object is gone or settled.
    pub(crate) fn forget(&self, key: &Key) {
        let mut inner = self.lock();
        if let Some(timer) = inner.timer_of.remove(key) {
            inner.timers.remove(&timer);
        }
    }

    /// Queues the keys whose pause is over; never returns.
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
                // An empty `DelayQueue` yields `None` at once; the branch above is then off, and this one waits.
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
        let pause = pause.min(MAX_PAUSE);
        match self.timer_of.get(&key).copied() {
            Some(timer) => self.timers.reset(&timer, pause),
            None => {
                let timer = self.timers.insert(key.clone(), pause);
                self.timer_of.insert(key, timer);
            }
        }
    }

    fn comes_within(&self, key: &Key, pause: Duration) -> bool {
        let due = self.timer_of.get(key).map(|timer| self.timers.deadline(timer));
        due.is_some_and(|due| due.saturating_duration_since(tokio::time::Instant::now()) <= pause)
    }

    /// Returns whether there is one more key to take.
    fn add(&mut self, key: Key) -> bool {
        if let Some(again) = self.working.get_mut(&key) {
            *again = true;
            return false;
        }
        if !self.queued.insert(key.clone()) {
            return false;
        }
        let keys = self.waiting.entry(key.namespace.clone()).or_default();
        if keys.is_empty() {
            self.turns.push_back(key.namespace.clone());
        }
        keys.push_back(key);
        true
    }

    fn next(&mut self) -> Option<Key> {
        let namespace = self.turns.pop_front()?;
        let keys = self.waiting.get_mut(&namespace)?;
        let key = keys.pop_front()?;
        if keys.is_empty() {
            self.waiting.remove(&namespace);
        } else {
            self.turns.push_back(namespace);
        }
        self.queued.remove(&key);
        self.working.insert(key.clone(), false);
        // The reconcile decides anew what the object waits for.
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
        // Added while a worker has it: queued again, but not handed out at the same time.
        queue.add(key("a", "1"));
        queue.add(key("a", "1"));
        assert_eq!(now(&queue), None);
        queue.done(key("a", "1"), None);
        assert_eq!(now(&queue).as_deref(), Some("a/1"));
        queue.done(key("a", "1"), None);
        queue.done(key("a", "2"), None);
        assert_eq!(now(&queue), None);
    }

    /// An early reconcile that was asked for while a worker had the key is not put off by a longer pause.
    #[tokio::test(start_paused = true)]
    async fn what_is_asked_for_meanwhile_is_not_put_off() {
        let queue = Arc::new(WorkQueue::default());
        let timers = queue.clone();
        let task = tokio::spawn(async move { timers.run_timers().await });
        for (asked, said, comes) in [(1, 300, 1), (300, 1, 1)] {
            let started = tokio::time::Instant::now();
            queue.add(key("a", "1"));
            let name = queue.next().await;
            queue.add_after(key("a", "1"), Duration::from_secs(asked));
            queue.done(name, Some(Duration::from_secs(said)));
            let next = queue.next().await;
            assert_eq!(started.elapsed().as_secs(), comes);
            queue.done(next, None);
        }
        task.abort();
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
        // "at-once" had a pause, which was cancelled when it was handed out.
        assert!(tokio::time::timeout(Duration::from_secs(3600), queue.next()).await.is_err());
        task.abort();
    }
}
