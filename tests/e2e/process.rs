//! The operator as a process.

#![allow(clippy::print_stderr, reason = "a skipped test says why")]

use std::time::Duration;

use tokio::process::Command;

use crate::harness::{Environment, PATIENCE, within};

const PROGRAM: &str = env!("CARGO_BIN_EXE_rescind");

/// The files by which a process resolves names, in place of those of this machine. No DNS server answers it.
pub struct HostFiles {
    hosts: tempfile::NamedTempFile,
    resolv: tempfile::NamedTempFile,
}

impl HostFiles {
    /// With this hosts file; `None`, with a printed reason, if this machine allows no namespaces.
    pub fn new(hosts: &str) -> Option<Self> {
        if let Err(why) = allows(&["--mount"], "true") {
            eprintln!("skipped: {why}");
            return None;
        }
        let new = || tempfile::NamedTempFile::new().unwrap();
        let files = Self { hosts: new(), resolv: new() };
        files.set_hosts(hosts);
        std::fs::write(files.resolv.path(), "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n").unwrap();
        Some(files)
    }

    pub fn set_hosts(&self, hosts: &str) {
        std::fs::write(self.hosts.path(), hosts).unwrap();
    }

    /// The program with these files.
    pub fn command(&self) -> Command {
        let bind = |file: &tempfile::NamedTempFile, path| format!("mount --bind '{}' {path}", file.path().display());
        let setup = [bind(&self.hosts, "/etc/hosts"), bind(&self.resolv, "/etc/resolv.conf")].join(" && ");
        in_namespaces(&["--mount"], &setup)
    }
}

fn unshared(namespaces: &[&str], script: &str) -> std::process::Command {
    let mut command = std::process::Command::new("unshare");
    command.args(["--user", "--map-root-user"]).args(namespaces).args(["sh", "-c", script]);
    command
}

/// The program in namespaces of its own, after this shell script.
pub fn in_namespaces(namespaces: &[&str], setup: &str) -> Command {
    let mut command = unshared(namespaces, &format!("{setup} && exec \"$0\" \"$@\""));
    command.arg(PROGRAM);
    command.into()
}

/// Whether this machine lets a process have such namespaces and do this in them, and why not.
pub fn allows(namespaces: &[&str], setup: &str) -> Result<(), String> {
    let tried = unshared(namespaces, setup).output().map_err(|error| format!("there is no unshare ({error})"))?;
    let why = String::from_utf8_lossy(&tried.stderr).trim().to_owned();
    if tried.status.success() { Ok(()) } else { Err(format!("this machine allows no such namespaces ({why})")) }
}

/// The real program in a process of its own, at log level trace.
pub struct Process {
    child: tokio::process::Child,
    log: tempfile::NamedTempFile,
}

impl Process {
    /// Starts one that watches the namespace of `env` and takes part in the election there.
    pub fn start(env: &Environment) -> Self {
        Self::start_with(env, &[])
    }

    pub fn start_with(env: &Environment, more: &[&str]) -> Self {
        let watched = ["--watch-namespaces", &env.namespace, "--namespace", &env.namespace];
        let domain = ["--health-probe-bind-address", "0", "--allowed-domains", env.fake.domain()];
        let more = [&["--log-level", "trace"], more].concat();
        Self::run(env.plane.kubeconfig_path(), &[&more, &watched[..], &domain[..]].concat())
    }

    pub fn run(kubeconfig: &std::path::Path, args: &[&str]) -> Self {
        Self::run_with(kubeconfig, args, &[])
    }

    /// Starts one that watches the namespace of `env` and resolves names with these files.
    pub fn start_on(env: &Environment, files: &HostFiles) -> Self {
        let watched = ["--watch-namespaces", &env.namespace, "--namespace", &env.namespace];
        let more = ["--health-probe-bind-address", "0", "--allowed-domains", env.fake.domain()];
        Self::run_as(files.command(), env.plane.kubeconfig_path(), &[&watched[..], &more].concat())
    }

    /// With these environment variables.
    pub fn run_with(kubeconfig: &std::path::Path, args: &[&str], variables: &[(&str, String)]) -> Self {
        Self::spawn(Command::new(PROGRAM), kubeconfig, args, variables)
    }

    /// As this command, whose last argument so far is the program.
    pub fn run_as(command: Command, kubeconfig: &std::path::Path, args: &[&str]) -> Self {
        Self::spawn(command, kubeconfig, args, &[])
    }

    fn spawn(mut command: Command, kubeconfig: &std::path::Path, args: &[&str], variables: &[(&str, String)]) -> Self {
        let log = tempfile::NamedTempFile::new().unwrap();
        let child = command
            .arg("run")
            .args(args)
            // Processes that run at once cannot share the default port.
            .env("RESCIND_METRICS_BIND_ADDRESS", "0")
            .env("KUBECONFIG", kubeconfig)
            .envs(variables.iter().map(|(name, value)| (*name, value)))
            .stderr(log.reopen().unwrap())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self { child, log }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// kill -9.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log.path()).unwrap()
    }

    /// Waits until the log contains this.
    pub async fn says(&self, words: &str) {
        let started = std::time::Instant::now();
        while !self.log().contains(words) {
            assert!(started.elapsed() < PATIENCE, "it did not say {words:?}: {}", self.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub fn signal(&self, signal: &str) {
        let pid = self.id().to_string();
        assert!(std::process::Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
    }

    /// SIGTERM; returns the exit code.
    pub async fn terminate(&mut self) -> Option<i32> {
        self.signal("TERM");
        self.ended().await
    }

    /// Waits for its end; returns the exit code.
    pub async fn ended(&mut self) -> Option<i32> {
        within(self.child.wait()).await.unwrap().code()
    }
}
