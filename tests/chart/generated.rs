//! Generated files: the chart's CRDs, its README and schema, and the kustomize base.
//!
//! `make chart` writes them; these tests compare them.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use stack::ControlPlane;

use crate::cluster;
use crate::helm::{NAMESPACE, chart, documents, id, objects, of_kind, root};
use crate::readme::{between_marks, described, documented, tables};
use crate::rendered::plain;

fn up_to_date(path: PathBuf, expected: &str) {
    crate::generated_file::assert_up_to_date(path, expected, "chart");
}

/// One test, because each file is generated from the one before.
#[test]
fn generated_files_are_up_to_date() {
    // Helm reads only files inside the chart, hence a copy of crds/.
    let folder = chart().join("files/crds");
    let crds = rescind::api::crds();
    for crd in &crds {
        up_to_date(folder.join(&crd.file), &fs::read_to_string(root().join("crds").join(&crd.file)).unwrap());
    }
    assert_eq!(fs::read_dir(&folder).unwrap().count(), crds.len(), "one file a kind");

    let values = documented(&fs::read_to_string(chart().join("values.yaml")).unwrap());
    let path = chart().join("values.schema.json");
    let schema: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    let schema = described(schema, &values);
    up_to_date(path, &format!("{schema:#}\n"));
    let defaults = crate::older_values::defaults(&schema, &values);
    up_to_date(chart().join("files/defaults.json"), &format!("{defaults:#}\n"));
    let path = chart().join("README.md");
    let readme = fs::read_to_string(&path).unwrap();
    up_to_date(path, &between_marks(&readme, &tables(&values)));

    let path = chart().join("Chart.yaml");
    let changelog = fs::read_to_string(root().join("CHANGELOG.md")).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    up_to_date(path, &crate::artifact_hub::chart_yaml(&text, &changelog));

    let objects = objects(&["crds.enabled=false"]).into_iter().map(without_helm);
    let text: String = objects.map(|object| format!("---\n{}", yaml(&object))).collect();
    let path = root().join("config/rescind.yaml");
    up_to_date(path, &format!("# Written by `make chart` from charts/rescind.\n{text}"));

    let files: String = crds.iter().map(|crd| format!("  - {}\n", crd.file)).collect();
    let head = "# Written by `make chart`. The name has no extension, so that `kubectl apply -f crds/` leaves it out.\n\
        apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n";
    up_to_date(root().join("crds/Kustomization"), &format!("{head}{files}"));
}

/// The object without the labels and annotations that say it is managed by Helm.
fn without_helm(mut object: Value) -> Value {
    for pointer in ["/metadata", "/spec/template/metadata"] {
        let Some(meta) = object.pointer_mut(pointer).and_then(Value::as_object_mut) else { continue };
        for field in ["labels", "annotations"] {
            let Some(map) = meta.get_mut(field).and_then(Value::as_object_mut) else { continue };
            map.retain(|key, _| !key.contains("helm.sh/") && key != "app.kubernetes.io/managed-by");
            if map.is_empty() {
                meta.remove(field);
            }
        }
    }
    object
}

/// The definitions in `crds/`.
pub fn crds() -> Vec<Value> {
    let mut files: Vec<_> = rescind::api::crds().into_iter().map(|crd| root().join("crds").join(crd.file)).collect();
    files.sort();
    files.iter().map(|path| serde_saphyr::from_str(&fs::read_to_string(path).unwrap()).unwrap()).collect()
}

fn yaml(object: &Value) -> String {
    serde_saphyr::to_string(object).unwrap()
}

/// `kubectl apply -k config` installs the same as the chart, plus a namespace. Its CRDs are those of `crds/`, without
/// the chart's labels.
#[test]
fn the_kustomize_base_renders_the_same() {
    let folder = root().join("config");
    let text = cluster::shared().run(&["kustomize", folder.to_str().unwrap()]).unwrap();
    let mut built = documents(&text);
    let namespace = built.iter().position(|object| object["kind"] == "Namespace").expect("its namespace");
    assert_eq!(built.remove(namespace)["metadata"]["name"], NAMESPACE);
    let mut expected: Vec<Value> = objects(&["crds.enabled=false"]).into_iter().map(without_helm).collect();
    expected.extend(crds());
    built.sort_by_key(id);
    expected.sort_by_key(id);
    assert_eq!(built.iter().map(plain).collect::<Vec<_>>(), expected.iter().map(plain).collect::<Vec<_>>());
}

/// An overlay can choose another namespace, because the base names its namespace only where kustomize replaces it.
#[test]
fn an_overlay_moves_the_base_to_another_namespace() {
    let overlay = tempfile::tempdir().unwrap();
    // kustomize accepts no absolute path, so this is a relative one by way of the root.
    let here = overlay.path().canonicalize().unwrap();
    let up = "../".repeat(here.components().count() - 1);
    let base = format!("{up}{}", root().join("config").strip_prefix("/").unwrap().display());
    let kustomization = json!({"namespace": "elsewhere", "resources": [base]});
    fs::write(overlay.path().join("kustomization.yaml"), kustomization.to_string()).unwrap();
    let text = cluster::shared().run(&["kustomize", overlay.path().to_str().unwrap()]).unwrap();
    assert!(!text.contains(NAMESPACE), "still there: {text}");
    let built = documents(&text);
    assert_eq!(of_kind(&built, "Namespace")[0]["metadata"]["name"], "elsewhere");
    accepted(cluster::shared(), "elsewhere", &text);
}

fn accepted(plane: &ControlPlane, namespace: &str, text: &str) {
    cluster::namespace(plane, namespace);
    let file = plane.dir().join(format!("{namespace}.yaml"));
    fs::write(&file, text).unwrap();
    let args = ["apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", file.to_str().unwrap()];
    plane.run(&args).expect("the API server takes it");
}
