//! For tests: a model of Auth0's rate limits that shares no code with the limiter, and a run of the limiter against it
//! in virtual time. The model has token buckets with whole seconds and whole tokens in their headers, answers with
//! latency, and the circuit breaker after each 429.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::auth0::{RateHeaders, wait_after_429};
use crate::dispatch::breaker::{Allow, Breaker};

use super::{CallOutcome, ConnectionKey, Limiter, Limits, Permit, Route};

pub(super) const ROUTES: [Route; 2] = [("DELETE", "users/{id}/roles"), ("GET", "users/{id}/roles")];
pub(super) const US: ConnectionKey = ConnectionKey(1);

/// A token bucket.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    pub size: f64,
    /// Tokens per second.
    pub refill: f64,
    /// Whether it refills on whole seconds.
    pub by_second: bool,
    /// Whether it is reported by answers that let a call through, and by 429s.
    pub reported: (bool, bool),
    pub tokens: f64,
    pub at: f64,
}

impl Bucket {
    pub(super) fn new(size: u32, refill: f64) -> Self {
        let size = f64::from(size);
        Self { size, refill, by_second: false, reported: (true, true), tokens: size, at: 0.0 }
    }

    /// Adds the tokens up to `at`, a time of Auth0's clock.
    fn fill(&mut self, at: f64) {
        let seconds = if self.by_second { at.floor() - self.at.floor() } else { at - self.at };
        self.tokens = (self.tokens + seconds * self.refill).min(self.size);
        self.at = at;
    }

    fn headers(&self) -> RateHeaders {
        let full = self.at + (self.size - self.tokens) / self.refill;
        RateHeaders {
            limit: Some(self.size as u64),
            remaining: Some(self.tokens as u64),
            reset: Some(full.ceil() as i64),
            date: Some(self.at as i64),
            retry_after: None,
        }
    }
}

/// How Auth0 behaves, and which calls are made.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub buckets: Vec<Bucket>,
    /// The buckets that each route draws from. The tightest is reported, or the first, or the one that refuses.
    pub draws: [Vec<usize>; 2],
    pub first_speaks: bool,
    /// When the size and the refill of bucket 0 change, and to what.
    pub change: Option<(f64, f64, f64)>,
    /// The least and the greatest number of seconds until an answer.
    pub latency: (f64, f64),
    /// Auth0's clock minus ours, in seconds.
    pub skew: f64,
    pub reserve: f64,
    /// The number of calls on each route.
    pub calls: [usize; 2],
    /// The calls per second that another client makes from bucket 0.
    pub others: f64,
    /// Every how many calls an answer has no headers, and how that call ends.
    pub bare: Option<(usize, CallOutcome)>,
    /// If set, only one of this many calls is on the first route, which does not wait when the other does.
    pub sporadic: Option<usize>,
    /// The Retry-After of a 429 without other headers.
    pub retry_after: Option<i64>,
    /// The number of a call that is answered with 429 without any reason.
    pub spurious: Option<usize>,
    /// The share of calls that a limit refuses of which nothing is known: a 429 with the headers of the route's bucket,
    /// but that nothing is left.
    pub refused_elsewhere: f64,
    pub in_flight: usize,
    pub seed: u64,
}

impl World {
    pub(super) fn new(bucket: Bucket, calls: usize) -> Self {
        Self {
            buckets: vec![bucket],
            draws: [vec![0], vec![0]],
            first_speaks: false,
            change: None,
            latency: (0.15, 0.15),
            skew: 1_800_000_000.37,
            reserve: 0.0,
            calls: [calls / 2; 2],
            others: 0.0,
            bare: None,
            sporadic: None,
            retry_after: None,
            spurious: None,
            refused_elsewhere: 0.0,
            in_flight: 64,
            seed: 1,
        }
    }
}

/// The result of a run.
#[derive(Debug, Default)]
pub(super) struct Run {
    /// When each call was answered with anything but a 429, and when each 429 arrived.
    pub done: Vec<f64>,
    pub refused: Vec<f64>,
    /// The number of the other client's calls that were refused.
    pub others_refused: usize,
    /// The fewest tokens that our calls ever left in bucket 0 on routes that had reported it.
    pub lowest: f64,
}

struct Call {
    route: usize,
    permit: Option<Permit>,
    probe: bool,
    outcome: CallOutcome,
    headers: RateHeaders,
}

struct Runner {
    world: World,
    start: Instant,
    clock: f64,
    limiter: Limiter,
    breaker: Breaker,
    random: fastrand::Rng,
    left: [usize; 2],
    in_flight: usize,
    calls: Vec<Call>,
    /// What comes next, by nanosecond: calls that arrive at Auth0, and answers that arrive here.
    events: BinaryHeap<Reverse<(u64, bool, usize)>>,
    run: Run,
}

/// Makes all calls of the world.
pub(super) fn run(world: &World) -> Run {
    let start = Instant::now();
    let mut limiter = Limiter::new(start);
    limiter.set_limits(US, Limits { max_per_second: 1e6, reserve_percent: world.reserve });
    let mut runner = Runner {
        world: world.clone(),
        start,
        clock: 0.0,
        limiter,
        breaker: Breaker::default(),
        random: fastrand::Rng::with_seed(world.seed),
        left: world.calls,
        in_flight: 0,
        calls: Vec::new(),
        events: BinaryHeap::new(),
        run: Run { lowest: f64::MAX, ..Run::default() },
    };
    for bucket in &mut runner.world.buckets {
        bucket.at = world.skew;
    }
    let mut next_other = if world.others > 0.0 { 0.0 } else { f64::INFINITY };
    while runner.run.done.len() < world.calls.iter().sum() {
        let Some(wake) = runner.send() else { continue };
        let event = runner.events.peek().map_or(f64::INFINITY, |Reverse((at, ..))| *at as f64 / 1e9);
        assert!(event.min(wake).is_finite(), "stuck at {}", runner.clock);
        runner.clock = event.min(wake).min(next_other).max(runner.clock);
        if runner.clock == next_other {
            next_other -= runner.random.f64().ln() / world.others;
            runner.other();
        } else if runner.clock >= event
            && let Some(Reverse((_, answer, call))) = runner.events.pop()
        {
            if answer { runner.answer(call) } else { runner.arrive(call) }
        }
    }
    runner.run
}

