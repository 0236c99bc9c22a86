//! `make bench`: what the operator costs, as ratios and counts of one run. Prints, never fails for a figure.
//!
//! A real etcd and kube-apiserver, the `rescind` binary in a process of its own, and a fake Auth0 on a thread of its own
//! that sets no limits, so that the operator and the API server are what is measured. Order of the run: an installation, an idle system
//! (start, memory, latency), raw status PATCHes, removals of objects that exist, removals of objects that are being
//! applied, raw status PATCHes again (the mean of both counts: an API server grows slower with age), a restart.
//!
//! `RESCIND_BENCH_OBJECTS` scales it; `RESCIND_BENCH_KEEP_LOG=FILE` appends the operator's log there.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "a benchmark: whatever goes wrong ends it")]

mod counters;
mod handover;
mod install;
mod latency;
mod load;
mod operator;
mod report;
mod standing;
mod throughput;
mod world;

use std::io::Write;

use operator::Operator;
use world::{NAMESPACE, World};

/// Objects with a latency of their own; the rest are for throughput.
const ONE_BY_ONE: usize = 200;

fn main() {
    // `cargo test --all-targets` runs benches, too; minutes of load are not what it asks for.
    if !std::env::args().any(|argument| argument == "--bench") {
        progress("nothing is measured: run make bench");
        return;
    }
    let asked = std::env::var("RESCIND_BENCH_OBJECTS").ok();
    let objects: usize = asked.map_or(10_000, |text| text.parse().expect("RESCIND_BENCH_OBJECTS is a number"));
    rustls::crypto::ring::default_provider().install_default().expect("no other TLS provider");
    progress("starting etcd and kube-apiserver");
    let plane = stack::ControlPlane::start().expect("a control plane");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let report = runtime.block_on(run(&plane, objects.max(4 * ONE_BY_ONE)));
    std::io::stdout().write_all(report.as_bytes()).expect("somebody reads");
}

async fn run(plane: &stack::ControlPlane, objects: usize) -> String {
    let helm = install::helm(plane);
    let mut world = World::new(plane, objects).await;
    let install = install::measure(&world, helm).await;
    let handover = handover::measure(&world).await;
    progress("an idle operator");
    let (operator, empty_start) = Operator::start(world.plane, world.fake.domain(), NAMESPACE).await;
    operator.quiet().await;
    let empty = standing::Standing::of(&operator, empty_start);
    let idle = latency::measure(&mut world).await;
    operator.stop();

    let half = (objects - world.used) / 2;
    let raw_before = throughput::raw(&mut world, half).await;
    let (operator, existing) = throughput::existing(&mut world, half).await;
    let rest = objects - world.used;
    let applied = throughput::applied(&mut world, rest).await;
    operator.quiet().await;
    let worked = standing::Standing::of(&operator, empty_start);
    operator.stop();
    let raw_after = throughput::raw(&mut world, rest).await;
    let restart = standing::restart(&world).await;

    let raw = raw_before.and(raw_after);
    report::Report { objects, install, handover, empty, worked, restart, idle, raw, existing, applied }.to_string()
}

/// A line on standard error, so that nobody wonders whether it hangs.
fn progress(line: &str) {
    let _ = writeln!(std::io::stderr(), "bench: {line}");
}
