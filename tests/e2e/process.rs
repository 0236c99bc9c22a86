//! The operator as a process.

use std::time::Duration;

use crate::harness::{Environment, PATIENCE, within};

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

    /// With these environment variables.
    pub fn run_with(kubeconfig: &std::path::Path, args: &[&str], variables: &[(&str, String)]) -> Self {
        let log = tempfile::NamedTempFile::new().unwrap();
        let child = tokio::process::Command::new(env!("CARGO_BIN_EXE_rescind"))
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
        let pid = self.child.id().unwrap().to_string();
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
