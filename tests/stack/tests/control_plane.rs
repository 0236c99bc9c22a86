//! The control plane: a real API server that validates, defaults and refuses, survives a crash, and leaves nothing
//! behind.

#![allow(clippy::unwrap_used)]

mod support;

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{LazyLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use stack::ControlPlane;

use support::processes_of;

/// One for all tests. It is never dropped, so it must end with this process.
static PLANE: LazyLock<ControlPlane> = LazyLock::new(|| {
    let plane = ControlPlane::start().unwrap();
    let resource = plane.apply(WIDGETS).unwrap();
    assert!(resource.contains("created"), "{resource}");
    plane.run(&["wait", "--for=condition=Established", "crd/widgets.example.com", "--timeout=30s"]).unwrap();
    plane
});

/// Locked for reading by tests that use the API server, for writing by the test that stops it.
static IN_USE: RwLock<()> = RwLock::new(());

const WIDGETS: &str = r#"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Widget, plural: widgets}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            required: [size]
            properties:
              size: {type: integer}
            x-kubernetes-validations:
            - {rule: self.size == oldSelf.size, message: size stays what it was}
          status:
            type: object
            default: {observedGeneration: -1}
            properties:
              observedGeneration: {type: integer}
"#;

fn widget(name: &str, size: &str) -> String {
    format!("apiVersion: example.com/v1\nkind: Widget\nmetadata: {{name: {name}}}\nspec: {{size: {size}}}\n")
}

#[test]
fn schemas_rules_and_defaults_work_as_on_any_cluster() {
    let _in_use = IN_USE.read().unwrap_or_else(PoisonError::into_inner);
    PLANE.apply(&widget("one", "1")).unwrap();
    let generation = PLANE.run(&["get", "widget", "one", "-o", "jsonpath={.status.observedGeneration}"]).unwrap();
    assert_eq!(generation, "-1");

    let refusal = PLANE.apply(&widget("one", "2")).unwrap_err().to_string();
    assert!(refusal.contains("size stays what it was"), "{refusal}");
    let refusal = PLANE.apply(&widget("two", "many")).unwrap_err().to_string();
    assert!(refusal.contains("must be of type integer"), "{refusal}");
}

#[test]
fn who_was_granted_nothing_is_refused_and_a_role_is_enough() {
    let _in_use = IN_USE.read().unwrap_or_else(PoisonError::into_inner);
    PLANE.run(&["create", "serviceaccount", "viewer"]).unwrap();
    let token = PLANE.service_account_token("default", "viewer").unwrap();
    let viewer = PLANE.write_kubeconfig_for("viewer", &token).unwrap();
    let refused = stack::kubectl(&viewer, &["get", "widgets"]).unwrap();
    let words = String::from_utf8(refused.stderr).unwrap();
    assert!(words.contains("system:serviceaccount:default:viewer") && words.contains("Forbidden"), "{words}");

    PLANE.run(&["create", "role", "reader", "--verb=list", "--resource=widgets.example.com"]).unwrap();
    PLANE.run(&["create", "rolebinding", "reader", "--role=reader", "--serviceaccount=default:viewer"]).unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while !stack::kubectl(&viewer, &["get", "widgets"]).unwrap().status.success() {
        assert!(Instant::now() < deadline, "the role does not take effect");
    }
}

#[test]
fn the_server_knows_its_version_and_the_kubeconfig_is_complete_in_itself() {
    let _in_use = IN_USE.read().unwrap_or_else(PoisonError::into_inner);
    let version = PLANE.run(&["version", "-o", "json"]).unwrap();
    let version: serde_json::Value = serde_json::from_str(&version).unwrap();
    assert_eq!(version["serverVersion"]["gitVersion"], version["clientVersion"]["gitVersion"]);
    assert_eq!(version["serverVersion"]["major"], "1");
    assert!(PLANE.kubeconfig().contains(&PLANE.server_url()));
    assert_eq!(PLANE.ca_pem().matches("BEGIN CERTIFICATE").count(), 1);
}

#[test]
fn a_crashed_server_comes_back_with_its_data_and_its_address() {
    let _in_use = IN_USE.write().unwrap_or_else(PoisonError::into_inner);
    PLANE.apply(&widget("survivor", "3")).unwrap();
    PLANE.stop_apiserver();
    let refused = PLANE.run(&["get", "widget", "survivor"]).unwrap_err().to_string();
    assert!(refused.contains("refused"), "{refused}");
    PLANE.start_apiserver().unwrap();
    let size = PLANE.run(&["get", "widget", "survivor", "-o", "jsonpath={.spec.size}"]).unwrap();
    assert_eq!(size, "3");
}

#[test]
fn nothing_outlives_an_owner_that_is_killed() {
    let mut owner = Owner::start();
    let dir = owner.kubeconfig.parent().unwrap().to_owned();
    let name = dir.to_str().unwrap();
    let processes = processes_of(name);
    // etcd and kube-apiserver, a supervisor and its watcher for each, and the remover of the folder.
    assert!(processes.len() >= 5, "{processes:?}");

    owner.process.kill().unwrap();
    assert_eq!(owner.process.wait().unwrap().signal(), Some(9));

    let deadline = Instant::now() + Duration::from_secs(10);
    while dir.exists() || !processes_of(name).is_empty() {
        assert!(Instant::now() < deadline, "left behind: {:?} {}", processes_of(name), dir.exists());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A process that owns a control plane: the command line.
struct Owner {
    process: Child,
    kubeconfig: PathBuf,
}

impl Owner {
    fn start() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stack"));
        let mut process = command.arg("control-plane").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let kubeconfig = line.trim().strip_prefix("export KUBECONFIG=").unwrap().into();
        Self { process, kubeconfig }
    }
}
