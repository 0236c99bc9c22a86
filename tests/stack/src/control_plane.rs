//! An etcd and a kube-apiserver on loopback, ready in a few seconds, which end with their owner.
//!
//! There is no kubelet and no controller-manager: pods never run, owner references are not garbage-collected, a deleted
//! namespace stays, and no service account is created automatically. Everything else is as on any cluster.

use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::credentials::Credentials;
use crate::supervisor::{OwnedDir, Supervised, tail};
use crate::{Error, binaries, kubectl, ports};

/// The time within which the control plane must be ready. It takes 3 s on an idle machine.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// The interval of polling for readiness.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// How often a start is tried when another process takes a port between its choice and its use.
const TRIES: u32 = 3;

/// A running control plane. It ends when this value is dropped, and when the process that owns it ends in any way; so
/// it can be kept in a `static`.
#[derive(Debug)]
pub struct ControlPlane {
    // Declared before the folder, because fields are dropped in this order.
    apiserver: Mutex<Option<Supervised>>,
    etcd: Mutex<Supervised>,
    apiserver_program: PathBuf,
    /// Flags of the API server beside the usual ones.
    flags: Mutex<Vec<String>>,
    kubectl: PathBuf,
    ports: Ports,
    credentials: Credentials,
    ca_pem: String,
    kubeconfig: PathBuf,
    dir: OwnedDir,
}

#[derive(Clone, Copy, Debug)]
struct Ports {
    etcd: u16,
    etcd_peer: u16,
    apiserver: u16,
}

impl ControlPlane {
    /// Starts a control plane and waits until it is ready. Missing programs are built first, which takes minutes and is
    /// announced on standard error.
    pub fn start() -> Result<Self, Error> {
        let mut tries = 1;
        loop {
            match Self::start_once() {
                Err(Error::Ended { tail, log, .. }) if tries < TRIES && tail.contains("address already in use") => {
                    tries += 1;
                    // The folder was kept for the error message; the next try has its own.
                    let _ = log.parent().map(std::fs::remove_dir_all);
                }
                outcome => return outcome,
            }
        }
    }

    fn start_once() -> Result<Self, Error> {
        let (etcd_program, apiserver_program) = (binaries::locate("etcd")?, binaries::locate("kube-apiserver")?);
        let kubectl = kubectl::path()?;
        let [etcd, etcd_peer, apiserver] = ports::free()?;
        let ports = Ports { etcd, etcd_peer, apiserver };
        let dir = OwnedDir::temporary("rescind-control-plane-")?;
        let credentials = Credentials::create(dir.path())?;

        let etcd = Supervised::spawn(&etcd_command(&etcd_program, ports, dir.path()), &dir.path().join("etcd.log"))?;
        let mut plane = Self {
            apiserver: Mutex::new(None),
            etcd: Mutex::new(etcd),
            apiserver_program,
            flags: Mutex::default(),
            kubectl,
            ports,
            credentials,
            ca_pem: String::new(),
            kubeconfig: dir.path().join("admin.kubeconfig"),
            dir,
        };
        if let Err(error) = plane.first_start() {
            // The error message names log files in the folder.
            plane.stop_apiserver();
            lock(&plane.etcd).stop();
            plane.dir.keep();
            return Err(error);
        }
        Ok(plane)
    }

    fn first_start(&mut self) -> Result<(), Error> {
        let deadline = Instant::now() + READY_WITHIN;
        self.spawn_apiserver()?;
        // The certificate exists as soon as the port is open.
        self.wait_until(deadline, || TcpStream::connect((Ipv4Addr::LOCALHOST, self.ports.apiserver)).is_ok())?;
        self.ca_pem = self.credentials.ca_pem()?;
        self.write(&self.kubeconfig, &self.kubeconfig())?;
        self.wait_until(deadline, || self.is_ready())
    }

    /// Stops the API server as a crash would (SIGKILL) and starts it again with the same port and data; returns when it
    /// is ready. Meanwhile connections are refused.
    pub fn restart_apiserver(&self) -> Result<(), Error> {
        self.stop_apiserver();
        self.start_apiserver()
    }

