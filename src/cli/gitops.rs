//! Whether a tool keeps objects as they are in Git, and so may take back what a person changes in the cluster. Pure.

use std::collections::BTreeSet;

use kube::core::ObjectMeta;

/// A tool that applies objects from Git.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tool {
    /// Argo CD.
    ArgoCd,
    /// Flux.
    Flux,
}

/// Marks that the tools leave: the beginnings of labels and annotations, and of field managers.
const MARKS: [(Tool, &str); 6] = [
    (Tool::ArgoCd, "argocd.argoproj.io/"),
    (Tool::ArgoCd, "argocd-"),
    (Tool::Flux, "kustomize.toolkit.fluxcd.io/"),
    (Tool::Flux, "helm.toolkit.fluxcd.io/"),
    (Tool::Flux, "kustomize-controller"),
    (Tool::Flux, "helm-controller"),
];

/// The tool that applies the object with this metadata, if it shows.
fn tool(meta: &ObjectMeta) -> Option<Tool> {
    let keys = [&meta.labels, &meta.annotations].into_iter().flatten().flat_map(|all| all.keys());
    let managers = meta.managed_fields.iter().flatten().filter_map(|entry| entry.manager.as_ref());
    let names: Vec<&String> = keys.chain(managers).collect();
    MARKS.iter().find(|(_, mark)| names.iter().any(|name| name.starts_with(mark))).map(|(tool, _)| *tool)
}

/// What becomes of a change to `fields` of these objects, for users.
pub fn advice<'a>(objects: impl Iterator<Item = &'a ObjectMeta>, fields: &str) -> String {
    let tools: BTreeSet<Tool> = objects.filter_map(tool).collect();
    let who = match (tools.contains(&Tool::ArgoCd), tools.contains(&Tool::Flux)) {
        (true, true) => "Argo CD and Flux apply these objects and may take it back".to_owned(),
        (true, false) => "Argo CD applies these objects; if Git names the field, self-heal takes it back".to_owned(),
        (false, true) => "Flux applies these objects and takes it back at its next reconciliation".to_owned(),
        (false, false) => "Tools that apply these objects from Git may take it back".to_owned(),
    };
    format!("{who}: make the same change to {fields} in Git (docs/gitops.md#stop-by-hand).")
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;

    use super::*;

    #[test]
    fn tools_leave_marks() {
        let label = |name: &str| ObjectMeta {
            labels: Some([(name.to_owned(), "x".to_owned())].into()),
            ..ObjectMeta::default()
        };
        let by = |name: &str| ObjectMeta {
            managed_fields: Some(vec![ManagedFieldsEntry { manager: Some(name.to_owned()), ..Default::default() }]),
            ..ObjectMeta::default()
        };
        assert_eq!(tool(&label("kustomize.toolkit.fluxcd.io/name")), Some(Tool::Flux));
        assert_eq!(tool(&by("argocd-controller")), Some(Tool::ArgoCd));
        assert_eq!((tool(&by("kubectl")), tool(&ObjectMeta::default())), (None, None));
        let both = [label("helm.toolkit.fluxcd.io/name"), by("argocd-controller")];
        assert!(advice(both.iter(), "spec.hold").starts_with("Argo CD and Flux"));
    }
}
