//! The last table: the goals, and whether this run met them.

use std::fmt;

use crate::leavers::{LAG, LIMIT, PER_CALL};
use crate::limited;
use crate::race::Run;
use crate::report::Report;
use crate::standing::Restart;

/// With fewer objects, starts and ends dominate and the figures say nothing.
const ENOUGH: usize = 5_000;

enum Goal {
    AtLeast(f64),
    AtMost(f64),
}

struct Row {
    what: String,
    goal: Goal,
    measured: f64,
    unit: &'static str,
    /// Whether the run was large enough.
    counts: bool,
    /// The figures behind the measurement.
    of: String,
}

impl Row {
    fn verdict(&self) -> &'static str {
        let met = match self.goal {
            Goal::AtLeast(goal) => self.measured >= goal,
            Goal::AtMost(goal) => self.measured <= goal,
        };
        match (self.counts, met) {
            (false, _) => "too few",
            (true, true) => "met",
            (true, false) => "NOT MET",
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, goal) = match self.goal {
            Goal::AtLeast(goal) => (">=", goal),
            Goal::AtMost(goal) => ("<=", goal),
        };
        let goal = format!("{sign} {goal}{}", self.unit);
        let digits = if self.unit.is_empty() { 3 } else { 2 };
        let measured = format!("{:.digits$}{}", self.measured, self.unit);
        write!(out, "  {:<62}  {goal:>10}  {measured:>10}  {:<7}  {}", self.what, self.verdict(), self.of)
    }
}

/// The table.
pub fn table(report: &Report, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(out, "\n  {:<62}  {:>10}  {:>10}  {:<7}  of", "what", "goal", "measured", "")?;
    let groups = [against_the_peer(report), against_the_raw_write(report), memory(report), under_limits(report)];
    groups.into_iter().flatten().try_for_each(|row| writeln!(out, "{row}"))?;
    if report.large.is_none() {
        writeln!(out, "  Memory with 100,000 finished objects was not measured: RESCIND_BENCH_LARGE=1 does.")?;
    }
    if report.objects < ENOUGH {
        writeln!(out, "  {} objects are too few for some rows: {ENOUGH} at least.", report.objects)?;
    }
    Ok(())
}

fn against_the_peer(report: &Report) -> Vec<Row> {
    let counts = report.objects >= ENOUGH;
    let ratio = |what: &str, goal: f64, peer: &Run, ours: &Run, time: fn(&Run) -> f64| {
        let [peer, ours] = [peer, ours].map(time);
        let (goal, of) = (Goal::AtLeast(goal), format!("{peer:.2} s / {ours:.2} s"));
        Row { what: what.to_owned(), goal, measured: peer / ours, unit: "", counts, of }
    };
    let Report { limits, peer_limits, none, peer_none, .. } = report;
    let (gone, ready) = (|run: &Run| run.gone.as_secs_f64(), |run: &Run| run.counts.seconds);
    vec![
        ratio("last access gone, plain Go / Rescind, large limits reported", 3.0, peer_limits, limits, gone),
        ratio("last access gone, plain Go / Rescind, no limit reported", 3.0, peer_none, none, gone),
        ratio("last Ready, plain Go / Rescind, large limits reported", 1.1, peer_limits, limits, ready),
        ratio("last Ready, plain Go / Rescind, no limit reported", 1.1, peer_none, none, ready),
    ]
}

fn against_the_raw_write(report: &Report) -> Vec<Row> {
    let counts = report.objects >= ENOUGH;
    let Report { raw, limits, peer_limits, none, .. } = report;
    let each = |run: &Run, seconds: f64| seconds / run.objects as f64 * 1e3;
    let operator = |run: &Run| each(run, run.counts.cpu.operator);
    let api = each(limits, limits.counts.cpu.apiserver);
    let raw_api = raw.counts.cpu.apiserver / raw.objects as f64 * 1e3;
    vec![
        Row {
            what: "objects/s to Ready / raw rate of the same write".to_owned(),
            goal: Goal::AtLeast(0.9),
            measured: limits.rate() / raw.rate(),
            unit: "",
            counts,
            of: format!(
                "{:.0} / {:.0} a second (no limit reported {:.0}, plain Go {:.0})",
                limits.rate(),
                raw.rate(),
                none.rate(),
                peer_limits.rate()
            ),
        },
        Row {
            what: "CPU of the operator, an object".to_owned(),
            goal: Goal::AtMost(0.35),
            measured: operator(limits),
            unit: " ms",
            counts,
            of: format!("no limit reported {:.2} ms, plain Go {:.2} ms", operator(none), operator(peer_limits)),
        },
        Row {
            what: "CPU of the API server, an object / the same raw write".to_owned(),
            goal: Goal::AtMost(1.1),
            measured: api / raw_api,
            unit: "",
            counts,
            of: format!("{api:.2} ms / {raw_api:.2} ms"),
        },
    ]
}

fn memory(report: &Report) -> Vec<Row> {
    let row = |run: &Run, restart: &Restart, goal: f64, asked: usize| Row {
        what: format!("memory with {} finished objects", run.objects),
        goal: Goal::AtMost(goal),
        measured: run.resident.max(restart.resident),
        unit: " MB",
        counts: run.objects >= asked,
        of: format!("{:.1} MB after the work, {:.1} MB after a restart", run.resident, restart.resident),
    };
    let mut rows = vec![row(&report.limits, &report.restart, 35.0, 10_000)];
    rows.extend(report.large.as_ref().map(|(run, restart)| row(run, restart, 200.0, 100_000)));
    rows
}

fn under_limits(report: &Report) -> Vec<Row> {
    let crowd = &report.crowd;
    let calls = crowd.objects.div_ceil(PER_CALL) as f64 / f64::from(LIMIT);
    let (writes, lag) = (crowd.objects as f64 / report.raw.rate(), LAG.as_secs_f64());
    let took = crowd.took.as_secs_f64();
    let mut rows = vec![Row {
        what: format!("{} memberships: time / (calls + writes + lag)", crowd.objects),
        goal: Goal::AtMost(1.2),
        measured: took / (calls + writes + lag),
        unit: "",
        counts: crowd.objects >= ENOUGH,
        of: format!("{took:.1} s / ({calls:.1} + {writes:.1} + {lag:.0} s), {} calls in all", crowd.calls),
    }];
    rows.extend(report.drains.iter().map(|drain| {
        let [took, at_best] = [drain.took, drain.at_best].map(|time| time.as_secs_f64());
        Row {
            what: format!("drain at {}: time / (calls / limit)", drain.what),
            goal: Goal::AtMost(1.05),
            measured: took / at_best,
            unit: "",
            counts: report.objects >= ENOUGH,
            of: format!("{took:.1} s / {at_best:.1} s for {} calls, {} answers of 429", drain.calls, drain.limited),
        }
    }));
    let limited = &report.limited;
    rows.push(Row {
        what: format!("writes beside verdicts when 429 hits {} objects", limited::OBJECTS),
        goal: Goal::AtMost(50.0),
        measured: limited.busiest as f64,
        unit: "/s",
        counts: true,
        of: format!(
            "{} in all beside {} verdicts, {} answers of 429",
            limited.others, limited.verdicts, limited.limited
        ),
    });
    rows
}
