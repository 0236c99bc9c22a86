//! How fast a lane may go: what the answers say about Auth0's buckets, what is left to the customer's own logins, and the
//! tenant's own ceiling. Pure: time is an argument.
//!
//! Auth0 has many buckets, no header names one, and some are not reported (auth0-api.md 4.1). So:
//! - Each kind of call keeps the last report it got. `Reset` is the time to *full*: waiting for it while tokens come back
//!   earlier would be waste, so a level is believed to rise from the last report on, at the rate that report implies.
//! - Kinds that report the same limit are taken for one bucket until their reports contradict that.
//! - Where nothing is reported, a lane starts gently and opens up. After a 429 that no report explains, all of it does.

mod bucket;
mod opening;

use std::sync::Arc;
use std::time::{Duration, Instant};

use foldhash::{HashMap, HashSet};

use crate::auth0::RateHeaders;

use bucket::Bucket;
use opening::Opening;

/// Settings of a tenant object that made no call for this long do not bind the others of its domain.
const SETTINGS_LIFE: Duration = Duration::from_secs(300);

/// The rate of the last moments, not that of an hour.
const RECENTLY: Duration = Duration::from_secs(10);

/// Calls of a kind that leave before its first answer.
const FIRST_TRIES: u32 = 2;

/// Method and path template: calls of one name draw from one bucket.
pub(super) type CallName = (&'static str, &'static str);

/// The tenant's own settings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Never more calls a second than this, on the whole lane.
    pub max_per_second: f64,
    /// Share of each bucket, in percent, that is left to others.
    pub reserve_percent: f64,
}

/// A call that left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    at: Instant,
    /// Answers by then, of its kind and of all.
    own: u64,
    all: u64,
}

/// How a call ended, as far as the pace is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallEnd {
    /// With an answer other than a 429.
    Answered,
    /// With a 429.
    Limited,
    /// Without an answer, or it never left.
    Lost,
}

/// The pace of one lane.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// The settings of each tenant object that uses the lane, and when it last did.
    settings: HashMap<Arc<str>, (Limits, Instant)>,
    next_slot: Option<Instant>,
    buckets: HashMap<CallName, Bucket>,
    /// Calls on their way.
    in_flight: HashMap<CallName, u32>,
    /// Calls answered, ever.
    answered: HashMap<CallName, u64>,
    /// Kinds of call that report the same limit and yet draw from different buckets, in both orders.
    apart: HashSet<(CallName, CallName)>,
    /// Kinds of call whose answers say nothing about a bucket.
    silent: HashSet<CallName>,
    /// For kinds of call of whose bucket nothing is known.
    unknown: Opening,
    /// For all calls, while a bucket that is not reported shows itself by its refusals.
    hidden: Option<Opening>,
    /// Calls sent since then; begins anew now and then.
    recent: Option<(Instant, u32)>,
}

impl Pace {
    /// These are the settings of this tenant object now. Of several objects with one domain the strictest count, until
    /// one has not been used for a while.
    pub(super) fn set_limits(&mut self, tenant: &Arc<str>, limits: Limits, now: Instant) {
        if let Some(known) = self.settings.get_mut(tenant) {
            *known = (limits, now);
        } else {
            self.settings.insert(tenant.clone(), (limits, now));
        }
        self.settings.retain(|_, (_, used)| now.saturating_duration_since(*used) < SETTINGS_LIFE);
    }

    fn max_per_second(&self) -> f64 {
        self.settings.values().map(|(limits, _)| limits.max_per_second).fold(f64::INFINITY, f64::min)
    }

    fn reserve_percent(&self) -> f64 {
        self.settings.values().map(|(limits, _)| limits.reserve_percent).fold(0.0, f64::max)
    }

    /// When a call of this kind may leave: `None` for now.
    pub(super) fn wait_until(&self, call: CallName, now: Instant) -> Option<Instant> {
        let slot = self.next_slot.filter(|slot| *slot > now);
        let hidden = self.hidden.as_ref().and_then(|opening| opening.wait_until(now));
        slot.max(hidden).max(self.bucket_wait(call, now))
    }

    fn bucket_wait(&self, call: CallName, now: Instant) -> Option<Instant> {
        let reserve = self.reserve_percent();
        let Some(own) = self.buckets.get(&call).filter(|bucket| !bucket.is_stale(now)) else {
            return self.unheard_wait(call, now);
        };
        let mut in_flight = self.in_flight_of(call);
        let own_wait = own.wait_until(reserve, in_flight, false, now);
        // If others share the bucket, the latest report counts, and everything that is on its way.
        let (mut latest, mut shared) = (own, false);
        for (other, bucket) in &self.buckets {
            if *other != call && self.share(call, *other, now) {
                shared = true;
                in_flight += self.in_flight_of(*other);
                if bucket.heard > latest.heard {
                    latest = bucket;
                }
            }
        }
        own_wait.max(latest.wait_until(reserve, in_flight, shared, now))
    }

