//! The table: a value, the goal, and one plain line that says what it is.

use std::fmt;

use crate::counters::Cpu;
use crate::handover::Handover;
use crate::install::Install;
use crate::latency::{Idle, percentile};
use crate::standing::{Restart, Standing};
use crate::throughput::{Phase, Raw};
use crate::world::{NAMESPACE, RAW};

pub struct Report {
    pub objects: usize,
    pub install: Install,
    pub handover: Handover,
    pub empty: Standing,
    pub worked: Standing,
    pub restart: Restart,
    pub idle: Idle,
    pub raw: Raw,
    pub existing: Phase,
    pub applied: Phase,
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        writeln!(out, "\n{} finished UserRoleRevocations, {cpus} CPUs for everything\n", self.objects)?;
        row(out, "value", "goal", "what it is")?;
        self.throughput(out)?;
        self.latency(out)?;
        self.install(out)?;
        self.standing(out)?;
        self.where_it_goes(out)?;
        self.requests(out)
    }
}

impl Report {
    fn throughput(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { raw, existing, applied, .. } = self;
        let patches = raw.patches.rate();
        let both = 1.0 / (1.0 / patches + 1.0 / raw.applies.rate());
        let lines = [
            (applied, patches, "0.8", "removals/s, first apply to last Ready, over raw status PATCHes/s"),
            (existing, patches, "0.8", "the same for objects that exist: operator's start to last Ready"),
            (applied, both, "", "removals/s, first apply to last Ready, over raw apply plus status PATCH/s"),
        ];
        for (phase, baseline, goal, what) in lines {
            let rate = phase.rate();
            row(out, &format!("{:.2}", rate / baseline), goal, &format!("{what} ({rate:.0} / {baseline:.0})"))?;
        }
        let per = |of: &dyn Fn(&Phase) -> f64| {
            let objects = self.existing.objects + self.applied.objects;
            (of(&self.existing) + of(&self.applied)) / objects as f64
        };
        let status = per(&|phase| phase.counts.requests_to(None, "userrolerevocations/status"));
        row(out, &format!("{status:.3}"), "1", "status writes to the API server per finished object")?;
        let events = per(&|phase| phase.counts.requests_to(Some("POST"), "events"));
        row(out, &format!("{events:.3}"), "", "events per finished object (at most 20 a second, by design)")
    }

    fn latency(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
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
        let seconds = |time: std::time::Duration| format!("{:.2} s", time.as_secs_f64());
        let what = "from helm install to the first removal Ready, but for pulling the image and scheduling the pod";
        row(out, &seconds(helm + ready + first), "", what)?;
        let what = format!(
            "of that helm; then {} from the first start of the process to ready, {} from kubectl apply to Ready (kubectl ran {})",
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
        let Self { objects, empty, worked, restart, .. } = self;
        let megabytes = |value: f64| format!("{value:.1} MB");
        row(out, &megabytes(empty.resident), "", "resident memory of the operator without objects")?;
        let what = format!("the same, after it finished {objects} objects (peak {:.1} MB)", worked.peak);
        row(out, &megabytes(worked.resident), "60 MB", &what)?;
        let what =
            format!("the same, restarted over {objects} finished objects (peak {:.1} MB)", restart.standing.peak);
        row(out, &megabytes(restart.standing.resident), "60 MB", &what)?;
        row(out, &restart.calls.to_string(), "0", "calls to Auth0 after that restart")?;
        row(out, &restart.writes().to_string(), "0", "writes to the API server after that restart")?;
        let ready = format!("{:.2} s", restart.standing.ready_after.as_secs_f64());
        let what = format!(
            "from the start of the process to ready, at that restart ({:.2} s without objects)",
            empty.ready_after.as_secs_f64()
        );
        row(out, &ready, "", &what)
    }

    /// CPU time, because that is what runs out when everything shares one machine. Unlike a rate it hardly depends on
    /// what else the machine does.
    fn where_it_goes(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { raw, existing, applied, .. } = self;
        let columns = [&raw.patches, existing, &raw.applies, applied];
        type Part = (&'static str, fn(&Cpu) -> f64);
        let parts: [Part; 7] = [
            ("kube-apiserver", |cpu| cpu.apiserver),
            ("etcd", |cpu| cpu.etcd),
            ("operator", |cpu| cpu.operator),
            ("fake Auth0", |cpu| cpu.fake),
            ("this program", |cpu| cpu.bench),
            ("all of these", Cpu::ours),
            ("others here", |cpu| cpu.others),
        ];
        writeln!(out, "\nCPU time per object, in microseconds\n")?;
        writeln!(out, "  {:16}{:>12}{:>12}{:>12}{:>12}", "", "raw PATCH", "existing", "raw apply", "applied")?;
        let mut line = |name: &str, part: &dyn Fn(&Phase) -> f64| {
            write!(out, "  {name:16}")?;
            columns.iter().try_for_each(|phase| write!(out, "{:>12.0}", part(phase)))?;
            writeln!(out)
        };
        for (name, part) in parts {
            line(name, &|phase| part(&phase.counts.cpu) / phase.objects as f64 * 1e6)?;
        }
        line("by the clock", &|phase| 1e6 / phase.rate())
    }

    fn requests(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            out,
            "\nRequests to the API server per object, this program's included (namespaces {NAMESPACE}, {RAW})\n"
        )?;
        for (name, phase) in [("existing", &self.existing), ("applied", &self.applied)] {
            for ((verb, resource), count) in &phase.counts.requests {
                let per_object = count / phase.objects as f64;
                if per_object >= 0.001 {
                    writeln!(out, "  {name:<10}{per_object:>8.3}  {verb} {resource}")?;
                }
            }
        }
        let restart = self.restart.counts.requests.iter();
        let ours = restart.filter(|((_, resource), _)| resource.contains("revocation") || resource.contains("removal"));
        for ((verb, resource), count) in ours {
            writeln!(out, "  {:<10}{count:>8.0}  {verb} {resource} in all", "restart")?;
        }
        Ok(())
    }
}

fn row(out: &mut fmt::Formatter<'_>, value: &str, goal: &str, what: &str) -> fmt::Result {
    writeln!(out, "  {value:>9}  {goal:>6}  {what}")
}
