//! Every manifest in the pages: the API server takes it as it stands, under its strict validation.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use stack::ControlPlane;

use crate::cluster::{namespace, start};
use crate::helm::{documents, of_kind, root, stream};

/// The pages for users.
fn pages() -> BTreeMap<String, String> {
    let docs = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let readmes = ["README.md", "charts/rescind/README.md"].map(|path| root().join(path));
    let page = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        (path.strip_prefix(root()).unwrap().display().to_string(), text)
    };
    docs.filter(|path| path.extension().is_some_and(|end| end == "md")).chain(readmes).map(page).collect()
}

/// The code blocks of a language, without the indentation of the list that they stand in.
pub fn blocks(page: &str, language: &str) -> Vec<String> {
    let (mut found, mut open) = (Vec::new(), None::<(usize, Vec<&str>)>);
    for line in page.lines() {
        let text = line.trim_start();
        match open.take() {
            None if text == format!("```{language}") => open = Some((line.len() - text.len(), Vec::new())),
            None => {}
            Some((_, lines)) if text == "```" => found.push(lines.join("\n") + "\n"),
            Some((indent, mut lines)) => {
                lines.push(line.get(indent..).unwrap_or_default());
                open = Some((indent, lines));
            }
        }
    }
    found
}

/// No object of the API server; kubectl builds it in kustomize.rs.
const OF_KUSTOMIZE: &str = "kustomize.config.k8s.io/v1beta1";

/// What an excerpt on a page is put into, by what it begins with.
fn completed(excerpt: &Value) -> Value {
    let tenant = json!({"domain": "acme.eu.auth0.com", "credentials": {"tokenSecretRef": {"name": "t"}}});
    let removal = json!({"userId": "auth0|x", "roles": ["rol_bN1a2b3c4d5e6f7g"]});
    let is_of_tenant = excerpt["spec"].get("rateLimit").is_some();
    let (kind, spec) = if is_of_tenant { ("Auth0Tenant", tenant) } else { ("UserRoleRevocation", removal) };
    let mut whole = json!({"apiVersion": "rescind.dev/v1alpha1", "kind": kind, "spec": spec});
    whole["metadata"] = json!({"name": "excerpt", "namespace": "identity"});
    for part in ["metadata", "spec"] {
        for (key, value) in excerpt[part].as_object().into_iter().flatten() {
            whole[part][key] = value.clone();
        }
    }
    whole
}

/// A control plane with the CRDs of everything that the pages mention.
fn plane() -> ControlPlane {
    let plane = start();
    let mut crds: Vec<PathBuf> = rescind::api::crds().iter().map(|crd| root().join("crds").join(&crd.file)).collect();
    for (module, file) in [
        ("kustomize-controller", "config/crd/bases/kustomize.toolkit.fluxcd.io_kustomizations.yaml"),
        ("external-secrets", "config/crds/bases/external-secrets.io_externalsecrets.yaml"),
        ("sealed-secrets", "helm/sealed-secrets/crds/bitnami.com_sealedsecrets.yaml"),
        ("vault-secrets-operator", "config/crd/bases/secrets.hashicorp.com_vaultstaticsecrets.yaml"),
    ] {
        crds.push(stack::binaries::source(module).expect(module).join(file));
    }
    let files: Vec<&str> = crds.iter().flat_map(|path| ["-f", path.to_str().unwrap()]).collect();
    plane.run(&[&["apply", "--server-side"], &files[..]].concat()).unwrap();
    plane.run(&["wait", "--for=condition=Established", "crd", "--all"]).unwrap();
    for name in ["identity", "flux-system"] {
        namespace(&plane, name);
    }
    plane
}

