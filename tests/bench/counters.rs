//! CPU time by process, from /proc, and requests to the API server, from its own metrics.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::ops::Sub;
use std::time::Instant;

use kube::Client;

/// The name of the fake's thread, which identifies its CPU time.
pub const FAKE_THREAD: &str = "fake-auth0";

/// Linux reports CPU time to user space in hundredths of a second.
const TICKS: f64 = 100.0;

/// CPU seconds by process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cpu {
    pub operator: f64,
    /// The part of `operator` spent in the kernel, mostly on sockets.
    pub operator_in_kernel: f64,
    pub apiserver: f64,
    pub etcd: f64,
    pub fake: f64,
    pub bench: f64,
    /// Every process on this machine that is not part of the benchmark.
    pub others: f64,
}

/// Requests to the API server, by verb and resource (with subresource).
pub type Requests = BTreeMap<(String, String), f64>;

/// All counts at one moment, or their difference between two.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    pub seconds: f64,
    pub cpu: Cpu,
    pub requests: Requests,
}

/// The start of a period for [`Counts`].
pub struct Mark(Instant, Counts);

impl Mark {
    /// Starts a period, before the operator of interest runs.
    pub async fn now(client: &Client) -> Self {
        let requests = requests(client).await;
        Self(Instant::now(), Counts { seconds: 0.0, cpu: cpu(None), requests })
    }

    pub const fn time(&self) -> Instant {
        self.0
    }

    /// The counts since then, up to `end`, a moment ago. All CPU time of the operator with this process id counts.
    pub async fn until(self, end: Instant, operator: Option<u32>, client: &Client) -> Counts {
        let cpu = cpu(operator) - self.1.cpu;
        let mut requests = requests(client).await;
        for (key, count) in &mut requests {
            *count -= self.1.requests.get(key).copied().unwrap_or_default();
        }
        requests.retain(|_, count| *count > 0.0);
        Counts { seconds: (end - self.0).as_secs_f64(), cpu, requests }
    }
}

impl Counts {
    /// The number of requests to one resource, of one verb or of all.
    pub fn requests_to(&self, verb: Option<&str>, resource: &str) -> f64 {
        let fits = |key: &(String, String)| key.1 == resource && verb.is_none_or(|verb| key.0 == verb);
        self.requests.iter().filter(|(key, _)| fits(key)).map(|(_, count)| count).sum()
    }

    /// The sum of two periods.
    pub fn and(mut self, other: Self) -> Self {
        let (a, b) = (self.cpu, other.cpu);
        self.seconds += other.seconds;
        self.cpu = Cpu {
            operator: a.operator + b.operator,
            operator_in_kernel: a.operator_in_kernel + b.operator_in_kernel,
            apiserver: a.apiserver + b.apiserver,
            etcd: a.etcd + b.etcd,
            fake: a.fake + b.fake,
            bench: a.bench + b.bench,
            others: a.others + b.others,
        };
        for (key, count) in other.requests {
            *self.requests.entry(key).or_default() += count;
        }
        self
    }
}

impl Cpu {
    /// The CPU seconds of all processes of the benchmark.
    pub fn ours(&self) -> f64 {
        self.operator + self.apiserver + self.etcd + self.fake + self.bench
    }
}

impl Sub for Cpu {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            operator: self.operator - before.operator,
            operator_in_kernel: self.operator_in_kernel - before.operator_in_kernel,
            apiserver: self.apiserver - before.apiserver,
            etcd: self.etcd - before.etcd,
            fake: self.fake - before.fake,
            bench: self.bench - before.bench,
            others: (self.others - before.others).max(0.0),
        }
    }
}

async fn requests(client: &Client) -> Requests {
    let request = http::Request::get("/metrics").body(Vec::new()).unwrap();
    let text = client.request_text(request).await.expect("the API server's metrics");
    let mut requests = Requests::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("apiserver_request_total{")) {
        let (labels, count) = line.rsplit_once("} ").unwrap();
        let label = |name: &str| {
            let labels = labels.split("\",").filter_map(|label| label.split_once("=\""));
            labels.filter(|(key, _)| *key == name).map(|(_, value)| value.trim_end_matches('"')).collect::<String>()
        };
        let (resource, sub) = (label("resource"), label("subresource"));
        let resource = if sub.is_empty() { resource } else { format!("{resource}/{sub}") };
        *requests.entry((label("verb"), resource)).or_default() += count.parse::<f64>().unwrap();
    }
    requests
}

