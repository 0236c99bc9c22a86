//! How many status writes of a kind are in flight at once, first come, first served.
//!
//! An object that waits for a permit is not being reconciled meanwhile: kube's `Controller` polls every reconcile that
//! runs whenever one of them can go on, and has places for a few; they belong to objects that can do something.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::capacity::shrink_map;
use crate::sync::lock;

/// The permits of one kind in one scope.
pub(crate) struct WritePermits {
    semaphore: Arc<Semaphore>,
    /// By uid: the objects that wait for a permit, and those that have got one and are about to use it.
    waiting: Mutex<HashMap<String, Option<OwnedSemaphorePermit>>>,
}

impl WritePermits {
    /// As many permits as writes may be in flight.
    pub(crate) fn new(count: u16) -> Arc<Self> {
        Arc::new(Self { semaphore: Arc::new(Semaphore::new(count.into())), waiting: Mutex::default() })
    }

    /// The permit that the object waited for, or one that is free.
    pub(crate) fn take(&self, uid: &str) -> Option<OwnedSemaphorePermit> {
        let mut waiting = lock(&self.waiting);
        match waiting.get(uid) {
            Some(Some(_)) => waiting.remove(uid).flatten(),
            Some(None) | None => self.semaphore.clone().try_acquire_owned().ok(),
        }
    }

    /// Has the object wait for a permit, and calls `granted` once it can be taken. An object waits once, however often
    /// this is called.
    pub(crate) fn wait(self: &Arc<Self>, uid: &str, granted: impl FnOnce() + Send + 'static) {
        if lock(&self.waiting).contains_key(uid) {
            return;
        }
        lock(&self.waiting).insert(uid.to_owned(), None);
        let (permits, uid) = (self.clone(), uid.to_owned());
        tokio::spawn(async move {
            let permit = permits.semaphore.clone().acquire_owned().await.ok();
            let is_waiting = lock(&permits.waiting).get_mut(&uid).map(|place| *place = permit).is_some();
            if is_waiting {
                granted();
            }
        });
    }

    /// The object needs no permit any more.
    pub(crate) fn forget(&self, uid: &str) {
        let mut waiting = lock(&self.waiting);
        waiting.remove(uid);
        shrink_map(&mut waiting);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc::unbounded_channel;

    #[tokio::test]
    async fn first_come_first_served_and_no_permit_is_lost() {
        let permits = WritePermits::new(1);
        let (sender, mut granted) = unbounded_channel();
        let wait = |uid: &'static str| {
            let sender = sender.clone();
            permits.wait(uid, move || sender.send(uid).unwrap());
        };
        let first = permits.take("a").unwrap();
        ["b", "gone", "b", "c"].into_iter().for_each(wait);
        tokio::task::yield_now().await;
        permits.forget("gone");
        drop(first);
        assert_eq!(granted.recv().await, Some("b"));
        assert!(permits.take("d").is_none(), "it is b's");
        drop(permits.take("b").unwrap());
        assert_eq!(granted.recv().await, Some("c"));
        // It was deleted before it could use the permit.
        permits.forget("c");
        assert!(permits.take("d").is_some());
        assert!(granted.try_recv().is_err() && lock(&permits.waiting).is_empty());
    }
}
