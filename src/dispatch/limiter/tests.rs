//! The limiter against a model of Auth0's side that is written without looking at ours: token buckets with whole seconds and
//! whole tokens in their headers, answers after a while, and the breaker after each 429.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::*;
use crate::auth0::wait_after_429;
use crate::dispatch::breaker::{Allow, Breaker};

const KINDS: [CallName; 2] = [("DELETE", "users/{id}/roles"), ("GET", "users/{id}/roles")];
const US: ConnectionKey = ConnectionKey(1);
const IN_FLIGHT: usize = 64;

/// A token bucket.
#[derive(Clone, Debug)]
struct Bucket {
    size: f64,
    refill: f64,
    /// Refills on whole seconds.
    by_second: bool,
    /// How often its headers are on answers that let a call through, and on 429s.
    reported: (bool, bool),
    tokens: f64,
    at: f64,
}

impl Bucket {
    fn new(size: u32, refill: f64, by_second: bool) -> Self {
        let size = f64::from(size);
        Self { size, refill, by_second, reported: (true, true), tokens: size, at: 0.0 }
    }

    /// `at` by Auth0's clock.
    fn fill(&mut self, at: f64) {
        let seconds = if self.by_second { at.floor() - self.at.floor() } else { at - self.at };
        self.tokens = (self.tokens + seconds * self.refill).min(self.size);
        self.at = at;
    }

    fn headers(&self) -> RateHeaders {
        let full = self.at + (self.size - self.tokens) / self.refill;
        RateHeaders {
            limit: Some(self.size as u64),
            remaining: Some(self.tokens.floor() as u64),
            reset: Some(full.ceil() as i64),
            date: Some(self.at.floor() as i64),
            retry_after: None,
        }
    }
}

