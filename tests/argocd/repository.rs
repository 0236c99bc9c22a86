//! A git repository of manifests.

use std::path::PathBuf;
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
