//! A git repository of manifests.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

pub struct Repository(tempfile::TempDir);

impl Repository {
    pub fn new() -> Self {
        let repository = Self(tempfile::tempdir().unwrap());
        repository.git(&["init", "--quiet", "--initial-branch=main"]);
        repository
    }

    pub fn url(&self) -> String {
        format!("file://{}", self.0.path().display())
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.0.path().join(below)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(format!("{name}.yaml"))
    }

    /// Writes a `UserRoleRevocation` that belongs to a sync wave.
    pub fn revocation(&self, name: &str, wave: u8, user: &str, role: &str) {
        let annotations = json!({"argocd.argoproj.io/sync-wave": wave.to_string()});
        let spec = json!({"userId": user, "roles": [role]});
        self.write(name, &manifest("rescind.dev/v1alpha1", "UserRoleRevocation", name, annotations, "spec", spec));
    }

    /// Writes a PostSync hook. There is no kubelet, so it is an object that is done as soon as it exists.
    pub fn post_sync(&self, name: &str) {
        let annotations = json!({"argocd.argoproj.io/hook": "PostSync"});
        self.write(name, &manifest("v1", "ConfigMap", name, annotations, "data", json!({"done": "true"})));
    }

    fn write(&self, name: &str, manifest: &Value) {
        std::fs::write(self.file(name), manifest.to_string()).unwrap();
    }

    /// Copies a folder of this repository to the same place, with `change` to the text of each file.
    pub fn copy(&self, folder: &Path, change: &impl Fn(String) -> String) {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        std::fs::create_dir_all(self.0.path().join(folder)).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let path = folder.join(entry.unwrap().file_name());
            let from = Path::new(env!("CARGO_MANIFEST_DIR")).join(&path);
            if from.is_dir() {
                self.copy(&path, change);
            } else {
                std::fs::write(self.0.path().join(&path), change(std::fs::read_to_string(from).unwrap())).unwrap();
            }
        }
    }

    pub fn remove(&self, name: &str) {
        std::fs::remove_file(self.file(name)).unwrap();
    }

    pub fn commit(&self) {
        self.git(&["add", "--all"]);
        self.git(&["-c", "user.name=test", "-c", "user.email=test@example.com", "commit", "--quiet", "-m", "change"]);
    }

    fn git(&self, args: &[&str]) {
        let mut git = Command::new("git");
        git.current_dir(self.0.path()).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
        assert!(git.args(args).status().expect("git").success(), "{args:?}");
    }
}

fn manifest(version: &str, kind: &str, name: &str, annotations: Value, field: &str, value: Value) -> Value {
    json!({
        "apiVersion": version, "kind": kind, "metadata": {"name": name, "annotations": annotations}, field: value,
    })
}
