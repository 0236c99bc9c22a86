//! The whole stack as one value, for the demo and `make up`: a control plane, the fake Auth0 with a seeded tenant, the
//! operator, and a namespace that is ready for the first removal.

mod fake_auth0;
mod holdings;
mod programs;
mod shell;

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use stack::supervisor::Supervised;
use stack::{ControlPlane, binaries, kubectl};

use crate::failure::{Failure, last_lines};

pub(crate) use fake_auth0::{FakeAuth0, control_of};
pub(crate) use holdings::Holdings;
pub(crate) use programs::repository;
pub(crate) use shell::{Shell, Voice};

/// The administrator's kubeconfig within a playground's folder.
pub(crate) const KUBECONFIG: &str = "kubeconfig";
/// How far ahead `${SOON}` is: long enough for a slow machine to show that the removal waits.
const SOON: Duration = Duration::from_secs(6);
/// The log of the operator, in the same folder.
pub(crate) const OPERATOR_LOG: &str = "operator.log";

/// Builds what is missing. The first time this takes minutes and is announced on standard error, so it comes before
/// everything else.
pub(crate) fn prepare() -> Result<(), Failure> {
    for program in ["etcd", "kube-apiserver", "kubectl"] {
        binaries::locate(program)?;
    }
    programs::folder().map(drop)
}

/// The running stack. It ends when this value is dropped and when this process ends in any way.
#[derive(Debug)]
pub(crate) struct Playground {
    // Dropped in this order, so that each process ends before those it depends on.
    operator: Supervised,
    pub(crate) fake: FakeAuth0,
    _plane: ControlPlane,
    pub(crate) shell: Shell,
    dir: PathBuf,
}

impl Playground {
    /// Starts everything, with its files in `dir`, and waits until it is ready.
    pub(crate) fn start(dir: &Path, voice: Voice) -> Result<Self, Failure> {
        let (programs, kubectl) = (programs::folder()?, kubectl::path()?);
        let kubeconfig = dir.join(KUBECONFIG);
        let plugins = plugins(dir, &programs)?;
        let shell = Shell::new(voice, &[kubectl.parent().unwrap_or(dir), &programs, &plugins], &kubeconfig);

        shell.step("Start a Kubernetes API server with its etcd, on this machine only")?;
        let plane = ControlPlane::start()?;
        write_private(&kubeconfig, &plane.kubeconfig())?;
        shell.note(&format!("$ export KUBECONFIG={}", kubeconfig.display()))?;

        shell.step("Start a fake Auth0: HTTPS, a certificate authority of its own, a tenant with four people")?;
        let fake = FakeAuth0::start(dir, &shell)?;

        shell.step("Install the CRDs and start the operator; it may talk to the fake Auth0 only")?;
        shell.run("rescind crds | kubectl apply --server-side -f -")?;
        shell.run("kubectl wait --for=condition=Established crd --all --timeout=30s >/dev/null")?;
        let operator = shell.start(&operator(fake.domain()), &dir.join(OPERATOR_LOG))?;

        let mut playground = Self { operator, fake, _plane: plane, shell, dir: dir.to_owned() };
        playground.connect().map_err(|failure| playground.explain(failure))?;
        Ok(playground)
    }

    /// Adds to a failure whether the operator runs and the end of its log. Call it before dropping this value, which
    /// ends the operator.
    pub(crate) fn explain(&mut self, failure: Failure) -> Failure {
        let state = match self.operator.try_wait() {
            Ok(Some(status)) => format!("has ended ({status})"),
            Ok(None) | Err(_) => "still runs".to_owned(),
        };
        Failure::WithLog { failure: Box::new(failure), state, lines: last_lines(self.operator.log()) }
    }

