//! A person at a shell: runs kubectl with the plugin on the PATH.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::generated_file::assert_up_to_date;
use crate::harness::Environment;

/// A person with the rights of a kubeconfig.
pub struct Person<'a> {
    pub env: &'a Environment,
    kubeconfig: PathBuf,
    variables: Vec<(&'static str, String)>,
}

/// What a command printed, and its exit code.
#[derive(Debug)]
pub struct Printed {
    pub out: String,
    pub err: String,
    pub code: i32,
}

/// A folder with the plugin, for the PATH.
fn plugins() -> &'static Path {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let link = || {
        let folder = tempfile::tempdir().unwrap();
        for name in ["kubectl-rescind", "kubectl_complete-rescind"] {
            std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_rescind"), folder.path().join(name)).unwrap();
        }
        folder
    };
    FOLDER.get_or_init(link).path()
}

impl<'a> Person<'a> {
    /// The administrator of the cluster, with a token that can read everything at the fake tenant.
    pub fn admin(env: &'a Environment) -> Self {
        let mut person = Self::with_kubeconfig(env, env.plane.kubeconfig_path());
        let reads: Vec<&str> = env.fake.all_scopes().into_iter().filter(|scope| scope.starts_with("read:")).collect();
        person.set("RESCIND_AUTH0_TOKEN", env.fake.token(&reads));
        person
    }

    /// Somebody with this kubeconfig and no token.
    pub fn with_kubeconfig(env: &'a Environment, kubeconfig: &Path) -> Self {
        let domains = ("RESCIND_ALLOWED_DOMAINS", env.fake.domain().to_owned());
        let rate = ("RESCIND_MAX_REQUESTS_PER_SECOND", "1000".to_owned());
        Self { env, kubeconfig: kubeconfig.to_owned(), variables: vec![domains, rate] }
    }

    /// Sets an environment variable.
    pub fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.variables.retain(|(known, _)| *known != name);
        self.variables.push((name, value.into()));
    }

    /// Runs `kubectl` with these arguments.
    pub async fn kubectl(&self, args: &[&str]) -> Printed {
        self.kubectl_in(Path::new("."), args, "").await
    }

    /// Runs `kubectl rescind` with these arguments in the namespace of the environment. The plugin is started as
    /// kubectl starts it, in whose place it runs; that kubectl finds it, and what it hands over, is what
    /// tests/cli/version.rs and others show. To start kubectl every time would take as long as all the rest.
    pub async fn rescind(&self, args: &[&str]) -> Printed {
        let namespace = ["-n", self.env.namespace.as_str()];
        let scope: &[&str] = if args.contains(&"-A") || args.contains(&"-n") { &[] } else { &namespace };
        let plugin = self.program(&plugins().join("kubectl-rescind"), &[args, scope].concat());
        Self::printed(plugin, Path::new("."), "").await
    }

    /// From now on with a kubeconfig of their own, in this file, in which this namespace is the current one.
    pub async fn use_namespace(&mut self, file: &Path, namespace: &str) {
        std::fs::copy(&self.kubeconfig, file).unwrap();
        self.kubeconfig = file.to_owned();
        let set = self.kubectl(&["config", "set-context", "--current", "--namespace", namespace]).await;
        assert_eq!(set.code, 0, "{set:?}");
    }

    /// `kubectl` with these arguments and the plugin on the PATH.
    pub fn command(&self, args: &[&str]) -> Command {
        self.program(self.env.plane.kubectl_path(), args)
    }

    fn program(&self, program: &Path, args: &[&str]) -> Command {
        let kubectl = self.env.plane.kubectl_path();
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new(program);
        command
            .args(args)
            .env("PATH", format!("{}:{}:{path}", plugins().display(), kubectl.parent().unwrap().display()))
            .env("KUBECONFIG", &self.kubeconfig)
            .envs(self.variables.iter().map(|(name, value)| (*name, value)))
            .kill_on_drop(true);
        command
    }

    /// Runs `kubectl` in this folder with this text as its input.
    pub async fn kubectl_in(&self, folder: &Path, args: &[&str], input: &str) -> Printed {
        Self::printed(self.command(args), folder, input).await
    }

    /// Runs a script in this folder, with kubectl and the plugin on the PATH.
    pub async fn shell(&self, folder: &Path, script: &str) -> Printed {
        Self::printed(self.program(Path::new("sh"), &["-ec", script]), folder, "").await
    }

    async fn printed(mut command: Command, folder: &Path, input: &str) -> Printed {
        let mut child = command
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // A command that does not read its input may have ended before.
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
        let output = child.wait_with_output().await.unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Printed { out: text(output.stdout), err: text(output.stderr), code: output.status.code().unwrap_or(-1) }
    }

    /// `text` without what differs from run to run: the namespace, the domain, instants, and times that passed.
    pub fn steady(&self, text: &str) -> String {
        let text = text.replace(&self.env.namespace, "NAMESPACE").replace(self.env.fake.domain(), "acme.eu.auth0.com");
        replace_shape(&text, "2026-11-26T17:00:00", "TIME")
    }

    /// Compares what was printed with the file of this name in `golden`.
    pub fn assert_golden(&self, name: &str, text: &str) {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/golden").join(name);
        assert_up_to_date(file, &self.steady(text), "golden");
    }
}

/// Replaces every piece that has the digits and signs of `shape` at the same places, with the fraction and Z after it.
fn replace_shape(text: &str, shape: &str, by: &str) -> String {
    let is_like = |at: &str| {
        at.len() >= shape.len()
            && at.is_char_boundary(shape.len())
            && at.bytes().zip(shape.bytes()).all(|(a, s)| if s.is_ascii_digit() { a.is_ascii_digit() } else { a == s })
    };
    let (mut out, mut rest) = (String::new(), text);
    while let Some(first) = rest.chars().next() {
        if is_like(rest) {
            let end = &rest[shape.len()..];
            let tail = end.len() - end.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
            let zulu = usize::from(end[tail..].starts_with('Z'));
            out += by;
            rest = &end[tail + zulu..];
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    out
}
