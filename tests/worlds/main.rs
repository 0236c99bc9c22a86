//! The operator's whole life in random worlds, on a virtual clock: its real reconcile, dispatcher, preflight check and
//! status writer between a model of the API server and a model of Auth0. After a crash it knows only what the statuses
//! say.
//!
//! `RESCIND_WORLDS` sets the number of worlds; `RESCIND_WORLD` runs one of them, by its number, and prints all that
//! happens in it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, missing_docs, reason = "tests")]

mod answers;
mod auth0;
mod begin;
mod cluster;
mod coverage;
mod invariants;
mod life;
mod operator;
mod people;
mod plan;
mod reports;
mod turns;
mod versions;
mod world;

#[path = "../shared/generated.rs"]
mod generated_file;

use coverage::Coverage;
use plan::Plan;

/// The number of worlds in a run unless `RESCIND_WORLDS` says otherwise.
const WORLDS: u64 = 300;
/// Each thread ends a run after this many worlds that broke a promise.
const ENOUGH: usize = 10;

fn live(seed: u64) -> (Vec<String>, Coverage) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        rescind::clock::begin_at(jiff::Timestamp::from_second(auth0::EPOCH).unwrap());
        life::live(Plan::of(seed)).await
    })
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn the_promises_hold_in_every_world() {
    if let Some(seed) = number("RESCIND_WORLD") {
        let (violations, coverage) = live(seed);
        println!("world {seed}: {:?}{coverage}", Plan::of(seed));
        assert!(violations.is_empty(), "{violations:#?}");
        return;
    }
    let worlds = number("RESCIND_WORLDS").unwrap_or(WORLDS);
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let parts: Vec<_> = (0..threads)
        .map(|part| {
            std::thread::spawn(move || {
                let (mut all, mut broken) = (Coverage::default(), Vec::new());
                for seed in (part..worlds).step_by(usize::try_from(threads).unwrap()) {
                    if broken.len() == ENOUGH {
                        break;
                    }
                    let (violations, coverage) = live(seed);
                    all.add(&coverage);
                    if !violations.is_empty() {
                        broken.push((seed, violations));
                    }
                }
                (all, broken)
            })
        })
        .collect();
    let (mut all, mut broken) = (Coverage::default(), Vec::new());
    for part in parts {
        let (coverage, violations) = part.join().expect("a world panicked");
        all.merge(coverage);
        broken.extend(violations);
    }
    println!("{worlds} worlds; in how many each thing happened:{all}");
    broken.sort();
    for (seed, violations) in broken.iter().take(10) {
        println!("RESCIND_WORLD={seed}: {}", violations[0]);
    }
    assert!(broken.is_empty(), "{} worlds of at most {worlds} broke a promise", broken.len());
    let rare = all.rare(worlds);
    assert!(rare.is_empty(), "too rare to prove anything: {rare:?}");
}
