//! The report: the figures of one run, the table of goals, and where the CPU time goes.

use std::fmt;
use std::time::Duration;

use crate::counters::{Counts, Cpu};
use crate::drain::Drain;
use crate::goals;
use crate::handover::Handover;
use crate::install::Install;
use crate::latency::{Idle, percentile};
use crate::leavers::{Crowd, Shared};
use crate::limited::Limited;
use crate::race::Run;
use crate::raw::{Raw, Verb};
use crate::standing::Restart;

pub struct Report {
    pub objects: usize,
    pub install: Install,
    pub handover: Handover,
    pub start_empty: Duration,
    pub empty: f64,
    pub idle: Idle,
    pub verb: Verb,
    pub raw: Raw,
    pub limits: Run,
    pub restart: Restart,
    pub peer_limits: Run,
    pub peer_none: Run,
    pub none: Run,
    pub crowd: Crowd,
    pub shared: Shared,
    pub drains: Vec<Drain>,
    pub limited: Limited,
    pub large: Option<(Run, Restart)>,
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "\n{} objects, {} CPUs for everything\n", self.objects, cpus())?;
        row(out, "value", "goal", "what it is")?;
        self.one_by_one(out)?;
        self.install(out)?;
        self.standing(out)?;
        self.calls(out)?;
        goals::table(self, out)?;
        self.where_it_goes(out)?;
        self.requests(out)
    }
}

impl Report {
    fn one_by_one(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let idle = &self.idle;
        let apply = percentile(&idle.applies, 0.5);
        for (share, name) in [(0.5, "median"), (0.99, "99th percentile")] {
            let value = format!("{:.1} ms", percentile(&idle.one_by_one, share));
            let what = format!(
                "from just before the apply request to the DELETE on the wire, idle system, {name} of {}",
                idle.one_by_one.len()
            );
            row(out, &value, "", &what)?;
        }
        row(out, &format!("{apply:.1} ms"), "", "of that, the apply request itself, median")?;
        let value = format!("{:.1} ms", percentile(&idle.after_silence, 0.5));
        let what = format!("the same after more than a second of silence, median of {}", idle.after_silence.len());
        row(out, &value, "", &what)?;
        let value = format!("{:.0} ms", percentile(&idle.with_kubectl, 0.5));
        let what = format!("the same from the start of a kubectl apply, median of {}", idle.with_kubectl.len());
        row(out, &value, "", &what)
    }

    fn install(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Install { helm, ready, first, kubectl } = self.install;
        let what = "from helm install to the first removal Ready, but for pulling the image and scheduling the pod";
        row(out, &seconds(helm + ready + first), "", what)?;
        let what = format!(
            "of that helm; then {} from the first start of the process to ready, {} from kubectl apply to Ready \
             (kubectl ran {})",
            seconds(ready),
            seconds(first),
            seconds(kubectl)
        );
        row(out, &seconds(helm), "", &what)?;
        let Handover { lease, ready } = &self.handover;
        for (times, goal, what) in [
            (lease, "3 s", "from SIGTERM of the leader until the other replica has the lease"),
            (ready, "", "the same until a removal that was applied in that moment is Ready"),
        ] {
            let [half, most] = [0.5, 0.99].map(|share| percentile(times, share));
            let what = format!("{what}, median of {} (99th percentile {most:.0} ms)", times.len());
            row(out, &format!("{half:.0} ms"), goal, &what)?;
        }
        Ok(())
    }

    fn standing(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { objects, limits, restart, peer_limits, .. } = self;
        let megabytes = |value: f64| format!("{value:.1} MB");
        row(out, &megabytes(self.empty), "", "memory of the operator with next to no objects")?;
        row(out, &megabytes(limits.peak), "", &format!("at most, while it finished {objects} objects"))?;
        row(out, &megabytes(restart.peak), "", "at most, in a start over them")?;
        row(out, &megabytes(peer_limits.resident), "", "memory of the plain Go operator, after it finished as many")?;
        row(out, &restart.calls.to_string(), "0", "calls to Auth0 after that start")?;
        row(out, &restart.writes().to_string(), "0", "writes to the API server after that start")?;
        let what = format!("from that start to ready ({} with next to no objects)", seconds(self.start_empty));
        row(out, &seconds(restart.ready_after), "", &what)
    }