impl Runner {
    fn now(&self) -> Instant {
        self.start + Duration::from_secs_f64(self.clock)
    }

    /// Sends a call, or returns when to ask again.
    fn send(&mut self) -> Option<f64> {
        let now = self.now();
        let mut wake = None;
        let turn = self.calls.len() % 2;
        let routes = match self.world.sporadic {
            Some(every) if self.left[1] == 0 || (self.left[0] > 0 && self.calls.len().is_multiple_of(every)) => [0, 0],
            Some(_) => [1, 1],
            None => [turn, 1 - turn],
        };
        for route in routes {
            if self.left[route] == 0 || self.in_flight == self.world.in_flight {
                continue;
            }
            if let Some(until) = self.limiter.wait_until(ROUTES[route], US, now) {
                assert!(until > now);
                wake = wake.into_iter().chain([until]).min();
                continue;
            }
            match self.breaker.allow(now) {
                Allow::At(until) => wake = Some(until),
                Allow::AfterProbe => {}
                Allow::Now { probe } => {
                    self.leave(route, probe);
                    return None;
                }
            }
        }
        Some(wake.map_or(f64::INFINITY, |wake| wake.duration_since(self.start).as_secs_f64()))
    }

    fn leave(&mut self, route: usize, probe: bool) {
        let (least, most) = self.world.latency;
        let latency = self.random.f64().mul_add(most - least, least);
        for (after, answer) in [(latency / 2.0, false), (latency, true)] {
            self.events.push(Reverse((((self.clock + after) * 1e9) as u64, answer, self.calls.len())));
        }
        let now = self.now();
        let mut permit = self.limiter.acquire(ROUTES[route], now);
        assert!(self.limiter.confirm((ROUTES[route], US), &mut permit, now), "a call that may be started may be sent");
        self.calls.push(Call {
            route,
            permit: Some(permit),
            probe,
            outcome: CallOutcome::Success,
            headers: RateHeaders::default(),
        });
        self.left[route] -= 1;
        self.in_flight += 1;
    }

    /// A call of the other client arrives.
    fn other(&mut self) {
        let bucket = &mut self.world.buckets[0];
        bucket.fill(self.clock + self.world.skew);
        let free = bucket.tokens >= 1.0;
        bucket.tokens -= f64::from(u8::from(free));
        self.run.others_refused += usize::from(!free);
    }

    fn arrive(&mut self, number: usize) {
        let at = self.clock + self.world.skew;
        let buckets = &mut self.world.buckets;
        if let Some((_, size, refill)) = self.world.change.take_if(|(when, ..)| *when <= self.clock) {
            (buckets[0].size, buckets[0].refill) = (size, refill);
        }
        let call = &mut self.calls[number];
        let draws = &self.world.draws[call.route];
        draws.iter().for_each(|index| buckets[*index].fill(at));
        call.headers.date = Some(at as i64);
        if self.world.spurious == Some(number) {
            (call.outcome, call.headers.retry_after) = (CallOutcome::RateLimited, self.world.retry_after);
            return;
        }
        if let Some(dry) = draws.iter().map(|index| &buckets[*index]).find(|bucket| bucket.tokens < 1.0) {
            call.outcome = CallOutcome::RateLimited;
            call.headers.retry_after = self.world.retry_after;
            if dry.reported.1 {
                call.headers = dry.headers();
            }
            return;
        }
        draws.iter().for_each(|index| buckets[*index].tokens -= 1.0);
        if call.permit.as_ref().is_some_and(|permit| !permit.unreported) {
            self.run.lowest = self.run.lowest.min(buckets[0].tokens);
        }
        let mut speaking = draws.iter().map(|index| &buckets[*index]).filter(|bucket| bucket.reported.0);
        let first = if self.world.first_speaks { speaking.next() } else { None };
        if let Some((_, outcome)) = self.world.bare.filter(|(every, _)| (number + every / 2).is_multiple_of(*every)) {
            call.outcome = outcome;
        } else if let Some(bucket) = first.or_else(|| speaking.min_by(|a, b| a.tokens.total_cmp(&b.tokens))) {
            call.headers = bucket.headers();
        }
        let share = self.world.refused_elsewhere;
        if share > 0.0 && self.random.f64() < share {
            call.outcome = CallOutcome::RateLimited;
            call.headers = RateHeaders { remaining: Some(0), retry_after: Some(7), ..buckets[draws[0]].headers() };
        }
    }

    fn answer(&mut self, number: usize) {
        let (now, clock) = (self.now(), self.clock);
        let Call { route, permit, probe, outcome, headers } = &mut self.calls[number];
        self.limiter.finished(ROUTES[*route], *outcome, headers, permit.take().unwrap(), now);
        assert_eq!(self.limiter.check(), Ok(()));
        self.in_flight -= 1;
        if *outcome == CallOutcome::RateLimited {
            self.run.refused.push(clock);
            self.left[*route] += 1;
            self.breaker.open(now + wait_after_429(headers, Timestamp::UNIX_EPOCH, 0.0));
        } else {
            self.run.done.push(clock);
            if *probe {
                self.breaker.probe_finished(now, true);
            }
        }
    }
}
