//! The rate limiter of one domain: follows Auth0's token buckets by the headers of its answers, leaves a reserve to
//! other clients, and keeps each connection's ceiling. Pure: the current time is an argument. The rules for users are
//! in docs/rate-limits.md.
//!
//! Auth0 has many token buckets, no header names the bucket that it describes, and some buckets are never reported.
//! Therefore:
//! - A [`TokenBucket`] stands for a limit that answers report. Routes that report the same limit are taken to share a
//!   bucket until their reports contradict that. If a route draws from several buckets, Auth0 reports the tightest or
//!   always the same one, so the last two that were reported count.
//! - A 429 may come from another limit than the one in its headers. Then its report is too low, which costs nothing as to
//!   the level, but would make the refill look fast, and routes seem to have buckets of their own. Both are learned from
//!   answers to calls that were let through.
//! - One AIMD limiter stands for everything that is not reported: it speeds up where no bucket is known, and slows down
//!   all routes after a 429 that no bucket explains.
//!
//! The life of a call: [`Limiter::wait_until`] says when it may be started, [`Limiter::acquire`] takes its tokens,
//! [`Limiter::reserve_slot`] keeps the ceiling, [`Limiter::confirm`] checks once more when it is sent, and
//! [`Limiter::finished`] learns from its answer. [`Limiter::release`] returns the tokens of a call that is not sent.

mod aimd;
#[cfg(test)]
mod model;
mod report;
#[cfg(test)]
mod tests;
mod token_bucket;

use std::time::{Duration, Instant};

use foldhash::{HashMap, HashSet};

use crate::auth0::RateHeaders;
use crate::dispatch::connection::{ConnectionKey, Limits};

use aimd::Aimd;
use report::{BucketReport, Refill, ServerClock};
use token_bucket::TokenBucket;

/// Bounds of a wait. As waits are estimates, a shorter one is not worth another question, and a longer one may be
/// wrong.
const MIN_WAIT: Duration = Duration::from_millis(1);
const MAX_WAIT: Duration = Duration::from_secs(10);

/// An HTTP method and a path template, such as `("DELETE", "users/{id}/roles")`. Calls on one route draw from the same
/// buckets.
pub(crate) type Route = (&'static str, &'static str);

/// Identifies a bucket by the limit that it reports and the only route that draws from it. Without a route, all routes
/// that report this limit share it.
type BucketKey = (u64, Option<Route>);

/// The tokens that a call has taken. When the call ends, it has to be passed to [`Limiter::finished`] or
/// [`Limiter::release`].
#[derive(Debug)]
pub(crate) struct Permit {
    at: f64,
    /// The buckets that the call drew from, each with the number of the call there.
    drawn: [Option<(BucketKey, u64)>; 2],
    /// Whether the call's route had no reported bucket.
    unreported: bool,
}

/// How a call ended, as far as it matters to the limiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallOutcome {
    /// It succeeded.
    Success,
    /// It failed with another status than 429. Auth0 does not always report buckets then, so missing headers mean
    /// nothing.
    Failure,
    /// It was answered with 429.
    RateLimited,
    /// It got no answer, or was never sent.
    NoAnswer,
}

/// An invariant does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Violation(pub(crate) &'static str);

/// What is known of a route.
#[derive(Debug, Default)]
struct RouteState {
    /// Whether its answers report a bucket; `None` before the first answer that could.
    reports: Option<bool>,
    /// The buckets that were reported last.
    keys: [Option<BucketKey>; 2],
    /// Whether the last report was too high for the bucket that the route shares with others.
    contradicted: bool,
}

/// The rate limiter of a domain.
#[derive(Debug)]
pub(crate) struct Limiter {
    began: Instant,
    clock: ServerClock,
    /// About the shortest recent round trip, in seconds.
    round_trip: f64,
    routes: HashMap<Route, RouteState>,
    buckets: HashMap<BucketKey, TokenBucket>,
    /// The bucket that was reported last. Routes of which nothing is known are taken to draw from it.
    last_reported: Option<BucketKey>,
    aimd: Aimd,
    /// The number of calls in flight, and how many of those are on routes without a reported bucket.
    in_flight: i64,
    unreported_in_flight: i64,
    /// The limits of each connection, and the last slot that it was given.
    connections: HashMap<ConnectionKey, (Limits, Option<Instant>)>,
}

