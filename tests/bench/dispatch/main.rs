//! The second half of `make bench`: what Rescind costs a tenant, and what a client costs that makes one call each.
//!
//! A real etcd and kube-apiserver, the `rescind` binary in a process of its own, and a fake Auth0 with one bucket of 50 calls
//! that gains 50 a second for each kind of call, 60 ms per answer, and a member list that lags seven seconds behind.
//! `RESCIND_BENCH_OBJECTS` scales it. Prints, never fails for a figure.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "a benchmark: whatever goes wrong ends it")]

#[allow(dead_code, reason = "the other benchmark uses the rest")]
#[path = "../counters.rs"]
mod counters;
mod decisions;
mod leavers;
mod naive;
#[allow(dead_code, reason = "the other benchmark uses the rest")]
#[path = "../operator.rs"]
mod operator;
mod tenant;

use std::io::Write;

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        progress("nothing is measured: run make bench");
        return;
    }
    let asked = std::env::var("RESCIND_BENCH_OBJECTS").ok();
    let objects: usize = asked.map_or(10_000, |text| text.parse().expect("RESCIND_BENCH_OBJECTS is a number"));
    rustls::crypto::ring::default_provider().install_default().expect("no other TLS provider");
    progress("a million decisions");
    let decisions = [decisions::measure(true), decisions::measure(false)];
    for cost in &decisions {
        progress(&format!("{:.2} s, {:.0} bytes each", cost.seconds, cost.bytes_each));
    }
    progress("starting etcd and kube-apiserver");
    let plane = stack::ControlPlane::start().expect("a control plane");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let (ours, shared, naive) = runtime.block_on(async {
        let tenant = tenant::Tenant::new(&plane, objects).await;
        let ours = leavers::offboard(&tenant, objects).await;
        let shared = leavers::beside_another(&tenant, objects / 4).await;
        let naive = naive::offboard(&tenant, objects / 5).await;
        (ours, shared, naive)
    });
    let scale = objects as f64 / naive.objects as f64;
    let mut out = std::io::stdout();
    let mut row = |value: String, goal: &str, theirs: String, what: &str| {
        writeln!(out, "  {value:>9}  {goal:>7}  {theirs:>9}  {what}").expect("somebody reads");
    };
    row("Rescind".into(), "goal", "one each".into(), "what it is");
    let goal = |of_ten_thousand: usize| (of_ten_thousand * objects / 10_000).to_string();
    let scaled = |calls: usize| format!("{:.0}", calls as f64 * scale);
    row(
        ours.deletes.to_string(),
        &goal(1020),
        scaled(naive.deletes),
        &format!("DELETE calls for {objects} memberships of one organization"),
    );
    row(ours.calls.to_string(), &goal(1300), scaled(naive.calls), "all calls, each removal verified");
    let drain =
        |seconds: f64, calls: usize| format!("{:.3}", seconds / ((calls as f64 - tenant::BURST) / tenant::REFILL));
    row(
        drain(ours.seconds, ours.deletes),
        "1.05",
        drain(naive.seconds, naive.deletes),
        "first to last DELETE over (calls / refill rate), reserve 0",
    );
    row(ours.limited.to_string(), "5", scaled(naive.limited), "answers of 429");
    row(ours.lost.to_string(), "0", scaled(naive.lost), "lost removals");
    row(ours.early.to_string(), "0", "-".into(), "objects Ready before the tenant had changed");
    row(
        ours.before_other.to_string(),
        "2",
        "-".into(),
        "calls sent before that of one object of another namespace, from its apply on",
    );
    row(
        format!("{:.2}", shared.share),
        "0.20",
        "-".into(),
        &format!(
            "share of the calls that a competing client got at reservePercent 20 ({} of its calls were refused)",
            shared.refused
        ),
    );
    for (what, cost) in ["one organization, ten a call", "a call each"].into_iter().zip(decisions) {
        let what =
            format!("1,000,000 items enqueued, sent and settled by the dispatcher's decisions, one core: {what}");
        row(format!("{:.2} s", cost.seconds), "2 s", "-".into(), &what);
        row(format!("{:.0}", cost.bytes_each), "", "-".into(), "bytes of memory for an item that waits");
    }
    let naive_objects = naive.objects;
    writeln!(out, "\n  'one each' ran with {naive_objects} objects and is scaled; it works as the Node SDK does: ten at a time, three attempts\n  that wait for X-RateLimit-Reset.").expect("somebody reads");
}

/// A line on standard error, so that nobody wonders whether it hangs.
fn progress(line: &str) {
    let _ = writeln!(std::io::stderr(), "bench: {line}");
}
