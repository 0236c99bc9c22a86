//! Argo CD as plain processes instead of pods: its controller, repository server, API server, and a redis.

use std::ffi::OsString;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::json;
use stack::ControlPlane;
use stack::binaries::{locate, source};
use stack::supervisor::{OwnedDir, Supervised};

use crate::harness::plane;
use crate::helm::{objects, only};

/// The namespace of Argo CD and its Applications.
pub const NAMESPACE: &str = "argocd";

/// The kubeconfig, in the working folder of the processes.
const KUBECONFIG: &str = "kubeconfig";

/// The time until its processes must answer.
const READY_WITHIN: Duration = Duration::from_secs(120);

/// A running Argo CD with the chart's scripts.
pub struct ArgoCd {
    processes: Vec<Supervised>,
    /// The URL of its API server.
    pub url: String,
    /// The address of its repository server.
    repositories: String,
    dir: OwnedDir,
}

/// The one Argo CD of the run, on the run's control plane.
pub async fn argocd() -> &'static ArgoCd {
    static ARGOCD: OnceLock<ArgoCd> = OnceLock::new();
    let argocd = tokio::task::spawn_blocking(|| ARGOCD.get_or_init(|| ArgoCd::start(plane()))).await.unwrap();
    argocd.ready().await;
    argocd
}

impl ArgoCd {
    fn start(plane: &ControlPlane) -> Self {
        configure(plane);
        let dir = OwnedDir::temporary("rescind-argocd-").unwrap();
        let [redis, repository, server] = stack::ports::free().unwrap();
        let [redis_at, repository_at] = [redis, repository].map(|port| format!("127.0.0.1:{port}"));
        let kubeconfig = dir.path().join(KUBECONFIG);
        // Argo CD looks for its settings in the current namespace.
        std::fs::write(&kubeconfig, plane.kubeconfig()).unwrap();
        let mut kubectl = Command::new(locate("kubectl").unwrap());
        kubectl.args(["config", "set-context", "--current", "--namespace", NAMESPACE]).env("KUBECONFIG", &kubeconfig);
        assert!(kubectl.output().unwrap().status.success());

        let mut miniredis = Command::new(locate("miniredis").unwrap());
        miniredis.arg(&redis_at);
        let common = ["--redis", &redis_at, "--loglevel", "warn", "--metrics-port", "0"];
        let mut repositories = program("argocd-repo-server", dir.path());
        repositories.env("PATH", renderers(dir.path()));
        repositories.args(common).args(["--address", "127.0.0.1", "--port", &repository.to_string(), "--disable-tls"]);
        let cluster = ["--repo-server", &repository_at, "--repo-server-plaintext", "--namespace", NAMESPACE];
        let mut controller = program("argocd-application-controller", dir.path());
        controller.args(common).args(cluster);
        // With the health of each object stored in the Application, the tests can see it. The delay shortens the sync
        // waves.
        controller.arg("--persist-resource-health").env("ARGOCD_SYNC_WAVE_DELAY", "1");
        let mut api = program("argocd-server", dir.path());
        api.args(common).args(cluster);
        api.args(["--address", "127.0.0.1", "--port", &server.to_string(), "--insecure", "--disable-auth"]);

        let named = [("redis", miniredis), ("repo-server", repositories), ("controller", controller), ("server", api)];
        let start =
            |(name, command): (&str, Command)| Supervised::spawn(&command, &dir.path().join(format!("{name}.log")));
        let processes = named.map(start).into_iter().collect::<Result<_, _>>().unwrap();
        Self { processes, url: format!("http://127.0.0.1:{server}"), repositories: repository_at, dir }
    }

    /// Starts the controller of ApplicationSets, which ends when it is dropped.
    pub fn application_sets(&self) -> Supervised {
        let mut controller = program("argocd-applicationset-controller", self.dir.path());
        controller.args(["--argocd-repo-server", &self.repositories, "--repo-server-plaintext"]);
        controller.args(["--namespace", NAMESPACE, "--loglevel", "warn"]);
        controller.args(["--metrics-addr", "0", "--probe-addr", "0", "--webhook-addr", "127.0.0.1:0"]);
        Supervised::spawn(&controller, &self.dir.path().join("applicationsets.log")).unwrap()
    }

