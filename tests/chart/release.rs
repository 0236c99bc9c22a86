//! The files of a release besides the image, made by the scripts that the release workflow calls.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::helm::{NAMESPACE, chart, documents, id, objects, only, render, root, said};

const IMAGE: &str = "registry.example/owner/rescind";
const SOURCE: &str = "https://forge.example/owner/rescind";
const DIGEST: &str = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

/// Runs a script of release/ and returns its output, or its error message.
fn script(name: &str, args: &[&str]) -> Result<String, String> {
    said(Command::new(root().join("release").join(name)).args(args).output().unwrap())
}

fn version() -> String {
    script("version.sh", &[]).unwrap().trim().to_owned()
}

#[test]
fn the_packed_chart_names_the_image_of_the_release_and_is_otherwise_the_same() {
    let helm = stack::binaries::locate("helm").unwrap();
    script("chart.sh", &[helm.to_str().unwrap(), IMAGE, SOURCE]).unwrap();
    let packed = root().join(format!("target/dist/rescind-{}.tgz", version()));
    let sets = format!("image.repository={IMAGE}");
    let expected = render(&chart(), NAMESPACE, &[&sets]).unwrap();
    assert_eq!(render(&packed, NAMESPACE, &[]).unwrap(), expected);
    assert_eq!(render(&packed, NAMESPACE, &["@image=null"]).unwrap(), expected, "the defaults for older releases");
    let show = said(crate::helm::helm(&["show", "chart", packed.to_str().unwrap()]).output().unwrap()).unwrap();
    let meta: Value = serde_saphyr::from_str(&show).unwrap();
    let annotation = |name: &str| -> Value {
        serde_saphyr::from_str(meta["annotations"][format!("artifacthub.io/{name}")].as_str().unwrap()).unwrap()
    };
    assert_eq!(annotation("images")[0]["image"], format!("{IMAGE}:{}", version()));
    assert_eq!(annotation("links")[0]["url"], SOURCE);
    let readme = said(crate::helm::helm(&["show", "readme", packed.to_str().unwrap()]).output().unwrap()).unwrap();
    assert!(readme.contains(&format!("| `image.repository` | `\"{IMAGE}\"` |")), "its README names another default");
}

#[test]
fn the_manifest_installs_the_image_of_the_release_by_its_digest() {
    script("manifest.sh", &[IMAGE, DIGEST]).unwrap();
    let mut installed = documents(&fs::read_to_string(root().join("target/dist/install.yaml")).unwrap());
    let image = installed.iter_mut().find_map(|o| o.pointer_mut("/spec/template/spec/containers/0/image")).unwrap();
    assert_eq!(*image, json!(format!("{IMAGE}:{}@{DIGEST}", version())));
    // With the image of the chart it is the same as config/, which another test compares with the chart.
    *image = only(&objects(&[]), "Deployment")["spec"]["template"]["spec"]["containers"][0]["image"].clone();
    let config = |file| documents(&fs::read_to_string(root().join("config").join(file)).unwrap());
    let base = [config("namespace.yaml"), crate::generated::crds(), config("rescind.yaml")].concat();
    assert_eq!(installed.iter().map(id).collect::<Vec<_>>(), base.iter().map(id).collect::<Vec<_>>());
    assert_eq!(installed, base);
}

#[test]
fn a_release_has_one_version_and_its_tag_names_it() {
    script("check.sh", &[]).unwrap();
    for tag in ["v99.0.0", &version()] {
        let refusal = script("check.sh", &[tag]).unwrap_err();
        assert!(refusal.contains(&format!("the tag is {tag}")), "{refusal}");
    }
    let refusal = script("notes.sh", &["99.0.0"]).unwrap_err();
    assert!(refusal.contains("99.0.0") || refusal.contains("CHANGELOG.md"), "{refusal}");
}

/// With a key made for this test; a release itself is signed without one (docs/releases.md).
#[test]
#[ignore = "make test-long runs it, because it builds a program that makes a key"]
fn a_signed_chart_is_verified_and_a_changed_one_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let key = stack::binaries::locate("pgp-key").unwrap();
    said(Command::new(key).arg(folder.path()).output().unwrap()).unwrap();
    let helm = stack::binaries::locate("helm").unwrap();
    let (secret, packed) = (path("secret.gpg"), path(&format!("rescind-{}.tgz", version())));
    let sign = ["--sign", "--key", "Rescind test", "--keyring", &secret, "--destination", &path("")];
    script("chart.sh", &[&[helm.to_str().unwrap(), IMAGE, SOURCE], &sign[..]].concat()).unwrap();
    let public = path("public.gpg");
    let verify = || said(crate::helm::helm(&["verify", &packed, "--keyring", &public]).output().unwrap());
    verify().unwrap();
    let mut changed = fs::read(&packed).unwrap();
    changed.push(0);
    fs::write(&packed, changed).unwrap();
    let refusal = verify().unwrap_err();
    assert!(refusal.contains("sha256 sum does not match"), "{refusal}");
}
