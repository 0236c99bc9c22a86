//! From `helm install` to the first removal that is Ready, on an API server that is up. Of a real start two parts are
//! missing: nobody pulls an image and nobody schedules a pod.

use std::time::{Duration, Instant};

use stack::ControlPlane;

use crate::cluster::{Kind, Removal, Namespace};
use crate::common::progress;
use crate::operator::{Operator, Who};
use crate::watching::Watch;

/// The number of the object that is removed first.
pub const FIRST: usize = 0;

pub struct Install {
    /// `helm install` with its CRDs.
    pub helm: Duration,
    /// The operator's process until it is ready: its first start, while the API server still prepares its new kinds.
    pub ready: Duration,
    /// From `kubectl apply` of Secret, tenant and a removal until that is Ready.
    pub first: Duration,
    /// How long that kubectl ran: it knows nothing of this API server yet.
    pub kubectl: Duration,
}

/// Installs the chart into a cluster without it.
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

/// The rest, at a ns that is not connected yet.
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
