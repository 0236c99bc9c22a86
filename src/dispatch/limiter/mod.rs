//! How fast calls may go to one domain: what the answers say about Auth0's buckets, what is left to the customer's own
//! logins, and each connection's own ceiling. Pure: time is an argument.
//!
//! Auth0 has many buckets, no header names one, and some are not reported. So:
//! - Each kind of call has a level for each limit that its answers report. Kinds that report the same limit are taken for
//!   one bucket until their reports contradict that.
//! - For what no header explains there is one AIMD limiter: it opens up where nothing is reported, and slows all calls after
//!   a 429 that no level explains.

mod aimd;
mod level;
#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use foldhash::{HashMap, HashSet};

use crate::auth0::RateHeaders;
use crate::dispatch::connection::{ConnectionKey, Limits};

use aimd::Aimd;
use level::{Clock, Level, Report};

/// Waits are estimates: neither so short that asking again costs more than it brings, nor so long that a wrong one hurts.
const MIN_WAIT: Duration = Duration::from_millis(1);
const MAX_WAIT: Duration = Duration::from_secs(10);

/// Method and path template: calls of one name draw from the same buckets.
pub(crate) type CallName = (&'static str, &'static str);

/// A call that left.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    at: f64,
    /// Its number in each level that it drew from.
    drawn: [Option<(u64, u64)>; 2],
    /// Whether no level of its own was known.
    unknown: bool,
}

/// How a call ended, as far as the limiter is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallEnd {
    /// With a success.
    Accepted,
    /// With another answer; Auth0 does not report its buckets there, so that missing headers tell nothing.
    Refused,
    /// With a 429.
    Limited,
    /// Without an answer, or it never left.
    Lost,
}

/// An invariant that does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Violation(pub(crate) &'static str);

/// What is known of the buckets of a kind of call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Heard {
    /// No success yet.
    #[default]
    Nothing,
    /// Successes do not report one.
    Silence,
    Levels,
}

#[derive(Debug, Default)]
struct Kind {
    heard: Heard,
    /// Those reported last.
    levels: [Option<u64>; 2],
    /// Whether it shares no level with others.
    apart: bool,
    in_flight: u32,
}

impl Kind {
    fn draws_from(&self, latest: Option<u64>) -> [Option<u64>; 2] {
        if self.heard == Heard::Nothing && self.levels[0].is_none() { [latest, None] } else { self.levels }
    }
}

/// The limiter of one domain.
#[derive(Debug)]
pub(crate) struct Limiter {
    began: Instant,
    clock: Clock,
    /// The shortest round trip, roughly, in seconds.
    round_trip: f64,
    kinds: HashMap<CallName, Kind>,
    levels: HashMap<u64, Level>,
    last_level: u64,
    /// The level heard of last: kinds not heard of yet are taken to draw from it.
    latest: Option<u64>,
    aimd: Aimd,
    /// The kind of call and the limit that made all calls slower.
    hidden: Option<(CallName, u64)>,
    /// Calls on their way of kinds of which no level is known.
    unknown_in_flight: u32,
    /// Settings of each connection, and the last moment given out.
    connections: HashMap<ConnectionKey, (Limits, Option<Instant>)>,
}