fn cpu(operator: Option<u32>) -> Cpu {
    let processes = descendants();
    let of = |name| processes.iter().find(|process| process.name == name).map_or(0.0, Stat::seconds);
    let operator = operator.and_then(|pid| processes.iter().find(|process| process.pid == pid));
    let (operator, operator_in_kernel) = operator.map_or((0.0, 0.0), |stat| (stat.seconds(), stat.kernel));
    let (apiserver, etcd) = (of("kube-apiserver"), of("etcd"));
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let threads = threads.filter_map(|thread| stat(&thread.path().join("stat").to_string_lossy()));
    let fake = threads.filter(|thread| thread.name == FAKE_THREAD).map(|thread| thread.seconds()).sum();
    let bench = stat("/proc/self/stat").map_or(0.0, |stat| stat.seconds()) - fake;
    let others = machine() - operator - apiserver - etcd - fake - bench;
    Cpu { operator, operator_in_kernel, apiserver, etcd, fake, bench, others }
}

/// The CPU seconds of a process so far.
pub fn cpu_of(pid: u32) -> f64 {
    stat(&format!("/proc/{pid}/stat")).map_or(0.0, |stat| stat.seconds())
}

/// The descendant of this process with this name and this text in its environment.
pub fn pid_of(name: &str, variable: &str) -> Option<u32> {
    let has = |process: &Stat| {
        let variables = fs::read(format!("/proc/{}/environ", process.pid)).unwrap_or_default();
        variables.split(|byte| *byte == 0).any(|given| given == variable.as_bytes())
    };
    descendants().into_iter().find(|process| process.name == name && has(process)).map(|process| process.pid)
}

/// The descendants of this process.
fn descendants() -> Vec<Stat> {
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let all: Vec<Stat> = pids.filter_map(|pid: u32| stat(&format!("/proc/{pid}/stat"))).collect();
    let mut ours = HashSet::from([std::process::id()]);
    // Each round finds one more generation; there are at most three.
    for _ in 0..3 {
        ours.extend(all.iter().filter(|stat| ours.contains(&stat.parent)).map(|stat| stat.pid).collect::<Vec<_>>());
    }
    all.into_iter().filter(|stat| ours.contains(&stat.pid)).collect()
}

struct Stat {
    pid: u32,
    name: String,
    parent: u32,
    user: f64,
    kernel: f64,
}

impl Stat {
    fn seconds(&self) -> f64 {
        self.user + self.kernel
    }
}

/// Parses a `stat` file of proc(5). The name in parentheses may contain anything, so fields are counted from its end.
fn stat(path: &str) -> Option<Stat> {
    let text = fs::read_to_string(path).ok()?;
    let (pid, rest) = text.split_once(" (")?;
    let (name, rest) = rest.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    let seconds = |index: usize| Some(fields.get(index)?.parse::<f64>().ok()? / TICKS);
    Some(Stat {
        pid: pid.parse().ok()?,
        name: name.to_owned(),
        parent: fields.get(1)?.parse().ok()?,
        user: seconds(11)?,
        kernel: seconds(12)?,
    })
}

/// The busy CPU seconds of the whole machine.
fn machine() -> f64 {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields = text.lines().next().unwrap_or_default().split_whitespace().skip(1);
    let ticks: Vec<f64> = fields.filter_map(|field| field.parse().ok()).collect();
    // user nice system - - irq softirq steal; idle and iowait do not count, and user includes guests.
    [0, 1, 2, 5, 6, 7].iter().filter_map(|index| ticks.get(*index)).sum::<f64>() / TICKS
}

/// A line of /proc/PID/status such as VmRSS, in megabytes (10^6 bytes).
pub fn memory(pid: u32, field: &str) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kibibytes.unwrap_or_default() * 1024.0 / 1e6
}
