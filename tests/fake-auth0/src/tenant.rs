//! One tenant from the inside: everything the server's tasks share.
//!
//! Each part has a lock of its own, held only for the moment of a look or a change and never across an await. Where
//! two are needed, `state` is locked before `ghosts`.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use http::HeaderValue;
use tokio::sync::Notify;

use crate::{
    buckets::Buckets, clients::Clients, lag::Ghosts, log::Log, paging::PagingQuirks, rules::Faults, state::State,
    tokens::Tokens,
};

/// What removing an unknown user from an organization is answered; nobody documents it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownMember {
    /// 204, as for a user who is not a member.
    #[default]
    NoContent,
    /// 400 `invalid_body`; nobody is removed.
    BadRequest,
    /// 404 `inexistent_user`; nobody is removed.
    NotFound,
}

/// How new connections are received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// As they should be.
    #[default]
    Up,
    /// Closed before the TLS handshake.
    Closing,
    /// Accepted, then silence.
    Silent,
    /// With a certificate of an authority nobody knows.
    Untrusted,
    /// With a certificate of the right authority for another host.
    WrongHost,
}

/// Choices that are plain values.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Quirks {
    pub paging: PagingQuirks,
    pub unknown_member: UnknownMember,
    pub network: Network,
}

#[derive(Debug)]
pub(crate) struct Tenant {
    /// `localhost:PORT`
    pub domain: String,
    /// `https://localhost:PORT/api/v2/`
    pub audience: String,
    started: Instant,
    state: RwLock<State>,
    ghosts: Mutex<Ghosts>,
    buckets: Mutex<Buckets>,
    clients: Mutex<Clients>,
    quirks: RwLock<Quirks>,
    pub tokens: Tokens,
    pub faults: Arc<Faults>,
    pub log: Arc<Log>,
    /// Seconds by which this tenant's clock is ahead.
    pub clock_offset: AtomicI64,
    pub accepted: AtomicU64,
    pub open: AtomicUsize,
    /// Told when all connections are to be broken.
    pub cut: Notify,
    date: Mutex<(i64, Option<HeaderValue>)>,
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
            state: RwLock::new(state),
            ghosts: Mutex::default(),
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
        }
    }

    pub(crate) fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn ghosts(&self) -> MutexGuard<'_, Ghosts> {
        lock(&self.ghosts)
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

    /// Time for the buckets.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// This tenant's clock: seconds since the epoch.
    pub(crate) fn now(&self) -> Duration {
        let real = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
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
