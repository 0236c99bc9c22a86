//! The operator's whole life in random worlds, on a virtual clock: its real reconcile, dispatcher, preflight check and
//! status writer between a model of the API server and a model of Auth0. After a crash it knows only what the statuses
//! say.
//!
//! `RESCIND_WORLDS` sets the number of worlds, or which (`FIRST..END`), and `RESCIND_TIMES` how often each is run;
//! `RESCIND_WORLD` runs one of them, by its number, and prints all that happens in it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, missing_docs, reason = "tests")]

mod again;
mod allot;
mod answers;
mod auth0;
mod begin;
mod clock;
mod cluster;
mod coverage;
mod handed_back;
mod invariants;
mod life;
mod operator;
mod owners;
mod people;
mod plan;
mod process;
mod reports;
mod restraints;
mod settled;
mod turns;
mod verdicts;
mod versions;
mod wires;
mod wishes;
mod world;

#[path = "../shared/generated.rs"]
mod generated_file;

use std::ops::Range;

use coverage::Coverage;
use plan::Plan;

/// The number of worlds in a run unless `RESCIND_WORLDS` says otherwise.
const WORLDS: u64 = 300;
/// Each thread ends a run after this many worlds that broke a promise.
const ENOUGH: usize = 50;
/// A violation is printed up to this length.
const LINE: usize = 240;

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
    let (worlds, times) = (worlds(), number("RESCIND_TIMES").unwrap_or(1));
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let parts: Vec<_> = (0..threads)
        .map(|part| {
            let seeds = worlds.clone().flat_map(move |seed| (0..times).map(move |_| seed));
            let seeds = seeds.skip(part as usize).step_by(threads as usize);
            std::thread::spawn(move || run(seeds))
        })
        .collect();
    let (mut all, mut run, mut broken) = (Coverage::default(), 0, 0);
    for part in parts {
        let (coverage, worlds, violated) = part.join().expect("a world panicked");
        all.merge(coverage);
        (run, broken) = (run + worlds, broken + violated);
    }
    println!("{run} worlds; in how many each thing happened:{all}");
    assert!(broken == 0, "{broken} of {run} worlds broke a promise");
    let rare = all.rare(run);
    assert!(rare.is_empty(), "too rare to prove anything: {rare:?}");
}

/// Runs worlds one after the other and prints each violation when it happens. Returns what happened, in how many
/// worlds, and how many of them broke a promise.
fn run(seeds: impl Iterator<Item = u64>) -> (Coverage, u64, usize) {
    let (mut all, mut worlds, mut broken) = (Coverage::default(), 0, 0);
    for seed in seeds {
        let (violations, coverage) = live(seed);
        all.add(&coverage);
        worlds += 1;
        for violation in &violations {
            println!("RESCIND_WORLD={seed}: {}", violation.chars().take(LINE).collect::<String>());
        }
        broken += usize::from(!violations.is_empty());
        if broken == ENOUGH {
            break;
        }
    }
    (all, worlds, broken)
}

fn worlds() -> Range<u64> {
    let Ok(text) = std::env::var("RESCIND_WORLDS") else { return 0..WORLDS };
    let (first, end) = text.split_once("..").unwrap_or(("0", &text));
    first.parse().expect("the first world")..end.parse().expect("the end of the worlds")
}