/// A run of the limiter: what Auth0 is like, and what is wanted of it.
#[derive(Clone)]
struct World {
    /// From when on which buckets; each call draws from its own (by kind) and from the last, if there are more than kinds.
    buckets: Vec<Bucket>,
    /// The buckets of each kind.
    draws: [&'static [usize]; 2],
    changes: Vec<(f64, usize, Bucket)>,
    latency: (f64, f64),
    /// Auth0's clock minus ours.
    skew: f64,
    reserve: f64,
    calls: usize,
    /// Calls a second of somebody else, at bucket 0.
    others: f64,
    /// Every so many calls are answered 404, without headers.
    missing: usize,
    in_flight: usize,
    seed: u64,
}

impl World {
    fn new(bucket: Bucket, calls: usize) -> Self {
        Self {
            buckets: vec![bucket],
            draws: [&[0], &[0]],
            changes: Vec::new(),
            latency: (0.15, 0.15),
            skew: 1_800_000_000.37,
            reserve: 0.0,
            calls,
            others: 0.0,
            missing: 0,
            in_flight: IN_FLIGHT,
            seed: 1,
        }
    }
}

#[derive(Debug)]
struct Run {
    seconds: f64,
    calls: usize,
    refused: usize,
    /// Somebody else's calls that were refused.
    others_refused: usize,
    lowest: f64,
    /// When each call was let through.
    done: Vec<f64>,
}

fn run(world: &World) -> Run {
    let mut world = world.clone();
    let mut random = fastrand::Rng::with_seed(world.seed);
    let start = Instant::now();
    let mut limiter = Limiter::new(start);
    limiter.set_limits(US, Limits { max_per_second: 1e6, reserve_percent: world.reserve });
    let mut breaker = Breaker::default();
    let (mut clock, mut sent, mut in_flight) = (0.0_f64, 0, 0);
    let mut run = Run { seconds: 0.0, calls: 0, refused: 0, others_refused: 0, lowest: f64::MAX, done: Vec::new() };
    // Arrivals at Auth0 and answers at ours, by time in nanoseconds.
    let nanos = |seconds: f64| (seconds * 1e9) as u64;
    let mut events = BinaryHeap::new();
    let mut calls: Vec<(CallName, usize, Option<Sent>, bool, Option<RateHeaders>, CallEnd)> = Vec::new();
    let mut next_other = if world.others > 0.0 { 0.0 } else { f64::INFINITY };
    for bucket in &mut world.buckets {
        bucket.at = world.skew;
    }
    while run.done.len() < world.calls {
        let now = start + Duration::from_secs_f64(clock);
        let kind = sent % 2;
        let mut wake = f64::INFINITY;
        if sent - run.refused < world.calls && in_flight < world.in_flight {
            match limiter.wait_until(KINDS[kind], US, now) {
                Some(until) => wake = until.duration_since(start).as_secs_f64(),
                None => match breaker.allow(now) {
                    Allow::At(until) => wake = until.duration_since(start).as_secs_f64(),
                    Allow::AfterProbe => {}
                    Allow::Now { probe } => {
                        let ticket = limiter.sent(KINDS[kind], now);
                        let latency = world.latency.0 + (world.latency.1 - world.latency.0) * random.f64();
                        let (there, back) = (clock + latency * random.f64().mul_add(0.0, 0.5), clock + latency);
                        events.push(Reverse((nanos(there), false, calls.len())));
                        events.push(Reverse((nanos(back), true, calls.len())));
                        calls.push((KINDS[kind], kind, Some(ticket), probe, None, CallEnd::Accepted));
                        sent += 1;
                        run.calls += 1;
                        in_flight += 1;
                        continue;
                    }
                },
            }
        }
        let event = events.peek().map_or(f64::INFINITY, |Reverse((at, ..))| *at as f64 / 1e9);
        assert!(event.min(wake).is_finite(), "stuck");
        clock = event.min(wake).min(next_other).max(clock);
        let theirs = clock + world.skew;
        if clock == next_other {
            world.buckets[0].fill(theirs);
            let free = world.buckets[0].tokens >= 1.0;
            world.buckets[0].tokens -= f64::from(u8::from(free));
            run.others_refused += usize::from(!free);
            next_other += -random.f64().ln() / world.others;
            continue;
        }
        if clock < event {
            continue;
        }
        let Some(Reverse((_, answer, call))) = events.pop() else { unreachable!() };
        let (name, kind, ticket, probe, headers, end) = &mut calls[call];
        if answer {
            let now = start + Duration::from_secs_f64(clock);
            let headers = headers.unwrap_or_default();
            limiter.finished(*name, *end, &headers, ticket.take().unwrap(), now);
            assert_eq!(limiter.check(), Ok(()));
            in_flight -= 1;
            if *end == CallEnd::Limited {
                run.refused += 1;
                breaker.open(now + wait_after_429(&headers, jiff::Timestamp::UNIX_EPOCH, 0.0));
            } else {
                run.done.push(clock);
                if *probe {
                    breaker.probe_finished(now, true);
                }
            }
            continue;
        }
        for (at, index, bucket) in &world.changes {
            if *at <= clock
                && (world.buckets[*index].size, world.buckets[*index].refill) != (bucket.size, bucket.refill)
            {
                world.buckets[*index] = bucket.clone();
                world.buckets[*index].at = theirs;
            }
        }
        world.changes.retain(|(at, ..)| *at > clock);
        let draws = world.draws[*kind];
        for index in draws {
            world.buckets[*index].fill(theirs);
        }
        let dry = draws.iter().find(|index| world.buckets[**index].tokens < 1.0);
        *headers = Some(RateHeaders { date: Some(theirs.floor() as i64), ..RateHeaders::default() });
        if let Some(dry) = dry {
            *end = CallEnd::Limited;
            if world.buckets[*dry].reported.1 {
                *headers = Some(world.buckets[*dry].headers());
            }
            continue;
        }
        for index in draws {
            world.buckets[*index].tokens -= 1.0;
            run.lowest = run.lowest.min(world.buckets[*index].tokens);
        }
        if world.missing > 0 && call % world.missing == 0 {
            *end = CallEnd::Refused;
            continue;
        }
        let reported = draws.iter().map(|index| &world.buckets[*index]).filter(|bucket| bucket.reported.0);
        if let Some(bucket) = reported.min_by(|a, b| a.tokens.total_cmp(&b.tokens)) {
            *headers = Some(bucket.headers());
        }
    }
    run.seconds = clock;
    run
}

/// How long it takes at best.
fn best(size: f64, refill: f64, calls: usize, latency: f64) -> f64 {
    (calls as f64 - size).max(0.0) / refill + latency
}

#[test]
fn table() {
    println!("{:50} {:>8} {:>8} {:>6} {:>6}", "case", "s/best", "s/limit", "429s", "calls");
    let minute = 1.0 / 60.0;
    for (name, size, refill, calls) in [
        ("20, 200 a minute", 20, 200.0 * minute, 1000),
        ("20, 20 a minute", 20, 20.0 * minute, 300),
        ("50, 16 a second", 50, 16.0, 4000),
        ("50, 50 a second", 50, 50.0, 5000),
        ("16, 16 a second", 16, 16.0, 4000),
        ("100, 250 a second", 100, 250.0, 20000),
        ("250, 250 a second", 250, 250.0, 20000),
        ("100, 100 a second", 100, 100.0, 10000),
        ("10, 150 a minute", 10, 2.5, 1000),
        ("1, 1 a second", 1, 1.0, 300),
        ("2, 2 a second", 2, 2.0, 500),
        ("10, 10 a second", 10, 10.0, 2000),
        ("10, 2 a second", 10, 2.0, 500),
    ] {
        for by_second in [false, true] {
            for (variant, change) in [
                ("", (|_| {}) as fn(&mut World)),
                ("jitter", |world| world.latency = (0.05, 0.4)),
                ("one at a time", |world| world.in_flight = 1),
                ("404s", |world| world.missing = 3),
                ("reserve 20", |world| world.reserve = 20.0),
                ("others", |world| world.others = world.buckets[0].refill * 0.3),
                ("others, reserve", |world| {
                    world.others = world.buckets[0].refill * 0.3;
                    world.reserve = 20.0
                }),
            ] {
                let mut world = World::new(Bucket::new(size, refill, by_second), calls);
                change(&mut world);
                let run = run(&world);
                let rate = refill - world.others;
                let floor = if world.in_flight == 1 { run.calls as f64 * 0.15 } else { 0.0 };
                println!(
                    "{:50} {:8.3} {:8.3} {:6} {:6} {:6} {:.1}",
                    format!("{name} {} {variant}", if by_second { "by second" } else { "" }),
                    run.seconds / best(f64::from(size), rate, calls, 0.15).max(floor),
                    run.seconds / (calls as f64 / rate),
                    run.refused,
                    run.calls,
                    run.others_refused,
                    run.lowest
                );
            }
        }
    }
}
