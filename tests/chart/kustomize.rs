//! `config/names` with the real `kubectl kustomize`: new names reach tenants and removals, as docs/gitops.md says.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::cluster::shared;
use crate::helm::{documents, only, root};
use crate::manifests_in_docs::blocks;

/// The blocks of YAML of the section on Kustomize, and the tenant of the README.
fn manifests() -> [String; 3] {
    let page = fs::read_to_string(root().join("docs/gitops.md")).unwrap();
    let section = page.split_once("\n## Kustomize\n").unwrap().1;
    let [kustomization, removal]: [String; 2] = blocks(section, "yaml").try_into().unwrap();
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let tenant = blocks(&readme, "yaml").into_iter().find(|block| block.contains("kind: Auth0Tenant")).unwrap();
    [kustomization, removal, tenant.replace(", namespace: identity", "")]
}

/// What `kubectl kustomize` makes of them.
fn built(kustomization: &str) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let copied = std::process::Command::new("cp")
        .arg("-r")
        .arg(root().join("config/names"))
        .arg(folder.path())
        .status()
        .unwrap();
    assert!(copied.success());
    let [_, removal, tenant] = manifests();
    for (file, text) in [
        ("kustomization.yaml", kustomization),
        ("jane.yaml", &removal),
        ("tenant.yaml", &tenant),
        ("client-id.txt", "an-id"),
        ("client-secret.txt", "a-secret"),
    ] {
        fs::write(folder.path().join(file), text).unwrap();
    }
    documents(&shared().run(&["kustomize", folder.path().to_str().unwrap()]).unwrap())
}

#[test]
fn new_names_reach_what_refers_to_them() {
    let [kustomization, ..] = manifests();
    for (change, before, after) in
        [("namePrefix: prod-", "prod-", ""), ("nameSuffix: -prod", "", "-prod"), ("namePrefix: ''", "", "")]
    {
        let objects = built(&kustomization.replace("namePrefix: prod-", change));
        let secret = only(&objects, "Secret");
        let name = secret["metadata"]["name"].as_str().unwrap();
        // The hash of the content comes last.
        assert!(name.starts_with(&format!("{before}auth0-management{after}-")), "{name}");
        assert_eq!(secret["metadata"]["labels"], crate::fixtures::consent());
        let tenant = only(&objects, "Auth0Tenant");
        assert_eq!(tenant["spec"]["credentials"]["clientCredentialsSecretRef"]["name"], *name);
        assert_eq!(tenant["metadata"]["name"], format!("{before}default{after}"));
        assert_eq!(only(&objects, "UserRoleRevocation")["spec"]["tenantRef"]["name"], tenant["metadata"]["name"]);
    }
    // Without the component they would ask for names that do not exist.
    let objects = built(&kustomization.replace("components: [names]\n", ""));
    assert_eq!(
        only(&objects, "Auth0Tenant")["spec"]["credentials"]["clientCredentialsSecretRef"]["name"],
        "auth0-management"
    );
}

/// Every field of the kinds that names a Secret or a tenant is in the configuration.
#[test]
fn the_component_knows_every_reference() {
    let text = fs::read_to_string(root().join("config/names/name-reference.yaml")).unwrap();
    let configuration: Value = serde_saphyr::from_str(&text).unwrap();
    let specs = configuration["nameReference"].as_array().unwrap().iter();
    let specs = specs.flat_map(|reference| reference["fieldSpecs"].as_array().unwrap());
    let known: BTreeSet<String> =
        specs.map(|spec| format!("{} {}", spec["kind"].as_str().unwrap(), spec["path"].as_str().unwrap())).collect();
    let mut expected = BTreeSet::new();
    for crd in crate::generated::crds() {
        let kind = crd["spec"]["names"]["kind"].as_str().unwrap();
        let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        references(&schema["properties"]["spec"], "spec", &mut |path| {
            expected.insert(format!("{kind} {path}"));
        });
    }
    assert!(expected.len() >= 6, "{expected:?}");
    assert_eq!(known, expected);
}

/// The paths below `path` of the names in fields that end with `Ref`.
fn references(schema: &Value, path: &str, found: &mut impl FnMut(String)) {
    for (key, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}/{key}");
        if key.ends_with("Ref") {
            found(format!("{path}/name"));
        } else {
            references(property, &path, found);
        }
    }
}

/// The pipeline of docs/secrets.md keeps the label.
#[test]
fn a_replaced_secret_keeps_the_consent() {
    let page = fs::read_to_string(root().join("docs/secrets.md")).unwrap();
    let [command]: [String; 1] = blocks(&page, "sh").try_into().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let plane = shared();
    crate::cluster::namespace(plane, "replaced");
    let command = command.replace("-n identity", "-n replaced");
    let path = format!("{}:{}", plane.kubectl_path().parent().unwrap().display(), std::env::var("PATH").unwrap());
    for token in ["old", "new"] {
        fs::write(folder.path().join("token.txt"), token).unwrap();
        let mut shell = std::process::Command::new("sh");
        shell.args(["-ec", &command]).current_dir(folder.path()).env("PATH", &path);
        crate::helm::said(shell.env("KUBECONFIG", plane.kubeconfig_path()).output().unwrap()).unwrap();
    }
    let secret = plane.run(&["get", "secret", "auth0-management", "-n", "replaced", "-o", "json"]).unwrap();
    let secret: Value = serde_json::from_str(&secret).unwrap();
    assert_eq!(
        (&secret["metadata"]["labels"], &secret["data"]["token"]),
        (&crate::fixtures::consent(), &"bmV3".into())
    );
}
