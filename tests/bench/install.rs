//! The time from `helm install` until the first removal is Ready, on a running API server. Two parts of a real start
//! are missing: pulling the image and scheduling the pod.

use std::time::{Duration, Instant};

use stack::ControlPlane;

use crate::cluster::{Kind, Namespace, Removal};
use crate::common::progress;
use crate::operator::{Operator, Who};
use crate::watching::Watch;

/// The number of the first object.
pub const FIRST: usize = 0;

pub struct Install {
    /// The time of `helm install`, CRDs included.
    pub helm: Duration,
    /// The time until the operator's process is ready: its first start, while the API server still prepares the new
    /// kinds.
    pub ready: Duration,
    /// The time from `kubectl apply` of Secret, tenant and a removal until the removal is Ready.
    pub first: Duration,
    /// How long that kubectl ran; its discovery cache is empty.
    pub kubectl: Duration,
}

/// Installs the chart; returns how long that took.
pub fn helm(plane: &ControlPlane) -> Duration {
    progress("helm install");
    let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/rescind");
    let home = plane.dir().join("helm");
    let mut helm = std::process::Command::new(stack::binaries::locate("helm").expect("helm"));
    helm.args(["install", "rescind", chart, "--namespace", "rescind-system", "--create-namespace", "--kubeconfig"])
        .arg(plane.kubeconfig_path());
    for folder in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
        helm.env(folder, &home);
    }
    let began = Instant::now();
    let output = helm.output().expect("helm runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    began.elapsed()
}

/// Measures the rest, in a namespace that is not connected yet.
pub async fn measure(ns: &Namespace<'_>, helm: Duration) -> Install {
    progress("the first start and the first removal");
    let mut operator = Operator::start(Who::Rescind, ns).await;
    let ready = operator.ready().await;
    let mut watch = Watch::start(ns.cluster, Kind::UserRoles, ns.name).await;
    let began = Instant::now();
    let mut removal = Removal::Role.manifest(FIRST);
    removal["metadata"]["namespace"] = ns.name.into();
    tokio::task::block_in_place(|| ns.connect(0, &[removal]));
    let kubectl = began.elapsed();
    let first = watch.wait(1).await - began;
    operator.stop();
    Install { helm, ready, first, kubectl }
}
