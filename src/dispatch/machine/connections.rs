//! The connections of a domain: whether Auth0 has accepted them, and their own settings.

use std::sync::Arc;
use std::time::{Duration, Instant};

use foldhash::{HashMap, HashMapExt};

use crate::dispatch::breaker::{Breaker, State};
use crate::dispatch::connection::Limits;

/// Settings of a tenant object that were not used for this long do not bind others with the same connection.
const SETTINGS_LIFE: Duration = Duration::from_secs(300);
/// So long before the ceiling lets a call leave it is prepared: what is to be removed is chosen and checked.
const AHEAD: Duration = Duration::from_millis(250);

/// What is known of a connection.
#[derive(Debug)]
pub(super) struct Conn {
    /// Auth0 accepted a call with it since the start. Before, it obeys what holds for the domain, but can slow and open
    /// only itself.
    pub(super) accepted: bool,
    /// Its own breaker, until it is accepted.
    pub(super) breaker: Breaker,
    pub(super) limits: Limits,
    /// The settings of each tenant object with this connection, and when they were used last.
    settings: HashMap<Arc<str>, (Limits, Instant)>,
    /// When the ceiling lets the next call leave, and calls that do not have their moment yet.
    pub(super) next_slot: Option<Instant>,
    pub(super) checking: u32,
    pub(super) jobs: usize,
    pub(super) calls: usize,
    pub(super) timer: Option<Instant>,
}

impl Conn {
    pub(super) fn new() -> Self {
        Self {
            accepted: false,
            breaker: Breaker::default(),
            limits: Limits { max_per_second: f64::INFINITY, reserve_percent: 0.0 },
            settings: HashMap::new(),
            next_slot: None,
            checking: 0,
            jobs: 0,
            calls: 0,
            timer: None,
        }
    }

    /// These are the settings of a tenant object now; of several objects with one connection the strictest count. Whether
    /// that changed anything.
    pub(super) fn set_limits(&mut self, tenant: &Arc<str>, limits: Limits, now: Instant) -> bool {
        if let Some((known, used)) = self.settings.get_mut(tenant).filter(|(known, _)| *known == limits) {
            let recent = now.saturating_duration_since(*used) < SETTINGS_LIFE / 2;
            *used = if recent { *used } else { now };
            if recent || self.limits == *known {
                return false;
            }
        } else {
            self.settings.insert(tenant.clone(), (limits, now));
        }
        self.settings.retain(|_, (_, used)| now.saturating_duration_since(*used) < SETTINGS_LIFE);
        let settings = self.settings.values().map(|(limits, _)| limits);
        let strictest = settings.copied().reduce(|one, other| Limits {
            max_per_second: one.max_per_second.min(other.max_per_second),
            reserve_percent: one.reserve_percent.max(other.reserve_percent),
        });
        let before = std::mem::replace(&mut self.limits, strictest.unwrap_or(limits));
        before != self.limits
    }

    /// Connections of one flavor are held back alike by what holds for the domain.
    pub(super) fn flavor(&self) -> u8 {
        let reserve = self.limits.reserve_percent.clamp(0.0, 100.0) as u8;
        reserve | u8::from(self.accepted) << 7
    }

    /// From one call to the next.
    pub(super) fn gap(&self) -> Duration {
        Duration::from_secs_f64(1.0 / self.limits.max_per_second.max(0.001))
    }

    /// Whether its own settings let a call be prepared; otherwise until when they do not, if that is known.
    pub(super) fn admits(&self, now: Instant) -> Result<(), Option<Instant>> {
        match self.breaker.state(now) {
            State::Open(until) if !self.accepted => return Err(Some(until)),
            State::HalfOpen { probing: true } if !self.accepted => return Err(None),
            _ => {}
        }
        let slot = self.next_slot.map_or(now, |slot| slot.max(now)) + self.gap() * self.checking;
        if slot > now + AHEAD { Err(Some(slot - AHEAD)) } else { Ok(()) }
    }
}