    /// Polls until both API servers answer.
    async fn ready(&self) {
        let started = Instant::now();
        while !reqwest::get(format!("{}/healthz", self.url)).await.is_ok_and(|answer| answer.status().is_success()) {
            assert!(started.elapsed() < READY_WITHIN, "Argo CD does not answer:\n{}", self.logs());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        // While Argo CD lists everything, the API server answers lists of our kinds with 429 for a moment.
        while plane().run(&["get", "rescind", "--all-namespaces"]).is_err() {
            assert!(started.elapsed() < READY_WITHIN, "the API server does not list our kinds");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// The last lines of its logs, for messages of failures.
    pub fn logs(&self) -> String {
        let tail = |process: &Supervised| {
            let text = std::fs::read_to_string(process.log()).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            format!("--- {}\n{}\n", process.log().display(), lines[lines.len().saturating_sub(15)..].join("\n"))
        };
        self.processes.iter().map(tail).collect()
    }

    /// Runs a resource action, as a button of the web interface does.
    pub async fn press(&self, application: &str, namespace: &str, resource: &str, action: &str) {
        let request = json!({
            "name": application, "namespace": namespace, "resourceName": resource, "action": action,
            "group": "rescind.dev", "version": "v1alpha1", "kind": "UserRoleRevocation",
        });
        let url = format!("{}/api/v1/applications/{application}/resource/actions/v2", self.url);
        let answer = reqwest::Client::new().post(url).json(&request).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{action}: {status} {text}\n{}", self.logs());
    }
}

/// A `PATH` with what renders manifests: helm, and the kustomize in kubectl under its own name.
fn renderers(dir: &Path) -> OsString {
    let kubectl = locate("kubectl").unwrap();
    let script = format!("#!/bin/sh\nshift\nexec {} kustomize \"$@\"\n", kubectl.display());
    std::fs::write(dir.join("kustomize"), script).unwrap();
    std::fs::set_permissions(dir.join("kustomize"), Permissions::from_mode(0o755)).unwrap();
    let helm = locate("helm").unwrap();
    let path = std::env::var_os("PATH").unwrap();
    std::env::join_paths(
        [dir, helm.parent().unwrap()].into_iter().map(Path::to_owned).chain(std::env::split_paths(&path)),
    )
    .unwrap()
}

/// All its programs are one binary; this variable selects one.
fn program(name: &str, dir: &Path) -> Command {
    let mut command = Command::new(locate("argocd").unwrap());
    command.env("ARGOCD_BINARY_NAME", name).env("ARGOCD_GPG_ENABLED", "false");
    // The cluster it runs in is the one of the kubeconfig.
    command.env("ARGOCD_FAKE_IN_CLUSTER", "true").env("KUBECONFIG", dir.join(KUBECONFIG));
    let folders = ["ARGOCD_TLS_DATA_PATH", "ARGOCD_SSH_DATA_PATH", "ARGOCD_GNUPGHOME", "ARGOCD_PLUGINSOCKFILEPATH"];
    for variable in folders.into_iter().chain(["HOME", "TMPDIR"]) {
        let folder = dir.join(name).join(variable.to_lowercase());
        std::fs::create_dir_all(&folder).unwrap();
        command.env(variable, folder);
    }
    command
}

/// Installs the manifests of Argo CD, and what the command in docs/argocd.md makes of the chart.
fn configure(plane: &ControlPlane) {
    let source = source("argocd").unwrap();
    let path = |below: &str| source.join(below).to_str().unwrap().to_owned();
    plane.run(&["create", "namespace", NAMESPACE]).unwrap();
    plane.run(&["apply", "--server-side", "-k", &path("manifests/crds")]).unwrap();
    plane.run(&["apply", "-n", NAMESPACE, "-k", &path("manifests/base/config")]).unwrap();
    plane.run(&["wait", "--for=condition=Established", "crd", "--all"]).unwrap();
    let rendered = objects(&["argocd.enabled=true"]);
    plane.apply(&only(&rendered, "ConfigMap").to_string()).unwrap();
    let docs = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/argocd.md")).unwrap();
    let command = docs.lines().skip_while(|line| !line.starts_with("kubectl patch configmap argocd-cm"));
    let command: Vec<&str> = command.take_while(|line| !line.starts_with("```")).collect();
    let kubectl = locate("kubectl").unwrap();
    let path = format!("{}:{}", kubectl.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    shell.args(["-ec", &command.join("\n")]).env("KUBECONFIG", plane.kubeconfig_path()).env("PATH", path);
    assert!(shell.status().unwrap().success(), "{command:?}");
    let project = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject",
        "metadata": {"name": "default", "namespace": NAMESPACE},
        "spec": {
            "sourceRepos": ["*"],
            "destinations": [{"namespace": "*", "server": "*"}],
            "clusterResourceWhitelist": [{"group": "*", "kind": "*"}],
        },
    });
    plane.apply(&project.to_string()).unwrap();
}
