use proptest::prelude::*;

use super::model::{Bucket, ROUTES, US, World, run};
use super::*;

mod reports;

const MINUTE: f64 = 1.0 / 60.0;

/// The size and the tokens per second of each bucket in Auth0's plans, and of some others.
const PLANS: [(u32, f64); 11] = [
    (20, 20.0 * MINUTE),
    (20, 200.0 * MINUTE),
    (10, 150.0 * MINUTE),
    (10, 2.0),
    (50, 16.0),
    (16, 16.0),
    (20, 20.0),
    (50, 50.0),
    (100, 100.0),
    (100, 250.0),
    (250, 250.0),
];

/// Runs the world with each of these buckets, refilled continuously and, if it fills slowly, on whole seconds, starting
/// at several points of a second. `seconds` is the shortest possible duration. At most `slower` times as long is
/// allowed, and `refused` of a thousand calls.
fn expect(slower: f64, refused: f64, seconds: impl Fn(f64, f64, f64) -> f64, change: impl Fn(World) -> World) {
    for (size, refill) in PLANS {
        for (by_second, skew) in [(false, 0.37), (false, 0.91), (true, 0.62)] {
            if by_second && f64::from(size) < 3.0 * refill {
                continue;
            }
            let calls = 1000 + (20.0 * refill) as usize;
            let bucket = Bucket { by_second, ..Bucket::new(size, refill) };
            let run = run(&change(World { skew: 1_800_000_000.0 + skew, ..World::new(bucket, calls) }));
            let (took, count) = (run.done[run.done.len() - 1], calls as f64);
            // At most 64 calls are in flight.
            let best = seconds(f64::from(size), refill, count).max(count * 0.15 / 64.0);
            let (ratio, permille) = (took / best, run.refused.len() as f64 * 1000.0 / count);
            assert!(
                ratio <= slower && permille <= refused,
                "{size}, {refill:.2} a second, by second: {by_second}: {ratio:.3} times as long, {permille:.1} ‰ refused"
            );
        }
    }
}

/// The duration if a full bucket is drained and then used as fast as it fills.
fn drained(size: f64, refill: f64, calls: f64) -> f64 {
    (calls - size) / refill + 0.15
}

#[test]
fn a_reported_bucket_is_used_up_and_not_overdrawn() {
    expect(1.05, 0.0, drained, |world| world);
}

#[test]
fn a_reserve_costs_no_time() {
    expect(1.05, 0.0, drained, |world| World { reserve: 20.0, ..world });
}

#[test]
fn answers_may_be_fast_or_out_of_order() {
    expect(1.05, 0.0, drained, |world| World { latency: (0.001, 0.002), ..world });
    expect(1.05, 1.0, drained, |world| World { latency: (0.05, 0.4), ..world });
}

#[test]
fn answers_without_headers_tell_nothing() {
    expect(1.05, 0.0, drained, |world| World { bare: Some((3, CallOutcome::Failure)), ..world });
    expect(1.05, 0.0, drained, |world| World { bare: Some((20, CallOutcome::Success)), ..world });
    let jitter = (0.05, 0.4);
    expect(1.05, 3.0, drained, |world| World { bare: Some((2, CallOutcome::Failure)), latency: jitter, ..world });
}

/// The world with more buckets, of which each route draws from some. Sizes and refills are relative to the first
/// bucket.
fn with(world: World, more: &[(f64, f64)], draws: [&[usize]; 2]) -> World {
    let first = &world.buckets[0];
    let more = more.iter().map(|(size, refill)| Bucket::new((size * first.size) as u32, refill * first.refill));
    let buckets = world.buckets.iter().cloned().chain(more).collect();
    World { buckets, draws: draws.map(<[usize]>::to_vec), ..world }
}

/// If a route draws from several buckets, the tightest is reported.
#[test]
fn a_bucket_above_others_is_respected() {
    expect(1.05, 0.0, drained, |world| with(world, &[(3.0, 4.0)], [&[0, 1], &[0, 1]]));
    let best = |size, refill, calls| drained(2.0 * size, 1.5 * refill, calls);
    expect(1.15, 12.0, best, |world| with(world, &[(3.0, 1.0), (2.0, 1.5)], [&[0, 2], &[1, 2]]));
}