    /// The same, and from now on the API server has these flags beside the usual ones.
    pub fn restart_apiserver_with(&self, flags: &[String]) -> Result<(), Error> {
        *lock(&self.flags) = flags.to_vec();
        self.restart_apiserver()
    }

    /// Stops the API server as a crash would (SIGKILL). It keeps its data and port.
    pub fn stop_apiserver(&self) {
        lock(&self.apiserver).take();
    }

    /// Starts the API server after [`Self::stop_apiserver`] and returns when it is ready.
    pub fn start_apiserver(&self) -> Result<(), Error> {
        self.spawn_apiserver()?;
        self.wait_until(Instant::now() + READY_WITHIN, || self.is_ready())
    }

    /// The folder with all files of this control plane. It is removed with it; tests may put files of their own there.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The URL of the API server.
    #[must_use]
    pub fn server_url(&self) -> String {
        format!("https://{}:{}", Ipv4Addr::LOCALHOST, self.ports.apiserver)
    }

    /// The URL of etcd, whose JSON gateway answers under `/v3`.
    #[must_use]
    pub fn etcd_url(&self) -> String {
        format!("http://{}:{}", Ipv4Addr::LOCALHOST, self.ports.etcd)
    }

    /// The authority of the API server's certificate, as PEM.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// The token of the administrator, who is in `system:masters`.
    #[must_use]
    pub fn admin_token(&self) -> &str {
        self.credentials.admin_token()
    }

    /// The administrator's kubeconfig, self-contained.
    #[must_use]
    pub fn kubeconfig(&self) -> String {
        self.kubeconfig_for(self.admin_token())
    }

    /// The file with the administrator's kubeconfig.
    #[must_use]
    pub fn kubeconfig_path(&self) -> &Path {
        &self.kubeconfig
    }

    /// A kubeconfig for another token, self-contained.
    #[must_use]
    pub fn kubeconfig_for(&self, token: &str) -> String {
        crate::credentials::kubeconfig(&self.server_url(), &self.ca_pem, token)
    }

    /// Writes a kubeconfig for another token to the file `name`.kubeconfig in [`Self::dir`].
    pub fn write_kubeconfig_for(&self, name: &str, token: &str) -> Result<PathBuf, Error> {
        let path = self.dir().join(format!("{name}.kubeconfig"));
        self.write(&path, &self.kubeconfig_for(token))?;
        Ok(path)
    }

    /// A token of the service account `name`, valid for an hour. The account must exist: no controller here creates the
    /// one called `default`.
    pub fn service_account_token(&self, namespace: &str, name: &str) -> Result<String, Error> {
        let token = self.run(&["create", "token", name, "--namespace", namespace])?;
        Ok(token.trim().to_owned())
    }

    /// The kubectl that goes with this API server.
    #[must_use]
    pub fn kubectl_path(&self) -> &Path {
        &self.kubectl
    }

    /// Runs kubectl as the administrator. A refusal is no error but is in the output.
    pub fn kubectl(&self, args: &[&str]) -> Result<Output, Error> {
        kubectl::kubectl(&self.kubeconfig, args)
    }

    /// Runs kubectl as the administrator and returns its output. A refusal is an error with kubectl's message.
    pub fn run(&self, args: &[&str]) -> Result<String, Error> {
        kubectl::checked(&self.kubeconfig, args, "")
    }

    /// Applies manifests (YAML or JSON) as the administrator. A refusal is an error with kubectl's message.
    pub fn apply(&self, manifests: &str) -> Result<String, Error> {
        kubectl::checked(&self.kubeconfig, &["apply", "-f", "-"], manifests)
    }

    fn spawn_apiserver(&self) -> Result<(), Error> {
        let mut apiserver = lock(&self.apiserver);
        if apiserver.is_none() {
            let mut command = apiserver_command(&self.apiserver_program, self.ports, &self.credentials);
            command.args(&*lock(&self.flags));
            *apiserver = Some(Supervised::spawn(&command, &self.dir().join("kube-apiserver.log"))?);
        }
        Ok(())
    }

