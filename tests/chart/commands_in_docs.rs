//! The commands of the pages that install, upgrade and remove, one after the other as they stand there, on a control
//! plane of their own. (kubectl's plugin: tests/cli/commands_in_docs.rs; which test runs what: tests/docs/shell.rs.)

use std::fs;

use crate::cluster::{Controller, client, start, within};
use crate::helm::{helm, root, said};
use crate::manifests_in_docs::blocks;

const CHART: &str = "charts/rescind/README.md";

/// By page and begin; every command of the page that begins so.
const STEPS: [(&str, &str); 16] = [
    ("README.md", "kubectl create namespace "),
    ("README.md", "helm install "),
    ("docs/leavers.md", "kubectl apply -f examples/leaver/plain"),
    ("docs/leavers.md", "kubectl apply -k "),
    ("docs/leavers.md", "helm upgrade "),
    ("docs/argocd.md", "helm upgrade "),
    ("docs/audit.md", "helm upgrade "),
    ("docs/hired-again.md", "kubectl "),
    (CHART, "helm upgrade "),
    (CHART, "helm uninstall "),
    (CHART, "kubectl delete crd "),
    (CHART, "helm install "),
    (CHART, "helm uninstall "),
    (CHART, "kubectl delete crd "),
    (CHART, "helm template "),
    ("README.md", "cargo run --release -- crds "),
];

/// The commands of a page that begin so; one may go on on the next line.
fn commands(page: &str, begin: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(page)).unwrap();
    let blocks = blocks(&text, "sh").join("").replace("\\\n", "");
    let found: Vec<String> = blocks.lines().filter(|line| line.starts_with(begin)).map(str::to_owned).collect();
    assert!(!found.is_empty(), "{page}: {begin}");
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_the_pages_install_can_be_installed_so() {
    let plane = start();
    let _controller = Controller::start(client(&plane).await);
    plane.run(&["create", "namespace", "argocd"]).unwrap();
    let helm = helm(&[]);
    let folders = helm.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
    let folders: Vec<_> = folders.collect();
    let programs = [plane.kubectl_path(), helm.get_program().as_ref()].map(|path| path.parent().unwrap().to_owned());
    let path = std::env::var_os("PATH").unwrap();
    let path = std::env::join_paths(programs.into_iter().chain(std::env::split_paths(&path))).unwrap();
    for command in STEPS.iter().flat_map(|(page, begin)| commands(page, begin)) {
        // The program is there already.
        let script = command.replace("cargo run --release --", env!("CARGO_BIN_EXE_rescind"));
        let mut shell = tokio::process::Command::new("sh");
        shell.args(["-ec", &script]).current_dir(root()).envs(folders.clone());
        shell.env("PATH", &path).env("KUBECONFIG", plane.kubeconfig_path());
        let output = within(&command, shell.output()).await.unwrap();
        said(output).unwrap_or_else(|refusal| panic!("{command}: {refusal}"));
    }
}