    fn calls(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limits, crowd, shared, .. } = self;
        let writes = limits.counts.requests_to(None, "userrolerevocations/status") / limits.objects as f64;
        row(out, &format!("{writes:.3}"), "1", "status writes to the API server per finished object")?;
        let events = limits.counts.requests_to(Some("POST"), "events") / limits.objects as f64;
        row(out, &format!("{events:.3}"), "", "events per finished object (at most ten a second, by design)")?;
        let goal = |of_ten_thousand: usize| (of_ten_thousand * crowd.objects).div_ceil(10_000).to_string();
        let what = format!("DELETE calls for {} memberships of one organization", crowd.objects);
        row(out, &crowd.deletes.to_string(), &goal(1020), &what)?;
        row(out, &crowd.calls.to_string(), &goal(1300), "all calls for them, each removal verified")?;
        row(out, &crowd.limited.to_string(), "5", "of these were answered 429")?;
        row(out, &crowd.lost.to_string(), "0", "lost removals")?;
        row(out, &crowd.early.to_string(), "0", "objects Ready before the tenant had changed")?;
        let what = "calls sent before that of one object of another namespace, from its apply on";
        row(out, &crowd.before_other.to_string(), "2", what)?;
        let what = format!(
            "share of the calls that a competing client got at reservePercent 20 ({} of its calls were refused)",
            shared.refused
        );
        row(out, &format!("{:.2}", shared.share), "0.20", &what)
    }

    /// CPU time, because on one machine that is the scarce resource. Unlike a rate, it hardly depends on what else the
    /// machine does.
    fn where_it_goes(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { raw, limits, peer_limits, none, peer_none, restart, .. } = self;
        type Column<'a> = (&'static str, usize, &'a Counts);
        let columns: [Column<'_>; 5] = [
            ("raw write", raw.objects, &raw.counts),
            ("Rescind", limits.objects, &limits.counts),
            ("Go", peer_limits.objects, &peer_limits.counts),
            ("Rescind*", none.objects, &none.counts),
            ("Go*", peer_none.objects, &peer_none.counts),
        ];
        type Part = (&'static str, fn(&Cpu) -> f64);
        let parts: [Part; 8] = [
            ("kube-apiserver", |cpu| cpu.apiserver),
            ("etcd", |cpu| cpu.etcd),
            ("operator", |cpu| cpu.operator - cpu.operator_in_kernel),
            ("  in the kernel", |cpu| cpu.operator_in_kernel),
            ("fake Auth0", |cpu| cpu.fake),
            ("this program", |cpu| cpu.bench),
            ("others here", |cpu| cpu.others),
            ("all of these", |cpu| cpu.ours() + cpu.others),
        ];
        writeln!(
            out,
            "\nWhere it goes: CPU time in microseconds an object, until the last was Ready (* no limit reported)\n"
        )?;
        write!(out, "  {:16}", "")?;
        columns.iter().try_for_each(|(name, ..)| write!(out, "{name:>12}"))?;
        let mut line = |name: &str, part: &dyn Fn(&Counts) -> f64| {
            write!(out, "\n  {name:16}")?;
            let each = |objects: usize, counts: &Counts| part(counts) / objects as f64 * 1e6;
            columns.iter().try_for_each(|(_, objects, counts)| write!(out, "{:>12.0}", each(*objects, counts)))
        };
        for (name, part) in parts {
            line(name, &|counts| part(&counts.cpu))?;
        }
        line("idle", &|counts| (cpus() as f64 * counts.seconds - counts.cpu.ours() - counts.cpu.others).max(0.0))?;
        line("by the clock", &|counts| counts.seconds)?;
        let start = restart.counts.cpu.operator / limits.objects as f64 * 1e6;
        writeln!(
            out,
            "\n\n  Of the operator's time, a start over the finished objects (list, decode, one look each, no call and no\n  \
             write) takes {start:.0} an object; the rest is calls, decisions, the write and its echo. 'In the kernel' are\n  \
             sockets, mostly."
        )
    }

    fn requests(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limits, peer_limits, restart, verb, .. } = self;
        writeln!(out, "\nRequests to the API server per object; the raw write was {verb:?}, as Rescind's\n")?;
        for (name, run) in [("Rescind", limits), ("plain Go", peer_limits)] {
            for ((verb, resource), count) in &run.counts.requests {
                let per_object = count / run.objects as f64;
                if per_object >= 0.001 {
                    writeln!(out, "  {name:<10}{per_object:>8.3}  {verb} {resource}")?;
                }
            }
        }
        let ours = |resource: &str| resource.contains("revocation") || resource.contains("removal");
        for ((verb, resource), count) in restart.counts.requests.iter().filter(|((_, resource), _)| ours(resource)) {
            writeln!(out, "  {:<10}{count:>8.0}  {verb} {resource} in all", "restart")?;
        }
        let differ: Vec<_> = limits.fields.symmetric_difference(&peer_limits.fields).map(String::as_str).collect();
        match differ.as_slice() {
            [] => writeln!(out, "\nBoth operators wrote the same fields."),
            differ => writeln!(out, "\nTHE OPERATORS WROTE DIFFERENT FIELDS: {}", differ.join(", ")),
        }
    }
}

/// The number of CPUs that everything shares.
fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

fn row(out: &mut fmt::Formatter<'_>, value: &str, goal: &str, what: &str) -> fmt::Result {
    writeln!(out, "  {value:>9}  {goal:>6}  {what}")
}
