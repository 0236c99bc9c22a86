//! `make bench`: what the operator costs, as ratios and counts of one run. It prints figures and never fails because of
//! one.
//!
//! A real etcd and kube-apiserver, the operators as processes, and fake Auth0s on a thread of their own. Rescind is
//! compared with a plain controller-runtime operator for the same job (`peer`), on the same control plane, with as many
//! objects, the same status, the same Auth0, watched in the same way; and with a client that only makes Rescind's final
//! status write. Figures that are compared are measured close together, because an API server grows slower with age.
//!
//! `RESCIND_BENCH_OBJECTS` sets the number of objects (10,000 by default), `RESCIND_BENCH_LARGE=1` adds 100,000 objects
//! to measure memory, which takes ten minutes more, and `RESCIND_BENCH_KEEP_LOG=FILE` appends the operators' logs to a
//! file.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "a benchmark: whatever goes wrong ends it")]

mod auth0;
mod cluster;
mod common;
mod counters;
mod drain;
mod goals;
mod handover;
mod install;
mod latency;
mod leavers;
mod limited;
mod operator;
mod race;
mod raw;
mod report;
mod standing;
mod watching;

#[path = "../shared/fixtures.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod fixtures;

use std::io::Write;
use std::sync::Arc;

use auth0::{Auth0, Conditions};
use cluster::{Cluster, Kind, Removal};
use common::progress;
use counters::{Mark, memory};
use operator::{Operator, Who};
use report::Report;

/// The number of objects with `RESCIND_BENCH_LARGE=1`.
const LARGE: usize = 100_000;

fn main() {
    if !common::is_asked_for() {
        return;
    }
    let asked = std::env::var("RESCIND_BENCH_OBJECTS").ok();
    let objects: usize = asked.map_or(10_000, |text| text.parse().expect("RESCIND_BENCH_OBJECTS is a number"));
    rustls::crypto::ring::default_provider().install_default().expect("no other TLS provider");
    stack::binaries::locate("peer").expect("the plain operator is built");
    progress("starting etcd and kube-apiserver");
    let plane = stack::ControlPlane::start().expect("a control plane");
    let auth0 = Auth0::new();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let report = runtime.block_on(run(&plane, &auth0, objects.max(100)));
    std::io::stdout().write_all(report.to_string().as_bytes()).expect("somebody reads");
}

async fn run(plane: &stack::ControlPlane, auth0: &Auth0, objects: usize) -> Report {
    let helm = install::helm(plane);
    plane.run(&["wait", "--for=condition=Established", "crd", "--all"]).expect("the CRDs are established");
    let cluster = &Cluster::new(plane).await;

    // A few objects, one after another.
    let first = handover::HANDOVERS.end;
    let few = auth0.tenant(Conditions::large(), |tenant| Removal::Role.fill(tenant, first + latency::OBJECTS)).await;
    let ns = cluster.namespace("few", &few);
    let install = install::measure(&ns, helm).await;
    let handover = handover::measure(&ns).await;
    let mark = Mark::now(&cluster.client).await;
    let mut operator = Operator::start(Who::Rescind, &ns).await;
    let start_empty = operator.ready().await;
    operator.quiet().await;
    let empty = memory(operator.pid, "VmRSS");
    let idle = latency::measure(&ns, first).await;
    let counts = mark.until(std::time::Instant::now(), Some(operator.pid), &cluster.client).await;
    operator.stop();
    let sample = cluster.api(Kind::UserRoles, ns.name).get(&Removal::Role.name(first)).await;
    let sample = serde_json::to_value(sample.expect("a finished object")).unwrap();
    let write = Arc::new(raw::Write::learn(&sample, &counts));
    let peer = Who::Peer(&write.status);

    // Many objects, as fast as possible.
    let raw = raw::measure(cluster, "raw-before", &write, objects / 2).await;
    let ns = race::prepare(cluster, auth0, "rescind-limits", Conditions::large(), objects).await;
    let limits = race::run(Who::Rescind, &ns, objects, "Rescind, large limits reported").await;
    let restart = standing::restart(&ns).await;
    let ns = race::prepare(cluster, auth0, "peer-limits", Conditions::large(), objects).await;
    let peer_limits = race::run(peer, &ns, objects, "plain Go, large limits reported").await;
    let raw = raw.and(raw::measure(cluster, "raw-after", &write, objects.div_ceil(2)).await);
    let ns = race::prepare(cluster, auth0, "peer-none", Conditions::default(), objects).await;
    let peer_none = race::run(peer, &ns, objects, "plain Go, no limit reported").await;
    let ns = race::prepare(cluster, auth0, "rescind-none", Conditions::default(), objects).await;
    let none = race::run(Who::Rescind, &ns, objects, "Rescind, no limit reported").await;
    drop(ns);

    // Many objects, as fast as Auth0 allows.
    let teams = leavers::Teams::new(cluster, auth0, objects).await;
    let crowd = leavers::offboard(&teams, objects).await;
    let shared = leavers::beside_another(&teams, objects).await;
    let seconds = (objects as f64 / 250.0).clamp(8.0, 40.0);
    let drains = drain::measure(cluster, auth0, seconds).await;
    let limited = limited::measure(cluster, auth0).await;

    let large = match std::env::var("RESCIND_BENCH_LARGE").as_deref() {
        Ok("1") => {
            let ns = race::prepare(cluster, auth0, "large", Conditions::large(), LARGE).await;
            let run = race::run(Who::Rescind, &ns, LARGE, "Rescind, large limits reported").await;
            Some((run, standing::restart(&ns).await))
        }
        _ => None,
    };
    let verb = write.verb;
    Report {
        objects,
        install,
        handover,
        start_empty,
        empty,
        idle,
        verb,
        raw,
        limits,
        restart,
        peer_limits,
        peer_none,
        none,
        crowd,
        shared,
        drains,
        limited,
        large,
    }
}
