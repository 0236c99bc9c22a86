//! The keys for argocd-cm hold the unchanged scripts for every kind.

use serde_json::Value;

use crate::helm::{objects, of_kind, only, root};

/// That Argo CD accepts them is tested in tests/argocd.
#[test]
fn every_kind_has_its_health_and_actions() {
    assert!(of_kind(&objects(&[]), "ConfigMap").is_empty(), "only where Argo CD is");
    let sets = ["argocd.enabled=true", "argocd.namespace=gitops", "argocd.labels.team=platform"];
    let objects = objects(&sets);
    let part = only(&objects, "ConfigMap");
    assert_eq!(
        (&part["metadata"]["namespace"], &part["metadata"]["labels"]["team"]),
        (&"gitops".into(), &"platform".into())
    );
    let data = part["data"].as_object().unwrap();
    let folder = root().join("charts/rescind/files/argocd");
    for crd in rescind::api::crds() {
        let kind = crd.definition.spec.names.kind;
        let script = |path: &str| std::fs::read_to_string(folder.join(path)).unwrap();
        let key = |what: &str| data[&format!("resource.customizations.{what}.rescind.dev_{kind}")].as_str().unwrap();
        assert_eq!(key("health").trim(), script("health.lua").trim(), "{kind}");
        let actions: Value = serde_saphyr::from_str(key("actions")).unwrap();
        assert_eq!(actions["discovery.lua"].as_str().unwrap().trim(), script("actions/discovery.lua").trim());
        let definitions = actions["definitions"].as_array().unwrap();
        for action in definitions {
            let text = script(&format!("actions/{}/action.lua", action["name"].as_str().unwrap()));
            assert_eq!(action["action.lua"].as_str().unwrap().trim(), text.trim(), "{kind}");
        }
        // A tenant has no `reconcile`.
        assert_eq!(definitions.len(), if kind.ends_with("Tenant") { 2 } else { 3 }, "{kind}");
    }
    assert_eq!(data.len(), 2 * rescind::api::crds().len());
}
