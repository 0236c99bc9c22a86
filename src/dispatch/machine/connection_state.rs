//! The connections of a domain: whether Auth0 has accepted them, and their limits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::dispatch::breaker::{Breaker, State};
use crate::dispatch::connection::Limits;

/// Several tenant objects can share a connection. The limits of one count until they were not used for this long.
const SETTINGS_TTL: Duration = Duration::from_secs(300);
/// A call is started this long before its time slot, so that there is time to check it.
const PREPARE_AHEAD: Duration = Duration::from_millis(250);

/// The state of a connection.
#[derive(Debug)]
pub(super) struct ConnectionState {
    /// Whether Auth0 has accepted a call with it since the start. Until then it obeys the domain's breaker and limiter,
    /// but a 429 to it opens only its own breaker.
    pub(super) accepted: bool,
    /// Its own breaker, which counts until it is accepted.
    pub(super) breaker: Breaker,
    pub(super) limits: Limits,
    /// The limits of each tenant object with this connection, and when they were last used.
    settings: BTreeMap<Arc<str>, (Limits, Instant)>,
    /// When the ceiling allows the next call, and the number of calls that have no time slot yet.
    pub(super) next_slot: Option<Instant>,
    pub(super) checking: u32,
    pub(super) jobs: usize,
    pub(super) calls: usize,
    pub(super) timer: Option<Instant>,
}

impl ConnectionState {
    pub(super) fn new() -> Self {
        Self {
            accepted: false,
            breaker: Breaker::default(),
            limits: Limits { max_per_second: f64::INFINITY, reserve_percent: 0.0 },
            settings: BTreeMap::new(),
            next_slot: None,
            checking: 0,
            jobs: 0,
            calls: 0,
            timer: None,
        }
    }

    /// Sets the limits of a tenant object. Of all objects with this connection, the strictest limits count. Returns
    /// whether that changed them.
    pub(super) fn set_limits(&mut self, tenant: &Arc<str>, limits: Limits, now: Instant) -> bool {
        if let Some((known, used)) = self.settings.get_mut(tenant).filter(|(known, _)| *known == limits) {
            let recent = now.saturating_duration_since(*used) < SETTINGS_TTL / 2;
            *used = if recent { *used } else { now };
            if recent || self.limits == *known {
                return false;
            }
        } else {
            self.settings.insert(tenant.clone(), (limits, now));
        }
        self.settings.retain(|_, (_, used)| now.saturating_duration_since(*used) < SETTINGS_TTL);
        let settings = self.settings.values().map(|(limits, _)| limits);
        let strictest = settings.copied().reduce(|one, other| Limits {
            max_per_second: one.max_per_second.min(other.max_per_second),
            reserve_percent: one.reserve_percent.max(other.reserve_percent),
        });
        let before = std::mem::replace(&mut self.limits, strictest.unwrap_or(limits));
        before != self.limits
    }

    /// Connections with the same profile are admitted or held back by the domain's breaker and limiter alike.
    pub(super) fn limit_profile(&self) -> u8 {
        let reserve = self.limits.reserve_percent.clamp(0.0, 100.0) as u8;
        reserve | u8::from(self.accepted) << 7
    }

    /// The time between two calls.
    pub(super) fn gap(&self) -> Duration {
        Duration::from_secs_f64(1.0 / self.limits.max_per_second.max(0.001))
    }

    /// Whether the connection's breaker and ceiling let a call be started now. `Err` holds the time from which they do,
    /// if it is known.
    pub(super) fn admits(&self, now: Instant) -> Result<(), Option<Instant>> {
        match self.breaker.state(now) {
            State::Open(until) if !self.accepted => return Err(Some(until)),
            State::HalfOpen { probing: true } if !self.accepted => return Err(None),
            State::Closed | State::Open(_) | State::HalfOpen { .. } => {}
        }
        let slot = self.next_slot.map_or(now, |slot| slot.max(now)) + self.gap() * self.checking;
        if slot > now + PREPARE_AHEAD { Err(Some(slot - PREPARE_AHEAD)) } else { Ok(()) }
    }
}