#[test]
fn a_route_does_not_wait_for_the_bucket_of_another() {
    let best = |size, refill, calls| drained(size, refill, calls / 4.0);
    expect(1.1, 5.0, best, |world| {
        let calls: usize = world.calls.iter().sum();
        World { calls: [calls / 4, calls - calls / 4], ..with(world, &[(3.0, 3.0)], [&[0], &[1]]) }
    });
}

/// If a route draws from several buckets, the most specific one is reported, and another only when it refuses.
#[test]
fn a_bucket_that_one_route_reports_is_learned_by_another() {
    expect(1.1, 50.0, drained, |world| World { first_speaks: true, ..with(world, &[(3.0, 5.0)], [&[1, 0], &[0]]) });
}

/// Buckets of the same size are taken for one until their reports contradict that.
#[test]
fn two_buckets_of_one_size_are_told_apart() {
    let best = |size, refill, calls| drained(size, refill, calls / 2.0);
    expect(1.15, 16.0, best, |world| with(world, &[(1.0, 1.0)], [&[0], &[1]]));
}

/// One of the buckets is hardly used, so its reports alone would let the other route send too fast.
#[test]
fn a_full_bucket_of_the_same_size_misleads_nobody() {
    let best = |size, refill, calls| drained(size, refill, calls * 0.9);
    expect(1.1, 40.0, best, |world| {
        let calls: usize = world.calls.iter().sum();
        World {
            sporadic: Some(10),
            calls: [calls / 10, calls - calls / 10],
            ..with(world, &[(1.0, 1.0)], [&[0], &[1]])
        }
    });
}

#[test]
fn others_may_draw_from_the_bucket() {
    let best = |size, refill, calls| drained(size, 0.7 * refill, calls);
    expect(1.3, 27.0, best, |world| World { others: world.buckets[0].refill * 0.3, ..world });
    expect(1.15, 27.0, best, |world| World { others: world.buckets[0].refill * 0.3, reserve: 20.0, ..world });
}

#[test]
fn a_limit_may_change() {
    for (size, refill) in [(0.5, 0.5), (1.0, 0.5), (2.0, 2.0), (1.0, 2.0)] {
        let best = move |first, rate, calls| drained(first, rate, calls) * (0.5 + 0.5 / refill);
        expect(1.15, 6.0, best, |world| {
            let bucket = &world.buckets[0];
            let half = drained(bucket.size, bucket.refill, world.calls.iter().sum::<usize>() as f64) / 2.0;
            World { change: Some((half, bucket.size * size, bucket.refill * refill)), ..world }
        });
    }
}

/// A 429 with headers that explain it slows down nothing else, even if it is the answer to the first call.
#[test]
fn a_429_with_its_own_headers_is_explained_by_them() {
    let best = |_, refill: f64, calls: f64| calls / refill;
    expect(1.05, 2.0, best, |mut world| {
        world.buckets[0].tokens = 0.0;
        world
    });
}

/// A 429 without any reason slows down for seconds, not for minutes.
#[test]
fn a_429_out_of_the_blue_is_soon_forgotten() {
    let best = |size, refill, calls| drained(size, refill, calls) + 8.0;
    expect(1.05, 1.0, best, |world| World { spurious: Some(500), retry_after: Some(1), ..world });
}

/// Auth0's own documentation has an example of a limit per second that refills on whole seconds.
#[test]
fn a_fast_bucket_may_refill_on_whole_seconds() {
    for (size, refill) in [(20, 20.0), (50, 50.0), (250, 250.0)] {
        let calls = (30.0 * refill) as usize;
        let run = run(&World::new(Bucket { by_second: true, ..Bucket::new(size, refill) }, calls));
        let used = (calls as f64 - f64::from(size)) / run.done[calls - 1] / refill;
        assert!(used > 0.85 && run.refused.len() * 200 < calls, "{size}: {used} used, {:?} refused", run.refused);
    }
}

/// A report does not count a call that was sent later, even if that was answered sooner and without a report.
#[test]
fn what_left_later_is_not_counted() {
    let start = Instant::now();
    let at = |ms| start + Duration::from_millis(ms);
    let mut limiter = Limiter::new(start);
    let report = |remaining| RateHeaders {
        limit: Some(10),
        remaining: Some(remaining),
        reset: Some(1_800_000_060),
        date: Some(1_800_000_000),
        retry_after: None,
    };
    let first = limiter.acquire(ROUTES[0], start);
    limiter.finished(ROUTES[0], CallOutcome::Success, &report(9), first, at(10));
    let (earlier, later) = (limiter.acquire(ROUTES[0], at(20)), limiter.acquire(ROUTES[0], at(30)));
    limiter.finished(ROUTES[0], CallOutcome::Failure, &RateHeaders::default(), later, at(40));
    limiter.finished(ROUTES[0], CallOutcome::Success, &report(1), earlier, at(50));
    assert!(limiter.wait_until(ROUTES[0], US, at(60)).is_some(), "the later one took the last token");
}