    /// Whether the API server is ready and the namespace `default`, which it creates a moment later, exists.
    fn is_ready(&self) -> bool {
        ["/readyz", "/api/v1/namespaces/default"].iter().all(|path| {
            let answer = self.kubectl(&["get", "--raw", path, "--request-timeout", "5s"]);
            answer.is_ok_and(|answer| answer.status.success())
        })
    }

    /// Waits for `condition`; fails if a process ends meanwhile.
    fn wait_until(&self, deadline: Instant, condition: impl Fn() -> bool) -> Result<(), Error> {
        loop {
            if let Some(error) = ended("etcd", &mut lock(&self.etcd))? {
                return Err(error);
            }
            let log = match lock(&self.apiserver).as_mut() {
                Some(apiserver) => match ended("kube-apiserver", apiserver)? {
                    Some(error) => return Err(error),
                    None => apiserver.log().to_owned(),
                },
                // It was stopped on purpose meanwhile.
                None => return Ok(()),
            };
            if condition() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let tail = tail(&log);
                return Err(Error::NotReady { program: "kube-apiserver", after: READY_WITHIN, log, tail });
            }
            std::thread::sleep(ASK_EVERY);
        }
    }

    fn write(&self, path: &Path, content: &str) -> Result<(), Error> {
        std::fs::write(path, content).map_err(Error::io("write", path))
    }
}

fn ended(program: &'static str, process: &mut Supervised) -> Result<Option<Error>, Error> {
    let Some(status) = process.try_wait()? else { return Ok(None) };
    let log = process.log().to_owned();
    Ok(Some(Error::Ended { program, status: status.to_string(), tail: tail(&log), log }))
}

/// Ignores poison: a test that panics with the lock leaves nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn etcd_command(program: &Path, ports: Ports, dir: &Path) -> Command {
    let url = |port: u16| format!("http://{}:{port}", Ipv4Addr::LOCALHOST);
    let (client, peer) = (url(ports.etcd), url(ports.etcd_peer));
    let mut command = Command::new(program);
    command
        .arg(format!("--data-dir={}", dir.join("etcd").display()))
        .arg(format!("--listen-client-urls={client}"))
        .arg(format!("--advertise-client-urls={client}"))
        .arg(format!("--listen-peer-urls={peer}"))
        .arg(format!("--initial-advertise-peer-urls={peer}"))
        .arg(format!("--initial-cluster=default={peer}"))
        .arg("--log-level=warn")
        // A single member can elect itself ten times sooner than usual. This saves a second, because the API server
        // then finds etcd ready.
        .arg("--heartbeat-interval=20")
        .arg("--election-timeout=200")
        // The data need not survive a power failure.
        .arg("--unsafe-no-fsync");
    command
}

fn apiserver_command(program: &Path, ports: Ports, credentials: &Credentials) -> Command {
    let flag = |name: &str, path: &Path| format!("--{name}={}", path.display());
    let mut command = Command::new(program);
    command
        .arg(format!("--etcd-servers=http://{}:{}", Ipv4Addr::LOCALHOST, ports.etcd))
        .arg(format!("--secure-port={}", ports.apiserver))
        .arg(format!("--bind-address={}", Ipv4Addr::LOCALHOST))
        // Works on a machine without a network; the endpoints of the service `kubernetes` are not used.
        .arg(format!("--advertise-address={}", Ipv4Addr::LOCALHOST))
        .arg("--endpoint-reconciler-type=none")
        .arg(flag("cert-dir", credentials.cert_dir()))
        .arg(flag("token-auth-file", credentials.tokens()))
        .arg("--authorization-mode=RBAC")
        .arg("--service-account-issuer=https://kubernetes.default.svc")
        .arg(flag("service-account-signing-key-file", credentials.private_key()))
        .arg(flag("service-account-key-file", credentials.public_key()))
        .arg("--service-cluster-ip-range=10.0.0.0/24")
        .arg("--allow-privileged=true")
        // Pods would wait for service accounts that no controller creates.
        .arg("--disable-admission-plugins=ServiceAccount")
        .arg("--profiling=false")
        // Twice the usual, so that tests with thousands of objects meet Rescind's limits and not these.
        .arg("--max-requests-inflight=800")
        .arg("--max-mutating-requests-inflight=400");
    command
}
