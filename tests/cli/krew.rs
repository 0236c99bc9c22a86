//! What krew installs: the packed program, and the manifest that names it with its hash.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::harness::Environment;
use crate::person::Person;

fn run(program: &Path, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A copy of the scripts, so that `target` is left alone.
fn checkout() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    std::fs::create_dir(folder.path().join("release")).unwrap();
    for file in ["release/plugin.sh", "release/version.sh", "Cargo.toml"] {
        std::fs::copy(root.join(file), folder.path().join(file)).unwrap();
    }
    folder
}

#[tokio::test]
async fn what_krew_installs_works() {
    let folder = checkout();
    let script = folder.path().join("release/plugin.sh");
    // Stripped, as the program of a release is; with all that debuggers read it would take ten times as long.
    let program = folder.path().join("rescind");
    run(Path::new("strip"), &["-o", program.to_str().unwrap(), env!("CARGO_BIN_EXE_rescind")]);
    let packed = run(&script, &["pack", program.to_str().unwrap(), "amd64"]);
    let manifest = folder.path().join(run(&script, &["krew", "https://forge.example/rescind"]));
    let manifest: Value = serde_saphyr::from_str(&std::fs::read_to_string(manifest).unwrap()).unwrap();
    assert_eq!((&manifest["kind"], &manifest["metadata"]["name"]), (&"Plugin".into(), &"rescind".into()));
    let version = concat!("v", env!("CARGO_PKG_VERSION"));
    assert_eq!(manifest["spec"]["version"], version);
    // krew cuts longer ones.
    assert!(manifest["spec"]["shortDescription"].as_str().unwrap().len() <= 50);
    let platform = &manifest["spec"]["platforms"][0];
    let uri = format!("https://forge.example/rescind/releases/download/{version}/kubectl-rescind-linux-amd64.tar.gz");
    assert_eq!(platform["uri"], uri);
    let sum = Command::new("sha256sum").arg(folder.path().join(&packed)).output().unwrap();
    assert!(String::from_utf8(sum.stdout).unwrap().starts_with(platform["sha256"].as_str().unwrap()));

    let place = tempfile::tempdir().unwrap();
    let unpacked = Command::new("tar").arg("-xzf").arg(folder.path().join(packed)).arg("-C").arg(place.path()).status();
    assert!(unpacked.unwrap().success());
    for file in platform["files"].as_array().unwrap() {
        assert!(place.path().join(file["from"].as_str().unwrap()).is_file(), "{file}");
    }
    let env = Environment::bare("krew").await;
    let mut person = Person::admin(&env);
    person.set("PATH", format!("{}:/usr/bin:/bin", place.path().display()));
    let printed = person.kubectl(&["rescind", "version"]).await;
    assert_eq!(printed.code, 0, "{printed:?}");
    let listed = person.kubectl(&["plugin", "list"]).await;
    assert!(listed.out.contains(&place.path().join("kubectl-rescind").display().to_string()), "{listed:?}");
}
