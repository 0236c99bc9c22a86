//! The operators as processes, started as in a cluster: Rescind, and the plain one it is compared with.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use stack::supervisor::Supervised;

use crate::cluster::Namespace;
use crate::counters;

/// The longest wait for a start or for the end of all work.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Which operator.
#[derive(Clone, Copy)]
pub enum Who<'a> {
    Rescind,
    /// The plain operator in `peer`, which writes this status with its own times and names.
    Peer(&'a Value),
}

impl Who<'_> {
    const fn program(self) -> &'static str {
        match self {
            Self::Rescind => "rescind",
            Self::Peer(_) => "peer",
        }
    }

    fn command(self, ns: &Namespace<'_>, probe: SocketAddr) -> Command {
        match self {
            Self::Rescind => {
                let mut command = rescind(ns, ns.name, probe);
                // A leader writes its lease every few seconds, whatever the load.
                command.env("RESCIND_LEADER_ELECT", "false");
                command
            }
            Self::Peer(status) => peer(ns, status, probe),
        }
    }
}

/// A running operator, killed when dropped.
pub struct Operator {
    process: Supervised,
    probe: SocketAddr,
    started: Instant,
    pub pid: u32,
}

impl Operator {
    /// Starts it for one namespace and does not wait until it is ready.
    pub async fn start(who: Who<'_>, ns: &Namespace<'_>) -> Self {
        let probe = free_address();
        Self::spawn(who.command(ns, probe), who.program(), ns, probe).await
    }

    /// Starts Rescind for several namespaces, separated by commas.
    pub async fn rescind(ns: &Namespace<'_>, namespaces: &str) -> Self {
        let probe = free_address();
        let mut command = rescind(ns, namespaces, probe);
        command.env("RESCIND_LEADER_ELECT", "false");
        Self::spawn(command, "rescind", ns, probe).await
    }

    async fn spawn(mut command: Command, program: &str, ns: &Namespace<'_>, probe: SocketAddr) -> Self {
        // Several may run at once; the address identifies them.
        let mark = format!("RESCIND_BENCH_PROCESS={probe}");
        command.env("RESCIND_BENCH_PROCESS", probe.to_string());
        let kept = std::env::var_os("RESCIND_BENCH_KEEP_LOG").map(PathBuf::from);
        let log = kept.unwrap_or_else(|| ns.cluster.plane.dir().join(format!("{program}.log")));
        let started = Instant::now();
        let mut process = Supervised::spawn(&command, &log).expect("it starts");
        let pid = loop {
            if let Some(pid) = counters::pid_of(program, &mark) {
                break pid;
            }
            let ended = process.try_wait().expect("a child of ours");
            assert!(ended.is_none(), "{program} ended: {}", std::fs::read_to_string(&log).unwrap_or_default());
            tokio::time::sleep(Duration::from_millis(1)).await;
        };
        Self { process, probe, started, pid }
    }

    /// Waits until it is ready; returns the time since its start.
    pub async fn ready(&mut self) -> Duration {
        let http = reqwest::Client::new();
        let url = format!("http://{}/readyz", self.probe);
        loop {
            if http.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
                return self.started.elapsed();
            }
            let (ended, log) = (self.process.try_wait().expect("a child of ours"), self.process.log());
            assert!(ended.is_none(), "it ended: {}", std::fs::read_to_string(log).unwrap_or_default());
            assert!(self.started.elapsed() < PATIENCE, "it is not ready after {PATIENCE:?}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Waits until it is idle: at most 2 % of a CPU for a second.
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

    pub fn stop(mut self) {
        self.process.stop();
    }
}

/// The command that starts a replica of Rescind.
pub fn rescind(ns: &Namespace<'_>, namespaces: &str, probe: SocketAddr) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rescind"));
    command
        .arg("run")
        // As variables, because an operator that does not know one of them still starts.
        .env("KUBECONFIG", ns.cluster.plane.kubeconfig_path())
        .env("RESCIND_ALLOWED_DOMAINS", ns.fake.domain())
        .env("RESCIND_WATCH_NAMESPACES", namespaces)
        .env("RESCIND_HEALTH_PROBE_BIND_ADDRESS", probe.to_string())
        .env("RESCIND_METRICS_BIND_ADDRESS", "0");
    command
}

fn peer(ns: &Namespace<'_>, status: &Value, probe: SocketAddr) -> Command {
    let ca = ns.cluster.plane.dir().join("fake-auth0-ca.pem");
    std::fs::write(&ca, ns.fake.ca_pem()).expect("a file");
    let mut command = Command::new(stack::binaries::locate("peer").expect("the plain operator is built"));
    command
        .env("KUBECONFIG", ns.cluster.plane.kubeconfig_path())
        .env("PEER_NAMESPACE", ns.name)
        .env("PEER_DOMAIN", ns.fake.domain())
        .env("PEER_TOKEN", ns.fake.token(&ns.fake.all_scopes()))
        .env("PEER_CA_FILE", ca)
        .env("PEER_STATUS", status.to_string())
        .env("PEER_PROBE", probe.to_string());
    command
}

pub fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().unwrap()
}
