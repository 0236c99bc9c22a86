//! How fast calls may go to one domain: what the answers say about Auth0's buckets, what is left to the customer's own
//! logins, and each connection's own ceiling. Pure: time is an argument.
//!
//! Auth0 has many token buckets, no header names one, and some are not reported. So:
//! - There is a level for each kind of call and limit that its answers report. Kinds that report the same limit are taken for
//!   one bucket until their reports contradict that. Of several buckets of a kind the tightest is reported, or always the
//!   same one; so the last two count.
//! - For what no header explains there is one AIMD limiter: it opens up where nothing is reported, and slows all calls after
//!   a 429 that no level explains.

mod aimd;
mod level;
#[cfg(test)]
mod model;
mod report;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use foldhash::{HashMap, HashSet};

use crate::auth0::RateHeaders;
use crate::dispatch::connection::{ConnectionKey, Limits};

use aimd::Aimd;
use level::Level;
use report::{Clock, Refill, Report};

/// Waits are estimates: neither so short that asking again costs more than it brings, nor so long that a wrong one hurts.
const MIN_WAIT: Duration = Duration::from_millis(1);
const MAX_WAIT: Duration = Duration::from_secs(10);

/// Method and path template: calls of one name draw from the same buckets.
pub(crate) type CallName = (&'static str, &'static str);

/// The bucket that a level is about: the limit that is reported, and the only kind of call that draws from it; without, all
/// that report this limit do.
type Bucket = (u64, Option<CallName>);

