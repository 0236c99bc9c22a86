//! The ApplicationSets of `examples/leaver/argocd`, from a git repository to the removals in the cluster.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::application::Application;
use crate::harness::{Environment, plane};
use crate::helm::{documents, helm, id, said};
use crate::processes::argocd;
use crate::repository::Repository;

const PEOPLE: [&str; 2] = ["jane-doe", "li-wei"];

/// In a year that no run of this test sees, so that nothing depends on the day.
fn later(text: &str) -> String {
    text.replace("2026-12-18T17:00:00+01:00", "2998-01-01T00:00:00Z").replace("2027-01-31T", "2999-01-31T")
}

/// Applies the ApplicationSet of this file for the namespace of `env`, and waits until both Applications are synced.
async fn synced(env: &Environment, repository: &Repository, file: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/leaver/argocd");
    let set = std::fs::read_to_string(folder.join(file)).unwrap();
    let set = set
        .replace("https://git.example.com/identity.git", &repository.url())
        .replace("namespace: identity", &format!("namespace: {}", env.namespace))
        .replace("name: leavers", &format!("name: {}", env.namespace))
        .replace("leaver-{{", &format!("{}-{{{{", env.namespace));
    plane().apply(&set).unwrap();
    for person in PEOPLE {
        let name = format!("{}-{person}", env.namespace);
        let application = Application::watch(argocd().await, &env.client, &name);
        let done =
            |status: &Value| status["sync"]["status"] == "Synced" && status["operationState"]["phase"] == "Succeeded";
        application.wait("synced", done).await;
    }
}

/// The names of all removals in the namespace.
fn removals(env: &Environment) -> BTreeSet<String> {
    let list = ["get", "urr,upr,omr,omrr", "-n", &env.namespace, "-o", "yaml", "-l", "identity/leaver"];
    let list: Value = serde_saphyr::from_str(&plane().run(&list).unwrap()).unwrap();
    list["items"].as_array().unwrap().iter().map(id).collect()
}

/// Each person gets an Application of its own, from the chart or from the folder of Kustomize.
#[tokio::test(flavor = "multi_thread")]
async fn each_leaver_gets_an_application() {
    let argocd = argocd().await;
    let _controller = argocd.application_sets();
    let (chart, folders) = (Environment::bare("chart").await, Environment::bare("folders").await);
    let repository = Repository::new();
    let here = |text: String| later(&text).replace("namespace: identity", &format!("namespace: {}", folders.namespace));
    repository.copy(Path::new("examples/leaver"), &here);
    repository.commit();
    synced(&chart, &repository, "applicationset-helm.yaml").await;
    synced(&folders, &repository, "applicationset-kustomize.yaml").await;

    let values = repository.path("examples/leaver/helm/leavers.yaml");
    let path = repository.path("examples/leaver/helm/leavers");
    let mut template = helm(&["template", "leavers", path.to_str().unwrap(), "-n", &chart.namespace]);
    let rendered = said(template.arg("-f").arg(values).output().unwrap()).unwrap();
    assert_eq!(removals(&chart), documents(&rendered).iter().map(id).collect());
    let built = PEOPLE.map(|person| {
        let folder = repository.path(&format!("examples/leaver/kustomize/leavers/{person}"));
        documents(&plane().run(&["kustomize", folder.to_str().unwrap()]).unwrap())
    });
    assert_eq!(removals(&folders), built.iter().flatten().map(id).collect());
}
