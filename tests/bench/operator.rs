//! The `rescind` binary as a process of its own, run as a cluster runs it.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use stack::ControlPlane;
use stack::supervisor::Supervised;

use crate::counters;

/// Longest a start or the end of all work is waited for.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Operator {
    process: Supervised,
    pub pid: u32,
}

impl Operator {
    /// Starts it and says how long it took from the start of the process until it was ready.
    pub async fn start(plane: &ControlPlane, domain: &str, namespaces: &str) -> (Self, Duration) {
        let probe = free_address();
        let mut command = command(plane, domain, namespaces, probe);
        // A lease is written every few seconds whatever the operator has to do.
        command.env("RESCIND_LEADER_ELECT", "false");
        let kept = std::env::var_os("RESCIND_BENCH_KEEP_LOG").map(PathBuf::from);
        let log = kept.unwrap_or_else(|| plane.dir().join("rescind.log"));
        let started = Instant::now();
        let mut process = Supervised::spawn(&command, &log).expect("rescind starts");
        while !is_ready(probe).await {
            let ended = process.try_wait().expect("a child of ours");
            assert!(ended.is_none(), "rescind ended: {}", std::fs::read_to_string(&log).unwrap_or_default());
            assert!(started.elapsed() < PATIENCE, "rescind is not ready after {PATIENCE:?}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let took = started.elapsed();
        (Self { process, pid: counters::pid_of("rescind").expect("rescind runs") }, took)
    }

    /// As a crash ends it.
    pub fn stop(mut self) {
        self.process.stop();
    }

    /// Waits until it has next to nothing to do: at most 2 % of a CPU for a second.
    pub async fn quiet(&self) {
        let deadline = Instant::now() + PATIENCE;
        let mut before = counters::cpu_of(self.pid);
        while Instant::now() < deadline {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let now = counters::cpu_of(self.pid);
            if now - before <= 0.02 {
                return;
            }
            before = now;
        }
    }
}

/// How a replica is started.
pub fn command(plane: &ControlPlane, domain: &str, namespaces: &str, probe: SocketAddr) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rescind"));
    command
        .arg("run")
        // As variables: an operator that does not know one of them yet starts all the same.
        .env("KUBECONFIG", plane.kubeconfig_path())
        .env("RESCIND_ALLOWED_DOMAINS", domain)
        .env("RESCIND_WATCH_NAMESPACES", namespaces)
        .env("RESCIND_HEALTH_PROBE_BIND_ADDRESS", probe.to_string())
        .env("RESCIND_METRICS_BIND_ADDRESS", "0");
    command
}

async fn is_ready(probe: SocketAddr) -> bool {
    let answer = reqwest::get(format!("http://{probe}/readyz")).await;
    answer.is_ok_and(|answer| answer.status().is_success())
}

pub fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().unwrap()
}