/// A call that left.
#[derive(Debug)]
pub(crate) struct Sent {
    at: f64,
    /// Its number in each level that it drew from.
    drawn: [Option<(Bucket, u64)>; 2],
    /// Whether no bucket was reported to its kind.
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

/// What is known of a kind of call.
#[derive(Debug, Default)]
struct Kind {
    /// Whether the answers to its calls report a bucket: unknown before the first one to a call that was let through.
    reports: Option<bool>,
    /// The buckets reported last.
    buckets: [Option<Bucket>; 2],
    /// Whether a report was too high for the bucket that it shares with other kinds.
    contradicted: bool,
}

/// The limiter of one domain.
#[derive(Debug)]
pub(crate) struct Limiter {
    began: Instant,
    clock: Clock,
    /// The shortest round trip of late, roughly, in seconds.
    round_trip: f64,
    kinds: HashMap<CallName, Kind>,
    levels: HashMap<Bucket, Level>,
    /// The bucket reported last: kinds of which nothing is known are taken to draw from it.
    latest: Option<Bucket>,
    aimd: Aimd,
    /// Calls on their way, and those of them to whose kind no bucket was reported.
    in_flight: i64,
    unknown_in_flight: i64,
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
            latest: None,
            aimd: Aimd::default(),
            in_flight: 0,
            unknown_in_flight: 0,
            connections: HashMap::default(),
        }
    }

    fn seconds(&self, now: Instant) -> f64 {
        now.saturating_duration_since(self.began).as_secs_f64()
    }

    /// These are the settings of this connection now.
    pub(crate) fn set_limits(&mut self, connection: ConnectionKey, limits: Limits) {
        self.connections.entry(connection).or_insert((limits, None)).0 = limits;
    }

    /// Forgets the connections that are gone.
    pub(crate) fn retain(&mut self, alive: &HashSet<ConnectionKey>) {
        self.connections.retain(|connection, _| alive.contains(connection));
    }

    /// Gives out the moment at which the next call of this connection may leave as far as its own ceiling goes. What is not
    /// used is not kept.
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
        let kind = self.kinds.get(&call);
        let unknown = kind.is_none_or(|kind| kind.reports != Some(true));
        let buckets = kind.map_or([self.latest, None], |kind| kind.draw_from(self.latest));
        let reserve = self.connections.get(&connection).map_or(0.0, |(limits, _)| limits.reserve_percent);
        let levels = buckets.iter().flatten().filter_map(|bucket| self.levels.get(bucket));
        let by_levels = levels.filter_map(|level| level.wait_until(reserve, &self.clock, at));
        // Nothing but an answer widens the window.
        let by_window = (unknown && self.aimd.is_full(self.unknown_in_flight)).then_some(at + 1.0);
        let wait = by_levels.chain(by_window).chain(self.aimd.wait_until(at)).reduce(f64::max)?;
        Some(now + Duration::try_from_secs_f64(wait - at).unwrap_or(MAX_WAIT).clamp(MIN_WAIT, MAX_WAIT))
    }

    /// A call of this kind leaves now. To be handed to [`Self::finished`].
    pub(crate) fn sent(&mut self, call: CallName, now: Instant) -> Sent {
        let at = self.seconds(now);
        let kind = self.kinds.entry(call).or_default();
        kind.buckets = kind.draw_from(self.latest);
        let unknown = kind.reports != Some(true);
        self.in_flight += 1;
        self.unknown_in_flight += i64::from(unknown);
        self.aimd.sent(at);
        let drawn = kind.buckets.map(|bucket| Some((bucket?, self.levels.get_mut(&bucket?)?.draw(&self.clock, at))));
        Sent { at, drawn, unknown }
    }

    /// Whether a call that is counted already may still leave; it does so now. Others may have drawn from its bucket since.
    pub(crate) fn confirm(&self, connection: ConnectionKey, sent: &mut Sent, now: Instant) -> bool {
        sent.at = self.seconds(now);
        let reserve = self.connections.get(&connection).map_or(0.0, |(limits, _)| limits.reserve_percent);
        let mut levels = sent.drawn.iter().flatten().filter_map(|(bucket, _)| self.levels.get(bucket));
        levels.all(|level| level.is_kept(reserve, &self.clock, sent.at)) && !self.aimd.is_overdrawn(sent.at)
    }

    /// A call does not leave after all.
    pub(crate) fn unsent(&mut self, sent: Sent, now: Instant) {
        let at = self.seconds(now);
        for (bucket, _) in sent.drawn.iter().flatten() {
            self.levels.get_mut(bucket).into_iter().for_each(Level::give_back);
        }
        self.aimd.give_back(at);
        self.in_flight -= 1;
        self.unknown_in_flight -= i64::from(sent.unknown);
    }

    /// Calls of all kinds on their way.
    pub(crate) const fn in_flight(&self) -> usize {
        self.in_flight as usize
    }

    /// A call of this kind ended so, with these headers.
    pub(crate) fn finished(&mut self, call: CallName, end: CallEnd, headers: &RateHeaders, sent: Sent, now: Instant) {
        let now = self.seconds(now);
        for (bucket, _) in sent.drawn.iter().flatten() {
            self.levels.get_mut(bucket).into_iter().for_each(Level::ended);
        }
        if self.levels.len() > 2 * self.kinds.len() {
            self.forget_buckets();
        }
        self.in_flight -= 1;
        self.unknown_in_flight -= i64::from(sent.unknown);
        if end == CallEnd::Lost {
            return;
        }
        if let Some(date) = headers.date {
            self.clock.read(date, sent.at, now);
        }
        self.round_trip = (self.round_trip * 1.01).min(now - sent.at);
        let report = Report::read(headers, &self.clock, sent.at, now, end == CallEnd::Limited);
        let kind = self.kinds.entry(call).or_default();
        if end == CallEnd::Limited {
            return self.limited(call, report, &sent, now);
        }
        self.aimd.open(sent.unknown, now);
        if let Some(report) = report {
            if kind.reports != Some(true) {
                // What only refusals told, or other kinds of call.
                *kind = Kind { reports: Some(true), ..Kind::default() };
            }
            self.reported(call, &report, false, &sent, now);
        } else if end == CallEnd::Accepted {
            // One answer without headers among others says nothing.
            let level = kind.buckets[0].and_then(|bucket| self.levels.get(&bucket));
            if kind.reports != Some(true) || level.is_none_or(|level| level.is_stale(now)) {
                *kind = Kind { reports: Some(false), ..Kind::default() };
                self.forget_buckets();
            }
        }
    }

    /// A 429 whose headers say that nothing is left, and when there will be more, is explained by them, if they are about a
    /// bucket that other answers report, too. Any other comes from a bucket that shows itself only by its refusals.
    fn limited(&mut self, call: CallName, report: Option<Report>, sent: &Sent, now: f64) {
        let kind = self.kinds.entry(call).or_default();
        let explained = report.filter(|report| report.remaining == 0 && report.resets);
        let known = report.filter(|report| {
            kind.reports.is_none()
                || kind.find(report.limit).is_some()
                || self.levels.contains_key(&(report.limit, None))
        });
        if let Some(report) = known {
            if let Some(bucket) = kind.find(report.limit).filter(|_| explained.is_some()) {
                if let Some(level) = self.levels.get_mut(bucket) {
                    level.doubt(sent.at, now);
                }
                // If it was taken for a bucket of its own, it is not.
                *bucket = (report.limit, None);
            }
            self.reported(call, &report, true, sent, now);
        }
        if explained.is_none() || known.is_none() {
            let least = explained.map(|report| report.refill.unwrap_or(Refill::unknown(report.limit)).low);
            self.aimd.close(sent.at, least, now);
        }
    }

    /// Brings the level that this report is about up to date.
    fn reported(&mut self, call: CallName, report: &Report, refused: bool, sent: &Sent, now: f64) {
        let kind = self.kinds.entry(call).or_default();
        let own = kind.find(report.limit).and_then(|bucket| bucket.1);
        let mut bucket = (report.limit, own);
        let number =
            |bucket| sent.drawn.iter().flatten().find(|(drawn, _)| *drawn == bucket).map(|(_, number)| *number);
        let level = self.levels.get(&bucket).filter(|level| own.is_none() && level.reporter != call);
        match level.and_then(|level| level.agrees(report, number(bucket)?, self.round_trip, now)) {
            Some(true) => kind.contradicted = false,
            // Once may be chance.
            Some(false) if !kind.contradicted => kind.contradicted = true,
            Some(false) => (kind.contradicted, bucket.1) = (false, Some(call)),
            None => {}
        }
        let level = self.levels.entry(bucket).or_insert_with(|| Level::new(report, call, now));
        if !refused {
            level.reporter = call;
        }
        level.report(report, number(bucket), self.in_flight, self.round_trip, &self.clock, now);
        let other = kind.buckets.into_iter().flatten().find(|other| other.0 != bucket.0);
        let level = other.filter(|_| !refused).and_then(|other| Some((self.levels.get_mut(&other)?, number(other)?)));
        if let Some((level, number)) = level.filter(|(level, _)| level.reporter == call) {
            level.holds_at_least(report.remaining, number, &self.clock, now);
        }
        self.latest = Some(bucket);
        if kind.buckets != [Some(bucket), other] {
            kind.buckets = [Some(bucket), other];
            self.forget_buckets();
        }
    }

    /// Forgets the buckets that no kind of call draws from any more.
    fn forget_buckets(&mut self) {
        let kinds = &self.kinds;
        let drawn = |bucket: &Bucket| kinds.values().any(|kind| kind.buckets.contains(&Some(*bucket)));
        self.levels.retain(|bucket, level| drawn(bucket) || !level.is_idle());
        self.latest = self.latest.filter(|bucket| self.levels.contains_key(bucket));
    }

    /// Whether all that must hold does.
    pub(crate) fn check(&self) -> Result<(), Violation> {
        let buckets = self.kinds.values().flat_map(|kind| kind.buckets.iter().flatten()).chain(&self.latest);
        let most = 2 * (self.kinds.len() as i64 + self.in_flight);
        let rules = [
            (self.levels.values().all(Level::check), "the level of a bucket is out of bounds"),
            (self.aimd.check(), "the AIMD limiter is out of bounds"),
            (buckets.into_iter().all(|bucket| self.levels.contains_key(bucket)), "a bucket without a level"),
            (self.levels.len() as i64 <= most, "levels of buckets that nothing draws from"),
            ((0..=self.in_flight).contains(&self.unknown_in_flight), "calls on their way are miscounted"),
        ];
        rules.into_iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, what)| Err(Violation(what)))
    }
}

impl Kind {
    /// The buckets that its next call draws from.
    fn draw_from(&self, latest: Option<Bucket>) -> [Option<Bucket>; 2] {
        if self.reports.is_none() && self.buckets[0].is_none() { [latest, None] } else { self.buckets }
    }

    fn find(&mut self, limit: u64) -> Option<&mut Bucket> {
        self.buckets.iter_mut().flatten().find(|bucket| bucket.0 == limit)
    }
}