impl Limiter {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            began: now,
            clock: ServerClock::default(),
            round_trip: f64::INFINITY,
            routes: HashMap::default(),
            buckets: HashMap::default(),
            last_reported: None,
            aimd: Aimd::default(),
            in_flight: 0,
            unreported_in_flight: 0,
            connections: HashMap::default(),
        }
    }

    fn seconds(&self, now: Instant) -> f64 {
        now.saturating_duration_since(self.began).as_secs_f64()
    }

    /// Sets the limits of a connection.
    pub(crate) fn set_limits(&mut self, connection: ConnectionKey, limits: Limits) {
        self.connections.entry(connection).or_insert((limits, None)).0 = limits;
    }

    /// Forgets all connections but these.
    pub(crate) fn retain(&mut self, alive: &HashSet<ConnectionKey>) {
        self.connections.retain(|connection, _| alive.contains(connection));
    }

    /// Gives a connection the next time slot that its ceiling allows. Slots that were not used are lost: there are no
    /// bursts.
    pub(crate) fn reserve_slot(&mut self, connection: ConnectionKey, now: Instant) -> Instant {
        let Some((limits, last)) = self.connections.get_mut(&connection) else { return now };
        let gap = Duration::from_secs_f64(1.0 / limits.max_per_second.max(0.001));
        let slot = last.map_or(now, |last| now.max(last + gap));
        *last = Some(slot);
        slot
    }

    /// When a call on this route may be started, without regard to the connection's ceiling; `None` if it may now. Ask
    /// again then, and after each answer.
    pub(crate) fn wait_until(&self, route: Route, connection: ConnectionKey, now: Instant) -> Option<Instant> {
        let at = self.seconds(now);
        let state = self.routes.get(&route);
        let unreported = state.is_none_or(|state| state.reports != Some(true));
        let keys = state.map_or([self.last_reported, None], |state| state.next_keys(self.last_reported));
        let reserve = self.connections.get(&connection).map_or(0.0, |(limits, _)| limits.reserve_percent);
        let buckets = keys.iter().flatten().filter_map(|key| self.buckets.get(key));
        let by_buckets = buckets.filter_map(|bucket| bucket.wait_until(reserve, &self.clock, at));
        // The window widens only with an answer, not with time.
        let by_window = (unreported && self.aimd.is_full(self.unreported_in_flight)).then_some(at + 1.0);
        let wait = by_buckets.chain(by_window).chain(self.aimd.wait_until(at)).reduce(f64::max)?;
        Some(now + Duration::try_from_secs_f64(wait - at).unwrap_or(MAX_WAIT).clamp(MIN_WAIT, MAX_WAIT))
    }

    /// Takes the tokens for a call on this route.
    pub(crate) fn acquire(&mut self, route: Route, now: Instant) -> Permit {
        let at = self.seconds(now);
        let state = self.routes.entry(route).or_default();
        state.keys = state.next_keys(self.last_reported);
        let unreported = state.reports != Some(true);
        self.in_flight += 1;
        self.unreported_in_flight += i64::from(unreported);
        self.aimd.sent(at);
        let drawn = state.keys.map(|key| Some((key?, self.buckets.get_mut(&key?)?.draw(&self.clock, at))));
        Permit { at, drawn, unreported }
    }

    /// Whether a call that has its tokens may be sent now. Other clients may have drawn from its buckets since it took
    /// them. If nothing was known of its buckets then, the buckets that were reported since count: they take every call
    /// for drawn that was started before their first report.
    pub(crate) fn confirm(
        &self,
        (route, connection): (Route, ConnectionKey),
        permit: &mut Permit,
        now: Instant,
    ) -> bool {
        permit.at = self.seconds(now);
        let reserve = self.connections.get(&connection).map_or(0.0, |(limits, _)| limits.reserve_percent);
        let state = self.routes.get(&route);
        let now_known = || state.map_or([self.last_reported, None], |state| state.next_keys(self.last_reported));
        let drawn = permit.drawn.map(|drawn| drawn.map(|(key, _)| key));
        let keys = if drawn == [None, None] { now_known() } else { drawn };
        let mut buckets = keys.iter().flatten().filter_map(|key| self.buckets.get(key));
        buckets.all(|bucket| bucket.keeps_reserve(reserve, &self.clock, permit.at))
            && !self.aimd.is_overdrawn(permit.at)
    }

    /// Returns the tokens of a call that is not sent.
    pub(crate) fn release(&mut self, permit: Permit, now: Instant) {
        let at = self.seconds(now);
        for (key, number) in permit.drawn.iter().flatten() {
            self.buckets.get_mut(key).into_iter().for_each(|bucket| bucket.give_back(*number));
        }
        self.aimd.give_back(at);
        self.in_flight -= 1;
        self.unreported_in_flight -= i64::from(permit.unreported);
    }

    /// The number of calls that have taken tokens and have not ended.
    pub(crate) const fn in_flight(&self) -> usize {
        self.in_flight as usize
    }

    /// Learns from the end of a call.
    pub(crate) fn finished(
        &mut self,
        route: Route,
        outcome: CallOutcome,
        headers: &RateHeaders,
        permit: Permit,
        now: Instant,
    ) {
        let now = self.seconds(now);
        for (key, number) in permit.drawn.iter().flatten() {
            self.buckets.get_mut(key).into_iter().for_each(|bucket| bucket.call_finished(*number, now));
        }
        if self.buckets.len() > 2 * self.routes.len() {
            self.forget_unused_buckets();
        }
        self.in_flight -= 1;
        self.unreported_in_flight -= i64::from(permit.unreported);
        if outcome == CallOutcome::NoAnswer {
            return;
        }
        if let Some(date) = headers.date {
            self.clock.read(date, permit.at, now);
        }
        self.round_trip = (self.round_trip * 1.01).min(now - permit.at);
        let report = BucketReport::read(headers, &self.clock, permit.at, now, outcome == CallOutcome::RateLimited);
        let state = self.routes.entry(route).or_default();
        if outcome == CallOutcome::RateLimited {
            return self.rate_limited(route, report, &permit, now);
        }
        self.aimd.increase(permit.unreported, now);
        if let Some(report) = report {
            if state.reports != Some(true) {
                // What is known so far comes from refusals, or from other routes.
                *state = RouteState { reports: Some(true), ..RouteState::default() };
            }
            self.update_bucket(route, &report, &permit, now);
        } else if outcome == CallOutcome::Success {
            // A single answer without headers means nothing, unless the bucket's last report is stale.
            let bucket = state.keys[0].and_then(|key| self.buckets.get(&key));
            if state.reports != Some(true) || bucket.is_none_or(|bucket| bucket.is_stale(now)) {
                *state = RouteState { reports: Some(false), ..RouteState::default() };
                self.forget_unused_buckets();
            }
        }
    }

    /// A 429 is explained by its headers if they say that nothing is left and when there will be more, and if they are
    /// about a bucket that other answers report, too. Any other 429 comes from a bucket that is not reported.
    fn rate_limited(&mut self, route: Route, report: Option<BucketReport>, permit: &Permit, now: f64) {
        let state = self.routes.entry(route).or_default();
        let explained = report.filter(|report| report.remaining == 0 && report.resets);
        let known = report.filter(|report| {
            state.reports.is_none()
                || state.find(report.limit).is_some()
                || self.buckets.contains_key(&(report.limit, None))
        });
        if let Some(report) = known {
            if let Some(key) = state.find(report.limit).filter(|_| explained.is_some()) {
                if let Some(bucket) = self.buckets.get_mut(key) {
                    bucket.refused_unexpectedly(permit.at, now);
                }
                // A bucket of its own would not have been overdrawn, so the route shares it.
                *key = (report.limit, None);
            }
            self.update_bucket(route, &report, permit, now);
        }
        if explained.is_none() || known.is_none() {
            let refill = explained.map(|report| report.refill.unwrap_or(Refill::unknown(report.limit)).low);
            self.aimd.decrease(permit.at, refill, now);
        }
    }

    /// Updates the bucket that a report is about, and the buckets that the route draws from.
    fn update_bucket(&mut self, route: Route, report: &BucketReport, permit: &Permit, now: f64) {
        let state = self.routes.entry(route).or_default();
        let own = state.find(report.limit).and_then(|key| key.1);
        let mut key = (report.limit, own);
        let number = |key| permit.drawn.iter().flatten().find(|(drawn, _)| *drawn == key).map(|(_, number)| *number);
        let bucket = self.buckets.get(&key).filter(|bucket| own.is_none() && bucket.reporter != route);
        match bucket.and_then(|bucket| bucket.is_consistent_with(report, number(key)?, self.round_trip, now)) {
            Some(true) => state.contradicted = false,
            // A single contradiction may be a coincidence.
            Some(false) if !state.contradicted => state.contradicted = true,
            Some(false) => (state.contradicted, key.1) = (false, Some(route)),
            None => {}
        }
        let bucket = self.buckets.entry(key).or_insert_with(|| TokenBucket::new(report, route, now));
        if !report.refused {
            bucket.reporter = route;
        }
        bucket.report(report, number(key), self.in_flight, self.round_trip, &self.clock, now);
        let other = state.keys.into_iter().flatten().find(|other| other.0 != key.0);
        let bucket =
            other.filter(|_| !report.refused).and_then(|other| Some((self.buckets.get_mut(&other)?, number(other)?)));
        if let Some((bucket, number)) = bucket.filter(|(bucket, _)| bucket.reporter == route) {
            bucket.raise_to(report.remaining, number, &self.clock, now);
        }
        self.last_reported = Some(key);
        if state.keys != [Some(key), other] {
            state.keys = [Some(key), other];
            self.forget_unused_buckets();
        }
    }

    /// Forgets buckets that no route draws from any more.
    #[allow(clippy::disallowed_methods, reason = "whether any draws from it has no order")]
    fn forget_unused_buckets(&mut self) {
        let routes = &self.routes;
        let drawn = |key: &BucketKey| routes.values().any(|state| state.keys.contains(&Some(*key)));
        self.buckets.retain(|key, bucket| drawn(key) || !bucket.is_idle());
        self.last_reported = self.last_reported.filter(|key| self.buckets.contains_key(key));
    }

    /// Checks the invariants.
    #[allow(clippy::disallowed_methods, reason = "all are checked")]
    pub(crate) fn check(&self) -> Result<(), Violation> {
        let keys = self.routes.values().flat_map(|state| state.keys.iter().flatten()).chain(&self.last_reported);
        let most = 2 * (self.routes.len() as i64 + self.in_flight);
        let rules = [
            (self.buckets.values().all(TokenBucket::check), "the level of a bucket is out of bounds"),
            (self.aimd.check(), "the AIMD limiter is out of bounds"),
            (keys.into_iter().all(|key| self.buckets.contains_key(key)), "a key without a bucket"),
            (self.buckets.len() as i64 <= most, "buckets that nothing draws from"),
            ((0..=self.in_flight).contains(&self.unreported_in_flight), "calls in flight are miscounted"),
        ];
        rules.into_iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, what)| Err(Violation(what)))
    }
}

impl RouteState {
    /// The buckets that the next call on this route draws from.
    fn next_keys(&self, latest: Option<BucketKey>) -> [Option<BucketKey>; 2] {
        if self.reports.is_none() && self.keys[0].is_none() { [latest, None] } else { self.keys }
    }

    fn find(&mut self, limit: u64) -> Option<&mut BucketKey> {
        self.keys.iter_mut().flatten().find(|key| key.0 == limit)
    }
}