    /// For a kind of call of whose bucket nothing is known now.
    fn unheard_wait(&self, call: CallName, now: Instant) -> Option<Instant> {
        let opening = self.unknown.wait_until(now);
        if self.silent.contains(&call) {
            return opening;
        }
        // Until its first answer it is tried with a few, and taken to draw from the bucket last heard of.
        let latest = self.buckets.values().max_by_key(|bucket| bucket.heard);
        let in_flight = self.in_flight.values().sum();
        let latest = latest.and_then(|bucket| bucket.wait_until(self.reserve_percent(), in_flight, true, now));
        let tried = (self.in_flight_of(call) >= FIRST_TRIES).then(|| now + Duration::from_secs(1));
        opening.max(latest).max(tried)
    }

    fn in_flight_of(&self, call: CallName) -> u32 {
        self.in_flight.get(&call).copied().unwrap_or(0)
    }

    /// Whether two kinds of call are taken to draw from one bucket.
    fn share(&self, one: CallName, other: CallName, now: Instant) -> bool {
        let (Some(a), Some(b)) = (self.buckets.get(&one), self.buckets.get(&other)) else { return false };
        a.same_size(b) && !a.is_stale(now) && !b.is_stale(now) && !self.apart.contains(&(one, other))
    }

    /// A call of this kind leaves now. To be handed to [`Self::ended`].
    pub(super) fn sent(&mut self, call: CallName, now: Instant) -> Sent {
        let gap = Duration::from_secs_f64(1.0 / self.max_per_second().max(0.001));
        self.next_slot = Some(self.next_slot.map_or(now, |slot| slot.max(now)) + gap);
        let in_flight = self.in_flight.entry(call).or_default();
        *in_flight += 1;
        let overlaps = *in_flight > 1;
        match self.buckets.get_mut(&call) {
            Some(bucket) if !bucket.is_stale(now) => bucket.overlapped |= overlaps,
            _ => self.unknown.sent(now),
        }
        if let Some(hidden) = &mut self.hidden {
            hidden.sent(now);
        }
        let recent = self.recent.filter(|(since, _)| now.saturating_duration_since(*since) < RECENTLY);
        self.recent = recent.map(|(since, sent)| (since, sent + 1)).or(Some((now, 1)));
        let (own, all) = self.answers(call);
        Sent { at: now, own, all }
    }

    /// Answers so far: of this kind, and of all kinds.
    fn answers(&self, call: CallName) -> (u64, u64) {
        (self.answered.get(&call).copied().unwrap_or(0), self.answered.values().sum())
    }

    /// Calls a second, lately.
    fn tried(&self, now: Instant) -> f64 {
        self.recent
            .map_or(0.0, |(since, sent)| f64::from(sent) / now.saturating_duration_since(since).as_secs_f64().max(1.0))
    }

    /// A call of this kind ended so, with these headers.
    pub(super) fn ended(&mut self, call: CallName, end: CallEnd, headers: &RateHeaders, sent: Sent, now: Instant) {
        let in_flight = self.in_flight.entry(call).or_default();
        *in_flight = in_flight.saturating_sub(1);
        let alone = *in_flight == 0;
        let before = self.buckets.get(&call).copied();
        // These may have reached Auth0 later than this one and yet were answered before it.
        let (own, all) = self.answers(call);
        let overtaken = (own - sent.own, all - sent.all);
        *self.answered.entry(call).or_default() += 1;
        let heard = Bucket::read(headers, overtaken, sent.at, now);
        match end {
            CallEnd::Answered => {
                if heard.is_none() {
                    self.unknown.open();
                    self.silent.insert(call);
                } else {
                    self.silent.remove(&call);
                }
                let ceiling = self.max_per_second();
                if let Some(hidden) = &mut self.hidden {
                    hidden.open();
                    if hidden.is_wider_than(ceiling) {
                        self.hidden = None;
                    }
                }
            }
            CallEnd::Limited => self.limited(before, heard, now),
            CallEnd::Lost => {}
        }
        let Some(mut heard) = heard else { return };
        if let Some(before) = before.filter(|b| b.same_size(&heard) && !b.is_stale(now)) {
            heard.goes_on(&before, alone);
        }
        self.tell_apart(call, &heard, now);
        self.buckets.insert(call, heard);
    }

    /// A 429 that leaves nothing in the bucket we know of was somebody else's doing. Any other comes from a bucket that is
    /// not reported, or not for this kind of call.
    fn limited(&mut self, before: Option<Bucket>, heard: Option<Bucket>, now: Instant) {
        self.apart.clear();
        let explained = before.zip(heard).is_some_and(|(before, heard)| before.same_size(&heard) && heard.is_empty());
        if explained {
            return;
        }
        let tried = self.tried(now);
        self.unknown.close(tried, now);
        match &mut self.hidden {
            Some(hidden) => hidden.close(tried, now),
            None => self.hidden = Some(Opening::refused(tried, now)),
        }
    }

    /// If this report shows far more than a recent one of the same size allows, the two are not of one bucket.
    fn tell_apart(&mut self, call: CallName, heard: &Bucket, now: Instant) {
        for (other, bucket) in &self.buckets {
            let out_of_order = self.in_flight_of(call) + self.in_flight_of(*other);
            if *other != call && !bucket.is_stale(now) && heard.contradicts(bucket, out_of_order) {
                self.apart.extend([(call, *other), (*other, call)]);
            }
        }
    }
}

#[cfg(test)]
mod tests;
