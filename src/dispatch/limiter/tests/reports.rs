//! What a report is good for: until when, and for which calls.

use super::*;

/// Whatever was reported: after a minute without a report, one call is let through.
#[test]
fn no_report_counts_for_ever() {
    let start = Instant::now();
    let mut limiter = Limiter::new(start);
    let (limit, date) = (Some(10), Some(1_800_000_000));
    let headers = RateHeaders { limit, remaining: Some(0), reset: Some(1_800_036_000), date, ..RateHeaders::default() };
    let sent = limiter.acquire(ROUTES[0], start);
    limiter.finished(ROUTES[0], CallOutcome::Success, &headers, sent, start + Duration::from_millis(100));
    assert!(limiter.wait_until(ROUTES[0], US, start + Duration::from_secs(60)).is_some());
    let later = start + Duration::from_secs(61);
    assert_eq!(limiter.wait_until(ROUTES[0], US, later), None);
    let mut sent = limiter.acquire(ROUTES[0], later);
    assert!(limiter.confirm((ROUTES[0], US), &mut sent, later + Duration::from_secs(5)));
    assert!(limiter.wait_until(ROUTES[0], US, later).is_some(), "one call, not many");
    limiter.release(sent, later);
    assert_eq!((limiter.in_flight(), limiter.wait_until(ROUTES[0], US, later)), (0, None));
}

/// Calls that wait for their time slots were started when nothing was known. What is reported meanwhile counts for them.
#[test]
fn a_first_report_counts_for_calls_that_were_started_before_it() {
    let start = Instant::now();
    let later = |millis| start + Duration::from_millis(millis);
    let headers = |remaining| RateHeaders {
        limit: Some(10),
        remaining: Some(remaining),
        reset: Some(1_800_000_010),
        date: Some(1_800_000_000),
        ..RateHeaders::default()
    };
    for (remaining, may) in [(9, true), (6, true), (5, false), (0, false)] {
        let mut limiter = Limiter::new(start);
        limiter.set_limits(US, Limits { max_per_second: 4.0, reserve_percent: 40.0 });
        let [first, mut second] = [(); 2].map(|()| limiter.acquire(ROUTES[0], start));
        let mut third = limiter.acquire(ROUTES[1], start);
        limiter.finished(ROUTES[0], CallOutcome::Success, &headers(remaining), first, later(100));
        // Two calls are taken for drawn, and four tokens are kept.
        let confirmed = [(ROUTES[0], &mut second), (ROUTES[1], &mut third)]
            .map(|(route, permit)| limiter.confirm((route, US), permit, later(101)));
        assert_eq!(confirmed, [may, may], "{remaining}");
    }
}

/// After a minute without a report, calls whose answers have none are counted: only one a second is let through that
/// touches the reserve.
#[test]
fn a_stale_report_opens_no_reserve() {
    let start = Instant::now();
    let mut limiter = Limiter::new(start);
    limiter.set_limits(US, Limits { max_per_second: 100.0, reserve_percent: 50.0 });
    let (limit, date) = (Some(8), Some(1_800_000_000));
    let headers = RateHeaders { limit, remaining: Some(7), reset: Some(1_800_000_060), date, ..RateHeaders::default() };
    let sent = limiter.acquire(ROUTES[0], start);
    limiter.finished(ROUTES[0], CallOutcome::Success, &headers, sent, start + Duration::from_millis(10));
    let mut now = start + Duration::from_secs(300);
    let mut let_through = 0;
    while now < start + Duration::from_secs(302) {
        if limiter.wait_until(ROUTES[0], US, now).is_none() {
            let sent = limiter.acquire(ROUTES[0], now);
            let_through += 1;
            limiter.finished(ROUTES[0], CallOutcome::Failure, &RateHeaders::default(), sent, now);
        }
        now += Duration::from_millis(10);
    }
    // Four above the reserve, and at most one in each second.
    assert!((4..=6).contains(&let_through), "{let_through}");
}

/// A call too many costs the time until the bucket is full again. Of a small bucket each token counts.
#[test]
fn the_last_token_is_kept_back() {
    for (limit, remaining, may) in [(50, 2, true), (50, 1, false), (10, 1, true), (10, 0, false)] {
        let start = Instant::now();
        let mut limiter = Limiter::new(start);
        limiter.set_limits(US, Limits { max_per_second: 100.0, reserve_percent: 0.0 });
        let headers = RateHeaders {
            limit: Some(limit),
            remaining: Some(remaining),
            reset: Some(1_800_000_060),
            date: Some(1_800_000_000),
            ..RateHeaders::default()
        };
        let (sent, now) = (limiter.acquire(ROUTES[0], start), start + Duration::from_millis(10));
        limiter.finished(ROUTES[0], CallOutcome::Success, &headers, sent, now);
        assert_eq!(limiter.wait_until(ROUTES[0], US, now).is_none(), may, "{remaining} of {limit}");
    }
}
