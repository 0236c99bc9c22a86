//! One tenant: everything that the tasks of the server share.
//!
//! Each part has a lock of its own, held only briefly and never across an await. Where two are needed, `state` is
//! locked before `lags`.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak,
        atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use http::HeaderValue;
use tokio::sync::Notify;

use crate::{
    buckets::Buckets, clients::Clients, lag::Lags, log::Log, quirks::Quirks, rules::Faults, state::State,
    streams::Streams, tokens::Tokens,
};

#[derive(Debug)]
pub(crate) struct Tenant {
    /// `localhost:PORT`
    pub domain: String,
    /// `https://localhost:PORT/api/v2/`
    pub audience: String,
    started: Instant,
    /// The fraction of a second of the system clock at the start.
    start_of_second: Duration,
    state: RwLock<State>,
    lags: Mutex<Lags>,
    buckets: Mutex<Buckets>,
    clients: Mutex<Clients>,
    quirks: RwLock<Quirks>,
    pub tokens: Tokens,
    pub faults: Arc<Faults>,
    pub log: Arc<Log>,
    /// The number of seconds by which the clock of this tenant is ahead.
    pub clock_offset: AtomicI64,
    pub accepted: AtomicU64,
    pub open: AtomicUsize,
    /// Notified when all connections are to be broken.
    pub cut: Notify,
    date: Mutex<(i64, Option<HeaderValue>)>,
    /// Checkpoint -> the page of a walk that it leads to.
    pages: Mutex<HashMap<String, u64>>,
    streams: Mutex<Vec<Weak<Streams>>>,
}

/// The system clock, since the epoch.
fn wall() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Tenant {
    pub(crate) fn new(port: u16, state: State) -> Self {
        let domain = format!("localhost:{port}");
        Self {
            audience: format!("https://{domain}/api/v2/"),
            domain,
            started: Instant::now(),
            start_of_second: Duration::from_nanos(wall().subsec_nanos().into()),
            state: RwLock::new(state),
            lags: Mutex::default(),
            buckets: Mutex::default(),
            clients: Mutex::default(),
            quirks: RwLock::default(),
            tokens: Tokens::default(),
            faults: Arc::default(),
            log: Arc::default(),
            clock_offset: AtomicI64::new(0),
            accepted: AtomicU64::new(0),
            open: AtomicUsize::new(0),
            cut: Notify::new(),
            date: Mutex::new((0, None)),
            pages: Mutex::default(),
            streams: Mutex::default(),
        }
    }

    pub(crate) fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn lags(&self) -> MutexGuard<'_, Lags> {
        lock(&self.lags)
    }

    pub(crate) fn buckets(&self) -> MutexGuard<'_, Buckets> {
        lock(&self.buckets)
    }

    pub(crate) fn clients(&self) -> MutexGuard<'_, Clients> {
        lock(&self.clients)
    }

    pub(crate) fn quirks(&self) -> Quirks {
        *self.quirks.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_quirks(&self, change: impl FnOnce(&mut Quirks)) {
        change(&mut self.quirks.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// Time for the buckets: its whole seconds are those of the system clock.
    pub(crate) fn elapsed(&self) -> Duration {
        self.start_of_second + self.started.elapsed()
    }

    /// Remembers which page of a walk a checkpoint leads to, from 0.
    pub(crate) fn remember_page(&self, cursor: &str, page: u64) {
        let mut pages = lock(&self.pages);
        if !pages.contains_key(cursor) {
            pages.insert(cursor.to_owned(), page);
        }
    }

    /// Which page of a walk a checkpoint leads to.
    pub(crate) fn page_of(&self, cursor: &str) -> Option<u64> {
        lock(&self.pages).get(cursor).copied()
    }

    /// Remembers a connection, for a later GOAWAY.
    pub(crate) fn remember_streams(&self, streams: &Arc<Streams>) {
        let mut all = lock(&self.streams);
        all.retain(|known| known.strong_count() > 0);
        all.push(Arc::downgrade(streams));
    }

    /// Sends GOAWAY on all open HTTP/2 connections.
    pub(crate) fn go_away(&self) {
        lock(&self.streams).iter().filter_map(Weak::upgrade).for_each(|streams| streams.go_away());
    }

    /// This tenant's clock: seconds since the epoch.
    pub(crate) fn now(&self) -> Duration {
        let real = wall();
        let offset = self.clock_offset.load(Relaxed);
        let by = Duration::from_secs(offset.unsigned_abs());
        if offset < 0 { real.saturating_sub(by) } else { real + by }
    }

    pub(crate) fn epoch(&self) -> i64 {
        i64::try_from(self.now().as_secs()).unwrap_or(i64::MAX)
    }

    /// The header `Date`, made once a second.
    pub(crate) fn date(&self) -> Option<HeaderValue> {
        let now = self.epoch();
        let mut cached = lock(&self.date);
        if cached.0 != now || cached.1.is_none() {
            let text =
                jiff::Timestamp::from_second(now).map(|time| time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string());
            *cached = (now, text.ok().and_then(|text| HeaderValue::try_from(text).ok()));
        }
        cached.1.clone()
    }
}