#[test]
fn the_api_server_takes_every_manifest() {
    let plane = plane();
    let mut taken = 0;
    for (page, text) in pages() {
        for block in blocks(&text, "yaml") {
            for mut object in documents(&block) {
                match object["apiVersion"].as_str() {
                    Some(OF_KUSTOMIZE) => continue,
                    // The settings of SOPS, which have a test below, and rules of the API server's audit policy, which have
                    // theirs in tests/cli/evidence.rs.
                    None if object.get("creation_rules").is_some() || object.is_array() => continue,
                    Some(_) => {}
                    None => object = completed(&object),
                }
                if let Some(map) = object.as_object_mut() {
                    // SOPS takes its own part away when it decrypts.
                    map.remove("sops");
                }
                let file = plane.dir().join("manifest.yaml");
                fs::write(&file, stream([&object])).unwrap();
                let path = file.to_str().unwrap();
                let mut args = vec!["apply", "--dry-run=server", "--validate=strict", "-f", path];
                if object["metadata"]["namespace"].is_null() {
                    args.extend(["-n", "identity"]);
                }
                if let Err(refusal) = plane.run(&args) {
                    panic!("{page}: {refusal}\n{block}");
                }
                taken += 1;
            }
        }
    }
    assert!(taken >= 12, "only {taken}");
}

/// The label is where the program takes it over into the Secret that it makes.
#[test]
fn each_example_of_a_secret_carries_the_consent() {
    let page = fs::read_to_string(root().join("docs/secrets.md")).unwrap();
    let objects: Vec<Value> = blocks(&page, "yaml").iter().flat_map(|block| documents(block)).collect();
    for (kind, pointer) in [
        ("ExternalSecret", "/spec/target/template/metadata/labels"),
        ("SealedSecret", "/spec/template/metadata/labels"),
        ("VaultStaticSecret", "/spec/destination/labels"),
        ("Secret", "/metadata/labels"),
    ] {
        let of_this_kind = of_kind(&objects, kind);
        assert!(!of_this_kind.is_empty(), "{kind}");
        for object in of_this_kind {
            assert_eq!(object.pointer(pointer), Some(&crate::fixtures::consent()), "{kind}");
        }
        let place = pointer.trim_start_matches('/').replace('/', ".");
        assert!(page.contains(&format!("`{place}`")), "the table has {place}");
    }
}

/// Whether `text` matches an extended regular expression.
fn matches(expression: &str, text: &str) -> bool {
    let grep = r#"printf '%s' "$1" | grep -qE -e "$0""#;
    std::process::Command::new("sh").args(["-c", grep, expression, text]).status().unwrap().success()
}

/// The rule of SOPS encrypts the data of the Secret below it and leaves the label readable, which is the consent.
#[test]
fn the_rule_of_sops_encrypts_the_data_alone() {
    let page = fs::read_to_string(root().join("docs/secrets.md")).unwrap();
    let objects: Vec<Value> = blocks(&page, "yaml").iter().flat_map(|block| documents(block)).collect();
    let rule = objects.iter().find_map(|object| object["creation_rules"].get(0)).unwrap();
    let encrypted = rule["encrypted_regex"].as_str().unwrap();
    assert!(matches(rule["path_regex"].as_str().unwrap(), "clusters/eu/secrets/auth0.yaml"));
    let secret = objects.iter().find(|object| object.get("sops").is_some()).unwrap();
    assert_eq!(secret["sops"]["encrypted_regex"], encrypted);
    for (key, value) in secret.as_object().unwrap().iter().filter(|(key, _)| *key != "sops") {
        assert_eq!(value.to_string().contains("ENC["), matches(encrypted, key), "{key}");
    }
    assert!(matches(encrypted, "data") && matches(encrypted, "stringData"));
}

/// The shell parses every command as it stands.
#[test]
fn the_shell_parses_every_command() {
    let mut parsed = 0;
    for (page, text) in pages() {
        for block in blocks(&text, "sh") {
            let output = std::process::Command::new("sh").args(["-n", "-c", &block]).output().unwrap();
            assert!(output.status.success(), "{page}: {}\n{block}", String::from_utf8_lossy(&output.stderr));
            parsed += 1;
        }
    }
    assert!(parsed >= 15, "only {parsed}");
}