impl Limiter {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            began: now,
            clock: Clock::default(),
            round_trip: f64::INFINITY,
            kinds: HashMap::default(),
            levels: HashMap::default(),
            last_level: 0,
            latest: None,
            aimd: Aimd::default(),
            hidden: None,
            unknown_in_flight: 0,
            connections: HashMap::default(),
        }
    }

    fn seconds(&self, now: Instant) -> f64 {
        now.saturating_duration_since(self.began).as_secs_f64()
    }

    pub(crate) fn set_limits(&mut self, connection: ConnectionKey, limits: Limits) {
        self.connections.entry(connection).or_insert((limits, None)).0 = limits;
    }

    /// Forgets the connections that are gone.
    pub(crate) fn retain(&mut self, alive: &HashSet<ConnectionKey>) {
        self.connections.retain(|connection, _| alive.contains(connection));
    }

    /// The moment at which the next call of this connection may leave as far as its own ceiling goes; the one after it may
    /// not leave before its share of a second is over.
    pub(crate) fn slot(&mut self, connection: ConnectionKey, now: Instant) -> Instant {
        let Some((limits, last)) = self.connections.get_mut(&connection) else { return now };
        let gap = Duration::from_secs_f64(1.0 / limits.max_per_second.max(0.001));
        let slot = last.map_or(now, |last| now.max(last + gap));
        *last = Some(slot);
        slot
    }

    /// When a call of this kind may leave, without regard to the connection's ceiling: `None` for now. To be asked again
    /// then, and after each answer.
    pub(crate) fn wait_until(&self, call: CallName, connection: ConnectionKey, now: Instant) -> Option<Instant> {
        let at = self.seconds(now);
        let reserve = self.connections.get(&connection).map_or(0.0, |(limits, _)| limits.reserve_percent);
        let kind = self.kinds.get(&call);
        let unknown = kind.is_none_or(|kind| kind.heard != Heard::Levels);
        let levels = kind.map_or([self.latest, None], |kind| kind.draws_from(self.latest));
        let by_levels =
            levels.iter().flatten().filter_map(|id| self.levels.get(id)?.wait_until(reserve, &self.clock, at));
        // Nothing but an answer widens the window.
        let by_window = (unknown && self.aimd.is_full(self.unknown_in_flight)).then_some(at + 1.0);
        let wait = by_levels.chain(by_window).chain(self.aimd.wait_until(at)).reduce(f64::max)?;
        Some(now + Duration::try_from_secs_f64(wait - at).unwrap_or(MAX_WAIT).clamp(MIN_WAIT, MAX_WAIT))
    }

    /// A call of this kind leaves now. To be handed to [`Self::finished`].
    pub(crate) fn sent(&mut self, call: CallName, now: Instant) -> Sent {
        let at = self.seconds(now);
        let kind = self.kinds.entry(call).or_default();
        kind.levels = kind.draws_from(self.latest);
        kind.in_flight += 1;
        let unknown = kind.heard != Heard::Levels;
        self.unknown_in_flight += u32::from(unknown);
        self.aimd.sent(at);
        let drawn = kind.levels.map(|id| Some((id?, self.levels.get_mut(&id?)?.draw(&self.clock, at))));
        Sent { at, drawn, unknown }
    }

    /// Whether a call that is counted already may still leave; it does so now. Others may have drawn from its bucket since.
    pub(crate) fn confirm(&self, call: CallName, connection: ConnectionKey, sent: &mut Sent, now: Instant) -> bool {
        sent.at = self.seconds(now);
        let reserve = self.connections.get(&connection).map_or(0.0, |(limits, _)| limits.reserve_percent);
        let levels = self.kinds.get(&call).into_iter().flat_map(|kind| kind.levels.into_iter().flatten());
        let mut levels = levels.filter_map(|id| self.levels.get(&id));
        levels.all(|level| level.holds(reserve, 0.0, &self.clock, sent.at)) && !self.aimd.is_overdrawn(sent.at)
    }

    /// A call of this kind does not leave after all.
    pub(crate) fn unsent(&mut self, call: CallName, sent: Sent, now: Instant) {
        let at = self.seconds(now);
        for (id, _) in sent.drawn.iter().flatten() {
            if let Some(level) = self.levels.get_mut(id) {
                level.give_back();
            }
        }
        self.aimd.give_back(at);
        self.unknown_in_flight = self.unknown_in_flight.saturating_sub(u32::from(sent.unknown));
        if let Some(kind) = self.kinds.get_mut(&call) {
            kind.in_flight = kind.in_flight.saturating_sub(1);
        }
    }

    /// Calls of all kinds on their way.
    pub(crate) fn in_flight(&self) -> usize {
        self.kinds.values().map(|kind| kind.in_flight as usize).sum()
    }

    /// A call of this kind ended so, with these headers.
    pub(crate) fn finished(&mut self, call: CallName, end: CallEnd, headers: &RateHeaders, sent: Sent, now: Instant) {
        let now = self.seconds(now);
        for (id, _) in sent.drawn.iter().flatten() {
            if let Some(level) = self.levels.get_mut(id) {
                level.ended();
            }
        }
        self.unknown_in_flight = self.unknown_in_flight.saturating_sub(u32::from(sent.unknown));
        let Some(kind) = self.kinds.get_mut(&call) else { return };
        kind.in_flight = kind.in_flight.saturating_sub(1);
        if end == CallEnd::Lost {
            return;
        }
        if let Some(date) = headers.date {
            self.clock.read(date, sent.at, now);
        }
        self.round_trip = (self.round_trip * 1.01).min(now - sent.at);
        let report = Report::read(headers, &self.clock, sent.at, now, end == CallEnd::Limited);
        if end == CallEnd::Limited {
            return self.limited(call, report, sent, now);
        }
        self.aimd.open(sent.unknown, now);
        match report {
            Some(report) => {
                kind.heard = Heard::Levels;
                if self.hidden == Some((call, report.limit)) {
                    self.aimd.forget();
                    self.hidden = None;
                }
                self.reported(call, &report, sent, true, now);
            }
            None if end == CallEnd::Accepted => {
                kind.heard = Heard::Silence;
                kind.levels = [None; 2];
                self.drop_levels();
            }
            None => {}
        }
    }

    /// A 429 whose headers say that nothing is left, and when there will be more, is explained by them, if it is of a bucket
    /// that successes report, too. Any other comes from a bucket that shows itself only by its refusals.
    fn limited(&mut self, call: CallName, report: Option<Report>, sent: Sent, now: f64) {
        let Some(kind) = self.kinds.get_mut(&call) else { return };
        let explained = report.filter(|report| report.remaining == 0 && report.resets);
        let own = |report: &Report| {
            kind.levels
                .iter()
                .flatten()
                .copied()
                .find(|id| self.levels.get(id).is_some_and(|level| level.limit == report.limit))
        };
        if let Some(report) = report {
            let known = own(&report);
            if known.is_some() || kind.heard == Heard::Nothing {
                if let Some(level) = known.and_then(|id| self.levels.get_mut(&id)).filter(|_| explained.is_some()) {
                    level.doubt(sent.at, now);
                    // If it was taken to be apart, it is not.
                    kind.apart = false;
                }
                self.reported(call, &report, sent, false, now);
            } else if explained.is_some() {
                self.hidden = Some((call, report.limit));
                return self.aimd.close(sent.at, Some(report.slowest_refill()), now);
            }
        }
        if explained.is_none() {
            self.hidden = None;
            self.aimd.close(sent.at, None, now);
        }
    }

    /// Brings the level that this report is about up to date.
    fn reported(&mut self, call: CallName, report: &Report, sent: Sent, success: bool, now: f64) {
        let Some(kind) = self.kinds.get_mut(&call) else { return };
        let find = |owner: Option<CallName>| {
            let is_it = |level: &Level| level.limit == report.limit && level.owner == owner;
            let known = kind.levels.iter().flatten().copied().find(|id| self.levels.get(id).is_some_and(is_it));
            known.or_else(|| self.levels.iter().find(|(_, level)| is_it(level)).map(|(id, _)| *id))
        };
        let number = |id: u64| sent.drawn.iter().flatten().find(|(drawn, _)| *drawn == id).map(|(_, number)| *number);
        let mut found = find(kind.apart.then_some(call));
        if let Some(id) = found.filter(|_| !kind.apart)
            && let Some(level) = self.levels.get(&id)
            && number(id).is_some_and(|number| level.is_contradicted(report, number, &self.clock, now))
        {
            kind.apart = true;
            found = find(Some(call));
        }
        let id = found.unwrap_or_else(|| {
            self.last_level += 1;
            let level = Level::new(report, kind.apart.then_some(call), success, now);
            self.levels.insert(self.last_level, level);
            self.last_level
        });
        let unseen = if number(id).is_some() { 0 } else { self.unknown_in_flight };
        if let Some(level) = self.levels.get_mut(&id) {
            level.confirmed |= success;
            level.report(report, number(id).unwrap_or_default(), unseen, self.round_trip, &self.clock, now);
        }
        self.latest = Some(id);
        let other = kind.levels.iter().flatten().copied().find(|other| *other != id);
        let other = other
            .filter(|other| self.levels.get(other).is_some_and(|level| level.confirmed && level.limit != report.limit));
        if let Some(level) = other.and_then(|other| self.levels.get_mut(&other)).filter(|_| success) {
            level.holds_at_least(report.remaining, &self.clock, now);
        }
        if kind.levels != [Some(id), other] {
            kind.levels = [Some(id), other];
            self.drop_levels();
        }
    }

    /// Forgets the levels that no kind of call has any more.
    fn drop_levels(&mut self) {
        let kinds = &self.kinds;
        self.levels.retain(|id, _| kinds.values().any(|kind| kind.levels.contains(&Some(*id))));
        self.latest = self.latest.filter(|id| self.levels.contains_key(id));
    }

    /// Whether all that must hold does.
    pub(crate) fn check(&self) -> Result<(), Violation> {
        let levels = self.kinds.values().flat_map(|kind| kind.levels.iter().flatten()).chain(&self.latest);
        let in_flight: u32 = self.kinds.values().map(|kind| kind.in_flight).sum();
        let rules = [
            (self.levels.values().all(Level::check), "the level of a bucket is out of bounds"),
            (levels.into_iter().all(|id| self.levels.contains_key(id)), "a kind of call has a level that is not there"),
            (self.levels.len() <= 2 * self.kinds.len(), "levels of no kind of call"),
            (self.unknown_in_flight <= in_flight, "more unknown calls on their way than calls"),
            (self.aimd.check(), "the AIMD limiter is out of bounds"),
        ];
        rules.into_iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, what)| Err(Violation(what)))
    }
}
