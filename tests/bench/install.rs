//! From `helm install` to the first removal that is Ready, on an API server that is up. Of a real start two parts are
//! missing: nobody pulls an image and nobody schedules a pod.

use std::time::{Duration, Instant};

use kube::api::DeleteParams;
use kube::runtime::wait::{await_condition, conditions};
use stack::ControlPlane;

use crate::handover::HANDOVERS;
use crate::load::Finished;
use crate::operator::Operator;
use crate::progress;
use crate::world::{NAMESPACE, World, manifest, name};

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

/// The rest, on a fresh world. It leaves no object and no call.
pub async fn measure(world: &World<'_>, helm: Duration) -> Install {
    progress("the first start and the first removal");
    let (operator, ready) = Operator::start(world.plane, world.fake.domain(), NAMESPACE).await;
    let mut finished = Finished::count(world.api(NAMESPACE)).await;
    let began = Instant::now();
    let number = world.spare(HANDOVERS);
    let removal = manifest(NAMESPACE, number);
    tokio::task::block_in_place(|| world.connect(&removal));
    let kubectl = began.elapsed();
    let first = finished.wait(1).await - began;
    operator.stop();
    let api = world.api(NAMESPACE);
    let removal = api.delete(&name(number), &DeleteParams::default()).await.expect("there is one");
    if let Some(uid) = removal.left().and_then(|removal| removal.metadata.uid) {
        await_condition(api, &name(number), conditions::is_deleted(&uid)).await.expect("it goes");
    }
    world.fake.reset_calls();
    Install { helm, ready, first, kubectl }
}
