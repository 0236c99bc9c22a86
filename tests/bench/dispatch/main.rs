//! Part of `make bench`: how fast the dispatcher decides what to send when. A million items in and out of the state
//! machine, on one core.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "a benchmark: whatever goes wrong ends it")]

#[path = "../common.rs"]
mod common;

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rescind::auth0::{Answer, Domain, Endpoint, Item, Page, RateHeaders, Token};
use rescind::dispatch::machine::{Machine, Step};
use rescind::dispatch::{ConnectionKey, History, Job, Limits, Owner, Removal, Task};

const ITEMS: usize = 1_000_000;

fn main() {
    if !common::is_asked_for() {
        return;
    }
    common::progress("a million decisions");
    for (merged, what) in [(true, "one organization, ten a call"), (false, "a call each")] {
        let Cost { seconds, bytes_each } = measure(merged);
        let mut out = std::io::stdout();
        let what = format!("1,000,000 items enqueued, sent and settled, one core: {what}");
        writeln!(out, "  {seconds:>7.2} s  goal 2 s  {what}").expect("somebody reads");
        writeln!(out, "  {bytes_each:>9.0}            bytes of memory for an item that waits").expect("somebody reads");
    }
}

/// The cost of a million items.
struct Cost {
    /// The time for all.
    seconds: f64,
    /// The memory of one waiting item, with its names and ids.
    bytes_each: f64,
}

/// `merged`: members of one organization; otherwise one role each of a million users.
fn measure(merged: bool) -> Cost {
    let before = resident();
    let namespace: Arc<str> = "identity".into();
    let jobs: Vec<Job> = (0..ITEMS).map(|n| job(&namespace, n, merged)).collect();
    let mut now = Instant::now();
    let domain: Domain = "acme.auth0.com".parse().unwrap();
    let token = Token::read(b"e30.e30.token", &domain.default_audience(), Timestamp::UNIX_EPOCH).unwrap();
    let connection = ConnectionKey::new(&domain, None, token.fingerprint());
    let mut machine = Machine::new(domain, "bench", Timestamp::UNIX_EPOCH, now);
    machine.set_limits(connection, &"a/b".into(), Limits { max_per_second: 1e9, reserve_percent: 0.0 }, now);
    let headers =
        RateHeaders { limit: Some(1 << 40), remaining: Some(1 << 40), reset: None, date: None, retry_after: None };
    let began = Instant::now();
    let mut ended = 0;
    for job in jobs {
        machine.submit(connection, job, now);
    }
    let submitted = began.elapsed().as_secs_f64();
    let bytes_each = (resident() - before) / ITEMS as f64;
    let began = Instant::now();
    while ended < ITEMS {
        match machine.next(now) {
            Step::Check(ask) => {
                let wanted = vec![Ok(connection); ask.owners.len()];
                now = now.max(machine.preflighted(ask.id, &wanted, now).expect("wanted"));
                machine.send(ask.id, &wanted, now).expect("still wanted");
                let answer = Answer { limits: headers, outcome: Ok(Page::Null) };
                machine.answered(ask.id, answer, Timestamp::UNIX_EPOCH, now);
                ended += machine.ended().len();
            }
            Step::Wait(until) => now = until.max(now + Duration::from_nanos(1)),
            Step::Idle => panic!("idle after {ended}"),
        }
    }
    Cost { seconds: submitted + began.elapsed().as_secs_f64(), bytes_each }
}

/// Resident memory of this process, in bytes.
fn resident() -> f64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok()).unwrap_or(0.0) * 4096.0
}

fn job(namespace: &Arc<str>, n: usize, merged: bool) -> Job {
    let uid: Arc<str> = format!("{n:036}").into();
    let owner = Owner { kind: "K", namespace: namespace.clone(), name: uid.clone(), uid, generation: 1 };
    let person: Arc<str> = format!("auth0|{n:024}").into();
    let removal = if merged {
        let endpoint = Endpoint::OrganizationMembers { organization: "org_acme".into() };
        Removal { endpoint, items: vec![Item::Id(person)] }
    } else {
        Removal { endpoint: Endpoint::UserRoles { user: person }, items: vec![Item::Id("rol_bN1a2b3c4d5e6f7g".into())] }
    };
    Job { owner, removal, task: Task::Remove { before: false, after: false }, history: History::default() }
}