    /// Creates the namespace and connects it to the tenant.
    fn connect(&self) -> Result<(), Failure> {
        let shell = &self.shell;
        shell.step(
            "Connect a namespace to the tenant: a Secret with the credentials of an application, and an Auth0Tenant",
        )?;
        shell.run("kubectl create namespace identity")?;
        let value = |key: &str, value: &str| {
            let path = self.dir.join(key);
            write_private(&path, value).map(|()| format!("--from-file={key}={}", path.display()))
        };
        let application =
            [value("clientId", fake_auth0::CLIENT_ID)?, value("clientSecret", fake_auth0::CLIENT_SECRET)?];
        self.create_secret("auth0-management", &application.join(" "))?;
        shell.run("cat tests/stack/demo/tenant.yaml")?;
        shell.run(&format!("kubectl apply -f {}", self.fill_in("tenant.yaml")?.display()))?;
        shell.run("kubectl wait --for=condition=Ready auth0tenant/default -n identity --timeout=30s")
    }

    /// Creates a Secret with the token in a file, and labels it so that the operator may read it.
    pub(crate) fn put_secret(&self, name: &str, token: &Path) -> Result<(), Failure> {
        self.create_secret(name, &format!("--from-file=token={}", token.display()))
    }

    fn create_secret(&self, name: &str, values: &str) -> Result<(), Failure> {
        self.shell.run(&format!("kubectl create secret generic {name} -n identity {values}"))?;
        self.shell.run(&format!("kubectl label secret {name} -n identity rescind.dev/credentials=true"))
    }

    /// Creates a token with these scopes and returns the file with it.
    pub(crate) fn new_token(&self, name: &str, scopes: &[&str]) -> Result<PathBuf, Failure> {
        let path = self.dir.join(name);
        write_private(&path, &self.fake.token(scopes)?)?;
        Ok(path)
    }

    /// A path in the folder of the stack.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Fills the domain, the authority's certificate and a time a few seconds ahead into a manifest of the demo;
    /// returns the path of the result.
    pub(crate) fn fill_in(&self, manifest: &str) -> Result<PathBuf, Failure> {
        let read = |path: &Path| fs::read_to_string(path).map_err(Failure::io("read", path));
        let template = read(&repository().join("tests/stack/demo").join(manifest))?;
        let ca_bundle = BASE64.encode(read(&self.dir.join("ca.pem"))?);
        let soon = Timestamp::from_second((Timestamp::now() + SOON).as_second()).unwrap_or(Timestamp::MAX);
        let filled = template.replace("${DOMAIN}", self.fake.domain()).replace("${CA_BUNDLE}", &ca_bundle);
        let filled = filled.replace("${SOON}", &format!("{:?}", soon.to_string()));
        let path = self.dir.join(manifest);
        write_private(&path, &filled)?;
        Ok(path)
    }

    /// Fails if the operator or the fake Auth0 has ended.
    pub(crate) fn check(&mut self) -> Result<(), Failure> {
        if let Some(status) = self.fake.ended()? {
            return Err(Failure::Ended { program: "fake-auth0", status });
        }
        match self.operator.try_wait()? {
            Some(status) => Err(Failure::Ended { program: "rescind", status: status.to_string() }),
            None => Ok(()),
        }
    }
}

/// A folder in which kubectl finds the operator's program as its plugin.
fn plugins(dir: &Path, programs: &Path) -> Result<PathBuf, Failure> {
    let folder = dir.join("plugins");
    fs::create_dir_all(&folder).map_err(Failure::io("make", &folder))?;
    let plugin = folder.join("kubectl-rescind");
    std::os::unix::fs::symlink(programs.join("rescind"), &plugin).map_err(Failure::io("make", &plugin))?;
    Ok(folder)
}

fn operator(domain: &str) -> Command {
    let mut command = Command::new("rescind");
    command.args(["run", "--allowed-domains", domain, "--log-format", "text"]);
    // The default ports may be in use on this machine, and an election with one replica would only take time.
    command.args(["--health-probe-bind-address", "0"]);
    command.env("RESCIND_METRICS_BIND_ADDRESS", "0").env("RESCIND_LEADER_ELECT", "false");
    // Everything is on loopback, which no proxy reaches.
    command.env("NO_PROXY", "localhost,127.0.0.1");
    command
}

/// Writes a file that only its owner may read, because a kubeconfig and a token are credentials.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<(), Failure> {
    let file = fs::OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(Failure::io("write", path))
}
