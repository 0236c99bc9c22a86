//! The standard `process_` metrics of Prometheus client libraries, and the number of tasks. Those that the system does
//! not provide are left out.

use std::fmt;

use jiff::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;
use rustix::time::{ClockId, clock_gettime};

#[derive(Debug)]
pub(crate) struct Process {
    /// Seconds since the Unix epoch.
    started: f64,
}

impl Process {
    pub(crate) fn started_now() -> Self {
        Self { started: Timestamp::now().as_duration().as_secs_f64() }
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let (seconds, bytes) = (Some(&Unit::Seconds), Some(&Unit::Bytes));
        let mut gauge = |name: &str, help: &str, unit, value: f64| {
            encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?.encode_gauge(&value)
        };
        gauge("process_start_time", "Start time of the process since the Unix epoch", seconds, self.started)?;
        if let Some(resident) = resident_bytes() {
            gauge("process_resident_memory", "Resident memory size", bytes, resident)?;
        }
        if let Some(open) = open_files() {
            gauge("process_open_fds", "Number of open file descriptors", None, open)?;
        }
        if let Some(most) = max_files() {
            gauge("process_max_fds", "Maximum number of open file descriptors", None, most)?;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let alive = runtime.metrics().num_alive_tasks() as f64;
            gauge("rescind_tasks", "Tasks of the runtime that are alive", None, alive)?;
        }
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        let used = cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9;
        let mut metric =
            encoder.encode_descriptor("process_cpu", "Total user and system CPU time", seconds, MetricType::Counter)?;
        metric.encode_counter::<NoLabelSet, _, f64>(&used, None)
    }
}

/// Reads the line `VmRSS:   12345 kB`.
fn resident_bytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024.0)
}

fn open_files() -> Option<f64> {
    // One of them is the directory that is being read.
    Some(std::fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1) as f64)
}

/// Reads the soft limit of `Max open files            1024                 524288               files`.
fn max_files() -> Option<f64> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}
