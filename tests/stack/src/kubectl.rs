//! kubectl for tests: built with the API server, and independent of the user's settings.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use crate::{Error, binaries};

/// Runs `kubectl` with a kubeconfig. A refusal is no error but is in the output.
pub fn kubectl(kubeconfig: &Path, args: &[&str]) -> Result<Output, Error> {
    kubectl_with_input(kubeconfig, args, "")
}

/// The same with text on standard input, for `apply -f -`.
pub fn kubectl_with_input(kubeconfig: &Path, args: &[&str], input: &str) -> Result<Output, Error> {
    let path = path()?;
    let run = Error::io("run", &path);
    let mut command = command(&path, kubeconfig);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let spawned = command.spawn().and_then(|mut child| {
        // A command that does not read its input may end before this write, which is no error.
        let pipe = child.stdin.take();
        let writer = std::thread::spawn({
            let input = input.to_owned();
            move || pipe.map(|mut pipe| pipe.write_all(input.as_bytes()))
        });
        let output = child.wait_with_output();
        let _ = writer.join();
        output
    });
    spawned.map_err(run)
}

/// Runs `kubectl` and returns its output. A refusal is an error with kubectl's message.
pub fn checked(kubeconfig: &Path, args: &[&str], input: &str) -> Result<String, Error> {
    let output = kubectl_with_input(kubeconfig, args, input)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Error::Kubectl { args: args.join(" "), stderr })
}

/// The path of kubectl; looked up once.
pub fn path() -> Result<PathBuf, Error> {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    if let Some(path) = PATH.get() {
        return Ok(path.clone());
    }
    let path = binaries::locate("kubectl")?;
    Ok(PATH.get_or_init(|| path).clone())
}

/// kubectl with its cache beside the kubeconfig and without the user's preferences.
fn command(path: &Path, kubeconfig: &Path) -> Command {
    let mut command = Command::new(path);
    command.arg("--kubeconfig").arg(kubeconfig).env_remove("KUBECONFIG").env("KUBERC", "off");
    command.env("KUBECACHEDIR", kubeconfig.with_file_name("kubectl-cache"));
    command
}