/// For the smallest buckets, headers are too coarse to use them up.
#[test]
fn a_bucket_of_one_or_two_is_half_used_at_least() {
    for (size, latency) in [(1, (0.15, 0.15)), (1, (0.1, 0.2)), (2, (0.15, 0.15)), (2, (0.1, 0.2))] {
        let world = World { latency, ..World::new(Bucket::new(size, f64::from(size)), 500) };
        let run = run(&world);
        let used = 500.0 / f64::from(size) / run.done[499];
        assert!(used > 0.49 && run.refused.len() <= 1, "{size}: {used} used, {:?} refused", run.refused);
    }
}

/// A bucket that is never reported is found by its 429s, with or without headers, and then mostly used up; also if
/// another bucket is reported.
#[test]
fn a_hidden_bucket_is_found() {
    for (size, refill) in [(10, 2.5), (2, 2.0), (50, 16.0), (50, 50.0), (250, 250.0), (1000, 50.0)] {
        for (in_429s, behind) in [(false, false), (true, false), (false, true), (true, true)] {
            let hidden = Bucket { reported: (false, in_429s), ..Bucket::new(size, refill) };
            let calls = (refill * 300.0) as usize;
            let mut world = World { retry_after: Some(1), ..World::new(hidden, calls) };
            if behind {
                world = with(world, &[(20.0, 20.0)], [&[0, 1], &[0, 1]]);
            }
            let run = run(&world);
            let rate = (calls as f64 - f64::from(size)) / run.done[calls - 1] / refill;
            let refused = run.refused.len() as f64 / calls as f64;
            // The more calls are in flight when it runs dry, the more are refused at once.
            let most = 0.02 + 100.0 / calls as f64;
            assert!((0.7..=1.0).contains(&rate) && refused < most, "{size}, {refill}: {rate} used, {refused} refused");
        }
    }
}

/// A rate that was exceeded by far without another 429 is not the starting point after the next one.
#[test]
fn an_old_refusal_is_forgotten() {
    let mut aimd = Aimd::default();
    for hundredth in 0..4000 {
        let now = f64::from(hundredth) / 100.0;
        aimd.sent(now);
        aimd.increase(false, now);
        if hundredth == 200 || hundredth == 3999 {
            aimd.decrease(now, None, now);
            let wait = aimd.wait_until(now).unwrap() - now;
            assert!((0.015..0.04).contains(&wait), "half of 100 a second: {wait}");
        }
    }
}

/// Where nothing is reported and nothing refused, the limiter opens up within a few round trips.
#[test]
fn silence_is_no_limit() {
    for latency in [0.001, 0.15] {
        let endless = Bucket { reported: (false, false), ..Bucket::new(1_000_000, 1e6) };
        let run = run(&World { latency: (latency, latency), ..World::new(endless, 2000) });
        let windows = run.done[1999] / latency;
        assert!(windows < 2000.0 / 64.0 + 6.0, "{windows} round trips for {} full windows", 2000 / 64);
        let early = run.done.iter().filter(|at| **at < 1.5 * latency).count();
        assert!(early <= 2, "{early} calls at once before anything is known");
    }
}

