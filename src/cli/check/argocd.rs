//! Checks of Argo CD, if there is one.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;

use crate::api::{GROUP, crds};
use crate::cli::cluster::Cluster;

use super::codes::HEALTH;
use super::report::Category;

/// Checks whether Argo CD knows when our objects are healthy. None if there is no Argo CD in this namespace.
pub async fn check(cluster: &Cluster, namespace: &str) -> Option<Category> {
    let mut category = Category::new(format!("argo cd in namespace {namespace}"));
    let api: Api<ConfigMap> = Api::namespaced(cluster.client.clone(), namespace);
    let what = format!("get ConfigMap argocd-cm in namespace {namespace}");
    match cluster.find(&what, api.get("argocd-cm")).await {
        Ok(Some(found)) => health(&found, &mut category),
        Ok(None) => return None,
        Err(error) => category.unknown(HEALTH, error.to_string()),
    }
    Some(category)
}

fn health(config: &ConfigMap, category: &mut Category) {
    let data = config.data.clone().unwrap_or_default();
    let has = |kind: &str| {
        let names = [kind, "*"].map(|name| format!("resource.customizations.health.{GROUP}_{name}"));
        // The older form is one text for all kinds.
        let together = data.get("resource.customizations").is_some_and(|all| all.contains(&format!("{GROUP}/{kind}")));
        together || names.iter().any(|name| data.contains_key(name))
    };
    let kinds = crds().into_iter().map(|crd| crd.definition.spec.names.kind);
    let missing: Vec<String> = kinds.filter(|kind| !has(kind)).collect();
    if missing.is_empty() {
        category.fine(HEALTH, "argocd-cm has the health scripts");
    } else {
        let text = format!("argocd-cm has no health script for {}: they are Healthy at once", missing.join(", "));
        category.look(HEALTH, text, "merge the ConfigMap of the chart (argocd.enabled=true) into argocd-cm");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::check::report::Sign;

    fn sign(keys: &[&str], value: &str) -> Sign {
        let data = keys.iter().map(|key| ((*key).to_owned(), value.to_owned())).collect();
        let mut category = Category::new("");
        health(&ConfigMap { data: Some(data), ..ConfigMap::default() }, &mut category);
        category.lines[0].sign
    }

    #[test]
    fn scripts_may_be_written_in_three_ways() {
        assert_eq!(sign(&[], ""), Sign::Look);
        assert_eq!(
            sign(&["resource.customizations.health.rescind.dev_UserRoleRevocation"], "x"),
            Sign::Look,
            "one of six"
        );
        assert_eq!(sign(&["resource.customizations.health.rescind.dev_*"], "x"), Sign::Fine);
        let kinds: Vec<String> =
            crds().iter().map(|crd| format!("rescind.dev/{}:", crd.definition.spec.names.kind)).collect();
        assert_eq!(sign(&["resource.customizations"], &kinds.join("\n")), Sign::Fine);
    }
}