#[test]
fn the_ceiling_is_each_connections_own_and_evenly_spaced() {
    let start = Instant::now();
    let mut limiter = Limiter::new(start);
    let at = |ms| start + Duration::from_millis(ms);
    let limits = |max_per_second| Limits { max_per_second, reserve_percent: 0.0 };
    let other = ConnectionKey(2);
    limiter.set_limits(US, limits(10.0));
    limiter.set_limits(other, limits(1.0));
    let slots: Vec<_> = (0..3).map(|_| limiter.reserve_slot(US, start)).collect();
    assert_eq!(slots, [at(0), at(100), at(200)]);
    assert_eq!((limiter.reserve_slot(other, start), limiter.reserve_slot(other, start)), (start, at(1000)));
    assert_eq!(limiter.reserve_slot(US, at(5000)), at(5000), "what was not used is not kept");
    limiter.set_limits(US, limits(1.0));
    assert_eq!(limiter.reserve_slot(US, at(5010)), at(6000), "the setting in force counts");
    limiter.retain(&[US].into_iter().collect());
    assert_eq!(limiter.connections.len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the bucket, nothing is refused unless another client draws from it, and the reserve is left untouched.
    #[test]
    fn the_reserve_is_kept(
        size in 2u32..200, fill in 0.5f64..20.0, reserve in 0.0f64..80.0, latency in 0.001f64..0.3, skew in 0.0f64..1.0,
        by_second in any::<bool>(),
    ) {
        let refill = f64::from(size) / fill;
        // Buckets that fill within a few seconds refill continuously.
        let bucket = Bucket { by_second: by_second && fill > 3.0, ..Bucket::new(size, refill) };
        let skew = 1_800_000_000.0 + skew;
        let run = run(&World { reserve, latency: (latency, latency), skew, ..World::new(bucket, 400) });
        let kept = (f64::from(size) * reserve / 100.0).floor().min(f64::from(size) - 2.0);
        prop_assert_eq!(run.refused.len(), 0);
        // Headers count whole tokens, so a part of one may be taken early.
        prop_assert!(run.lowest > kept - 1.0, "{} of {} kept", run.lowest, kept);
    }

    /// The reserve is also left untouched while other failures have no headers, and other limits refuse calls with
    /// headers that are wrong about the bucket.
    #[test]
    fn the_reserve_is_kept_whatever_fails(
        size in 2u32..60, refill in 1u32..30, reserve in 0.0f64..60.0, slowest in 0.01f64..0.6, skew in 0.0f64..1.0,
        refused_elsewhere in 0.0f64..0.25, every in 3usize..20, seed in any::<u64>(),
    ) {
        let bucket = Bucket::new(size, refill.into());
        let run = run(&World {
            reserve,
            latency: (0.005, slowest),
            skew: 1_800_000_000.0 + skew,
            refused_elsewhere,
            bare: Some((every, CallOutcome::Failure)),
            seed,
            ..World::new(bucket, 200)
        });
        let kept = (f64::from(size) * reserve / 100.0).floor().min(f64::from(size) - 2.0);
        prop_assert!(run.lowest > kept - 1.0, "{} of {} kept", run.lowest, kept);
    }

    /// Headers may contain anything: no invariant breaks, no wait is endless, nothing grows without bound, and after a
    /// minute without a report a call may be sent.
    #[test]
    fn anything_may_be_in_the_headers(steps in proptest::collection::vec((
        0usize..2, 0u8..5, 0u64..5000, proptest::array::uniform5(proptest::option::of(-3i64..40)), any::<i64>(),
    ), 1..200)) {
        let start = Instant::now();
        let (mut limiter, mut now, mut in_flight) = (Limiter::new(start), start, Vec::new());
        for (route, what, pause, [limit, remaining, reset, retry_after, date], wild) in steps {
            now += Duration::from_millis(pause);
            let wait = limiter.wait_until(ROUTES[route], US, now);
            prop_assert!(wait.is_none_or(|until| until > now && until <= now + MAX_WAIT));
            if what == 0 {
                in_flight.push((route, limiter.acquire(ROUTES[route], now)));
            } else if !in_flight.is_empty() {
                let (route, sent) = in_flight.swap_remove(wild.unsigned_abs() as usize % in_flight.len());
                use CallOutcome::{Failure, NoAnswer, RateLimited, Success};
                let outcome = [Success, Failure, RateLimited, NoAnswer][usize::from(what) - 1];
                let reset = if wild % 7 == 0 { Some(wild) } else { reset };
                let limit = if wild % 11 == 0 { Some(wild.unsigned_abs()) } else { limit.map(i64::unsigned_abs) };
                let remaining = remaining.map(i64::unsigned_abs);
                let headers = RateHeaders { limit, remaining, reset, retry_after, date };
                limiter.finished(ROUTES[route], outcome, &headers, sent, now);
            }
            prop_assert_eq!(limiter.check(), Ok(()));
        }
        for (route, sent) in in_flight {
            limiter.finished(ROUTES[route], CallOutcome::NoAnswer, &RateHeaders::default(), sent, now);
        }
        prop_assert!(limiter.buckets.len() <= 4, "{} buckets of two routes", limiter.buckets.len());
        let later = now + Duration::from_secs(61);
        prop_assert_eq!(limiter.wait_until(ROUTES[0], US, later), None);
    }
}
